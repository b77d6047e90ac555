"""Signing in: a password for a session, its refresh tokens, and the end of it.

A refresh token works once. Two that come with the same one at the same time meet at the session's revision: one is
stored, the other is told so and may look for what the first one got.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.domain import session as rules
from shared.domain.session import PREFIX, Presented, Session, Visitor
from shared.domain.token import ACCESS_LIFETIME, TokenKind, read_token, written
from shared.domain.user import User
from shared.errors import Conflict, NotFound, NotSignedIn, Unavailable
from shared.services import hashing
from shared.services.signing import Signing
from shared.store.records import Slice
from shared.store.sessions import SessionStore
from shared.store.users import UserStore

ROUNDS = 10
LOG = logging.getLogger(__name__)
WRONG = "The e-mail address or the password is wrong."
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
    new_id: Callable[[str], str]
    new_secret: Callable[[], str]
    now: Callable[[], datetime]

    def log_in(self, email: str, password: str, visitor: Visitor) -> Tokens:
        """A new session.

        Raises:
            NotSignedIn: in the same words, after the same work, whatever was wrong.
        """
        user = self.users.by_email(email)
        is_right = hashing.is_right(password, user.password_hash if user else None)
        if user is None or not is_right or user.disabled_at is not None:
            raise NotSignedIn(WRONG)
        self._renew_hash(user, password)
        return self.open(user, visitor)

    def open(self, user: User, visitor: Visitor) -> Tokens:
        """A new session of `user`, who has shown that it is they."""
        secret = self.new_secret() + self.new_secret()
        session = rules.opened(user, self.new_id(PREFIX), secret, visitor, self.now())
        return self._tokens(self.sessions.save(None, session), secret)

    def refresh(self, text: str) -> Tokens:
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
                self._end(session)
                LOG.warning("session.token_replayed", extra={"session": session.id, "user": session.user_id})
                raise NotSignedIn(OVER)
        secret = rules.next_secret(token, self.new_secret())
        return self._tokens(self._rotate(session, secret), secret)

    def log_out(self, user_id: str, session_id: str) -> None:
        """End a session of this user. Access tokens of it work for up to a minute more.

        Raises:
            NotFound: they have no such session.
        """
        self._end(self.sessions.get(user_id, session_id))

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
        with suppress(NotFound):
            return rules.is_open(session, self.users.get(session.user_id), self.now())
        return False

    def _end(self, session: Session) -> None:
        """An end is never lost to a refresh at the same time.

        Raises:
            Unavailable: time and again somebody else was faster.
        """
        for _ in range(ROUNDS):
            if session.revoked_at is not None:
                return
            with suppress(Conflict):
                self.sessions.save(session, rules.revoke(session, self.now()))
                return
            session = self.sessions.get(session.user_id, session.id)
        raise Unavailable("The session keeps changing. Try again.")

    def _renew_hash(self, user: User, password: str) -> None:
        """Nobody waits for it: whoever logs in next does it again."""
        if hashing.is_outdated(user.password_hash):
            with suppress(Conflict):
                self.users.save(user, user.model_copy(update={"password_hash": hashing.hashed(password)}))
