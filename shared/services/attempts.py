"""One attempt of a run: call LangFlow, decide what follows, write it down, announce the next turn."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from shared import payloads
from shared.domain import run as run_rules
from shared.domain.attempt import Attempt, LogLine, Step
from shared.domain.breaker import Breaker
from shared.domain.project import Retention
from shared.domain.retry import RetryPolicy
from shared.domain.run import Run, RunStatus
from shared.domain.source import Source
from shared.domain.workflow import WorkflowSettings, WorkflowVersion
from shared.errors import Conflict, Delivered, FlowFailure, NotFound, PayloadGone, cut
from shared.langflow import FlowAnswer, FlowCall, LangFlow, Stopper
from shared.observability import about, logger
from shared.payloads import Payloads
from shared.queue import RunQueue
from shared.services.submission import announce, input_of
from shared.store.runs import RunStore

SAVE_ROUNDS = 5  # how often the end of an attempt is saved again after the run was marked or moved meanwhile
MAX_STEPS, MAX_LOGS = 100, 20  # at most 64 KB even if nothing could be compressed
MAX_NAME_BYTES, MAX_STEP_ERROR_BYTES = 100, 200
JOB_ENDS = frozenset({"flow_failed", "cancelled", "job_lost"})
UPSTREAM_DOWN = frozenset({"upstream_unavailable", "upstream_error", "disconnected"})  # what a breaker counts


@dataclass(frozen=True)
class Assignment:
    """A claimed run and everything its attempt needs."""

    run: Run
    version: WorkflowVersion
    source: Source
    breaker: Breaker
    worker: str
    deadline: datetime
    stopper: Stopper = field(default_factory=Stopper)

    @property
    def policy(self) -> RetryPolicy:
        return self.run.retry or self.version.settings.retry


@dataclass(frozen=True)
class Answered:
    """`output` are the fields of the attempt's page that hold the answer's output or say where it is."""

    answer: FlowAnswer
    output: dict[str, Any]


@dataclass(frozen=True)
class Handed:
    """LangFlow works on it as a background job."""

    job_id: str


@dataclass(frozen=True)
class Failed:
    failure: FlowFailure


@dataclass(frozen=True)
class Cancelled:
    upstream_stopped: bool


Outcome = Answered | Handed | Failed | Cancelled


class Carried(NamedTuple):
    """An attempt that is over: the run as saved, or None when somebody else had taken it over; what came of it; and its
    page, unless a job merely goes on."""

    assignment: Assignment
    run: Run | None
    outcome: Outcome
    page: Attempt | None


@dataclass(frozen=True)
class Attempts:
    """Carries out attempts. `connect` opens a client for a source, `chance` is the retry's jitter, `traceparent` the
    header by which LangFlow's own spans join the run's trace."""

    runs: RunStore
    queue: RunQueue
    bucket: Payloads
    connect: Callable[[Source, str], LangFlow]
    now: Callable[[], datetime]
    chance: Callable[[], float]
    wake_after: timedelta
    traceparent: Callable[[Run], str | None] = lambda _: None

    def carry_out(self, assignment: Assignment) -> Carried:
        """Run one attempt to its end."""
        started = self.now()
        outcome = self._call(assignment)
        ended = self.now()
        page = self._page(assignment, outcome, started, ended)
        saved = self._save(assignment, outcome, page)
        if saved is None:
            logger.warning("attempt.superseded", extra=about(assignment.run))
        elif not saved.is_final:
            announce([saved], self.queue, ended)
        return Carried(assignment, saved, outcome, page)

    def _call(self, assignment: Assignment) -> Outcome:
        """What came of the call. Our own faults become failures, too: no run shall wait for its lease to end."""
        try:
            return self._ask(assignment, self.connect(assignment.source, assignment.run.correlation_id))
        except FlowFailure as failure:
            if failure.code == "cancelled":  # hanging up does not stop a sync run; a job says itself that it was
                return Cancelled(upstream_stopped=failure.delivered is Delivered.yes)
            return Failed(failure)
        except PayloadGone as gone:
            return Failed(FlowFailure("payload_expired", str(gone), Delivered.yes))
        except (ClientError, BotoCoreError) as error:
            logger.exception("attempt.aws_failed", extra=about(assignment.run))
            return self._our_fault(assignment.run, FlowFailure("aws_unavailable", _aws_message(error), Delivered.no))
        except Exception as error:  # noqa: BLE001  # the boundary of a thread: anything unforeseen must end the attempt
            logger.exception("attempt.crashed", extra=about(assignment.run))
            return self._our_fault(
                assignment.run, FlowFailure("internal_error", type(error).__name__, Delivered.unknown)
            )

    def _our_fault(self, run: Run, failure: FlowFailure) -> Outcome:
        """A fault of ours says nothing about a job that LangFlow works on: ask again while it has time left."""
        if run.job_id is not None and not self._is_late(run):
            return Handed(run.job_id)
        return Failed(failure)

    def _ask(self, assignment: Assignment, langflow: LangFlow) -> Outcome:
        run = assignment.run
        if run.job_id is not None:
            return self._follow_job(assignment, run.job_id, langflow)
        call = self._flow_call(assignment)
        if run.needs_job:
            return Handed(langflow.submit(call))
        return self._answered(assignment, langflow.run(call, assignment.stopper))

    def _follow_job(self, assignment: Assignment, job_id: str, langflow: LangFlow) -> Outcome:
        run, settings = assignment.run, assignment.version.settings
        if run.cancel_requested_at is not None:
            return Cancelled(langflow.stop(job_id))
        try:
            answer = langflow.poll(job_id, settings.output_component, _tweaks(run, settings))
            if isinstance(answer, FlowAnswer):
                return self._answered(assignment, answer)
        except FlowFailure as failure:
            if failure.code in JOB_ENDS or (failure.code == "timeout" and failure.delivered is Delivered.yes):
                raise
            logger.info("job.not_asked", extra={**about(run), "code": failure.code})  # the job may well live on
        if not self._is_late(run):
            return Handed(job_id)
        stopped = "and was stopped" if langflow.stop(job_id) else "and may still be running"
        message = f"The background job took longer than {run.timeout_seconds} s {stopped}."
        return Failed(FlowFailure("timeout", message, Delivered.unknown))

    def _is_late(self, run: Run) -> bool:
        return run.job_deadline is not None and run.job_deadline <= self.now()

    def _flow_call(self, assignment: Assignment) -> FlowCall:
        run, settings = assignment.run, assignment.version.settings
        return FlowCall(
            flow_id=assignment.version.flow_id,
            input_value=input_of(run, self.bucket),
            session_id=run.session_id or run.id,  # LangFlow's own default is one session for all runs of a flow
            tweaks=_tweaks(run, settings),
            input_component=settings.input_component,
            output_component=settings.output_component,
            timeout_seconds=max((assignment.deadline - self.now()).total_seconds(), 0.1),
            idempotency_key=f"{assignment.version.flow_id}-{run.job_key}",
            traceparent=self.traceparent(run),
        )

    def _page(self, assignment: Assignment, outcome: Outcome, started: datetime, ended: datetime) -> Attempt | None:
        """The page of this attempt as it is now; None when a job is merely still running."""
        run = assignment.run
        if isinstance(outcome, Handed) and run.job_id is not None:
            return None
        before = self.runs.page(run.project_id, run.id, run.attempt) if run.job_id is not None else None
        page = before or Attempt(
            project_id=run.project_id, run_id=run.id, number=run.attempt, started_at=started, worker=assignment.worker
        )
        logs = (*page.logs, *_log_lines(run, outcome, started, ended, first=before is None))
        changes: dict[str, Any] = {"logs": logs[:1] + logs[1:][-MAX_LOGS:], "expires_at": run_rules.expiry(run, ended)}
        if not isinstance(outcome, Handed):
            changes["ended_at"] = ended
        if isinstance(outcome, Answered):
            changes |= {"steps": _steps(outcome.answer.steps), **outcome.output}
        if isinstance(outcome, Failed):
            changes["error"] = run_rules.attempt_error(run, outcome.failure, assignment.policy)
        return page.model_copy(update=changes)

    def _answered(self, assignment: Assignment, answer: FlowAnswer) -> Answered:
        """The output goes on the page when it is small, else into the bucket.

        Raises:
            FlowFailure: it could not be kept, so this attempt was for nothing.
        """
        output = answer.text if answer.text is not None else answer.output
        text = json.dumps(output, ensure_ascii=False)
        if not payloads.is_large(text):
            return Answered(answer, {"output": output, "output_bytes": len(text.encode())})
        run = assignment.run
        key = payloads.run_key(Retention(run.retention_days), run.project_id, run.id, f"output-{run.attempt}")
        try:
            return Answered(answer, {"output_key": key, "output_bytes": self.bucket.put_json(key, output)})
        except (ClientError, BotoCoreError) as error:
            raise FlowFailure("aws_unavailable", _aws_message(error), Delivered.unknown) from error

    def _save(self, assignment: Assignment, outcome: Outcome, page: Attempt | None) -> Run | None:
        """Save the run's next state and the page, over whatever happened to the run while this turn is its last."""
        run: Run = assignment.run
        for _ in range(SAVE_ROUNDS):
            after = self._next(assignment, run, outcome)
            saved = self._store(run, after, page)
            if saved is not None:
                return saved
            latest = self._reload(run)
            if latest == run_rules.saved(after):
                return latest  # our own write had gone through; only its answer was lost
            if latest is None or latest.turn != run.turn or latest.status is not RunStatus.running:
                return None
            run = latest
        raise Conflict(f"Run {run.id} keeps changing.")

    def _store(self, run: Run, after: Run, page: Attempt | None) -> Run | None:
        if page is None:
            (saved,) = self.runs.save_many([(run, after)])
            return saved
        return self.runs.save_with_page(run, after, page)

    def _reload(self, run: Run) -> Run | None:
        try:
            return self.runs.get(run.project_id, run.id)
        except NotFound:
            return None

    def _next(self, assignment: Assignment, run: Run, outcome: Outcome) -> Run:
        now = self.now()
        match outcome:
            case Answered():
                return run_rules.complete(run, now)
            case Handed(job_id):
                return run_rules.await_job(run, job_id, now, self.wake_after)
            case Cancelled(stopped):
                return run_rules.cancel(run, now, upstream_stopped=stopped)
            case Failed(failure):
                policy = assignment.policy
                return run_rules.after_failure(run, failure, policy, now, self.chance(), self.wake_after)


