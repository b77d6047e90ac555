"""How a schedule stands: what its newest runs tell, and what it costs to look at them."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.run import Origin, Run, error_of
from shared.domain.schedule import Schedule, run_id
from shared.services.standing import MOST, MOST_FAILURES, PAGE, Standing, standing
from tests.fakes import NOON
from tests.world import World, a_run

MINUTE = timedelta(minutes=1)
LETTERS = {"f": "failed", "c": "completed", "s": "skipped", "p": "pending"}


def a_world(history: str, **changes: Any) -> tuple[World, Schedule]:
    """A run each minute since noon, which ended as `history` tells: oldest first. A capital was made by hand."""
    world = World()
    schedule = world.schedule(**changes)
    world.put(*(a_past_run(schedule, number, letter) for number, letter in enumerate(history, 1)))
    world.clock.jump(NOON + (len(history) + 1) * MINUTE)
    world.faults.steps.clear()
    return world, schedule


def a_past_run(schedule: Schedule, number: int, letter: str) -> Run:
    at, status = NOON + number * MINUTE, LETTERS[letter.lower()]
    origin = Origin.schedule if letter.islower() else Origin.manual
    facts = {"scheduled_for": at, "origin": origin, "schedule_id": schedule.id, "wake_at": None, "attempt": 1}
    error = error_of("flow_failed", "x", 1) if status == "failed" else None
    return a_run(id=run_id(schedule, at), status=status, error=error, **facts)


def look(world: World, schedule: Schedule) -> Standing:
    return standing(schedule, world.clock.at, schedules=world.schedules, runs=world.runs)


def pages(world: World) -> int:
    """How many pages of runs were read."""
    return world.faults.steps.count("before page")


@pytest.mark.parametrize(
    ("history", "failed", "last"),
    [
        ("", 0, None),
        ("cff", 2, 3),
        ("cfsfp", 2, 5),
        ("ffc", 0, 3),
        ("cfFF", 3, 2),
        ("FCF", 1, None),
    ],
)
def test_it_says_what_its_newest_runs_tell(history: str, failed: int, last: int | None) -> None:
    world, schedule = a_world(history)

    stands = look(world, schedule)

    assert stands.failed_in_a_row == failed
    fire = stands.last_fire
    assert (fire and fire.scheduled_for) == (None if last is None else NOON + last * MINUTE)


def test_failures_under_an_earlier_timing_do_not_count_but_are_its_last_fire() -> None:
    world, schedule = a_world("ffff")
    since = schedule.model_copy(update={"effective_at": NOON + 3 * MINUTE})

    assert look(world, since).failed_in_a_row == 2
    over = schedule.model_copy(update={"effective_at": NOON + 5 * MINUTE})
    stands = look(world, over)
    assert stands.failed_in_a_row == 0
    assert stands.last_fire is not None


def test_what_lies_ahead_is_not_looked_at() -> None:
    world, schedule = a_world("cf")
    world.put(a_past_run(schedule, 9, "p"))

    stands = look(world, schedule)

    assert stands.last_fire is not None
    assert stands.last_fire.scheduled_for == NOON + 2 * MINUTE


@pytest.mark.parametrize(
    ("history", "read"),
    [
        ("c" * 300, 1),  # the newest tells all
        ("c" + "f" * 25, 2),
        ("f" * 300, MOST_FAILURES // PAGE),
        ("c" + "S" * 300, MOST // PAGE),  # nothing is told
        ("s" * 300, MOST // PAGE),
        ("", 1),
    ],
)
def test_no_run_is_read_twice_and_none_for_nothing(history: str, read: int) -> None:
    world, schedule = a_world(history)

    look(world, schedule)

    assert pages(world) == read
    assert world.faults.steps.count("before get_many") == (read if history else 0)
    assert world.faults.steps.count("before get") == 1  # the slot


def test_a_row_as_long_as_is_counted_is_found_among_as_many_that_tell_nothing() -> None:
    world, schedule = a_world("f" * 50 + "fs" * 100)

    assert look(world, schedule).failed_in_a_row == MOST_FAILURES
