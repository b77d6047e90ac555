"""Firing schedules: put a run for each occurrence, send its message, then advance the schedule.

In this order a crash after any step is healed by whoever comes next: it evaluates the same occurrences, finds the same
run ids taken, and announces what still waits.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain import firing
from shared.domain import run as run_rules
from shared.domain.firing import Due
from shared.domain.project import Project
from shared.domain.record import id_time
from shared.domain.run import Origin, Run
from shared.domain.schedule import LOOK_AHEAD, Schedule, run_id
from shared.domain.workflow import Workflow
from shared.errors import Invalid, NotFound
from shared.observability import logger, those
from shared.queue import RunQueue
from shared.services.submission import announce, store, waiting
from shared.store.projects import ProjectStore
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore
from shared.store.workflows import WorkflowStore

BY_SCHEDULE = "schedule"  # who made the run
BATCH = 500  # runs at a time: enough to fill requests, few enough to be done in seconds
WORKFLOW_GONE = "Its workflow was deleted."
PROJECT_GONE = "Its project was deleted."

Workflows = dict[tuple[str, str], Workflow | None]  # by project and id; None: it cannot be read
Projects = dict[str, Project]


@dataclass(frozen=True)
class Fired:
    """What firing did: evaluations made, runs that are new, schedules that still owe something, and how late the latest
    occurrence was. What somebody else put meanwhile is theirs to count."""

    due: int = 0
    runs: int = 0
    left: int = 0
    lateness_seconds: float = 0.0

    def __add__(self, other: "Fired") -> "Fired":
        lateness = max(self.lateness_seconds, other.lateness_seconds)
        return Fired(self.due + other.due, self.runs + other.runs, self.left + other.left, lateness)


class Owed(NamedTuple):
    """A schedule, what it is to be saved as, and the runs that come first."""

    schedule: Schedule
    after: Schedule
    runs: list[Run]
    is_cut: bool = False


@dataclass(frozen=True)
class Firing:
    schedules: ScheduleStore
    workflows: WorkflowStore
    projects: ProjectStore
    runs: RunStore
    queue: RunQueue
    now: Callable[[], datetime]
    wake_after: timedelta
    ahead: timedelta = LOOK_AHEAD
    sleep: Callable[[float], object] | None = None
    """To send at the full second, if given: SQS holds back for whole seconds, and rounding up makes late."""

    def fire(self, due: Sequence[Schedule], deadline: datetime) -> Fired:
        """Fire what `due` owe, a chunk of each at a time, until nothing is owed or it is `deadline`.

        Raises:
            Unavailable, ClientError: something could not be read; what was stored is not lost.
        """
        done, owing = Fired(), list(due)
        known = self._look_up(due)
        while owing:
            some, owing = self._evaluate(owing, *known)
            fired, again = self._carry_out(some, align=done.due == 0)
            done += fired
            owing += self.schedules.readable(again, consistent=True) if again else []
            if self.now() >= deadline:
                break
        return done + Fired(left=len(owing))

    def _evaluate(
        self, due: Sequence[Schedule], workflows: Workflows, projects: Projects
    ) -> tuple[list[Owed], list[Schedule]]:
        """What the first of `due` owe, as many as make a batch of runs, and the others."""
        now, some, runs = self.now(), list[Owed](), 0
        for number, schedule in enumerate(due):
            if runs >= BATCH:
                return some, list(due[number:])
            if workflows.get(_workflow(schedule), True) is None:
                continue  # it cannot be read, so nobody can tell how to run it; a newer Spark can
            try:
                some.append(self._owed(schedule, workflows.get(_workflow(schedule)), projects, now))
                runs += len(some[-1].runs)
            except Invalid:  # its time zone was given up, say: it shall not hold up its neighbours
                logger.exception("schedule.not_evaluated", extra={"schedule_id": schedule.id})
        return some, []

    def _owed(self, schedule: Schedule, workflow: Workflow | None, projects: Projects, now: datetime) -> Owed:
        project = projects.get(schedule.project_id)
        if workflow is None or project is None:
            return Owed(schedule, firing.pause(schedule, now, PROJECT_GONE if workflow else WORKFLOW_GONE), [])
        owes = firing.evaluate(schedule, now, self.ahead)
        runs = [make(schedule, workflow, project, at, now, self.wake_after) for at in owes.fire]
        return Owed(schedule, owes.after, runs, owes.is_cut)

    def _carry_out(self, some: Sequence[Owed], *, align: bool) -> tuple[Fired, list[tuple[str, str]]]:
        """Put the runs, send them, advance their schedules; and which of these are to be looked at again.

        A schedule stays as it was if one of its runs could not be put, and each does if the queue did not take all:
        the next tick does it again, and comes in time.
        """
        now = self.now()
        kept, new = store([run for owed in some for run in owed.runs], self.runs)
        if align:
            self._await_second(waiting(kept))
        if not announce(waiting(kept), self.queue, self.now()):
            return Fired(due=len(some), runs=new, left=len(some)), []
        stored = {run.id for run in kept if run is not None}
        if kept:
            logger.info("runs.fired", extra=those(run for run in kept if run is not None))
        safe = [owed for owed in some if all(run.id in stored for run in owed.runs)]
        late = [(now - (run.not_before or id_time(run.id))).total_seconds() for owed in some for run in owed.runs]
        return Fired(len(some), new, len(some) - len(safe), max([0.0, *late])), self._advance(safe)

    def _await_second(self, runs: Sequence[Run]) -> None:
        if self.sleep is not None and any(run.not_before is not None for run in runs):
            self.sleep(1 - self.now().microsecond / 1_000_000)

    def _look_up(self, due: Sequence[Schedule]) -> tuple[Workflows, Projects]:
        """The workflows and projects of `due`. What a quick read does not show is looked for again, consistently.

        Once for all that is fired in one go: who deletes a workflow meanwhile pauses its schedules, and that stops
        their runs.
        """
        wanted = {_workflow(schedule) for schedule in due}
        found = self.workflows.find(list(wanted))
        if missing := wanted - found.keys():
            found |= self.workflows.find(list(missing), consistent=True)
        return found, self._open({project for project, _ in found})

    def _open(self, ids: set[str]) -> dict[str, Project]:
        """Those of these projects that were not deleted."""
        found: dict[str, Project] = {}
        for id in ids:
            with suppress(NotFound):
                found[id] = self.projects.by_id(id)
        return found

    def _advance(self, some: Sequence[Owed]) -> list[tuple[str, str]]:
        """Save what became of each schedule. Those that somebody saved meanwhile, or that owe more, are the answer."""
        moved, again = [owed for owed in some if owed.after != owed.schedule], []
        outcomes = self.schedules.save_many([(owed.schedule, owed.after) for owed in moved]) if moved else []
        for held, owed in zip(outcomes, moved, strict=True):
            if held is False or (held and owed.is_cut):
                again.append((owed.schedule.project_id, owed.schedule.id))
            if held:
                _log(owed.schedule, owed.after)
        return again


def make(
    schedule: Schedule, workflow: Workflow, project: Project, at: Due, now: datetime, wake_after: timedelta
) -> Run:
    """The run of an occurrence. It gets its input when it starts; under a disabled workflow it is left out at once."""
    id = run_id(schedule, at.scheduled_for)
    run = Run(
        id=id,
        project_id=schedule.project_id,
        workflow_id=workflow.id,
        workflow_version=workflow.version,
        definition_hash=workflow.facts.definition_hash,
        origin=Origin.schedule,
        schedule_id=schedule.id,
        scheduled_for=at.scheduled_for,
        created_by=BY_SCHEDULE,
        created_at=now,
        correlation_id=id,
        session_id=schedule.settings.session_id,
        tweaks=schedule.settings.tweaks,
        timeout_seconds=schedule.settings.timeout_seconds or workflow.settings.timeout_seconds,
        retry=schedule.settings.retry,
        retention_days=project.retention_days,
        not_before=at.fires_at if at.fires_at > now else None,
        wake_at=max(at.fires_at, now) + wake_after,
    )
    return run if workflow.enabled else run_rules.skip(run, now, "workflow_disabled", "Its workflow is disabled.")


def _workflow(schedule: Schedule) -> tuple[str, str]:
    return schedule.project_id, schedule.workflow_id


def _log(before: Schedule, after: Schedule) -> None:
    """Only what was missed: a line for each of thousands that fire as they should would be a tenth of the tick."""
    fired, missed = after.fired - before.fired, after.skipped_missed - before.skipped_missed
    if missed:
        logger.info("schedule.missed", extra={"schedule_id": after.id, "fired": fired, "missed": missed})
