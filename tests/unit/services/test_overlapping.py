"""Overlap in the table: who gets the slot, who waits and who is left out, and what a crash in between leaves behind."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import firing
from shared.domain import run as run_rules
from shared.domain.overlap import MAX_QUEUE, Slot
from shared.domain.run import Origin, Run, RunStatus
from shared.domain.schedule import Overlap, Schedule, run_id
from shared.errors import Conflict, Unavailable
from shared.store import keys
from tests.fakes import NOON, Crash, echo
from tests.world import LEASE, WAKE_AFTER, World, a_message, a_run

MINUTE = timedelta(minutes=1)
EXCLUSIVE = [policy for policy in Overlap if policy is not Overlap.allow]


def a_world(policy: str = "skip", **changes: Any) -> tuple[World, Schedule]:
    """Ten minutes past noon; the schedule fires nothing by itself."""
    world = World()
    schedule = world.schedule(overlap=policy, wake_at=None, **changes)
    world.clock.jump(NOON + 10 * MINUTE)
    return world, schedule


def due(world: World, schedule: Schedule, *minutes: int, **changes: Any) -> list[Run]:
    """The runs of these occurrences, waiting."""
    runs = []
    for minute in minutes:
        at = NOON + minute * MINUTE
        id = run_id(schedule, at)
        facts = {"origin": Origin.schedule, "schedule_id": schedule.id, "scheduled_for": at, "correlation_id": id}
        runs.append(a_run(id=id, input=None, wake_at=at + WAKE_AFTER, **{**facts, **changes}))
    return world.put(*runs)


def enter(world: World, run: Run) -> bool:
    schedule = world.schedules.get(run.project_id, str(run.schedule_id))
    return world.turnstile().enter(run, schedule.settings.overlap)


def start(world: World, run: Run) -> Run:
    """`run` in its slot, under way."""
    assert enter(world, run)
    policy = world.schedules.get(run.project_id, str(run.schedule_id)).settings.overlap
    taken = run_rules.claim(run, world.clock.at, world.clock.at + LEASE, "call-0")
    return world.runs.save(run, taken.model_copy(update={"overlap": policy, "input": ""}))


def finish(world: World, run: Run) -> Run:
    over = world.runs.save(run, run_rules.complete(run, world.clock.at))
    world.endings().ended(over)
    return over


def slot(world: World, schedule: Schedule) -> tuple[str | None, tuple[str, ...], int]:
    found = world.schedules.get_slot(schedule.project_id, schedule.id)
    return found.holder, found.queue, found.skipped


def sent(world: World) -> list[str]:
    return [each.message.run_id for each in world.queue.sent]


# ------------------------------------------------------------------------------------------------ one after another


def test_runs_that_may_overlap_have_no_slot() -> None:
    world, schedule = a_world("allow")
    for run in due(world, schedule, 1, 2):
        world.execute([a_message(run)])

    assert keys.slot("default", schedule.id) not in world.table.items
    assert [(run.status, run.overlap) for run in world.runs_of(schedule)] == [("completed", None)] * 2


@pytest.mark.parametrize("policy", EXCLUSIVE)
def test_runs_that_do_not_meet_all_run_and_leave_the_slot_free(policy: str) -> None:
    world, schedule = a_world(policy)
    for run in due(world, schedule, 1, 2, 3):
        world.execute([a_message(run)])

    assert [(run.status, run.overlap) for run in world.runs_of(schedule)] == [("completed", policy)] * 3
    assert slot(world, schedule) == (None, (), 0)


def test_skip_leaves_out_whoever_comes_while_one_runs() -> None:
    world, schedule = a_world("skip")
    first, second, third = due(world, schedule, 1, 2, 3)
    held = start(world, first)

    world.execute([a_message(second)])

    left_out = world.run(second)
    assert left_out.error is not None
    assert (left_out.status, left_out.error.code, left_out.wake_at) == ("skipped", "overlap", None)
    assert slot(world, schedule) == (first.id, (), 1)
    finish(world, held)
    world.execute([a_message(third)])
    assert world.run(third).status == "completed"


def test_two_of_one_batch_meet_as_two_of_different_batches_do() -> None:
    world, schedule = a_world("skip")
    runs = due(world, schedule, 1, 2)

    world.execute([a_message(run) for run in runs])

    assert sorted(run.status for run in world.runs_of(schedule)) == ["completed", "skipped"]


def test_queue_all_lets_all_run_one_after_the_other_in_the_order_they_came() -> None:
    world, schedule = a_world("queue_all")
    first, *others = due(world, schedule, 1, 2, 3, 4)
    held = start(world, first)
    world.execute([a_message(run) for run in others])
    assert slot(world, schedule) == (first.id, tuple(run.id for run in others), 0)
    assert world.langflow.calls == []

    finish(world, held)
    while world.deliver():
        pass

    assert [run.status for run in world.runs_of(schedule)] == ["completed"] * 4
    assert [call.session_id for call in world.langflow.calls] == [run.id for run in others]
    assert world.langflow.peak == 1
    assert slot(world, schedule) == (None, (), 0)


def test_queue_one_keeps_the_newest_and_leaves_out_those_between() -> None:
    world, schedule = a_world("queue_one")
    first, *others = due(world, schedule, 1, 2, 3, 4)
    held = start(world, first)
    for run in (others[1], others[0], others[2]):
        world.execute([a_message(run)])
    finish(world, held)
    world.deliver()

    statuses = [run.status for run in world.runs_of(schedule)]
    assert statuses == ["completed", "skipped", "skipped", "completed"]
    assert slot(world, schedule) == (None, (), 2)


def test_a_queue_that_is_full_leaves_out_the_next_and_counts_it() -> None:
    world, schedule = a_world("queue_all")
    first, *others = due(world, schedule, *range(1, MAX_QUEUE + 3))
    start(world, first)

    went = [enter(world, run) for run in others]

    assert not any(went)
    assert world.run(others[-1]).status == "skipped"
    assert world.run(others[-2]).status == "pending"
    holder, queue, skipped = slot(world, schedule)
    assert (holder, len(queue), skipped) == (first.id, MAX_QUEUE, 1)


def test_cancel_previous_stops_the_one_under_way_and_goes_at_once() -> None:
    world, schedule = a_world("cancel_previous")
    first, second = due(world, schedule, 1, 2)
    held = start(world, first)

    assert enter(world, second) is True

    assert world.run(held).cancel_requested_at == world.clock.at
    assert slot(world, schedule) == (second.id, (), 0)


def test_cancel_previous_ends_a_holder_that_waits_for_its_retry() -> None:
    world, schedule = a_world("cancel_previous")
    first, second = due(world, schedule, 1, 2)
    held = start(world, first)
    waiting = world.runs.save(held, held.move(RunStatus.pending, turn=2, lease_until=None))

    world.execute([a_message(second)])

    assert (world.run(waiting).status, world.run(second).status) == ("cancelled", "completed")


def test_the_end_of_a_run_that_was_ousted_takes_nothing_from_its_successor() -> None:
    world, schedule = a_world("cancel_previous")
    first, second = due(world, schedule, 1, 2)
    start(world, first)
    start(world, second)

    ousted = world.run(first)
    world.endings().ended(world.runs.save(ousted, run_rules.cancel(ousted, world.clock.at)))

    assert slot(world, schedule) == (second.id, (), 0)


# ------------------------------------------------------------------------------------------------ who holds it


def test_a_holder_that_waits_for_its_retry_holds_the_slot() -> None:
    world, schedule = a_world("skip")
    first, second = due(world, schedule, 1, 2)
    held = start(world, first)
    world.runs.save(held, held.move(RunStatus.pending, turn=2, lease_until=None, not_before=NOON + 20 * MINUTE))

    assert enter(world, second) is False
    assert world.run(second).status == "skipped"


def test_the_retry_of_a_holder_enters_again() -> None:
    world, schedule = a_world("queue_all")
    first, second = due(world, schedule, 1, 2)
    held = start(world, first)
    waiting = world.runs.save(held, held.move(RunStatus.pending, turn=2, lease_until=None))
    assert enter(world, second) is False

    world.execute([a_message(waiting)])

    assert world.run(first).status == "completed"
    assert sent(world) == [second.id]


@pytest.mark.parametrize("policy", EXCLUSIVE)
def test_a_holder_that_is_over_or_gone_holds_nothing(policy: str) -> None:
    world, schedule = a_world(policy)
    first, second = due(world, schedule, 1, 2)
    held = start(world, first)
    world.runs.save(held, run_rules.complete(held, world.clock.at))  # and its executor died before it left

    assert enter(world, second) is True
    assert slot(world, schedule) == (second.id, (), 0)


def test_a_holder_whose_record_expired_holds_nothing() -> None:
    world, schedule = a_world("skip")
    (run,) = due(world, schedule, 1)
    world.schedules.save_slot(
        world.schedules.get_slot("default", schedule.id),
        Slot(project_id="default", schedule_id=schedule.id, holder="run_long_gone"),
    )

    assert enter(world, run) is True


def test_a_holder_whose_worker_died_holds_until_the_tick_ends_its_attempt() -> None:
    world, schedule = a_world("queue_all")
    first, second = due(world, schedule, 1, 2)
    start(world, first)
    assert enter(world, second) is False

    world.settle()

    assert [run.status for run in world.runs_of(schedule)] == ["completed"] * 2
    assert world.run(first).may_have_run_before is True


def test_leaving_passes_by_those_who_were_cancelled_while_they_waited() -> None:
    world, schedule = a_world("queue_all")
    first, *others = due(world, schedule, 1, 2, 3, 4)
    held = start(world, first)
    for run in others:
        enter(world, run)
    for run in others[:2]:
        world.cancel(run)

    finish(world, held)

    assert slot(world, schedule) == (others[2].id, (), 0)
    assert sent(world) == [others[2].id]


def test_a_run_that_waits_and_is_called_off_lets_the_next_one_go() -> None:
    """It was given the slot before it was asked whether it still may."""
    world, schedule = a_world("queue_all")
    first, second, third = due(world, schedule, 1, 2, 3)
    held = start(world, first)
    for run in (second, third):
        enter(world, run)
    edited = schedule.settings.model_copy(update={"exclude": ("2030-01-01T12:02:00.000Z",)})
    world.schedules.save(schedule, schedule.model_copy(update={"settings": edited}))

    finish(world, held)
    while world.deliver():
        pass

    assert [run.status for run in world.runs_of(schedule)] == ["completed", "cancelled", "completed"]
    assert slot(world, schedule) == (None, (), 0)


def test_a_run_that_may_be_wanted_again_keeps_its_place() -> None:
    """It was given the slot, and its schedule is paused for a moment."""
    world, schedule = a_world("queue_all")
    first, second, third = due(world, schedule, 1, 10, 11)
    held = start(world, first)
    for run in (second, third):
        enter(world, run)
    finish(world, held)
    world.schedules.save(schedule, firing.pause(schedule, NOON + 9 * MINUTE, "x"))

    world.deliver()

    assert (world.run(second).status, world.run(second).is_unwanted) == ("pending", True)
    assert slot(world, schedule) == (second.id, (third.id,), 0)
    world.clock.forward(minutes=2)
    while world.deliver():
        pass
    assert [run.status for run in world.runs_of(schedule)] == ["completed", "cancelled", "cancelled"]
    assert slot(world, schedule) == (None, (), 0)


def test_a_holder_that_comes_again_is_not_looked_up() -> None:
    world, schedule = a_world("queue_all")
    (run,) = due(world, schedule, 1)
    world.turnstile().enter(run, Overlap.queue_all)
    world.faults.steps.clear()

    assert world.turnstile().enter(run, Overlap.queue_all) is True

    assert world.faults.steps == ["before get", "after get"]


def test_a_newcomer_passes_nobody_who_waits() -> None:
    world, schedule = a_world("queue_all")
    first, second, third = due(world, schedule, 1, 2, 3)
    held = start(world, first)
    enter(world, second)
    world.runs.save(held, run_rules.complete(held, world.clock.at))  # nobody left the slot

    assert enter(world, third) is False

    assert slot(world, schedule) == (second.id, (third.id,), 0)
    assert sent(world) == [second.id]


def test_a_newcomer_takes_the_place_of_those_who_died_while_they_waited() -> None:
    """One was cancelled and one expired, and whoever was to say so died; so did the holder's executor."""
    world, schedule = a_world("queue_all")
    first, second, third, fourth, fifth = due(world, schedule, 1, 2, 3, 4, 5)
    held = start(world, first)
    for run in (second, third, fourth):
        enter(world, run)
    world.cancel(second)
    world.table.delete(world.table.get(keys.run("default", third.id)))
    world.runs.save(held, run_rules.complete(held, world.clock.at))

    assert enter(world, fifth) is False

    assert slot(world, schedule) == (fourth.id, (fifth.id,), 0)
    assert sent(world) == [fourth.id]


