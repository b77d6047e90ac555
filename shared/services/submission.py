"""Submitting runs: check, store, announce. A stored run will run, whatever becomes of its message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from shared import payloads
from shared.domain import message
from shared.domain import run as run_rules
from shared.domain.overlap import Overlap
from shared.domain.project import Project, Retention
from shared.domain.record import id_time
from shared.domain.retry import RetryPolicy
from shared.domain.run import Origin, Run, RunStatus
from shared.domain.workflow import Workflow
from shared.errors import Conflict, Unavailable
from shared.observability import logger, those
from shared.payloads import Payloads
from shared.queue import RunQueue
from shared.store.runs import RunStore

CANCEL_ROUNDS = 5  # how often a cancel meets a run that has just moved on


@dataclass(frozen=True)
class Order:
    """What a caller wants run."""

    input: str
    session_id: str | None = None
    tweaks: dict[str, Any] | None = None
    timeout_seconds: int | None = None
    retry: RetryPolicy | None = None


@dataclass(frozen=True)
class Submission:
    """On whose behalf, when and why runs are made."""

    project: Project
    created_by: str
    correlation_id: str
    now: datetime
    wake_after: timedelta
    origin: Origin = Origin.api
    retry_of: str | None = None
    schedule_id: str | None = None
    overlap: Overlap | None = None


class Kept(NamedTuple):
    """Runs as they are stored, now or by somebody before; None: nobody knows. And how many of them are `new`."""

    runs: list[Run | None]
    new: int


def submit(
    submission: Submission,
    workflow: Workflow,
    orders: Sequence[Order],
    ids: Sequence[str],
    *,
    runs: RunStore,
    queue: RunQueue,
    bucket: Payloads,
) -> list[Run | Unavailable]:
    """Store and announce one run of `workflow` for each order, under the given ids; or say which could not be stored.

    Doing it again with the same ids makes nothing new and announces what still waits. A crash, or a queue that does
    not answer, after the runs are stored loses nothing: they are on Wake.
    """
    made = [_make(submission, workflow, order, id, bucket) for order, id in zip(orders, ids, strict=True)]
    kept = store(made, runs).runs
    announce(waiting(kept), queue, submission.now)
    return [run or Unavailable("The run could not be stored. Try again.") for run in kept]


def store(made: Sequence[Run], runs: RunStore) -> Kept:
    """Store `made`, but for those that are stored already."""
    held = runs.add(made)
    # Not new means made before, or stored just now with the table's answer lost.
    doubtful = [(run.project_id, run.id) for run, new in zip(made, held, strict=True) if not new]
    known = runs.get_many(doubtful, consistent=True) if doubtful else {}
    kept = [
        run_rules.saved(run) if new else known.get((run.project_id, run.id))
        for run, new in zip(made, held, strict=True)
    ]
    return Kept(kept, sum(map(bool, held)))


def waiting(kept: Sequence[Run | None]) -> list[Run]:
    """Those that are to be announced. A message too many does nothing."""
    return [run for run in kept if run is not None and run.status is RunStatus.pending]


def stored(result: Run | Unavailable) -> Run:
    """Raises the Unavailable that `result` may be."""
    if isinstance(result, Unavailable):
        raise result
    return result


def resubmit(
    submission: Submission,
    workflow: Workflow,
    old: Run,
    id: str,
    *,
    runs: RunStore,
    queue: RunQueue,
    bucket: Payloads,
) -> Run:
    """A new run with the input of `old`, which must be over.

    Raises:
        Conflict: `old` is still under way.
        Unavailable: the new run could not be stored.
    """
    if not old.is_final:
        raise Conflict(f"The run is {old.status}; only a finished run can be run again.")
    order = Order(
        input=input_of(old, bucket),
        session_id=old.session_id,
        tweaks=old.tweaks,
        timeout_seconds=old.timeout_seconds,
        retry=old.retry,
    )
    return stored(submit(submission, workflow, [order], [id], runs=runs, queue=queue, bucket=bucket)[0])


def cancel(project: str, run_id: str, now: datetime, *, runs: RunStore, queue: RunQueue) -> Run:
    """The run as it is after a cancel: over at once if it waits, marked for its executor if it runs.

    Raises:
        NotFound: this project has no such run.
        Conflict: the run is over.
    """
    for _ in range(CANCEL_ROUNDS):
        run = runs.get(project, run_id)
        try:
            after = runs.save(run, run_rules.request_cancel(run, now))
        except Conflict:
            if run.is_final:
                raise
            continue  # it moved on while we decided: look again
        if after.awaits_job:
            announce([after], queue, now)
        return after
    raise Unavailable("The run keeps changing. Try again.")


def announce(runs: Sequence[Run], queue: RunQueue, now: datetime) -> bool:
    """Send the message of each run. False, and a line in the log, if the queue refused some: Wake sends them again."""
    try:
        queue.send([message.announce(run, run_rules.wait(run, now)) for run in runs])
    except Unavailable:
        logger.warning("runs.not_announced", extra=those(runs), exc_info=True)
        return False
    return True


def input_of(run: Run, bucket: Payloads) -> str:
    """The input of `run`, wherever it is kept."""
    if run.input_key is None:
        return run.input or ""
    text = bucket.get_json(run.input_key)
    assert isinstance(text, str)  # written by `_make`
    return text


def _make(submission: Submission, workflow: Workflow, order: Order, id: str, bucket: Payloads) -> Run:
    project = submission.project
    key = keep_input(project.retention_days, project.project_id, id, order.input, bucket)
    return Run(
        id=id,
        project_id=project.project_id,
        workflow_id=workflow.id,
        workflow_version=workflow.version,
        definition_hash=workflow.facts.definition_hash,
        origin=submission.origin,
        schedule_id=submission.schedule_id,
        overlap=submission.overlap,
        created_by=submission.created_by,
        created_at=id_time(id),
        correlation_id=submission.correlation_id,
        input=order.input if key is None else None,
        input_key=key,
        session_id=order.session_id,
        tweaks=order.tweaks,
        timeout_seconds=order.timeout_seconds or workflow.settings.timeout_seconds,
        retry=order.retry,
        retry_of=submission.retry_of,
        retention_days=project.retention_days,
        wake_at=submission.now + submission.wake_after,
    )


def keep_input(retention: Retention, project: str, id: str, text: str, bucket: Payloads) -> str | None:
    """The key under which a large input was stored; None for a small one."""
    if not payloads.is_large(text):
        return None
    key = payloads.run_key(retention, project, id, "input")
    bucket.put_json(key, text)
    return key
