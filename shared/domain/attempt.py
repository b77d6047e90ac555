"""The page of an attempt: what one try of a run did, as far as anybody can tell."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.domain.record import Instant, Record
from shared.domain.run import RunError


class StepStatus(StrEnum):
    completed = "completed"
    failed = "failed"


class Step(BaseModel):
    """One component of the flow in one attempt, as far as LangFlow's answer tells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    component_id: str | None = None
    status: StepStatus
    duration_seconds: float | None = None
    error: str | None = None


class LogLine(BaseModel):
    """One event in the life of a run, as the executor logged it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Instant
    level: str = "INFO"
    event: str
    message: str | None = None


class Attempt(Record):
    """The page of one attempt: when, where, what came out, its steps and log lines. At most 64 KB."""

    run_id: str
    number: int
    started_at: Instant
    ended_at: Instant | None = None
    worker: str | None = None
    error: RunError | None = None
    output: Any = None
    output_key: str | None = None
    output_bytes: int | None = None
    steps: tuple[Step, ...] = ()
    logs: tuple[LogLine, ...] = ()
    expires_at: Instant | None = None
