"""Who may do what: permissions, the roles that bundle them, and how several of them add up. The one table of it.

A role says what it allows and, a custom one, what it denies. Somebody may have several: one in the organization, one in
the project. All that any of them allows is allowed, unless one of them denies it: deny wins.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from shared.domain.record import Instant, Stored
from shared.domain.workflow import Name


class Permission(StrEnum):
    """`noun:verb`, as the endpoints declare them."""

    organization_read = "organization:read"
    organization_write = "organization:write"
    projects_read = "projects:read"
    projects_write = "projects:write"
    roles_read = "roles:read"
    roles_write = "roles:write"
    members_read = "members:read"
    members_write = "members:write"
    """Invite, change the role of, remove."""
    identity_providers_read = "identity_providers:read"
    identity_providers_write = "identity_providers:write"
    """Who vouches for whom, and what that makes of them."""
    keys_read = "keys:read"
    keys_write = "keys:write"
    audit_read = "audit:read"
    sources_read = "sources:read"
    sources_write = "sources:write"
    workflows_read = "workflows:read"
    workflows_write = "workflows:write"
    schedules_read = "schedules:read"
    schedules_write = "schedules:write"
    schedules_operate = "schedules:operate"
    """Pause, resume, trigger, backfill."""
    runs_read = "runs:read"
    runs_create = "runs:create"
    """Start, also again."""
    runs_cancel = "runs:cancel"
    dead_letters_read = "dead_letters:read"
    dead_letters_redrive = "dead_letters:redrive"


class BuiltIn(StrEnum):
    """The roles that every organization has. Each may do what the one before it may, and more."""

    viewer = "viewer"
    operator = "operator"
    editor = "editor"
    admin = "admin"
    owner = "owner"


P = Permission
_VIEWER = frozenset(
    {
        P.organization_read,
        P.projects_read,
        P.roles_read,
        P.sources_read,
        P.workflows_read,
        P.schedules_read,
        P.runs_read,
        P.dead_letters_read,
    }
)
_OPERATOR = _VIEWER | {P.runs_create, P.runs_cancel, P.schedules_operate, P.dead_letters_redrive}
_EDITOR = _OPERATOR | {P.sources_write, P.workflows_write, P.schedules_write}
_ADMIN = _EDITOR | {
    P.projects_write,
    P.roles_write,
    P.members_read,
    P.members_write,
    P.identity_providers_read,
    P.keys_read,
    P.keys_write,
    P.audit_read,
}

ALLOWED: dict[BuiltIn, frozenset[Permission]] = {
    BuiltIn.viewer: _VIEWER,
    BuiltIn.operator: _OPERATOR,
    BuiltIn.editor: _EDITOR,
    BuiltIn.admin: _ADMIN,
    BuiltIn.owner: frozenset(Permission),
}


class Role(Stored):
    """A role that an organization made for itself."""

    id: str
    organization_id: str
    name: Name
    allow: tuple[Permission, ...] = Field((), max_length=len(Permission))
    deny: tuple[Permission, ...] = Field((), max_length=len(Permission), description="Whatever another role allows.")
    created_by: str
    created_at: Instant


@dataclass(frozen=True)
class Grant:
    """What one role says."""

    allow: frozenset[Permission]
    deny: frozenset[Permission] = frozenset()


NOTHING = Grant(frozenset())


def built_in(role: BuiltIn) -> Grant:
    return Grant(ALLOWED[role])


def custom(role: Role) -> Grant:
    return Grant(frozenset(role.allow), frozenset(role.deny))


def permissions(grants: Iterable[Grant]) -> frozenset[Permission]:
    """What somebody may do who has all of `grants`."""
    allowed, denied = set[Permission](), set[Permission]()
    for grant in grants:
        allowed |= grant.allow
        denied |= grant.deny
    return frozenset(allowed - denied)


def touched(before: Role | None, after: Role | None) -> frozenset[Permission]:
    """What a change from `before` to `after` is about: all that is allowed, and each denial that begins or ends for
    those who have the role. One that is new denies nobody anything yet."""
    allowed = {permission for role in (before, after) if role for permission in role.allow}
    denied = set(before.deny) ^ set(after.deny if after else ()) if before else set[Permission]()
    return frozenset(allowed | denied)


def missing(grant: Grant, mine: frozenset[Permission]) -> list[Permission]:
    """What `grant` would give that I do not have, or deny: nobody hands out more than their own, nor lays on or lifts
    a denial of what is not theirs."""
    return sorted((grant.allow | grant.deny) - mine)
