"""Alarms of template.yaml on data points that a test makes up: they ring when they shall, and no more often."""

import pytest

from tests.contract.cloudwatch import Series, ringing, times_told
from tests.contract.test_alarms import ALARMS, FUNCTIONS, OURS, alarm_metrics

HOUR = 60
# Two weeks at the most, in which a message that nobody can bury is delivered every three minutes: here two hours of it.
POISON: Series = [1.0 if minute % 3 == 0 else None for minute in range(2 * HOUR)]


@pytest.mark.parametrize("name", ["MessagesNotBuried", "DeadLettersErrors"])
def test_a_message_that_fails_each_time_it_is_delivered_rings_once(name: str) -> None:
    rings = ringing(ALARMS[name], metric=[*POISON, *[None] * 10])
    assert rings[0]
    assert times_told(rings) == 1
    assert not rings[-1]


def test_an_executor_that_dies_of_each_delivery_rings_once() -> None:
    """It is delivered again after RunVisibilitySeconds, half an hour."""
    rings = ringing(ALARMS["ExecutorErrors"], metric=[1.0 if minute % 30 == 0 else None for minute in range(5 * HOUR)])
    assert times_told(rings) == 1
    assert not ringing(ALARMS["ExecutorErrors"], metric=[1.0, *[None] * HOUR])[-1]


def test_a_trigger_that_is_off_rings_within_five_minutes() -> None:
    rings = ringing(ALARMS["ExecutorsIdle"], waiting=[0.0, *[7.0] * 9], working=[0.0] * 10)
    assert rings.index(True) == 5


def test_a_queue_that_is_worked_on_or_empty_does_not_ring() -> None:
    busy = ringing(ALARMS["ExecutorsIdle"], waiting=[500.0] * 20, working=[200.0] * 20)  # each for longer than that
    empty = ringing(ALARMS["ExecutorsIdle"], waiting=[0.0] * 20, working=[0.0] * 20)
    asleep = ringing(ALARMS["ExecutorsIdle"], waiting=[None] * 20, working=[None] * 20)  # after six quiet hours
    assert not any([*busy, *empty, *asleep])


def test_a_quiet_api_that_is_wholly_broken_rings() -> None:
    rings = ringing(ALARMS["ApiServerErrors"], errors=[4.0] * 10, requests=[4.0] * 10)
    assert rings.index(True) <= 1


def test_a_busy_api_does_not_ring_for_one_in_a_thousand_and_does_for_one_in_fifty() -> None:
    requests: Series = [6000.0] * 10
    assert not any(ringing(ALARMS["ApiServerErrors"], errors=[6.0] * 10, requests=requests))
    assert any(ringing(ALARMS["ApiServerErrors"], errors=[120.0] * 10, requests=requests))


def test_one_failed_request_rings_nowhere() -> None:
    assert not any(ringing(ALARMS["ApiServerErrors"], errors=[1.0, *[None] * 9], requests=[1.0, *[None] * 9]))
    assert not any(ringing(ALARMS["ApiServerErrors"], errors=[None] * 10, requests=[None] * 10))


def test_silence_of_the_tick_rings_after_three_minutes() -> None:
    assert ringing(ALARMS["TickMissing"], metric=[*[1.0] * 5, *[None] * 5]).index(True) == 7


def test_shards_that_are_handed_on_do_not_count_as_ticks() -> None:
    """Else the shards of a tick before would cover for those that are gone."""
    ((namespace, name, dimensions),) = alarm_metrics(ALARMS["TickMissing"])
    assert (namespace, name, dimensions) == (OURS, "Ticks", {"service": "tick"})


def test_a_tick_that_crashes_now_and_then_rings_though_others_get_through() -> None:
    assert not any(ringing(ALARMS["TickErrors"], metric=[1.0, 1.0, *[None] * 8]))
    assert any(ringing(ALARMS["TickErrors"], metric=[1.0 if minute % 3 == 0 else 0.0 for minute in range(10)]))


@pytest.mark.parametrize("name", [name for name in ALARMS if name.endswith("OfNewVersion")])
def test_new_code_is_taken_back_in_the_first_minute_that_it_fails_in(name: str) -> None:
    ((_, _, dimensions),) = alarm_metrics(ALARMS[name])
    assert {"ExecutedVersion", "version"} & dimensions.keys()
    assert ringing(ALARMS[name], metric=[None, 3.0]) == [False, True]


def test_every_function_has_an_alarm_on_its_crashes() -> None:
    """Of the API API Gateway tells, which a crash is a 5xx to; with few requests by ApiErrorsOfNewVersion as well."""
    watched = {
        dimensions["FunctionName"]["Ref"]
        for alarm in ALARMS.values()
        for _, name, dimensions in alarm_metrics(alarm)
        if name == "Errors"
    }
    assert watched == set(FUNCTIONS)
