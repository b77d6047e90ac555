"""Backfilling: runs for occurrences of the past, a hundred at a time, resumed by the tick wherever it was left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain import backfill as backfill_rules
from shared.domain.backfill import Backfill, BackfillStatus
from shared.domain.firing import Due
from shared.domain.project import Project
from shared.domain.run import Origin, Run
from shared.domain.schedule import Schedule, run_id
from shared.domain.workflow import Workflow
from shared.errors import Conflict, Invalid, NotFound, Unavailable
from shared.observability import logger, those
from shared.queue import RunQueue
from shared.services.firing import make
from shared.services.submission import announce, store, waiting
from shared.store.backfills import BackfillStore
from shared.store.projects import ProjectStore
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore
from shared.store.workflows import WorkflowStore

PASSES = 10  # of one backfill in one tick: others want their turn, too
ROUNDS = 5


@dataclass(frozen=True)
class Backfilling:
    backfills: BackfillStore
    schedules: ScheduleStore
    workflows: WorkflowStore
    projects: ProjectStore
    runs: RunStore
    queue: RunQueue
    now: Callable[[], datetime]
    wake_after: timedelta

    def start(self, backfill: Backfill) -> Backfill:
        """Store `backfill` and make its first runs.

        Raises:
            Conflict: it exists.
        """
        stored = self.backfills.save(None, backfill)
        try:
            return self._pass(stored)
        except (Conflict, NotFound, Unavailable):
            return stored  # the tick goes on with it

    def plan(self, backfill: Backfill, seen: Sequence[datetime]) -> dict[datetime, Run | None]:
        """For each of the occurrences `seen` that `backfill` would run, the run that it had at its time, if any.

        Raises:
            NotFound: no such schedule.
        """
        schedule = self.schedules.get(backfill.project_id, backfill.schedule_id)
        own = self._own_runs(schedule, seen)
        return {at: own.get(at) for at in seen if backfill_rules.wants(backfill, own.get(at))}

    def go_on(self, ids: Sequence[tuple[str, str]], deadline: datetime) -> int:
        """Make the next runs of these (project, id), until `deadline`; the number of passes."""
        passes = 0
        for backfill in self.backfills.readable(ids, consistent=True) if ids else []:
            for _ in range(PASSES):
                if backfill.status is not BackfillStatus.running or self.now() >= deadline:
                    break
                try:
                    backfill = self._pass(backfill)
                except (
                    Conflict,
                    Unavailable,
                    Invalid,
                ):  # another tick is at it, it was cancelled, or it must wait
                    logger.warning("backfill.not_passed", extra={"backfill_id": backfill.id}, exc_info=True)
                    break
                passes += 1
        return passes

    def cancel(self, project: str, id: str) -> Backfill:
        """The backfill, which makes no more runs.

        Raises:
            NotFound: this project has no such backfill.
            Conflict: it is over.
        """
        for _ in range(ROUNDS):
            backfill = self.backfills.get(project, id)
            after = backfill_rules.cancel(backfill, self.now())
            try:
                return self.backfills.save(backfill, after)
            except Conflict:
                continue
        raise Unavailable("The backfill keeps changing. Try again.")

    def _pass(self, backfill: Backfill) -> Backfill:
        """Put the runs of the next occurrences, send them, save how far it is."""
        now, project = self.now(), backfill.project_id
        try:
            schedule = self.schedules.get(project, backfill.schedule_id)
            workflow, owner = self.workflows.get(project, schedule.workflow_id), self.projects.by_id(project)
        except NotFound:
            return self.backfills.save(backfill, backfill_rules.cancel(backfill, now))
        seen = backfill_rules.following(backfill, schedule)
        own = self._own_runs(schedule, seen)
        wanted = [at for at in seen if backfill_rules.wants(backfill, own.get(at))]
        made = [self._make(backfill, schedule, workflow, owner, at, now) for at in wanted]
        kept = store(made, self.runs).runs
        if None in kept or not announce(waiting(kept), self.queue, now):
            raise Unavailable("Some runs of the backfill could not be stored and announced.")
        logger.info("backfill.passed", extra={"backfill_id": backfill.id, **those(made)})
        return self.backfills.save(backfill, backfill_rules.passed(backfill, seen, len(made), now))

    def _own_runs(self, schedule: Schedule, seen: Sequence[datetime]) -> dict[datetime, Run]:
        """The runs that the clock made for occurrences."""
        ids = {run_id(schedule, at): at for at in seen}
        found = self.runs.get_many([(schedule.project_id, id) for id in ids], consistent=True) if ids else {}
        return {ids[run.id]: run for run in found.values()}

    def _make(
        self,
        backfill: Backfill,
        schedule: Schedule,
        workflow: Workflow,
        project: Project,
        at: datetime,
        now: datetime,
    ) -> Run:
        run = make(schedule, workflow, project, Due(at, now), now, self.wake_after)
        id = run_id(schedule, at, backfill.id)
        changes = {
            "id": id,
            "correlation_id": id,
            "origin": Origin.backfill,
            "backfill_id": backfill.id,
            "overlap": backfill.overlap,
            "created_by": backfill.created_by,
        }
        return run.model_copy(update=changes)
