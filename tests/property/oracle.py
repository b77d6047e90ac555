"""A second opinion on recurrences: slow, obvious, and made of nothing that `shared.domain.recurrence` is made of.

It looks at every real minute (or second) of a window, asks zoneinfo what the clock on the wall shows, and applies the
declared rules. It reads cron fields by itself. It knows no shortcut.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))
MONTHS = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
RANGES = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}


@dataclass(frozen=True)
class Fields:
    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    @property
    def follows_real_time(self) -> bool:
        return self.hour == "*" or self.hour.startswith("*/")


def fields_of(expression: str) -> Fields:
    texts = expression.lower().split()
    return Fields(*texts) if len(texts) == 6 else Fields("0", *texts)


def number(name: str, text: str) -> int:
    if text in MONTHS:
        return MONTHS.index(text)
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    return int(text) % 7 if name == "weekday" else int(text)


@cache
def expand(name: str, text: str) -> frozenset[int]:
    """The values of a field without `L` and `#`."""
    low, high = RANGES[name]
    values: set[int] = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        if body in ("*", "?"):
            first, last = low, high
        elif "-" in body:
            first, last = (number(name, end) for end in body.split("-"))
            if body.endswith("-7"):
                last = 7
        else:
            first = number(name, body)
            last = high if step else first
        if last < first:
            last += high - low + 1
        for value in range(first, last + 1, int(step or 1)):
            values.add((value - low) % (high - low + 1) + low)
    return frozenset(values)


def is_date(text: str, at: datetime) -> bool:
    length = calendar.monthrange(at.year, at.month)[1]
    return any(
        at.day == length if part == "l" else at.day in expand("day", part.replace("-l", "-31"))
        for part in text.split(",")
    )


def is_weekday(text: str, at: datetime) -> bool:
    length = calendar.monthrange(at.year, at.month)[1]
    weekday = (at.weekday() + 1) % 7
    for part in text.split(","):
        if re.fullmatch("l[0-7]", part):
            found = weekday == int(part[1]) % 7 and length - at.day < 7
        elif "#" in part:
            day, nth = part.split("#")
            found = weekday in expand("weekday", day) and (at.day + 6) // 7 == int(nth)
        else:
            found = weekday in expand("weekday", part)
        if found:
            return True
    return False


@cache
def is_day(day: str, month: str, weekday: str, at: datetime) -> bool:
    """Either of the two day fields is enough, if both say something."""
    said = []
    if day not in ("*", "?"):
        said.append(is_date(day, at))
    if weekday not in ("*", "?"):
        said.append(is_weekday(weekday, at))
    return at.month in expand("month", month) and (not said or any(said))


def matches(fields: Fields, wall: datetime) -> bool:
    return (
        wall.second in expand("second", fields.second)
        and wall.minute in expand("minute", fields.minute)
        and wall.hour in expand("hour", fields.hour)
        and is_day(fields.day, fields.month, fields.weekday, wall.replace(hour=0, minute=0, second=0))
    )


# --- Real time -------------------------------------------------------------------------------------------------------


def wall_at(zone: ZoneInfo, at: datetime) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def offsets_around(zone: ZoneInfo, at: datetime) -> set[timedelta]:
    found = {(at + HOUR * hours).astimezone(zone).utcoffset() for hours in range(-27, 28)}
    return {offset for offset in found if offset is not None}


def instants_of(zone: ZoneInfo, wall: datetime, offsets: set[timedelta]) -> list[datetime]:
    """All real instants at which the clock on the wall shows this."""
    candidates = [(wall - offset).replace(tzinfo=UTC) for offset in offsets]
    return sorted(at for at in candidates if wall_at(zone, at) == wall)


@dataclass(frozen=True)
class Moment:
    """A real instant, what the clock on the wall shows, whether it showed or will show that at another instant too,
    and what it never showed because it jumped ahead just now."""

    at: datetime
    wall: datetime
    nth: int
    times: int
    jumped: tuple[datetime, ...]


def moments(zone: ZoneInfo, begin: datetime, end: datetime, step: timedelta) -> list[Moment]:
    """Every `step` in (begin, end]. Before a moment at which the clock jumped, by `step` too, the walls left out."""
    offsets = offsets_around(zone, begin) | offsets_around(zone, end)
    found, at, earlier = [], begin + step, wall_at(zone, begin)
    while at <= end:
        wall = wall_at(zone, at)
        jumped = []
        while earlier + step < wall:
            earlier += step
            if not instants_of(zone, earlier, offsets):
                jumped.append(earlier)
        instants = instants_of(zone, wall, offsets) if len(offsets) > 1 else [at]
        found.append(Moment(at, wall, instants.index(at), len(instants), tuple(jumped)))
        earlier, at = wall, at + step
    return found


def occurrences(expression: str, window: list[Moment]) -> Iterator[tuple[datetime, str | None]]:
    """The instants at which it fires, and how a preview marks them."""
    fields = fields_of(expression)
    for moment in window:
        natural = matches(fields, moment.wall)
        if fields.follows_real_time:
            if natural:
                yield moment.at, mark_of(moment)
        elif natural and moment.nth == 0:
            yield moment.at, mark_of(moment)
        elif any(matches(fields, wall) for wall in moment.jumped):
            yield moment.at, "moved"


def mark_of(moment: Moment) -> str | None:
    if moment.times == 1:
        return None
    return "second_pass" if moment.nth else "first_pass"


# --- Transitions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transition:
    zone: str
    at: datetime
    before: timedelta
    after: timedelta

    @property
    def shape(self) -> tuple[timedelta, timedelta, str]:
        """Offset before, offset after, local time of day."""
        return self.before, self.after, f"{self.at + self.before:%H:%M:%S}"


def distinct_zones() -> list[str]:
    """One name for each set of rules."""
    names: dict[bytes, str] = {}
    for name in sorted(available_timezones()):
        source = files("tzdata").joinpath("zoneinfo", *name.split("/"))
        if source.is_file():
            names.setdefault(source.read_bytes(), name)
    return sorted(names.values())


def transitions(name: str, first_year: int, last_year: int) -> Iterator[Transition]:
    """Looks twice a week: no zone changes its offset twice within 166 hours."""
    zone = ZoneInfo(name)
    begin, days = datetime(first_year, 1, 1, tzinfo=UTC), (last_year + 1 - first_year) * 366
    seen = [(begin + DAY * n, (begin + DAY * n).astimezone(zone).utcoffset()) for n in range(0, days, 3)]
    for (early, before), (late, after) in pairwise(seen):
        if before != after:
            assert before is not None
            assert after is not None
            while late - early > SECOND:
                middle = early + (late - early) // 2
                middle = middle.replace(microsecond=0)
                early, late = (middle, late) if middle.astimezone(zone).utcoffset() == before else (early, middle)
            yield Transition(name, late, before, after)


@cache
def every_shape(first_year: int = 1990, last_year: int = 2040) -> tuple[Transition, ...]:
    """The latest transition of each distinct shape."""
    found: dict[tuple[timedelta, timedelta, str], Transition] = {}
    for name in distinct_zones():
        for transition in transitions(name, first_year, last_year):
            known = found.get(transition.shape)
            if known is None or known.at < transition.at:
                found[transition.shape] = transition
    return tuple(found.values())
