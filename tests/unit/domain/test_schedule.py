"""A schedule's jitter and the ids of its runs; which of them may start; what may be said of it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain import firing
from shared.domain.record import id_time
from shared.domain.schedule import Schedule, admits, jitter, run_id
from tests.fakes import NOON
from tests.world import a_schedule, settings_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


# ------------------------------------------------------------------------------------------------ jitter


def test_jitter_is_the_same_each_time_and_differs_between_schedules_and_occurrences() -> None:
    one, other = a_schedule(1, jitter_seconds=50), a_schedule(2, jitter_seconds=50)
    moments = [NOON + n * MINUTE for n in range(60)]

    first = [jitter(one, at) for at in moments]

    assert first == [jitter(a_schedule(1, jitter_seconds=50), at) for at in moments]
    assert first != [jitter(other, at) for at in moments]
    assert len(set(first)) > 20


@given(number=st.integers(0, 1000), longest=st.integers(0, 86_400), minute=st.integers(0, 10_000))
def test_jitter_is_whole_seconds_below_its_limit_and_ends_before_the_next_occurrence(
    number: int, longest: int, minute: int
) -> None:
    schedule, at = a_schedule(number, jitter_seconds=longest), NOON + minute * MINUTE

    shift = jitter(schedule, at)

    assert timedelta(0) <= shift < max(min(timedelta(seconds=longest), MINUTE), timedelta(seconds=1))
    assert shift == timedelta(seconds=int(shift.total_seconds()))


def test_there_is_no_jitter_unless_it_is_wanted() -> None:
    assert jitter(a_schedule(), NOON) == timedelta(0)


def test_the_last_occurrence_of_all_has_jitter_too() -> None:
    once = a_schedule(kind="once", expression="2030-01-01T13:00:00Z", jitter_seconds=86_400)

    assert timedelta(0) < jitter(once, NOON + HOUR) < DAY


# ------------------------------------------------------------------------------------------------ identity


def test_the_id_of_a_run_tells_its_nominal_time_whatever_the_jitter() -> None:
    plain, shifted = a_schedule(), a_schedule(jitter_seconds=59)

    assert run_id(plain, NOON) == run_id(shifted, NOON)
    assert id_time(run_id(plain, NOON)) == NOON


def test_occurrences_schedules_and_backfills_have_runs_of_their_own() -> None:
    ids = {run_id(a_schedule(n), NOON + m * MINUTE, *parts) for n in (1, 2) for m in (1, 2) for parts in ((), ("b",))}

    assert len(ids) == 8


@pytest.mark.parametrize("schedule", [None, a_schedule(enabled=False)])
def test_no_run_of_a_deleted_or_paused_schedule_may_start(schedule: Schedule | None) -> None:
    assert admits(schedule, NOON + MINUTE, NOON + MINUTE) is False


def test_a_run_of_what_is_no_occurrence_any_more_may_not_start() -> None:
    assert admits(a_schedule(), NOON + MINUTE, NOON + MINUTE) is True
    assert admits(a_schedule(exclude=("2030-01-01T12:01:00Z",)), NOON + MINUTE, NOON + MINUTE) is False
    assert admits(a_schedule(), NOON + timedelta(seconds=61), NOON + timedelta(seconds=61)) is False


def test_of_two_pauses_only_the_second_is_remembered() -> None:
    """What fell into the first was called off in its time. A run of it that nobody came for until then is wanted."""
    half = timedelta(seconds=30)
    schedule = firing.pause(a_schedule(), NOON + MINUTE + half, "x")
    schedule = firing.resume(schedule, NOON + 3 * MINUTE + half)
    resumed_once = schedule
    schedule = firing.pause(schedule, NOON + 5 * MINUTE + half, "x")
    paused_again = schedule
    schedule = firing.resume(schedule, NOON + 7 * MINUTE + half)

    minutes = [NOON + n * MINUTE for n in range(1, 10)]
    assert [admits(resumed_once, at, at) for at in minutes] == [True, False, False] + 6 * [True]
    assert [admits(paused_again, at, at) for at in minutes] == 9 * [False]
    assert [admits(schedule, at, at) for at in minutes] == 5 * [True] + 2 * [False] + 2 * [True]


# ------------------------------------------------------------------------------------------------ what may be said


@pytest.mark.parametrize("field", ["fired", "watermark", "id", "state"])
def test_settings_know_no_other_fields(field: str) -> None:
    with pytest.raises(ValidationError):
        settings_of(**{field: 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_runs": 0},
        {"max_runs": True},
        {"jitter_seconds": -1},
        {"jitter_seconds": 86_401},
        {"pause_after_failures": 101},
        {"max_lateness_seconds": 299},
        {"expression": " "},
        {"start_at": "2030-01-01T12:00:00"},
        {"exclude": tuple(f"{2030 + n // 365}-01-01" for n in range(367))},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_of(**wrong)


def test_runs_left_never_fall_below_none() -> None:
    assert a_schedule().runs_left is None
    assert a_schedule(max_runs=3, fired=1).runs_left == 2
    assert a_schedule(max_runs=3, fired=5).runs_left == 0


def test_what_was_missed_uses_up_no_runs_although_the_tick_has_not_said_so_yet() -> None:
    """No tick came for seven minutes after it was made; the run was sent, and the schedule is not saved yet."""
    schedule = a_schedule(kind="interval", expression="5s", start_at=None, max_runs=1)
    missed_last = schedule.created_at + timedelta(seconds=115)

    assert admits(schedule, missed_last, schedule.created_at + timedelta(seconds=415)) is True
    assert admits(schedule, missed_last, missed_last) is False
