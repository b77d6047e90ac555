"""Recurrences in plain English, for people who read neither cron nor ISO 8601. Only the API needs this."""

from contextlib import suppress
from datetime import datetime, timedelta

from cron_descriptor import FormatException, Options, get_description

from shared.domain.cron import is_any_wall, split
from shared.domain.recurrence import Cron, Interval, Once, Recurrence
from shared.domain.zones import Stretch, changes

ENGLISH = Options(locale_code="en_US", use_24hour_time_format=True)
DAYS_AHEAD = 366
UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)


def explain(recurrence: Recurrence) -> str:
    """One sentence without a full stop: `At 09:00, Monday through Friday (America/Sao_Paulo)`."""
    match recurrence:
        case Cron():
            return f"{_cron_in_words(recurrence.expression)} ({recurrence.zone.key})"
        case Interval():
            return f"Every {_length(recurrence.every)}, counted from {recurrence.anchor:%Y-%m-%d %H:%M:%S} UTC"
        case Once():
            local = recurrence.at.astimezone(recurrence.zone)
            return f"Once, on {_day(local)} at {_clock(local)} ({recurrence.zone.key})"


def daylight_note(recurrence: Recurrence, after: datetime) -> str | None:
    """One sentence on the next change of the clocks, within a year, that moves, drops or doubles an occurrence."""
    if not isinstance(recurrence, Cron) or _is_every_hour(recurrence):
        return None
    for change in changes(recurrence.zone, after, DAYS_AHEAD):
        earlier, later = sorted((change.begins + change.before, change.begins + change.offset))
        if is_any_wall(recurrence.pattern, earlier, later):
            return _note(recurrence, change)
    return None


def _is_every_hour(cron: Cron) -> bool:
    """By real time, and so whatever the clocks do."""
    return not cron.pattern.is_hour_fixed and len(cron.pattern.hours) == 24


def _note(cron: Cron, change: Stretch) -> str:
    was, now = change.begins + change.before, change.begins + change.offset
    if was < now:
        effect = f"fires once, at {_clock(now)}" if cron.pattern.is_hour_fixed else "does not fire that day"
        return f"On {_day(was)} the clocks skip from {_clock(was)} to {_clock(now)}: what falls between {effect}."
    effect = "fires the first time only" if cron.pattern.is_hour_fixed else "fires both times"
    return f"On {_day(was)} the clocks go back from {_clock(was)} to {_clock(now)}: what falls between {effect}."


def _cron_in_words(expression: str) -> str:
    seconds, fields = split(expression)
    if not _is_beyond_words(fields[2], fields[4]):
        text = " ".join(fields if seconds == "0" else (seconds, *fields)).upper()  # it knows no small l
        with suppress(FormatException, LookupError, ValueError):  # or 5-7/2
            return str(get_description(text, ENGLISH))
    return f"Whenever the clock matches {expression.strip()}"


def _is_beyond_words(day: str, weekday: str) -> bool:
    """cron-descriptor says `day l`, drops `#` after a range, and forgets the `or` before a step of weekdays."""
    if "l" in day and day != "l":
        return True
    if "#" in weekday:
        return "," in weekday or "-" in weekday
    return "/" in weekday and day not in ("*", "?")


def _length(every: timedelta) -> str:
    parts = []
    for unit, length in UNITS:
        count, every = divmod(every, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts)


def _day(at: datetime) -> str:
    return f"{at:%A} {at.day} {at:%B} {at.year}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"
