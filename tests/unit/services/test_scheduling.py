"""Making and changing schedules, while they fire."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared import payloads
from shared.domain.run import Run
from shared.domain.schedule import Schedule, ScheduleSettings, admits, jitter, next_fire
from shared.errors import Conflict, Invalid, NotFound, Stale, Unavailable
from shared.services.versioning import Author
from shared.store import keys
from tests.fakes import NOON, Crash
from tests.world import TICK, World, id_of

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LARGE = "ü" * 5000


def by(world: World) -> Author:
    return Author("default", "key_test", world.clock.at)


def create(world: World, number: int = 1, *, enabled: bool = True, **settings: Any) -> Schedule:
    said = ScheduleSettings(**{"kind": "cron", "expression": "* * * * *", "name": "Minutely", **settings})
    id = id_of("sch", number, world.clock.at)
    return world.scheduling().create(by(world), id, world.workflow.id, said, enabled=enabled)


def edit(world: World, schedule: Schedule, *, enabled: bool | None = None, **changes: Any) -> Schedule:
    return world.scheduling().edit(by(world), schedule.id, changes, enabled, anyone)


def pause(world: World, schedule: Schedule, reason: str | None = None) -> Schedule:
    return world.scheduling().pause(by(world), schedule.id, reason, anyone)


def resume(world: World, schedule: Schedule) -> Schedule:
    return world.scheduling().resume(by(world), schedule.id, anyone)


def anyone(schedule: Schedule) -> None:
    """A guard that lets everybody pass."""


def sent(world: World) -> list[tuple[datetime | None, timedelta]]:
    return [(world.run(each.message.run_id).scheduled_for, each.delay) for each in world.queue.sent]


def live(world: World, until: datetime) -> None:
    """Second by second, with a tick at each minute and an executor that never rests."""
    while world.clock.at < until:
        if not (world.clock.at - NOON) % MINUTE:
            world.tick()
        while world.deliver():
            pass
        world.clock.forward(1)


def statuses(world: World, schedule: Schedule) -> list[tuple[float, str]]:
    """Minutes since noon, and what became of them."""
    return [(_minutes(run), str(run.status)) for run in world.runs_of(schedule)]


def _minutes(run: Run) -> float:
    assert run.scheduled_for is not None
    return (run.scheduled_for - NOON) / MINUTE


# ------------------------------------------------------------------------------------------------ create


def test_a_schedule_is_stored_with_what_was_said() -> None:
    world = World()

    schedule = create(world, expression="0 9 * * *", input="Hi", timezone="America/Sao_Paulo")

    assert schedule == world.now_of(schedule)
    assert (schedule.created_by, schedule.created_at, schedule.effective_at) == ("key_test", NOON, NOON)
    assert (schedule.watermark, schedule.wake_at) == (NOON, NOON.replace(hour=12) + DAY)
    assert (schedule.settings.input, schedule.fired, schedule.input_key) == ("Hi", 0, None)


def test_in_ten_seconds_fires_in_ten_seconds() -> None:
    world = World()

    schedule = create(world, kind="once", expression="in 10s")

    assert sent(world) == [(NOON + 10 * SECOND, 10 * SECOND)]
    live(world, NOON + 12 * SECOND)
    (run,) = world.runs_of(schedule)
    assert (run.status, run.started_at) == ("completed", NOON + 10 * SECOND)
    assert next_fire(world.now_of(schedule), world.clock.at) is None


def test_what_is_due_within_the_look_ahead_is_fired_when_it_is_made() -> None:
    world = World()

    schedule = create(world)

    assert sent(world) == [(NOON + MINUTE, MINUTE), (NOON + 2 * MINUTE, 2 * MINUTE)]
    assert (schedule.fired, schedule.wake_at) == (2, NOON + 3 * MINUTE)


def test_a_schedule_that_is_made_paused_fires_nothing() -> None:
    world = World()

    schedule = create(world, enabled=False)

    assert (schedule.enabled, schedule.wake_at, sent(world)) == (False, None, [])
    assert create(world, 2, start_at=NOON + DAY).wake_at == NOON + DAY


def test_a_start_in_the_past_fires_no_past() -> None:
    world = World()

    schedule = create(world, start_at=NOON - DAY, catch_up="all")

    assert [at for at, _ in sent(world)] == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert schedule.skipped_missed == 0


def test_a_large_input_goes_into_the_bucket() -> None:
    world = World()

    schedule = create(world, input=LARGE, kind="once", expression="in 1s")

    assert (schedule.settings.input, len(world.bucket.texts)) == ("", 1)
    assert world.bucket.get_json(str(schedule.input_key)) == LARGE
    live(world, NOON + 3 * SECOND)
    assert [call.input_value for call in world.langflow.calls] == [LARGE]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"expression": "* * *"}, "/settings/expression"),
        ({"timezone": "Nowhere"}, "/settings/timezone"),
        ({"end_at": NOON}, "/settings/end_at"),
        ({"kind": "once", "expression": "2029-01-01T00:00:00Z"}, "/settings/expression"),
        ({"timeout_seconds": 3600}, "/settings/timeout_seconds"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing(wrong: dict[str, Any], pointer: str) -> None:
    world = World()

    with pytest.raises(Invalid) as error:
        create(world, **wrong, input=LARGE)

    assert error.value.pointer == pointer
    assert world.bucket.texts == {}
    assert world.schedules.list("default", limit=10).items == []


def test_a_schedule_of_no_workflow_is_refused() -> None:
    world = World()
    said = ScheduleSettings(kind="cron", expression="* * * * *", name="x")

    with pytest.raises(Invalid) as error:
        world.scheduling().create(by(world), id_of("sch", 1), "wf_gone", said, enabled=True)
    assert error.value.pointer == "/workflow_id"


def test_the_same_id_is_not_made_twice() -> None:
    world = World()
    create(world)

    with pytest.raises(Conflict):
        create(world, name="Another")


@pytest.mark.parametrize("step", range(1, 25))
def test_a_crash_while_a_schedule_is_made_is_made_good_by_the_next_tick_if_it_was_stored(step: int) -> None:
    world = World()
    world.faults.steps.clear()
    world.faults.crash_at = step
    try:
        create(world)
    except Crash:
        world.restart()
    world.faults.revive()
    found = world.schedules.list("default", limit=10).items
    if not found:
        return

    live(world, NOON + 3 * MINUTE)

    assert [run for run in statuses(world, found[0]) if run[0] < 3] == [(1, "completed"), (2, "completed")]
    assert world.now_of(found[0]).fired == len(world.runs_of(found[0]))


def test_a_queue_that_does_not_answer_keeps_no_schedule_from_being_made() -> None:
    world = World()
    world.faults.refuse["send"] = 1

    schedule = create(world)

    assert world.now_of(schedule) == schedule
    live(world, NOON + 2 * MINUTE + SECOND)
    assert statuses(world, schedule)[:2] == [(1, "completed"), (2, "completed")]


def test_a_table_that_is_too_busy_to_fire_keeps_no_schedule_from_being_made() -> None:
    """It is stored: an error would make the caller try again, and make a second one."""
    world = World()
    world.faults.refuse["get_many"] = 1

    schedule = create(world)

    assert world.now_of(schedule) == schedule
    live(world, NOON + 2 * MINUTE + SECOND)
    assert statuses(world, schedule)[:2] == [(1, "completed"), (2, "completed")]


# ------------------------------------------------------------------------------------------------ edit


def test_an_edit_inside_the_look_ahead_calls_off_what_it_no_longer_wants_and_fires_what_it_wants() -> None:
    world = World()
    schedule = create(world)
    world.clock.forward(30)

    edit(world, schedule, expression="30 * * * * *")
    live(world, NOON + 4 * MINUTE)

    found = [each for each in statuses(world, schedule) if each[0] < 3]
    assert found == [(1, "cancelled"), (1.5, "completed"), (2, "cancelled"), (2.5, "completed")]
    assert world.now_of(schedule).fired == len([each for each in statuses(world, schedule) if each[1] != "cancelled"])


def test_an_edit_back_and_forth_runs_each_occurrence_once() -> None:
    world = World()
    schedule = create(world)
    for expression in ("0 9 * * *", "* * * * *", "*/2 * * * *", "* * * * *"):
        world.clock.forward(5)
        edit(world, schedule, expression=expression)

    live(world, NOON + 4 * MINUTE + SECOND)

    assert [each for each in statuses(world, schedule) if each[0] <= 4] == [(n, "completed") for n in (1, 2, 3, 4)]
    assert len(world.langflow.calls) == 4
    assert world.now_of(schedule).fired == len(world.runs_of(schedule))


def test_what_was_due_before_an_edit_is_fired_before_it() -> None:
    """No tick came for two minutes."""
    world = World()
    schedule = world.schedule()
    world.clock.forward(seconds=125)

    edit(world, schedule, expression="0 9 * * *")
    world.deliver()

    assert statuses(world, schedule)[:2] == [(1, "completed"), (2, "completed")]
    after = world.now_of(schedule)
    assert (after.fired, after.skipped_missed) == (2, 0)


def test_an_edit_of_the_input_counts_for_runs_that_wait() -> None:
    world = World()
    schedule = create(world, input="first")

    edit(world, schedule, input="second")
    live(world, NOON + MINUTE + SECOND)

    assert world.runs_of(schedule)[0].input == "second"
    assert world.now_of(schedule).fired == 3


def test_an_input_may_grow_large_and_small_again() -> None:
    world = World()
    schedule = create(world, input="small")

    large = edit(world, schedule, input=LARGE)
    other = edit(world, schedule, name="Another")
    small = edit(world, schedule, input="tiny")

    digest = str(large.input_key).rpartition("/")[2]
    assert large.settings.input == other.settings.input == ""
    assert large.input_key == other.input_key != payloads.schedule_key("default", schedule.id, "x")
    assert len(digest) > 40
    assert (small.settings.input, small.input_key) == ("tiny", None)


def test_an_edit_that_fails_leaves_the_schedule_and_its_input_as_they_were() -> None:
    world = World()
    schedule = create(world, input=LARGE)

    with pytest.raises(Invalid):
        edit(world, schedule, input=LARGE + "!", expression="* * *")

    assert world.now_of(schedule).input_key == schedule.input_key
    assert world.bucket.get_json(str(schedule.input_key)) == LARGE


def test_an_edit_says_only_what_changes_also_inside_the_retry_policy() -> None:
    world = World()
    schedule = create(world, retry={"max_attempts": 7, "initial_seconds": 9.0})

    edited = edit(world, schedule, retry={"max_attempts": 2})
    assert edited.settings.retry is not None
    assert (edited.settings.retry.max_attempts, edited.settings.retry.initial_seconds) == (2, 9.0)
    assert edit(world, schedule, retry=None).settings.retry is None


def test_an_edit_that_says_nothing_new_writes_nothing() -> None:
    world = World()
    schedule = create(world, expression="0 9 * * *")
    revision = world.now_of(schedule).revision

    edit(world, schedule, name="Minutely", expression="0 9 * * *")
    edit(world, schedule)

    assert world.now_of(schedule).revision == revision


def test_an_edit_of_a_schedule_that_has_fired_once_must_say_a_new_time_only_if_it_changes_the_timing() -> None:
    world = World()
    schedule = create(world, kind="once", expression="in 10s")
    world.clock.forward(minutes=1)

    assert edit(world, schedule, name="New").settings.name == "New"
    with pytest.raises(Invalid):
        edit(world, schedule, jitter_seconds=5)
    again = edit(world, schedule, expression="in 10s")
    assert again.settings.expression == "2030-01-01T12:01:10.000Z"
    assert [at for at, _ in sent(world)] == [NOON + 10 * SECOND, NOON + 70 * SECOND]


def test_a_rename_after_the_last_run_counts_nothing_as_missed() -> None:
    world = World()
    schedule = create(world, kind="interval", expression="1m", max_runs=1)
    world.clock.forward(days=30)

    edited = edit(world, schedule, name="Over")

    assert (edited.fired, edited.skipped_missed, edited.wake_at) == (1, 0, None)


def test_an_edit_to_one_run_lets_one_run_start() -> None:
    world = World()
    schedule = create(world)
    assert schedule.fired == 2

    edit(world, schedule, max_runs=1)
    live(world, NOON + 4 * MINUTE)

    assert statuses(world, schedule) == [(1, "completed"), (2, "cancelled")]
    assert world.now_of(schedule).fired == 1


def test_an_edit_may_pause_and_resume_in_the_same_breath() -> None:
    world = World()
    schedule = create(world)

    off = edit(world, schedule, enabled=False, name="Off", expression="*/2 * * * *")
    on = edit(world, schedule, enabled=True, name="On")

    assert (off.enabled, off.fired, off.settings.name) == (False, 0, "Off")
    assert (on.enabled, on.fired, on.settings.name, on.wake_at) == (True, 1, "On", NOON + 4 * MINUTE)


def test_a_guard_sees_the_schedule_and_may_refuse() -> None:
    world = World()
    schedule = create(world)

    def refuse(current: Schedule) -> None:
        raise Stale("no")

    for change in (
        lambda: world.scheduling().edit(by(world), schedule.id, {"name": "x"}, None, refuse),
        lambda: world.scheduling().pause(by(world), schedule.id, None, refuse),
        lambda: world.scheduling().delete(by(world), schedule.id, refuse),
    ):
        with pytest.raises(Stale):
            change()
    assert world.now_of(schedule) == schedule


def test_a_tick_in_between_does_not_lose_an_edit() -> None:
    world = World()
    schedule = world.schedule()
    world.faults.meanwhile["put_all"] = lambda: world.firing().fire([schedule], NOON + TICK)

    edited = edit(world, schedule, name="New")

    assert (edited.settings.name, edited.fired) == ("New", 2)


def test_a_schedule_that_keeps_changing_says_to_try_again() -> None:
    world = World()
    schedule = create(world, expression="0 9 * * *")

    def change() -> None:
        current = world.now_of(schedule)
        quiet = type(world.schedules)(world.table.quietly())
        quiet.save(current, current.model_copy(update={"fired": current.fired + 1}))
        world.faults.meanwhile["put_all"] = change

    world.faults.meanwhile["put_all"] = change
    with pytest.raises(Unavailable):
        edit(world, schedule, name="New")


def test_what_does_not_exist_cannot_be_changed() -> None:
    world = World()
    ghost = world.schedule()
    world.schedules.delete(ghost)

    for change in (edit, pause, resume):
        with pytest.raises(NotFound):
            change(world, ghost)
    with pytest.raises(NotFound):
        world.scheduling().delete(by(world), ghost.id, anyone)


@pytest.mark.parametrize("step", range(1, 40))
def test_a_crash_in_an_edit_leaves_one_timing_or_the_other_and_doubles_nothing(step: int) -> None:
    world = World()
    schedule = create(world)
    world.clock.forward(30)
    world.faults.steps.clear()
    world.faults.crash_at = step
    try:
        edit(world, schedule, expression="30 * * * * *")
    except Crash:
        world.restart()
    world.faults.revive()

    live(world, NOON + 4 * MINUTE)

    done = [minute for minute, status in statuses(world, schedule) if status == "completed" and minute < 4]
    assert done in ([1, 2, 3], [1.5, 2.5, 3.5])
    assert len(world.langflow.calls) == len(done)


# ------------------------------------------------------------------------------------------------ pause, resume, delete


def test_a_pause_stops_what_has_not_started_and_a_resume_misses_nothing() -> None:
    world = World()
    schedule = create(world, catch_up="all")
    live(world, NOON + MINUTE + SECOND)

    paused = pause(world, schedule, "maintenance")
    live(world, NOON + 10 * MINUTE + SECOND)
    resumed = resume(world, schedule)
    live(world, NOON + 12 * MINUTE + SECOND)

    assert (paused.pause_reason, resumed.pause_reason) == ("maintenance", None)
    done = [minute for minute, status in statuses(world, schedule) if status == "completed"]
    assert done == [1, 11, 12]
    assert world.now_of(schedule).skipped_missed == 0


def test_a_pause_and_a_resume_inside_the_look_ahead_change_nothing() -> None:
    world = World()
    schedule = create(world)
    world.clock.forward(10)
    pause(world, schedule)
    world.clock.forward(10)
    resume(world, schedule)

    live(world, NOON + 3 * MINUTE + SECOND)

    assert statuses(world, schedule)[:3] == [(n, "completed") for n in (1, 2, 3)]
    assert world.now_of(schedule).fired == len(world.runs_of(schedule))
    assert len(world.langflow.calls) == 3


def test_a_pause_waits_for_no_catching_up() -> None:
    world = World()
    schedule = world.schedule(expression="* * * * * *", catch_up="all")
    world.clock.forward(hours=3)
    world.faults.busy = lambda item: "run_id" in item  # nothing can be fired just now

    paused = pause(world, schedule)

    assert (paused.enabled, paused.wake_at) == (False, None)
    assert world.all_runs() == []


def test_only_another_timing_waits_for_what_is_owed_to_be_fired() -> None:
    world = World()
    schedule = world.schedule(expression="* * * * * *", catch_up="all")
    world.clock.forward(hours=3)
    world.faults.busy = lambda item: "run_id" in item

    assert edit(world, schedule, catch_up="none").settings.catch_up == "none"
    assert edit(world, world.schedule(2, catch_up="all", created_at=NOON), enabled=False).enabled is False
    with pytest.raises(Unavailable):
        edit(world, world.schedule(3, expression="* * * * * *", created_at=NOON), expression="*/2 * * * * *")


def test_a_resume_under_a_deleted_workflow_is_a_pause_with_its_reason() -> None:
    world = World()
    schedule = create(world)
    pause(world, schedule)
    world.workflows.delete(world.workflow)

    assert resume(world, schedule).pause_reason == "Its workflow was deleted."


def test_a_deleted_schedule_leaves_nothing_behind_and_its_waiting_runs_do_not_start() -> None:
    world = World()
    schedule = create(world, overlap="skip")
    live(world, NOON + MINUTE + SECOND)
    assert keys.slot("default", schedule.id) in world.table.items

    world.scheduling().delete(by(world), schedule.id, anyone)
    live(world, NOON + 5 * MINUTE)

    left = {key.sk for key in world.table.items if keys.SCHEDULE in key.pk}
    assert all(sk.startswith(keys.AUDIT_PREFIX) for sk in left)
    assert statuses(world, schedule)[0] == (1, "completed")
    assert {status for _, status in statuses(world, schedule)[1:]} == {"cancelled"}


def test_a_deletion_that_meets_a_tick_is_one() -> None:
    world = World()
    schedule = create(world)
    current = world.now_of(schedule)

    def rename() -> None:
        world.schedules.save(current, current.model_copy(update={"fired": 9}))

    world.faults.meanwhile["delete"] = rename

    world.scheduling().delete(by(world), schedule.id, anyone)

    with pytest.raises(NotFound):
        world.now_of(schedule)


def test_a_deletion_that_meets_a_run_at_its_slot_is_one() -> None:
    world = World()
    schedule = create(world, overlap="skip")
    live(world, NOON + MINUTE + SECOND)

    def somebody_enters() -> None:
        slot = world.schedules.get_slot("default", schedule.id)
        world.schedules.save_slot(slot, slot.model_copy(update={"holder": "run_x"}))

    world.faults.meanwhile["delete"] = lambda: world.faults.meanwhile.update(delete=somebody_enters)

    world.scheduling().delete(by(world), schedule.id, anyone)

    with pytest.raises(NotFound):
        world.now_of(schedule)


def test_what_was_due_before_an_edit_fires_although_its_jitter_is_not_over() -> None:
    """Its nominal time is one of the timing of then; the edit counts from the next one on."""
    world = World()
    schedule = create(world, kind="interval", expression="1h", jitter_seconds=3000)
    due = schedule.created_at + HOUR
    world.clock.jump(due + SECOND)
    assert jitter(schedule, due) > 5 * MINUTE

    edited = edit(world, schedule, expression="2h")

    (run,) = [run for run in world.all_runs() if run.scheduled_for == due]
    assert run.not_before == due + jitter(schedule, due)
    assert admits(edited, due, due)


def test_the_last_of_many_that_were_due_before_an_edit_is_not_lost_to_its_jitter() -> None:
    """No tick came for hours. All but the last are fired, or missed, at once; the last one fires in many minutes."""
    world = World()
    schedule = create(world, kind="interval", expression="1h", jitter_seconds=3000)
    due = schedule.created_at + 3 * HOUR
    world.clock.jump(due + SECOND)
    assert jitter(schedule, due) > 5 * MINUTE

    edited = edit(world, schedule, expression="2h")

    (run,) = [run for run in world.all_runs() if run.scheduled_for == due]
    assert run.not_before == due + jitter(schedule, due)
    assert admits(edited, due, due)