def test_the_first_of_those_alive_goes_when_it_comes_itself() -> None:
    world, schedule = a_world("queue_all")
    first, second, third = due(world, schedule, 1, 2, 3)
    held = start(world, first)
    for run in (second, third):
        enter(world, run)
    world.cancel(second)
    world.runs.save(held, run_rules.complete(held, world.clock.at))

    assert enter(world, third) is True

    assert slot(world, schedule) == (third.id, (), 0)
    assert sent(world) == []


def test_a_queue_full_of_the_dead_is_passed_by_in_one_go() -> None:
    world, schedule = a_world("queue_all")
    run, *dead = due(world, schedule, *range(1, MAX_QUEUE + 3))
    names = tuple(each.id for each in dead)
    before = world.schedules.get_slot("default", schedule.id)
    world.schedules.save_slot(before, before.model_copy(update={"holder": names[0], "queue": names[1:]}))
    for each in dead:
        world.cancel(each)
    world.faults.steps.clear()

    assert world.turnstile().enter(run, Overlap.queue_all) is True

    assert world.faults.steps.count("before get") == 1 + 1 + MAX_QUEUE  # the slot, its holder, the queue
    assert slot(world, schedule) == (run.id, (), 0)


def test_what_overlap_leaves_out_uses_up_the_runs_of_a_schedule() -> None:
    world = World()
    schedule = world.schedule(kind="interval", expression="20s", overlap="skip", max_runs=3)

    def for_a_minute(call: Any, stopper: Any) -> Any:
        world.clock.forward(60)
        while world.deliver(executor=world.executor()):
            pass
        return echo(call, stopper)

    world.langflow.runs.append(for_a_minute)
    for _ in range(10):
        world.tick()
        world.clock.forward(20)
        world.deliver()

    runs, after = world.runs_of(schedule), world.now_of(schedule)
    assert [run.status for run in runs] == ["completed", "skipped", "skipped"]
    assert (after.fired, after.wake_at, slot(world, schedule)[2]) == (3, None, 2)


