"""A run: one execution of a workflow, its states and the moves between them.

Every planned step of a run is announced by a message that carries the run's `turn`; each claim, retry, deferral and
poll raises the turn. So a message that arrives twice, late or after a crash is recognised and does nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.overlap import Overlap
from shared.domain.record import Instant, Record, to_milliseconds
from shared.domain.retry import GiveUp, RetryPolicy, decide, is_retryable
from shared.domain.workflow import LONGEST_SYNC_SECONDS
from shared.errors import Conflict, Delivered, FlowFailure, cut

EARLY = timedelta(seconds=1)  # SQS delays whole seconds: a message this much early is on time
LEASE_GRACE = timedelta(seconds=60)  # how long after a lease ends the tick looks again
CLOCK_SKEW = timedelta(seconds=30)  # how far the clocks of two functions may be apart
UNDECIDED = 2 * CLOCK_SKEW  # around its time a run may be wanted again: by a clock that is behind, in a slow request
UNWANTED = "schedule_changed"
LONGEST_WAKE = timedelta(hours=1)
LONGEST_DEFERRAL = timedelta(hours=24)


class RunStatus(StrEnum):
    pending = "pending"
    """Waits for its turn: just created, to be retried, or deferred by its source's limits."""
    running = "running"
    """An executor works on it, or LangFlow does and an executor asks now and then."""
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"
    skipped = "skipped"
    """Its schedule's overlap policy left it out."""


MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.pending: frozenset(
        {RunStatus.pending, RunStatus.running, RunStatus.failed, RunStatus.cancelled, RunStatus.skipped}
    ),
    RunStatus.running: frozenset(
        {RunStatus.running, RunStatus.pending, RunStatus.completed, RunStatus.failed, RunStatus.cancelled}
    ),
    RunStatus.completed: frozenset(),
    RunStatus.failed: frozenset(),
    RunStatus.cancelled: frozenset(),
    RunStatus.skipped: frozenset(),
}
FINAL = frozenset(status for status, following in MOVES.items() if not following)


class Origin(StrEnum):
    api = "api"
    schedule = "schedule"
    manual = "manual"
    backfill = "backfill"
    retry = "retry"


