"""When a schedule's occurrences are: cron, interval, once.

A *wall* is a naive datetime as the zone's clock shows it, a *tick* a naive datetime in UTC; both are whole seconds.
Which ticks the walls of a cron mean, daylight saving included, is decided here.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum, auto
from zoneinfo import ZoneInfo

from shared.domain.cron import LAST_DAY, LONGEST, Pattern, first_wall, is_any_wall, parse
from shared.domain.zones import Stretch, stretches

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
FIRST = datetime(1970, 1, 1, tzinfo=UTC)  # nothing occurs before
END = datetime.combine(LAST_DAY, time(), UTC)  # nor, for a cron, from here on
LONGEST_INTERVAL = timedelta(days=366)
UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
PLAIN = re.compile("".join(f"(?:(?P<{unit}>[0-9]+){unit})?" for unit in "wdhm") + "(?:(?P<s>[0-9]+)s?)?")
ISO_8601 = re.compile(
    "P(?:(?P<w>[0-9]+)W)?(?:(?P<d>[0-9]+)D)?(?:T(?=[0-9])(?:(?P<h>[0-9]+)H)?(?:(?P<m>[0-9]+)M)?(?:(?P<s>[0-9]+)S)?)?"
)
EXAMPLES = "write 90, 90s, 30m, 2h, 1d, 1h30m or ISO 8601 such as PT15M"


class Kind(StrEnum):
    cron = "cron"
    interval = "interval"
    once = "once"


class Mark(StrEnum):
    """What daylight saving did to an occurrence."""

    moved = auto()  # its wall does not exist that day: it fires at the first instant after the gap
    first_pass = auto()  # its wall happens twice, and this is the first
    second_pass = auto()


@dataclass(frozen=True)
class Cron:
    """The Vixie rule. Fixed hours keep the wall: what a gap swallows fires once after it, what happens twice fires at
    the first. An hour field `*` or `*/n` follows real time: both passes fire, and a gap has no such walls."""

    expression: str
    zone: ZoneInfo
    pattern: Pattern

    def next_after(self, at: datetime) -> datetime | None:
        if at >= END - SECOND:
            return None
        start = max(at, FIRST - SECOND).astimezone(UTC).replace(tzinfo=None, microsecond=0) + SECOND
        tick = _first_tick(self.pattern, self.zone, start)
        return None if tick is None else tick.replace(tzinfo=UTC)

    def is_at(self, at: datetime) -> bool:
        return at >= FIRST and self.next_after(at - SECOND) == at


@dataclass(frozen=True)
class Interval:
    """At `anchor` and each `every` before and after it, from 1970 on, in elapsed time: daylight saving has no say."""

    expression: str
    every: timedelta
    anchor: datetime

    def next_after(self, at: datetime) -> datetime | None:
        try:
            return self.anchor + self.every * ((max(at, FIRST - SECOND) - self.anchor) // self.every + 1)
        except OverflowError:
            return None

    def is_at(self, at: datetime) -> bool:
        return at >= FIRST and not (at - self.anchor) % self.every


@dataclass(frozen=True)
class Once:
    expression: str
    zone: ZoneInfo
    at: datetime
    mark: Mark | None = None

    def next_after(self, at: datetime) -> datetime | None:
        return self.at if at < self.at else None

    def is_at(self, at: datetime) -> bool:
        return at == self.at


Recurrence = Cron | Interval | Once


def count_between(recurrence: Recurrence, after: datetime, until: datetime) -> int:
    """Occurrences in (after, until]. Those of a cron are walked day by day, the others are arithmetic."""
    if isinstance(recurrence, Interval):
        after = max(after, FIRST - SECOND)
        return max(0, (until - recurrence.anchor) // recurrence.every - (after - recurrence.anchor) // recurrence.every)
    if isinstance(recurrence, Once):
        return int(after < recurrence.at <= until)
    return _count(recurrence, after, until)


def _count(cron: Cron, after: datetime, until: datetime) -> int:
    """All days with an occurrence have as many, and so have all hours, but for those in which the clocks change."""
    count, at = 0, cron.next_after(after)
    while at is not None and at <= until:
        ends, found = _day_or_hour(cron, at, after)
        if ends > until:
            ends, found = at + SECOND, 1
        count, at = count + found, cron.next_after(ends - SECOND)
    return count


def _day_or_hour(cron: Cron, at: datetime, after: datetime) -> tuple[datetime, int]:
    """The end of the day, hour or second that begins with the occurrence `at`, and how many it has."""
    minutes, seconds = cron.pattern.minutes, cron.pattern.seconds
    an_hour = len(minutes) * len(seconds)
    wall = at.astimezone(cron.zone)
    midnight, next_midnight = (datetime.combine(wall.date() + DAY * n, time(), cron.zone) for n in (0, 1))
    ends = next_midnight.astimezone(UTC)
    if midnight.utcoffset() == next_midnight.utcoffset() and after < midnight and at < ends:
        return ends, an_hour * len(cron.pattern.hours)
    begins = at - timedelta(minutes=wall.minute, seconds=wall.second)
    before, then = ((begins + distance).astimezone(cron.zone) for distance in (-SECOND, HOUR))
    if before.utcoffset() == then.utcoffset() and (wall.minute, wall.second) == (minutes[0], seconds[0]):
        return begins + HOUR, an_hour
    return at + SECOND, 1


def mark(recurrence: Recurrence, at: datetime) -> Mark | None:
    """What daylight saving did to the occurrence `at`; None: nothing."""
    if isinstance(recurrence, Once):
        return recurrence.mark
    if isinstance(recurrence, Interval):
        return None
    wall = at.astimezone(recurrence.zone).replace(tzinfo=None)
    return _mark_of(recurrence.zone, at, first_wall(recurrence.pattern, wall))


def _mark_of(zone: ZoneInfo, at: datetime, wall: datetime | None) -> Mark | None:
    """`at` was meant to be `wall`."""
    local = at.astimezone(zone)
    if local.replace(tzinfo=None) != wall:
        return Mark.moved
    if local.utcoffset() == local.replace(fold=not local.fold).utcoffset():
        return None
    return Mark.second_pass if local.fold else Mark.first_pass


# --- Reading what the user wrote --------------------------------------------------------------------------------------


def cron(expression: str, zone: ZoneInfo) -> Cron:
    return Cron(expression, zone, parse(expression))


def interval(expression: str, anchor: datetime) -> Interval:
    return Interval(expression, _duration(expression), anchor.astimezone(UTC).replace(microsecond=0))


def once(expression: str, zone: ZoneInfo, now: datetime) -> Once:
    """An instant, a wall of `zone`, or a distance from `now`. A past instant is no error here."""
    text = _short(expression)
    try:
        if text.startswith("in "):
            return Once(expression, zone, _whole((now + _duration(text[3:])).astimezone(UTC)))
        at = _instant_or_wall(text)
        if at.tzinfo is not None:
            return Once(expression, zone, _whole(at.astimezone(UTC)))
        found = _first_pass(zone, _whole(at))
        return Once(expression, zone, found, _mark_of(zone, found, _whole(at)))
    except OverflowError as error:
        raise ValueError(f"{text!r} is too close to the beginning or the end of the calendar") from error


def _instant_or_wall(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"{text[:64]!r} is no time: write 2030-12-24T09:00 (in the schedule's time zone), "
            "2030-12-24T09:00:00Z, or a distance such as in 10m"
        ) from error
    if len(text) <= len("2030-12-24"):
        raise ValueError(f"{text!r} is a day: say at which time, such as {at.date()}T09:00")
    return at


def _whole(at: datetime) -> datetime:
    """Rounded up: `in 10m` is no sooner than ten minutes."""
    return at if not at.microsecond else at.replace(microsecond=0) + SECOND


def _first_pass(zone: ZoneInfo, wall: datetime) -> datetime:
    """The instant of this wall: the first of two; if the wall does not exist, the first after the gap."""
    for stretch in stretches(zone, wall.date() + DAY):
        if stretch.begins + stretch.before <= wall < stretch.begins + stretch.offset:
            return stretch.begins.replace(tzinfo=UTC)
        if stretch.begins + stretch.offset <= wall < stretch.ends + stretch.offset:
            return (wall - stretch.offset).replace(tzinfo=UTC)
    raise AssertionError("a day around the wall covers every offset")


def _short(expression: str) -> str:
    if len(expression) > LONGEST:
        raise ValueError(f"an expression has at most {LONGEST} characters, this one has {len(expression)}")
    return expression.strip()


def _duration(expression: str) -> timedelta:
    """Whole seconds, LONGEST_INTERVAL at most. ValueError otherwise."""
    text = _short(expression)
    if text.startswith("-"):
        raise ValueError(f"{text[:64]!r} is negative: {EXAMPLES}")
    if re.fullmatch(r"P[0-9YMWD.,]*[0-9][YM].*", text):
        raise ValueError(f"{text[:64]!r}: months and years have no fixed length, count days, or use cron")
    if re.search(r"[0-9][.,][0-9]", text):
        raise ValueError(f"{text[:64]!r} has a fraction: whole seconds only, {EXAMPLES}")
    found = PLAIN.fullmatch(text) or ISO_8601.fullmatch(text)
    if found is None or not any(found.groups()):
        raise ValueError(f"{text[:64]!r} is no duration: {EXAMPLES}")
    seconds = sum(int(found[unit] or 0) * length for unit, length in UNITS.items())
    if seconds == 0:
        raise ValueError(f"{text[:64]!r} is no time at all: one second is the shortest")
    if seconds > LONGEST_INTERVAL / SECOND:
        raise ValueError(f"{text[:64]!r} is longer than {LONGEST_INTERVAL.days} days")
    return timedelta(seconds=seconds)


# --- Cron: from walls to instants ------------------------------------------------------------------------------------


def _first_tick(pattern: Pattern, zone: ZoneInfo, start: datetime) -> datetime | None:
    """The first occurrence from `start` on."""
    day = start.date()
    while day < END.date():
        for stretch in stretches(zone, day):
            tick = _first_in(stretch, pattern, start)
            if tick is not None:
                return tick
        # No zone is a day off UTC: days whose walls cannot match are skipped without a look.
        wall = first_wall(pattern, datetime.combine(day, time()))
        if wall is None:
            return None
        day = max(day + DAY, wall.date() - DAY)
        start = datetime.combine(day, time())  # the stretches begin earlier, but know nothing of folds before them
    return None


def _first_in(stretch: Stretch, pattern: Pattern, start: datetime) -> datetime | None:
    """The first occurrence in this stretch, from `start` on."""
    if start >= stretch.ends:
        return None
    wall = max(start, stretch.begins) + stretch.offset
    if pattern.is_hour_fixed:
        resumes = stretch.begins + stretch.before
        if start <= stretch.begins and is_any_wall(pattern, resumes, stretch.begins + stretch.offset):
            return stretch.begins  # for all the walls in the gap
        wall = max(wall, resumes)  # after a fold, what comes before has happened
    found = first_wall(pattern, wall)
    return found - stretch.offset if found is not None and found - stretch.offset < stretch.ends else None
