"""The circuit breaker of a source: after five failures in a row nobody knocks but one probe now and then.

The item is written on failure, and on success only when there were failures; a source that works never pays for it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from shared.domain.record import Instant, Record

OPENS_AFTER = 5
FIRST_PAUSE = timedelta(seconds=30)
PROBE_LOOK = timedelta(seconds=5)  # a probe mostly answers sooner; its time may be minutes
LONGEST_PAUSE = timedelta(minutes=10)
MAX_DOUBLINGS = 5  # more would make no longer pause


class Breaker(Record):
    """State of the breaker of one source."""

    source_id: str
    failures: int = 0
    openings: int = Field(0, description="Times in a row that it opened; the pause doubles with each.")
    open_until: Instant | None = None
    probe_until: Instant | None = Field(None, description="Until when one run has the right to try.")


@dataclass(frozen=True)
class Open:
    """The circuit is open: nobody may try before `until`."""

    until: datetime


@dataclass(frozen=True)
class Probe:
    """One run may try, once `breaker` is saved."""

    breaker: Breaker


@dataclass(frozen=True)
class Closed:
    """All may go ahead."""


def admit(breaker: Breaker | None, now: datetime, probe_for: timedelta) -> Closed | Open | Probe:
    """May runs be sent to this source at `now`? A probe has `probe_for` to come back."""
    if breaker is None or breaker.open_until is None:
        return Closed()
    if breaker.open_until > now:
        return Open(breaker.open_until)
    if breaker.probe_until is not None and breaker.probe_until > now:
        return Open(min(breaker.probe_until, now + PROBE_LOOK))
    return Probe(breaker.model_copy(update={"probe_until": now + probe_for}))


def after_failure(breaker: Breaker, now: datetime) -> Breaker:
    """One more failure in a row. Opens at the fifth, and again for twice as long when a probe fails.

    Failures of runs that were under way when it opened say nothing new and do not lengthen the pause.
    """
    failures = breaker.failures + 1
    if failures < OPENS_AFTER or (breaker.open_until is not None and breaker.open_until > now):
        return breaker.model_copy(update={"failures": failures})
    pause = min(FIRST_PAUSE * 2 ** min(breaker.openings, MAX_DOUBLINGS), LONGEST_PAUSE)
    return breaker.model_copy(
        update={
            "failures": failures,
            "openings": breaker.openings + 1,
            "open_until": now + pause,
            "probe_until": None,
        }
    )


def without_probe(breaker: Breaker) -> Breaker:
    """The probe came back with no news: the next one may go at once."""
    return breaker.model_copy(update={"probe_until": None})


def after_success(breaker: Breaker) -> Breaker:
    return Breaker(project_id=breaker.project_id, source_id=breaker.source_id, revision=breaker.revision)
