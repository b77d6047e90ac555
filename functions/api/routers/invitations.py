"""Invitations: who was asked to join, and has not answered yet."""

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, identity, table
from functions.api.auth import Caller
from functions.api.bodies import RecordId
from functions.api.dependencies import Id, grantor, may
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work
from functions.api.pages import Page, Paged
from functions.api.routers.members import RoleText
from shared.domain.invitation import PREFIX, Invitation, Wanted
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.user import EmailText

router = table.router("invitations")

Reader = Annotated[Caller, may(Permission.members_read)]
Editor = Annotated[Caller, may(Permission.members_write)]


class InvitationFields(BaseModel):
    """Who is to join, and as what."""

    model_config = ConfigDict(extra="forbid")

    email: EmailText
    role: RoleText
    project_id: RecordId | None = Field(None, description="null: the role counts in every project.")


class InvitationView(BaseModel):
    """An invitation. Its token is in the mail, and nowhere else."""

    id: str
    organization_id: str
    project_id: str | None
    email: str
    role: str
    created_by: str
    created_at: Instant
    expires_at: Instant
    sent_at: Instant | None

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationView":
        return cls(**invitation.model_dump(include=set(cls.model_fields)))


@router.post("", status_code=201, responses=responses(404, 409))
def create_invitation(body: InvitationFields, caller: Editor, once: OnlyOnce, response: Response) -> InvitationView:
    """Mail an invitation, good for seven days. Nobody gives more than their own."""
    by, belonging = grantor(caller), identity.belonging()

    def invite(work: Work) -> Invitation:
        return belonging.invite(by, Wanted(work.id(PREFIX), work.at, body.email, body.role, body.project_id))

    invitation = once.do(caller, body, lambda work: belonging.sent(by, work.id(PREFIX)), invite)
    response.headers["Location"] = f"{BASE}/invitations/{invitation.id}"
    return InvitationView.of(invitation)


@router.get("", responses=responses(400))
def list_invitations(caller: Reader, paged: Paged) -> Page[InvitationView]:
    """The invitations that nobody has accepted yet, newest first."""
    owner = caller.organization_id
    found = identity.belonging().invited(grantor(caller), limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, [InvitationView.of(each) for each in found.items], found.next)


@router.delete("/{invitation_id}", status_code=204, responses=responses(404, 409))
def revoke_invitation(invitation_id: Id, caller: Editor) -> None:
    """Take an invitation back: its token is good for nothing any more."""
    identity.belonging().uninvite(grantor(caller), invitation_id)
