"""Securing an account: switching its second factor on and off, and what belongs to it.

Switching it on takes the password; whatever changes one that is on takes the password and one of its codes. What the
operator of the deployment does for somebody who has lost everything takes the deployment's first key.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from shared.domain import second_factor as rules
from shared.domain.act import Origin
from shared.domain.second_factor import RECOVERY_BYTES, RECOVERY_CODES, SECRET_BYTES, TEXT_ENTROPY, SecondFactor
from shared.domain.user import User
from shared.errors import Conflict, NotSignedIn
from shared.services import hashing, totp
from shared.services.proving import WRONG, Proving
from shared.services.witnessing import NOWHERE, Deed, Operator, Witness, told_the_operator
from shared.store.second_factors import SecondFactorStore
from shared.store.table import Change
from shared.store.users import UserStore

LOG = logging.getLogger(__name__)


class Enrolment(NamedTuple):
    """What an authenticator app is told, once."""

    secret: str
    uri: str

    def __repr__(self) -> str:
        return "Enrolment()"


@dataclass(frozen=True)
class Securing:
    """`issuer` is what apps call this Spark."""

    users: UserStore
    factors: SecondFactorStore
    proving: Proving
    witness: Witness
    issuer: str
    entropy: Callable[[int], bytes]
    now: Callable[[], datetime]

    def begin(self, user: User, password: str) -> Enrolment:
        """Make a secret for the app of `user`. It counts when a code has shown that the app has it.

        Raises:
            NotSignedIn: the password is wrong; Conflict: there is a second factor that counts.
        """
        self._require_password(user, password)
        before, secret = self.factors.find(user.id), totp.secret(self.entropy(SECRET_BYTES))
        encrypted = self.proving.cipher.encrypt(user.id, secret)
        self.factors.save(before, rules.begun(before, user.id, encrypted, self.now()))
        return Enrolment(secret, totp.uri(secret, user.email, self.issuer))

    def confirm(self, user: User, code: str, origin: Origin = NOWHERE) -> list[str]:
        """Switch the second factor on, by a code of the app; the recovery codes, which nobody sees again.

        Raises:
            NotSignedIn: the code is wrong; Conflict: nothing is to be confirmed.
        """
        factor = self.factors.find(user.id)
        if factor is None or factor.is_confirmed:
            raise Conflict("There is no second factor to confirm: it is on already, or was never begun.")
        step = totp.step_of(self.proving.secret_of(factor), code, self.now())
        if step is None:
            raise NotSignedIn(WRONG)
        codes = self._recovery_codes()
        after, deed = rules.confirmed(factor, step, codes, self.now()), Deed("second_factor.enabled", user, origin)
        self.witness.store(deed, lambda entries: self._save(factor, after, entries))
        LOG.info("second_factor.enabled", extra={"user": user.id})
        return codes

    def renew_recovery_codes(self, user: User, password: str, code: str, origin: Origin = NOWHERE) -> list[str]:
        """Other recovery codes; those before are void.

        Raises:
            NotSignedIn: password or code.
        """
        self._require_password(user, password)
        codes = self._recovery_codes()
        deed = Deed("second_factor.recovery_codes_renewed", user, origin)
        self.proving.use(
            user,
            code,
            then=lambda factor: rules.with_recovery(factor, codes),
            entries=lambda: self.witness.entries(deed),
        )
        LOG.info("second_factor.recovery_codes_renewed", extra={"user": user.id})
        return codes

    def disable(self, user: User, password: str, code: str, origin: Origin = NOWHERE) -> None:
        """Switch it off: the password alone is enough again. Sessions go on.

        Raises:
            NotSignedIn: password or code; Conflict: it was changed this very moment. The code is used all the same.
        """
        self._require_password(user, password)
        used, deed = self.proving.use(user, code), Deed("second_factor.disabled", user, origin)
        self.witness.store(deed, lambda entries: self.factors.delete(used, entries))
        LOG.info("second_factor.disabled", extra={"user": user.id})

    def add_phone(self, user: User, password: str, code: str, number: str) -> None:
        """Send `number` a code that makes it the phone of `user`, in place of the one before.

        Raises:
            NotSignedIn: password or code; Conflict: no texts are sent here.
            RateLimited: `number` had too many today; Unavailable: this one could not be sent. The code is used.
        """
        if not self.proving.texts.is_on:
            raise Conflict("This deployment sends no text messages.")
        self._require_password(user, password)
        sent = rules.text_code(self.entropy(TEXT_ENTROPY))

        def with_text(factor: SecondFactor) -> SecondFactor:
            return rules.texted(factor, self.proving.secret_of(factor), number, sent, self.now())

        self.proving.use(user, code, then=with_text)
        self.proving.send(number, sent)

    def confirm_phone(self, user: User, code: str, origin: Origin = NOWHERE) -> SecondFactor:
        """Take the number that `code` was sent to for that of `user`.

        Raises:
            NotSignedIn: the code is wrong, or over; Conflict: somebody changes the factor at the same time.
        """
        factor = self.factors.find(user.id)
        secret = self.proving.secret_of(factor) if factor is not None and factor.is_confirmed else ""
        after = rules.with_phone(factor, secret, code, self.now()) if factor is not None and secret else None
        if after is None:
            raise NotSignedIn(WRONG)
        self.witness.store(
            Deed("second_factor.phone_added", user, origin), lambda entries: self._save(factor, after, entries)
        )
        LOG.info("second_factor.phone_added", extra={"user": user.id})
        return after

    def remove(self, user: User, by: Operator) -> None:
        """Take the second factor of `user` away, for the operator. Where there is none, that is fine.

        Raises:
            Conflict: it was changed this very moment.
        """
        if (factor := self.factors.find(user.id)) is not None:
            self.witness.store(
                told_the_operator("second_factor.removed", user, by),
                lambda entries: self.factors.delete(factor, entries),
            )
            LOG.warning("second_factor.removed_by_operator", extra={"user": user.id})

    def _save(self, before: SecondFactor | None, after: SecondFactor, entries: Sequence[Change]) -> None:
        self.factors.save(before, after, entries)

    def _require_password(self, user: User, password: str) -> None:
        if not hashing.is_right(password, user.password_hash):
            raise NotSignedIn("The present password is wrong.")

    def _recovery_codes(self) -> list[str]:
        return [rules.recovery_code(self.entropy(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
