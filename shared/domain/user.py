"""A person: an e-mail address that is theirs alone, a password, and what was sent to that address to prove it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.domain.member import Member
from shared.domain.record import Instant, Stored
from shared.domain.token import PresentedToken
from shared.domain.workflow import Name
from shared.errors import Conflict

PREFIX = "usr"
VERIFICATION_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(hours=1)
RESET_PAUSE = RESET_LIFETIME / 2
"""So long nobody is mailed another token, whoever asks for it. Since the last two are good, each is for its whole hour:
asking in somebody else's name takes nothing from them, and fills no mailbox."""
RESETS = ("reset_hash", "reset_until", "previous_reset_hash", "previous_reset_until")
"""All that is known of tokens that were mailed to set another password."""
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
    awaits_proof: bool = Field(False, description="Nobody logs in before it is proven that the address is theirs.")
    disabled_at: Instant | None = None
    created_at: Instant
    places: tuple[Place, ...] = ()
    unasked: tuple[str, ...] | None = Field(
        None, description="Organizations whose identity provider made them a member."
    )
    verification_hash: str | None = Field(None, repr=False)
    verification_until: Instant | None = None
    reset_hash: str | None = Field(None, repr=False)
    reset_until: Instant | None = None
    previous_reset_hash: str | None = Field(None, repr=False)
    previous_reset_until: Instant | None = None


def await_verification(user: User, hash: str, now: datetime) -> User:
    """`user` to whom a token with `hash` is mailed; the one mailed before is void."""
    return _with(user, verification_hash=hash, verification_until=now + VERIFICATION_LIFETIME)


def await_reset(user: User, hash: str, now: datetime) -> User:
    """`user` to whom a token with `hash` is mailed that sets another password; the one mailed before goes on."""
    return _with(
        user,
        reset_hash=hash,
        reset_until=now + RESET_LIFETIME,
        previous_reset_hash=user.reset_hash,
        previous_reset_until=user.reset_until,
    )


def never_mailed(user: User, before: User) -> User:
    """`user` with the tokens of `before`, since the one that came after them never left."""
    return _with(user, **{name: getattr(before, name) for name in RESETS})


def was_just_mailed(user: User, now: datetime) -> bool:
    """Have they got a token that sets another password, a moment ago?"""
    return user.reset_until is not None and now < user.reset_until - RESET_PAUSE


def may_reset(user: User, token: PresentedToken, now: datetime) -> bool:
    """Is `token` one of those that were mailed, and still good? None is while the account is disabled."""
    is_last = token.opens(user.reset_hash, user.reset_until, now)
    is_good = is_last or token.opens(user.previous_reset_hash, user.previous_reset_until, now)
    return is_good and user.disabled_at is None


def verified(user: User, now: datetime) -> User:
    return _with(
        user,
        email_verified_at=user.email_verified_at or now,
        awaits_proof=False,
        verification_hash=None,
        verification_until=None,
    )


def may_log_in(user: User) -> bool:
    return user.disabled_at is None and not user.awaits_proof


def with_password(user: User, hash: str) -> User:
    """`user` with another password: every session is over, and no mailed reset works any more."""
    return _with(user, password_hash=hash, generation=user.generation + 1, **dict.fromkeys(RESETS))


def disabled(user: User, now: datetime) -> User:
    """`user` whom nothing lets in: every session is over, for good, and so are mailed resets."""
    if user.disabled_at is not None:
        return user
    return _with(user, disabled_at=now, generation=user.generation + 1, **dict.fromkeys(RESETS))


def enabled(user: User) -> User:
    return _with(user, disabled_at=None)


def joined(user: User, member: Member) -> User:
    """`user` as a member of one place more. Raises Conflict where they are members of too much already."""
    place = (member.organization_id, member.project_id)
    others = tuple(each for each in user.places if each != place)
    if len(others) >= MAX_MEMBERSHIPS:
        raise Conflict(f"Nobody can be a member of more than {MAX_MEMBERSHIPS} organizations and projects.")
    unasked = {*(user.unasked or ())} - {member.organization_id}
    if member.role_by is not None and not any(organization == place[0] for organization, _ in user.places):
        unasked.add(member.organization_id)
    return _with(user, places=(*others, place), unasked=tuple(sorted(unasked)) or None)


def left(user: User, member: Member) -> User:
    place = (member.organization_id, member.project_id)
    places = tuple(each for each in user.places if each != place)
    unasked = tuple(each for each in user.unasked or () if each in {organization for organization, _ in places})
    return _with(user, places=places, unasked=unasked or None)


def confidants(user: User) -> list[str]:
    """The organizations that are told what `user` does with the account: those that they joined themselves. One that
    its own identity provider made them a member of may not even be known to them."""
    theirs = dict.fromkeys(organization for organization, _ in user.places)
    return [organization for organization in theirs if organization not in (user.unasked or ())]


def _with(user: User, **changes: object) -> User:
    return user.model_copy(update=changes)
