"""Workflows: flows of a source, imported, with settings of their own, in versions."""

from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, starting, table
from functions.api.auth import Caller
from functions.api.bodies import Patch, RecordId, RetryPatch, RunFields
from functions.api.dependencies import Id, IfMatch, Wait, author, connect, deadline, may
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work, undeleted
from functions.api.pages import Page, Paged
from functions.api.starting import RunQuery
from functions.api.views import RunView, VersionView, version_view
from shared import wiring
from shared.domain.role import Permission
from shared.domain.run import Run
from shared.domain.workflow import (
    DEFAULT_TIMEOUT_SECONDS,
    Name,
    ShortText,
    Timeout,
    Tweaks,
    Workflow,
    WorkflowSettings,
    WorkflowVersion,
)
from shared.services import importing, versioning
from shared.services.importing import Wish

router = table.router("workflows")

Reader = Annotated[Caller, may(Permission.workflows_read)]
Editor = Annotated[Caller, may(Permission.workflows_write)]
Starter = Annotated[Caller, may(Permission.runs_create)]
RunReader = Annotated[Caller, may(Permission.runs_read)]

FlowId = Annotated[str, Field(min_length=1, max_length=200, description="LangFlow's id of the flow.")]

VersionNumber = Annotated[int, Path(ge=1, le=99_999_999)]
Cascade = Annotated[bool, Query(description="Pause the schedules that use it first, instead of refusing.")]
Again = Annotated[bool, Query(description="Import it once more although there is a workflow of this flow.")]


class WorkflowFields(BaseModel):
    """A workflow made by hand."""

    model_config = ConfigDict(extra="forbid")

    source_id: RecordId
    flow_id: FlowId
    settings: WorkflowSettings


class WorkflowImport(BaseModel):
    """A flow to import. Name, description, tags and components follow from the flow, where they are not said."""

    model_config = ConfigDict(extra="forbid")

    source_id: RecordId
    flow_id: FlowId
    name: Name | None = None
    input_component: ShortText | None = None
    output_component: ShortText | None = None


class SettingsPatch(Patch):
    """Some of a workflow's settings. `tweaks` and `tags` are replaced as a whole; of `retry` only what is said."""

    name: Name = ""
    description: Annotated[str, Field(max_length=2000)] = ""
    input_component: ShortText | None = None
    output_component: ShortText | None = None
    timeout_seconds: Timeout = DEFAULT_TIMEOUT_SECONDS
    retry: RetryPatch = RetryPatch()
    tweaks: Tweaks = Field(default_factory=dict)
    tags: tuple[ShortText, ...] = Field((), max_length=50)


class WorkflowPatch(Patch):
    """What is to change; the rest stays."""

    settings: SettingsPatch = SettingsPatch()
    enabled: Annotated[bool, Field(strict=True)] = True


