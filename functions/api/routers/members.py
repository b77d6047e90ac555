"""Members: the people of an organization, and of its projects."""

from enum import StrEnum
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import etags, identity, table
from functions.api.auth import Caller
from functions.api.dependencies import Id, IfMatch, deadline, grantor, may
from functions.api.errors import responses
from functions.api.pages import Page, Paged
from shared.domain.member import Member
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.user import User

router = table.router("members")

Reader = Annotated[Caller, may(Permission.members_read)]
Editor = Annotated[Caller, may(Permission.members_write)]

RoleText = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$", description="A role that every organization has, or the id of one of its own."
    ),
]
OfProject = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The membership in this project, not that in all of them."),
]


class Keys(StrEnum):
    """What becomes of the API keys that somebody made who is removed."""

    keep = "keep"
    revoke = "revoke"


TheirKeys = Annotated[
    Keys,
    Query(description="The API keys that they made, of the organization or of the project: `revoke` takes keys:write."),
]


class MemberPatch(BaseModel):
    """The role they are to have."""

    model_config = ConfigDict(extra="forbid")

    role: RoleText


class MemberView(BaseModel):
    """A person, and their role in the organization or in one project of it."""

    user_id: str
    email: str | None
    name: str | None
    organization_id: str
    project_id: str | None = Field(description="null: the role counts in every project.")
    role: str
    created_by: str
    created_at: Instant

    @classmethod
    def of(cls, member: Member, user: User | None) -> "MemberView":
        fields = member.model_dump(include=set(cls.model_fields))
        return cls(**fields, email=user.email if user else None, name=user.name if user else None)


@router.get("", responses=responses(400))
def list_members(caller: Reader, paged: Paged) -> Page[MemberView]:
    """The people of the organization; for whoever has one project only, those of that project alone."""
    owner = caller.organization_id
    found = identity.belonging().list(grantor(caller), limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, [MemberView.of(*each) for each in found.items], found.next)


@router.get("/{user_id}", responses=responses(404))
def get_member(user_id: Id, caller: Reader, response: Response, project_id: OfProject = None) -> MemberView:
    """One person, with their role."""
    return _view(response, identity.belonging().get(grantor(caller), user_id, project_id))


@router.patch("/{user_id}", responses=responses(404, 409, 412))
def update_member(
    user_id: Id,
    body: MemberPatch,
    caller: Editor,
    response: Response,
    if_match: IfMatch = None,
    project_id: OfProject = None,
) -> MemberView:
    """Give a member another role. It counts within a minute. The last owner stays one."""
    guard = etags.guard(if_match)
    return _view(response, identity.belonging().change(grantor(caller), user_id, project_id, body.role, guard))


@router.delete("/{user_id}", status_code=204, responses=responses(404, 409, 412))
def remove_member(
    user_id: Id,
    caller: Editor,
    if_match: IfMatch = None,
    project_id: OfProject = None,
    keys: TheirKeys = Keys.keep,
) -> None:
    """End a membership. It counts within a minute. The last owner stays. What was interrupted goes on when it is sent
    again.
    """
    by, guard = grantor(caller), etags.guard(if_match)
    if keys is Keys.keep:
        return identity.belonging().remove(by, user_id, project_id, guard)
    caller.require(Permission.keys_write)
    return identity.parting().part(by, user_id, project_id, guard, deadline())


def _view(response: Response, member: Member) -> MemberView:
    user = identity.users().get_many([member.user_id]).get(member.user_id)
    return MemberView.of(etags.stamp(response, member), user)
