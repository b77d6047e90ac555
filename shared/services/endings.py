"""What follows the end of a schedule's run: the next one may go, and too many failures in a row pause the schedule."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain import firing
from shared.domain.act import Act
from shared.domain.overlap import Overlap
from shared.domain.run import Run, RunStatus
from shared.domain.schedule import Schedule
from shared.errors import Conflict, NotFound, SparkError
from shared.observability import about, count, logger
from shared.services.overlapping import Turnstile
from shared.store.runs import RunFilter, RunStore
from shared.store.schedules import ScheduleStore

ROUNDS = 5
PAGE = 20
MOST = 1000  # runs looked at
TELLING = frozenset({RunStatus.completed, RunStatus.failed})  # what was cancelled or skipped says nothing of the flow


def unrecorded(project: str, action: str, reason: str) -> None:
    """For those who keep no audit log."""


@dataclass(frozen=True)
class Endings:
    schedules: ScheduleStore
    runs: RunStore
    turnstile: Turnstile
    now: Callable[[], datetime]
    act: Callable[[str, str, str], Act | None] = unrecorded

    def ended(self, run: Run) -> None:
        """Do what follows the end of `run`, which is stored.

        Nothing here may harm the caller: what is not done now is done when the next run wants its turn, or fails.
        """
        if run.schedule_id is None:
            return
        try:
            if run.status is RunStatus.failed:  # first: a pause is to stop the one that waits for this end
                self._pause_if_failing(run, run.schedule_id)
            if run.awaits_schedule or run.overlap not in (None, Overlap.allow):  # it may have waited before it knew how
                self.turnstile.leave(run)
        except (SparkError, ClientError, BotoCoreError):
            logger.warning("run.ending_not_done", extra=about(run), exc_info=True)

    def failed_in_a_row(self, schedule: Schedule, most: int, ended: Run | None = None) -> int:
        """How many of its newest runs failed, one after the other, since its timing is in force; `most` at most.

        `ended` is a run as it is known to be, which a list may not show yet.
        """
        return failures(self._newest(schedule, ended), most)

    def _pause_if_failing(self, ended: Run, schedule_id: str) -> None:
        for _ in range(ROUNDS):
            try:
                schedule = self.schedules.get(ended.project_id, schedule_id)
            except NotFound:
                return
            limit = schedule.settings.pause_after_failures
            if limit is None or not schedule.enabled or self.failed_in_a_row(schedule, limit, ended) < limit:
                return
            reason = f"{limit} failed runs in a row."
            try:
                act = self.act(schedule.project_id, "schedule.paused", reason)
                self.schedules.save(schedule, firing.pause(schedule, self.now(), reason), act)
            except Conflict:
                continue
            count("SchedulesPaused")
            logger.warning("schedule.paused", extra={"schedule_id": schedule.id, "reason": reason})
            return

    def _newest(self, schedule: Schedule, ended: Run | None) -> Iterator[Run]:
        filter, after = RunFilter(schedule_id=schedule.id, since=schedule.effective_at, until=self.now()), None
        for _ in range(MOST // PAGE):
            page = self.runs.list(schedule.project_id, filter, limit=PAGE, after=after)
            runs = [ended if ended is not None and run.id == ended.id else run for run in page.items]
            yield from (run for run in runs if run.status in TELLING)
            if page.next is None:
                return
            after = page.next


def failures(newest: Iterable[Run], most: int) -> int:
    """How many runs failed, one after the other, the newest first; `most` at most, and then no more is asked for."""
    row = takewhile(lambda run: run.status is not RunStatus.completed, newest)
    return sum(1 for _ in islice((run for run in row if run.status is RunStatus.failed), most))
