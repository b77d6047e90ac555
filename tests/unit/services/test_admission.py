"""Admission: who may go to a source now, and what it costs a source without limits (nothing)."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.breaker import Breaker
from shared.domain.run import Run, RunStatus
from shared.errors import Unavailable
from shared.services.admission import MAX_WAIT, MIN_WAIT, Admission, Gate
from tests.fakes import NOON
from tests.world import World, a_run, a_source

LEASE_UNTIL = NOON + timedelta(minutes=5)


def a_world(**source: Any) -> tuple[World, Gate]:
    world = World(source=a_source(**source))
    world.faults.steps.clear()
    return world, Gate(world.sources)


def ask(world: World, gate: Gate, runs: list[Run]) -> Admission:
    breaker = world.sources.get_breaker("default", world.source.id)
    return gate.admit(world.source, breaker, runs, world.clock.at, world.clock.at + timedelta(minutes=5))


def break_it(world: World, gate: Gate) -> Breaker:
    for _ in range(5):
        gate.report_failure(world.source, world.clock.at)
    return world.sources.get_breaker("default", world.source.id)


def ids(runs: list[Run]) -> list[str]:
    return [run.id for run in runs]


def test_a_source_without_limits_lets_everybody_through_and_costs_nothing() -> None:
    world, gate = a_world()
    runs = [a_run(number) for number in range(10)]
    breaker = Breaker(project_id="default", source_id=world.source.id)

    admission = gate.admit(world.source, breaker, runs, NOON, LEASE_UNTIL)
    gate.report_success(world.source, breaker)
    gate.release(world.source, ids(runs), {}, NOON)

    assert ids(admission.go) == ids(runs)
    assert world.faults.steps == []


def test_a_limited_source_takes_as_many_as_are_free_in_one_write() -> None:
    world, gate = a_world(max_concurrency=3)

    admission = ask(world, gate, [a_run(number) for number in range(5)])

    assert ids(admission.go) == ids([a_run(number) for number in range(3)])
    assert [(run.id, until) for run, until in admission.wait] == [(a_run(n).id, NOON + MIN_WAIT) for n in (3, 4)]
    assert world.faults.steps.count("after put") == 1


def test_of_two_executors_that_want_the_last_lease_one_gets_it() -> None:
    world, gate = a_world(max_concurrency=1)
    other: list[Admission] = []
    world.faults.meanwhile["put"] = lambda: other.append(ask(world, Gate(world.sources), [a_run(2)]))

    mine = ask(world, gate, [a_run(1)])

    assert ids(other[0].go) == [a_run(2).id]
    assert ids([run for run, _ in mine.wait]) == [a_run(1).id]


def test_leases_given_back_while_others_take_some_are_not_lost() -> None:
    world, gate = a_world(max_concurrency=2)
    ask(world, gate, [a_run(1)])
    world.faults.meanwhile["put"] = lambda: ask(world, Gate(world.sources), [a_run(2)])

    gate.release(world.source, [a_run(1).id], {}, NOON)

    assert list(world.sources.get_leases("default", world.source.id).holders) == [a_run(2).id]


def test_leases_that_keep_changing_are_no_reason_to_go_over_the_limit() -> None:
    world, gate = a_world(max_concurrency=1)

    def again() -> None:
        leases = world.sources.get_leases("default", world.source.id)
        world.sources.save_leases(leases, leases)  # the hook is out while it runs
        world.faults.meanwhile["put"] = again

    world.faults.meanwhile["put"] = again
    with pytest.raises(Unavailable):
        ask(world, gate, [a_run(1)])


def test_leases_given_back_are_taken_by_others() -> None:
    world, gate = a_world(max_concurrency=2)
    ask(world, gate, [a_run(1), a_run(2)])

    gate.release(world.source, [a_run(1).id], {}, NOON)

    assert ids(ask(world, gate, [a_run(3), a_run(4)]).go) == [a_run(3).id]


def test_leases_of_an_executor_that_died_are_free_when_they_expire() -> None:
    world, gate = a_world(max_concurrency=1)
    ask(world, gate, [a_run(1)])
    assert ask(world, gate, [a_run(2)]).go == []

    world.clock.forward(minutes=5)

    assert ids(ask(world, gate, [a_run(2)]).go) == [a_run(2).id]


def test_a_run_that_waits_for_its_job_keeps_its_lease_and_may_always_ask() -> None:
    world, gate = a_world(max_concurrency=1)
    ask(world, gate, [a_run(1)])
    gate.release(world.source, [], {a_run(1).id: NOON + timedelta(hours=1)}, NOON)
    world.clock.forward(minutes=10)
    poll = a_run(1, status=RunStatus.running, job_id="job-1")

    admission = ask(world, gate, [poll, a_run(2)])

    assert ids(admission.go) == [a_run(1).id]
    assert ids([run for run, _ in admission.wait]) == [a_run(2).id]


def test_who_has_waited_long_asks_less_often() -> None:
    world, gate = a_world(max_concurrency=1)
    ask(world, gate, [a_run(1)])

    waits = [
        ask(world, gate, [a_run(2, deferred_since=NOON - timedelta(seconds=waited))]).wait[0][1] - NOON
        for waited in (0, 3, 100, 1000)
    ]

    assert waits == [MIN_WAIT, MIN_WAIT, timedelta(seconds=10), MAX_WAIT]


def test_an_open_breaker_puts_everybody_off_until_it_may_be_tried() -> None:
    world, gate = a_world()
    break_it(world, gate)

    admission = ask(world, gate, [a_run(1), a_run(2)])

    assert admission.go == []
    assert {until for _, until in admission.wait} == {NOON + timedelta(seconds=30)}


def test_one_probe_goes_when_the_pause_is_over() -> None:
    world, gate = a_world()
    break_it(world, gate)
    world.clock.forward(30)

    first, second = ask(world, gate, [a_run(1), a_run(2)]), ask(world, gate, [a_run(3)])

    assert ids(first.go) == [a_run(1).id]
    assert [until for _, until in first.wait] == [world.clock.at + MIN_WAIT]
    assert second.go == []


def test_of_two_executors_that_want_to_probe_one_does() -> None:
    world, gate = a_world()
    seen = break_it(world, gate)
    world.clock.forward(30)

    admissions = [gate.admit(world.source, seen, [a_run(n)], world.clock.at, LEASE_UNTIL) for n in (1, 2)]

    assert [len(admission.go) for admission in admissions] == [1, 0]


def test_a_success_closes_the_breaker_for_all() -> None:
    world, gate = a_world()
    seen = break_it(world, gate)
    world.clock.forward(30)
    ask(world, gate, [a_run(1)])

    gate.report_success(world.source, seen)

    assert len(ask(world, gate, [a_run(n) for n in range(4)]).go) == 4


def test_a_job_may_be_asked_for_while_the_breaker_is_open() -> None:
    world, gate = a_world()
    break_it(world, gate)

    admission = ask(world, gate, [a_run(1, status=RunStatus.running, job_id="job-1"), a_run(2)])

    assert ids(admission.go) == [a_run(1).id]


def test_leases_that_cannot_be_given_back_expire_by_themselves() -> None:
    world, gate = a_world(max_concurrency=1)
    ask(world, gate, [a_run(1)])
    gate.release(world.source, [a_run(9).id], {}, NOON)

    assert ask(world, gate, [a_run(2)]).go == []
