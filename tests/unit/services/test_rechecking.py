"""Before it starts, the run of a schedule asks whether it still may, and gets the input of that moment."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import payloads
from shared.domain import firing
from shared.domain.run import UNDECIDED, Origin, Run
from shared.domain.schedule import Schedule, ScheduleSettings, run_id
from tests.fakes import NOON, refusal
from tests.world import TICK, World, a_message, a_run, a_schedule

MINUTE = timedelta(minutes=1)
HALF_A_MINUTE = timedelta(seconds=30)
LARGE = "ü" * 5000


def a_world(**changes: Any) -> tuple[World, Schedule, Run]:
    """A minute past noon, with the run of that minute waiting, fired ahead of its time."""
    world = World()
    schedule = world.schedule(**{"input": "first", **changes})
    world.firing().fire([schedule], NOON + TICK)
    world.clock.forward(minutes=1)
    world.queue.sent.clear()
    return world, world.now_of(schedule), world.runs_of(schedule)[0]


def edit(world: World, schedule: Schedule, **changes: Any) -> Schedule:
    settings = ScheduleSettings.model_validate({**schedule.settings.model_dump(), **changes})
    return world.schedules.save(schedule, firing.edit(schedule, settings, None, world.clock.at))


def start(world: World, run: Run) -> Run:
    world.execute([a_message(run)])
    return world.run(run)


def test_an_occurrence_that_is_still_one_runs() -> None:
    world, _, run = a_world()

    assert (start(world, run).status, world.run(run).input) == ("completed", "first")


def test_the_input_is_the_one_at_the_start() -> None:
    world, schedule, run = a_world()
    assert run.input is None
    edit(world, schedule, input="second")

    start(world, run)

    assert world.run(run).input == "second"
    assert [call.input_value for call in world.langflow.calls] == ["second"]


def test_an_input_that_was_taken_stays_that_of_the_retry() -> None:
    world, schedule, run = a_world()
    world.langflow.runs.append(ConnectionError("a fault of ours"))
    start(world, run)
    edit(world, schedule, input="second")

    world.clock.forward(seconds=10)
    world.deliver()

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 2)
    assert [call.input_value for call in world.langflow.calls] == ["first", "first"]


def test_a_large_input_is_copied_for_the_run() -> None:
    world, schedule, run = a_world()
    key = payloads.schedule_key("default", schedule.id, "ab")
    world.bucket.put_json(key, LARGE)
    kept = schedule.settings.model_copy(update={"input": ""})
    world.schedules.save(schedule, schedule.model_copy(update={"settings": kept, "input_key": key}))

    over = start(world, run)

    assert (over.input, over.input_key) == (None, f"expire-90/default/runs/{run.id}/input.json")
    assert [call.input_value for call in world.langflow.calls] == [LARGE]
    del world.bucket.texts[key]
    assert world.bucket.get_json(over.input_key) == LARGE


def test_a_large_input_that_is_gone_ends_its_run_and_no_other() -> None:
    world, _schedule, run = a_world(input_key="keep/default/gone.json")
    (other,) = world.put(a_run(5))

    world.execute([a_message(run), a_message(other)])

    ended = world.run(run)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "payload_expired")
    assert world.run(other).status == "completed"


def test_a_bucket_that_does_not_answer_brings_the_batch_again() -> None:
    world, _schedule, run = a_world(input_key="keep/default/x.json")
    world.bucket.down = True

    with pytest.raises(type(refusal("", "", ""))):
        start(world, run)

    assert (world.run(run).status, world.run(run).attempt) == ("pending", 0)
    world.bucket.down = False
    world.bucket.put_json("keep/default/x.json", LARGE)
    assert start(world, run).status == "completed"


def gone(world: World, schedule: Schedule) -> None:
    world.schedules.delete(schedule)


def paused(world: World, schedule: Schedule) -> None:
    world.schedules.save(schedule, firing.pause(schedule, NOON + timedelta(seconds=30), "x"))


def moved(world: World, schedule: Schedule) -> None:
    settings = schedule.settings.model_copy(update={"expression": "0 13 * * *"})
    world.schedules.save(schedule, firing.edit(schedule, settings, None, NOON + timedelta(seconds=30)))


def excluded(world: World, schedule: Schedule) -> None:
    settings = schedule.settings.model_copy(update={"exclude": ("2030-01-01",)})
    world.schedules.save(schedule, firing.edit(schedule, settings, None, NOON + timedelta(seconds=30)))


@pytest.mark.parametrize("change", [gone, paused, moved, excluded])
def test_what_its_schedule_no_longer_wants_is_called_off(change: Callable[[World, Schedule], None]) -> None:
    world, schedule, run = a_world()
    change(world, schedule)
    world.clock.forward(UNDECIDED.total_seconds())

    over = start(world, run)

    assert over.error is not None
    assert (over.status, over.error.code, over.attempt) == ("cancelled", "schedule_changed", 0)
    assert (over.wake_at, over.finished_at) == (None, world.clock.at)
    assert world.langflow.calls == []


def test_what_may_be_wanted_again_says_so_and_asks_once_more() -> None:
    world, schedule, run = a_world(end_at=NOON + MINUTE)
    paused(world, schedule)

    world.deliver()

    waits = world.run(run)
    assert waits.error is not None
    assert (waits.status, waits.error.code, waits.attempt) == ("pending", "schedule_changed", 0)
    assert (waits.turn, waits.not_before) == (run.turn, NOON + MINUTE + UNDECIDED)
    assert [(each.message.run_id, each.delay) for each in world.queue.sent] == [(run.id, UNDECIDED)]
    world.clock.forward(UNDECIDED.total_seconds())
    world.deliver()
    assert world.run(run).status == "cancelled"
    assert len(world.queue.sent) == 1
    assert world.langflow.calls == []


def early(world: World, run: Run) -> Run:
    """`run`, looked at half a minute before its time by an executor whose clock is ahead."""
    world.clock.jump(NOON + HALF_A_MINUTE)
    ahead = replace(world.executor(), now=lambda: world.clock.at + HALF_A_MINUTE)
    world.execute([a_message(run)], ahead)
    return world.run(run)


def there_and_back(world: World, schedule: Schedule) -> Callable[[], object]:
    there = edit(world, schedule, expression="0 13 * * *")
    return lambda: edit(world, there, expression="* * * * *")


def off_and_on(world: World, schedule: Schedule) -> Callable[[], object]:
    off = world.schedules.save(schedule, firing.pause(schedule, world.clock.at, "x"))
    return lambda: world.schedules.save(off, firing.resume(off, world.clock.at))


@pytest.mark.parametrize("change", [there_and_back, off_and_on])
@pytest.mark.parametrize("seconds", [5, 29])
def test_a_clock_that_is_ahead_calls_nothing_off_that_is_wanted_at_its_time(
    change: Callable[[World, Schedule], Callable[[], object]], seconds: int
) -> None:
    world = World()
    schedule = world.schedule()
    world.firing().fire([schedule], NOON + TICK)
    run = world.runs_of(schedule)[0]
    change_back = change(world, world.now_of(schedule))
    assert early(world, run).status == "pending"
    world.clock.forward(seconds)

    change_back()
    for _ in range(10):
        world.clock.forward(15)
        world.deliver()

    assert (world.run(run).status, world.run(run).error) == ("completed", None)
    assert [call.session_id for call in world.langflow.calls].count(run.id) == 1


def test_what_one_edit_stopped_the_next_one_does_not_start() -> None:
    """A schedule remembers its last change only."""
    world, schedule, run = a_world()
    moved(world, schedule)
    assert start(world, run).status == "pending"
    world.clock.forward(20)

    edit(world, world.now_of(schedule), expression="0 14 * * *")
    world.clock.forward(UNDECIDED.total_seconds())
    world.deliver()

    assert world.run(run).status == "cancelled"
    assert world.langflow.calls == []


def test_an_executor_whose_clock_is_behind_asks_again_and_again_until_its_clock_says_so_too() -> None:
    world, schedule, run = a_world(end_at=NOON + MINUTE)
    paused(world, schedule)
    behind = replace(world.executor(), now=lambda: world.clock.at - HALF_A_MINUTE)
    world.deliver()

    while world.queue.next_due is not None:
        world.clock.jump(world.queue.next_due)
        world.deliver(executor=behind)

    assert world.run(run).status == "cancelled"
    assert world.clock.at == NOON + MINUTE + UNDECIDED + HALF_A_MINUTE
    assert len(world.queue.sent) == 2


def test_what_was_tried_long_before_its_time_is_called_off_at_once() -> None:
    """As `spark local tick --at` does: it waits for nothing."""
    world = World()
    schedule = world.schedule(enabled=False, expression="0 9 * * *")
    at = NOON + timedelta(days=30)
    facts = {"origin": Origin.schedule, "schedule_id": schedule.id, "scheduled_for": at}
    (run,) = world.put(a_run(id=run_id(schedule, at), input=None, **facts))

    assert start(world, run).status == "cancelled"
    assert world.queue.sent == []


def test_an_edit_that_keeps_the_occurrence_keeps_the_run() -> None:
    world, schedule, run = a_world()
    edit(world, schedule, end_at=NOON + 5 * MINUTE)

    assert start(world, run).status == "completed"


def test_what_was_due_before_an_edit_runs() -> None:
    world, schedule, run = a_world()
    world.clock.forward(seconds=1)
    edit(world, schedule, expression="0 13 * * *")

    assert start(world, run).status == "completed"


def test_a_pause_and_a_resume_before_its_time_keep_the_run() -> None:
    world, schedule, run = a_world()
    pause = world.schedules.save(schedule, firing.pause(schedule, NOON + timedelta(seconds=10), "x"))
    world.schedules.save(pause, firing.resume(pause, NOON + timedelta(seconds=20)))

    assert start(world, run).status == "completed"


def test_what_fell_into_a_pause_does_not_run_after_it() -> None:
    world, schedule, run = a_world()
    pause = world.schedules.save(schedule, firing.pause(schedule, NOON + timedelta(seconds=10), "x"))
    world.clock.forward(minutes=1)
    world.schedules.save(pause, firing.resume(pause, world.clock.at))

    assert start(world, run).status == "cancelled"
    assert world.langflow.calls == []


def test_a_schedule_that_was_called_off_by_mistake_loses_no_run_that_is_under_way() -> None:
    world, schedule, run = a_world()
    world.langflow.runs.append(ConnectionError("a fault of ours"))
    start(world, run)
    paused(world, schedule)

    world.clock.forward(seconds=10)
    world.deliver()

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 2)


@pytest.mark.parametrize("origin", [Origin.manual, Origin.retry])
def test_runs_that_somebody_wanted_are_not_asked_about(origin: Origin) -> None:
    world = World()
    schedule = world.schedule(enabled=False, input="not this")
    (run,) = world.put(a_run(1, origin=origin, schedule_id=schedule.id, input="this"))

    assert start(world, run).status == "completed"
    assert world.langflow.calls[0].input_value == "this"


def test_a_run_of_a_backfill_needs_only_that_its_schedule_is_there() -> None:
    world = World()
    schedule = world.schedule(enabled=False, expression="0 9 * * *", input="then")
    facts = {"origin": Origin.backfill, "schedule_id": schedule.id, "scheduled_for": NOON, "input": None}
    (run, orphan) = world.put(a_run(1, **facts), a_run(2, **{**facts, "schedule_id": a_schedule(9).id}))

    assert start(world, run).status == "completed"
    assert world.langflow.calls[0].input_value == "then"
    world.clock.forward(UNDECIDED.total_seconds())
    assert start(world, orphan).status == "cancelled"


def test_a_run_that_is_put_off_asks_again_when_it_comes_back() -> None:
    world, schedule, run = a_world()
    source = world.sources.get("default", world.source.id)
    limited = world.sources.save(source, source.model_copy(update={"max_concurrency": 0}))
    start(world, run)
    assert (world.run(run).status, world.run(run).input) == ("pending", None)
    world.sources.save(limited, limited.model_copy(update={"max_concurrency": None}))
    edit(world, schedule, input="second")

    world.clock.forward(minutes=10)
    world.deliver()

    assert (world.run(run).status, world.run(run).input) == ("completed", "second")


def test_one_read_answers_for_a_whole_batch_and_none_is_made_for_runs_of_no_schedule() -> None:
    world, _, run = a_world()
    second = world.runs_of(world.schedules.get("default", str(run.schedule_id)))[1]
    world.clock.forward(minutes=2)
    world.faults.steps.clear()
    world.execute([a_message(run), a_message(second)])
    both = world.faults.steps.count("before get_many")
    plain = World()
    plain.put(a_run(1))
    plain.faults.steps.clear()
    plain.execute([a_message(a_run(1))])

    assert both == plain.faults.steps.count("before get_many") + 1


def test_the_run_of_a_schedule_that_cannot_be_evaluated_waits_until_it_can_again() -> None:
    world, schedule, run = a_world()
    unknown = schedule.settings.model_copy(update={"timezone": "Mars/Base"})
    broken = world.schedules.save(schedule, schedule.model_copy(update={"settings": unknown}))

    world.clock.forward(60)
    world.deliver()

    assert world.run(run).status == "pending"
    assert world.langflow.calls == []
    world.schedules.save(broken, broken.model_copy(update={"settings": schedule.settings}))
    assert start(world, run).status == "completed"
