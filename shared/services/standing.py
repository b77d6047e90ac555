"""How a schedule stands: what it did last, what it left out, how often it failed in a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile, tee

from shared.domain.record import id_time
from shared.domain.run import Origin, Run
from shared.domain.schedule import Schedule
from shared.services.endings import failures
from shared.store.runs import RunFilter, RunStore
from shared.store.schedules import ScheduleStore

MOST_FAILURES = 100  # counted
PAGE = 20
MOST = 200  # runs looked at: room for a row of that length, and for as many between that tell nothing


@dataclass(frozen=True)
class Standing:
    """Of its 200 newest runs: how many failed in a row, and the newest that its clock made and whose time has come."""

    skipped_overlap: int
    failed_in_a_row: int
    last_fire: Run | None


def standing(schedule: Schedule, now: datetime, *, schedules: ScheduleStore, runs: RunStore) -> Standing:
    newest, same = tee(_newest(schedule, now, runs))  # each page is read once, and only if somebody asks for it
    in_force = takewhile(lambda run: id_time(run.id) >= schedule.effective_at, newest)
    return Standing(
        skipped_overlap=schedules.get_slot(schedule.project_id, schedule.id).skipped,
        failed_in_a_row=failures(in_force, MOST_FAILURES),
        last_fire=next((run for run in same if run.origin is Origin.schedule), None),
    )


def _newest(schedule: Schedule, now: datetime, runs: RunStore) -> Iterator[Run]:
    filter, after = RunFilter(schedule_id=schedule.id, until=now), None
    for _ in range(MOST // PAGE):
        page = runs.list(schedule.project_id, filter, limit=PAGE, after=after)
        yield from page.items
        if page.next is None:
            return
        after = page.next