class RunError(BaseModel):
    """Why a run or an attempt ended badly. `code` is stable; `message` is at most 2 KB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    retryable: bool = False
    attempt: int

    @classmethod
    def of(cls, failure: FlowFailure, attempt: int, *, retryable: bool) -> "RunError":
        return cls(code=failure.code, message=failure.message, retryable=retryable, attempt=attempt)


class Run(Record):
    """One execution of one workflow. Its output stands on the page of its last attempt (`Attempt`)."""

    id: str
    workflow_id: str
    workflow_version: int
    definition_hash: str | None = None
    status: RunStatus = RunStatus.pending
    origin: Origin = Origin.api
    schedule_id: str | None = None
    backfill_id: str | None = None
    scheduled_for: Instant | None = Field(None, description="The occurrence of its schedule that it is the run of.")
    overlap: Overlap | None = Field(None, description="How it got along with the other runs of its schedule.")
    created_by: str
    created_at: Instant
    correlation_id: str
    input: str | None = None
    input_key: str | None = Field(None, description="Where the input lives in the payload bucket when it is large.")
    session_id: str | None = None
    tweaks: dict[str, Any] | None = None
    timeout_seconds: int
    retry: RetryPolicy | None = Field(None, description="Overrides the workflow's policy.")
    retry_of: str | None = None
    retention_days: int = Field(0, description="How long it is kept after its end; 0 is for ever.")
    turn: int = 0
    attempt: int = 0
    not_before: Instant | None = None
    wake_at: Instant | None = Field(None, description="When the tick looks after this run if nobody else did.")
    lease_until: Instant | None = None
    claimed_by: str | None = Field(None, description="The invocation that works on it.")
    started_at: Instant | None = None
    finished_at: Instant | None = None
    deferred_since: Instant | None = None
    cancel_requested_at: Instant | None = None
    job_id: str | None = None
    job_deadline: Instant | None = Field(None, description="When the background job's time is up.")
    submission: int = Field(0, description="Which of the background jobs of this run; part of their idempotency key.")
    returns: int = Field(0, description="How often its message came back from the dead-letter queue.")
    error: RunError | None = None
    may_have_run_before: bool = Field(False, description="An earlier attempt may have run the flow, too.")
    upstream_stopped: bool | None = Field(None, description="After a cancel: did LangFlow confirm that it stopped?")
    expires_at: Instant | None = None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def awaits_schedule(self) -> bool:
        """It has not started yet, and its schedule says whether it may, and with which input."""
        return self.attempt == 0 and self.origin in (Origin.schedule, Origin.backfill)

    @property
    def due_at(self) -> datetime:
        """When it was to begin, but for its schedule's jitter. A backfill's run, which is of the past: at once."""
        if self.scheduled_for is None or self.origin is Origin.backfill:
            return self.created_at
        return self.scheduled_for

    @property
    def is_unwanted(self) -> bool:
        """Its schedule did not want it when it asked, but may still change its mind."""
        return self.status is RunStatus.pending and self.error is not None and self.error.code == UNWANTED

    @property
    def needs_job(self) -> bool:
        """Too long for one Lambda invocation: LangFlow must run it in the background."""
        return self.timeout_seconds > LONGEST_SYNC_SECONDS

    @property
    def job_key(self) -> str:
        """LangFlow's idempotency key for this run's job. A new one only after a job is known to have failed."""
        return f"{self.id}-{self.submission}"

    @property
    def awaits_job(self) -> bool:
        """LangFlow works on it in the background and no executor holds it."""
        return self.status is RunStatus.running and self.job_id is not None and self.lease_until is None

    def move(self, status: RunStatus, **changes: Any) -> "Run":
        """This run in `status`, with `changes`.

        Raises:
            Conflict: the move is not in `MOVES`.
        """
        if status not in MOVES[self.status]:
            raise Conflict(f"A {self.status} run cannot become {status}.")
        # Cut as the store cuts them: a run that is read back equals the one that was saved.
        exact = {name: to_milliseconds(at) for name, at in changes.items() if isinstance(at, datetime)}
        return self.model_copy(update={"status": status, **changes, **exact})


@dataclass(frozen=True)
class Acknowledge:
    """The message has nothing left to say."""

    reason: str


@dataclass(frozen=True)
class SendAgain:
    """The message came before its time."""

    wait: timedelta


@dataclass(frozen=True)
class Claim:
    """The message announces the present turn of `run`: take it."""

    run: Run


def on_message(run: Run | None, turn: int, now: datetime) -> Acknowledge | SendAgain | Claim:
    """What a message with `turn` means for `run` at `now`."""
    if run is None:
        return Acknowledge("unknown_run")
    if run.is_final:
        return Acknowledge("final")
    if turn != run.turn:
        return Acknowledge("old_turn")
    if run.status is RunStatus.running and not run.awaits_job:
        return Acknowledge("claimed")
    if run.not_before is not None and run.not_before - now > EARLY:
        return SendAgain(run.not_before - now)
    return Claim(run)


def claim(run: Run, now: datetime, lease_until: datetime, claimed_by: str) -> Run:
    """`run` in the hands of one executor until `lease_until`. A poll of a job goes on with the same attempt.

    `claimed_by` names the invocation, so that it knows its own claim when the table's answer was lost.
    """
    polling = run.awaits_job
    return run.move(
        RunStatus.running,
        turn=run.turn + 1,
        attempt=run.attempt if polling else run.attempt + 1,
        lease_until=lease_until,
        claimed_by=claimed_by,
        not_before=None,
        deferred_since=None,
        error=None if run.is_unwanted else run.error,
        started_at=run.started_at or now,
    )


def complete(run: Run, now: datetime) -> Run:
    return _end(run, RunStatus.completed, now, error=None)


def fail(run: Run, error: RunError, now: datetime) -> Run:
    return _end(run, RunStatus.failed, now, error=error)


def cancel(run: Run, now: datetime, *, upstream_stopped: bool | None = None) -> Run:
    """`run` stopped for good. `upstream_stopped` says whether LangFlow confirmed; None where it never ran."""
    error = None if run.is_unwanted else run.error  # somebody else cancels it, before its schedule does
    return _end(run, RunStatus.cancelled, now, error=error, upstream_stopped=upstream_stopped)


def skip(run: Run, now: datetime, code: str, reason: str) -> Run:
    """`run` left out: nothing of it was tried."""
    return _end(run, RunStatus.skipped, now, error=error_of(code, reason, run.attempt))


def call_off(run: Run, now: datetime) -> Run:
    """`run` cancelled because its schedule no longer wants it; or put off, while it may be wanted again.

    So it is when the schedule is resumed or edited back before the run's time. Nobody would make another one then: its
    id is taken. And whether its time is past yet, clocks do not agree.
    """
    error = error_of(UNWANTED, "Its schedule was edited, paused or deleted before it started.", run.attempt)
    if run.scheduled_for is not None and EARLY - UNDECIDED < now - run.scheduled_for < UNDECIDED - EARLY:
        return run.move(RunStatus.pending, error=error, not_before=run.scheduled_for + UNDECIDED)
    return _end(run, RunStatus.cancelled, now, error=error)


def request_cancel(run: Run, now: datetime) -> Run:
    """`run` as it should be after a user's cancel: gone at once, or marked for the executor that holds it.

    Raises:
        Conflict: the run is over.
    """
    if run.status is RunStatus.pending:
        return cancel(run, now)
    if run.is_final:
        raise Conflict(f"The run is {run.status} already.")
    marked = run.move(RunStatus.running, cancel_requested_at=run.cancel_requested_at or now)
    if run.awaits_job:  # nobody holds it: a new turn brings an executor at once, which stops the job
        return marked.move(RunStatus.running, turn=run.turn + 1, not_before=None)
    return marked


def after_failure(
    run: Run, failure: FlowFailure, policy: RetryPolicy, now: datetime, chance: float, wake_after: timedelta
) -> Run:
    """`run` after its present attempt ended in `failure`: waiting for the next one, failed, or cancelled if asked."""
    decision = decide(policy, run.attempt, failure, chance, keyed=_is_keyed(run))
    error = attempt_error(run, failure, policy)
    if run.cancel_requested_at is not None:
        return cancel(run.model_copy(update={"error": error}), now, upstream_stopped=run.upstream_stopped)
    if isinstance(decision, GiveUp):
        return fail(run, error, now)
    at = now + decision.wait
    return run.move(
        RunStatus.pending,
        turn=run.turn + 1,  # so that no older message starts it earlier
        not_before=at,
        wake_at=at + wake_after,
        lease_until=None,
        job_id=None,
        job_deadline=None,
        submission=run.submission + (failure.delivered is Delivered.yes),
        error=error,
        may_have_run_before=run.may_have_run_before or failure.delivered is not Delivered.no,
    )


def attempt_error(run: Run, failure: FlowFailure, policy: RetryPolicy) -> RunError:
    """How the present attempt of `run` is recorded when it ended in `failure`."""
    return RunError.of(failure, run.attempt, retryable=is_retryable(policy, failure, keyed=_is_keyed(run)))


def _is_keyed(run: Run) -> bool:
    """Whether LangFlow knows the attempt by its idempotency key, so that asking again starts nothing twice."""
    return run.needs_job and run.job_id is None


def defer(run: Run, now: datetime, at: datetime, wake_after: timedelta) -> Run:
    """`run` put off until `at` by its source's limits, at no cost of an attempt.

    `wake_at` stays where it is while it lies behind `at`: moving it would cost two write units.
    """
    moved = run.wake_at if run.wake_at is not None and run.wake_at > at else at + wake_after
    return run.move(
        run.status,
        turn=run.turn + 1,
        not_before=at,
        wake_at=moved,
        deferred_since=run.deferred_since or now,
    )


def give_back(run: Run, now: datetime, wake_after: timedelta) -> Run:
    """`run` after its message came back from the dead-letter queue: the tick brings it up again."""
    return run.move(run.status, returns=run.returns + 1, wake_at=now + wake_after)


def deferred_too_long(run: Run, now: datetime) -> bool:
    return run.deferred_since is not None and now - run.deferred_since > LONGEST_DEFERRAL


def await_job(run: Run, job_id: str, now: datetime, wake_after: timedelta) -> Run:
    """`run` in LangFlow's hands as background job `job_id`; a new turn asks for its state a little later."""
    deadline = run.job_deadline or now + timedelta(seconds=run.timeout_seconds)
    waited = run.timeout_seconds - (deadline - now).total_seconds()
    poll_at = now if run.cancel_requested_at is not None else now + _poll_wait(waited)  # a cancel is to stop it at once
    return run.move(
        RunStatus.running,
        turn=run.turn + 1,
        job_id=job_id,
        job_deadline=deadline,
        not_before=poll_at,
        wake_at=poll_at + wake_after,
        lease_until=None,
    )


