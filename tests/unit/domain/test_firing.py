"""What a schedule owes at a moment, and how edits, pauses and resumes change it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.domain import firing
from shared.domain.firing import CHUNK, evaluate
from shared.domain.schedule import (
    ALWAYS_FIRES,
    LOOK_AHEAD,
    CatchUp,
    Schedule,
    ScheduleSettings,
    ScheduleState,
    admits,
    jitter,
    next_fire,
    state,
)
from shared.domain.timing import next_occurrence
from shared.errors import Invalid
from tests.fakes import NOON
from tests.world import a_schedule

HOURLY = {"kind": "interval", "expression": "1h", "start_at": NOON}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def caught_up(schedule: Schedule, now: datetime, ahead: timedelta = timedelta(0)) -> tuple[list[datetime], Schedule]:
    """What fires until nothing is owed at `now` and in the time `ahead`, and the schedule after that."""
    fired: list[datetime] = []
    while True:
        found = evaluate(schedule, now, ahead)
        fired += [each.scheduled_for for each in found.fire]
        schedule = found.after
        if schedule.wake_at is None or schedule.wake_at > now + ahead:
            return fired, schedule


def times(*offsets: float, unit: timedelta = HOUR) -> list[datetime]:
    return [NOON + offset * unit for offset in offsets]


# ------------------------------------------------------------------------------------------------ on time


def test_nothing_is_owed_before_the_look_ahead_reaches_the_next_occurrence() -> None:
    schedule = a_schedule(**HOURLY, created_at=NOON - 1 * MINUTE)
    at = NOON - LOOK_AHEAD - seconds(0.001)

    found = evaluate(schedule.model_copy(update={"watermark": at - HOUR}), at)

    assert found.fire == ()
    assert found.after.wake_at == NOON


def test_what_the_look_ahead_reaches_fires_at_its_own_time() -> None:
    schedule = a_schedule(**HOURLY, created_at=NOON - HOUR)

    found = evaluate(schedule, NOON - LOOK_AHEAD)

    assert [(each.scheduled_for, each.fires_at) for each in found.fire] == [(NOON, NOON)]
    assert (found.after.watermark, found.after.wake_at, found.after.fired) == (NOON, NOON + HOUR, 1)


def test_an_evaluation_that_is_done_again_at_the_same_time_finds_nothing_more() -> None:
    after = evaluate(a_schedule(), NOON).after

    again = evaluate(after, NOON)

    assert again.fire == ()
    assert again.after == after


def test_the_watermark_never_goes_back_when_a_clock_does() -> None:
    after = evaluate(a_schedule(), NOON + MINUTE).after

    found = evaluate(after, NOON)

    assert found.fire == ()
    assert found.after.watermark == after.watermark


def test_a_paused_schedule_owes_nothing_and_is_not_woken() -> None:
    found = evaluate(a_schedule(enabled=False, wake_at=NOON), NOON + HOUR)

    assert found.fire == ()
    assert found.after.wake_at is None
    assert found.after.watermark == NOON


def test_an_occurrence_may_lie_on_the_start_and_on_the_end() -> None:
    bounds = {"start_at": NOON + MINUTE, "end_at": NOON + 3 * MINUTE}

    fired, after = caught_up(a_schedule(**bounds), NOON + 4 * MINUTE)

    assert fired == times(1, 2, 3, unit=MINUTE)
    assert (after.wake_at, state(after, NOON + 4 * MINUTE)) == (None, ScheduleState.finished)


def test_a_schedule_that_fires_once_is_finished_afterwards() -> None:
    fired, after = caught_up(a_schedule(kind="once", expression="2030-01-01T12:01:00Z"), NOON + MINUTE)

    assert fired == times(1, unit=MINUTE)
    assert state(after, NOON + MINUTE) == ScheduleState.finished


# ------------------------------------------------------------------------------------------------ missed


@pytest.mark.parametrize("late", [0, 299, 300])
@pytest.mark.parametrize("catch_up", CatchUp)
def test_an_occurrence_late_by_five_minutes_fires_whatever_the_policy(late: float, catch_up: CatchUp) -> None:
    schedule = a_schedule(**HOURLY, catch_up=catch_up, created_at=NOON - HOUR)

    fired, after = caught_up(schedule, NOON + seconds(late))

    assert (fired, after.fired, after.skipped_missed) == ([NOON], 1, 0)


@pytest.mark.parametrize(("catch_up", "fires"), [("last", True), ("all", True), ("none", False)])
@pytest.mark.parametrize("late", [300.001, 301])
def test_one_that_is_later_fires_as_the_policy_says(catch_up: str, fires: bool, late: float) -> None:
    schedule = a_schedule(**HOURLY, catch_up=catch_up, created_at=NOON - HOUR)

    fired, after = caught_up(schedule, NOON + seconds(late))

    assert fired == ([NOON] if fires else [])
    assert (after.fired, after.skipped_missed) == (fires, not fires)
    assert after.watermark >= NOON


@pytest.mark.parametrize(
    ("catch_up", "expected"), [("last", [4]), ("all", [0, 1, 2, 3, 4]), ("none", [])], ids=["last", "all", "none"]
)
@pytest.mark.parametrize("kind", ["interval", "cron"])
def test_after_an_outage_the_last_all_or_none_of_the_missed_fire(kind: str, catch_up: str, expected: list[int]) -> None:
    timing = HOURLY if kind == "interval" else {"expression": "0 * * * *"}
    schedule = a_schedule(**timing, catch_up=catch_up, created_at=NOON - MINUTE)

    fired, after = caught_up(schedule, NOON + 4 * HOUR + 10 * MINUTE)

    assert fired == times(*expected)
    assert (after.fired, after.skipped_missed) == (len(expected), 5 - len(expected))
    assert after.wake_at == NOON + 5 * HOUR


def test_the_last_of_the_missed_fires_beside_those_that_are_hardly_late() -> None:
    """Every minute, an hour of outage: the five that are late by five minutes at most, and the last one before."""
    fired, after = caught_up(a_schedule(), NOON + HOUR)

    assert fired == times(54, 55, 56, 57, 58, 59, 60, unit=MINUTE)
    assert after.skipped_missed == 53


@pytest.mark.parametrize(("late", "fires"), [(599, True), (600, True), (600.001, False), (601, False)])
@pytest.mark.parametrize("catch_up", ["last", "all"])
def test_what_is_later_than_the_greatest_lateness_never_fires(late: float, fires: bool, catch_up: str) -> None:
    schedule = a_schedule(**HOURLY, catch_up=catch_up, max_lateness_seconds=600, created_at=NOON - HOUR)

    fired, after = caught_up(schedule, NOON + seconds(late))

    assert (fired == [NOON], after.skipped_missed) == (fires, not fires)


def test_a_greatest_lateness_below_five_minutes_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 300"):
        a_schedule(max_lateness_seconds=299)


def test_lateness_is_counted_from_the_moment_of_firing_and_not_from_the_nominal_time() -> None:
    schedule = a_schedule(**HOURLY, catch_up="none", jitter_seconds=3600, created_at=NOON - HOUR)
    shift = jitter(schedule, NOON)
    assert shift > seconds(300)

    fired, _ = caught_up(schedule, NOON + shift + ALWAYS_FIRES)

    assert NOON in fired


def test_the_last_before_the_end_fires_although_nothing_follows_it() -> None:
    schedule = a_schedule(**HOURLY, end_at=NOON + 2 * HOUR, created_at=NOON - HOUR)

    fired, after = caught_up(schedule, NOON + 30 * DAY)

    assert fired == times(2)
    assert (after.skipped_missed, after.wake_at) == (2, None)


def test_a_month_of_missed_seconds_is_counted_in_one_step() -> None:
    schedule = a_schedule(kind="interval", expression="1s", start_at=NOON)
    now = NOON + 30 * DAY

    found = evaluate(schedule, now)

    missed = 30 * 86_400 - 301 - 1  # of all after noon, but those that are late by 300 s at most and the last before
    assert (len(found.fire), found.after.skipped_missed, found.after.wake_at) == (302 + 150, missed, now + seconds(151))


def test_a_cron_goes_through_what_it_missed_in_chunks_that_end_at_the_watermark() -> None:
    schedule = a_schedule(catch_up="none", expression="* * * * * *")
    now = NOON + seconds(2500)

    first = evaluate(schedule, now)

    assert first.fire == ()
    assert (first.after.watermark, first.after.skipped_missed) == (NOON + seconds(CHUNK), CHUNK)
    assert first.after.wake_at == NOON + seconds(CHUNK + 1)
    fired, after = caught_up(schedule, now)
    assert (len(fired), after.skipped_missed) == (301, 2199)


def test_all_of_an_interval_come_in_chunks_too() -> None:
    schedule = a_schedule(kind="interval", expression="10s", catch_up="all")
    now = NOON + seconds(25_000)

    first = evaluate(schedule, now)
    fired, after = caught_up(schedule, now)

    assert len(first.fire) == CHUNK
    assert first.after.watermark == NOON + seconds(10 * CHUNK)
    assert fired == [NOON + seconds(10 * n) for n in range(1, 2501)]
    assert (after.fired, after.skipped_missed) == (2500, 0)


def test_a_chunk_that_ends_in_the_middle_of_the_missed_fires_its_last_only_if_it_is_the_last() -> None:
    schedule = a_schedule(expression="* * * * * *", watermark=NOON, catch_up="last")
    now = NOON + seconds(CHUNK + ALWAYS_FIRES.total_seconds())  # the chunk's last is late by exactly five minutes

    fired, after = caught_up(schedule, now)

    assert fired[:2] == [NOON + seconds(CHUNK - 1), NOON + seconds(CHUNK)]
    assert (len(fired), after.skipped_missed) == (302, CHUNK - 2)


INTERVALS = st.fixed_dictionaries(
    {
        "kind": st.just("interval"),
        "expression": st.integers(1, 4000).map(lambda every: f"{every}s"),
        "start_at": st.none() | st.integers(-3000, 6000).map(lambda shift: NOON + seconds(shift)),
        "end_at": st.none() | st.integers(6001, 40_000).map(lambda shift: NOON + seconds(shift)),
        "jitter_seconds": st.sampled_from([0, 0, 1, 7, 60, 5000]),
        "exclude": st.sampled_from([(), (), ("2030-01-01",), ("2030-01-01T12:00:05Z", "2030-01-01T13:00:00Z")]),
        "catch_up": st.sampled_from(CatchUp),
        "max_lateness_seconds": st.none() | st.integers(300, 9000),
        "max_runs": st.none() | st.integers(1, 40),
    }
)
CRONS = st.fixed_dictionaries(
    {
        "expression": st.sampled_from(["* * * * *", "*/7 * * * *", "*/9 * * * * *", "17 * * * *"]),
        "timezone": st.sampled_from(["UTC", "America/Sao_Paulo"]),
        "end_at": st.none() | st.integers(6001, 40_000).map(lambda shift: NOON + seconds(shift)),
        "jitter_seconds": st.sampled_from([0, 5, 100]),
        "exclude": st.sampled_from([(), ("2030-01-01T12:07:00Z",)]),
        "catch_up": st.sampled_from(CatchUp),
        "max_lateness_seconds": st.none() | st.integers(300, 9000),
        "max_runs": st.none() | st.integers(1, 40),
    }
)


def by_the_book(schedule: Schedule, now: datetime, ahead: timedelta) -> tuple[list[datetime], int]:
    """What fires and how many are missed, one occurrence after the other, without any arithmetic."""
    settings, due = schedule.settings, list[datetime]()
    at: datetime | None = schedule.watermark
    while at is not None and (at := next_occurrence(settings, schedule.anchor, at)) is not None:
        if at + jitter(schedule, at) > now + ahead:
            break
        due.append(at)
    late = {each: now - each - jitter(schedule, each) for each in [*due, *([at] if at else [])]}
    old = [each for each in due if late[each] > ALWAYS_FIRES]
    greatest = seconds(settings.max_lateness_seconds or 10**9)
    wanted = {"all": old, "last": old[-1:], "none": []}[settings.catch_up]
    fired, missed = list[datetime](), 0
    for each in due:
        if settings.max_runs is not None and len(fired) == settings.max_runs:
            break
        if late[each] <= ALWAYS_FIRES or (each in wanted and late[each] <= greatest):
            fired.append(each)
        else:
            missed += 1
    return fired, missed


@given(settings=INTERVALS | CRONS, late=st.integers(0, 30_000_000), ahead=st.sampled_from([0, 150]))
@examples(max_examples=300)
def test_short_cuts_and_chunks_change_nothing(settings: dict[str, Any], late: int, ahead: int) -> None:
    schedule = a_schedule(**settings)
    now, look = NOON + timedelta(milliseconds=late), seconds(ahead)
    if settings["expression"].endswith("s"):  # at most some thousands: the book has no arithmetic
        now = min(now, NOON + 3000 * seconds(int(settings["expression"][:-1])))

    fired, after = caught_up(schedule, now, look)

    expected, missed = by_the_book(schedule, now, look)
    assert fired == expected
    assert (after.fired, after.skipped_missed) == (len(expected), missed)
    assert schedule.watermark <= after.watermark <= max(now + look, schedule.watermark)
    if after.runs_left != 0:
        following = next_occurrence(schedule.settings, schedule.anchor, after.watermark)
        assert after.wake_at == (following and following + jitter(schedule, following))


@given(
    settings=INTERVALS | CRONS,
    ticks=st.lists(st.integers(1, 900), min_size=1, max_size=30),
)
@examples(max_examples=100)
def test_ticks_at_any_distance_below_five_minutes_fire_each_occurrence_once(
    settings: dict[str, Any], ticks: list[int]
) -> None:
    schedule = a_schedule(**{**settings, "max_lateness_seconds": None})
    created, now, fired = schedule, NOON, list[datetime]()
    for wait in ticks:
        now += seconds(wait / 3)
        some, schedule = caught_up(schedule, now, LOOK_AHEAD)
        fired += some

    expected, _ = by_the_book(
        created.model_copy(update={"settings": created.settings.model_copy(update={"catch_up": CatchUp.all})}),
        now,
        LOOK_AHEAD,
    )
    assert fired == expected
    assert (schedule.fired, schedule.skipped_missed) == (len(expected), 0)


# ------------------------------------------------------------------------------------------------ no more than


def test_a_schedule_is_finished_after_so_many_runs() -> None:
    fired, after = caught_up(a_schedule(max_runs=3), NOON + 5 * MINUTE)

    assert fired == times(1, 2, 3, unit=MINUTE)
    assert (after.fired, after.runs_left, after.wake_at) == (3, 0, None)
    assert (after.watermark, after.skipped_missed) == (NOON + 3 * MINUTE, 0)


def test_what_was_missed_is_no_run_of_so_many() -> None:
    fired, after = caught_up(a_schedule(max_runs=3, catch_up="none"), NOON + HOUR)

    assert fired == times(55, 56, 57, unit=MINUTE)
    assert (after.fired, after.skipped_missed) == (3, 54)


def test_a_schedule_with_no_runs_left_does_not_count_what_it_would_have_missed() -> None:
    _, over = caught_up(a_schedule(**HOURLY, max_runs=1), NOON + HOUR)

    found = evaluate(over, NOON + 30 * DAY)

    assert found.fire == ()
    assert found.after == over


# ------------------------------------------------------------------------------------------------ edits


def edited(schedule: Schedule, now: datetime, **changes: Any) -> Schedule:
    settings = ScheduleSettings.model_validate({**schedule.settings.model_dump(), **changes})
    return firing.edit(schedule, settings, None, now)


def test_an_edit_that_changes_nothing_is_no_change() -> None:
    schedule = a_schedule()

    assert edited(schedule, NOON + MINUTE) is schedule


def test_an_edit_of_anything_but_the_timing_leaves_the_clock_alone() -> None:
    schedule = evaluate(a_schedule(), NOON).after

    after = edited(schedule, NOON + MINUTE, name="New", input="Hi", overlap="skip", catch_up="all")

    assert after.settings.name == "New"
    assert after.updated_at == NOON + MINUTE
    for field in ("watermark", "wake_at", "fired", "effective_at"):
        assert getattr(after, field) == getattr(schedule, field)


def test_another_timing_counts_from_the_edit_on_and_never_fires_the_past() -> None:
    schedule = a_schedule(expression="0 9 * * *", watermark=NOON - 3 * DAY)

    after = edited(schedule, NOON + 30 * seconds(1), expression="* * * * *", catch_up="all")

    fired, _ = caught_up(after, NOON + 2 * MINUTE)
    assert fired == times(1, 2, unit=MINUTE)


def test_an_edit_takes_back_what_was_counted_ahead_of_its_time() -> None:
    schedule = evaluate(a_schedule(), NOON).after
    assert (schedule.fired, schedule.watermark) == (2, NOON + 2 * MINUTE)

    after = edited(schedule, NOON + MINUTE, expression="0 9 * * *")

    assert (after.fired, after.watermark, after.effective_at) == (1, NOON + MINUTE, NOON + MINUTE)


def test_what_was_due_before_an_edit_may_still_start_and_what_comes_after_may_not() -> None:
    schedule = evaluate(a_schedule(), NOON).after

    after = edited(schedule, NOON + 90 * seconds(1), expression="0 9 * * *")

    assert [admits(after, at, at) for at in times(1, 2, unit=MINUTE)] == [True, False]


def test_an_edit_back_and_forth_changes_nothing_for_the_occurrences_of_both() -> None:
    schedule = evaluate(a_schedule(), NOON).after

    there = evaluate(edited(schedule, NOON + seconds(10), expression="*/2 * * * *"), NOON + seconds(10)).after
    back = evaluate(edited(there, NOON + seconds(20), expression="* * * * *"), NOON + seconds(20)).after

    assert [admits(there, at, at) for at in times(1, 2, unit=MINUTE)] == [False, True]
    assert [admits(back, at, at) for at in times(1, 2, unit=MINUTE)] == [True, True]
    assert (back.fired, back.watermark, back.wake_at) == (2, NOON + 2 * MINUTE, NOON + 3 * MINUTE)


def test_an_edit_to_fewer_runs_lets_no_more_of_them_start_that_were_looked_ahead() -> None:
    schedule = evaluate(a_schedule(), NOON).after
    assert schedule.fired == 2

    after = edited(schedule, NOON + seconds(10), max_runs=1)
    fired = evaluate(after, NOON + seconds(10)).after

    assert (fired.fired, fired.wake_at) == (1, None)
    assert [admits(fired, at, at) for at in times(1, 2, unit=MINUTE)] == [True, False]


def test_an_edit_to_no_more_runs_than_there_were_is_the_end() -> None:
    _, schedule = caught_up(a_schedule(), NOON + 3 * MINUTE)

    after = edited(schedule, NOON + 3 * MINUTE, max_runs=2)

    assert (after.wake_at, state(after, NOON + 3 * MINUTE)) == (None, ScheduleState.finished)


def test_a_finished_schedule_that_is_edited_goes_on() -> None:
    _, over = caught_up(a_schedule(max_runs=1), NOON + MINUTE)

    after = edited(over, NOON + HOUR, max_runs=None)

    assert (state(after, NOON + HOUR), after.wake_at) == (ScheduleState.active, NOON + HOUR + MINUTE)


def test_an_edit_of_a_paused_schedule_leaves_it_paused() -> None:
    paused = firing.pause(a_schedule(), NOON, "by hand")

    after = edited(paused, NOON + HOUR, expression="0 9 * * *")

    assert (after.enabled, after.wake_at, after.pause_reason) == (False, None, "by hand")


def test_an_edit_to_something_that_never_fires_names_the_field() -> None:
    with pytest.raises(Invalid) as error:
        edited(a_schedule(), NOON, end_at=NOON - HOUR)
    assert error.value.pointer == "/end_at"


def test_in_ten_minutes_means_from_the_edit_on() -> None:
    after = edited(a_schedule(), NOON + HOUR, kind="once", expression="in 10m")

    assert after.settings.expression == "2030-01-01T13:10:00.000Z"
    assert after.wake_at == NOON + HOUR + 10 * MINUTE


def test_a_later_start_waits_for_it() -> None:
    after = edited(evaluate(a_schedule(), NOON).after, NOON + seconds(10), start_at=NOON + DAY)

    assert (after.fired, after.wake_at) == (0, NOON + DAY)
    assert admits(after, NOON + MINUTE, NOON + MINUTE) is False


# ------------------------------------------------------------------------------------------------ pauses


def test_a_pause_takes_back_what_was_counted_ahead_and_says_why() -> None:
    paused = firing.pause(evaluate(a_schedule(), NOON).after, NOON + seconds(10), "enough")

    assert (paused.enabled, paused.wake_at, paused.fired) == (False, None, 0)
    assert (paused.paused_at, paused.pause_reason, state(paused, NOON)) == (NOON + seconds(10), "enough", "paused")


def test_a_second_pause_keeps_the_reason_of_the_first() -> None:
    paused = firing.pause(a_schedule(), NOON, "first")

    assert firing.pause(paused, NOON + MINUTE, "second") is paused


def test_a_resume_of_what_is_not_paused_is_no_change() -> None:
    schedule = a_schedule()

    assert firing.resume(schedule, NOON + MINUTE) is schedule


def test_nothing_of_a_pause_was_missed() -> None:
    paused = firing.pause(a_schedule(catch_up="all"), NOON + seconds(10), "x")

    resumed = firing.resume(paused, NOON + DAY)
    fired, after = caught_up(resumed, NOON + DAY + MINUTE)

    assert fired == [NOON + DAY + MINUTE]
    assert (after.fired, after.skipped_missed, after.pause_reason) == (1, 0, None)


def test_a_pause_and_a_resume_inside_the_look_ahead_lose_nothing_and_count_nothing_twice() -> None:
    schedule = evaluate(a_schedule(), NOON).after

    paused = firing.pause(schedule, NOON + seconds(10), "x")
    resumed = firing.resume(paused, NOON + seconds(20))
    found = evaluate(resumed, NOON + seconds(20))

    assert [each.scheduled_for for each in found.fire] == times(1, 2, unit=MINUTE)
    assert found.after.fired == 2
    assert [admits(paused, at, at) for at in times(1, 2, unit=MINUTE)] == [False, False]
    assert [admits(found.after, at, at) for at in times(1, 2, unit=MINUTE)] == [True, True]


def test_what_fell_into_a_pause_may_not_start_after_it_and_what_came_before_may() -> None:
    schedule = evaluate(a_schedule(), NOON).after

    paused = firing.pause(schedule, NOON + 90 * seconds(1), "x")
    resumed = firing.resume(paused, NOON + 150 * seconds(1))

    assert [admits(resumed, at, at) for at in times(1, 2, 3, unit=MINUTE)] == [True, False, True]


def test_a_resume_before_the_start_waits_for_it() -> None:
    paused = firing.pause(a_schedule(start_at=NOON + DAY), NOON, "x")

    assert firing.resume(paused, NOON + HOUR).wake_at == NOON + DAY


def test_a_resume_after_the_end_is_finished() -> None:
    paused = firing.pause(a_schedule(end_at=NOON + HOUR), NOON, "x")

    assert state(firing.resume(paused, NOON + DAY), NOON + DAY) == ScheduleState.finished


def test_a_resume_with_no_runs_left_is_finished() -> None:
    _, over = caught_up(a_schedule(max_runs=1), NOON + MINUTE)

    resumed = firing.resume(firing.pause(over, NOON + HOUR, "x"), NOON + DAY)

    assert state(resumed, NOON + DAY) == ScheduleState.finished


# ------------------------------------------------------------------------------------------------ the next fire


def test_the_next_fire_is_the_next_even_if_it_was_looked_ahead() -> None:
    schedule = evaluate(a_schedule(), NOON).after
    assert schedule.wake_at == NOON + 3 * MINUTE

    assert next_fire(schedule, NOON) == NOON + MINUTE
    assert next_fire(schedule, NOON + MINUTE) == NOON + 2 * MINUTE
    assert next_fire(schedule, NOON + 2 * MINUTE) == NOON + 3 * MINUTE


def test_the_next_fire_of_a_paused_or_finished_schedule_is_never() -> None:
    _, over = caught_up(a_schedule(max_runs=1), NOON + MINUTE)

    assert next_fire(over, NOON + MINUTE) is None
    assert next_fire(firing.pause(a_schedule(), NOON, "x"), NOON) is None


def test_the_next_fire_of_the_last_run_is_shown_until_it_fires() -> None:
    over = evaluate(a_schedule(max_runs=1), NOON).after
    assert over.wake_at is None

    assert next_fire(over, NOON) == NOON + MINUTE


def test_the_next_fire_includes_the_jitter_and_is_what_fires() -> None:
    schedule, at = a_schedule(**HOURLY, jitter_seconds=3600, created_at=NOON - HOUR), NOON - HOUR

    for number in range(20):
        shown = next_fire(schedule, at)
        assert shown is not None
        found = evaluate(schedule, shown, timedelta(0))
        assert [tuple(each) for each in found.fire] == [(NOON + number * HOUR, shown)]
        schedule, at = found.after, shown


def test_the_next_fire_is_none_that_an_edit_or_a_resume_has_left_behind() -> None:
    """Its nominal time came before the timing was in force: only its jitter lies ahead."""
    daily = {"expression": "0 12 * * *", "jitter_seconds": 7200}
    made = a_schedule(**daily, created_at=NOON + MINUTE)
    assert jitter(made, NOON) > 2 * MINUTE

    assert next_fire(made, NOON + MINUTE) == made.wake_at
    paused = firing.pause(made, NOON + 90 * seconds(1), "x")
    resumed = firing.resume(paused, NOON + 2 * MINUTE)
    assert next_fire(resumed, NOON + 2 * MINUTE) == resumed.wake_at


@given(settings=INTERVALS | CRONS, at=st.integers(0, 3000), later=st.integers(0, 3000))
@examples(max_examples=100)
def test_the_next_fire_is_the_next_run_that_starts(settings: dict[str, Any], at: int, later: int) -> None:
    """Whenever it was last evaluated, and whenever it is asked."""
    schedule = a_schedule(**settings)
    fires: list[datetime] = []
    evaluated = NOON + seconds(at)
    while True:  # evaluated once, and from then on never again
        found = evaluate(schedule, evaluated)
        fires += [each.fires_at for each in found.fire]
        schedule = found.after
        if schedule.wake_at is None or schedule.wake_at > evaluated:
            break
    asked = evaluated + seconds(later % 150)

    ahead = [each for each in fires if each > asked]

    assert next_fire(schedule, asked) == (ahead[0] if ahead else schedule.wake_at)


def test_a_change_by_a_clock_that_is_behind_comes_after_the_one_before_it() -> None:
    paused = firing.pause(a_schedule(**HOURLY), NOON + seconds(30), "x")

    resumed = firing.resume(paused, NOON + seconds(5))
    again = firing.pause(resumed, NOON + seconds(6), "y")
    edited = firing.edit(resumed, resumed.settings.model_copy(update={"expression": "2h"}), None, NOON + seconds(7))

    assert resumed.effective_at == resumed.watermark == NOON + seconds(30)
    assert again.paused_at == edited.effective_at == NOON + seconds(30)


@pytest.mark.parametrize("change", [lambda s: firing.pause(s, NOON, "x"), lambda s: firing.resume(s, NOON)])
def test_rules_leave_their_schedule_as_it_was(change: Callable[[Schedule], Schedule]) -> None:
    schedule = a_schedule()
    before = schedule.model_dump_json()

    change(schedule)

    assert schedule.model_dump_json() == before


def test_a_moment_between_two_milliseconds_loses_and_doubles_nothing() -> None:
    now = datetime(2030, 1, 1, 12, 0, 59, 999_999, UTC)
    schedule = evaluate(a_schedule(), NOON).after

    after = edited(schedule, now, exclude=("2030-02-01",))
    found = evaluate(after, now)

    assert found.fire[0].scheduled_for == NOON + MINUTE
    assert found.after.fired == 3


def test_an_edit_to_fewer_runs_admits_no_more_than_these_even_before_it_has_fired() -> None:
    schedule = a_schedule(kind="interval", expression="10s", max_runs=2, created_at=NOON)
    ahead = [NOON + seconds(10 * n) for n in range(1, 6)]

    assert [admits(schedule, at, at) for at in ahead] == [True, True, False, False, False]
