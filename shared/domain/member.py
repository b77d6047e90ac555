"""Who belongs to an organization, and as what: in all of it, or in one of its projects."""

from collections.abc import Iterable

from shared.domain.record import Instant, Stored
from shared.domain.role import BuiltIn
from shared.errors import Conflict


class Member(Stored):
    """A role of a user. `project_id` is None where it counts in the whole organization."""

    organization_id: str
    user_id: str
    project_id: str | None = None
    role: str
    created_by: str
    created_at: Instant
    role_by: str | None = None
    """The identity provider that gave the role, and takes it; None: somebody did, by hand."""

    @property
    def id(self) -> str:
        return member_id(self.user_id, self.project_id)

    @property
    def is_owner(self) -> bool:
        """Of the organization."""
        return self.project_id is None and self.role == BuiltIn.owner


class Owners(Stored):
    """The owners of an organization once more, in one item: no two of them can remove each other at the same time."""

    organization_id: str
    user_ids: tuple[str, ...] = ()


def member_id(user_id: str, project_id: str | None) -> str:
    return f"{user_id}#{project_id}" if project_id else user_id


def roles_in(members: Iterable[Member], organization: str, project: str | None) -> list[str]:
    """The roles that count in `project` of `organization`; for None, those that count in all of it."""
    return [
        member.role
        for member in members
        if member.organization_id == organization and member.project_id in (None, project)
    ]


def owners_after(owners: Owners, before: Member | None, after: Member | None) -> Owners:
    """`owners` when a membership changes.

    Raises:
        Conflict: nobody would be left.
    """
    ids = set(owners.user_ids)
    if before is not None and before.is_owner:
        ids.discard(before.user_id)
    if after is not None and after.is_owner:
        ids.add(after.user_id)
    if not ids:
        raise Conflict("This is the last owner of the organization. Make somebody else an owner first.")
    return owners.model_copy(update={"user_ids": tuple(sorted(ids))})
