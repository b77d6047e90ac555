"""Overlap: which of the runs of one schedule go, which wait, and which are left out. Decided when a run is claimed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain import overlap as overlap_rules
from shared.domain import run as run_rules
from shared.domain.overlap import Enter, Oust, Overlap, Skip, Slot, Wait
from shared.domain.run import Run, RunStatus
from shared.errors import Conflict, NotFound, Unavailable
from shared.observability import about, count, logger
from shared.queue import RunQueue
from shared.services import submission
from shared.services.submission import announce
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore

ROUNDS = 20  # many executors may want the same slot
REASON = "An earlier run of its schedule was not over."


@dataclass(frozen=True)
class Turnstile:
    schedules: ScheduleStore
    runs: RunStore
    queue: RunQueue
    now: Callable[[], datetime]

    def enter(self, run: Run, policy: Overlap) -> bool:
        """May `run`, which is about to be claimed, go? If not, it waits for somebody to leave, or is over.

        Every write before the slot's may be done twice: whoever comes again finds what was done.

        Raises:
            Unavailable: too many want the slot at this moment; the message is to come again.
        """
        assert run.schedule_id is not None  # only runs of schedules overlap
        for _ in range(ROUNDS):
            slot = self.schedules.get_slot(run.project_id, run.schedule_id)
            decision = overlap_rules.enter(self._pass_by_the_dead(slot, run), run.id, policy)
            try:
                self._carry_out(slot, decision)
            except (Conflict, NotFound):
                continue  # somebody was faster: look again
            if isinstance(decision, Skip) and decision.run != run.id:
                continue  # another one was left out; now for this one
            self._announce(decision.slot.holder, slot, run)
            return isinstance(decision, Enter | Oust)
        raise Unavailable(f"The slot of schedule {run.schedule_id} is too busy.")

    def leave(self, run: Run) -> None:
        """`run` is over: whoever waits next has the slot, and is announced."""
        assert run.schedule_id is not None
        for _ in range(ROUNDS):
            slot = self.schedules.get_slot(run.project_id, run.schedule_id)
            after = self._pass_by_the_dead(overlap_rules.leave(slot, run.id), run)
            try:
                self._save(slot, after)
            except Conflict:
                continue
            return self._announce(after.holder, slot, run)
        return None  # whoever wants the slot next finds that its holder is over

    def _pass_by_the_dead(self, slot: Slot, run: Run) -> Slot:
        """`slot` in the hands of the first who is not over: of `run`, who has it, and the hundred at most who wait.

        Who waits may be cancelled meanwhile, or expire, and whoever was to tell may have died.
        """
        while slot.holder is not None and slot.holder != run.id and self._is_over(slot.project_id, slot.holder):
            slot = overlap_rules.leave(slot, slot.holder)
        return slot

    def _is_over(self, project: str, run_id: str) -> bool:
        """A run whose worker died is not: the tick ends it."""
        try:
            return self.runs.get(project, run_id).is_final
        except NotFound:
            return True

    def _carry_out(self, slot: Slot, decision: Enter | Wait | Skip | Oust) -> None:
        if isinstance(decision, Skip):
            return self._skip(slot, decision)
        if isinstance(decision, Oust):
            self._cancel(slot.project_id, decision.holder)
        return self._save(slot, decision.slot)

    def _skip(self, slot: Slot, decision: Skip) -> None:
        """Leave a run out and count it; one that is over or under way only stops waiting."""
        run = self.runs.get(slot.project_id, decision.run)
        if run.status is not RunStatus.pending:
            return self._save(slot, decision.slot.model_copy(update={"skipped": slot.skipped}))
        skipped = run_rules.skip(run, self.now(), "overlap", REASON)
        self.schedules.save_slot_and_run(slot, decision.slot, run, skipped)
        count("RunsSkipped")
        logger.info("run.skipped", extra=about(run))
        return None

    def _cancel(self, project: str, run_id: str) -> None:
        try:
            submission.cancel(project, run_id, self.now(), runs=self.runs, queue=self.queue)
        except (Conflict, NotFound):
            return  # it is over by itself

    def _save(self, before: Slot, after: Slot) -> None:
        if after != before:
            self.schedules.save_slot(before, after)

    def _announce(self, holder: str | None, before: Slot, run: Run) -> None:
        """Tell a run that waited that it has the slot now. If the message is lost, Wake brings it up again."""
        if holder is None or holder in (before.holder, run.id):
            return
        try:
            waiting = self.runs.get(run.project_id, holder)
        except NotFound:
            return
        announce([waiting], self.queue, self.now())
