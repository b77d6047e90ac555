"""Runs: executions of workflows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import starting, table
from functions.api.auth import Caller
from functions.api.bodies import RecordId, RunFields
from functions.api.dependencies import Id, Wait, deadline, may, orders
from functions.api.errors import Refusal, refusal, responses
from functions.api.idempotency import OnlyOnce, Work, existing
from functions.api.pages import Page, Paged
from functions.api.starting import RunQuery
from functions.api.sweeps import SweepAnswer, SweepFields
from functions.api.views import RunView, run_view
from shared import wiring
from shared.domain.attempt import Attempt, LogLine, Step
from shared.domain.record import Instant, Moment
from shared.domain.role import Permission
from shared.domain.run import FINAL, Run, RunError, RunStatus
from shared.errors import Invalid, SparkError
from shared.services import submission, sweeping
from shared.services.sweeping import Swept
from shared.store.runs import RunFilter

router = table.router("runs")

Reader = Annotated[Caller, may(Permission.runs_read)]
Starter = Annotated[Caller, may(Permission.runs_create)]
Canceller = Annotated[Caller, may(Permission.runs_cancel)]

MAX_BATCH = 100


class RunOrder(RunFields):
    """A run of a workflow."""

    workflow_id: RecordId


class Batch(BaseModel):
    """Up to 100 runs, of one workflow or of several."""

    model_config = ConfigDict(extra="forbid")

    runs: list[RunOrder] = Field(min_length=1, max_length=MAX_BATCH)


class BatchItem(BaseModel):
    """What became of one order: a run or an error."""

    run: Run | None = None
    error: Refusal | None = None


class BatchAnswer(BaseModel):
    """In the order in which the runs were sent."""

    items: list[BatchItem]
    accepted: int
    refused: int


class Sweep(SweepFields):
    """Which runs are meant."""

    workflow_id: RecordId | None = None
    schedule_id: RecordId | None = None
    status: RunStatus | None = None
    since: Moment | None = None
    until: Moment | None = None

    def filter(self, status: RunStatus | None, before: datetime | None = None) -> RunFilter:
        """What to look at; with `before` only what was made earlier than that."""
        until = self.until
        if before is not None:
            last = before - timedelta(milliseconds=1)
            until = min(until, last) if until else last
        return RunFilter(
            workflow_id=self.workflow_id, schedule_id=self.schedule_id, status=status, since=self.since, until=until
        )


class AttemptSteps(BaseModel):
    """One attempt and the components that LangFlow told of."""

    attempt: int
    started_at: Instant
    ended_at: Instant | None
    worker: str | None
    error: RunError | None
    steps: tuple[Step, ...]


class AttemptLog(BaseModel):
    """What happened in one attempt."""

    attempt: int
    lines: tuple[LogLine, ...]


class RunSteps(BaseModel):
    """The attempts of a run, first to last."""

    items: list[AttemptSteps]


class RunLogs(BaseModel):
    """The log of a run, attempt by attempt."""

    items: list[AttemptLog]


OfRecord = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.post("", status_code=202, responses={**starting.ENDED, **responses(404, 409)})
def create_run(body: RunOrder, caller: Starter, once: OnlyOnce, response: Response, wait: Wait = 0) -> RunView:
    """Run a workflow. 202 while it is under way; 200 when it ended within `wait` seconds."""
    return starting.start(body.workflow_id, body, wait, caller, once, response)


@router.post("/batch", status_code=202, responses={200: {"model": BatchAnswer, "description": "None was accepted."}})
def create_runs(body: Batch, caller: Starter, once: OnlyOnce, response: Response) -> BatchAnswer:
    """Run up to 100 inputs. Each is accepted or refused on its own."""
    ordering, wanted = orders(caller), [(order.workflow_id, order.order()) for order in body.runs]

    def ids(work: Work) -> list[str]:
        return [work.id("run", number) for number in range(len(wanted))]

    results = once.do(
        caller,
        body,
        lambda work: ordering.made_before(wanted, ids(work)),
        lambda work: ordering.run_many(wanted, ids(work)),
    )
    items = [BatchItem(error=refusal(one)) if isinstance(one, SparkError) else BatchItem(run=one) for one in results]
    accepted = sum(item.run is not None for item in items)
    response.status_code = 202 if accepted else 200
    return BatchAnswer(items=items, accepted=accepted, refused=len(items) - accepted)


@router.get("", responses=responses(400))
def list_runs(
    caller: Reader, paged: Paged, wanted: RunQuery, workflow_id: OfRecord = None, schedule_id: OfRecord = None
) -> Page[Run]:
    """Runs, newest first. A filter by status may give a short page that goes on. Outputs are not in lists."""
    project, filter = caller.project_id, wanted.of(workflow_id, schedule_id)
    found = wiring.runs().list(project, filter, limit=paged.limit, after=paged.after(project))
    return paged.slice(project, found)


@router.post("/cancel", responses=responses(400))
def cancel_runs(body: Sweep, caller: Canceller) -> SweepAnswer:
    """Cancel all unfinished runs that a filter finds, up to 500 per call as time allows."""
    project = caller.project_id
    if body.status in FINAL:
        raise Invalid("Only pending and running runs can be cancelled.", "/status")
    done = sweeping.cancel_all(
        project,
        body.filter(body.status),
        body.limit,
        body.after(project, "cancel"),
        deadline(),
        runs=wiring.runs(),
        queue=wiring.queue(),
        ended=_ended,
    )
    return body.answer(project, "cancel", done)


@router.post("/retry", responses=responses(400))
def retry_runs(body: Sweep, caller: Starter, once: OnlyOnce) -> SweepAnswer:
    """Run again all (the failed, unless it says which) that a filter finds, up to 500 per call as time allows."""
    project, ordering, until = caller.project_id, orders(caller), deadline()
    status = body.status or RunStatus.failed
    if status not in FINAL:
        raise Invalid("Only finished runs can be run again.", "/status")
    after = body.after(project, "retry")

    def retry(work: Work) -> Swept:
        """Done again it makes nothing new: the ids are the same, and what it made is not looked at."""
        meant = body.filter(status, before=work.at)
        ids: Callable[[Run], str] = lambda run: work.id("run", run.id)  # noqa: E731
        return sweeping.retry_all(project, meant, body.limit, after, until, ids, ordering)

    return body.answer(project, "retry", once.do(caller, body, retry, retry))


@router.get("/{run_id}", responses=responses(404))
def get_run(run_id: Id, caller: Reader, wait: Wait = 0) -> RunView:
    """One run with its input and output, perhaps after waiting for its end."""
    runs = wiring.runs()
    return run_view(starting.wait(runs.get(caller.project_id, run_id), wait), runs, wiring.payloads())


@router.post("/{run_id}/cancel", responses=responses(404, 409))
def cancel_run(run_id: Id, caller: Canceller) -> RunView:
    """Cancel a run: at once while it waits, within seconds while it runs."""
    runs = wiring.runs()
    run = submission.cancel(caller.project_id, run_id, wiring.now(), runs=runs, queue=wiring.queue())
    _ended(run)
    return run_view(run, runs, wiring.payloads())


@router.post("/{run_id}/retry", status_code=202, responses=responses(404, 409))
def retry_run(run_id: Id, caller: Starter, once: OnlyOnce, response: Response) -> RunView:
    """Run a finished run again, with its input. That is a new run, which names the old one in `retry_of`."""
    project, ordering = caller.project_id, orders(caller)
    old = ordering.runs.get(project, run_id)
    run = once.do(
        caller,
        None,
        lambda work: existing(ordering.runs.get, project, work.id("run")),
        lambda work: ordering.again(old, work.id("run")),
    )
    return starting.started(run, ordering, response)


@router.get("/{run_id}/steps", responses=responses(404))
def list_run_steps(run_id: Id, caller: Reader) -> RunSteps:
    """What the components of the flow did, attempt by attempt."""
    attempts = _attempts(caller.project_id, run_id)
    names = set(AttemptSteps.model_fields)
    return RunSteps(items=[AttemptSteps(attempt=page.number, **page.model_dump(include=names)) for page in attempts])


@router.get("/{run_id}/logs", responses=responses(404))
def list_run_logs(run_id: Id, caller: Reader) -> RunLogs:
    """What happened, line by line, attempt by attempt."""
    attempts = _attempts(caller.project_id, run_id)
    return RunLogs(items=[AttemptLog(attempt=page.number, lines=page.logs) for page in attempts])


def _ended(run: Run) -> None:
    """What follows the end of a schedule's run. For others nothing does, and nothing has to be loaded."""
    if run.is_final and run.schedule_id is not None:
        wiring.endings().ended(run)


def _attempts(project: str, run_id: str) -> list[Attempt]:
    runs = wiring.runs()
    runs.get(project, run_id)  # a run without pages is not a run that does not exist
    return runs.pages(project, run_id)
