"""How a schedule stands: what it did last, what it left out, how often it failed in a row."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.run import Origin, Run
from shared.domain.schedule import Schedule
from shared.services.endings import Endings
from shared.store.runs import RunFilter, RunStore
from shared.store.schedules import ScheduleStore

MOST_FAILURES = 100  # counted
PAGE = 20
MOST = 1000  # runs looked at


@dataclass(frozen=True)
class Standing:
    """`last_fire` is the newest run that its clock made and whose time has come."""

    skipped_overlap: int
    failed_in_a_row: int
    last_fire: Run | None


def standing(
    schedule: Schedule, now: datetime, *, schedules: ScheduleStore, runs: RunStore, endings: Endings
) -> Standing:
    return Standing(
        schedules.get_slot(schedule.project_id, schedule.id).skipped,
        endings.failed_in_a_row(schedule, MOST_FAILURES),
        _last_fire(schedule, now, runs),
    )


def _last_fire(schedule: Schedule, now: datetime, runs: RunStore) -> Run | None:
    """None, too, where the thousand newest runs are all of other origins."""
    filter, after = RunFilter(schedule_id=schedule.id, until=now), None
    for _ in range(MOST // PAGE):
        page = runs.list(schedule.project_id, filter, limit=PAGE, after=after)
        by_clock = next((run for run in page.items if run.origin is Origin.schedule), None)
        if by_clock is not None or page.next is None:
            return by_clock
        after = page.next
    return None
