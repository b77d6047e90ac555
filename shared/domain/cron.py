"""A cron expression as the walls it names. A wall is a naive datetime: what a clock on the wall shows, no time zone.

croniter reads the fields; the walking is ours, because croniter's walker is mutable, ten times slower, and finds no
date at all for `0 0 10 * 5#1`.
"""

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from croniter import croniter

LONGEST = 200  # characters
LAST_DAY = date(9999, 12, 27)  # room for the offset of any zone
DAY = timedelta(days=1)
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
SECONDS = ("second", 0, 59)
SIZES = {"day of week": 7}  # 0 and 7 are both Sunday
PART = re.compile(
    r"(?P<first>[*?]|[a-z]{3}|l|[0-9]+)(-(?P<last>[a-z]{3}|l|[0-9]+))?(/(?P<step>[0-9]+))?(?P<nth>#[0-9])?|l[0-9]"
)
NAMES = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10}
NAMES |= {"nov": 11, "dec": 12, "sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6, "l": 31}
CHANCE = re.compile(r"[hr](\(.*)?(/.*)?")  # Jenkins' "some value, chosen for you"
ANY = ("*", "?")
LAST = 0  # among days of a month, and as the `n` of a weekday


@dataclass(frozen=True)
class Pattern:
    """Sorted values of each field; None is any. A weekday is (Sunday = 0, n-th of its month)."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[tuple[int, int]] | None
    is_hour_fixed: bool  # the hour field is neither `*` nor `*/n`


# --- Reading ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16_384)
def parse(expression: str) -> Pattern:
    """ValueError, with a sentence for whoever wrote it."""
    seconds, fields = split(expression)
    for (name, low, high), text in zip((SECONDS, *FIELDS), (seconds, *fields), strict=True):
        _check(name, low, high, text)
    try:
        values, nth = croniter.expand(" ".join((*fields, seconds)))
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{expression!r} is no cron expression that Spark can read") from error
    pattern = Pattern(
        seconds=_numbers(values[5], range(60)),
        minutes=_numbers(values[0], range(60)),
        hours=_numbers(values[1], range(24)),
        days=None if fields[2] in ANY else frozenset(_numbers(values[2], range(1, 32))),
        months=frozenset(_numbers(values[3], range(1, 13))),
        weekdays=None if fields[4] in ANY else _weekdays(values[4], nth),
        is_hour_fixed=re.fullmatch(r"\*(/[0-9]+)?", fields[1]) is None,
    )
    if first_wall(pattern, datetime(2000, 1, 1), date(2400, 1, 1)) is None:  # the calendar repeats after 400 years
        raise ValueError(f"{expression!r} never fires: no month that it names has such a day")
    return pattern


def split(expression: str) -> tuple[str, list[str]]:
    """The field of seconds, and the five others."""
    if len(expression) > LONGEST:
        raise ValueError(f"a cron expression has at most {LONGEST} characters, this one has {len(expression)}")
    text = expression.strip().lower()
    if text.startswith("@") and text not in NICKNAMES:
        hint = ": for a fixed distance use an interval" if text.startswith("@every") else ""
        raise ValueError(f"{expression!r} is none of {', '.join(NICKNAMES)}{hint}")
    fields = NICKNAMES.get(text, text).split()
    if len(fields) not in (5, 6):
        raise ValueError(f"a cron expression has 5 fields, or 6 with leading seconds; this one has {len(fields)}")
    return ("0", fields) if len(fields) == 5 else (fields[0], fields[1:])


def _check(name: str, low: int, high: int, text: str) -> None:
    """What croniter would refuse without naming the field, or accept and read in its own way."""
    parts = text.split(",")
    for part in parts:
        _check_part(name, low, high, part)
    if len(parts) > 1 and {"*", "?"} & set(parts):
        raise ValueError(f"{name} {text!r}: '*' is every value already, write it alone")
    if name == "day of week" and len({"#" in part or part.startswith("l") for part in parts}) > 1:
        raise ValueError(f"{name} {text!r} mixes every week with some weeks of the month: use two schedules")


def _check_part(name: str, low: int, high: int, part: str) -> None:
    if CHANCE.fullmatch(part):
        raise ValueError(f"{name} {part!r} is left to chance: write the value")
    found = PART.fullmatch(part)
    if found is None:
        hint = f": the last of a month is L{part[0]}" if re.fullmatch("[0-7]l", part) else ""
        raise ValueError(f"{name} {part!r} cannot be read{hint}")
    for number in re.findall("[0-9]+", re.split("[/#]", part)[0]):
        if not low <= int(number) <= high:
            raise ValueError(f"{name} {number} is beyond {low}-{high}")
    longest = SIZES.get(name, high - low + 1)
    if found["step"] and not 1 <= int(found["step"]) <= longest:
        raise ValueError(f"{name} {part!r}: a step is from 1 to {longest}")
    if found["last"]:
        _check_range(name, part, _number(found["first"]), _number(found["last"]), is_stepped=bool(found["step"]))


def _check_range(name: str, part: str, first: int, last: int, *, is_stepped: bool) -> None:
    """croniter reads 9-9 as the whole day, and miscounts the steps of a range that wraps around."""
    if first == last or (name == "day of week" and (first, last) == (7, 0)):
        raise ValueError(f"{name} {part!r} is a range of one value: write that value")
    if first > last and is_stepped:
        raise ValueError(f"{name} {part!r} runs backwards with a step: write the values as a list")


def _number(text: str) -> int:
    """What is no name at all is left to croniter."""
    return int(text) if text.isdigit() else NAMES.get(text, -1)


def _numbers(values: Collection[int | str], every: range) -> tuple[int, ...]:
    if "*" in values:
        return tuple(every)
    return tuple(sorted(LAST if value == "l" else int(value) for value in values))


def _weekdays(values: Collection[int | str], nth: Mapping[Any, Collection[Any]]) -> frozenset[tuple[int, int]]:
    if nth:
        return frozenset((day, LAST if n == "l" else n) for day, ns in nth.items() for n in ns)
    return frozenset((day, n) for day in _numbers(values, range(7)) for n in range(1, 6))


# --- Walking ---------------------------------------------------------------------------------------------------------


def first_wall(pattern: Pattern, wall: datetime, last_day: date = LAST_DAY) -> datetime | None:
    """The first match from `wall` (whole seconds) on; None: there is none up to `last_day`."""
    day = wall.date()
    if _is_day(pattern, day):
        found = _first_time(pattern, wall.time())
        if found is not None:
            return datetime.combine(day, found)
    while day < last_day:
        day += DAY
        if day.month not in pattern.months:
            day = day.replace(day=_days_in(day))  # nothing in this month
        elif _is_day(pattern, day):
            return datetime.combine(day, time(pattern.hours[0], pattern.minutes[0], pattern.seconds[0]))
    return None


def is_any_wall(pattern: Pattern, first: datetime, end: datetime) -> bool:
    """Does it match anything from `first` to `end` (excluded)?"""
    if first >= end:
        return False
    found = first_wall(pattern, first)
    return found is not None and found < end


def _first_time(pattern: Pattern, at: time) -> time | None:
    if at.hour in pattern.hours:
        if at.minute in pattern.minutes and at.second <= pattern.seconds[-1]:
            return time(at.hour, at.minute, _first_from(pattern.seconds, at.second))
        if at.minute < pattern.minutes[-1]:
            return time(at.hour, _first_from(pattern.minutes, at.minute + 1), pattern.seconds[0])
    if at.hour < pattern.hours[-1]:
        return time(_first_from(pattern.hours, at.hour + 1), pattern.minutes[0], pattern.seconds[0])
    return None


def _first_from(values: tuple[int, ...], least: int) -> int:
    return values[bisect_left(values, least)]


def _is_day(pattern: Pattern, day: date) -> bool:
    """Cron's own oddity: where day of month and day of week are both restricted, either is enough."""
    if day.month not in pattern.months:
        return False
    if pattern.days is None:
        return pattern.weekdays is None or _is_weekday(pattern.weekdays, day)
    by_date = day.day in pattern.days or (LAST in pattern.days and day.day == _days_in(day))
    return by_date or (pattern.weekdays is not None and _is_weekday(pattern.weekdays, day))


def _is_weekday(weekdays: frozenset[tuple[int, int]], day: date) -> bool:
    weekday = day.isoweekday() % 7
    if (weekday, (day.day - 1) // 7 + 1) in weekdays:
        return True
    return (weekday, LAST) in weekdays and day.day + 7 > _days_in(day)


def _days_in(day: date) -> int:
    return monthrange(day.year, day.month)[1]
