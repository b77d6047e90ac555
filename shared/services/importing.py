"""Importing: a flow of a source becomes a workflow, is refreshed from there, and can be deleted again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.domain import flow as flow_rules
from shared.domain.flow import Component, FlowMetadata
from shared.domain.run import Origin, RunStatus
from shared.domain.source import Source
from shared.domain.workflow import (
    MAX_COMPONENTS,
    FlowFacts,
    VersionReason,
    Workflow,
    WorkflowSettings,
    require_time,
    revise,
)
from shared.errors import AlreadyImported, Conflict, FlowFailure, InUse, Invalid, NotFound, Unavailable
from shared.payloads import Payloads, definition_key
from shared.services import versioning
from shared.services.connecting import Connect, known, users
from shared.services.deadline import Deadline
from shared.services.versioning import Author, Decision, Guard
from shared.store.records import MAX_SCANNED
from shared.store.runs import RunFilter, RunStore
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore

if TYPE_CHECKING:  # which only a delete needs
    from shared.domain.schedule import Schedule
    from shared.services.scheduling import Scheduling

ROUNDS = 5  # how often a delete is tried again after somebody else was faster
PAGE = 100
MAX_NAMED = 20  # users that a refused delete names
WORKFLOW_DELETED = "Its workflow was deleted."


@dataclass(frozen=True)
class Wish:
    """A flow to import. What is None follows from the flow."""

    source_id: str
    flow_id: str
    name: str | None = None
    input_component: str | None = None
    output_component: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Fetched:
    """A flow as its source has it now, without its secrets."""

    definition: dict[str, Any]
    metadata: FlowMetadata
    facts: FlowFacts


def create(
    author: Author,
    id: str,
    source_id: str,
    flow_id: str,
    settings: WorkflowSettings,
    *,
    sources: SourceStore,
    workflows: WorkflowStore,
) -> Workflow:
    """A workflow for a flow that nobody looks at: for sources that are not up yet.

    Raises:
        Invalid: no such source, or a timeout that it cannot keep.
    """
    source = _source(author.project, source_id, sources)
    require_time(source, settings.timeout_seconds, "/settings/timeout_seconds")
    workflow = _new(author, id, source, flow_id, settings)
    return versioning.begin(author, workflow, VersionReason.created, workflows)


def import_flow(
    author: Author,
    id: str,
    wish: Wish,
    deadline: Deadline,
    *,
    connect: Connect,
    sources: SourceStore,
    workflows: WorkflowStore,
    bucket: Payloads,
) -> Workflow:
    """A workflow for a flow as its source has it now.

    Raises:
        Invalid: no such source, flow or component.
        AlreadyImported: there is a workflow of this flow, and `again` is off.
        FlowFailure: the source could not be asked.
        OutOfTime.
    """
    source = _source(author.project, wish.source_id, sources)
    if not wish.again:
        _require_new(source, wish.flow_id, workflows, deadline)
    source = known(source, author.now, connect=connect, sources=sources)
    fetched = _fetch(source, wish.flow_id, connect)
    workflow = _new(author, id, source, wish.flow_id, _settings(wish, fetched))
    imported = workflow.model_copy(update={"facts": fetched.facts, "synced_at": author.now})
    _keep(author.project, fetched, bucket)
    return versioning.begin(author, imported, VersionReason.imported, workflows)


def sync(
    author: Author, id: str, *, connect: Connect, sources: SourceStore, workflows: WorkflowStore, bucket: Payloads
) -> Workflow:
    """The workflow with the flow as its source has it now; a new version if the flow changed.

    Raises:
        NotFound: no such workflow.
        Conflict: its source is gone.
        FlowFailure: the source could not be asked, or has no such flow any more.
    """
    workflow = workflows.get(author.project, id)
    try:
        source = sources.get(author.project, workflow.source_id)
    except NotFound as error:
        raise Conflict(f"Source {workflow.source_id} of workflow {id} is gone.") from error
    source = known(source, author.now, connect=connect, sources=sources)
    return refresh(author, workflow, source, connect=connect, workflows=workflows, bucket=bucket)


def refresh(
    author: Author, workflow: Workflow, source: Source, *, connect: Connect, workflows: WorkflowStore, bucket: Payloads
) -> Workflow:
    """`sync` of a workflow whose source was read before."""
    fetched = _read(connect(source).get_flow(workflow.flow_id))
    if fetched.facts.definition_hash != workflow.facts.definition_hash:
        _keep(author.project, fetched, bucket)

    def decide(current: Workflow) -> Decision:
        seen = {"synced_at": author.now}
        if fetched.facts == current.facts:
            return current.model_copy(update=seen), None
        after = revise(current, author.now, facts=fetched.facts).model_copy(update=seen)
        return after, versioning.version(after, VersionReason.synced, author.by)

    return versioning.change(author, workflow.id, decide, workflows)


def delete(
    author: Author,
    id: str,
    guard: Guard,
    deadline: Deadline,
    *,
    cascade: bool,
    workflows: WorkflowStore,
    runs: RunStore,
    scheduling: "Scheduling",
) -> None:
    """Remove a workflow. Its finished runs stay, as history. With `cascade` its schedules are paused first.

    Raises:
        NotFound; whatever `guard` raises; OutOfTime.
        InUse: it has unfinished runs; or schedules would lose it, and `cascade` is off.
    """
    for _ in range(ROUNDS):
        current = workflows.get(author.project, id)
        guard(current)
        _release(author, current, cascade, scheduling, deadline)
        if unfinished := _unfinished(current, runs, cascade):
            raise InUse(f"Workflow {id} has unfinished runs. Wait for them or cancel them.", unfinished[:MAX_NAMED])
        try:
            return workflows.delete(current, author.does("workflow.deleted"))
        except Conflict:
            continue
    raise Unavailable("The workflow keeps changing. Try again.")


def _new(author: Author, id: str, source: Source, flow_id: str, settings: WorkflowSettings) -> Workflow:
    return Workflow(
        id=id,
        project_id=author.project,
        source_id=source.id,
        flow_id=flow_id,
        settings=settings,
        created_at=author.now,
        updated_at=author.now,
    )


def _source(project: str, id: str, sources: SourceStore) -> Source:
    try:
        return sources.get(project, id)
    except NotFound as error:
        raise Invalid(str(error), "/source_id") from error


def _require_new(source: Source, flow_id: str, workflows: WorkflowStore, deadline: Deadline) -> None:
    for workflow in users(source, workflows, deadline):
        if workflow.flow_id == flow_id:
            raise AlreadyImported(
                f"Flow {flow_id} is workflow {workflow.id} already: sync that one, or add ?again=true.", workflow.id
            )


def _fetch(source: Source, flow_id: str, connect: Connect) -> Fetched:
    try:
        fetched = _read(connect(source).get_flow(flow_id))
    except FlowFailure as error:
        if error.code == "flow_not_found":
            raise Invalid(f"Source {source.id} has no flow {flow_id!r}.", "/flow_id") from error
        raise
    if fetched.metadata.is_component:
        raise Invalid(f"{flow_id!r} is a component, not a flow.", "/flow_id")
    return fetched


def _read(definition: dict[str, Any]) -> Fetched:
    metadata = flow_rules.metadata(definition)
    facts = FlowFacts(
        flow_name=metadata.name,
        icon=metadata.icon,
        icon_bg_color=metadata.icon_bg_color,
        folder_id=metadata.folder_id,
        definition_hash=flow_rules.digest(definition),
        inputs=tuple(flow_rules.inputs(definition)[:MAX_COMPONENTS]),
        outputs=tuple(flow_rules.outputs(definition)[:MAX_COMPONENTS]),
    )
    return Fetched(flow_rules.scrub(definition), metadata, facts)


def _keep(project: str, fetched: Fetched, bucket: Payloads) -> None:
    """Store the definition under its hash. `lfx serve` shows none: then there is nothing to keep."""
    if fetched.facts.definition_hash is not None:
        bucket.put_json(definition_key(project, fetched.facts.definition_hash), fetched.definition)


def _settings(wish: Wish, fetched: Fetched) -> WorkflowSettings:
    facts, metadata = fetched.facts, fetched.metadata
    return WorkflowSettings(
        name=wish.name or metadata.name or wish.flow_id,
        description=metadata.description,
        tags=metadata.tags,
        input_component=_chosen(wish.input_component, facts.inputs, "input") or _input(facts.inputs),
        output_component=_chosen(wish.output_component, facts.outputs, "output") or _output(facts.outputs),
    )


def _chosen(wanted: str | None, found: Sequence[Component], role: str) -> str | None:
    ids = [component.id for component in found]
    if wanted is not None and ids and wanted not in ids:
        raise Invalid(f"The flow has no {role} {wanted!r}, but {', '.join(ids)}.", f"/{role}_component")
    return wanted


def _input(found: Sequence[Component]) -> str | None:
    """LangFlow gives the input to the chat input by itself; where there is none, the only other one is meant."""
    return found[0].id if len(found) == 1 and found[0].type != "ChatInput" else None


def _output(found: Sequence[Component]) -> str | None:
    """Of several outputs the chat's counts."""
    chats = [component.id for component in found if component.type == "ChatOutput"]
    return chats[0] if len(found) > 1 and len(chats) == 1 else None


