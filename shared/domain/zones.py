"""IANA time zones, and when they change their offset. A tick is a naive datetime in UTC, whole seconds."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def zone(name: str) -> ZoneInfo:
    """ValueError with a hint when `name` is no IANA zone, or one of its abbreviations: those keep one offset all year
    or mean several places."""
    if name == "UTC" or ("/" in name and name in _names()):
        return ZoneInfo(name)
    if "/" not in name:
        raise ValueError(f"{name[:64]!r} is no Area/City time zone: write UTC, or a place such as America/Sao_Paulo")
    raise ValueError(f"unknown time zone {name[:64]!r}{_hint(name[:64])}")


@lru_cache(maxsize=1000)
def _hint(name: str) -> str:
    """What may be meant by `name`. It takes milliseconds, and a list may hold many schedules of a zone given up."""
    close = get_close_matches(name, sorted(_names()), 1)
    return f": did you mean {close[0]}?" if close else ""


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())  # reads a directory, for milliseconds


@dataclass(frozen=True)
class Stretch:
    """Ticks from `begins` to `ends` (excluded) on which a zone has one `offset`; `before` it had that one."""

    begins: datetime
    ends: datetime
    offset: timedelta
    before: timedelta


@lru_cache(maxsize=4096)
def stretches(zone: ZoneInfo, day: date) -> tuple[Stretch, ...]:
    """From two days before this UTC day to its end: a second pass can outlast midnight."""
    probes = [datetime.combine(day, time()) + DAY * n for n in (-2, -1, 0, 1)]  # no zone changed twice in a day
    found, begins, offset, before = [], probes[0], _offset(zone, probes[0]), _offset(zone, probes[0])
    for earlier, later in pairwise(probes):
        if _offset(zone, later) != offset:
            change = _change(zone, earlier, later)
            found.append(Stretch(begins, change, offset, before))
            begins, offset, before = change, _offset(zone, later), offset
    return (*found, Stretch(begins, probes[-1], offset, before))


def _offset(zone: ZoneInfo, tick: datetime) -> timedelta:
    offset = tick.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _change(zone: ZoneInfo, earlier: datetime, later: datetime) -> datetime:
    """The first tick with the offset of `later`, which `earlier` does not have."""
    seconds = range(int((later - earlier) / SECOND) + 1)
    new = _offset(zone, later)
    return earlier + SECOND * bisect_left(seconds, True, key=lambda n: _offset(zone, earlier + SECOND * n) == new)


def changes(zone: ZoneInfo, after: datetime, days: int) -> Iterator[Stretch]:
    """The stretches that begin after this instant, within so many days. ValueError at the end of the calendar."""
    start = after.astimezone(UTC).replace(tzinfo=None)
    for n in range(2, days + 3, 3):  # each look covers three days
        for stretch in stretches(zone, start.date() + DAY * n):
            if stretch.offset != stretch.before and start < stretch.begins <= start + DAY * days:
                yield stretch
