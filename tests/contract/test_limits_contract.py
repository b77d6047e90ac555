"""What counting promises on every table: never more than the limit and never fewer, whoever counts at the same time."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.limit import Limits
from shared.services.limiting import Limiter
from shared.store import keys
from shared.store.limits import LimitStore
from shared.store.table import Change, Table
from tests.contract.conftest import create_table
from tests.fakes import NOON, Clock, MemoryTable
from tests.moto_atomic import one_at_a_time

NUMBERS = itertools.count()
TABLES = ["memory", "moto", "ministack"]
THREADS = 32
ID = keys.limited_key("k")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty table of each kind."""
    if request.param == "memory":
        yield MemoryTable(clock)
        return
    client = request.getfixturevalue(f"{request.param}_aws").dynamodb
    name = f"limits-{next(NUMBERS)}"
    create_table(client, name)
    if request.param == "moto":
        one_at_a_time(client, monkeypatch)
    yield Table(client, name, clock)
    client.delete_table(TableName=name)


def limiters(table: Table, clock: Clock) -> Iterator[Limiter]:
    """An environment for each of so many threads."""
    return (Limiter(LimitStore(table), clock, strangers=Limits()) for _ in itertools.count())


def at_once(table: Table, clock: Clock, limits: Limits, requests: int) -> int:
    """How many of `requests` are allowed that 32 environments get at the same time."""
    here = list(itertools.islice(limiters(table, clock), THREADS))
    barrier = threading.Barrier(THREADS)

    def send(number: int) -> int:
        barrier.wait()
        mine = range(number, requests, THREADS)
        return sum(here[number].count(ID, limits).is_allowed for _ in mine)

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(send, range(THREADS)))


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_32_threads_get_exactly_what_a_minute_allows(table: Table, clock: Clock, limit: int) -> None:
    assert at_once(table, clock, Limits(per_minute=limit), 96) == limit


def test_32_threads_get_exactly_what_a_day_allows_across_the_turn_of_a_minute(table: Table, clock: Clock) -> None:
    rule = Limits(per_minute=40, per_day=60)
    assert at_once(table, clock, rule, 64) == 40
    clock.forward(60)
    assert at_once(table, clock, rule, 64) == 20
    clock.forward(60)
    assert at_once(table, clock, rule, 64) == 0
    clock.jump(NOON + timedelta(days=1))
    assert at_once(table, clock, rule, 64) == 40


def test_32_threads_that_all_fit_are_all_allowed(table: Table, clock: Clock) -> None:
    for _ in range(3):  # each time they open a window together
        assert at_once(table, clock, Limits(per_minute=64), 64) == 64
        clock.forward(60)


def test_one_more_is_counted_while_the_item_is_as_it_was_said_to_be(table: Table) -> None:
    key = keys.limit(ID)
    item = {"pk": key.pk, "sk": key.sk, "schema": 1, "revision": 1, "minute": 5, "day": 1, "minute_count": 1}
    assert table.count(key, {"minute": 5}, {"minute_count": 3}) == (False, None)
    assert table.get(key) is None
    table.put(Change(None, item))
    after = {**item, "minute_count": 2, "revision": 2}
    assert table.count(key, {"minute": 5, "day": 1}, {"minute_count": 3}) == (True, after)
    assert table.count(key, {"minute": 6, "day": 1}, {"minute_count": 3}) == (False, after)
    assert table.count(key, {"minute": 5}, {"minute_count": None}) == (
        True,
        {**after, "minute_count": 3, "revision": 3},
    )
    refused = table.count(key, {"minute": 5}, {"minute_count": 3})
    assert refused == (False, table.get(key))
    assert refused.item is not None
    assert refused.item["minute_count"] == 3


def test_what_was_counted_is_gone_when_it_is_forgotten(table: Table, clock: Clock) -> None:
    limiter = next(limiters(table, clock))
    for _ in range(3):
        limiter.count(ID, Limits(per_minute=3))
    LimitStore(table).forget(ID)
    LimitStore(table).forget(ID)
    assert limiter.count(ID, Limits(per_minute=3)).is_allowed
