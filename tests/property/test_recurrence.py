"""Recurrences against an oracle that looks at every minute and second, over every way a zone ever changed its clock."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import recurrence, zones
from shared.domain.recurrence import Recurrence
from shared.domain.wording import explain
from tests.property import oracle
from tests.property.oracle import DAY, HOUR, MINUTE, SECOND, Transition

UTC_ZONE = ZoneInfo("UTC")
NICKNAMES = {"@yearly": "0 0 1 1 *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@daily": "0 0 * * *"}
CRONS = [recurrence.cron(expression, ZoneInfo("Asia/Kathmandu")) for expression in ("* * * * *", "0 9 1 1 *")]
SEED = 20_300_101
BEGIN, YEARS = datetime(1970, 1, 3, tzinfo=UTC), 80
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))


def test_every_shape_of_transition_is_looked_at() -> None:
    jumps = {shape.after - shape.before for shape in oracle.every_shape()}

    assert len(oracle.every_shape()) > 170
    assert {DAY, 3 * HOUR, 30 * MINUTE, HOUR, -HOUR, -30 * MINUTE, -3 * HOUR} <= jumps


def test_around_every_transition_minute_by_minute() -> None:
    for n, transition in enumerate(oracle.every_shape()):
        zone = ZoneInfo(transition.zone)
        window = oracle.moments(zone, transition.at - 3 * HOUR, transition.at + 3 * HOUR, MINUTE)
        for expression in near(transition, random.Random(SEED + n)):
            compare(expression, zone, window)


def test_around_every_transition_second_by_second() -> None:
    for n, transition in enumerate(oracle.every_shape()):
        zone = ZoneInfo(transition.zone)
        window = oracle.moments(zone, transition.at - 5 * MINUTE, transition.at + 5 * MINUTE, SECOND)
        for expression in secondly(transition, random.Random(SEED + n)):
            compare(expression, zone, window)


def test_from_the_middle_of_every_second_pass_to_days_after_it() -> None:
    for transition in oracle.every_shape(1970):
        zone, half = ZoneInfo(transition.zone), abs(transition.after - transition.before) / 2
        begin = (transition.at + half).replace(second=0)
        window = oracle.moments(zone, begin, begin + 5 * DAY, 5 * MINUTE)
        wall = begin + transition.after + 10 * MINUTE
        for expression in ("{m} {h} */3 * *", "{m} {h} {d},{d} * *", "{m} * */4 * *", "{m} {h} * * */3"):
            text = expression.format(m=wall.minute, h=wall.hour, d=wall.day)
            compare(text, zone, window)


def test_at_random_instants_of_random_zones() -> None:
    chance, zones = random.Random(SEED), sorted(available_timezones())
    for _ in range(2000):
        zone = ZoneInfo(chance.choice(zones))
        begin = BEGIN + MINUTE * chance.randrange(YEARS * 365 * 1440)
        compare(anything(chance), zone, oracle.moments(zone, begin, begin + chance.choice([6, 12, 30]) * HOUR, MINUTE))


SPARSE = [
    *("0 0 29 2 *", "0 6 L * *", "0 6 * * 5#5", "0 6 29 2 1#5", "0 23 31 * 7", "0 0 1-5,L jan-mar,DEC ?", "0 5 * 2 L1"),
    *("0 6 28-L * *", "0 0 */10 * *", "0 0 30,31 2,4 *", "0 12 13 * FRI", "0 8 ? nov-feb sat-mon", "0 4 * * 5-7"),
    *("0 9-17/4 1 */5 *", "0 4 * * 1-7/3", "0 4 * * 1#1,3#2", "0 4 * * mon-wed#3", "0 0 1-31 * */2", "0 3 L * L0,L3"),
    *("@yearly", "@weekly", "@monthly", "@daily"),
]


@pytest.mark.parametrize("expression", SPARSE)
def test_the_days_of_sparse_expressions_over_thirteen_years(expression: str) -> None:
    begin, end = datetime(2096, 1, 1, 11, tzinfo=UTC), datetime(2109, 1, 1, tzinfo=UTC)
    window = oracle.moments(UTC_ZONE, begin, end, HOUR)  # over 2100, which is no leap year

    compare(expression, UTC_ZONE, window)


def compare(expression: str, zone: ZoneInfo, window: list[oracle.Moment]) -> None:
    """All occurrences in the window, their marks, what `is_at` says of each moment's neighbours, and the count."""
    cron = recurrence.cron(expression, zone)
    begin, end = window[0].at - (window[1].at - window[0].at), window[-1].at
    expected = list(oracle.occurrences(NICKNAMES.get(expression, expression), window))

    found = [(at, recurrence.mark(cron, at)) for at in all_between(cron, begin, end)]

    assert found == expected, f"{expression!r} in {zone} from {begin}"
    for at, _ in expected[:3]:
        assert cron.is_at(at)
        assert not cron.is_at(at + timedelta(milliseconds=1))
        assert cron.is_at(at + SECOND) == any(other == at + SECOND for other, _ in expected) or at == end
    assert recurrence.count_between(cron, begin, end) == len(expected)


