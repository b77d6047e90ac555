"""Previews of schedules, stored or not; a part of the chapter of schedules."""

from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict, Field

from functions.api import table
from functions.api.auth import Caller
from functions.api.dependencies import Id, may
from functions.api.errors import responses
from functions.api.schedule_views import PreviewAnswer, preview_answer, preview_of_nothing
from shared import wiring
from shared.domain import preview
from shared.domain.recurrence import Kind
from shared.domain.role import Permission
from shared.domain.schedule import problem
from shared.domain.timing import Reachable, Timing, anchor_of, checked, recurrence_of, settled
from shared.services.scheduling import within

router = table.router("schedules")

Reader = Annotated[Caller, may(Permission.schedules_read)]

MOST = 100

Count = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]

After = Annotated[Reachable | None, Query(description="Only what fires after; as a rule, now.")]


class PreviewFields(Timing):
    """A timing to look at. Nothing is stored."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(10, ge=1, le=MOST, strict=True)
    after: Reachable | None = Field(None, description="Only what fires after; as a rule, now.")


@router.post("/preview")
def preview_timing(body: PreviewFields, caller: Reader) -> PreviewAnswer:  # noqa: ARG001  # it needs a key
    """When a schedule with this timing would fire, if it were made now. Jitter depends on whose it is: it has none."""
    now = wiring.now()
    timing = settled(body, now)
    rule = checked(timing, now, now)
    if body.kind is Kind.once:
        rule = recurrence_of(body, now)  # as it was said: it knows whether the clocks move it
    after = body.after or now
    dues = preview.of_timing(timing, anchor_of(timing, now), after, body.count)
    return preview_answer(timing, rule, dues, after)


@router.get("/{schedule_id}/preview", responses=responses(404))
def preview_schedule(schedule_id: Id, caller: Reader, count: Count = 10, after: After = None) -> PreviewAnswer:
    """When it fires. Of one that is paused: when it would, were it resumed now."""
    now = wiring.now()
    schedule = wiring.schedules().get(caller.project_id, schedule_id)
    if problem(schedule) is not None:
        return preview_of_nothing(schedule)
    rule = recurrence_of(schedule.settings, schedule.anchor)
    with within("/query"):
        dues = preview.of_schedule(schedule, now, after or now, count)
    return preview_answer(schedule.settings, rule, dues, after or now)