def _poll_wait(waited_seconds: float) -> timedelta:
    """A tenth of the time waited so far, so that a result is at most that late: from 2 seconds to a minute."""
    return timedelta(seconds=min(max(waited_seconds / 10, 2), 60))


@dataclass(frozen=True)
class WakeLater:
    """All is well with the run: look again at its new `wake_at`."""

    run: Run


@dataclass(frozen=True)
class Resend:
    """Its message may be lost: save the new `wake_at`, then send the same turn again."""

    run: Run


@dataclass(frozen=True)
class WorkerLost:
    """The executor that held it is gone: that attempt is over, as `failure` says."""

    failure: FlowFailure


@dataclass(frozen=True)
class Leave:
    """Nothing to do."""


def on_wake(run: Run, now: datetime, wake_after: timedelta) -> WakeLater | Resend | WorkerLost | Leave:
    """What the tick does about `run`, met at `now` with its `wake_at` in the past."""
    if run.is_final or run.wake_at is None or run.wake_at > now:
        return Leave()
    if run.status is RunStatus.pending or run.awaits_job:
        return Resend(run.move(run.status, wake_at=now + _wake_distance(run, wake_after)))
    if run.lease_until is not None and run.lease_until + min(CLOCK_SKEW, wake_after) > now:
        return WakeLater(run.move(run.status, wake_at=run.lease_until + min(LEASE_GRACE, wake_after)))
    if run.job_id is not None:  # LangFlow works on: only the executor that asked for its state is gone
        return Resend(await_job(run, run.job_id, now, wake_after))
    return WorkerLost(FlowFailure("worker_lost", "The executor that ran it ended without a word.", Delivered.unknown))