def _tweaks(run: Run, settings: WorkflowSettings) -> dict[str, Any]:
    return {**settings.tweaks, **(run.tweaks or {})}


def _aws_message(error: ClientError | BotoCoreError) -> str:
    """What a user may read: AWS's own texts name accounts, roles and keys, and go to the log only."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return f"An AWS service failed: {code}."


def _steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """As many steps as a page has room for, each with the beginning of its error."""
    return tuple(
        step.model_copy(
            update={
                "name": cut(step.name, MAX_NAME_BYTES),
                "component_id": cut(step.component_id, MAX_NAME_BYTES) if step.component_id else None,
                "error": cut(step.error, MAX_STEP_ERROR_BYTES) if step.error else None,
            }
        )
        for step in steps[:MAX_STEPS]
    )


def _log_lines(run: Run, outcome: Outcome, started: datetime, ended: datetime, *, first: bool) -> list[LogLine]:
    lines = [LogLine(at=started, event="attempt.started", message=f"attempt {run.attempt}")] if first else []
    match outcome:
        case Answered():
            lines.append(LogLine(at=ended, event="flow.completed"))
        case Handed(job_id):
            lines.append(LogLine(at=ended, event="job.submitted", message=job_id))
        case Cancelled(stopped):
            lines.append(LogLine(at=ended, event="run.cancelled", message=f"upstream stopped: {stopped}"))
        case Failed(failure):
            message = f"{failure.code}: {failure.message}"
            lines.append(LogLine(at=ended, level="ERROR", event="flow.failed", message=cut(message, 500)))
    return lines
