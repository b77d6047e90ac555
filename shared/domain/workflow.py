"""A workflow: a flow of a source together with how Spark is to run it. Every change of either is a version."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from shared.domain.flow import Component
from shared.domain.record import Instant, Record
from shared.domain.retry import RetryPolicy
from shared.domain.source import Source, SourceStatus
from shared.errors import Invalid, SourceInactive, WorkflowDisabled

# A Lambda lives 15 minutes at most and the executor's budget is 300 s, so a longer run must be LangFlow's own job.
LONGEST_SYNC_SECONDS = 240
LONGEST_JOB_SECONDS = 86_400
DEFAULT_TIMEOUT_SECONDS = 120
MAX_TWEAKS_BYTES = 32_768  # they stand in the item of every run and of every version
MAX_COMPONENTS = 50


def storable(tweaks: dict[str, Any]) -> dict[str, Any]:
    """`tweaks`, if they can be stored.

    Raises:
        ValueError: too large, or holding what JSON text cannot.
    """
    try:
        size = len(json.dumps(tweaks, ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:
        raise ValueError("Tweaks must be JSON without NaN, Infinity and lone surrogates.") from error
    if size > MAX_TWEAKS_BYTES:
        raise ValueError(f"Tweaks may have {MAX_TWEAKS_BYTES} bytes; these have {size}.")
    return tweaks


def only_text(value: Any) -> Any:
    """LangFlow would take an object as no input at all and say that all went well."""
    if isinstance(value, dict | list):
        raise ValueError("The input must be text: send JSON as a string.")  # noqa: TRY004  # pydantic knows only this one
    return value


def encodable(text: str) -> str:
    """JSON can name halves of characters that no text has."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("The input must be text without lone surrogates.") from error
    return text


InputText = Annotated[
    str, BeforeValidator(only_text), AfterValidator(encodable), Field(description="What the flow gets, as text.")
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ShortText = Annotated[str, StringConstraints(max_length=200)]
Tweaks = Annotated[dict[str, Any], AfterValidator(storable)]
Timeout = Annotated[
    int,
    Field(
        ge=1, le=LONGEST_JOB_SECONDS, strict=True, description="Longer than 240 needs a source with background jobs."
    ),
]


class WorkflowKind(StrEnum):
    """What executes a workflow. More kinds join here."""

    langflow = "langflow"


class WorkflowSettings(BaseModel):
    """How Spark runs the flow: what a user may edit, and what a rollback brings back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    input_component: ShortText | None = Field(None, description="Receives the input; null: the chat input.")
    output_component: ShortText | None = Field(None, description="Its output counts; null: the only one.")
    timeout_seconds: Timeout = DEFAULT_TIMEOUT_SECONDS
    retry: RetryPolicy = RetryPolicy()
    tweaks: Tweaks = Field(default_factory=dict, description="LangFlow tweaks by component id.")
    tags: tuple[ShortText, ...] = Field((), max_length=50)


class FlowFacts(BaseModel):
    """What LangFlow says about the flow itself; refreshed by a sync."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_name: str | None = None
    icon: str | None = None
    icon_bg_color: str | None = None
    folder_id: str | None = None
    folder_name: str | None = None
    definition_hash: str | None = None
    inputs: tuple[Component, ...] = Field((), description="Components that can receive a run's input.")
    outputs: tuple[Component, ...] = Field((), description="Components whose results are output.")


class VersionReason(StrEnum):
    created = "created"
    imported = "imported"
    synced = "synced"
    updated = "updated"
    rolled_back = "rolled_back"


class Workflow(Record):
    """A flow of a source, ready to run. `version` is the number of the settings and definition in force."""

    id: str
    kind: WorkflowKind = WorkflowKind.langflow
    source_id: str
    flow_id: str
    enabled: bool = Field(True, description="A disabled workflow takes no new runs.")
    version: int = 1
    settings: WorkflowSettings
    facts: FlowFacts = FlowFacts()
    created_at: Instant
    updated_at: Instant
    synced_at: Instant | None = None


class WorkflowVersion(Record):
    """Settings and definition as they were from one change to the next. Never changes."""

    workflow_id: str
    number: int
    kind: WorkflowKind = WorkflowKind.langflow
    source_id: str
    flow_id: str
    settings: WorkflowSettings
    facts: FlowFacts = FlowFacts()
    definition_key: str | None = Field(None, description="Where the scrubbed definition lives in the payload bucket.")
    reason: VersionReason
    rollback_of: int | None = None
    created_by: str
    created_at: Instant


def require_runnable(workflow: Workflow, source: Source | None, timeout_seconds: int) -> None:
    """May `workflow` take a new run with this timeout on `source` (None: it is gone)?

    Raises:
        WorkflowDisabled, SourceInactive: switched off, or no source.
        Invalid: a run that long needs background jobs.
    """
    if not workflow.enabled:
        raise WorkflowDisabled(f"Workflow {workflow.id} is disabled.")
    if source is None:
        raise SourceInactive(f"Source {workflow.source_id} of workflow {workflow.id} is gone.")
    if source.status is SourceStatus.inactive:
        raise SourceInactive(f"Source {source.id} is inactive.")
    require_time(source, timeout_seconds, "/timeout_seconds")


def require_time(source: Source, timeout_seconds: int, pointer: str) -> None:
    """Raises Invalid when `source` cannot run that long."""
    if timeout_seconds > LONGEST_SYNC_SECONDS and not (source.check and source.check.supports_background):
        raise Invalid(
            f"More than {LONGEST_SYNC_SECONDS} seconds need background jobs, which this source does not offer.", pointer
        )


def revise(
    workflow: Workflow, now: datetime, *, settings: WorkflowSettings | None = None, facts: FlowFacts | None = None
) -> Workflow:
    """The next version of `workflow`."""
    changes = {"settings": settings or workflow.settings, "facts": facts or workflow.facts}
    return workflow.model_copy(update={**changes, "version": workflow.version + 1, "updated_at": now})


def adopt(workflow: Workflow, version: WorkflowVersion) -> Workflow:
    """`workflow` moved on to `version`, which somebody stored and then could not put into force."""
    update = {"settings": version.settings, "facts": version.facts, "version": version.number}
    return workflow.model_copy(update={**update, "updated_at": version.created_at})


def version_of(
    workflow: Workflow,
    reason: VersionReason,
    created_by: str,
    *,
    definition_key: str | None = None,
    rollback_of: int | None = None,
) -> WorkflowVersion:
    """The version record that `workflow.version` names."""
    return WorkflowVersion(
        project_id=workflow.project_id,
        workflow_id=workflow.id,
        number=workflow.version,
        kind=workflow.kind,
        source_id=workflow.source_id,
        flow_id=workflow.flow_id,
        settings=workflow.settings,
        facts=workflow.facts,
        definition_key=definition_key,
        reason=reason,
        rollback_of=rollback_of,
        created_by=created_by,
        created_at=workflow.updated_at,
    )


def differences(old: WorkflowVersion, new: WorkflowVersion) -> dict[str, list[Any]]:
    """`{field: [old, new]}` of every setting that differs, and of `definition_hash`."""
    before = {**old.settings.model_dump(mode="json"), "definition_hash": old.facts.definition_hash}
    after = {**new.settings.model_dump(mode="json"), "definition_hash": new.facts.definition_hash}
    return {field: [before[field], after[field]] for field in after if before[field] != after[field]}
