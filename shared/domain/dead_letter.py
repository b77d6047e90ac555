"""A dead letter: a message that could not be worked on, kept with the reason until somebody looks."""

from enum import StrEnum

from shared.domain.record import Instant, Record

NO_PROJECT = "-"  # a body that cannot be read names no project
MAX_RETURNS = 3  # how often a message may come back from the dead-letter queue before its run is failed


class DeadLetterReason(StrEnum):
    unreadable = "unreadable"
    """The body is no run message."""
    too_many_attempts = "too_many_attempts"
    """The executor died on it again and again."""


class DeadLetter(Record):
    """A message that nobody could work on, or a run that no executor survived."""

    id: str
    reason: DeadLetterReason
    body: str
    run_id: str | None = None
    message: str
    created_at: Instant
    redriven_run_id: str | None = None
