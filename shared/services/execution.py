"""Executing a batch of run messages: sort, admit, claim, carry out. What cannot go now is put off at no cost.

Each step leaves the table so that a crash after it is repaired: a run that is stored and not over is on Wake.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain import run as run_rules
from shared.domain.breaker import Breaker
from shared.domain.message import Delivery, RunMessage
from shared.domain.overlap import Overlap
from shared.domain.run import Acknowledge, Claim, Run, RunError, RunStatus, SendAgain
from shared.domain.source import Source
from shared.domain.workflow import WorkflowVersion
from shared.errors import Delivered, SparkError, Unavailable
from shared.observability import about, count, logger, measure
from shared.queue import RunQueue
from shared.services.admission import Admission, Gate
from shared.services.attempts import UPSTREAM_DOWN, Answered, Assignment, Attempts, Carried, Failed, Handed, Outcome
from shared.services.submission import announce
from shared.services.watching import Watch, Watched
from shared.store.runs import RunStore
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore

MARGIN = timedelta(seconds=3)  # kept of the lease for writing down what came out
MAX_CACHED_VERSIONS = 500


Changes = dict[str, Any]
"""Fields of a run that its schedule changes when it starts."""

# What only runs of schedules need, and what costs the cold start of all others nothing:
Recheck = Callable[[Sequence[Run]], dict[str, Changes | None]]  # `rechecking.recheck`
Enter = Callable[[Run, Overlap], bool]  # `Turnstile.enter`
Ended = Callable[[Run], None]  # `Endings.ended`
Trace = Callable[[Sequence[Carried], datetime], None]  # `Exporting.export`


def tell_nobody(carried: Sequence[Carried], lease_until: datetime) -> None:
    """The `Trace` of a deployment that has no receiver of traces."""


@dataclass(frozen=True)
class Context:
    """What a run needs besides itself."""

    version: WorkflowVersion
    source: Source
    breaker: Breaker


@dataclass
class Executor:
    """Executes batches in one Lambda environment. Remembers versions, which never change."""

    runs: RunStore
    workflows: WorkflowStore
    sources: SourceStore
    queue: RunQueue
    attempts: Attempts
    gate: Gate
    recheck: Recheck
    enter: Enter
    ended: Ended
    now: Callable[[], datetime]
    wake_after: timedelta
    _versions: dict[tuple[str, str, int], WorkflowVersion] = field(default_factory=dict)
    trace: Trace = tell_nobody

    def execute(self, messages: Sequence[RunMessage], lease_until: datetime, worker: str, invocation: str) -> None:
        """Do what `messages` announce, all at the same time, and return when it is done.

        Args:
            lease_until: when this invocation will be dead for certain.
            worker: who we are, for the record.
            invocation: a name that no other call of this function has.

        Raises:
            SparkError, ClientError: something could not be read or written. Deliver the messages again; what was
                claimed is known by its turn, and what of it was not finished comes back when its lease ends.
        """
        due = self._sort(messages)
        learnt = self.recheck(due) if any(run.awaits_schedule for run in due) else {}
        self._call_off([run for run in due if learnt.get(run.id, {}) is None])
        due = [run for run in due if not run.awaits_schedule or learnt.get(run.id) is not None]
        contexts = self._contexts(due)
        self._fail_orphans([run for run in due if run.id not in contexts])
        admitted = self._admit([run for run in due if run.id in contexts], contexts, lease_until)
        claimed = self._claim(self._enter(admitted, learnt), learnt, lease_until, invocation)
        self._return(admitted, claimed, contexts)
        self._carry_out([self._assign(run, contexts[run.id], worker) for run in claimed], lease_until)

    def _sort(self, messages: Sequence[RunMessage]) -> list[Run]:
        """The runs whose turn has come. Messages that came early are sent again, all others are forgotten."""
        turns = _latest_turns(messages)
        found = self.runs.get_many(list(turns), consistent=True)
        due, early = [], list[Delivery]()
        for id, (turn, original) in turns.items():
            run = found.get(id)
            match run_rules.on_message(run, turn, self.now()):
                case Acknowledge(reason):
                    facts = {"run_id": id[1], "turn": turn, "correlation_id": original.correlation_id}
                    logger.info("message.acknowledged", extra={**facts, "reason": reason})
                case SendAgain(wait):
                    early.append(Delivery(original, wait))
                case Claim(due_run):
                    due.append(due_run)
        if early:
            self.queue.send(early)
        return due

    def _contexts(self, runs: Sequence[Run]) -> dict[str, Context]:
        """Context by run id; a run whose workflow or source is gone has none.

        A run fails for good without one, so what a quick read does not show is looked for again, consistently: it may
        have been written a moment ago.
        """
        found = self._look_up(runs, consistent=False)
        missing = [run for run in runs if run.id not in found]
        return found | self._look_up(missing, consistent=True) if missing else found

    def _look_up(self, runs: Sequence[Run], *, consistent: bool) -> dict[str, Context]:
        self._learn_versions({_version_id(run) for run in runs}, consistent=consistent)
        known = {run.id: self._versions[_version_id(run)] for run in runs if _version_id(run) in self._versions}
        wanted = {(version.project_id, version.source_id) for version in known.values()}
        found = self.sources.with_breakers(sorted(wanted), consistent=consistent) if wanted else {}
        contexts = {}
        for id, version in known.items():
            source, breaker = found.get((version.project_id, version.source_id), (None, None))
            if source is not None and breaker is not None:
                contexts[id] = Context(version, source, breaker)
        return contexts

    def _learn_versions(self, ids: set[tuple[str, str, int]], *, consistent: bool) -> None:
        if len(self._versions) > MAX_CACHED_VERSIONS:
            self._versions.clear()
        if unknown := sorted(ids - self._versions.keys()):
            self._versions |= self.workflows.get_versions(unknown, consistent=consistent)

    def _fail_orphans(self, runs: Sequence[Run]) -> None:
        """End runs that nothing could ever execute, with the reason."""
        for run in runs:
            reason = "Its workflow or source was deleted."
            error = run_rules.error_of("source_missing", reason, run.attempt)
            self._end(run, error)

    def _end(self, run: Run, error: RunError) -> None:
        (saved,) = self.runs.save_many([(run, run_rules.fail(run, error, self.now()))])
        if saved is not None:
            count("RunsFailed")
            logger.error("run.failed", extra={**about(run), "code": error.code})
            self._tell(saved)

    def _call_off(self, runs: Sequence[Run]) -> None:
        """End runs that their schedule no longer wants. One that it may want again is to ask once more."""
        now = self.now()
        moves = [(run, run_rules.call_off(run, now)) for run in runs]
        saved = [run for run in self.runs.save_many(moves) if run is not None] if moves else []
        announce([run for run in saved if not run.is_final], self.queue, now)
        for run in saved:
            if run.is_final:
                count("RunsCalledOff")
                logger.info("run.called_off", extra=about(run))
                self._tell(run)

    def _tell(self, run: Run) -> None:
        if run.schedule_id is not None:
            self.ended(run)

    def _enter(self, runs: Sequence[Run], learnt: Mapping[str, Changes | None]) -> list[Run]:
        """Those of `runs` that need not wait for an earlier run of their schedule."""
        return [run for run in runs if self._may_enter(run, (learnt.get(run.id) or {}).get("overlap", run.overlap))]

    def _may_enter(self, run: Run, policy: Overlap | None) -> bool:
        if policy in (None, Overlap.allow) or run.status is not RunStatus.pending:
            return True
        try:
            return self.enter(run, policy)
        except Unavailable:  # its message is done with; Wake brings it up again
            logger.warning("slot.busy", extra=about(run))
            return False

    def _admit(self, runs: Sequence[Run], contexts: dict[str, Context], lease_until: datetime) -> list[Run]:
        by_source: dict[str, list[Run]] = {}
        for run in runs:
            by_source.setdefault(contexts[run.id].source.id, []).append(run)
        go: list[Run] = []
        for group in by_source.values():
            context = contexts[group[0].id]
            admission = self.gate.admit(context.source, context.breaker, group, self.now(), lease_until)
            self._defer(admission)
            go += admission.go
        return go

    def _defer(self, admission: Admission) -> None:
        now = self.now()
        for run, _ in admission.wait:
            if run_rules.deferred_too_long(run, now):
                message = "Its source was not available for 24 hours."
                self._end(run, run_rules.error_of("deferred_too_long", message, run.attempt))
        waiting = [(run, until) for run, until in admission.wait if not run_rules.deferred_too_long(run, now)]
        moves = [(run, run_rules.defer(run, now, until, self.wake_after)) for run, until in waiting]
        deferred = [run for run in self.runs.save_many(moves) if run is not None] if moves else []
        announce(deferred, self.queue, now)
        count("RunsDeferred", len(deferred))

    def _claim(
        self, runs: Sequence[Run], learnt: Mapping[str, Changes | None], lease_until: datetime, invocation: str
    ) -> list[Run]:
        """Those of `runs` that are ours now: one conditional write each, in one request.

        What did not hold is looked at once more: the claim may be ours, and only the table's answer was lost.
        """
        if not runs:
            return []
        now = self.now()
        taken = [run_rules.claim(run, now, lease_until, invocation) for run in runs]
        moves = [(run, after.model_copy(update=learnt.get(run.id))) for run, after in zip(runs, taken, strict=True)]
        claimed = [run for run in self.runs.save_many(moves) if run is not None]
        _measure_lateness(runs, claimed, now)
        lost = {(run.project_id, run.id) for run in runs} - {(run.project_id, run.id) for run in claimed}
        found = self.runs.get_many(sorted(lost), consistent=True) if lost else {}
        turns = {run.id: after.turn for run, after in moves}
        return claimed + [run for run in found.values() if run.claimed_by == invocation and run.turn == turns[run.id]]

    def _return(self, admitted: Sequence[Run], claimed: Sequence[Run], contexts: dict[str, Context]) -> None:
        """Give back what was taken of a source for runs that are not ours after all."""
        mine, now = {run.id for run in claimed}, self.now()
        for run in admitted:
            if run.id not in mine:
                context = contexts[run.id]
                self.gate.release(context.source, [run.id], {}, now)
                self.gate.report_nothing(context.source, context.breaker)

    def _assign(self, run: Run, context: Context, worker: str) -> Assignment:
        now = self.now()
        assert run.lease_until is not None  # just claimed
        timeout = timedelta(seconds=run.timeout_seconds)
        return Assignment(
            run=run,
            version=context.version,
            source=context.source,
            breaker=context.breaker,
            worker=worker,
            deadline=min(now + timeout, run.lease_until - MARGIN),
        )

    def _carry_out(self, assignments: Sequence[Assignment], lease_until: datetime) -> None:
        """Run all attempts at once, under watch. Returns with no thread alive."""
        if not assignments:
            return
        watched = [Watched(each.run, each.stopper) for each in assignments]
        with Watch(watched, self.runs), ThreadPoolExecutor(len(assignments), "attempt") as pool:
            futures = [pool.submit(self._carry_out_one, *pair) for pair in zip(assignments, watched, strict=True)]
        carried = [None if future.exception() else future.result() for future in futures]
        ended = [each and each.run for each in carried]
        self._release(assignments, ended)
        _count_ends(ended)
        self._trace([each for each in carried if each is not None], lease_until)
        for future in futures:
            future.result()  # what could not be written down is the caller's to know; the run's lease will end

    def _trace(self, carried: Sequence[Carried], lease_until: datetime) -> None:
        try:
            self.trace(carried, lease_until)
        except Exception:  # noqa: BLE001  # the runs are saved: nothing about telling of them may give them back
            logger.exception("traces.failed")
            count("TracesNotExported", sum(each.run is not None for each in carried))

    def _carry_out_one(self, assignment: Assignment, watched: Watched) -> Carried:
        """One attempt, and what it says about the source."""
        try:
            carried = self.attempts.carry_out(assignment)
        finally:
            watched.over = True
        if carried.run is not None and carried.run.is_final:
            self._tell(carried.run)
        self._report(assignment, carried.outcome)
        return carried

    def _report(self, assignment: Assignment, outcome: Outcome) -> None:
        """What the outcome says about the source. The run is saved by now: a report that fails is only logged."""
        source, seen = assignment.source, assignment.breaker
        try:
            if _has_answered(assignment.run, outcome):
                self.gate.report_success(source, seen)
            elif isinstance(outcome, Failed) and outcome.failure.code in UPSTREAM_DOWN:
                self.gate.report_failure(source, self.now())
            else:
                self.gate.report_nothing(source, seen)
        except (SparkError, ClientError, BotoCoreError):
            logger.warning("breaker.not_reported", extra={"source": source.id}, exc_info=True)

    def _release(self, assignments: Sequence[Assignment], ended: Sequence[Run | None]) -> None:
        """Give back the leases of a limited source: one write for all runs of the batch."""
        now = self.now()
        for source in {each.source.id: each.source for each in assignments}.values():
            mine = [(each, run) for each, run in zip(assignments, ended, strict=True) if each.source.id == source.id]
            held = {run.id: run.wake_at for _, run in mine if run is not None and run.awaits_job and run.wake_at}
            self.gate.release(source, [each.run.id for each, _ in mine if each.run.id not in held], held, now)


def _has_answered(run: Run, outcome: Outcome) -> bool:
    """Did LangFlow say anything of its own? A job that goes on may also be one that could not be asked for."""
    if isinstance(outcome, Failed):
        return outcome.failure.delivered is Delivered.yes
    return isinstance(outcome, Answered) or (isinstance(outcome, Handed) and run.job_id is None)


def _latest_turns(messages: Iterable[RunMessage]) -> dict[tuple[str, str], tuple[int, RunMessage]]:
    """The highest turn announced for each run: a batch may hold several messages of one run."""
    latest: dict[tuple[str, str], tuple[int, RunMessage]] = {}
    for each in messages:
        id = (each.project_id, each.run_id)
        if id not in latest or each.turn > latest[id][0]:
            latest[id] = (each.turn, each)
    return latest


def _version_id(run: Run) -> tuple[str, str, int]:
    return run.project_id, run.workflow_id, run.workflow_version


def _measure_lateness(runs: Iterable[Run], claimed: Iterable[Run], now: datetime) -> None:
    """How long after its time each of `claimed` begins. `runs` are the same as they were before. Retries and polls have
    begun already; their time is of our own making."""
    due_at = {run.id: _due_at(run) for run in runs if run.started_at is None}
    for run in claimed:
        if run.id in due_at:
            measure("RunLateness", max((now - due_at[run.id]).total_seconds(), 0.0))


def _due_at(run: Run) -> datetime:
    """`not_before` has the jitter in it, until a busy source moves it: that wait is lateness."""
    return run.due_at if run.not_before is None or run.deferred_since is not None else run.not_before


def _count_ends(ended: Iterable[Run | None]) -> None:
    for run in ended:
        if run is not None:
            count(f"Runs{run.status.capitalize()}" if run.is_final else "RunsContinued")
            logger.info("run.saved", extra={**about(run), "status": run.status, "attempt": run.attempt})