def all_between(recurrence: Recurrence, begin: datetime, end: datetime) -> Iterator[datetime]:
    at = recurrence.next_after(begin)
    while at is not None and at <= end:
        yield at
        at = recurrence.next_after(at)


# --- Expressions -----------------------------------------------------------------------------------------------------


def near(transition: Transition, chance: random.Random) -> list[str]:
    """Five fields that have something to do with this hour of this day."""
    begins, ends = (transition.at + offset for offset in (transition.before, transition.after))
    hours = {(wall + HOUR * n).hour for wall in (begins, ends) for n in (-2, -1, 0, 1)}
    minutes = sorted({0, 1, 29, 30, 59, begins.minute, chance.randrange(60)})
    fixed = [f"{chance.choice(minutes)} {hour} * * *" for hour in sorted(hours)]
    day, weekday = begins.day, begins.isoweekday() % 7
    first, last = sorted(chance.sample(sorted(hours | {0, 23}), 2))
    return [
        *("* * * * *", "*/7 * * * *", "*/20 */2 * * *", "30 * * * *", "*/15 0-23 * * *", "@daily", "15 */3 * * *"),
        *fixed,
        *(f"*/{chance.randint(2, 59)} {hour} * * *" for hour in sorted(hours)),
        *(f"{minute} {begins.hour},{ends.hour} * * *" for minute in minutes),
        f"5-50/9 {first}-{last} * * *",
        f"*/10 {first}-{last}/2 * * *",
        f"*/10 {last}-{first} * * *",
        f"0 {begins.hour} {day} * *",
        f"*/30 * {day} {begins.month} *",
        f"*/20 {begins.hour},{ends.hour} {ends.day} * *",
        f"*/20 {ends.hour} * * {weekday}",
        f"*/20 * * * {oracle.WEEKDAYS[weekday]}#{(day + 6) // 7}",
        f"30 {begins.hour} L * *",
        f"*/12 {begins.hour} * * L{weekday}",
        f"*/25 {ends.hour} {(begins - DAY).day} {oracle.MONTHS[begins.month]} {oracle.WEEKDAYS[(weekday + 1) % 7]}",
    ]


def secondly(transition: Transition, chance: random.Random) -> list[str]:
    begins, ends = (transition.at + offset for offset in (transition.before, transition.after))
    early = begins - MINUTE
    return [
        *("* * * * * *", "*/7 */2 * * * *", "30 * * * *", "59 59 * * * *"),
        f"* {begins.minute} {begins.hour} * * *",
        f"* * {ends.hour} * * *",
        f"*/{chance.randint(2, 59)} */3 {early.hour},{ends.hour} * * *",
        f"{chance.randrange(60)},59 {early.minute} {early.hour},{begins.hour} * * *",
        f"{chance.randrange(60)} {ends.minute}-{min(59, ends.minute + 3)} {ends.hour} {ends.day} * *",
    ]


def anything(chance: random.Random) -> str:
    minute = chance.choice(["*", "0", "*/5", "*/13", "7", "0,30", "10-50/20", "59", "3/15"])
    hour = chance.choice(["*", "*", "*/2", "*/5", "0", "1", "2", "3", "0-23", "22-3", "1,2,3", "8-18/3", "23", "*/24"])
    day = chance.choice(["*", "*", "*", "*", "?", "L", "1", "31", "15,L", "*/2", "1-10", "28-L", "29"])
    month = chance.choice(["*", "*", "*", "*", "1", "JAN-JUN", "*/2", "oct-mar", "3,10"])
    weekday = chance.choice(["*", "*", "*", "*", "?", "0", "7", "MON-FRI", "sun#1", "L0", "5-7", "sat,sun", "*/2"])
    return f"{minute} {hour} {day} {month} {weekday}"


# --- Interval, once, and any text ------------------------------------------------------------------------------------


