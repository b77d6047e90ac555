"""Founding projects, changing them and closing them; and what an organization is called."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.domain.organization import DEFAULT_ORGANIZATION, Organization
from shared.domain.project import DEFAULT_PROJECT, Project
from shared.errors import Conflict, InUse, NotFound, Unavailable
from shared.services.deadline import Deadline
from shared.services.granting import Grantor
from shared.store.api_keys import ApiKeyStore
from shared.store.invitations import InvitationStore
from shared.store.members import MemberStore
from shared.store.organizations import OrganizationStore
from shared.store.projects import ProjectStore
from shared.store.records import Slice
from shared.store.service_accounts import ServiceAccountStore
from shared.store.sources import SourceStore
from shared.store.table import Change
from shared.store.workflows import WorkflowStore

if TYPE_CHECKING:  # how schedules recur takes long to import, and only closing looks for them
    from shared.store.schedules import ScheduleStore

ROUNDS = 5
PAGE = 100
MAX_NAMED = 20  # of what is left, that a refused close names


@dataclass(frozen=True)
class Contents:
    """What a project may hold."""

    sources: SourceStore
    workflows: WorkflowStore
    schedules: "ScheduleStore"
    keys: ApiKeyStore
    members: MemberStore
    invitations: InvitationStore
    accounts: ServiceAccountStore

    def of(self, project: Project, deadline: Deadline) -> Iterator[str]:
        """The ids of all there is, runs left aside: they end by themselves."""
        for store in (self.schedules, self.workflows, self.sources):
            yield from (record.id for record in store.list(project.id, limit=MAX_NAMED).items)
        owner = project.organization_id
        keys = deadline.all_of(lambda after: self.keys.list(owner, limit=PAGE, after=after))
        yield from (key.id for key in keys if key.project_id == project.id)
        members = deadline.all_of(lambda after: self.members.list(owner, limit=PAGE, after=after))
        yield from (member.user_id for member in members if member.project_id == project.id)
        sent = deadline.all_of(lambda after: self.invitations.list(owner, limit=PAGE, after=after))
        yield from (each.id for each in sent if each.project_id == project.id and each.accepted_at is None)
        accounts = deadline.all_of(lambda after: self.accounts.list(owner, limit=PAGE, after=after))
        yield from (account.id for account in accounts if account.project_id == project.id)


@dataclass(frozen=True)
class Founding:
    projects: ProjectStore
    organizations: OrganizationStore

    def found(self, by: Grantor, project: Project) -> Project:
        """Store `project`, a new one. Raises Forbidden."""
        by.require_organization_wide("A new project")
        return self.projects.save(None, project, by.does("project.created"))

    def get(self, by: Grantor, id: str) -> Project:
        """Raises NotFound where they have no such project."""
        if by.project not in (None, id):
            raise NotFound(self.projects.noun, id, self.projects.where)
        return self.projects.get(by.organization, id)

    def list(self, by: Grantor, *, limit: int, after: str | None) -> Slice[Project]:
        """The projects they open, newest first."""
        if by.project is not None:
            return Slice([self.get(by, by.project)], None)
        return self.projects.list(by.organization, limit=limit, after=after)

    def change(self, by: Grantor, id: str, fields: dict[str, Any], guard: Callable[[Project], None]) -> Project:
        """The project with these `fields` changed. Another retention counts for new runs, within a minute.

        Raises:
            NotFound; whatever `guard` raises.
        """
        for _ in range(ROUNDS):
            current = self.get(by, id)
            guard(current)
            try:
                return self.projects.save(current, current.model_copy(update=fields), by.does("project.updated"))
            except Conflict:
                continue
        raise Unavailable("The project keeps changing. Try again.")

    def close(
        self, by: Grantor, id: str, guard: Callable[[Project], None], contents: Contents, deadline: Deadline
    ) -> None:
        """Remove an empty project. Its runs go when their time is over.

        Something made in it at this very moment is left behind, out of reach; a schedule among it is paused.

        Raises:
            NotFound; Forbidden; whatever `guard` raises; OutOfTime.
            Conflict: it is the one that every deployment has, or the only one of its organization.
            InUse: there is something in it.
        """
        by.require_organization_wide("Which projects there are")
        for _ in range(ROUNDS):
            current = self.get(by, id)
            guard(current)
            _require_empty(current, contents, deadline)
            others = self._leave_one(current, deadline)
            try:
                return self.projects.delete(current, by.does("project.deleted"), others)
            except Conflict:
                continue
        raise Unavailable("The project keeps changing. Try again.")

    def _leave_one(self, project: Project, deadline: Deadline) -> Sequence[Change]:
        """What to store along, so that of those who remove two projects at the same time the second looks again.

        Without any project nobody is let in any more, not even to make one. The default organization keeps its own.

        Raises:
            Conflict: it is the last one.
        """
        owner = project.organization_id
        if owner == DEFAULT_ORGANIZATION:
            return []
        organization = self.organizations.get(owner)
        listed = deadline.all_of(lambda after: self.projects.list(owner, limit=PAGE, after=after))
        others = [(owner, other.id) for other in listed if other.id != project.id]
        if not self.projects.readable(others, consistent=True):  # lists may name what is just gone
            raise Conflict("It is the only project of the organization, which needs one: make another first.")
        return [self.organizations.change(organization, organization)]

    def rename(self, by: Grantor, fields: dict[str, Any], guard: Callable[[Organization], None]) -> Organization:
        """Their organization with these `fields` changed.

        Raises:
            Forbidden; whatever `guard` raises.
        """
        by.require_organization_wide("What it is called")
        for _ in range(ROUNDS):
            current = self.organizations.get(by.organization)
            guard(current)
            try:
                act = by.does("organization.updated")
                return self.organizations.save(current, current.model_copy(update=fields), act)
            except Conflict:
                continue
        raise Unavailable("The organization keeps changing. Try again.")


def _require_empty(project: Project, contents: Contents, deadline: Deadline) -> None:
    if project.id == DEFAULT_PROJECT:
        raise Conflict("The default project stays: every deployment has it.")
    if ids := list(islice(contents.of(project, deadline), MAX_NAMED)):
        raise InUse(
            f"Project {project.id} is not empty. Delete what is in it and its service accounts; revoke "
            "its API keys, take back its invitations, and end its memberships.",
            ids,
        )