def _wake_distance(run: Run, wake_after: timedelta) -> timedelta:
    """Twice the last one, up to an hour: 5, 10, 20 … 60 minutes. It follows from the time waited so far."""
    assert run.wake_at is not None  # only asked of a run that is on Wake
    since = run.not_before or run.created_at
    return min(max(run.wake_at - since, timedelta(0)) + wake_after, LONGEST_WAKE)


def _end(run: Run, status: RunStatus, now: datetime, **changes: Any) -> Run:
    return run.move(
        status,
        finished_at=now,
        expires_at=expiry(run, now),
        wake_at=None,
        lease_until=None,
        claimed_by=None,
        not_before=None,
        **changes,
    )


def expiry(run: Run, now: datetime) -> datetime | None:
    """When what is written about `run` at `now` may be deleted."""
    return (now + timedelta(days=run.retention_days)).replace(microsecond=0) if run.retention_days else None


def wait(run: Run, now: datetime) -> timedelta:
    """How long the message of `run` is to be held back."""
    return max(run.not_before - now, timedelta(0)) if run.not_before is not None else timedelta(0)


def saved(run: Run) -> Run:
    """`run` as it is after its save."""
    return run.model_copy(update={"revision": run.revision + 1})


def error_of(code: str, message: str, attempt: int) -> RunError:
    """A failure that is ours to name, not LangFlow's."""
    return RunError(code=code, message=cut(message), attempt=attempt)
