"""What a schedule is about to do: the rules by which it fires, asked ahead of time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, islice

from shared.domain import firing
from shared.domain.firing import Due
from shared.domain.recurrence import END
from shared.domain.schedule import Schedule, all_fired, is_tried, jitter
from shared.domain.timing import Timing, count, occurrences
from shared.errors import Invalid

FARTHEST = timedelta(days=3653)  # for which the occurrences until then are counted


def of_timing(timing: Timing, anchor: datetime, after: datetime, most: int) -> list[Due]:
    """The first `most` occurrences after `after` of a timing that is nobody's yet: jitter depends on whose it is."""
    most = most if timing.max_runs is None else min(most, timing.max_runs)
    return [Due(at, at) for at in islice(occurrences(timing, anchor, after, END), most)]


def of_schedule(schedule: Schedule, now: datetime, after: datetime, most: int) -> list[Due]:
    """What `schedule` fires next after `after`, `most` times at most. One that is paused: were it resumed now.

    Raises:
        Invalid: that is too far ahead to tell whether its `max_runs` are used up by then.
    """
    schedule = firing.resume(schedule, now)
    since = all_fired(schedule, after)
    if is_tried(schedule, now):
        since = max(since, schedule.watermark)
    return list(islice((due for due in _fires(schedule, since) if due.fires_at > after), most))


def _fires(schedule: Schedule, since: datetime) -> Iterator[Due]:
    """Its occurrences after `since`. Those up to the watermark are counted as fired already."""
    settings, anchor = schedule.settings, schedule.anchor
    counted = max(schedule.watermark, since)
    uncounted = islice(occurrences(settings, anchor, counted, END), _left(schedule, counted))
    for at in chain(occurrences(settings, anchor, since, counted), uncounted):
        yield Due(at, at + jitter(schedule, at))


def _left(schedule: Schedule, counted: datetime) -> int | None:
    """How often it may fire after `counted`; None: for ever."""
    left = schedule.runs_left
    if left is None:
        return None
    if counted - schedule.watermark > FARTHEST:
        raise Invalid(f"With max_runs, look at most {FARTHEST.days} days ahead.", "/after")
    return max(left - count(schedule.settings, schedule.anchor, schedule.watermark, counted), 0)
