"""Looking ahead: when a schedule fires next, how often it still may, and how many occurrences lie in between."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import preview
from shared.domain.firing import evaluate
from shared.domain.recurrence import Kind
from shared.domain.schedule import Schedule, ScheduleState, all_fired, jitter, next_fire, state
from shared.domain.timing import Timing, count, occurrences
from shared.errors import Invalid
from tests.fakes import NOON
from tests.world import a_schedule

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def fired_at(schedule: Schedule, now: datetime) -> Schedule:
    """As it is after a tick."""
    return evaluate(schedule, now).after


class TestNextFire:
    def test_what_was_looked_ahead_still_fires(self) -> None:
        schedule = fired_at(a_schedule(), NOON)
        assert schedule.watermark == NOON + 2 * MINUTE
        assert next_fire(schedule, NOON + timedelta(seconds=1)) == NOON + MINUTE

    @pytest.mark.parametrize("seconds", [3600, 86_400])
    def test_long_jitter_hides_nothing(self, seconds: int) -> None:
        """A day of minutely occurrences lies within the jitter, all but one of them fired."""
        schedule = fired_at(a_schedule(jitter_seconds=seconds, effective_at=NOON - 2 * DAY), NOON)
        shown = next_fire(schedule, NOON)
        assert shown is not None
        assert NOON < shown <= NOON + 2 * MINUTE

    def test_jitter_brings_nothing_back_from_before_its_time(self) -> None:
        schedule = a_schedule(expression="0 12 * * *", jitter_seconds=86_400)  # made at noon: today's is not its own
        following = NOON + DAY
        assert next_fire(schedule, NOON + timedelta(seconds=1)) == following + jitter(schedule, following)

    def test_an_occurrence_waits_for_its_jitter(self) -> None:
        schedule = a_schedule(expression="0 * * * *", jitter_seconds=3600, created_at=NOON - DAY)
        late = jitter(schedule, NOON)
        assert late > 2 * MINUTE
        schedule = fired_at(schedule, NOON + late - MINUTE)
        assert schedule.watermark == NOON
        assert next_fire(schedule, NOON + late - MINUTE) == NOON + late
        assert all_fired(schedule, NOON + late - MINUTE) < NOON

    def test_paused_and_finished_ones_do_not_fire(self) -> None:
        once = fired_at(a_schedule(kind="once", expression="2030-01-01T12:01:00Z"), NOON)
        assert once.wake_at is None
        assert state(once, NOON) is ScheduleState.active
        assert state(once, NOON + MINUTE) is ScheduleState.finished
        assert state(once.model_copy(update={"enabled": False}), NOON) is ScheduleState.paused
        assert next_fire(once.model_copy(update={"enabled": False}), NOON) is None


class TestPreview:
    def test_runs_that_are_left_are_counted_from_the_watermark(self) -> None:
        schedule = fired_at(a_schedule(max_runs=5, exclude=["2030-01-01T12:03:00Z"]), NOON)
        times = [due.scheduled_for for due in preview.of_schedule(schedule, NOON, NOON, 100)]
        assert times == [NOON + n * MINUTE for n in (1, 2, 4, 5, 6)]
        assert [due.scheduled_for for due in preview.of_schedule(schedule, NOON, times[-2], 100)] == times[-1:]
        assert preview.of_schedule(schedule, NOON, times[-1], 100) == []

    def test_what_was_fired_ahead_of_its_time_is_over(self) -> None:
        schedule = fired_at(a_schedule(), NOON + timedelta(hours=1))  # by a tick that was told another time
        (first,) = preview.of_schedule(schedule, NOON, NOON, 1)
        assert first.fires_at == next_fire(schedule, NOON) == schedule.wake_at

    def test_ten_years_ahead_nobody_counts(self) -> None:
        with pytest.raises(Invalid, match="days ahead"):
            preview.of_schedule(a_schedule(max_runs=5), NOON, NOON + 4000 * DAY, 1)

    def test_a_paused_one_begins_anew(self) -> None:
        schedule = a_schedule(max_runs=2, enabled=False)
        later = NOON + DAY
        times = [due.scheduled_for for due in preview.of_schedule(schedule, later, later, 100)]
        assert times == [later + MINUTE, later + 2 * MINUTE]


ZONES = ["UTC", "America/Sao_Paulo", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo"]
TIMES = st.datetimes(datetime(1987, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
EXPRESSIONS = [
    (Kind.cron, "*/7 * * * *"),
    (Kind.cron, "30 0 * * *"),
    (Kind.cron, "15 2,3 * * *"),
    (Kind.cron, "*/30 23 * * 0"),
    (Kind.cron, "0 */2 1,l * *"),
    (Kind.cron, "30 */3 * * 1#2"),
    (Kind.interval, "17m"),
    (Kind.once, "2030-01-01T12:00:00Z"),
]


@given(
    said=st.sampled_from(EXPRESSIONS),
    timezone=st.sampled_from(ZONES),
    after=TIMES,
    days=st.integers(-1, 40),
    excluded=st.sets(st.integers(0, 40), max_size=3),
    bounds=st.tuples(st.integers(-5, 20), st.integers(15, 50)) | st.none(),
)
def test_counting_is_walking(
    said: tuple[Kind, str],
    timezone: str,
    after: datetime,
    days: int,
    excluded: set[int],
    bounds: tuple[int, int] | None,
) -> None:
    kind, expression = said
    dates = [(after + n * DAY).date().isoformat() for n in excluded]
    instants = [(after + n * DAY).replace(minute=0, second=0, microsecond=0).isoformat() for n in excluded]
    start_at, end_at = (after + bounds[0] * DAY, after + bounds[1] * DAY) if bounds else (None, None)
    timing = Timing(
        kind=kind,
        expression=expression,
        timezone=timezone,
        start_at=start_at,
        end_at=end_at,
        exclude=(*dates, *instants),
    )
    until = after + days * DAY
    anchor = (timing.start_at or NOON).replace(microsecond=0)
    assert count(timing, anchor, after, until) == sum(1 for _ in occurrences(timing, anchor, after, until))
