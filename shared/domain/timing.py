"""When a schedule fires: the recurrence, and what bounds it. Occurrences are known by their nominal instants.

Pure rules: which instants these are, how many there are in a range, and whether there are any at all.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.domain import recurrence as recurrences
from shared.domain import zones
from shared.domain.record import EPOCH, Moment, instant_text, to_milliseconds
from shared.domain.recurrence import END, Kind, Recurrence, count_between
from shared.errors import Invalid

MAX_EXCLUSIONS = 366
LONGEST_JITTER_SECONDS = 86_400
A_SECOND = timedelta(seconds=1)
DATE = re.compile(r"\d{4}-\d\d-\d\d")
TICK_OF_TIME = timedelta(milliseconds=1)  # the least by which two stored instants differ
DAY = timedelta(days=1)


def exclusion(text: str) -> str:
    """`text` as a date (`2030-12-24`: the whole day in the schedule's zone) or an instant in UTC.

    Raises:
        ValueError: it is neither.
    """
    try:
        if is_day := DATE.fullmatch(text) is not None:
            at = datetime.combine(date.fromisoformat(text), time(), UTC)
        else:
            at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("Write a date like 2030-12-24 or an instant like 2030-12-24T09:00:00Z.") from error
    if at.tzinfo is None:
        raise ValueError("An instant needs its offset, like 2030-12-24T09:00:00Z or 2030-12-24T09:00:00-03:00.")
    at = reachable(to_milliseconds(at))
    return at.date().isoformat() if is_day else instant_text(at)


def reachable(at: datetime) -> datetime:
    """`at`, if the calendar of schedules has it. Raises ValueError."""
    if not EPOCH <= at < END:
        raise ValueError(f"Write an instant from {EPOCH:%Y} on and before {END:%Y-%m-%d}.")
    return at


Reachable = Annotated[Moment, AfterValidator(reachable)]
Exclusion = Annotated[str, AfterValidator(exclusion)]
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ZoneName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Timing(BaseModel):
    """When a schedule fires: its recurrence, and what bounds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    expression: Expression = Field(
        description="cron: 5 fields, or 6 with leading seconds; interval: `90s`, `30m`, `PT15M`; once: an instant."
    )
    timezone: ZoneName = Field("UTC", description="IANA name, like America/Sao_Paulo.")
    start_at: Reachable | None = Field(None, description="Nothing fires before; intervals are counted from it.")
    end_at: Reachable | None = Field(None, description="Nothing fires after.")
    exclude: tuple[Exclusion, ...] = Field(
        (), max_length=MAX_EXCLUSIONS, description="Dates (in the time zone) and instants at which nothing fires."
    )
    jitter_seconds: int = Field(
        0, ge=0, le=LONGEST_JITTER_SECONDS, strict=True, description="Each fires up to so much later, always the same."
    )
    max_runs: int | None = Field(None, ge=1, le=1_000_000_000, strict=True, description="It ends after so many.")


TIMING = frozenset(Timing.model_fields)
T = TypeVar("T", bound=Timing)


@lru_cache(maxsize=20_000)
def recurrence(timing: tuple[Kind, str, str], anchor: datetime) -> Recurrence:
    """The recurrence of a kind, an expression and the name of a time zone. An `in 10m` is counted from `anchor`.

    Raises:
        Invalid: with the field that is to blame.
    """
    kind, expression, timezone = timing
    try:
        zone = zones.zone(timezone)
    except ValueError as error:
        raise Invalid(str(error), "/timezone") from error
    try:
        if kind is Kind.cron:
            return recurrences.cron(expression, zone)
        if kind is Kind.interval:
            return recurrences.interval(expression, anchor)
        return recurrences.once(expression, zone, anchor)
    except ValueError as error:
        raise Invalid(str(error), "/expression") from error


def anchor_of(timing: Timing, created_at: datetime) -> datetime:
    """What intervals are counted from: the first whole second of the start, or the second of the creation."""
    if timing.start_at is None:
        return created_at.replace(microsecond=0)
    return (timing.start_at + A_SECOND - TICK_OF_TIME).replace(microsecond=0)


def recurrence_of(timing: Timing, anchor: datetime) -> Recurrence:
    return recurrence((timing.kind, timing.expression, timing.timezone), anchor)


def next_occurrence(timing: Timing, anchor: datetime, at: datetime) -> datetime | None:
    """The first occurrence strictly after `at` that is within bounds and not excluded. None: there is none."""
    rule = recurrence_of(timing, anchor)
    if timing.start_at is not None:
        at = max(at, timing.start_at - TICK_OF_TIME)
    while (found := rule.next_after(at)) is not None:
        if found >= END or (timing.end_at is not None and found > timing.end_at):
            return None
        past = _end_of_exclusion(timing, found) if timing.exclude else None
        if past is None:
            return found
        at = past
    return None


def occurrences(timing: Timing, anchor: datetime, after: datetime, until: datetime) -> Iterator[datetime]:
    """The occurrences after `after`, up to and with `until`."""
    at: datetime | None = after
    while at is not None and (at := next_occurrence(timing, anchor, at)) is not None and at <= until:
        yield at


def count(timing: Timing, anchor: datetime, after: datetime, until: datetime) -> int:
    """How many `occurrences` there are, without walking them."""
    if timing.start_at is not None:
        after = max(after, timing.start_at - TICK_OF_TIME)
    until = min(until, timing.end_at or until, END - TICK_OF_TIME)
    rule, zone = recurrence_of(timing, anchor), zones.zone(timing.timezone)
    if until <= after:
        return 0
    excluded = [(max(first, after), min(last, until)) for first, last in _spans(timing.exclude, zone)]
    left_out = sum(count_between(rule, first, last) for first, last in excluded if first < last)
    return count_between(rule, after, until) - left_out


def is_occurrence(timing: Timing, anchor: datetime, at: datetime) -> bool:
    return recurrence_of(timing, anchor).is_at(at) and next_occurrence(timing, anchor, at - TICK_OF_TIME) == at


def settled(settings: T, now: datetime) -> T:
    """`settings` with what was said relative to `now` (`in 10m`) as an instant, to be kept."""
    if settings.kind is not Kind.once:
        return settings
    at = recurrence_of(settings, now).next_after(EPOCH)
    return settings if at is None else settings.model_copy(update={"expression": instant_text(at)})


def checked(timing: Timing, created_at: datetime, now: datetime) -> Recurrence:
    """The recurrence of a timing that is to come into force at `now`.

    Raises:
        Invalid: nothing would ever fire, or it cannot be read. Names the field.
    """
    anchor = anchor_of(timing, created_at)
    rule = recurrence_of(timing, anchor)
    if timing.start_at is not None and timing.end_at is not None and timing.end_at <= timing.start_at:
        raise Invalid("The end must come after the start.", "/end_at")
    if timing.end_at is not None and timing.end_at <= now:
        raise Invalid("The end is over already.", "/end_at")
    first = rule.next_after(max(now, timing.start_at - TICK_OF_TIME) if timing.start_at else now)
    if first is None or first >= END:
        is_over = timing.kind is Kind.once and first is None
        raise Invalid("That instant is over already." if is_over else "It never fires.", "/expression")
    if timing.end_at is not None and first > timing.end_at:
        raise Invalid(f"It would end before it fires for the first time, at {instant_text(first)}.", "/end_at")
    if next_occurrence(timing, anchor, now) is None:
        raise Invalid("The exclusions leave nothing that could fire.", "/exclude")
    return rule


def _end_of_exclusion(timing: Timing, occurrence: datetime) -> datetime | None:
    """Until when, at least, nothing can fire because `occurrence` is excluded. None: it is not."""
    excluded, zone = _exclusions(timing.exclude), zones.zone(timing.timezone)
    day = occurrence.astimezone(zone).date()
    if day in excluded:
        return max(_before(day + DAY, zone), occurrence)
    return occurrence if instant_text(occurrence) in excluded else None


@lru_cache(maxsize=1000)
def _spans(texts: tuple[str, ...], zone: ZoneInfo) -> tuple[tuple[datetime, datetime], ...]:
    """What is excluded, each from after its first instant to its second."""
    excluded = _exclusions(texts)
    days = [each for each in excluded if isinstance(each, date)]
    instants = [datetime.fromisoformat(each) for each in excluded if isinstance(each, str)]
    return (
        *((_before(day, zone), _before(day + DAY, zone)) for day in days),
        *((at - TICK_OF_TIME, at) for at in instants if at.astimezone(zone).date() not in excluded),
    )


def _before(day: date, zone: ZoneInfo) -> datetime:
    """The last instant before `day` begins in `zone`."""
    return datetime.combine(day, time(), zone).astimezone(UTC) - TICK_OF_TIME


@lru_cache(maxsize=1000)
def _exclusions(texts: tuple[str, ...]) -> frozenset[date | str]:
    return frozenset(date.fromisoformat(text) if DATE.fullmatch(text) else text for text in texts)
