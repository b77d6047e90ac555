"""A person: an e-mail address that is theirs alone, a password, and what was sent to that address to prove it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.domain.member import Member
from shared.domain.record import Instant, Stored
from shared.domain.workflow import Name
from shared.errors import Conflict

PREFIX = "usr"
VERIFICATION_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(hours=1)
MAX_MEMBERSHIPS = 50

Place = tuple[str, str | None]
"""An organization, and perhaps one project of it."""

# What browsers take for an address. ASCII only: no two addresses look alike, and no letter has two lower cases.
EmailText = Annotated[
    str,
    StringConstraints(
        to_lower=True,
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$",
    ),
]
"""An address in lower case: the form in which it belongs to one person only."""


@dataclass(frozen=True)
class Applicant:
    """Who wants an account."""

    email: str
    name: str
    password: str = field(repr=False)


class EmailClaim(Stored):
    """Whose an address is. Stored under the address, so it can be stored for one person only."""

    email: str
    user_id: str


class User(Stored):
    """Tokens that were mailed are part of the user, so that using one and what it is used for is one write.

    `places` says where to look for memberships; who is a member, and as what, the member's own record says.
    """

    id: str
    email: EmailText
    name: Name
    password_hash: str = Field(repr=False)
    generation: int = Field(0, description="Sessions of an earlier one are over.")
    email_verified_at: Instant | None = None
    disabled_at: Instant | None = None
    created_at: Instant
    places: tuple[Place, ...] = ()
    verification_hash: str | None = Field(None, repr=False)
    verification_until: Instant | None = None
    reset_hash: str | None = Field(None, repr=False)
    reset_until: Instant | None = None


def await_verification(user: User, hash: str, now: datetime) -> User:
    """`user` to whom a token with `hash` is mailed; the one mailed before is void."""
    return _with(user, verification_hash=hash, verification_until=now + VERIFICATION_LIFETIME)


def await_reset(user: User, hash: str, now: datetime) -> User:
    """The same for a forgotten password."""
    return _with(user, reset_hash=hash, reset_until=now + RESET_LIFETIME)


def verified(user: User, now: datetime) -> User:
    return _with(user, email_verified_at=user.email_verified_at or now, verification_hash=None, verification_until=None)


def with_password(user: User, hash: str) -> User:
    """`user` with another password: every session is over, and no mailed reset works any more."""
    return _with(user, password_hash=hash, generation=user.generation + 1, reset_hash=None, reset_until=None)


def joined(user: User, member: Member) -> User:
    """Raises Conflict where they are members of too much already."""
    place = (member.organization_id, member.project_id)
    others = tuple(each for each in user.places if each != place)
    if len(others) >= MAX_MEMBERSHIPS:
        raise Conflict(f"Nobody can be a member of more than {MAX_MEMBERSHIPS} organizations and projects.")
    return _with(user, places=(*others, place))


def left(user: User, member: Member) -> User:
    place = (member.organization_id, member.project_id)
    return _with(user, places=tuple(each for each in user.places if each != place))


def _with(user: User, **changes: object) -> User:
    return user.model_copy(update=changes)
