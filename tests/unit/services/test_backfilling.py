"""Backfills: pass after pass, resumed wherever they were left, each occurrence run once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.backfill import PASS, Backfill, BackfillStatus, Reprocess, in_range
from shared.domain.run import Origin, Run, RunStatus
from shared.domain.schedule import Overlap, Schedule, run_id
from shared.domain.timing import TICK_OF_TIME
from shared.errors import Conflict, NotFound
from tests.fakes import NOON, Crash
from tests.world import TICK, WAKE_AFTER, World, a_run, id_of

MINUTE = timedelta(minutes=1)


def a_world(**changes: Any) -> tuple[World, Schedule]:
    """A schedule for each minute that fires nothing by itself."""
    world = World()
    return world, world.schedule(wake_at=None, **{"input": "Hello", **changes})


def a_backfill(world: World, schedule: Schedule, count: int, **changes: Any) -> Backfill:
    """Of the last `count` minutes, as the API makes it."""
    now = world.clock.at
    start_at, end_at = now - (count - 1) * MINUTE, now
    return Backfill(
        **{
            "project_id": schedule.project_id,
            "id": id_of("bkf", 1, now),
            "schedule_id": schedule.id,
            "start_at": start_at,
            "end_at": end_at,
            "total": len(in_range(schedule, start_at, end_at, now)),
            "cursor": start_at - TICK_OF_TIME,
            "wake_at": now,
            "created_by": "key_test",
            "created_at": now,
            **changes,
        }
    )


def now_of(world: World, backfill: Backfill) -> Backfill:
    return type(world.backfills)(world.table.quietly()).get(backfill.project_id, backfill.id)


def own_runs(world: World, schedule: Schedule, statuses: Sequence[RunStatus | None]) -> list[datetime]:
    """What the clock made of the last minutes, oldest first; None: nothing."""
    times = [NOON - n * MINUTE for n in reversed(range(len(statuses)))]
    for at, status in zip(times, statuses, strict=True):
        if status is not None:
            facts = {"origin": Origin.schedule, "schedule_id": schedule.id, "scheduled_for": at}
            world.put(a_run(id=run_id(schedule, at), status=status, wake_at=None, **facts))
    return times


def made(world: World, schedule: Schedule) -> list[Run]:
    return [run for run in world.runs_of(schedule) if run.origin is Origin.backfill]


def test_a_short_range_is_done_at_once() -> None:
    world, schedule = a_world()

    done = world.backfilling().start(a_backfill(world, schedule, 5))

    assert (done.status, done.started, done.left_out, done.wake_at) == (BackfillStatus.completed, 5, 0, None)
    assert done == now_of(world, done)
    runs = made(world, schedule)
    assert [run.scheduled_for for run in runs] == [NOON - n * MINUTE for n in (4, 3, 2, 1, 0)]
    assert {each.message.run_id for each in world.queue.sent} == {run.id for run in runs}


def test_a_run_of_a_backfill_says_whose_it_is_and_starts_at_once() -> None:
    world, schedule = a_world()
    backfill = a_backfill(world, schedule, 1, overlap=Overlap.queue_all)

    world.backfilling().start(backfill)

    (run,) = made(world, schedule)
    assert (run.id, run.correlation_id) == (run_id(schedule, NOON, backfill.id),) * 2
    assert (run.schedule_id, run.scheduled_for, run.overlap) == (schedule.id, NOON, Overlap.queue_all)
    assert (run.created_by, run.created_at) == ("key_test", NOON)
    assert (run.not_before, run.wake_at) == (None, NOON + WAKE_AFTER)


def test_its_runs_get_the_schedules_input_and_end() -> None:
    world, schedule = a_world()
    world.backfilling().start(a_backfill(world, schedule, 3))

    world.settle()

    assert [run.status for run in made(world, schedule)] == ["completed"] * 3
    assert {call.input_value for call in world.langflow.calls} == {"Hello"}


def test_a_backfill_changes_nothing_of_its_schedule() -> None:
    world, schedule = a_world(max_runs=1)
    world.backfilling().start(a_backfill(world, schedule, 10))
    world.settle()

    assert world.now_of(schedule) == schedule


def test_a_long_range_goes_on_with_the_tick_ten_passes_at_a_time() -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 2500))
    assert (backfill.status, backfill.started, backfill.wake_at) == ("running", PASS, NOON)

    assert world.tick().backfilled == 10
    assert now_of(world, backfill).started == 1100
    world.tick()
    assert world.tick().backfilled == 5

    done = now_of(world, backfill)
    assert (done.status, done.started, done.left_out) == ("completed", 2500, 0)
    assert len({run.id for run in made(world, schedule)}) == 2500
    assert world.tick().backfilled == 0


def test_a_range_of_full_passes_ends_with_an_empty_one() -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 200))

    world.tick()

    assert (now_of(world, backfill).status, now_of(world, backfill).started) == ("completed", 200)


def test_a_tick_whose_time_is_up_makes_no_pass() -> None:
    world, schedule = a_world()
    backfill = world.backfills.save(None, a_backfill(world, schedule, 5))

    assert world.backfilling().go_on([("default", backfill.id)], NOON) == 0
    assert world.backfilling().go_on([], NOON + TICK) == 0


# ------------------------------------------------------------------------------------------------ what was run before


@pytest.mark.parametrize(
    ("reprocess", "expected"), [("none", [0, 3, 4]), ("failed", [0, 2, 3, 4]), ("all", [0, 1, 2, 3, 4, 5, 6])]
)
def test_what_was_run_at_its_time_is_run_again_only_if_that_is_wanted(reprocess: str, expected: list[int]) -> None:
    world, schedule = a_world()
    before = [None, "completed", "failed", "cancelled", "skipped", "pending", "running"]
    times = own_runs(world, schedule, [RunStatus(each) if each else None for each in before])

    done = world.backfilling().start(a_backfill(world, schedule, 7, reprocess=Reprocess(reprocess)))

    assert [run.scheduled_for for run in made(world, schedule)] == [times[n] for n in expected]
    assert (done.started, done.left_out) == (len(expected), 7 - len(expected))


def test_the_plan_names_what_would_run_and_runs_nothing() -> None:
    world, schedule = a_world()
    times = own_runs(world, schedule, [None, RunStatus.completed, RunStatus.failed])
    backfill = a_backfill(world, schedule, 3, reprocess=Reprocess.failed)

    plan = world.backfilling().plan(backfill, times)

    assert {at: run and run.status for at, run in plan.items()} == {times[0]: None, times[2]: "failed"}
    assert made(world, schedule) == []
    with pytest.raises(NotFound):
        world.backfilling().plan(backfill.model_copy(update={"schedule_id": "sch_gone"}), times)


def test_two_backfills_of_one_range_have_runs_of_their_own() -> None:
    world, schedule = a_world()
    world.backfilling().start(a_backfill(world, schedule, 3))
    again = a_backfill(world, schedule, 3, id=id_of("bkf", 2))

    done = world.backfilling().start(again)

    assert (done.started, len(made(world, schedule))) == (3, 6)


def test_the_same_backfill_is_not_started_twice() -> None:
    world, schedule = a_world()
    world.backfilling().start(a_backfill(world, schedule, 3))

    with pytest.raises(Conflict):
        world.backfilling().start(a_backfill(world, schedule, 3))
    assert len(made(world, schedule)) == 3


# ------------------------------------------------------------------------------------------------ what comes between


def test_a_cancelled_backfill_makes_no_more_runs_and_stops_none() -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 500))

    cancelled = world.backfilling().cancel("default", backfill.id)
    world.tick()
    world.settle()

    assert (cancelled.status, cancelled.wake_at, cancelled.started) == ("cancelled", None, PASS)
    assert [run.status for run in made(world, schedule)] == ["completed"] * PASS
    with pytest.raises(Conflict):
        world.backfilling().cancel("default", backfill.id)
    with pytest.raises(NotFound):
        world.backfilling().cancel("default", "bkf_gone")


def test_a_cancel_that_meets_a_pass_holds() -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 1500))
    world.faults.meanwhile["put"] = lambda: world.backfilling().go_on([("default", backfill.id)], NOON + TICK)

    cancelled = world.backfilling().cancel("default", backfill.id)

    assert cancelled.status == "cancelled"
    assert now_of(world, backfill) == cancelled


def test_a_pass_that_meets_a_cancel_does_not_undo_it() -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 500))
    world.faults.meanwhile["put"] = lambda: world.backfilling().cancel("default", backfill.id)

    assert world.backfilling().go_on([("default", backfill.id)], NOON + TICK) == 0

    assert now_of(world, backfill).status == "cancelled"


@pytest.mark.parametrize("what", ["schedule", "workflow", "project"])
def test_a_backfill_whose_schedule_workflow_or_project_is_gone_is_cancelled(what: str) -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 500))
    if what == "schedule":
        world.schedules.delete(schedule)
    elif what == "workflow":
        world.workflows.delete(world.workflow)
    else:
        world.projects.delete(world.project)

    world.tick()

    assert (now_of(world, backfill).status, now_of(world, backfill).wake_at) == ("cancelled", None)


def test_an_edit_of_the_schedule_counts_for_what_is_still_to_come() -> None:
    world, schedule = a_world()
    backfill = world.backfilling().start(a_backfill(world, schedule, 500))
    rarer = schedule.settings.model_copy(update={"expression": "0 * * * *"})
    world.schedules.save(schedule, schedule.model_copy(update={"settings": rarer}))

    world.tick()

    done = now_of(world, backfill)
    assert (done.status, done.started) == ("completed", PASS + 7)  # 5:21 is the last minute of the first pass


def test_a_paused_schedule_can_be_filled_in() -> None:
    world, schedule = a_world(enabled=False)
    world.backfilling().start(a_backfill(world, schedule, 2))

    world.settle()

    assert [run.status for run in made(world, schedule)] == ["completed"] * 2


def test_under_a_disabled_workflow_its_runs_are_left_out() -> None:
    world, schedule = a_world()
    world.workflows.save(world.workflow, world.workflow.model_copy(update={"enabled": False}))

    world.backfilling().start(a_backfill(world, schedule, 2))

    assert [run.status for run in made(world, schedule)] == ["skipped"] * 2
    assert world.queue.sent == []


def test_a_table_that_is_too_busy_for_a_run_holds_the_backfill_where_it_was() -> None:
    world, schedule = a_world()
    backfill = a_backfill(world, schedule, 300)
    stuck = run_id(schedule, backfill.start_at + 150 * MINUTE, backfill.id)
    world.faults.busy = lambda item: item.get("run_id") == stuck

    world.backfilling().start(backfill)
    world.tick()
    assert (now_of(world, backfill).started, now_of(world, backfill).status) == (PASS, "running")

    world.faults.busy = lambda item: False
    world.tick()
    assert (now_of(world, backfill).started, now_of(world, backfill).status) == (300, "completed")
    assert len(made(world, schedule)) == 300


def test_two_ticks_at_once_make_each_run_once() -> None:
    world, schedule = a_world()
    backfill = world.backfills.save(None, a_backfill(world, schedule, 150))
    world.faults.meanwhile["put_many"] = lambda: world.tick()

    world.tick()
    world.tick()

    done = now_of(world, backfill)
    assert (done.status, done.started, done.left_out) == ("completed", 150, 0)
    assert len(made(world, schedule)) == 150


@pytest.mark.parametrize("step", range(1, 60, 2))
def test_a_crash_at_any_step_is_made_good_by_the_ticks_that_follow(step: int) -> None:
    world, schedule = a_world()
    backfill = a_backfill(world, schedule, 130, reprocess=Reprocess.failed)
    own_runs(world, schedule, [RunStatus.completed] * 10)
    world.faults.steps.clear()
    world.faults.crash_at = step
    try:
        world.backfilling().start(backfill)
        world.backfilling().go_on([("default", backfill.id)], NOON + TICK)
    except Crash:
        world.restart()
    world.faults.revive()
    if not any(key.pk.endswith(backfill.id) for key in world.table.items):
        return  # it died before it was stored: nobody was promised anything

    world.tick()
    world.settle()

    done = now_of(world, backfill)
    assert (done.status, done.started, done.left_out) == ("completed", 120, 10)
    assert [run.status for run in made(world, schedule)] == ["completed"] * 120
    assert len(world.langflow.calls) == 120


def test_a_backfill_in_the_order_of_time_when_it_may_not_overlap() -> None:
    world, schedule = a_world()
    world.backfilling().start(a_backfill(world, schedule, 30, overlap=Overlap.queue_all))

    world.settle()

    runs = made(world, schedule)
    assert [run.status for run in runs] == ["completed"] * 30
    assert world.langflow.peak == 1


def test_a_backfill_that_skips_overlaps_runs_at_least_one() -> None:
    world, schedule = a_world()
    world.backfilling().start(a_backfill(world, schedule, 10, overlap=Overlap.skip))

    world.settle()

    statuses = [run.status for run in made(world, schedule)]
    assert set(statuses) == {"completed", "skipped"}
