"""How schedules and their previews are shown. Apart from the other views: only this needs cron in words."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from shared.domain.firing import Due, fired
from shared.domain.record import Instant
from shared.domain.recurrence import END, Mark, Recurrence, mark
from shared.domain.run import Run, RunStatus
from shared.domain.schedule import Schedule, ScheduleState, jitter, next_fire, problem, state
from shared.domain.timing import Timing, recurrence_of
from shared.domain.wording import DAYS_AHEAD, daylight_note, explain
from shared.domain.zones import zone
from shared.errors import PayloadGone
from shared.payloads import Payloads
from shared.services.rechecking import input_of_schedule
from shared.services.standing import Standing

END_OF_NOTES = END - timedelta(days=2 * DAYS_AHEAD)  # the calendar must have the year that they look at


class ScheduleView(Schedule):
    """A schedule, when it fires next, and what its timing means. In lists a large input is left out."""

    input_key: str | None = Field(None, exclude=True)
    state: ScheduleState
    next_fire_at: Instant | None = Field(
        description="The next moment at which it fires, jitter included. Null while it is active: this version cannot "
        "evaluate its timing, since its time zone was given up, say. It does not fire until that is changed."
    )
    description: str = Field(description="Its recurrence in words, or why it cannot be evaluated.")
    gone: tuple[Literal["input"], ...] = Field((), description="What is empty because it is no longer kept.")


class LastFire(BaseModel):
    """The newest run that the clock made."""

    run_id: str
    status: RunStatus
    scheduled_for: Instant
    started_at: Instant | None
    lateness_seconds: float | None = Field(
        description="From the moment at which it fired, jitter included, to its start. Null before that, and when the "
        "timing was changed or resumed since: its jitter may have been another."
    )

    @classmethod
    def of(cls, run: Run, schedule: Schedule) -> "LastFire":
        assert run.scheduled_for is not None  # the clock made it
        return cls(
            run_id=run.id,
            status=run.status,
            scheduled_for=run.scheduled_for,
            started_at=run.started_at,
            lateness_seconds=_lateness(schedule, run.scheduled_for, run.started_at),
        )


class ScheduleDetail(ScheduleView):
    """A schedule and how it stands."""

    skipped_overlap: int = Field(description="Runs left out because an earlier one was not over.")
    failed_in_a_row: int = Field(
        description="How many of its newest runs failed, one after the other; up to 100, among the newest 200."
    )
    last_fire: LastFire | None = Field(description="Null, too, where its newest 200 runs are all of other origins.")


class PreviewItem(BaseModel):
    """One occurrence."""

    scheduled_for: Instant = Field(description="Its nominal time.")
    fires_at: Instant = Field(description="With its jitter, which a schedule that is not stored yet does not have.")
    local: str = Field(description="The nominal time in the schedule's zone, with its offset.")
    zone: str = Field(description="The abbreviation that the zone has then, or its offset.")
    mark: Mark | None = Field(description="What daylight saving did to it.")


class PreviewAnswer(BaseModel):
    """When a schedule fires."""

    description: str = Field(description="The recurrence in words, or why it cannot be evaluated.")
    timezone: str
    note: str | None = Field(description="What the next change of the clocks does to it, if anything.")
    items: list[PreviewItem]


def schedule_view(schedule: Schedule, now: datetime, bucket: Payloads | None = None) -> ScheduleView:
    """`schedule` as it is at `now`; with a large input, if `bucket` has it."""
    gone: list[str] = []
    settings = schedule.settings
    if bucket is not None:
        try:
            settings = settings.model_copy(update={"input": input_of_schedule(schedule, bucket)})
        except PayloadGone:
            gone.append("input")
    shown = {
        "settings": settings,
        "state": state(schedule, now),
        "next_fire_at": next_fire(schedule, now),
        "fired": fired(schedule, now),
        "description": _in_words(schedule),
        "gone": gone,
    }
    return ScheduleView.model_validate({**dict(schedule), **shown})


def schedule_detail(schedule: Schedule, standing: Standing, now: datetime, bucket: Payloads) -> ScheduleDetail:
    last = standing.last_fire
    return ScheduleDetail(
        **dict(schedule_view(schedule, now, bucket)),
        skipped_overlap=standing.skipped_overlap,
        failed_in_a_row=standing.failed_in_a_row,
        last_fire=LastFire.of(last, schedule) if last else None,
    )


def _in_words(schedule: Schedule) -> str:
    why = problem(schedule)
    return explain(recurrence_of(schedule.settings, schedule.anchor)) if why is None else f"Cannot be evaluated: {why}"


def _lateness(schedule: Schedule, occurrence: datetime, started_at: datetime | None) -> float | None:
    if started_at is None or problem(schedule) is not None or occurrence <= schedule.effective_at:
        return None  # not over, or its jitter is not known
    return (started_at - occurrence - jitter(schedule, occurrence)).total_seconds()


def preview_of_nothing(schedule: Schedule) -> PreviewAnswer:
    """Of a schedule that cannot be evaluated."""
    return PreviewAnswer(description=_in_words(schedule), timezone=schedule.settings.timezone, note=None, items=[])


def preview_answer(timing: Timing, rule: Recurrence, dues: Sequence[Due], after: datetime) -> PreviewAnswer:
    note = daylight_note(rule, after) if after < END_OF_NOTES else None
    items = [_item(timing, rule, due) for due in dues]
    return PreviewAnswer(description=explain(rule), timezone=timing.timezone, note=note, items=items)


def _item(timing: Timing, rule: Recurrence, due: Due) -> PreviewItem:
    local = due.scheduled_for.astimezone(zone(timing.timezone))
    return PreviewItem(
        scheduled_for=due.scheduled_for,
        fires_at=due.fires_at,
        local=local.isoformat(timespec="seconds"),
        zone=local.tzname() or "",
        mark=mark(rule, due.scheduled_for),
    )