# ------------------------------------------------------------------------------------------------ policies that change


def test_a_queue_grows_down_to_its_newest_when_only_one_may_wait_from_now_on() -> None:
    world, schedule = a_world("queue_all")
    first, *others = due(world, schedule, 1, 2, 3, 4)
    start(world, first)
    for run in others[:2]:
        enter(world, run)
    one = schedule.settings.model_copy(update={"overlap": Overlap.queue_one})
    world.schedules.save(schedule, schedule.model_copy(update={"settings": one}))

    assert enter(world, others[2]) is False

    assert slot(world, schedule) == (first.id, (others[2].id,), 2)
    assert [run.status for run in world.runs_of(schedule)] == ["running", "skipped", "skipped", "pending"]


def test_one_that_waited_and_runs_by_now_is_not_left_out_for_a_newer_one() -> None:
    """The schedule let runs overlap for a while, and no longer does."""
    world, schedule = a_world("queue_one")
    first, second, third = due(world, schedule, 1, 2, 3)
    start(world, first)
    enter(world, second)
    lease = world.clock.at + LEASE
    world.runs.save(second, run_rules.claim(second, world.clock.at, lease, "call-9"))

    assert enter(world, third) is False

    assert slot(world, schedule) == (first.id, (third.id,), 0)
    assert world.run(second).status == "running"


