"""A session: what a login opened, and the family of refresh tokens that keeps it open.

Each refresh token works once. The first half of its secret is the same for the whole family: who shows the right first
half and a wrong second one has a token of this family that was used before.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from shared.domain.record import Instant, Stored
from shared.domain.token import SECRET_LENGTH, PresentedToken, hashed
from shared.domain.user import User

if TYPE_CHECKING:
    from shared.domain.identity_provider import IdentityProvider

PREFIX = "ses"
LIFETIME = timedelta(days=30)
VOUCHED_LIFETIME = timedelta(hours=12)  # whom a provider let in, it has to let in again: it may have changed its mind
GRACE = timedelta(seconds=10)  # so late may the losers of a race of honest clients come
MAX_USER_AGENT = 200


class Session(Stored):
    id: str
    user_id: str
    generation: int = 0
    family_hash: str = Field(repr=False)
    hash: str = Field(repr=False)
    previous_hash: str | None = Field(None, repr=False)
    rotated_at: Instant | None = None
    user_agent: str = ""
    address: str = ""
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    revoked_at: Instant | None = None
    provider_id: str | None = None
    organization_id: str | None = Field(None, description="Opened by an identity provider, it counts there alone.")


@dataclass(frozen=True)
class Visitor:
    """From where somebody logs in, for them to recognise."""

    user_agent: str
    address: str
    correlation_id: str | None = None


class Presented(StrEnum):
    """What a refresh token is to its session."""

    current = "current"
    just_rotated = "just_rotated"
    """Another request with the same token was quicker."""
    replayed = "replayed"
    """It was used before: somebody has a copy."""
    foreign = "foreign"
    """It was never one of this session."""


def opened(
    user: User, id: str, secret: str, visitor: Visitor, now: datetime, provider: "IdentityProvider | None" = None
) -> Session:
    """A new session of `user`; `secret` is that of its first refresh token, twice as long as others.

    Where a `provider` vouches for them it is confined to its organization, and ends sooner.
    """
    return Session(
        id=id,
        user_id=user.id,
        generation=user.generation,
        family_hash=hashed(secret[:SECRET_LENGTH]),
        hash=hashed(secret),
        user_agent=visitor.user_agent[:MAX_USER_AGENT],
        address=visitor.address,
        created_at=now,
        last_used_at=now,
        expires_at=now.replace(microsecond=0) + (VOUCHED_LIFETIME if provider else LIFETIME),  # as the table keeps it
        provider_id=provider.id if provider else None,
        organization_id=provider.organization_id if provider else None,
    )


def is_open(session: Session, user: User, now: datetime) -> bool:
    """Not over, not revoked; and the user neither barred nor with a new password since."""
    mine = session.user_id == user.id and session.generation == user.generation
    return mine and user.disabled_at is None and session.revoked_at is None and now < session.expires_at


def judge(session: Session, token: PresentedToken, now: datetime) -> Presented:
    if hmac.compare_digest(token.hash, session.hash):
        return Presented.current
    if not hmac.compare_digest(hashed(token.secret[:SECRET_LENGTH]), session.family_hash):
        return Presented.foreign
    was_last = hmac.compare_digest(token.hash, session.previous_hash or "")
    fresh = session.rotated_at is not None and now - session.rotated_at <= GRACE
    return Presented.just_rotated if was_last and fresh else Presented.replayed


def next_secret(token: PresentedToken, fresh: str) -> str:
    """The secret that follows that of `token`: of the same family, and `fresh`."""
    return token.secret[:SECRET_LENGTH] + fresh


def rotate(session: Session, secret: str, now: datetime) -> Session:
    changes = {"hash": hashed(secret), "previous_hash": session.hash, "rotated_at": now, "last_used_at": now}
    return session.model_copy(update=changes)


def revoke(session: Session, now: datetime) -> Session:
    return session.model_copy(update={"revoked_at": session.revoked_at or now})
