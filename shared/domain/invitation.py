"""An invitation: whoever reads the mail to that address may join, once, for a week."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from shared.domain.member import Member
from shared.domain.record import Instant, Stored
from shared.domain.token import PresentedToken
from shared.domain.user import EmailText

PREFIX = "inv"
LIFETIME = timedelta(days=7)


@dataclass(frozen=True)
class Wanted:
    """Who is to be invited, as what, to where; `id` and `at` are the same when the request comes again."""

    id: str
    at: datetime
    email: str
    role: str
    project: str | None


class Invitation(Stored):
    """Into an organization, or into one project of it."""

    id: str
    organization_id: str
    project_id: str | None = None
    email: EmailText
    role: str
    hash: str = Field(repr=False)
    created_by: str
    created_at: Instant
    expires_at: Instant
    sent_at: Instant | None = None
    accepted_at: Instant | None = None


def ends_at(made_at: datetime) -> datetime:
    """In whole seconds, as the table keeps it."""
    return made_at.replace(microsecond=0) + LIFETIME


def accept(invitation: Invitation, now: datetime) -> Invitation:
    return invitation.model_copy(update={"accepted_at": now})


def membership(invitation: Invitation, user_id: str, now: datetime) -> Member:
    """What the invited becomes."""
    return Member(
        organization_id=invitation.organization_id,
        project_id=invitation.project_id,
        user_id=user_id,
        role=invitation.role,
        created_by=invitation.created_by,
        created_at=now,
    )


def is_good(invitation: Invitation, token: PresentedToken, email: str) -> bool:
    """Does `token` open it, for whom it was meant, for the first time? One that is over is no longer stored."""
    is_it = hmac.compare_digest(token.hash, invitation.hash)
    return is_it and invitation.email == email and invitation.accepted_at is None
