"""What a schedule owes at a moment: which occurrences fire, which are left out as missed, and how it goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.record import to_milliseconds
from shared.domain.recurrence import Interval, count_between
from shared.domain.schedule import (
    ALWAYS_FIRES,
    LOOK_AHEAD,
    CatchUp,
    Schedule,
    ScheduleSettings,
    is_tried,
    jitter,
    problem,
)
from shared.domain.timing import (
    TICK_OF_TIME,
    TIMING,
    Timing,
    checked,
    next_occurrence,
    occurrences,
    recurrence_of,
    settled,
)

CHUNK = 1000  # occurrences looked at before the schedule is saved
A_SECOND = timedelta(seconds=1)  # occurrences lie on whole seconds


class Due(NamedTuple):
    """An occurrence, and the moment at which it fires."""

    scheduled_for: datetime
    fires_at: datetime


@dataclass(frozen=True)
class Evaluation:
    """Occurrences to `fire`, and the schedule `after` that: everything up to its watermark is dealt with.

    `is_cut`: there is more to fire by now than was looked at.
    """

    fire: tuple[Due, ...]
    after: Schedule
    is_cut: bool = False


def evaluate(schedule: Schedule, now: datetime, ahead: timedelta = LOOK_AHEAD) -> Evaluation:
    """What `schedule` owes at `now`, and what fires in the time `ahead`; at most 1,000 occurrences."""
    if not schedule.enabled or schedule.runs_left == 0:
        return Evaluation((), schedule.model_copy(update={"wake_at": None}))
    start, leapt = _leap(schedule, now)
    due, following = _look(schedule, start, now + ahead)
    newer = [*due, following][1:]
    fire = [each for each, next in zip(due, newer, strict=True) if not _is_missed(schedule.settings, each, next, now)]
    left = schedule.runs_left
    if left is not None and len(fire) >= left:
        fire, following = fire[:left], None
        due = due[: due.index(fire[-1]) + 1]
    after = {
        "watermark": due[-1].scheduled_for if due else start,
        "wake_at": following.fires_at if following else None,
        "fired": schedule.fired + len(fire),
        "skipped_missed": schedule.skipped_missed + leapt + len(due) - len(fire),
    }
    is_cut = following is not None and following.fires_at <= now + ahead
    return Evaluation(tuple(fire), schedule.model_copy(update=after), is_cut)


def overdue(schedule: Schedule, now: datetime) -> timedelta | None:
    """How far ahead of `now` to look to fire all that was due by then, jitter left aside. None: nothing was due, or
    nobody can tell."""
    if schedule.wake_at is None or problem(schedule) is not None:
        return None
    following = next_occurrence(schedule.settings, schedule.anchor, schedule.watermark)
    return max(schedule.wake_at - now, LOOK_AHEAD) if following is not None and following <= now else None


def scheduled(schedule: Schedule) -> Schedule:
    """`schedule` to be woken when it fires next after its watermark; never, if it is paused or over."""
    following = None
    if schedule.enabled and schedule.runs_left != 0:
        following = next(_dues(schedule, schedule.watermark), None)
    return schedule.model_copy(update={"wake_at": following.fires_at if following else None})


def rewind(schedule: Schedule, now: datetime) -> Schedule:
    """`schedule` as if nothing had been looked ahead: what lies after `now` has not fired yet, and is not counted.

    One that cannot be evaluated keeps its count: it can still be paused, or given another timing.
    """
    ahead = 0
    if problem(schedule) is None:
        ahead = sum(1 for _ in occurrences(schedule.settings, schedule.anchor, now, schedule.watermark))
    fired = max(schedule.fired - ahead, 0)
    return schedule.model_copy(update={"watermark": min(schedule.watermark, to_milliseconds(now)), "fired": fired})


def fired(schedule: Schedule, now: datetime) -> int:
    """How often it has fired by `now`: without what was looked ahead."""
    return schedule.fired if is_tried(schedule, now) else rewind(schedule, now).fired


def edit(schedule: Schedule, settings: ScheduleSettings, input_key: str | None, now: datetime) -> Schedule:
    """`schedule` with other settings. Another timing counts from `now` on: it never fires the past.

    Raises:
        Invalid: the timing would never fire, or cannot be read.
    """
    if (settings, input_key) == (schedule.settings, schedule.input_key):
        return schedule
    now = _in_order(schedule, now)
    changed = schedule.model_copy(update={"settings": settings, "input_key": input_key, "updated_at": now})
    if all(getattr(settings, name) == getattr(schedule.settings, name) for name in TIMING):
        return changed
    settings = settled(settings, now)
    checked(settings, schedule.created_at, now)
    changed = rewind(schedule, now).model_copy(
        update={"settings": settings, "input_key": input_key, "updated_at": now, "effective_at": now}
    )
    if changed.enabled:
        changed = changed.model_copy(update={"paused_at": None})
    return scheduled(changed.model_copy(update={"watermark": beginning(settings, now)}))


def pause(schedule: Schedule, now: datetime, reason: str) -> Schedule:
    """`schedule` that fires no more. What it has looked ahead will not start, and is not counted."""
    if not schedule.enabled:
        return schedule
    now = _in_order(schedule, now)
    paused = {"enabled": False, "wake_at": None, "paused_at": now, "pause_reason": reason, "updated_at": now}
    return rewind(schedule, now).model_copy(update=paused)


def resume(schedule: Schedule, now: datetime) -> Schedule:
    """`schedule` that fires again, from `now` on: nothing of its pause was missed."""
    if schedule.enabled:
        return schedule
    now = _in_order(schedule, now)
    resumed = {"enabled": True, "pause_reason": None, "updated_at": now, "effective_at": now}
    watermark = beginning(schedule.settings, now)
    return scheduled(schedule.model_copy(update={**resumed, "watermark": watermark}))


def _in_order(schedule: Schedule, now: datetime) -> datetime:
    """`now`, but never before the last change: who made that may have a clock that is ahead of ours."""
    return max(now, schedule.updated_at)


def beginning(timing: Timing, now: datetime) -> datetime:
    """The watermark of a timing that comes into force at `now`: just before its start, or `now`."""
    now = to_milliseconds(now)
    return now if timing.start_at is None else max(timing.start_at - TICK_OF_TIME, now)


def _look(schedule: Schedule, start: datetime, horizon: datetime) -> tuple[list[Due], Due | None]:
    """The occurrences after `start` that fire by `horizon`, a chunk at most, and the one that follows them."""
    due: list[Due] = []
    for each in _dues(schedule, start):
        if each.fires_at > horizon or len(due) == CHUNK:
            return due, each
        due.append(each)
    return due, None


def _dues(schedule: Schedule, after: datetime) -> Iterator[Due]:
    settings, anchor, at = schedule.settings, schedule.anchor, after
    while (found := next_occurrence(settings, anchor, at)) is not None:
        yield Due(found, found + jitter(schedule, found))
        at = found


def _is_missed(settings: ScheduleSettings, due: Due, newer: Due | None, now: datetime) -> bool:
    """Is `due` too late to fire? `newer` is the occurrence that follows it."""
    late = now - due.fires_at
    if late <= ALWAYS_FIRES:
        return False
    if settings.max_lateness_seconds is not None and late > timedelta(seconds=settings.max_lateness_seconds):
        return True
    if settings.catch_up is CatchUp.last:
        return newer is not None and now - newer.fires_at > ALWAYS_FIRES
    return settings.catch_up is CatchUp.none


def _leap(schedule: Schedule, now: datetime) -> tuple[datetime, int]:
    """Where to start looking, and how many occurrences before that are missed for certain.

    Counting what an interval of a second missed in a month takes no time this way.
    """
    settings, start = schedule.settings, schedule.watermark
    rule = recurrence_of(settings, schedule.anchor)
    if not isinstance(rule, Interval) or settings.exclude:
        return start, 0
    to = _certainly_missed(settings, rule.every, now)
    if to is None or to <= start:
        return start, 0
    return to, count_between(rule, start, to)


def _certainly_missed(settings: ScheduleSettings, every: timedelta, now: datetime) -> datetime | None:
    """An instant up to which no occurrence of an interval fires any more; None: there may be none."""
    latest = now if settings.end_at is None else min(now, settings.end_at - every)
    late = [timedelta(seconds=settings.max_lateness_seconds)] if settings.max_lateness_seconds is not None else []
    if settings.catch_up is CatchUp.none:
        late.append(ALWAYS_FIRES)
    if settings.catch_up is CatchUp.last:
        late.append(ALWAYS_FIRES + every)  # the newest of them fires: it lies within the last `every`
    if not late:
        return None
    return to_milliseconds(latest - min(late) - timedelta(seconds=settings.jitter_seconds) - A_SECOND)
