"""Changing workflows. Every change of settings or flow is a version.

The version is written first, then the workflow. After a crash between the two, or when two callers are at it, whoever
comes next puts the stored version into force before adding its own: a number has one version, and none is lost.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.act import Act
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.workflow import (
    VersionReason,
    Workflow,
    WorkflowSettings,
    WorkflowVersion,
    adopt,
    differences,
    require_time,
    revise,
    version_of,
)
from shared.errors import Conflict, Invalid, NotFound, Unavailable
from shared.payloads import definition_key
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore

ROUNDS = 5  # how often a change is tried again after somebody else was faster

Guard = Callable[[Workflow], None]
"""Raises when the workflow is not the one that the caller wants to change."""

Decision = tuple[Workflow, WorkflowVersion | None]
"""The workflow as it should be, and the version that says so; None when neither settings nor flow change."""


@dataclass(frozen=True)
class Author:
    """Who changes something, in which project, when; and for whom and from where, as the audit log says it.

    Args:
        in_bulk: what they do is one entry as a whole, which is there already.
    """

    project: str
    by: str
    now: datetime
    organization: str = DEFAULT_ORGANIZATION
    address: str | None = None
    correlation_id: str | None = None
    in_bulk: bool = False

    def does(self, action: str, **detail: str | int) -> Act | None:
        """What the store is told along with the change, for the audit log: `author.does("source.updated")`."""
        if self.in_bulk:
            return None
        return Act(action, self.by, self.organization, self.now, self.address, self.correlation_id, detail or None)


@dataclass(frozen=True)
class RolledBack:
    """What a rollback came to.

    Args:
        changes: what it changed in the settings.
        differences: what is still different from the version asked for: the flow, if it was edited since.
    """

    workflow: Workflow
    changes: dict[str, list[Any]]
    differences: dict[str, list[Any]]


def begin(author: Author, workflow: Workflow, reason: VersionReason, workflows: WorkflowStore) -> Workflow:
    """Store a new workflow and its first version. Doing it again with the same id goes on where it ended."""
    try:
        workflows.save_version(version(workflow, reason, author.by))
    except Conflict:
        first = workflows.get_version(workflow.project_id, workflow.id, workflow.version)
        workflow = adopt(workflow, first)
    return workflows.save(None, workflow, author.does(f"workflow.{reason}"))


def change(author: Author, id: str, decide: Callable[[Workflow], Decision], workflows: WorkflowStore) -> Workflow:
    """Read, decide, write the version, write the workflow; all again when somebody else was faster.

    Raises:
        NotFound; whatever `decide` raises.
    """
    for _ in range(ROUNDS):
        current = workflows.get(author.project, id)
        after, stored_first = decide(current)
        if after == current:
            return current
        try:
            if stored_first is not None:
                workflows.save_version(stored_first)
            reason = stored_first.reason if stored_first is not None else VersionReason.updated
            return workflows.save(current, after, author.does(f"workflow.{reason}"))
        except Conflict:
            _catch_up(author, current, workflows)
    raise Unavailable("The workflow keeps changing. Try again.")


def edit(
    author: Author,
    id: str,
    settings: dict[str, Any],
    enabled: bool | None,
    guard: Guard,
    *,
    sources: SourceStore,
    workflows: WorkflowStore,
) -> Workflow:
    """The workflow with some settings changed. Those of `retry` that are not said stay as well.

    Raises:
        NotFound, Invalid; whatever `guard` raises.
    """

    def decide(current: Workflow) -> Decision:
        guard(current)
        wanted = _merged(current.settings, settings)
        state = {"enabled": current.enabled if enabled is None else enabled}
        if wanted == current.settings:
            changed = state["enabled"] != current.enabled
            return current.model_copy(update={**state, "updated_at": author.now} if changed else {}), None
        if wanted.timeout_seconds != current.settings.timeout_seconds:
            _require_time(current, wanted, sources)
        after = revise(current, author.now, settings=wanted).model_copy(update=state)
        return after, version(after, VersionReason.updated, author.by)

    return change(author, id, decide, workflows)


def rollback(author: Author, id: str, number: int, *, workflows: WorkflowStore) -> RolledBack:
    """A new version with the settings of version `number`. The flow stays as its source has it: it is not ours.

    Raises:
        NotFound: no such workflow.
        Invalid: no such version.
    """
    before = workflows.get(author.project, id)
    try:
        old = workflows.get_version(author.project, id, number)
    except NotFound as error:
        raise Invalid(f"The workflow has no version {number}.", "/version") from error

    def decide(current: Workflow) -> Decision:
        if current.settings == old.settings:
            return current, None  # so that asking twice is asking once
        after = revise(current, author.now, settings=old.settings)
        return after, version(after, VersionReason.rolled_back, author.by, rollback_of=number)

    after = change(author, id, decide, workflows)
    now = version(after, VersionReason.rolled_back, author.by)
    was = version(before, VersionReason.rolled_back, author.by)
    return RolledBack(workflow=after, changes=differences(was, now), differences=differences(old, now))


def version(workflow: Workflow, reason: VersionReason, by: str, *, rollback_of: int | None = None) -> WorkflowVersion:
    """The record of the present version of `workflow`."""
    digest = workflow.facts.definition_hash
    key = definition_key(workflow.project_id, digest) if digest else None
    return version_of(workflow, reason, by, definition_key=key, rollback_of=rollback_of)


def _catch_up(author: Author, workflow: Workflow, workflows: WorkflowStore) -> None:
    """Put the version after the present one into force if somebody stored it. Two at it at once do the same thing."""
    with suppress(NotFound, Conflict):
        ahead = workflows.get_version(workflow.project_id, workflow.id, workflow.version + 1)
        act = author.does(f"workflow.{ahead.reason}", version=ahead.number, made_by=ahead.created_by)
        workflows.save(workflow, adopt(workflow, ahead), act)


def _merged(settings: WorkflowSettings, changes: dict[str, Any]) -> WorkflowSettings:
    before = settings.model_dump()
    retry = {**before["retry"], **changes.get("retry", {})}
    return WorkflowSettings.model_validate({**before, **changes, "retry": retry})


def _require_time(workflow: Workflow, wanted: WorkflowSettings, sources: SourceStore) -> None:
    try:
        source = sources.get(workflow.project_id, workflow.source_id)
    except NotFound as error:
        raise Conflict(f"Source {workflow.source_id} of workflow {workflow.id} is gone.") from error
    require_time(source, wanted.timeout_seconds, "/settings/timeout_seconds")
