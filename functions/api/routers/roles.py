"""Roles: what an API key may do. Five that every organization has, and those that it makes for itself."""

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, identity, table
from functions.api.auth import Caller
from functions.api.bodies import Patch
from functions.api.dependencies import Id, IfMatch, deadline, grantor, may
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work, undeleted
from functions.api.pages import Page, Paged
from shared.domain.record import Instant
from shared.domain.role import ALLOWED, BuiltIn, Permission, Role
from shared.domain.workflow import Name

router = table.router("roles")

Reader = Annotated[Caller, may(Permission.roles_read)]
Editor = Annotated[Caller, may(Permission.roles_write)]

BUILT_IN = list(BuiltIn)

Permissions = Annotated[tuple[Permission, ...], Field(max_length=len(Permission))]
Denied = Annotated[Permissions, Field(description="Forbidden, whatever another role allows.")]


class RoleFields(BaseModel):
    """What a user says of a role."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    allow: Permissions = ()
    deny: Denied = ()


class RolePatch(Patch):
    """What is to change; the rest stays."""

    name: Name = ""
    allow: Permissions = ()
    deny: Denied = ()


class RoleView(BaseModel):
    """A role. One that every organization has was made by nobody, and is called as its id."""

    id: str
    name: str
    built_in: bool
    allow: list[Permission]
    deny: list[Permission] = []
    created_by: str | None = None
    created_at: Instant | None = None

    @classmethod
    def of(cls, role: Role) -> "RoleView":
        return cls(built_in=False, **role.model_dump(include=set(cls.model_fields)))

    @classmethod
    def of_all(cls, role: BuiltIn) -> "RoleView":
        return cls(id=role, name=role, built_in=True, allow=sorted(ALLOWED[role]))


@router.post("", status_code=201, responses=responses(409))
def create_role(body: RoleFields, caller: Editor, once: OnlyOnce, response: Response) -> RoleView:
    """Define a role. It may allow no more than what its maker may do."""
    owner, roles = caller.organization_id, identity.roles()

    def define(work: Work) -> Role:
        role = Role(
            id=work.id("rol"),
            organization_id=owner,
            created_by=caller.id,
            created_at=work.at,
            **{**body.model_dump(), **_sorted(body)},
        )
        return identity.defining().define(grantor(caller), role)

    role = once.do(caller, body, lambda work: undeleted(roles, owner, work.id("rol")), define)
    response.headers["Location"] = f"{BASE}/roles/{role.id}"
    return RoleView.of(etags.stamp(response, role))


@router.get("", responses=responses(400))
def list_roles(caller: Reader, paged: Paged) -> Page[RoleView]:
    """The roles that every organization has, then its own, newest first."""
    owner, limit = caller.organization_id, paged.limit
    after = paged.after(owner)
    shown = BUILT_IN.index(BuiltIn(after)) + 1 if after in BUILT_IN else len(BUILT_IN) if after else 0
    first = BUILT_IN[shown : shown + limit]
    views = [RoleView.of_all(role) for role in first]
    if len(first) == limit:
        return paged.answer(owner, views, first[-1])
    own = identity.roles().list(owner, limit=limit - len(first), after=None if after in BUILT_IN else after)
    return paged.answer(owner, views + [RoleView.of(role) for role in own.items], own.next)


@router.get("/{role_id}", responses=responses(404))
def get_role(role_id: Id, caller: Reader, response: Response) -> RoleView:
    """One role."""
    if role_id in BUILT_IN:
        return RoleView.of_all(BuiltIn(role_id))
    return RoleView.of(etags.stamp(response, identity.roles().get(caller.organization_id, role_id)))


@router.patch("/{role_id}", responses=responses(404, 409, 412))
def update_role(role_id: Id, body: RolePatch, caller: Editor, response: Response, if_match: IfMatch = None) -> RoleView:
    """Change what the body names, for all who have the role: within a minute."""
    said = {**body.model_dump(exclude_unset=True), **_sorted(body)}
    role = identity.defining().change(grantor(caller), role_id, said, etags.guard(if_match))
    return RoleView.of(etags.stamp(response, role))


@router.delete("/{role_id}", status_code=204, responses=responses(404, 409, 412))
def delete_role(role_id: Id, caller: Editor, if_match: IfMatch = None) -> None:
    """Remove a role that no key and no member has."""
    identity.defining().delete(grantor(caller), role_id, etags.guard(if_match), deadline())


def _sorted(body: RoleFields | RolePatch) -> dict[str, tuple[Permission, ...]]:
    """The permissions that `body` names: each once, and always in the same order."""
    named = body.model_fields_set & {"allow", "deny"}
    return {field: tuple(sorted(set(getattr(body, field)))) for field in named}
