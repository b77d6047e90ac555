"""Signing in: a password for a session, its refresh tokens, and the end of it.

A refresh token works once. Two that come with the same one at the same time meet at the session's revision: one is
stored, the other is told so and may look for what the first one got.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain import session as rules
from shared.domain import user as users
from shared.domain.act import SPARK, Origin
from shared.domain.session import PREFIX, Presented, Session, Visitor
from shared.domain.token import ACCESS_LIFETIME, TokenKind, read_token, written
from shared.domain.user import User
from shared.errors import Conflict, NotFound, NotSignedIn, Unavailable
from shared.services import hashing
from shared.services.proving import Proving
from shared.services.signing import Signing
from shared.services.witnessing import NOWHERE, Deed, Witness
from shared.store.records import Slice
from shared.store.sessions import SessionStore
from shared.store.table import Change
from shared.store.users import UserStore

if TYPE_CHECKING:
    from shared.domain.identity_provider import IdentityProvider

ROUNDS = 10
LOG = logging.getLogger(__name__)
WRONG = "The e-mail address or the password is wrong."
REPLAYED = "A refresh token of it was used a second time."
OVER = "The refresh token is not valid. Log in again."
TWICE = "This refresh token was used a moment ago, by another request: use what that one got."


@dataclass(frozen=True)
class Tokens:
    """What a login gives."""

    access: str
    refresh: str
    session: Session
    seconds: int = int(ACCESS_LIFETIME.total_seconds())


@dataclass(frozen=True)
class SigningIn:
    users: UserStore
    sessions: SessionStore
    signing: Signing
    proving: Proving
    witness: Witness
    new_id: Callable[[str], str]
    new_secret: Callable[[], str]
    now: Callable[[], datetime]
    is_trusted: Callable[[str], bool]
    """Is there an identity provider of this id, and is it switched on?"""

    def log_in(self, email: str, password: str, visitor: Visitor) -> Tokens:
        """A new session.

        Raises:
            NotSignedIn: in the same words, after the same work, whatever was wrong.
            SecondFactorRequired: the password is right, and there is more to show.
        """
        user = self.users.by_email(email)
        is_right = hashing.is_right(password, user.password_hash if user else None)
        if user is None or not is_right or not users.may_log_in(user):
            raise NotSignedIn(WRONG)
        self._renew_hash(user, password)
        self.proving.require_none(user)
        return self.open(user, visitor)

    def open(self, user: User, visitor: Visitor, provider: "IdentityProvider | None" = None) -> Tokens:
        """A new session of `user`, who has shown that it is they; or `provider` vouches for it."""
        secret = self.new_secret() + self.new_secret()
        session = rules.opened(user, self.new_id(PREFIX), secret, visitor, self.now(), provider)
        deed = _deed("session.opened", user, session, Origin(visitor.address, visitor.correlation_id))
        deed = replace(deed, reason=f"Identity provider {provider.id} vouched for them." if provider else None)
        self.witness.store(deed, lambda entries: self._save(None, session, entries))
        return self._tokens(session.model_copy(update={"revision": 1}), secret)

    def refresh(self, text: str, origin: Origin = NOWHERE) -> Tokens:
        """The tokens that follow the refresh token `text`.

        Raises:
            NotSignedIn: it is none, or its session is over; or it was used before, and now its session is over.
            Conflict: another request used it just now. That one's tokens work.
        """
        token = read_token(TokenKind.refresh, text)
        session = self.sessions.by_ulid(token.ulid) if token else None
        if token is None or session is None or not self._is_open(session):
            raise NotSignedIn(OVER)
        match rules.judge(session, token, self.now()):
            case Presented.foreign:
                raise NotSignedIn(OVER)
            case Presented.just_rotated:
                raise Conflict(TWICE)
            case Presented.replayed:
                self._end(session, origin, actor=SPARK, reason=REPLAYED)
                LOG.warning("session.token_replayed", extra={"session": session.id, "user": session.user_id})
                raise NotSignedIn(OVER)
        secret = rules.next_secret(token, self.new_secret())
        return self._tokens(self._rotate(session, secret), secret)

    def log_out(self, user_id: str, session_id: str, origin: Origin = NOWHERE) -> None:
        """End a session of this user. Access tokens of it work for up to a minute more.

        Raises:
            NotFound: they have no such session.
        """
        self._end(self.sessions.get(user_id, session_id), origin)

    def list(self, user: User, *, limit: int, after: str | None) -> Slice[Session]:
        """The sessions of `user` that are open, the newest first."""
        now = self.now()
        return self.sessions.list(
            user.id, limit=limit, after=after, admits=lambda session: rules.is_open(session, user, now)
        )

    def _tokens(self, session: Session, secret: str) -> Tokens:
        access = self.signing.issue(session.user_id, session.id)
        return Tokens(access, written(TokenKind.refresh, session.id, secret), session)

    def _rotate(self, session: Session, secret: str) -> Session:
        try:
            return self.sessions.save(session, rules.rotate(session, secret, self.now()))
        except Conflict as error:
            raise Conflict(TWICE) from error

    def _is_open(self, session: Session) -> bool:
        if session.provider_id is not None and not self.is_trusted(session.provider_id):
            return False
        with suppress(NotFound):
            return rules.is_open(session, self.users.get(session.user_id), self.now())
        return False

    def _end(self, session: Session, origin: Origin, *, actor: str | None = None, reason: str | None = None) -> None:
        """An end is never lost to a refresh at the same time.

        Raises:
            Unavailable: time and again somebody else was faster.
        """
        user = self.users.get(session.user_id)
        for _ in range(ROUNDS):
            if session.revoked_at is not None:
                return
            deed = replace(_deed("session.revoked", user, session, origin), actor=actor, reason=reason)
            with suppress(Conflict):
                self._save(session, rules.revoke(session, self.now()), self.witness.entries(deed))
                return
            session = self.sessions.get(session.user_id, session.id)
        raise Unavailable("The session keeps changing. Try again.")

    def _save(self, before: Session | None, after: Session, entries: Sequence[Change]) -> None:
        self.sessions.save(before, after, None, entries)

    def _renew_hash(self, user: User, password: str) -> None:
        """Nobody waits for it: whoever logs in next does it again."""
        if hashing.is_outdated(user.password_hash):
            with suppress(Conflict):
                self.users.save(user, user.model_copy(update={"password_hash": hashing.hashed(password)}))


def _deed(action: str, user: User, session: Session, origin: Origin) -> Deed:
    """What the log says of a session: where an identity provider opened it, to the organization where it counts."""
    told = None if session.organization_id is None else [session.organization_id]
    return Deed(action, user, origin, organizations=told, session=session.id)