# ------------------------------------------------------------------------------------------------ races and crashes


def test_one_of_two_who_want_a_free_slot_at_once_gets_it() -> None:
    world, schedule = a_world("skip")
    first, second = due(world, schedule, 1, 2)
    world.faults.meanwhile["put"] = lambda: enter(world, second)

    assert enter(world, first) is False

    assert slot(world, schedule) == (second.id, (), 1)
    assert world.run(first).status == "skipped"


def test_a_run_that_is_claimed_while_it_is_to_be_left_out_is_not() -> None:
    world, schedule = a_world("queue_one")
    first, second, third = due(world, schedule, 1, 2, 3)
    held = start(world, first)
    enter(world, second)

    def second_goes() -> None:
        finish(world, held)
        start(world, second)

    world.faults.meanwhile["put_all"] = second_goes
    assert enter(world, third) is False

    assert world.run(second).status == "running"
    assert slot(world, schedule) == (second.id, (third.id,), 0)


def test_a_slot_that_keeps_changing_puts_the_run_off_and_breaks_nothing() -> None:
    world, schedule = a_world("skip")
    run, other = due(world, schedule, 1, 2)

    def change() -> None:
        world.faults.meanwhile["put"] = change
        before = world.schedules.get_slot("default", schedule.id)
        quiet = type(world.schedules)(world.table.quietly())
        quiet.save_slot(before, before.model_copy(update={"skipped": before.skipped + 1}))

    world.faults.meanwhile["put"] = change
    with pytest.raises(Unavailable):
        enter(world, run)
    world.execute([a_message(run), a_message(a_run(5, id=world.put(a_run(5))[0].id))])
    world.faults.meanwhile.clear()

    assert world.run(run).status == "pending"
    assert world.run(a_run(5)).status == "completed"
    world.cancel(other)
    world.settle()
    assert world.run(run).status == "completed"


