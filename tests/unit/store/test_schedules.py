"""What firing writes of a schedule: only what it changed, and no less than a whole save would."""

from datetime import timedelta
from typing import Any

import pytest

from bench.schedules import NOON, daily, once, schedule
from shared.domain import firing
from shared.domain.schedule import Schedule, ScheduleSettings
from shared.store import keys
from shared.store.schedules import ScheduleStore
from tests.fakes import Clock, MemoryTable

DUE = NOON + timedelta(minutes=1)


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable(Clock())


def stored(table: Any, settings: ScheduleSettings, **more: Any) -> Schedule:
    return ScheduleStore(table).save(None, schedule(1, "wf_1", settings, NOON, **more))


def item(table: Any, of: Schedule) -> Any:
    return table.get(keys.record(of.project_id, keys.SCHEDULE, of.id))


@pytest.mark.parametrize("settings", [daily(DUE), once(DUE), daily(DUE, max_runs=1)])
def test_a_schedule_that_fired_is_stored_as_a_whole_save_would(table: MemoryTable, settings: ScheduleSettings) -> None:
    before = stored(table, settings)
    after = firing.evaluate(before, NOON).after
    store: Any = ScheduleStore(table)  # type: ignore[arg-type]
    assert store.save_many([(before, after)]) == [True]
    assert store.get(before.project_id, before.id) == after.model_copy(update={"revision": 2})
    assert item(table, before) == store.change(before, after).after


def test_a_schedule_that_wakes_again_gets_its_shard(table: MemoryTable) -> None:
    before = stored(table, daily(DUE), enabled=False)
    after = firing.resume(before, NOON)
    assert ScheduleStore(table).save_many([(before, after)]) == [True]  # type: ignore[arg-type]
    assert item(table, before)["wake_shard"] == keys.wake_shard(before.id)
    assert [wake["pk"] for wake in table.page(keys.WAKE, keys.wake_shard(before.id), limit=1).items]


def test_firing_writes_no_more_than_what_it_changed(table: MemoryTable) -> None:
    before = stored(table, daily(DUE))
    change = ScheduleStore(table)._step(before, firing.evaluate(before, NOON).after)  # type: ignore[arg-type]
    assert change.before is not None
    assert set(change.after) == {"pk", "sk", "revision", "watermark", "wake_at", "fired"}


def test_who_was_faster_wins(table: MemoryTable) -> None:
    before = stored(table, daily(DUE))
    after = firing.evaluate(before, NOON).after
    store: Any = ScheduleStore(table)  # type: ignore[arg-type]
    assert store.save_many([(before, after)]) == [True]
    assert store.save_many([(before, after)]) == [False]