@given(every=st.integers(1, 366 * 86_400), anchor=INSTANTS, at=INSTANTS)
@example(every=1, anchor=BEGIN, at=BEGIN)
@example(every=86_400, anchor=BEGIN, at=datetime.max.replace(tzinfo=UTC))
def test_an_interval_is_a_multiple_of_its_length_from_its_anchor(every: int, anchor: datetime, at: datetime) -> None:
    interval = recurrence.interval(str(every), anchor)
    origin = Fraction(int((anchor.replace(microsecond=0) - BEGIN) / SECOND))
    now = Fraction((at - BEGIN) // timedelta(microseconds=1), 1_000_000)
    behind = (now - origin) / every
    following = origin + (behind.__floor__() + 1) * every

    try:
        expected = BEGIN + SECOND * int(following)
    except OverflowError:
        expected = None
    assert interval.next_after(at) == expected
    assert interval.is_at(at) == (behind.denominator == 1)
    if expected is not None:
        assert interval.is_at(expected)
        assert recurrence.count_between(interval, at, expected) == 1
        assert recurrence.count_between(interval, at, expected - timedelta(microseconds=1)) == 0


@given(every=st.integers(1, 5000), offset=st.integers(-9000, 9000), length=st.integers(0, 9000))
def test_intervals_are_counted_as_they_are_walked(every: int, offset: int, length: int) -> None:
    interval = recurrence.interval(f"{every}s", BEGIN)
    begin = BEGIN + SECOND * offset
    end = begin + SECOND * length

    assert recurrence.count_between(interval, begin, end) == len(list(all_between(interval, begin, end)))


def test_a_wall_around_every_transition_is_once_at_its_first_instant() -> None:
    for transition in oracle.every_shape():
        zone = ZoneInfo(transition.zone)
        window = oracle.moments(zone, transition.at - 4 * HOUR, transition.at + 4 * HOUR, MINUTE)
        expected: dict[datetime, tuple[datetime, str | None]] = {}
        for moment in window:
            expected.update((wall, (moment.at, "moved")) for wall in moment.jumped)
            if moment.nth == 0:
                expected[moment.wall] = moment.at, oracle.mark_of(moment)
        for wall, (at, mark) in list(expected.items())[::7]:
            once = recurrence.once(wall.isoformat(), zone, BEGIN)
            assert (once.at, recurrence.mark(once, once.at)) == (at, mark), f"{wall} in {zone}"
            assert once.next_after(at - SECOND) == at
            assert once.next_after(at) is None


TEXTS = st.text(max_size=210) | st.text("0123456789*/-,#?LWRHh@lwr() \tMONJANtuedec.PTDSm", max_size=30)
FIELDS = st.text("0123456789*/-,#?LWRHlmonsujaf()", min_size=1, max_size=6)


@given(expression=TEXTS | st.lists(FIELDS, min_size=5, max_size=6).map(" ".join), at=INSTANTS)
@example(expression="0 0 29 2 *", at=datetime(9999, 12, 26, 23, tzinfo=UTC))
def test_any_text_is_a_recurrence_or_a_value_error(expression: str, at: datetime) -> None:
    for make in (
        lambda: recurrence.cron(expression, ZoneInfo("Europe/Berlin")),
        lambda: recurrence.interval(expression, at),
        lambda: recurrence.once(expression, ZoneInfo("America/Sao_Paulo"), at),
        lambda: recurrence.once(f"in {expression}", UTC_ZONE, at),
    ):
        with suppress(ValueError):
            found: Recurrence = make()
            following = found.next_after(at)
            assert following is None or (following > at and following.microsecond == 0 and found.is_at(following))
            assert explain(found)


@given(name=TEXTS)
def test_any_text_is_a_zone_or_a_value_error(name: str) -> None:
    with suppress(ValueError):
        assert zones.zone(name).key == name


def test_no_interval_counts_what_lies_before_the_first_year() -> None:
    daily, early = recurrence.interval("1d", BEGIN), datetime(1960, 1, 1, tzinfo=UTC)
    assert recurrence.count_between(daily, early, datetime(1969, 12, 31, tzinfo=UTC)) == 0
    assert recurrence.count_between(daily, early, datetime(1970, 1, 2, tzinfo=UTC)) == 2


@given(at=st.datetimes(timezones=st.sampled_from([ZoneInfo("Asia/Tokyo"), UTC, ZoneInfo("America/New_York")])))
@example(at=datetime(1969, 1, 1, tzinfo=UTC))
@example(at=datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")))
@example(at=datetime.max.replace(tzinfo=ZoneInfo("America/New_York")))
def test_no_instant_is_too_early_or_too_late_to_ask_for_the_next(at: datetime) -> None:
    for found in (*CRONS, recurrence.interval("1d", BEGIN)):
        following = found.next_after(at)
        assert following is None or (following > at and following.year >= 1970)
        assert not found.is_at(at) or found.next_after(at - SECOND) == at
        assert recurrence.count_between(found, at, at) == 0
