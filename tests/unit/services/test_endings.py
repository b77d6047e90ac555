"""What follows the end of a schedule's run: too many failures in a row pause it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain import firing
from shared.domain.act import SPARK, Act
from shared.domain.overlap import Overlap
from shared.domain.run import Origin, Run, RunStatus, error_of
from shared.domain.schedule import Schedule, run_id
from shared.services.standing import Standing, standing
from shared.store.audit import AuditFilter
from tests.fakes import NOON
from tests.world import (
    BROKEN,
    World,
    a_message,
    a_project,
    a_run,
    a_schedule,
    a_source,
    a_version,
    a_workflow,
)

MINUTE = timedelta(minutes=1)
LETTERS = {"f": "failed", "c": "completed", "s": "skipped", "x": "cancelled", "p": "pending", "r": "running"}


def a_world(history: str, limit: int | None = 3, **changes: Any) -> tuple[World, Schedule, list[Run]]:
    """A run each minute since noon, which ended as `history` tells: oldest first."""
    world = World()
    schedule = world.schedule(pause_after_failures=limit, **changes)
    runs = [a_past_run(schedule, NOON + n * MINUTE, letter) for n, letter in enumerate(history, 1)]
    world.put(*runs)
    world.clock.jump(NOON + (len(history) + 1) * MINUTE)
    return world, schedule, [world.run(run) for run in runs]


def a_past_run(schedule: Schedule, at: datetime, letter: str, **changes: Any) -> Run:
    error = error_of("flow_failed", "x", 1) if letter == "f" else None
    facts = {"origin": Origin.schedule, "schedule_id": schedule.id, "scheduled_for": at, "wake_at": None, "attempt": 1}
    return a_run(id=run_id(schedule, at), status=LETTERS[letter], error=error, **{**facts, **changes})


def is_paused_after(world: World, run: Run) -> bool:
    world.endings().ended(run)
    schedule = world.schedules.get(run.project_id, str(run.schedule_id))
    return not schedule.enabled


@pytest.mark.parametrize(
    ("history", "paused"),
    [
        ("fff", True),
        ("cfff", True),
        ("ffff", True),
        ("ff", False),
        ("fcff", False),
        ("ffcf", False),
        ("fffcf", False),
        ("fsfxf", True),
        ("ssfxxsff", True),
        ("fpfrf", True),
        ("fffc", False),
        ("fffs", False),
    ],
)
def test_so_many_failures_in_a_row_pause_a_schedule(history: str, paused: bool) -> None:
    """What was skipped or cancelled does not count, and what completed begins a new row."""
    world, _schedule, runs = a_world(history)

    assert is_paused_after(world, runs[-1]) is paused


def test_a_schedule_that_is_paused_says_why_and_fires_no_more() -> None:
    world, schedule, runs = a_world("fff")

    world.endings().ended(runs[-1])

    after = world.now_of(schedule)
    assert (after.pause_reason, after.wake_at, after.paused_at) == ("3 failed runs in a row.", None, world.clock.at)


def test_a_schedule_without_a_limit_goes_on_failing() -> None:
    world, _schedule, runs = a_world("f" * 20, limit=None)

    assert is_paused_after(world, runs[-1]) is False


def test_one_failure_may_be_enough() -> None:
    world, _, runs = a_world("cf", limit=1)

    assert is_paused_after(world, runs[-1]) is True


def test_a_long_row_is_counted_over_many_pages() -> None:
    world, _, runs = a_world("f" + "s" * 150 + "f" * 99, limit=100)

    assert is_paused_after(world, runs[-1]) is True


def test_a_row_that_is_too_short_by_one_is_none() -> None:
    world, _, runs = a_world("c" + "s" * 150 + "f" * 99, limit=100)

    assert is_paused_after(world, runs[-1]) is False


def test_a_list_that_lags_behind_shows_the_run_that_just_ended_as_it_is() -> None:
    world, _schedule, runs = a_world("ffr")
    ended = runs[-1].model_copy(update={"status": RunStatus.failed})

    assert is_paused_after(world, ended) is True


def test_a_resume_begins_a_new_row() -> None:
    world, schedule, runs = a_world("fff")
    world.endings().ended(runs[-1])
    paused = world.now_of(schedule)
    world.schedules.save(paused, firing.resume(paused, world.clock.at))
    at = NOON + 10 * MINUTE
    (late,) = world.put(a_past_run(schedule, at, "f"))
    world.clock.jump(at)

    assert is_paused_after(world, late) is False
    more = world.put(*(a_past_run(schedule, at + n * MINUTE, "f") for n in (1, 2)))
    world.clock.jump(at + 2 * MINUTE)
    assert is_paused_after(world, more[-1]) is True


def test_a_run_that_began_before_a_resume_and_fails_after_it_pauses_nothing() -> None:
    world, schedule, runs = a_world("ffr")
    paused = world.schedules.save(schedule, firing.pause(schedule, world.clock.at, "x"))
    world.schedules.save(paused, firing.resume(paused, world.clock.at))

    assert is_paused_after(world, runs[-1].model_copy(update={"status": RunStatus.failed})) is False


def test_runs_of_a_backfill_of_older_times_do_not_count() -> None:
    world, schedule, _ = a_world("c")
    old = world.put(*(a_past_run(schedule, NOON - n * MINUTE, "f", origin=Origin.backfill) for n in (1, 2, 3)))

    assert is_paused_after(world, old[0]) is False


def test_an_edit_at_the_same_moment_does_not_save_a_schedule_from_its_pause() -> None:
    world, schedule, runs = a_world("fff")

    def rename() -> None:
        settings = schedule.settings.model_copy(update={"name": "New"})
        world.schedules.save(schedule, schedule.model_copy(update={"settings": settings}))

    world.faults.meanwhile["put"] = rename

    assert is_paused_after(world, runs[-1]) is True
    assert world.now_of(schedule).settings.name == "New"


def test_a_schedule_that_is_paused_or_gone_stays_so() -> None:
    world, schedule, runs = a_world("fff")
    paused = world.schedules.save(schedule, firing.pause(schedule, world.clock.at, "by hand"))

    world.endings().ended(runs[-1])
    assert world.now_of(schedule).pause_reason == "by hand"

    world.schedules.delete(paused)
    world.endings().ended(runs[-1])


def test_what_cannot_be_done_harms_nobody() -> None:
    world, schedule, runs = a_world("fff")
    world.faults.refuse["get"] = 1

    world.endings().ended(runs[-1])

    assert world.now_of(schedule).enabled is True


def test_a_run_of_no_schedule_ends_without_a_look() -> None:
    world = World()
    world.faults.steps.clear()

    world.endings().ended(a_run(status=RunStatus.failed))

    assert world.faults.steps == []


def test_a_failing_flow_pauses_its_schedule_and_what_was_looked_ahead_does_not_start() -> None:
    world = World()
    schedule = world.schedule(pause_after_failures=2)
    world.langflow.runs += [BROKEN] * 10
    for _ in range(8):
        world.tick()
        for _ in range(60):
            world.deliver()
            world.clock.forward(1)

    after = world.now_of(schedule)
    runs = world.runs_of(schedule)
    assert (after.enabled, after.fired) == (False, 2)
    assert [run.status for run in runs] == ["failed", "failed", "cancelled", "cancelled"]
    assert len(world.langflow.calls) == 2


def test_a_worker_that_is_lost_for_the_last_time_counts_as_a_failure() -> None:
    world, schedule, _runs = a_world("ff")
    at = NOON + 3 * MINUTE
    lost = a_past_run(schedule, at, "r", turn=1, lease_until=at, wake_at=at, retry={"unknown_outcome": False})
    world.put(lost)
    world.clock.jump(at + 5 * MINUTE)

    world.ticker().waker.wake([("default", lost.id)])

    assert world.run(lost).status == "failed"
    assert world.now_of(schedule).enabled is False


def test_a_run_whose_workflow_is_gone_counts_as_a_failure() -> None:
    world, schedule, _ = a_world("ff")
    at = NOON + 3 * MINUTE
    (orphan,) = world.put(a_past_run(schedule, at, "p", attempt=0, workflow_version=9))

    world.execute([a_message(orphan)])

    assert world.run(orphan).status == "failed"
    assert world.now_of(schedule).enabled is False


def test_the_length_of_a_row_can_be_asked_for() -> None:
    world, schedule, _ = a_world("cffsf")

    assert world.endings().failed_in_a_row(schedule, 100) == 3
    assert world.endings().failed_in_a_row(schedule, 2) == 2
    assert world.endings().failed_in_a_row(a_schedule(9), 5) == 0


def test_a_pause_is_in_the_audit_log_as_sparks_own() -> None:
    world, schedule, runs = a_world("fff")
    told: list[tuple[str, str, str]] = []

    def act(project: str, action: str, reason: str) -> Act:
        told.append((project, action, reason))
        return Act(action, SPARK, "org_1", world.clock.at)

    replace(world.endings(), act=act).ended(runs[-1])

    assert told == [("default", "schedule.paused", "3 failed runs in a row.")]
    (entry,) = world.audit.list("org_1", AuditFilter(), limit=9).items
    assert (entry.actor, entry.action, entry.subject) == ("spark", "schedule.paused", schedule.id)
    assert not world.now_of(schedule).enabled


# ------------------------------------------------------------------------------------------------ projects


def two_projects(**changes: Any) -> tuple[World, Schedule, Schedule]:
    """Two projects in which everything has the same id and the same name, but for the input of their schedules."""
    world = World()
    elsewhere = {"project_id": "other"}
    world.projects.ensure(a_project(**elsewhere))
    world.sources.save(None, a_source(**elsewhere))
    workflow = world.workflows.save(None, a_workflow(**elsewhere))
    world.workflows.save_version(a_version(workflow))
    mine = world.schedule(input="mine", **changes)
    other = world.schedule(input="other", **elsewhere, **changes)
    assert mine.id == other.id
    return world, mine, other


def fired(world: World, *schedules: Schedule) -> list[Run]:
    """The first run of each, a minute later, when its time has come."""
    world.firing().fire(schedules, NOON + MINUTE)
    world.clock.jump(NOON + MINUTE)
    return [world.runs_of(schedule)[0] for schedule in schedules]


def again(world: World, run: Run) -> Run:
    """`run` as it is stored now, in whichever project."""
    return world.runs.get(run.project_id, run.id)


def test_schedules_of_two_projects_fire_each_for_itself() -> None:
    world, mine, other = two_projects()

    (theirs,) = fired(world, other)

    assert (theirs.project_id, world.now_of(other).fired > 0) == ("other", True)
    assert (world.runs_of(mine), world.now_of(mine)) == ([], mine)
    assert [standing_of(world, each).last_fire for each in (mine, other)] == [None, theirs]
    (run,) = fired(world, mine)
    assert (run.project_id, run.id) == ("default", theirs.id)
    assert {each.message.project_id for each in world.queue.sent} == {"default", "other"}


def test_a_run_asks_the_schedule_of_its_own_project() -> None:
    world, mine, other = two_projects()
    run, theirs = fired(world, mine, other)
    world.schedules.save(world.now_of(other), firing.pause(world.now_of(other), NOON, "x"))

    world.execute([a_message(theirs)])
    world.execute([a_message(run)])
    world.clock.forward(60)
    world.execute([a_message(theirs)])

    assert [again(world, each).status for each in (run, theirs)] == ["completed", "cancelled"]
    assert [call.input_value for call in world.langflow.calls] == ["mine"]


def test_runs_of_two_projects_do_not_overlap() -> None:
    world, mine, other = two_projects(overlap="skip")
    run, theirs = fired(world, mine, other)
    assert world.turnstile().enter(run, Overlap.skip) is True

    assert world.turnstile().enter(theirs, Overlap.skip) is True
    assert world.turnstile().enter(world.runs_of(other)[1], Overlap.skip) is False

    assert world.runs_of(other)[1].status == "skipped"
    assert [standing_of(world, each).skipped_overlap for each in (mine, other)] == [0, 1]


def test_the_end_of_a_run_gives_nobody_of_another_project_the_slot() -> None:
    world, mine, other = two_projects(overlap="queue_all")
    run, theirs = fired(world, mine, other)
    waiting = world.runs_of(other)[1]
    for each in (run, theirs, waiting):
        world.turnstile().enter(each, Overlap.queue_all)
    world.queue.sent.clear()

    world.execute([a_message(run)])

    assert again(world, run).status == "completed"
    slots = [world.schedules.get_slot(each.project_id, each.id) for each in (mine, other)]
    assert [(slot.holder, slot.queue) for slot in slots] == [(None, ()), (theirs.id, (waiting.id,))]
    assert world.queue.sent == []


def test_failures_pause_no_schedule_of_another_project() -> None:
    world, mine, other = two_projects(pause_after_failures=1)
    run, theirs = fired(world, mine, other)
    world.langflow.runs = [BROKEN]

    world.execute([a_message(theirs)])
    world.execute([a_message(run)])

    assert [world.now_of(each).enabled for each in (mine, other)] == [True, False]
    stands = [standing_of(world, each) for each in (mine, other)]
    assert [each.failed_in_a_row for each in stands] == [0, 1]
    assert [each.last_fire for each in stands] == [again(world, each) for each in (run, theirs)]


def standing_of(world: World, schedule: Schedule) -> Standing:
    return standing(schedule, world.clock.at, schedules=world.schedules, runs=world.runs)
