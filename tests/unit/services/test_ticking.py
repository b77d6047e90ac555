"""The tick: schedules fire, backfills go on, runs are woken; on every shard, however many there are."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.run import RunStatus
from shared.domain.schedule import LOOK_AHEAD, Schedule
from shared.services.firing import Fired
from shared.services.ticking import THREADS, Ticked
from shared.store import keys
from shared.store.table import Change
from tests.fakes import NOON, Clock, Crash, refusal
from tests.world import TICK, WAKE_AFTER, World, a_run, a_schedule, a_workflow, id_of

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHARD = keys.wake_shards()[3]


def of_one_shard(count: int, prefix: str = "sch", at: datetime = NOON) -> list[int]:
    """Numbers whose ids are all on `SHARD`."""
    numbers: list[int] = []
    number = 0
    while len(numbers) < count:
        if keys.wake_shard(id_of(prefix, number, at)) == SHARD:
            numbers.append(number)
        number += 1
    return numbers


def spoil(world: World, schedule: Schedule, **attributes: Any) -> None:
    """Leave something in the item of `schedule` that nobody can work with."""
    key = keys.record(schedule.project_id, keys.SCHEDULE, schedule.id)
    item = world.table.get(key)
    world.table.put(Change(item, {**item, **attributes}))


def live(world: World, until: datetime, tick_at: list[int] | None = None) -> None:
    """Second by second, with a tick at each minute, or at those `tick_at`, and an executor that never rests."""
    while world.clock.at < until:
        minute = (world.clock.at - NOON) / MINUTE
        if minute.is_integer() and (tick_at is None or int(minute) in tick_at):
            world.tick()
        while world.deliver():
            pass
        world.clock.forward(1)


# ------------------------------------------------------------------------------------------------ schedules


def test_schedules_of_all_shards_fire() -> None:
    world = World()
    schedules = [world.schedule(number, end_at=NOON + MINUTE) for number in range(100)]
    assert {keys.wake_shard(each.id) for each in schedules} == set(keys.wake_shards())

    ticked = world.tick()

    assert ticked.fired.runs == 100
    assert (ticked.complete, ticked.handed_on) == (True, 0)


def test_each_occurrence_runs_once_and_at_its_second() -> None:
    world = World()
    schedules = [world.schedule(1), world.schedule(2, expression="*/20 * * * * *"), world.schedule(3, jitter_seconds=9)]

    live(world, NOON + 10 * MINUTE)

    for schedule in schedules:
        over = [run for run in world.runs_of(schedule) if run.is_final]
        assert {run.status for run in over} == {"completed"}
        assert len(over) >= 9
        assert all(run.started_at and run.scheduled_for for run in over)
        late = [run.started_at - run.scheduled_for for run in over if run.started_at and run.scheduled_for]
        assert max(late) <= (9 * SECOND if schedule.settings.jitter_seconds else timedelta(0))
    assert len(world.langflow.calls) == sum(run.is_final for run in world.all_runs())


def test_one_tick_that_does_not_come_costs_no_lateness() -> None:
    world = World()
    schedule = world.schedule(expression="*/10 * * * * *")

    live(world, NOON + 10 * MINUTE, tick_at=[0, 2, 4, 6, 8])

    over = [run for run in world.runs_of(schedule) if run.is_final]
    assert [run.started_at for run in over] == [NOON + n * 10 * SECOND for n in range(1, 60)]


def test_a_schedule_that_is_far_from_due_costs_nothing() -> None:
    world = World()
    for number in range(50):
        world.schedule(number, expression="0 9 * * *")
    world.faults.steps.clear()

    assert world.tick() == Ticked()

    assert {step.split()[1] for step in world.faults.steps} == {"page"}
    assert len(world.faults.steps) == 2 * keys.WAKE_SHARDS


def test_paused_and_finished_schedules_are_on_no_index() -> None:
    world = World()
    world.schedule(1, enabled=False)
    world.schedule(2, kind="once", expression="2029-01-01T00:00:00Z")
    world.clock.forward(days=400)

    assert world.tick() == Ticked()


def test_two_ticks_at_the_same_time_fire_each_occurrence_once() -> None:
    world = World()
    schedules = [world.schedule(number) for number in range(40)]
    tickers = [threading.Thread(target=world.tick) for _ in range(3)]

    for each in tickers:
        each.start()
    for each in tickers:
        each.join()

    assert all(world.now_of(each).fired == len(world.runs_of(each)) == 2 for each in schedules)


def test_an_index_that_lags_behind_fires_nothing_twice() -> None:
    world = World(lag=timedelta(seconds=90))
    schedule = world.schedule()
    world.clock.forward(world.lag.total_seconds())
    for _ in range(5):
        world.tick()
        world.clock.forward(30)

    after = world.now_of(schedule)
    assert after.fired == len(world.runs_of(schedule)) > 3
    assert after.skipped_missed == 0


@pytest.mark.parametrize("step", range(1, 400, 13))
def test_a_crash_anywhere_in_a_tick_loses_nothing_and_doubles_nothing(step: int) -> None:
    world = World()
    schedules = [world.schedule(number, end_at=NOON + 3 * MINUTE) for number in range(30)]
    world.faults.steps.clear()
    world.faults.crash_at = step
    try:
        world.tick()
    except Crash:
        world.restart()
    world.faults.revive()

    live(world, NOON + 4 * MINUTE)

    for schedule in schedules:
        runs = world.runs_of(schedule)
        assert [run.scheduled_for for run in runs] == [NOON + n * MINUTE for n in (1, 2, 3)]
        assert [run.started_at for run in runs] == [NOON + n * MINUTE for n in (1, 2, 3)]
        assert world.now_of(schedule).fired == 3
    assert len(world.langflow.calls) == 90


# ------------------------------------------------------------------------------------------------ more than a page


def test_a_shard_with_more_than_a_page_is_handed_on_once_and_nothing_of_it_is_lost() -> None:
    world, handed_on = World(), list[str]()
    schedules = [world.schedule(number, end_at=NOON + MINUTE) for number in of_one_shard(230)]
    ticker, deadline = world.ticker(), NOON + TICK

    first = ticker.tick(deadline, handed_on.append)
    rest = ticker.tick_shard(SHARD, deadline)

    assert handed_on == [SHARD]
    assert (first.handed_on, first.fired.runs, rest.fired.runs) == (1, 100, 130)
    assert all(world.now_of(each).fired == 1 for each in schedules)
    assert len(world.all_runs()) == len(world.queue.sent) == 230


def test_a_page_that_is_just_full_is_not_handed_on() -> None:
    world, handed_on = World(), list[str]()
    for number in of_one_shard(100):
        world.schedule(number, end_at=NOON + MINUTE)

    ticked = world.ticker().tick(NOON + TICK, handed_on.append)

    assert (ticked.fired.runs, ticked.complete, handed_on) == (100, True, [])


def test_a_shard_that_nobody_can_be_asked_for_is_looked_after_here() -> None:
    world = World()
    for number in of_one_shard(150):
        world.schedule(number, end_at=NOON + MINUTE)

    def refuse(shard: str) -> None:
        raise refusal("TooManyRequestsException", "Rate Exceeded.", "Invoke")

    ticked = world.ticker().tick(NOON + TICK, refuse)

    assert (ticked.fired.runs, ticked.handed_on, ticked.complete) == (150, 0, True)


def test_a_tick_whose_time_is_up_says_so_and_the_next_one_goes_on() -> None:
    world = World()
    schedule = world.schedule(end_at=NOON + MINUTE)

    assert world.ticker().tick(NOON, pytest.fail) == Ticked(complete=False)
    assert world.ticker().tick_shard(keys.wake_shard(schedule.id), NOON) == Ticked(complete=False)

    assert world.tick().fired.runs == 1


def test_a_tick_that_runs_out_of_time_among_its_pages_keeps_count() -> None:
    world = World(clock=Clock())
    for number in of_one_shard(150):
        world.schedule(number, end_at=NOON + MINUTE)
    world.clock._step = timedelta(milliseconds=100)

    ticked = world.ticker().tick_shard(SHARD, NOON + timedelta(milliseconds=450))

    assert (ticked.complete, ticked.fired.runs) == (False, 100)


# ------------------------------------------------------------------------------------------------ runs


def test_runs_are_woken_when_their_time_has_come_and_not_ahead_of_it() -> None:
    world = World()
    world.put(a_run(1, wake_at=NOON + LOOK_AHEAD), a_run(2, wake_at=NOON + SECOND), a_run(3, wake_at=NOON))

    assert world.tick().woken.resent == 1

    assert [sent.message.run_id for sent in world.queue.sent] == [id_of("run", 3)]


def test_a_scheduled_run_whose_message_was_lost_is_sent_again() -> None:
    world = World()
    schedule = world.schedule(end_at=NOON + MINUTE)
    world.tick()
    world.queue.lose_all()

    world.clock.jump(NOON + MINUTE + WAKE_AFTER)
    assert world.tick().woken.resent == 1
    world.deliver()

    assert [run.status for run in world.runs_of(schedule)] == ["completed"]


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_a_shard_that_cannot_be_read_keeps_no_other_from_its_work_and_is_not_hushed_up() -> None:
    world = World()
    schedules = [world.schedule(number, end_at=NOON + MINUTE) for number in range(60)]

    def refuse() -> None:
        raise refusal("ProvisionedThroughputExceededException", "Slow down.", "Query")

    world.faults.meanwhile["page"] = refuse
    with pytest.raises(Exception, match="Slow down"):
        world.tick()

    fired = [world.now_of(each).fired for each in schedules]
    assert 0 < fired.count(0) < 20
    world.tick()
    assert all(world.now_of(each).fired == 1 for each in schedules)


def test_a_schedule_of_a_newer_spark_keeps_no_other_of_its_shard_waiting() -> None:
    world = World()
    bad, *fine = [world.schedule(number, end_at=NOON + MINUTE) for number in of_one_shard(3)]
    spoil(world, bad, schema=99)

    world.tick()

    assert [len(world.runs_of(each)) for each in fine] == [1, 1]


@pytest.mark.parametrize("said", [{"timezone": "Mars/Olympus"}, {"expression": "every full moon"}])
def test_a_schedule_that_cannot_be_evaluated_keeps_no_other_of_its_shard_waiting(said: dict[str, str]) -> None:
    """As when a time zone was given up, or a rule for expressions was tightened."""
    world = World()
    bad, *fine = of_one_shard(3)
    spoilt = a_schedule(bad, **said, wake_at=NOON)
    world.schedules.save(None, spoilt)
    schedules = [world.schedule(number, end_at=NOON + MINUTE) for number in fine]

    world.tick()

    assert [len(world.runs_of(each)) for each in schedules] == [1, 1]
    assert world.now_of(spoilt).enabled is True


# ------------------------------------------------------------------------------------------------ as of


def test_as_of_a_moment_to_come_everything_up_to_it_fires_and_nothing_beyond() -> None:
    world = World()
    daily, minutely = world.schedule(1, expression="0 9 * * *"), world.schedule(2, kind="interval", expression="1m")
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON + 5 * MINUTE))
    at = NOON.replace(hour=9) + DAY

    fired = world.ticker().fire_as_of(at)

    assert isinstance(fired, Fired)
    assert [each.scheduled_for for each in world.runs_of(daily)] == [at]
    assert world.runs_of(minutely)[-1].scheduled_for == at
    assert (world.now_of(daily).watermark, world.now_of(daily).wake_at) == (at, at + DAY)
    assert world.run(run) == run
    while world.deliver():
        pass
    assert [each.status for each in world.runs_of(daily)] == ["completed"]


def test_as_of_a_moment_goes_through_all_pages() -> None:
    world = World()
    for number in of_one_shard(230):
        world.schedule(number, end_at=NOON + MINUTE)

    assert world.ticker().fire_as_of(NOON + MINUTE).runs == 230


def test_no_shard_waits_for_another() -> None:
    assert len(keys.wake_shards()) == THREADS


def test_catching_up_takes_a_part_of_a_tick_and_not_all_of_it() -> None:
    """Whatever else is in the shard wants its turn, too."""
    world = World(clock=Clock(step=timedelta(seconds=1)))
    schedule = world.schedule(kind="interval", expression="1s", catch_up="all")
    began = world.clock.forward(hours=9)

    ticked = world.ticker().tick(began + HOUR, lambda shard: None)

    assert (ticked.fired.left, ticked.complete) == (1, False)
    assert 1000 <= len(world.runs_of(schedule)) < 10_000


def test_a_workflow_or_a_backfill_of_a_newer_spark_holds_up_nobody_else() -> None:
    world = World()
    good = world.schedule(1, kind="cron", expression="* * * * *")
    other = world.workflows.save(None, a_workflow(2))
    bad = world.schedule(next(n for n in range(2, 500) if _same_shard(n)), workflow_id=other.id)
    key = keys.workflow(other.project_id, other.id)
    item = world.table.get(key)
    world.table.put(Change(item, {**item, "schema": 99}))

    world.tick()

    assert len(world.runs_of(good)) == 2
    assert (world.runs_of(bad), world.now_of(bad).enabled) == ([], True)


def _same_shard(number: int) -> bool:
    return keys.wake_shard(id_of("sch", number)) == keys.wake_shard(id_of("sch", 1))
