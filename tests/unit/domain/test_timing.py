"""A timing's occurrences, within its bounds and without what is excluded; what may be said of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.domain.schedule import Schedule
from shared.domain.timing import checked, count, exclusion, is_occurrence, next_occurrence, occurrences, settled
from shared.errors import Invalid
from tests.fakes import NOON
from tests.world import a_schedule, settings_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def between(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    return list(occurrences(schedule.settings, schedule.anchor, after, until))


# ------------------------------------------------------------------------------------------------ occurrences


def test_occurrences_are_after_the_one_bound_and_up_to_the_other() -> None:
    assert between(a_schedule(), NOON, NOON + 3 * MINUTE) == [NOON + n * MINUTE for n in (1, 2, 3)]


def test_start_and_end_are_included() -> None:
    schedule = a_schedule(start_at=NOON + MINUTE, end_at=NOON + 3 * MINUTE)

    assert between(schedule, NOON - DAY, NOON + DAY) == [NOON + n * MINUTE for n in (1, 2, 3)]


def test_a_start_or_end_between_two_occurrences_leaves_both_outside() -> None:
    shift = timedelta(milliseconds=1)
    schedule = a_schedule(start_at=NOON + MINUTE + shift, end_at=NOON + 3 * MINUTE - shift)

    assert between(schedule, NOON, NOON + DAY) == [NOON + 2 * MINUTE]


def test_an_interval_is_counted_from_its_start_and_else_from_its_creation() -> None:
    started = a_schedule(kind="interval", expression="1h", start_at=NOON + 7 * MINUTE)
    created = a_schedule(kind="interval", expression="1h", created_at=NOON + timedelta(seconds=5.5))

    assert between(started, NOON, NOON + 2 * HOUR) == [NOON + 7 * MINUTE, NOON + 67 * MINUTE]
    assert between(created, NOON + MINUTE, NOON + 2 * HOUR) == [NOON + HOUR + timedelta(seconds=5)]


def test_a_date_excludes_the_whole_day_in_the_schedules_zone() -> None:
    schedule = a_schedule(expression="0 */6 * * *", timezone="America/Sao_Paulo", exclude=("2030-01-02",))

    found = between(schedule, NOON, NOON + 2 * DAY)

    walls = [(at - 3 * HOUR).isoformat()[:16] for at in found]
    assert walls == ["2030-01-01T12:00", "2030-01-01T18:00", "2030-01-03T00:00", "2030-01-03T06:00"]


def test_a_date_excludes_both_passes_of_a_fold_and_the_short_day_of_a_gap() -> None:
    long, short = datetime.fromisoformat("2030-10-27T00:00+02:00"), datetime.fromisoformat("2030-03-31T00:00+01:00")
    schedule = a_schedule(timezone="Europe/Berlin", exclude=("2030-10-27", "2030-03-31"))

    for day in (long, short):
        before, after = day - MINUTE, next_occurrence(schedule.settings, NOON, day - MINUTE)
        assert next_occurrence(schedule.settings, NOON, before - MINUTE) == before
        assert after is not None
        assert after - day == (25 if day is long else 23) * HOUR


def test_an_instant_excludes_that_occurrence_only() -> None:
    schedule = a_schedule(exclude=("2030-01-01T09:02:00-03:00",))

    assert between(schedule, NOON, NOON + 3 * MINUTE) == [NOON + MINUTE, NOON + 3 * MINUTE]


def test_days_in_a_row_may_be_excluded() -> None:
    schedule = a_schedule(expression="* * * * * *", exclude=tuple(f"2030-01-{day:02}" for day in range(2, 30)))

    assert next_occurrence(schedule.settings, NOON, NOON.replace(day=2)) == datetime.fromisoformat("2030-01-30T00:00Z")


@pytest.mark.parametrize(("minute", "expected"), [(1, True), (2, False), (5, True), (6, False)])
def test_is_occurrence_knows_bounds_and_exclusions(minute: int, expected: bool) -> None:
    bounds = {"start_at": NOON + MINUTE, "end_at": NOON + 5 * MINUTE, "exclude": ("2030-01-01T12:02:00Z",)}
    schedule = a_schedule(**bounds)

    assert is_occurrence(schedule.settings, schedule.anchor, NOON + minute * MINUTE) is expected
    assert not is_occurrence(schedule.settings, schedule.anchor, NOON + minute * MINUTE + timedelta(seconds=1))


@given(
    kind=st.sampled_from([("cron", "*/5 * * * *"), ("cron", "30 9 * * 1-5"), ("interval", "7m"), ("interval", "90s")]),
    zone=st.sampled_from(["UTC", "America/Sao_Paulo", "Asia/Kolkata"]),
    start=st.none() | st.integers(-600, 600),
    end=st.none() | st.integers(601, 3000),
    exclude=st.lists(st.sampled_from(["2030-01-01", "2030-01-02", "2030-01-01T13:00:00Z", "2030-01-01T12:05:00Z"])),
    after=st.integers(-1200, 1200),
)
@examples(max_examples=150)
def test_occurrences_and_is_occurrence_and_count_agree(
    kind: tuple[str, str], zone: str, start: int | None, end: int | None, exclude: list[str], after: int
) -> None:
    schedule = a_schedule(
        kind=kind[0],
        expression=kind[1],
        timezone=zone,
        start_at=None if start is None else NOON + start * MINUTE,
        end_at=None if end is None else NOON + end * MINUTE,
        exclude=tuple(exclude),
    )
    first, last = NOON + after * MINUTE, NOON + (after + 300) * MINUTE

    found = between(schedule, first, last)

    step = timedelta(seconds=30)
    looked = [first + n * step for n in range(1, 601)]
    assert found == [at for at in looked if is_occurrence(schedule.settings, schedule.anchor, at)]
    assert len(found) == count(schedule.settings, schedule.anchor, first, last)


# ------------------------------------------------------------------------------------------------ what may be said


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2030-12-24", "2030-12-24"),
        ("2030-12-24T09:00:00-03:00", "2030-12-24T12:00:00.000Z"),
        ("2030-12-24T09:00Z", "2030-12-24T09:00:00.000Z"),
    ],
)
def test_an_exclusion_is_kept_as_a_date_or_as_an_instant_in_utc(text: str, kept: str) -> None:
    assert exclusion(text) == kept


@pytest.mark.parametrize("text", ["", "tomorrow", "2030-13-01", "2030-12-24T09:00", "2030-02-30"])
def test_an_exclusion_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Write a date|needs its offset"):
        exclusion(text)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"expression": "61 * * * *"}, "/expression"),
        ({"expression": "0 0 30 2 *"}, "/expression"),
        ({"kind": "interval", "expression": "0s"}, "/expression"),
        ({"kind": "once", "expression": "2029-01-01T00:00:00Z"}, "/expression"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"end_at": NOON}, "/end_at"),
        ({"end_at": NOON + MINUTE}, "/end_at"),
        ({"start_at": NOON + DAY, "end_at": NOON + DAY}, "/end_at"),
        ({"kind": "once", "expression": "in 1h", "exclude": ("2030-01-01",)}, "/exclude"),
        ({"end_at": NOON + 2 * HOUR, "exclude": ("2030-01-01",)}, "/exclude"),
    ],
)
def test_a_timing_that_never_fires_names_the_field_to_blame(wrong: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as error:
        checked(settings_of(**wrong), NOON, NOON)
    assert error.value.pointer == pointer


def test_a_timing_may_fire_for_the_first_time_at_its_end() -> None:
    checked(settings_of(start_at=NOON + HOUR, end_at=NOON + HOUR + MINUTE), NOON, NOON)
    checked(settings_of(end_at=NOON + HOUR), NOON, NOON)


def test_a_distance_from_now_is_kept_as_an_instant_and_other_kinds_as_they_are() -> None:
    once = settings_of(kind="once", expression="in 10m")

    assert settled(once, NOON).expression == "2030-01-01T12:10:00.000Z"
    assert settled(settled(once, NOON), NOON + DAY) == settled(once, NOON)
    assert settled(settings_of(), NOON) == settings_of()


def test_a_wall_of_the_zone_is_kept_as_the_instant_that_it_meant() -> None:
    once = settings_of(kind="once", expression="2030-01-02T09:00", timezone="America/Sao_Paulo")

    assert settled(once, NOON).expression == "2030-01-02T12:00:00.000Z"
