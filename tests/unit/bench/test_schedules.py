"""What the benchmarks of schedules share, and how those are read."""

from datetime import datetime, timedelta

import pytest

from bench import lateness, tick_scaling
from bench.schedules import NOON, Clock, daily, id_of, once, schedule, store
from shared.domain import firing
from shared.domain.record import id_time
from shared.domain.run import Run
from shared.store import keys
from shared.store.schedules import ScheduleStore
from tests.fakes import MemoryTable
from tests.world import a_run

DUE = NOON + timedelta(hours=1)
WORKFLOW = "wf_01HZZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.mark.parametrize("settings", [daily(DUE), once(DUE), daily(DUE + timedelta(seconds=7))])
def test_a_schedule_waits_for_the_time_it_was_made_for(settings: object) -> None:
    made = schedule(1, WORKFLOW, settings, NOON)  # type: ignore[arg-type]
    assert made.wake_at in (DUE, DUE + timedelta(seconds=7))
    assert firing.evaluate(made, NOON).fire == ()
    assert [due.scheduled_for for due in firing.evaluate(made, made.wake_at).fire] == [made.wake_at]


def test_a_paused_one_does_not_wait() -> None:
    assert schedule(1, WORKFLOW, daily(DUE), NOON, enabled=False).wake_at is None


def test_the_same_number_and_time_are_the_same_schedule() -> None:
    assert id_of(1, NOON) == id_of(1, NOON) != id_of(2, NOON)
    assert id_time(id_of(1, NOON)) == NOON


def test_what_was_stored_is_read_back() -> None:
    table = MemoryTable(Clock())
    made = [schedule(number, WORKFLOW, daily(DUE), NOON) for number in range(30)]
    store(table, made)  # type: ignore[arg-type]
    found = ScheduleStore(table).find([(each.project_id, each.id) for each in made])  # type: ignore[arg-type]
    assert [each.model_copy(update={"revision": 0}) for each in found.values()] == made


def test_a_schedule_made_of_a_template_is_one_as_spark_makes_it() -> None:
    far = schedule(0, WORKFLOW, once(NOON + tick_scaling.YEAR, "x"), NOON)
    item = tick_scaling.alike(ScheduleStore(MemoryTable(Clock())).change(None, far).after, 7, NOON)  # type: ignore[arg-type]
    read = ScheduleStore.codec.decode(item)
    assert (read.id, read.created_at, read.enabled) == (id_of(7, NOON), NOON, True)
    assert item["wake_shard"] == keys.wake_shard(read.id)
    assert item["pk"] == keys.record("default", keys.SCHEDULE, read.id).pk
    assert read.wake_at is not None
    assert read.wake_at > NOON + timedelta(days=5)


def started(seconds: float) -> Run:
    return a_run(scheduled_for=NOON, started_at=NOON + timedelta(seconds=seconds))


def test_lateness_is_from_the_nominal_time_to_the_claim() -> None:
    assert lateness.lateness([started(1.5), started(-0.25)]) == [1.5, -0.25]


def test_of_a_hundred_the_worst_is_beyond_the_99th_percentile() -> None:
    spread = lateness.spread([0.5] * 50 + [1.0] * 49 + [9.0])
    assert (spread["p50_seconds"], spread["p95_seconds"], spread["worst_seconds"]) == (0.75, 1.0, 9.0)
    assert 1.0 < spread["p99_seconds"] < 9.0


@pytest.mark.parametrize(("made", "lost"), [(NOON, 0.0), (NOON + timedelta(milliseconds=250), 0.25)])
def test_what_whole_seconds_cost_is_the_fraction_of_the_second_in_which_a_run_was_made(
    made: datetime, lost: float
) -> None:
    run = a_run(scheduled_for=DUE, created_at=made)
    assert lateness.rounding(run) == pytest.approx(lost)
