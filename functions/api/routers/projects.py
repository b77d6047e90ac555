"""Projects: parts of an organization. What is in one, nobody sees from another."""

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
from shared import wiring
from shared.domain.project import Project, Retention
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.workflow import Name
from shared.services.founding import Contents

router = table.router("projects")

Reader = Annotated[Caller, may(Permission.projects_read)]
Editor = Annotated[Caller, may(Permission.projects_write)]

Days = Annotated[Retention, Field(description="How long runs and their payloads are kept; 0: for good.")]


class ProjectFields(BaseModel):
    """What a user says of a project."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    retention_days: Days = Retention.quarter


class ProjectPatch(Patch):
    """What is to change; the rest stays."""

    name: Name = ""
    retention_days: Days = Retention.quarter


class ProjectView(BaseModel):
    """A project."""

    id: str
    organization_id: str
    name: str
    retention_days: Retention
    created_at: Instant

    @classmethod
    def of(cls, project: Project) -> "ProjectView":
        return cls(id=project.id, **project.model_dump(include=set(cls.model_fields)))


@router.post("", status_code=201, responses=responses(409))
def create_project(body: ProjectFields, caller: Editor, once: OnlyOnce, response: Response) -> ProjectView:
    """Found a project. It takes an organization-wide key, which opens it at once."""
    owner, projects = caller.organization_id, wiring.projects()

    def found(work: Work) -> Project:
        id = work.id("prj")
        project = Project(project_id=id, organization_id=owner, created_at=work.at, **body.model_dump())
        return identity.founding().found(grantor(caller), project)

    project = once.do(caller, body, lambda work: undeleted(projects, owner, work.id("prj")), found)
    response.headers["Location"] = f"{BASE}/projects/{project.id}"
    return ProjectView.of(etags.stamp(response, project))


@router.get("", responses=responses(400))
def list_projects(caller: Reader, paged: Paged) -> Page[ProjectView]:
    """The projects that the caller's key opens, newest first."""
    owner = caller.organization_id
    found = identity.founding().list(grantor(caller), limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, [ProjectView.of(project) for project in found.items], found.next)


@router.get("/{project_id}", responses=responses(404))
def get_project(project_id: Id, caller: Reader, response: Response) -> ProjectView:
    """One project."""
    return ProjectView.of(etags.stamp(response, identity.founding().get(grantor(caller), project_id)))


@router.patch("/{project_id}", responses=responses(404, 412))
def update_project(
    project_id: Id, body: ProjectPatch, caller: Editor, response: Response, if_match: IfMatch = None
) -> ProjectView:
    """Change what the body names. Another retention counts for new runs, within a minute."""
    said = body.model_dump(exclude_unset=True)
    project = identity.founding().change(grantor(caller), project_id, said, etags.guard(if_match))
    return ProjectView.of(etags.stamp(response, project))


@router.delete("/{project_id}", status_code=204, responses=responses(404, 409, 412))
def delete_project(project_id: Id, caller: Editor, if_match: IfMatch = None) -> None:
    """Remove a project that holds no sources, workflows and schedules, and that no API key, member or invitation
    belongs to. An organization keeps one.

    Who was just let in to it may find it open for up to 60 seconds more; what they make there is lost.
    """
    things = (wiring.sources(), wiring.workflows(), wiring.schedules())
    people = (identity.members(), identity.invitations(), identity.service_accounts())
    contents = Contents(*things, identity.api_keys(), *people)
    identity.founding().close(grantor(caller), project_id, etags.guard(if_match), contents, deadline())
