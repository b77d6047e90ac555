"""Answers that differ from the stored record: a field less to hide it, or some more to resolve it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from shared.domain.attempt import Attempt
from shared.domain.dead_letter import NO_PROJECT, DeadLetter
from shared.domain.project import DEFAULT_PROJECT
from shared.domain.record import Instant
from shared.domain.run import Run, RunStatus
from shared.domain.source import Source, SourceCheck, SourceStatus
from shared.domain.workflow import WorkflowVersion
from shared.errors import PayloadGone, cut
from shared.payloads import Payloads
from shared.services.submission import input_of
from shared.store.runs import RunStore

MAX_RESOLVED_BYTES = 1024 * 1024  # a larger output is linked: an answer of a Lambda may have 6 MB
MAX_FOREIGN_BYTES = 1024  # of a message that may be another project's


class SourceView(BaseModel):
    """A source as callers see it. There is no field for its key, so none can leak."""

    id: str
    project_id: str
    name: str
    url: str
    status: SourceStatus
    has_api_key: bool
    max_concurrency: int | None
    check: SourceCheck | None
    checked_at: Instant | None
    created_at: Instant
    updated_at: Instant


class RunView(Run):
    """A run with its input and output."""

    output: Any = Field(None, description="What the flow gave, once it is completed.")
    output_bytes: int | None = Field(None, description="Its size, where it is kept apart.")
    output_url: str | None = Field(None, description="Where an output above 1 MiB can be fetched for 15 minutes.")
    gone: tuple[Literal["input", "output"], ...] = Field((), description="What is null because it is no longer kept.")


class VersionView(WorkflowVersion):
    """A version with a link to the flow's definition as it was."""

    definition_url: str | None = Field(None, description="The scrubbed definition, to be fetched within 15 minutes.")


class DeadLetterView(DeadLetter):
    """A dead letter; of one that may be another project's only how its message begins."""

    body_bytes: int = Field(description="The size of the message as it is kept; `body` may be less of it.")


def source_view(source: Source) -> SourceView:
    fields = source.model_dump(include=set(SourceView.model_fields))
    return SourceView(**fields, has_api_key=source.encrypted_key is not None)


def run_view(run: Run, runs: RunStore, bucket: Payloads) -> RunView:
    """`run` with what it was given and what it gave, wherever they are kept."""
    page = runs.page(run.project_id, run.id, run.attempt) if run.status is RunStatus.completed else None
    found: dict[str, Any] = {"gone": []}
    for name, look in (("input", lambda: {"input": input_of(run, bucket)}), ("output", lambda: _output(page, bucket))):
        try:
            found |= look()
        except PayloadGone:
            found["gone"].append(name)
    return RunView.model_validate({**run.model_dump(), **found})


def dead_letter_view(letter: DeadLetter, project: str) -> DeadLetterView:
    """`letter` as `project` may see it."""
    foreign = letter.project_id == NO_PROJECT and project != DEFAULT_PROJECT
    body = cut(letter.body, MAX_FOREIGN_BYTES) if foreign else letter.body
    size = len(letter.body.encode("utf-8", "replace"))
    return DeadLetterView.model_validate({**letter.model_dump(), "body": body, "body_bytes": size})


def version_view(version: WorkflowVersion, bucket: Payloads) -> VersionView:
    url = bucket.link(version.definition_key) if version.definition_key else None
    return VersionView.model_validate({**version.model_dump(), "definition_url": url})


def _output(page: Attempt | None, bucket: Payloads) -> dict[str, Any]:
    if page is None:
        return {}
    if page.output_key is None:
        return {"output": page.output}
    if (page.output_bytes or 0) > MAX_RESOLVED_BYTES:
        return {"output_url": bucket.link(page.output_key), "output_bytes": page.output_bytes}
    return {"output": bucket.get_json(page.output_key), "output_bytes": page.output_bytes}