def play(policy: str, crash: Callable[[World], None]) -> tuple[World, Schedule]:
    """Four runs of which the first takes a minute; the process dies where `crash` says, and a new one goes on."""
    world, schedule = a_world(policy)
    runs = due(world, schedule, 1, 2, 3, 4)
    later = [a_message(run) for run in runs[1:]]

    def slow(call: Any, stopper: Any) -> Any:
        for each in later:
            world.execute([each], world.executor())
        return echo(call, stopper)

    world.langflow.runs.append(slow)
    world.faults.steps.clear()
    crash(world)
    with contextlib.suppress(Crash):
        world.execute([a_message(runs[0])])
    world.restart()
    world.settle()
    return world, schedule


def count_steps(policy: str) -> int:
    world, _ = play(policy, lambda world: None)
    first_wake = next((n for n, step in enumerate(world.faults.steps) if step == "before page"), None)
    return first_wake or len(world.faults.steps)


@pytest.mark.parametrize(
    ("policy", "step"), [(policy, step) for policy in EXCLUSIVE for step in range(1, count_steps(policy) + 1)]
)
def test_a_crash_at_any_step_loses_no_run_and_jams_no_slot(policy: str, step: int) -> None:
    def crash(world: World) -> None:
        world.faults.crash_at = step

    world, schedule = play(policy, crash)

    runs = world.runs_of(schedule)
    statuses = [str(run.status) for run in runs]
    assert all(run.is_final for run in runs)
    assert "failed" not in statuses
    if policy == Overlap.queue_all:
        assert statuses == ["completed"] * 4
    if policy in (Overlap.skip, Overlap.queue_one, Overlap.cancel_previous):
        assert "completed" in statuses
    _, _, skipped = slot(world, schedule)
    assert skipped == statuses.count("skipped")
    (after,) = due(world, schedule, 9)
    world.execute([a_message(after)])
    assert world.run(after).status == "completed"


def test_a_message_of_the_holder_that_was_lost_comes_again_by_wake() -> None:
    world, schedule = a_world("queue_all")
    first, second = due(world, schedule, 1, 2)
    held = start(world, first)
    enter(world, second)
    world.faults.refuse["send"] = 1

    finish(world, held)

    assert (slot(world, schedule)[0], sent(world)) == (second.id, [])
    world.settle()
    assert world.run(second).status == "completed"


def test_a_slot_and_the_run_that_it_counts_are_stored_together_or_not_at_all() -> None:
    world, schedule = a_world("skip")
    first, second = due(world, schedule, 1, 2)
    start(world, first)
    before = world.schedules.get_slot("default", schedule.id)
    moved = world.runs.save(second, second.move(RunStatus.pending, turn=3))

    with pytest.raises(Conflict):
        world.schedules.save_slot_and_run(
            before,
            before.model_copy(update={"skipped": 1}),
            second,
            run_rules.skip(second, world.clock.at, "overlap", "x"),
        )

    assert (world.run(moved).status, slot(world, schedule)[2]) == ("pending", 0)


@pytest.mark.parametrize("policy", [Overlap.skip, Overlap.queue_one])
def test_a_backfill_may_bring_a_policy_of_its_own(policy: Overlap) -> None:
    world, schedule = a_world("allow")
    first, second = due(world, schedule, 1, 2, origin=Origin.backfill, overlap=policy)

    world.execute([a_message(first), a_message(second)])

    assert sorted(run.status for run in world.runs_of(schedule)) == (
        ["completed", "skipped"] if policy is Overlap.skip else ["completed", "pending"]
    )
    world.settle()
    assert all(run.is_final for run in world.runs_of(schedule))
