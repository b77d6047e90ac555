"""A schedule: when a workflow runs by itself. When an occurrence is due, and what of missed ones: `firing`.

Time is evaluated up to the `watermark`; what comes after it has not fired yet. An occurrence is known by its nominal
instant, whatever jitter does to the moment at which it fires.
"""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from shared.domain.overlap import Overlap
from shared.domain.record import Instant, Record, derived_id, instant_text
from shared.domain.retry import RetryPolicy
from shared.domain.timing import (
    Timing,
    anchor_of,
    count,
    is_occurrence,
    occurrences,
    recurrence_of,
)
from shared.domain.workflow import InputText, Name, ShortText, Timeout, Tweaks
from shared.errors import Invalid

LOOK_AHEAD = timedelta(seconds=150)  # two ticks and a half: one that does not come costs no lateness
ALWAYS_FIRES = timedelta(seconds=300)  # an occurrence that is late by no more fires, whatever was missed
NOTHING_MISSED = ALWAYS_FIRES - timedelta(seconds=60)  # so long after a change, by whichever clock: they differ


class CatchUp(StrEnum):
    """Which occurrences fire that were missed by more than five minutes."""

    last = "last"
    all = "all"
    none = "none"


class ScheduleSettings(Timing):
    """What a user may edit of a schedule."""

    name: Name
    input: InputText = Field("", description="What the flow gets; as it is when the run starts.")
    session_id: ShortText | None = Field(None, description="The conversation in LangFlow; null: one for each run.")
    tweaks: Tweaks | None = Field(None, description="Added to the workflow's tweaks.")
    timeout_seconds: Timeout | None = None
    retry: RetryPolicy | None = Field(None, description="Overrides the workflow's policy.")
    overlap: Overlap = Overlap.allow
    catch_up: CatchUp = CatchUp.last
    max_lateness_seconds: int | None = Field(
        None,
        ge=int(ALWAYS_FIRES.total_seconds()),
        le=31_536_000,
        strict=True,
        description="What was missed by more never fires.",
    )
    pause_after_failures: int | None = Field(
        None, ge=1, le=100, strict=True, description="Pause after so many failed runs in a row."
    )


class ScheduleState(StrEnum):
    active = "active"
    paused = "paused"
    finished = "finished"
    """It will never fire again."""


class Schedule(Record):
    """A workflow's clock. `fired` counts the occurrences that became runs, also those that overlap then skipped."""

    id: str
    workflow_id: str
    settings: ScheduleSettings
    input_key: str | None = Field(None, description="Where a large input lives in the payload bucket.")
    enabled: bool = True
    effective_at: Instant = Field(description="Since when its timing is in force.")
    watermark: Instant = Field(description="Up to here every occurrence has been dealt with.")
    wake_at: Instant | None = Field(None, description="When the next occurrence after the watermark fires.")
    paused_at: Instant | None = None
    pause_reason: str | None = None
    fired: int = 0
    skipped_missed: int = 0
    created_by: str
    created_at: Instant
    updated_at: Instant

    @property
    def anchor(self) -> datetime:
        """What intervals are counted from."""
        return anchor_of(self.settings, self.created_at)

    @property
    def runs_left(self) -> int | None:
        """How often it may still fire; None: for ever."""
        most = self.settings.max_runs
        return None if most is None else max(most - self.fired, 0)


def problem(schedule: Schedule) -> str | None:
    """Why this version cannot evaluate a timing that was in order when it was saved. None: it can.

    Time zones are given up, and what a cron expression may say is up to the library that reads it.
    """
    try:
        recurrence_of(schedule.settings, schedule.anchor)
    except Invalid as error:
        return str(error)
    return None


def jitter(schedule: Schedule, occurrence: datetime) -> timedelta:
    """How much later than its nominal time `occurrence` fires: always the same, and always before the next one."""
    longest = schedule.settings.jitter_seconds
    if not longest:
        return timedelta(0)
    following = recurrence_of(schedule.settings, schedule.anchor).next_after(occurrence)
    if following is not None:
        longest = min(longest, int((following - occurrence).total_seconds()))
    digest = hashlib.sha256(f"{schedule.id}\0{instant_text(occurrence)}".encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8], "big") % longest)


def run_id(schedule: Schedule, occurrence: datetime, *parts: str) -> str:
    """The id that the run of `occurrence` always gets; with `parts` one of its other runs."""
    return derived_id("run", occurrence, schedule.id, instant_text(occurrence), *parts)


def admits(schedule: Schedule | None, occurrence: datetime, now: datetime) -> bool:
    """May the run of `occurrence`, which has not started yet, start at `now`?

    What was due before the present timing came into force stays due, but not what fell into a pause.
    """
    if schedule is None or not schedule.enabled:
        return False
    if _is_one_too_many(schedule, occurrence, now):
        return False
    if occurrence > schedule.effective_at:
        return is_occurrence(schedule.settings, schedule.anchor, occurrence)
    return schedule.paused_at is None or occurrence <= schedule.paused_at


def _is_one_too_many(schedule: Schedule, occurrence: datetime, now: datetime) -> bool:
    """Was `occurrence` looked ahead, before an edit left the schedule fewer runs?

    They are counted only right after an edit, as long as nothing fired since: later on some of those between the
    watermark and `occurrence` may have been missed, by a tick that has not said so yet.
    """
    left = schedule.runs_left
    if left is None or occurrence <= schedule.watermark:
        return False
    if schedule.watermark > schedule.effective_at or now > schedule.effective_at + NOTHING_MISSED:
        return left == 0
    return count(schedule.settings, schedule.anchor, schedule.watermark, occurrence) > left


def next_fire(schedule: Schedule, now: datetime) -> datetime | None:
    """When it fires next after `now`, jitter included. None: paused or finished, or nobody can tell."""
    if not schedule.enabled or problem(schedule) is not None:
        return None
    if is_tried(schedule, now):
        return schedule.wake_at
    dealt_with = occurrences(schedule.settings, schedule.anchor, all_fired(schedule, now), schedule.watermark)
    fires = (at + jitter(schedule, at) for at in dealt_with)
    return next((at for at in fires if at > now), schedule.wake_at)


def is_tried(schedule: Schedule, now: datetime) -> bool:
    """Is all dealt with further ahead than any look-ahead? So it is when it was tried: `spark local tick --at`."""
    return schedule.watermark > now + 2 * LOOK_AHEAD


def all_fired(schedule: Schedule, at: datetime) -> datetime:
    """An instant, close before `at`, up to which every occurrence has fired by then, if it ever does.

    Since jitter ends before the next occurrence, only the last one before `at` may still have to fire.
    """
    longest, back = timedelta(seconds=schedule.settings.jitter_seconds), timedelta(0)
    rule = recurrence_of(schedule.settings, schedule.anchor)
    while back < longest and ((following := rule.next_after(at - back)) is None or following > at):
        back = min(back * 2 or timedelta(seconds=1), longest)
    return max(at - back, schedule.effective_at)


def state(schedule: Schedule, now: datetime) -> ScheduleState:
    """One that cannot be evaluated is as it was left: active, unless it had nothing more to fire."""
    if not schedule.enabled:
        return ScheduleState.paused
    following = next_fire(schedule, now) if problem(schedule) is None else schedule.wake_at
    return ScheduleState.finished if following is None else ScheduleState.active