def _release(author: Author, workflow: Workflow, cascade: bool, scheduling: "Scheduling", deadline: Deadline) -> None:
    """No index leads from a workflow to its schedules, so all of the project's are looked at."""
    schedules = deadline.all_of(lambda after: scheduling.schedules.list(author.project, limit=PAGE, after=after))
    using = (schedule for schedule in schedules if schedule.workflow_id == workflow.id)
    if cascade:
        for schedule in using:
            deadline.require()
            with suppress(NotFound):  # it was deleted meanwhile
                scheduling.pause(author, schedule.id, WORKFLOW_DELETED, _any)
        return
    if ids := [schedule.id for schedule in islice(using, MAX_NAMED)]:
        raise InUse(f"Workflow {workflow.id} is used by schedules. ?cascade=true pauses them.", ids)


def _unfinished(workflow: Workflow, runs: RunStore, cascade: bool) -> list[str]:
    """Ids of runs that would lose `workflow`. With `cascade` not those that their schedule, now paused, calls off."""
    filters = [RunFilter(workflow_id=workflow.id, status=status) for status in (RunStatus.pending, RunStatus.running)]
    found = [run for filter in filters for run in runs.list(workflow.project_id, filter, limit=MAX_SCANNED).items]
    return [run.id for run in found if not (cascade and run.origin is Origin.schedule and run.awaits_schedule)]


def _any(schedule: "Schedule") -> None:
    """Whatever it has become, it is meant."""
