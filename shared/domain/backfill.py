"""A backfill: occurrences of a schedule in a range of the past, run now."""

from datetime import datetime
from enum import StrEnum
from itertools import islice

from pydantic import Field

from shared.domain.overlap import MAX_QUEUE, Overlap
from shared.domain.record import Instant, Record
from shared.domain.run import Run, RunStatus
from shared.domain.schedule import Schedule
from shared.domain.timing import TICK_OF_TIME, count, occurrences
from shared.errors import Conflict, Invalid

MAX_OCCURRENCES = 10_000
CALLED_OFF = frozenset({RunStatus.cancelled, RunStatus.skipped})
PASS = 100  # occurrences at a time


class BackfillStatus(StrEnum):
    running = "running"
    completed = "completed"
    """All its runs were made. Whether they are over is theirs to say."""
    cancelled = "cancelled"


class Reprocess(StrEnum):
    """Which occurrences are run that were run before, at their time."""

    none = "none"
    failed = "failed"
    all = "all"


class Backfill(Record):
    """Runs the occurrences of `schedule_id` from `start_at` to `end_at`, both included, oldest first."""

    id: str
    schedule_id: str
    start_at: Instant
    end_at: Instant
    overlap: Overlap | None = Field(None, description="Instead of the schedule's own.")
    reprocess: Reprocess = Reprocess.none
    status: BackfillStatus = BackfillStatus.running
    total: int = Field(description="Occurrences in the range when it was created.")
    cursor: Instant = Field(description="Up to here every occurrence has been dealt with.")
    started: int = Field(0, description="Runs made.")
    left_out: int = Field(0, description="Occurrences not run, because they had been.")
    wake_at: Instant | None = None
    created_by: str
    created_at: Instant
    finished_at: Instant | None = None


def in_range(schedule: Schedule, start_at: datetime, end_at: datetime, now: datetime) -> list[datetime]:
    """The occurrences from `start_at` to `end_at`.

    Raises:
        Invalid: the range is empty or reaches into the future, or there are too many; says how many.
    """
    if end_at < start_at:
        raise Invalid("The end must not come before the start.", "/end_at")
    if end_at > now:
        raise Invalid("Only what is past can be filled in.", "/end_at")
    if schedule.wake_at is not None:
        end_at = min(end_at, schedule.watermark)  # what the clock still owes is its own to run
    after = start_at - TICK_OF_TIME
    found = list(islice(occurrences(schedule.settings, schedule.anchor, after, end_at), MAX_OCCURRENCES + 1))
    if len(found) > MAX_OCCURRENCES:
        total = count(schedule.settings, schedule.anchor, after, end_at)
        raise Invalid(f"The range has {total:,} occurrences; a backfill may have {MAX_OCCURRENCES:,}.", "/start_at")
    return found


def require_room(policy: Overlap, total: int) -> None:
    """Raises Invalid when so many runs cannot wait for each other."""
    if policy is Overlap.queue_all and total > MAX_QUEUE:
        reason = f"A queue has {MAX_QUEUE} places, and the range {total:,} occurrences: choose a shorter one, or allow."
        raise Invalid(reason, "/overlap")


def following(backfill: Backfill, schedule: Schedule) -> list[datetime]:
    """The occurrences of the next pass."""
    rest = occurrences(schedule.settings, schedule.anchor, backfill.cursor, backfill.end_at)
    return list(islice(rest, PASS))


def wants(backfill: Backfill, run: Run | None) -> bool:
    """Is an occurrence to be run whose own run, made at its time, is `run`? One that was never begun counts as none."""
    if run is None or backfill.reprocess is Reprocess.all or (run.status in CALLED_OFF and run.attempt == 0):
        return True
    return backfill.reprocess is Reprocess.failed and run.status is RunStatus.failed


def passed(backfill: Backfill, seen: list[datetime], started: int, now: datetime) -> Backfill:
    """`backfill` after a pass over `seen`, of which `started` were run. Completed when the pass was not a full one."""
    counts = {"started": backfill.started + started, "left_out": backfill.left_out + len(seen) - started}
    if len(seen) == PASS:
        return backfill.model_copy(update={**counts, "cursor": seen[-1], "wake_at": now})
    done = {"status": BackfillStatus.completed, "wake_at": None, "finished_at": now, "cursor": backfill.end_at}
    return backfill.model_copy(update={**counts, **done})


def cancel(backfill: Backfill, now: datetime) -> Backfill:
    """`backfill` that makes no more runs. Those it made go on.

    Raises:
        Conflict: it is over.
    """
    if backfill.status is not BackfillStatus.running:
        raise Conflict(f"The backfill is {backfill.status} already.")
    return backfill.model_copy(update={"status": BackfillStatus.cancelled, "wake_at": None, "finished_at": now})
