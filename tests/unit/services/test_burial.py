"""Dead letters: what comes out of the dead-letter queue is given back, given up or kept, never dropped."""

from datetime import timedelta

import pytest

from shared.domain.dead_letter import MAX_RETURNS, NO_PROJECT, DeadLetterReason
from shared.domain.overlap import Overlap
from shared.domain.run import Run, RunStatus
from shared.errors import Unavailable
from shared.services import burial
from tests.fakes import NOON, Crash
from tests.world import WAKE_AFTER, World, a_message, a_run, a_schedule


def letters(world: World, project: str = "default") -> list[object]:
    return list(world.dead_letters.list(project, limit=10).items)


def test_a_run_whose_message_died_goes_back_to_the_tick() -> None:
    world = World()
    (run,) = world.put(a_run())
    world.clock.forward(hours=1)

    world.bury(a_message(run))

    back = world.run(run)
    assert (back.status, back.returns, back.turn) == ("pending", 1, 0)
    assert back.wake_at == world.clock.at + WAKE_AFTER
    assert letters(world) == []


def test_a_run_that_no_executor_survives_is_given_up_and_says_so() -> None:
    world = World()
    (run,) = world.put(a_run(retention_days=7))

    for _ in range(MAX_RETURNS + 1):
        world.bury(a_message(run))

    over = world.run(run)
    assert over.status == "failed"
    assert over.error is not None
    assert over.error.code == "too_many_attempts"
    assert over.expires_at is not None
    (letter,) = world.dead_letters.list("default", limit=10).items
    assert (letter.run_id, letter.reason) == (run.id, DeadLetterReason.too_many_attempts)


def test_the_end_of_a_run_that_is_given_up_lets_the_next_one_go() -> None:
    world = World()
    schedule = world.schedule(overlap="queue_all")
    facts = {"schedule_id": schedule.id, "overlap": "queue_all", "returns": MAX_RETURNS}
    first, second = world.put(a_run(1, **facts), a_run(2, **facts))
    world.turnstile().enter(first, Overlap.queue_all)
    world.turnstile().enter(second, Overlap.queue_all)

    world.bury(a_message(first))

    slot = world.schedules.get_slot("default", schedule.id)
    assert (slot.holder, slot.queue) == (second.id, ())
    assert [each.message.run_id for each in world.queue.sent] == [second.id]


def test_a_run_that_is_given_up_counts_as_a_failure_of_its_schedule() -> None:
    world = World()
    schedule = world.schedule(pause_after_failures=1)
    (run,) = world.put(a_run(schedule_id=schedule.id, returns=MAX_RETURNS))

    world.bury(a_message(run))

    assert world.now_of(schedule).pause_reason == "1 failed runs in a row."


def test_only_the_end_of_a_schedules_run_is_told_and_only_once() -> None:
    world, told = World(), list[Run]()
    facts = {"schedule_id": a_schedule().id, "returns": MAX_RETURNS}
    of_schedule, other, waits = world.put(
        a_run(1, **facts), a_run(2, returns=MAX_RETURNS), a_run(3, **{**facts, "returns": 0})
    )

    for run in (of_schedule, of_schedule, other, waits):
        burial.bury(
            a_message(run), NOON, WAKE_AFTER, runs=world.runs, dead_letters=world.dead_letters, ended=told.append
        )

    assert told == [world.run(of_schedule)]
    assert told[0].status == "failed"


def test_a_message_of_a_run_that_is_over_or_has_moved_on_is_dropped() -> None:
    world = World()
    over, ahead = world.put(a_run(1, status=RunStatus.completed, wake_at=None), a_run(2, turn=3))

    for run in (over, ahead):
        world.bury(a_message(run, turn=0))

    assert [world.run(run) for run in (over, ahead)] == [over, ahead]
    assert letters(world) == []


def test_a_message_of_an_unknown_run_is_dropped() -> None:
    world = World()

    world.bury(a_message(a_run()))

    assert letters(world) == []


def test_a_crash_between_letter_and_run_leaves_one_letter_and_a_failed_run() -> None:
    world = World()
    (run,) = world.put(a_run(returns=MAX_RETURNS))
    world.faults.steps.clear()
    world.faults.crash_at = 4  # get; put of the letter

    with pytest.raises(Crash):
        world.bury(a_message(run))
    world.faults.revive()
    assert world.run(run).status == "pending"
    world.bury(a_message(run))

    assert world.run(run).status == "failed"
    assert len(letters(world)) == 1


def test_a_body_that_nobody_can_read_is_kept_once() -> None:
    world = World()

    for _ in range(2):
        burial.bury_unreadable("{", "message-1", NOON, dead_letters=world.dead_letters)
    burial.bury_unreadable("{", "message-2", NOON, dead_letters=world.dead_letters)

    kept = world.dead_letters.list(NO_PROJECT, limit=10).items
    assert [letter.body for letter in kept] == ["{", "{"]
    assert {letter.reason for letter in kept} == {DeadLetterReason.unreadable}


def test_of_a_huge_body_the_beginning_is_kept() -> None:
    world = World()

    burial.bury_unreadable("ü" * 200_000, "message-1", NOON, dead_letters=world.dead_letters)

    (letter,) = world.dead_letters.list(NO_PROJECT, limit=10).items
    assert len(letter.body.encode()) <= 64 * 1024
    assert letter.body.startswith("üü")


def test_a_run_given_back_again_and_again_is_sent_each_time() -> None:
    world = World()
    (run,) = world.put(a_run())

    for returns in range(1, MAX_RETURNS + 1):
        world.bury(a_message(run))
        assert world.run(run).returns == returns
        world.clock.forward(WAKE_AFTER.total_seconds())
        world.tick()
        assert len(world.queue.sent) == returns

    assert timedelta(hours=1) > WAKE_AFTER


def test_a_run_that_moves_on_while_it_is_buried_is_looked_at_again() -> None:
    world = World()
    (run,) = world.put(a_run())
    world.faults.meanwhile["put"] = lambda: world.runs.save(run, run.model_copy(update={"turn": 1}))

    world.bury(a_message(run))

    assert (world.run(run).turn, world.run(run).returns) == (1, 0)


def test_a_run_that_keeps_changing_is_left_to_the_next_delivery() -> None:
    world = World()
    (run,) = world.put(a_run())

    def again() -> None:
        now = world.run(run)
        world.runs.save(now, now.model_copy(update={"returns": 0}))
        world.faults.meanwhile["put"] = again

    world.faults.meanwhile["put"] = again
    with pytest.raises(Unavailable):
        world.bury(a_message(run))
