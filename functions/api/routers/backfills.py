"""Backfills: a schedule's occurrences of the past, run now. A part of the chapter of schedules."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, table
from functions.api.auth import Caller
from functions.api.dependencies import Id, may
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work, existing
from functions.api.pages import Page, Paged
from shared import wiring
from shared.domain import backfill as rules
from shared.domain.backfill import Backfill, Reprocess
from shared.domain.overlap import Overlap
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.run import CLOCK_SKEW, Run, RunStatus
from shared.domain.schedule import problem
from shared.domain.timing import TICK_OF_TIME, Reachable
from shared.errors import Conflict, NotFound

router = table.router("schedules")

Reader = Annotated[Caller, may(Permission.schedules_read)]
Operator = Annotated[Caller, may(Permission.schedules_operate)]

MAX_PLANNED = 1000  # occurrences that a dry run lists


class BackfillFields(BaseModel):
    """Which occurrences are to be run: those from `start_at` to `end_at`, both included, at most 10,000."""

    model_config = ConfigDict(extra="forbid")

    start_at: Reachable
    end_at: Reachable | None = Field(None, description="Not in the future; null: now.")
    overlap: Overlap | None = Field(Overlap.allow, description="How its runs get along; null: as the schedule says.")
    reprocess: Reprocess = Field(Reprocess.none, description="Which of those that were run at their time run again.")
    dry_run: Annotated[bool, Field(strict=True, description="Only say what would be run.")] = False

    def until(self, now: datetime) -> datetime:
        """The end of the range. To a caller whose clock is a little ahead of ours, our future is the past."""
        if self.end_at is None or now < self.end_at <= now + CLOCK_SKEW:
            return now
        return self.end_at


class BackfillItem(BaseModel):
    """An occurrence that would be run, and the run that it had at its time."""

    scheduled_for: Instant
    run_id: str | None
    status: RunStatus | None

    @classmethod
    def of(cls, at: datetime, run: Run | None) -> "BackfillItem":
        return cls(scheduled_for=at, run_id=run.id if run else None, status=run.status if run else None)


class BackfillPlan(BaseModel):
    """What a backfill would run: how many in `total`, and the first 1,000 of them."""

    total: int
    items: list[BackfillItem]


PLANNED: dict[int | str, dict[str, Any]] = {200: {"model": BackfillPlan, "description": "What a dry run found."}}


@router.post(
    "/{schedule_id}/backfills",
    status_code=202,
    response_model=Backfill,
    responses={**PLANNED, **responses(404, 409)},
)
def create_backfill(
    schedule_id: Id, body: BackfillFields, caller: Operator, once: OnlyOnce, response: Response
) -> Backfill | JSONResponse:
    """Run occurrences of the past, by the timing and with the input that the schedule has now."""
    project, backfilling = caller.project_id, wiring.backfilling()
    schedule = wiring.schedules().get(project, schedule_id)

    def new(work: Work) -> tuple[Backfill, list[datetime]]:
        if (why := problem(schedule)) is not None:
            raise Conflict(f"Schedule {schedule_id} cannot be evaluated: {why}")
        end_at = body.until(work.at)
        found = rules.in_range(schedule, body.start_at, end_at, work.at)
        rules.require_room(body.overlap or schedule.settings.overlap, len(found))
        backfill = Backfill(
            id=work.id("bkf"),
            project_id=project,
            schedule_id=schedule_id,
            total=len(found),
            cursor=body.start_at - TICK_OF_TIME,
            wake_at=work.at,
            created_by=caller.id,
            created_at=work.at,
            end_at=end_at,
            **body.model_dump(exclude={"dry_run", "end_at"}),
        )
        return backfill, found

    if body.dry_run:
        wanted = [BackfillItem.of(*each) for each in backfilling.plan(*new(Work(wiring.now()))).items()]
        return JSONResponse(BackfillPlan(total=len(wanted), items=wanted[:MAX_PLANNED]).model_dump(mode="json"))
    made = once.do(
        caller,
        body,
        lambda work: existing(backfilling.backfills.get, project, work.id("bkf")),
        lambda work: backfilling.start(new(work)[0]),
    )
    response.headers["Location"] = f"{BASE}/schedules/{schedule_id}/backfills/{made.id}"
    return made


@router.get("/{schedule_id}/backfills", responses=responses(400, 404))
def list_backfills(schedule_id: Id, caller: Reader, paged: Paged) -> Page[Backfill]:
    """The backfills of a schedule, newest first."""
    project = caller.project_id
    wiring.schedules().get(project, schedule_id)
    found = wiring.backfills().of_schedule(project, schedule_id, limit=paged.limit, after=paged.after(project))
    return paged.slice(project, found)


@router.get("/{schedule_id}/backfills/{backfill_id}", responses=responses(404))
def get_backfill(schedule_id: Id, backfill_id: Id, caller: Reader) -> Backfill:
    """One backfill, and how far it is."""
    return _get(caller.project_id, schedule_id, backfill_id)


@router.post("/{schedule_id}/backfills/{backfill_id}/cancel", responses=responses(404, 409))
def cancel_backfill(schedule_id: Id, backfill_id: Id, caller: Operator) -> Backfill:
    """Have it make no more runs. Those that it made go on."""
    _get(caller.project_id, schedule_id, backfill_id)
    return wiring.backfilling().cancel(caller.project_id, backfill_id)


def _get(project: str, schedule_id: str, id: str) -> Backfill:
    backfill = wiring.backfills().get(project, id)
    if backfill.schedule_id != schedule_id:
        raise NotFound("backfill", id)
    return backfill