class RollbackFields(BaseModel):
    """Which version's settings are wanted back."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=99_999_999, strict=True)


class Rollback(BaseModel):
    """What a rollback did. `{field: [before, after]}` in both tables of differences."""

    workflow: Workflow
    definition_restored: bool = Field(False, description="The flow itself is LangFlow's: it runs as it is there now.")
    changes: dict[str, list[Any]] = Field(description="What it changed in the settings.")
    differences: dict[str, list[Any]] = Field(description="What still differs from that version: the flow, if edited.")


@router.post("", status_code=201)
def create_workflow(body: WorkflowFields, caller: Editor, once: OnlyOnce, response: Response) -> Workflow:
    """Make a workflow by hand, without asking the source about the flow."""
    project, workflows = caller.project_id, wiring.workflows()

    def create(work: Work) -> Workflow:
        return importing.create(
            author(caller, work.at),
            work.id("wf"),
            body.source_id,
            body.flow_id,
            body.settings,
            sources=wiring.sources(),
            workflows=workflows,
        )

    workflow = once.do(caller, body, lambda work: undeleted(workflows, project, work.id("wf")), create)
    return _made(workflow, response)


@router.post("/import", status_code=201, responses=responses(409, 502))
def import_workflow(
    body: WorkflowImport, caller: Editor, once: OnlyOnce, response: Response, again: Again = False
) -> Workflow:
    """Make a workflow of a flow as its source has it now. Secrets in its definition are not kept."""
    project, workflows, until = caller.project_id, wiring.workflows(), deadline()

    def import_(work: Work) -> Workflow:
        return importing.import_flow(
            author(caller, work.at),
            work.id("wf"),
            Wish(**body.model_dump(), again=again),
            until,
            connect=connect(caller, until),
            sources=wiring.sources(),
            workflows=workflows,
            bucket=wiring.payloads(),
        )

    workflow = once.do(caller, body, lambda work: undeleted(workflows, project, work.id("wf")), import_)
    return _made(workflow, response)


@router.get("", responses=responses(400))
def list_workflows(caller: Reader, paged: Paged) -> Page[Workflow]:
    """The workflows of the project, newest first."""
    project = caller.project_id
    return paged.slice(project, wiring.workflows().list(project, limit=paged.limit, after=paged.after(project)))


@router.get("/{workflow_id}", responses=responses(404))
def get_workflow(workflow_id: Id, caller: Reader, response: Response) -> Workflow:
    """One workflow, with the inputs and outputs that its flow was found to have."""
    return etags.stamp(response, wiring.workflows().get(caller.project_id, workflow_id))


@router.patch("/{workflow_id}", responses=responses(404, 409, 412))
def update_workflow(
    workflow_id: Id, body: WorkflowPatch, caller: Editor, response: Response, if_match: IfMatch = None
) -> Workflow:
    """Change what the body names. New settings are a new version."""
    workflow = versioning.edit(
        author(caller, wiring.now()),
        workflow_id,
        body.settings.model_dump(exclude_unset=True),
        body.enabled if "enabled" in body.model_fields_set else None,
        etags.guard(if_match),
        sources=wiring.sources(),
        workflows=wiring.workflows(),
    )
    return etags.stamp(response, workflow)


@router.delete("/{workflow_id}", status_code=204, responses=responses(404, 409, 412))
def delete_workflow(workflow_id: Id, caller: Editor, if_match: IfMatch = None, cascade: Cascade = False) -> None:
    """Remove a workflow that has no unfinished runs. The finished ones stay, as history.

    While schedules use it, it takes `cascade`; they stay, paused, and what they have made ahead will not start.
    """
    importing.delete(
        author(caller, wiring.now()),
        workflow_id,
        etags.guard(if_match),
        deadline(),
        cascade=cascade,
        workflows=wiring.workflows(),
        runs=wiring.runs(),
        scheduling=wiring.scheduling(),
    )


@router.post("/{workflow_id}/sync", responses=responses(404, 409, 502))
def sync_workflow(workflow_id: Id, caller: Editor, response: Response) -> Workflow:
    """Fetch the flow again from its source. If it changed, that is a new version."""
    workflow = importing.sync(
        author(caller, wiring.now()),
        workflow_id,
        connect=connect(caller, deadline()),
        sources=wiring.sources(),
        workflows=wiring.workflows(),
        bucket=wiring.payloads(),
    )
    return etags.stamp(response, workflow)


@router.get("/{workflow_id}/versions", responses=responses(400, 404))
def list_workflow_versions(workflow_id: Id, caller: Reader, paged: Paged) -> Page[WorkflowVersion]:
    """The versions of a workflow, newest first."""
    project, workflows = caller.project_id, wiring.workflows()
    workflows.get(project, workflow_id)
    before = paged.after(project)
    found = workflows.versions(project, workflow_id, limit=paged.limit, before=int(before) if before else None)
    return paged.slice(project, found)


@router.get("/{workflow_id}/versions/{number}", responses=responses(404))
def get_workflow_version(workflow_id: Id, number: VersionNumber, caller: Reader) -> VersionView:
    """One version, with a link to the flow's definition as it was then."""
    version = wiring.workflows().get_version(caller.project_id, workflow_id, number)
    return version_view(version, wiring.payloads())


@router.post("/{workflow_id}/rollback", responses=responses(404))
def rollback_workflow(workflow_id: Id, body: RollbackFields, caller: Editor, response: Response) -> Rollback:
    """Bring the settings of an earlier version back, as a new version. The flow itself stays as its source has it."""
    by = author(caller, wiring.now())
    done = versioning.rollback(by, workflow_id, body.version, workflows=wiring.workflows())
    etags.stamp(response, done.workflow)
    return Rollback(workflow=done.workflow, changes=done.changes, differences=done.differences)


@router.post("/{workflow_id}/runs", status_code=202, responses={**starting.ENDED, **responses(404, 409)})
def create_workflow_run(
    workflow_id: Id, body: RunFields, caller: Starter, once: OnlyOnce, response: Response, wait: Wait = 0
) -> RunView:
    """Run a workflow."""
    return starting.start(workflow_id, body, wait, caller, once, response)


@router.get("/{workflow_id}/runs", responses=responses(400, 404))
def list_workflow_runs(workflow_id: Id, caller: RunReader, paged: Paged, wanted: RunQuery) -> Page[Run]:
    """The runs of a workflow, newest first."""
    project = caller.project_id
    wiring.workflows().get(project, workflow_id)
    found = wiring.runs().list(project, wanted.of(workflow_id), limit=paged.limit, after=paged.after(project))
    return paged.slice(project, found)


def _made(workflow: Workflow, response: Response) -> Workflow:
    response.headers["Location"] = f"{BASE}/workflows/{workflow.id}"
    return etags.stamp(response, workflow)
