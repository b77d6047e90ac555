"""What a run looks like as a trace: one trace per run, a span for the whole of it and one for each attempt.

Names follow OpenTelemetry's semantic conventions for generative AI, which are in development and may change: the run
is `invoke_workflow`, an attempt is `invoke_agent` of a remote agent. What those have no name for begins with `spark.`.
https://github.com/open-telemetry/semantic-conventions-genai: docs/gen-ai/gen-ai-agent-spans.md, read 2026-11-21
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from ulid import ULID

from shared.domain.attempt import Attempt
from shared.domain.record import instant_text
from shared.domain.run import Run, RunError, RunStatus
from shared.domain.source import Source
from shared.domain.workflow import WorkflowVersion

SPAN_ID_BYTES = 8
SAMPLED = "01"
PORTS = {"http": 80, "https": 443}
OWN_ID = re.compile(r"(req|run)_[0-9A-HJKMNP-TV-Z]{26}")  # the correlation ids that Spark makes

Attributes = Mapping[str, str | int | bool]


class Kind(StrEnum):
    internal = "internal"
    client = "client"


@dataclass(frozen=True)
class Told:
    """A run as it was just saved, and the page of the attempt that ended with that; None if none did."""

    run: Run
    page: Attempt | None
    version: WorkflowVersion
    source: Source


@dataclass(frozen=True)
class Span:
    """A stretch of time with a name. `error` is the code it failed with, `message` what is said of it."""

    trace_id: bytes
    id: bytes
    parent_id: bytes | None
    name: str
    kind: Kind
    start: datetime
    end: datetime
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None
    message: str = ""


def spans(told: Told, *, content: bool) -> Iterator[Span]:
    """What can be told now: the attempt that ended, and the whole run once it is over.

    Args:
        content: whether inputs, outputs, what LangFlow says of a failure, and the session and correlation id that
            somebody else named may be in it.
    """
    if told.page is not None and told.page.ended_at is not None:
        yield _attempt(told, told.page, told.page.ended_at, content=content)
    if told.run.finished_at is not None:
        yield _whole(told, told.run.finished_at, content=content)


def traceparent(run: Run) -> str:
    """The W3C header that makes LangFlow's own spans children of the present attempt of `run`.

    https://www.w3.org/TR/trace-context/#traceparent-header
    """
    return f"00-{trace_id(run).hex()}-{span_id(run, run.attempt).hex()}-{SAMPLED}"


def trace_id(run: Run) -> bytes:
    """The sixteen bytes of the run's own id: whoever executes an attempt adds to the same trace, and knows no other."""
    return ULID.from_str(run.id.rpartition("_")[2]).bytes


def span_id(run: Run, attempt: int = 0) -> bytes:
    """Of an attempt, which count from 1; 0 is the whole run."""
    return hashlib.sha256(f"{run.id} {attempt}".encode()).digest()[:SPAN_ID_BYTES]


def _whole(told: Told, end: datetime, *, content: bool) -> Span:
    run, name = told.run, told.version.settings.name
    error = run.error if run.status is RunStatus.failed else None
    return Span(
        trace_id=trace_id(run),
        id=span_id(run),
        parent_id=None,
        name=f"invoke_workflow {name}",
        kind=Kind.internal,
        start=_start(run),
        end=end,
        attributes=_present(
            {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": name,
                **_shared(run, content=content),
                "spark.project.id": run.project_id,
                "spark.workflow.id": run.workflow_id,
                "spark.workflow.version": run.workflow_version,
                "spark.schedule.id": run.schedule_id,
                "spark.schedule.time": instant_text(run.scheduled_for) if run.scheduled_for else None,
                "spark.backfill.id": run.backfill_id,
                "spark.run.origin": run.origin.value,
                "spark.run.status": run.status.value,
                "spark.run.attempts": run.attempt,
                "spark.run.retry_of": run.retry_of,
                "spark.run.may_have_run_before": run.may_have_run_before,
                "error.type": error.code if error else None,
                **(_content(told) if content else {}),
            }
        ),
        error=error.code if error else None,
        message=_message(error, content=content),
    )


def _attempt(told: Told, page: Attempt, end: datetime, *, content: bool) -> Span:
    run, version, error = told.run, told.version, page.error
    url = urlsplit(told.source.url)
    return Span(
        trace_id=trace_id(run),
        id=span_id(run, page.number),
        parent_id=span_id(run),
        name=f"invoke_agent {version.settings.name}",
        kind=Kind.client,
        start=page.started_at,
        end=end,
        attributes=_present(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": "langflow",
                "gen_ai.agent.id": version.flow_id,
                "gen_ai.agent.name": version.settings.name,
                "gen_ai.agent.version": str(version.number),
                **_shared(run, content=content),
                "server.address": url.hostname,
                "server.port": url.port or PORTS.get(url.scheme),
                "spark.source.id": told.source.id,
                "spark.attempt.number": page.number,
                "spark.attempt.retryable": error.retryable if error else None,
                "error.type": error.code if error else None,
                **(_content(told) if content else {}),
            }
        ),
        error=error.code if error else None,
        message=_message(error, content=content),
    )


def _shared(run: Run, *, content: bool) -> dict[str, Any]:
    """The conversation is what LangFlow was told as its session. Whoever asks for a run may name session and request
    after a person, so such names are content. A hash would not do: all phone numbers can be tried out."""
    session = None if run.session_id and not content else run.session_id or run.id
    return {
        "gen_ai.conversation.id": session,
        "spark.run.id": run.id,
        "spark.correlation_id": run.correlation_id if content or OWN_ID.fullmatch(run.correlation_id) else None,
    }


def _start(run: Run) -> datetime:
    """When the run was to begin, so that lateness is seen; one that began in the second before, then."""
    return min(run.due_at, run.started_at or run.due_at)


def _content(told: Told) -> dict[str, Any]:
    """What went in and came out, as far as it is stored with the run: texts above 4 KB are not."""
    page = told.page
    return {
        "gen_ai.input.messages": _messages("user", told.run.input) if told.run.input is not None else None,
        "gen_ai.output.messages": _messages("assistant", page.output, finish_reason="stop")
        if page is not None and page.output is not None
        else None,
    }


def _messages(role: str, said: Any, **more: str) -> str:
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}], **more}], ensure_ascii=False)


def _message(error: RunError | None, *, content: bool) -> str:
    """LangFlow's words on a failure may repeat the input, so they count as content; the code never does."""
    return error.message if error is not None and content else ""


def _present(attributes: Mapping[str, Any]) -> dict[str, str | int | bool]:
    return {name: value for name, value in attributes.items() if value is not None}
