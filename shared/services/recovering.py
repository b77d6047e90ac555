"""Proving that an address is one's own, and getting back in without the password, or with another one."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain import letter as letters
from shared.domain import user as rules
from shared.domain.act import Origin
from shared.domain.password import require_good
from shared.domain.session import Session
from shared.domain.token import PresentedToken, TokenKind, hashed, read_token, written
from shared.domain.user import PREFIX, User
from shared.errors import Conflict, Invalid, NotFound, NotSignedIn, Unavailable
from shared.mail import Mail
from shared.services import hashing
from shared.services.witnessing import NOWHERE, Deed, Witness
from shared.store.sessions import SessionStore
from shared.store.users import UserStore

LOG = logging.getLogger(__name__)
ROUNDS = 5
VOID = "This token is over, or was used."


@dataclass(frozen=True)
class Recovering:
    """`deployment` is what letters call this Spark."""

    users: UserStore
    sessions: SessionStore
    witness: Witness
    mail: Mail
    deployment: str
    new_secret: Callable[[], str]
    now: Callable[[], datetime]

    def ask_to_verify(self, user: User) -> None:
        """Mail `user` a token that proves the address. Nothing to do where it is proven.

        Raises:
            Conflict; Unavailable: it could not be sent.
        """
        if user.email_verified_at is not None:
            return
        secret = self.new_secret()
        self.users.save(user, rules.await_verification(user, hashed(secret), self.now()))
        token = written(TokenKind.verification, user.id, secret)
        self.mail.send(letters.verification(user.email, token, self.deployment))

    def welcome(self, user: User) -> None:
        """The same for somebody new, whose account does not depend on it: they can ask again."""
        try:
            self.ask_to_verify(user)
        except (Conflict, Unavailable):
            LOG.exception("user.not_asked_to_verify", extra={"user": user.id})

    def remind(self, email: str) -> None:
        """Tell somebody who wants an account that there is one: in a letter, where nobody but they reads it."""
        try:
            self.mail.send(letters.taken(email, self.deployment))
        except (Conflict, Unavailable):
            LOG.exception("user.not_reminded")

    def verify(self, text: str, origin: Origin = NOWHERE) -> User:
        """Raises Invalid, Conflict."""
        user, token = self._find(TokenKind.verification, text)
        if not token.opens(user.verification_hash, user.verification_until, self.now()):
            raise Invalid(VOID, "/token")
        after, deed = rules.verified(user, self.now()), Deed("email.verified", user, origin)
        self.witness.store(deed, lambda entries: self.users.save_with(user, after, entries))
        return after.model_copy(update={"revision": after.revision + 1})

    def forgotten(self, email: str) -> None:
        """Mail a token that sets another password, if there is such a user, and none was mailed within the last half
        hour. Nobody is told which it is."""
        user = self.users.by_email(email)
        if user is None or user.disabled_at is not None or rules.was_just_mailed(user, self.now()):
            return
        try:
            self._mail_reset(user)
        except (Conflict, Unavailable):
            LOG.exception("password.reset_not_sent", extra={"user": user.id})

    def reset(self, text: str, password: str, origin: Origin = NOWHERE) -> None:
        """Set another password by what was mailed. It ends every session, and proves the address.

        Raises:
            Invalid: the token, or the password; Conflict.
        """
        user, token = self._find(TokenKind.reset, text)
        if not rules.may_reset(user, token, self.now()):
            raise Invalid(VOID, "/token")
        require_good(password, user.email, user.email.partition("@")[0], user.name)
        after = rules.with_password(rules.verified(user, self.now()), hashing.hashed(password))
        deed = Deed("password.reset", user, origin)
        self.witness.store(deed, lambda entries: self.users.save_with(user, after, entries))

    def change(self, user: User, session: Session, current: str, password: str, origin: Origin = NOWHERE) -> None:
        """Set another password by the present one. It ends every session but this one.

        Raises:
            NotSignedIn: `current` is wrong; Invalid: the new one.
            Unavailable: somebody else changes this user. Nothing was changed here.
        """
        if not hashing.is_right(current, user.password_hash):
            raise NotSignedIn("The present password is wrong.")
        require_good(password, user.email, user.email.partition("@")[0], user.name)
        after = rules.with_password(user, hashing.hashed(password))
        for _ in range(ROUNDS):
            try:
                return self._save(user, after, session, origin)
            except Conflict:  # with a refresh of this session, as a rule
                session = self.sessions.get(user.id, session.id)
        raise Unavailable("The account keeps changing; the password is the one it was. Try again.")

    def _save(self, user: User, after: User, session: Session, origin: Origin) -> None:
        """Store both or neither: there is no other password without a session that goes on."""
        kept = session.model_copy(update={"generation": after.generation})
        entries = self.witness.entries(Deed("password.changed", user, origin))
        self.users.save_with(user, after, [self.sessions.change(session, kept), *entries])

    def _mail_reset(self, user: User) -> None:
        """Raises Conflict; Unavailable: it did not leave, and may be asked for again at once."""
        secret = self.new_secret()
        waiting = self.users.save(user, rules.await_reset(user, hashed(secret), self.now()))
        token = written(TokenKind.reset, user.id, secret)
        try:
            self.mail.send(letters.reset(user.email, token, self.deployment))
        except (Conflict, Unavailable):
            self.users.save(waiting, rules.never_mailed(waiting, user))
            raise

    def _find(self, kind: TokenKind, text: str) -> tuple[User, PresentedToken]:
        token = read_token(kind, text)
        try:
            if token is not None:
                return self.users.get(f"{PREFIX}_{token.ulid}"), token
        except NotFound:
            pass
        raise Invalid(VOID, "/token")
