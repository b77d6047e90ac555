import math
from collections import Counter
from datetime import timedelta

import pytest

from bench import partitions, prices
from bench.partitions import TABLE, Partitions, Writes
from shared.domain import firing
from shared.domain import run as run_rules
from shared.domain.run import Run
from shared.domain.schedule import Schedule
from shared.services.firing import make
from shared.store.keys import PROJECT_RUNS
from shared.store.runs import change
from shared.store.schedules import ScheduleStore
from shared.store.table import Change, to_wire
from tests.fakes import MemoryTable
from tests.world import NOON, a_project, a_schedule, a_workflow

PAGE = 1  # of an attempt: an item of its own, on no index


def charged(made: Change) -> Counter[str]:
    """What DynamoDB charges for a change, of the table and of each index."""
    before, after = (to_wire(item) if item else None for item in (made.before, made.after))
    return Counter({TABLE: prices.base_write_units(before, after), **prices.index_write_units(before, after)})


def units(writes: Writes) -> Counter[str]:
    return sum((Counter({name: count}) for name, _, count in writes), Counter[str]())


def fired() -> tuple[Schedule, Schedule, Run]:
    """A schedule before and after it has fired, and the run."""
    schedule = a_schedule(1, revision=1)
    assert schedule.wake_at is not None
    owed = firing.evaluate(schedule, schedule.wake_at)
    made = make(schedule, a_workflow(1), a_project(), owed.fire[0], NOON, timedelta(minutes=5))
    return schedule, owed.after, made


def test_the_units_of_a_scheduled_run_are_those_of_what_the_stores_write() -> None:
    before, after, made = fired()
    claimed = run_rules.claim(run_rules.saved(made), NOON, NOON + timedelta(minutes=5), "worker")
    over = run_rules.complete(run_rules.saved(claimed), NOON)
    steps = [change(None, made), change(run_rules.saved(made), claimed), change(run_rules.saved(claimed), over)]
    put, claim, finish = map(charged, steps)
    advance = charged(ScheduleStore(MemoryTable(lambda: NOON)).change(before, after))  # type: ignore[arg-type]

    assert units(partitions.put_of(1, 1, 1)) == put
    assert units(partitions.advance_of(1, 1)) == advance
    assert units(partitions.claim_of(1)) == claim
    assert units(partitions.finish_of(1, 1)) == finish + Counter({TABLE: PAGE})


def test_a_partition_takes_its_units_a_second_and_names_itself_when_it_is_full() -> None:
    table = Partitions(partition_writes=10, warm_writes=40)
    assert [table.refuses(0.0, [(PROJECT_RUNS, 3, 1)]) for _ in range(11)] == [None] * 10 + [PROJECT_RUNS]
    assert table.refuses(0.0, [(PROJECT_RUNS, 2, 1)]) is None  # another partition
    assert table.refuses(0.1, [(PROJECT_RUNS, 7, 1)]) is None  # the same one, a tenth of a second later


def test_what_one_index_refuses_no_other_is_charged_for() -> None:
    table = Partitions(partition_writes=1, warm_writes=1)
    assert table.refuses(0.0, [(PROJECT_RUNS, 0, 1)]) is None
    assert table.refuses(0.0, [(TABLE, 0, 1), (PROJECT_RUNS, 0, 1)]) == PROJECT_RUNS
    assert table.refuses(0.0, [(TABLE, 0, 1)]) is None


@pytest.mark.parametrize("warm", [1.0, math.inf])
def test_without_a_limit_nothing_is_refused(warm: float) -> None:
    assert Partitions(math.inf, warm).refuses(0.0, [(TABLE, 0, 10**9)]) is None
