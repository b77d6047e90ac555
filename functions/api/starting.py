"""What several routers have in common about runs: starting one, answering with it, filtering lists of them."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from functions.api import BASE, dependencies
from functions.api.auth import Caller
from functions.api.bodies import RunFields
from functions.api.dependencies import orders
from functions.api.idempotency import Once, existing
from functions.api.views import RunView, run_view
from shared import wiring
from shared.domain.record import Moment
from shared.domain.run import Run, RunStatus
from shared.services import waiting
from shared.services.ordering import Orders
from shared.store.runs import RunFilter

ENDED: dict[int | str, dict[str, Any]] = {200: {"model": RunView, "description": "It ended while the answer was held."}}


class RunQueryParameters:
    """The filters of a list of runs. `since` and `until` mean when the run was created; both ends are included."""

    def __init__(
        self,
        status: Annotated[RunStatus | None, Query()] = None,
        since: Annotated[Moment | None, Query()] = None,
        until: Annotated[Moment | None, Query()] = None,
        due: Annotated[bool, Query(description="Without those that a schedule has made ahead of their time.")] = False,
    ) -> None:
        now = wiring.now()
        self._status, self._since = status, since
        self._until = min(until or now, now) if due else until

    def of(self, workflow_id: str | None, schedule_id: str | None = None) -> RunFilter:
        return RunFilter(
            workflow_id=workflow_id,
            schedule_id=schedule_id,
            status=self._status,
            since=self._since,
            until=self._until,
        )


RunQuery = Annotated[RunQueryParameters, Depends(RunQueryParameters)]


def start(workflow_id: str, fields: RunFields, seconds: int, caller: Caller, once: Once, response: Response) -> RunView:
    """A new run, perhaps waited for."""
    project, ordering = caller.project_id, orders(caller)
    run = once.do(
        caller,
        fields,
        lambda work: existing(ordering.runs.get, project, work.id("run")),
        lambda work: ordering.run(workflow_id, fields.order(), work.id("run")),
    )
    return started(wait(run, seconds), ordering, response)


def started(run: Run, ordering: Orders, response: Response) -> RunView:
    """202 and where to look again, or 200 if it is over already."""
    response.status_code = 200 if run.is_final else 202
    response.headers["Location"] = f"{BASE}/runs/{run.id}"
    return run_view(run, ordering.runs, ordering.bucket)


def wait(run: Run, seconds: int) -> Run:
    until = wiring.now() + timedelta(seconds=seconds)
    return waiting.wait_for_end(run, until, runs=wiring.runs(), now=wiring.now, sleep=dependencies.sleep)
