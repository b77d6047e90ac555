"""Proving by a second factor that it is they: the step between the right password and a session.

Whoever shows a code uses it up: it is stored as used before anything is done with it. Two who come with the same one at
the same time meet at the factor's revision, and only one of them is let through.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.domain import second_factor as rules
from shared.domain.second_factor import Method, SecondFactor
from shared.domain.user import User, may_log_in
from shared.errors import Conflict, NotFound, NotSignedIn, SecondFactorRequired, Unavailable
from shared.secrets import Cipher
from shared.services.signing import NO_CHALLENGE, Signing
from shared.store.second_factors import SecondFactorStore
from shared.store.table import Change
from shared.store.users import UserStore
from shared.texts import Texts

PURPOSE = "second-factors"
ROUNDS = 10
LOG = logging.getLogger(__name__)
WRONG = "The code is wrong, over, or was used."


def unchanged(factor: SecondFactor) -> SecondFactor:
    return factor


@dataclass(frozen=True)
class Proving:
    """`cipher` keeps the secrets that apps share with us, each for its user; `deployment` is what messages call this
    Spark."""

    users: UserStore
    factors: SecondFactorStore
    signing: Signing
    cipher: Cipher
    texts: Texts
    count_text: Callable[[str], None]
    """Counts a text message to a number. Raises RateLimited."""
    deployment: str
    entropy: Callable[[int], bytes]
    now: Callable[[], datetime]

    def require_none(self, user: User) -> None:
        """Let `user` pass, who has shown their password, if that is all there is to show.

        Raises:
            SecondFactorRequired: it is not; with a challenge for the second step.
        """
        factor = self.factors.find(user.id)
        if factor is not None and factor.is_confirmed:
            ways = rules.methods(factor, with_texts=self.texts.is_on)
            raise SecondFactorRequired(self.signing.challenge(user.id, user.generation), [*ways])

    def challenged(self, challenge: str) -> User:
        """Whose `challenge` it is: they have shown the password that is still theirs.

        Raises:
            NotSignedIn: it is none, or over; or they have another password since.
        """
        claims = self.signing.read_challenge(challenge)
        try:
            user = self.users.get(claims.sub)
        except NotFound as error:
            raise NotSignedIn(NO_CHALLENGE) from error
        if user.generation != claims.gen or not may_log_in(user):
            raise NotSignedIn(NO_CHALLENGE)
        return user

    def use(
        self,
        user: User,
        code: str,
        method: Method | None = None,
        then: Callable[[SecondFactor], SecondFactor] = unchanged,
        entries: Callable[[], Sequence[Change]] = tuple,
    ) -> SecondFactor:
        """Use up `code`; what `then` makes of the factor is stored in the same write, with the `entries` of the audit
        log. Without `method`, six digits are the app's.

        Raises:
            NotSignedIn: in the same words whatever is wrong, also where there is no second factor.
            Unavailable: time and again somebody else was faster. The code was not used.
        """
        chosen = method or rules.method_of(code)
        for _ in range(ROUNDS):
            factor = self.factors.find(user.id)
            after = self._after(factor, code, chosen) if factor is not None and factor.is_confirmed else None
            if after is None:
                LOG.info("second_factor.refused", extra={"user": user.id, "method": chosen})
                raise NotSignedIn(WRONG)
            with suppress(Conflict):
                saved = self.factors.save(factor, then(after), entries())
                LOG.info("second_factor.used", extra={"user": user.id, "method": chosen})
                return saved
        raise Unavailable("The second factor keeps changing. Try again.")

    def text(self, user: User) -> None:
        """Send `user` a code that takes the place of the app's, once, within five minutes.

        Raises:
            Conflict: they have no phone number here, or no texts are sent; or another code is just being sent.
            RateLimited: their phone had too many today. Unavailable: it could not be sent.
        """
        factor = self.factors.find(user.id)
        if factor is None or not factor.is_confirmed or factor.phone is None or not self.texts.is_on:
            raise Conflict("No code can be sent to this account. Use the app, or a recovery code.")
        code = rules.text_code(self.entropy(rules.TEXT_ENTROPY))
        self.factors.save(factor, rules.texted(factor, self.secret_of(factor), factor.phone, code, self.now()))
        self.send(factor.phone, code)

    def send(self, number: str, code: str) -> None:
        """Raises RateLimited: too many were sent to `number`, whoever asked for them; Unavailable, Conflict."""
        self.count_text(number)
        self.texts.send(number, f"{code} is your code for {self.deployment}. It is good for five minutes.")

    def secret_of(self, factor: SecondFactor) -> str:
        return self.cipher.decrypt(factor.user_id, factor.encrypted_secret)

    def _after(self, factor: SecondFactor, code: str, method: Method) -> SecondFactor | None:
        """`factor` once `code` is used; None where it is no good."""
        if method is Method.recovery:
            return rules.used_recovery(factor, code)
        secret = self.secret_of(factor)
        if method is Method.sms:
            return rules.used_text(factor, secret, code, self.now()) if self.texts.is_on else None
        from shared.services import totp  # for those who have it

        return rules.used_step(factor, totp.step_of(secret, code, self.now()))
