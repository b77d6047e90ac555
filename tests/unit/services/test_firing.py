"""Firing: put, send, advance; what a crash, a rival or a busy table in between changes, which is nothing."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.firing import Due
from shared.domain.message import Delivery
from shared.domain.retry import RetryPolicy
from shared.domain.run import Origin, RunStatus
from shared.domain.schedule import Schedule, run_id
from shared.services.firing import PROJECT_GONE, WORKFLOW_GONE, Fired, make
from shared.store import keys
from tests.fakes import NOON, Crash
from tests.world import TICK, WAKE_AFTER, World, a_message, a_project, a_schedule, a_workflow, id_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WRITES = ("put_many", "put", "send", "put_all")


def fire(world: World, *schedules: Schedule) -> Fired:
    return world.firing().fire(schedules, world.clock.at + TICK)


def writes(world: World) -> list[str]:
    """What was written and sent, in order."""
    return [name for step in world.faults.steps for when, name in [step.split()] if when == "after" and name in WRITES]


def nominal(world: World, schedule: Schedule) -> list[datetime | None]:
    return [run.scheduled_for for run in world.runs_of(schedule)]


def sent_to(world: World) -> list[str]:
    return [sent.message.run_id for sent in world.queue.sent]


def again(world: World, operation: str, action: Any, times: int = 1) -> None:
    """Let `action` happen just before `operation` counts for the `times`-th time from now."""
    if times == 1:
        world.faults.meanwhile[operation] = action
    else:
        world.faults.meanwhile[operation] = lambda: again(world, operation, action, times - 1)


def test_a_run_is_put_then_sent_and_then_the_schedule_is_advanced() -> None:
    world = World()
    schedule = world.schedule(end_at=NOON + MINUTE)
    world.faults.steps.clear()

    fired = fire(world, schedule)

    assert fired == Fired(due=1, runs=1)
    assert writes(world) == ["put_many", "send", "put_many"]
    (run,) = world.runs_of(schedule)
    assert world.queue.sent == [Delivery(a_message(run), MINUTE)]
    assert world.now_of(schedule).watermark == NOON + MINUTE


def test_the_run_of_an_occurrence_says_whose_it_is_and_has_no_input_yet() -> None:
    world, retry = World(), RetryPolicy(max_attempts=1)
    said = {"input": "Hello", "session_id": "s", "tweaks": {"a": {"b": 1}}, "timeout_seconds": 7, "retry": retry}
    schedule = world.schedule(**said, end_at=NOON + MINUTE)

    fire(world, schedule)

    (run,) = world.runs_of(schedule)
    assert (run.id, run.correlation_id) == (run_id(schedule, NOON + MINUTE),) * 2
    assert (run.origin, run.schedule_id, run.scheduled_for) == (Origin.schedule, schedule.id, NOON + MINUTE)
    assert (run.workflow_id, run.workflow_version) == (world.workflow.id, 1)
    assert (run.created_at, run.created_by, run.retention_days) == (NOON, "schedule", 90)
    assert (run.session_id, run.tweaks, run.timeout_seconds, run.retry) == ("s", {"a": {"b": 1}}, 7, retry)
    assert (run.input, run.input_key, run.overlap) == (None, None, None)
    assert (run.not_before, run.wake_at) == (NOON + MINUTE, NOON + MINUTE + WAKE_AFTER)


def test_a_run_that_is_due_already_waits_for_nothing() -> None:
    world = World()
    schedule = world.schedule(end_at=NOON + MINUTE)
    world.clock.forward(seconds=90)

    fired = fire(world, schedule)

    (run,) = world.runs_of(schedule)
    assert (run.not_before, run.wake_at) == (None, world.clock.at + WAKE_AFTER)
    assert world.queue.sent == [Delivery(a_message(run), timedelta(0))]
    assert fired.lateness_seconds == 30


def test_a_run_that_jitter_puts_off_keeps_its_nominal_time() -> None:
    world = World()
    schedule = world.schedule(4, expression="0 * * * *", jitter_seconds=600, created_at=NOON - MINUTE)
    shift = (schedule.wake_at or NOON) - NOON
    assert timedelta(seconds=100) < shift < timedelta(seconds=600)
    world.clock.jump(NOON + shift - timedelta(seconds=100))

    fire(world, schedule)

    (run,) = world.runs_of(schedule)
    assert (run.id, run.scheduled_for, run.not_before) == (run_id(schedule, NOON), NOON, NOON + shift)


def test_the_timeout_is_that_of_the_workflow_unless_the_schedule_has_one() -> None:
    world = World()
    fire(world, schedule := world.schedule(end_at=NOON + MINUTE))

    assert world.runs_of(schedule)[0].timeout_seconds == world.workflow.settings.timeout_seconds


def test_many_schedules_are_fired_in_few_requests() -> None:
    world = World()
    schedules = [world.schedule(number, end_at=NOON + MINUTE) for number in range(25)]
    world.faults.steps.clear()

    assert fire(world, *schedules) == Fired(due=25, runs=25)

    assert writes(world) == ["put_many", "send", "send", "send", "put_many"]


# ------------------------------------------------------------------------------------------------ crashes


def steps_of_a_fire() -> int:
    world = World()
    schedule = world.schedule()
    world.faults.steps.clear()
    fire(world, schedule)
    return len(world.faults.steps)


@pytest.mark.parametrize("step", range(1, steps_of_a_fire() + 1))
def test_a_crash_at_any_step_is_healed_by_the_next_tick(step: int) -> None:
    world = World()
    schedule = world.schedule()
    world.faults.steps.clear()
    world.faults.crash_at = step

    with pytest.raises(Crash):
        fire(world, schedule)
    world.restart()
    world.clock.forward(minutes=1)
    world.tick()

    expected = [NOON + n * MINUTE for n in (1, 2, 3)]
    assert nominal(world, schedule) == expected
    assert set(sent_to(world)) == {run_id(schedule, at) for at in expected}
    healed = world.now_of(schedule)
    assert (healed.fired, healed.watermark, healed.wake_at) == (3, expected[-1], NOON + 4 * MINUTE)
    while world.clock.at < NOON + 3 * MINUTE:
        while world.deliver():
            pass
        world.clock.forward(seconds=1)
    world.deliver()
    assert [run.status for run in world.runs_of(schedule)] == ["completed"] * 3
    assert len(world.langflow.calls) == 3


def test_a_refused_put_of_a_run_that_still_waits_is_sent_again_and_one_that_began_is_not() -> None:
    world = World()
    schedule = world.schedule()
    fire(world, schedule)
    started, waiting = world.runs_of(schedule)
    world.clock.forward(minutes=1)
    world.execute([a_message(started)])
    world.queue.sent.clear()

    fire(world, schedule)  # as it was read before the first of both was advanced

    assert set(sent_to(world)) == {waiting.id, run_id(schedule, NOON + 3 * MINUTE)}
    assert world.run(started).status == "completed"


def test_a_queue_that_refuses_is_asked_again_by_the_next_tick_which_is_in_time() -> None:
    world = World()
    schedule = world.schedule(end_at=NOON + 2 * MINUTE)
    world.faults.refuse["send"] = 1

    fired = fire(world, schedule)

    assert (fired.left, world.now_of(schedule).fired, world.queue.sent) == (1, 0, [])
    world.clock.forward(minutes=1)
    ticked = world.tick()
    assert (ticked.complete, fired.runs, ticked.fired.runs) == (True, 2, 0)  # each is counted when it is stored
    world.deliver()
    world.clock.forward(minutes=1)
    world.deliver()
    assert [(run.status, run.started_at) for run in world.runs_of(schedule)] == [
        ("completed", NOON + MINUTE),
        ("completed", NOON + 2 * MINUTE),
    ]
    assert world.now_of(schedule).fired == 2


# ------------------------------------------------------------------------------------------------ rivals


def test_two_who_fire_the_same_make_each_run_once_and_count_it_once() -> None:
    world = World()
    schedule = world.schedule()

    first, second = fire(world, schedule), fire(world, schedule)

    assert (first.left, second.left) == (0, 0)
    assert (first.runs, second.runs) == (2, 0)
    assert len(world.runs_of(schedule)) == world.now_of(schedule).fired == 2


def test_a_rival_between_put_and_advance_makes_it_look_again() -> None:
    world = World()
    schedule = world.schedule()
    again(world, "put_many", lambda: fire(world, schedule), times=2)

    fired = fire(world, schedule)

    assert fired.due == 2
    assert len(world.runs_of(schedule)) == world.now_of(schedule).fired == 2


def test_clocks_that_are_half_a_minute_apart_fire_each_occurrence_once() -> None:
    world = World()
    schedule = world.schedule()
    firing = world.firing()
    for minute in range(10):
        for skew in (30, -30):
            at = NOON + minute * MINUTE + timedelta(seconds=skew)
            world.clock.jump(at)
            skewed = replace(firing, now=lambda at=at: at)
            skewed.fire([world.now_of(schedule)], at + TICK)

    assert nominal(world, schedule) == [NOON + n * MINUTE for n in range(1, 13)]
    assert (world.now_of(schedule).fired, world.now_of(schedule).watermark) == (12, NOON + 12 * MINUTE)


def test_an_edit_between_put_and_advance_wins() -> None:
    world = World()
    schedule = world.schedule()
    edited = a_schedule(expression="0 13 * * *", effective_at=NOON, revision=1)
    again(world, "put_many", lambda: world.schedules.save(schedule, edited), times=2)

    fire(world, schedule)

    after = world.now_of(schedule)
    assert (after.fired, after.wake_at, after.settings.expression) == (0, NOON + HOUR, "0 13 * * *")
    world.clock.forward(minutes=3)
    world.deliver()
    assert [run.status for run in world.runs_of(schedule)] == ["cancelled", "cancelled"]


def test_a_schedule_that_is_deleted_between_put_and_advance_stays_deleted() -> None:
    world = World()
    schedule = world.schedule()
    again(world, "put_many", lambda: world.schedules.delete(schedule), times=2)

    fire(world, schedule)

    assert keys.record("default", keys.SCHEDULE, schedule.id) not in world.table.items
    world.clock.forward(minutes=3)
    world.deliver()
    assert [run.status for run in world.runs_of(schedule)] == ["cancelled", "cancelled"]


# ------------------------------------------------------------------------------------------------ a busy table


def test_a_run_that_cannot_be_stored_holds_back_its_schedule_and_no_other() -> None:
    world = World()
    one, other = world.schedule(1), world.schedule(2)
    stuck = run_id(one, NOON + 2 * MINUTE)
    world.faults.busy = lambda item: item.get("run_id") == stuck

    fired = fire(world, one, other)

    assert (fired.runs, world.now_of(one).fired, world.now_of(other).fired) == (3, 0, 2)
    world.faults.busy = lambda item: False
    world.tick()
    assert (nominal(world, one), world.now_of(one).fired) == ([NOON + MINUTE, NOON + 2 * MINUTE], 2)


def test_an_advance_that_a_busy_table_does_not_take_comes_with_the_next_tick() -> None:
    world = World()
    schedule = world.schedule()
    world.faults.busy = lambda item: "watermark" in item

    fire(world, schedule)

    assert world.now_of(schedule).fired == 0
    world.faults.busy = lambda item: False
    world.clock.forward(minutes=1)
    world.tick()
    assert len(world.runs_of(schedule)) == world.now_of(schedule).fired == 3


def test_an_answer_of_the_table_that_was_lost_counts_nothing_twice() -> None:
    world = World()
    schedule = world.schedule()
    world.faults.repeat["put_many"] = 2

    fire(world, schedule)

    assert len(world.runs_of(schedule)) == world.now_of(schedule).fired == 2
    assert set(sent_to(world)) == {run.id for run in world.runs_of(schedule)}


# ------------------------------------------------------------------------------------------------ much to do


def test_what_was_missed_fires_chunk_after_chunk_in_one_go() -> None:
    world = World()
    schedule = world.schedule(kind="interval", expression="1s", catch_up="all")
    world.clock.forward(seconds=2500)

    fired = fire(world, schedule)

    assert (fired.due, fired.runs, fired.left) == (3, 2650, 0)  # the look-ahead too
    assert world.now_of(schedule).fired == 2650
    assert len(set(sent_to(world))) == 2650


def test_what_is_not_done_by_the_deadline_is_left_for_the_next_tick() -> None:
    world = World()
    schedule = world.schedule(expression="* * * * * *", catch_up="all")
    world.clock.forward(seconds=2500)

    fired = world.firing().fire([schedule], world.clock.at)

    assert (fired.runs, fired.left) == (1000, 1)
    assert world.now_of(schedule).watermark == NOON + timedelta(seconds=1000)
    assert world.tick().fired.runs == 1650


def test_workflows_and_projects_are_looked_up_once_however_much_there_is_to_do() -> None:
    world = World()
    schedules = [world.schedule(n, kind="interval", expression="1s", catch_up="all") for n in range(3)]
    world.clock.forward(seconds=1500)
    world.faults.steps.clear()

    fired = fire(world, *schedules)

    assert fired == Fired(due=6, runs=3 * 1650, lateness_seconds=1499)  # twice each: a chunk, and the rest
    looked_again = 6  # one of these for each evaluation that was cut, or batch that was full
    assert world.faults.steps.count("before get") == 1  # the project
    assert world.faults.steps.count("before get_many") <= 1 + looked_again


def test_nothing_is_fired_where_nothing_is_due() -> None:
    world = World()
    schedule = world.schedule(expression="0 9 * * *")
    world.faults.steps.clear()

    assert fire(world, schedule) == Fired(due=1)

    assert writes(world) == []


# ------------------------------------------------------------------------------------------------ its workflow


def test_a_schedule_whose_workflow_was_deleted_is_paused_and_says_why() -> None:
    world = World()
    schedule = world.schedule()
    world.workflows.delete(world.workflow)

    fire(world, schedule)

    paused = world.now_of(schedule)
    assert (paused.enabled, paused.pause_reason, paused.wake_at) == (False, WORKFLOW_GONE, None)
    assert world.runs_of(schedule) == []


def test_a_schedule_made_with_a_workflow_that_quick_reads_do_not_show_yet_fires() -> None:
    world = World(lag=timedelta(seconds=10))
    fresh = world.workflows.save(None, world.workflow.model_copy(update={"id": id_of("wf", 2), "revision": 0}))
    schedule = world.schedule(workflow_id=fresh.id)

    fire(world, schedule)

    assert world.now_of(schedule).enabled is True
    assert len(world.runs_of(schedule)) == 2


def test_a_schedule_whose_project_was_deleted_is_paused_and_harms_no_other() -> None:
    world = World()
    left = world.workflows.save(None, a_workflow(2, project_id="prj_gone"))
    lost, well = world.schedule(1, project_id="prj_gone", workflow_id=left.id), world.schedule(2)

    assert fire(world, lost, well).runs == 2

    paused = world.now_of(lost)
    assert (paused.enabled, paused.pause_reason, paused.wake_at) == (False, PROJECT_GONE, None)
    assert (len(world.runs_of(lost)), len(world.runs_of(well))) == (0, 2)
    assert world.now_of(well).fired == 2


def test_a_schedule_of_a_project_that_quick_reads_do_not_show_yet_fires() -> None:
    world = World(lag=timedelta(seconds=10))
    world.projects.save(None, a_project(project_id="prj_new"))
    fresh = world.workflows.save(None, a_workflow(2, project_id="prj_new"))
    schedule = world.schedule(project_id="prj_new", workflow_id=fresh.id)

    assert fire(world, schedule).runs == 2

    assert world.now_of(schedule).enabled is True


def given_up(world: World, number: int = 1, **changes: Any) -> Schedule:
    """A schedule whose time zone was in order when it was saved."""
    schedule = world.schedule(number, **changes)
    settings = schedule.settings.model_copy(update={"timezone": "America/Atlantis"})
    return world.schedules.save(schedule, schedule.model_copy(update={"settings": settings}))


def test_a_schedule_that_cannot_be_evaluated_holds_up_nobody() -> None:
    world = World()
    lost, other = given_up(world, 1), world.schedule(2)

    fired = fire(world, lost, other)

    assert fired == Fired(due=1, runs=2)
    assert world.now_of(lost) == lost


def test_a_schedule_that_cannot_be_evaluated_is_paused_with_its_workflow() -> None:
    world = World()
    lost = given_up(world)
    world.workflows.delete(world.workflow)

    fire(world, lost)

    assert world.now_of(lost).pause_reason == WORKFLOW_GONE


def test_under_a_disabled_workflow_runs_are_left_out_and_the_schedule_goes_on() -> None:
    world = World()
    schedule = world.schedule()
    disabled = world.workflow.model_copy(update={"enabled": False})
    world.workflows.save(world.workflow, disabled)

    fire(world, schedule)

    runs = world.runs_of(schedule)
    assert [(run.status, run.error.code if run.error else None) for run in runs] == [
        ("skipped", "workflow_disabled")
    ] * 2
    assert all(run.wake_at is None and run.expires_at is not None for run in runs)
    assert world.queue.sent == []
    assert world.now_of(schedule).fired == 2


def test_a_run_is_made_for_the_version_of_the_workflow_at_that_moment() -> None:
    world = World()
    schedule = world.schedule(end_at=NOON + MINUTE)
    world.workflows.save(world.workflow, world.workflow.model_copy(update={"version": 2}))

    fire(world, schedule)

    assert world.runs_of(schedule)[0].workflow_version == 2


@pytest.mark.parametrize("enabled", [True, False])
def test_a_run_that_is_made_twice_is_the_same(enabled: bool) -> None:
    world = World()
    workflow = world.workflow.model_copy(update={"enabled": enabled})
    due = Due(NOON + MINUTE, NOON + MINUTE)

    one, other = (make(a_schedule(), workflow, world.project, due, NOON, WAKE_AFTER) for _ in range(2))

    assert one == other
    assert one.status == (RunStatus.pending if enabled else RunStatus.skipped)


def test_what_is_to_be_held_back_is_sent_at_the_full_second() -> None:
    """SQS holds back for whole seconds, rounded up: half a second late on average, if sent at any moment."""
    world = World()
    schedule = world.schedule(kind="cron", expression="* * * * *", created_at=NOON - timedelta(minutes=1))
    world.clock.forward(0.4)

    replace(world.firing(), sleep=world.clock.forward).fire([schedule], world.clock.at + TICK)

    assert world.clock.at.microsecond == 0
    assert [sent.delay % timedelta(seconds=1) for sent in world.queue.sent] == [timedelta(0)] * len(world.queue.sent)
