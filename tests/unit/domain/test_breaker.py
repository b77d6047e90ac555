"""The circuit breaker: opens at the fifth failure in a row, lets one probe through, closes on success."""

from datetime import timedelta

from shared.domain.breaker import PROBE_LOOK, Breaker, Closed, Open, Probe, admit, after_failure, after_success
from tests.fakes import NOON

PROBE_FOR = timedelta(minutes=5)
NEW = Breaker(project_id="p", source_id="src_1")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def failed(times: int, breaker: Breaker = NEW) -> Breaker:
    for _ in range(times):
        breaker = after_failure(breaker, NOON)
    return breaker


def test_a_source_without_failures_lets_everybody_through() -> None:
    assert admit(None, NOON, PROBE_FOR) == Closed()
    assert admit(NEW, NOON, PROBE_FOR) == Closed()


def test_four_failures_leave_it_closed_and_the_fifth_opens_it_for_thirty_seconds() -> None:
    assert admit(failed(4), NOON, PROBE_FOR) == Closed()
    assert admit(failed(5), NOON, PROBE_FOR) == Open(NOON + seconds(30))
    assert admit(failed(5), NOON + seconds(29.9), PROBE_FOR) == Open(NOON + seconds(30))


def test_one_probe_goes_when_the_pause_is_over_and_the_others_wait_for_it() -> None:
    later = NOON + seconds(30)

    probe = admit(failed(5), later, PROBE_FOR)

    assert isinstance(probe, Probe)
    assert admit(probe.breaker, later, PROBE_FOR) == Open(later + PROBE_LOOK)  # a probe mostly answers long before
    assert admit(probe.breaker, later + PROBE_FOR - seconds(1), PROBE_FOR) == Open(later + PROBE_FOR)
    assert isinstance(admit(probe.breaker, later + PROBE_FOR, PROBE_FOR), Probe)


def test_a_failed_probe_doubles_the_pause_up_to_ten_minutes() -> None:
    breaker, at, pauses = failed(5), NOON, []
    for _ in range(7):
        assert breaker.open_until is not None
        pauses.append((breaker.open_until - at).total_seconds())
        at = breaker.open_until
        breaker = after_failure(breaker, at)

    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_a_source_that_is_down_for_weeks_is_still_probed_every_ten_minutes() -> None:
    breaker, at = failed(5), NOON
    for _ in range(5000):
        assert breaker.open_until is not None
        at = breaker.open_until
        breaker = after_failure(breaker, at)

    assert breaker.open_until == at + timedelta(minutes=10)


def test_failures_of_runs_under_way_do_not_lengthen_the_pause() -> None:
    breaker = failed(20)

    assert breaker.open_until == NOON + seconds(30)
    assert breaker.openings == 1


def test_a_success_closes_it_and_forgets_everything() -> None:
    breaker = failed(5).model_copy(update={"revision": 7})

    closed = after_success(breaker)

    assert closed == NEW.model_copy(update={"revision": 7})
    assert admit(failed(4, closed), NOON, PROBE_FOR) == Closed()
