"""What the fakes do beyond the contract they share with the real ones: lag, chance, forgetting."""

import random
from collections import Counter, deque
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sortedcontainers import SortedList

from shared.domain.message import Delivery, RunMessage
from shared.errors import Conflict
from shared.store import keys
from shared.store.keys import INDEXES, Key
from shared.store.table import Change, Item
from tests.fakes import NOON, Clock, Crash, Faults, MemoryQueue, MemoryTable

LAG = timedelta(seconds=3)
SECOND = int(NOON.timestamp())


def an_item(pk: str, revision: int = 1, sk: str = keys.RECORD, **attributes: Any) -> Item:
    return {"pk": pk, "sk": sk, "revision": revision, **attributes}


def a_due_item(pk: str, at: str, revision: int = 1) -> Item:
    return an_item(pk, revision, wake_shard="00", wake_at=at)


def a_delivery(number: int) -> Delivery:
    return Delivery(RunMessage(project_id="default", run_id=f"run_{number}", turn=0))


def due(table: MemoryTable, **bounds: Any) -> list[str]:
    return [
        str(entry["wake_at"]) for entry in table.page(keys.WAKE, "00", limit=100, newest_first=False, **bounds).items
    ]


def forgetful(**options: Any) -> tuple[Clock, MemoryTable]:
    clock = Clock()
    return clock, MemoryTable(clock, keep_history=False, faults=Faults(keep_steps=False), **options)


# ------------------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize("keep_history", [True, False])
def test_indexes_and_inconsistent_reads_show_each_state_when_its_lag_is_over(keep_history: bool) -> None:
    clock = Clock()
    table = MemoryTable(clock, lag=LAG, keep_history=keep_history)
    key = Key("a", keys.RECORD)
    states = [a_due_item("a", "t1"), a_due_item("a", "t2", 2), an_item("a", 3)]
    seen: list[tuple[Item | None, list[str]]] = []

    for before, after in zip([None, *states], states, strict=False):
        table.put(Change(before, after))
        assert table.get(key) == table.quietly().get(key, consistent=False) == after
        assert due(table.quietly()) == [after[name] for name in ("wake_at",) if name in after]
        clock.forward(1)
    table.quietly().delete(states[-1])
    for _ in range(4):
        seen.append((table.get(key, consistent=False), due(table)))
        clock.forward(1)

    assert seen == [(states[0], ["t1"]), (states[1], ["t2"]), (states[2], []), (None, [])]


@pytest.mark.parametrize("seed", range(20))
def test_a_page_is_what_a_look_at_every_item_would_find(seed: int) -> None:
    chance = random.Random(seed)
    clock, table = forgetful(lag=LAG)
    past = [table.items]  # of each second
    for _ in range(40):
        for _ in range(chance.randrange(4)):
            _change_something(chance, table.quietly())
        past.append(table.items)
        clock.forward(1)

        then = past[-3] if len(past) >= 3 else {}
        low, high = chance.choice([None, "t2"]), chance.choice([None, "t3"])
        newest_first, limit = chance.random() < 0.5, chance.choice([1, 3, 100])
        for index, names in INDEXES.items():
            entries = sorted(
                (
                    {name: item[name] for name in ("pk", "sk", *names)}
                    for item in then.values()
                    if item[names.hash] == "a"
                ),
                key=lambda entry: (entry[names.range], entry["pk"], entry["sk"]),
                reverse=newest_first,
            )
            bounded = [entry for entry in entries if (low or "") <= str(entry[names.range]) <= (high or "z")]
            page = table.page(index, "a", low=low, high=high, limit=limit, newest_first=newest_first)
            assert page.items == bounded[:limit]
            assert page.next == (bounded[limit - 1] if len(bounded) >= limit else None)


def _change_something(chance: random.Random, table: MemoryTable) -> None:
    key = Key(chance.choice("abcdefgh"), chance.choice("12"))
    before = table.get(key)
    if before is not None and chance.random() < 0.3:
        table.delete(before)
        return
    placed: Item = {}
    for names in INDEXES.values():
        placed |= {names.hash: chance.choice("ab"), names.range: chance.choice(["t1", "t2", "t3", "t4"])}
    table.put(Change(before, {**key._asdict(), "revision": 1, **placed}))


def test_ttl_deletes_what_has_expired_when_it_is_told_to() -> None:
    clock, table = forgetful()
    table.put_many([Change(None, an_item(str(number), expires_at=SECOND + number)) for number in range(1, 6)])
    table.put_many([Change(None, an_item("forever")), Change(None, an_item("later", expires_at=SECOND + 1))])
    table.put(Change(an_item("later"), an_item("later", 2, expires_at=SECOND + 60)))

    clock.forward(2)
    assert (table.expire(), table.expire()) == (2, 0)
    assert {key.pk for key in table.items} == {"3", "4", "5", "forever", "later"}
    clock.forward(60)
    assert table.expire() == 4
    assert {key.pk for key in table.items} == {"forever"}


def test_an_expired_item_stays_in_a_late_index_for_a_while() -> None:
    clock, table = forgetful(lag=LAG)
    table.put(Change(None, {**a_due_item("a", "t1"), "expires_at": SECOND + 3}))
    clock.forward(3)

    assert table.expire() == 1
    assert due(table) == ["t1"]
    clock.forward(3)
    assert due(table) == []


def test_a_table_without_history_forgets_all_that_nobody_can_see() -> None:
    clock, table = forgetful(lag=LAG)
    empty = _objects(table)
    for revision in range(1, 200):
        before = None if revision == 1 else a_due_item("a", f"t{revision - 1}", revision - 1)
        table.put(Change(before, a_due_item("a", f"t{revision}", revision)))
        clock.forward(1)
    assert _objects(table) < empty + 50

    table.delete(a_due_item("a", "t199", 199))
    clock.forward(10)
    table.get(Key("a", keys.RECORD), consistent=False)
    assert _objects(table) == empty
    with pytest.raises(AssertionError, match="no history"):
        table.history(Key("a", keys.RECORD))


def _objects(part: Any) -> int:
    """How many entries the containers of a fake hold, all in all."""
    if isinstance(part, dict):
        return len(part) + sum(map(_objects, part.values()))
    if isinstance(part, list | deque | SortedList):
        return len(part) + sum(map(_objects, part))
    return _objects(vars(part)) if type(part).__module__ == MemoryTable.__module__ else 0


def test_a_table_with_history_tells_every_state() -> None:
    table = MemoryTable(Clock())
    table.put(Change(None, an_item("a")))
    table.put(Change(an_item("a"), an_item("a", 2)))
    table.delete(an_item("a", 2))

    assert table.history(Key("a", keys.RECORD)) == [an_item("a"), an_item("a", 2)]


def test_nobody_changes_what_is_stored_by_changing_what_was_read_or_written() -> None:
    table = MemoryTable(Clock())
    item, key = a_due_item("a", "t1"), Key("a", keys.RECORD)
    table.put_many([Change(None, item)])

    for mine in (item, table.get(key), table.get_many([key])[key], table.items[key], table.history(key)[0]):
        assert mine is not None
        mine["wake_at"] = "changed"
    for read in (table.query("a", ""), table.page(keys.WAKE, "00", limit=1).items):
        read[0]["wake_at"] = "changed"

    assert table.get(key) == a_due_item("a", "t1")
    assert due(table) == ["t1"]


def test_a_transaction_stores_all_or_nothing() -> None:
    table = MemoryTable(Clock())
    table.put(Change(None, an_item("a")))
    changes = [Change(None, an_item("b")), Change(an_item("a"), an_item("a", 2))]

    with pytest.raises(Conflict):
        table.put_all([*changes, Change(an_item("c"), an_item("c", 2))])
    assert list(table.items.values()) == [an_item("a")]
    table.put_all(changes)

    assert list(table.items.values()) == [an_item("a", 2), an_item("b")]
    with pytest.raises(ClientError):
        table.put_all([Change(None, an_item("d"))] * 2)


# ------------------------------------------------------------------------------------------------ the queue


def drained(queue: MemoryQueue) -> Counter[str]:
    """How often each run is announced by what is due."""
    found: Counter[str] = Counter()
    while batch := queue.receive():
        found.update(read.run_id for read in batch.values())
        queue.acknowledge(list(batch))
    return found


def test_a_queue_without_chance_delivers_once_and_in_time() -> None:
    queue = MemoryQueue(Clock())
    queue.send([a_delivery(number) for number in range(1000)])

    assert set(drained(queue).values()) == {1}
    assert (len(queue), queue.next_due) == (0, None)


def test_by_chance_some_messages_come_twice_and_some_late() -> None:
    clock = Clock()
    queue = MemoryQueue(
        clock, chance=random.Random(1), duplicates=0.1, delays=0.2, delayed_by=timedelta(seconds=30), keep_sent=False
    )
    queue.send([a_delivery(number) for number in range(1000)])

    in_time = drained(queue)
    assert 1100 * 0.75 < in_time.total() < 1100 * 0.85
    found = in_time
    while (at := queue.next_due) is not None:
        assert at <= NOON + timedelta(seconds=30)
        clock.jump(at)
        found += drained(queue)

    assert len(found) == 1000
    assert set(found.values()) == {1, 2}
    assert 70 < found.total() - 1000 < 130
    assert queue.sent == []


def test_the_same_chance_does_the_same() -> None:
    def deliver() -> Counter[str]:
        queue = MemoryQueue(Clock(), chance=random.Random(7))
        queue.send([a_delivery(number) for number in range(300)])
        return drained(queue)

    assert deliver() == deliver()


def test_a_message_that_is_never_acknowledged_comes_again_until_it_is_dead() -> None:
    clock = Clock()
    queue = MemoryQueue(clock, visibility=timedelta(seconds=10), max_receives=3)
    queue.send([a_delivery(1), a_delivery(2)])
    first, _ = queue.receive()
    queue.acknowledge([first])

    for _ in range(2):
        assert not queue.receive()
        assert queue.next_due == clock.at + timedelta(seconds=10)
        clock.forward(10)
        assert [read.run_id for read in queue.receive().values()] == ["run_2"]
    clock.forward(10)

    assert not queue.receive()
    assert (queue.dead, len(queue), queue.next_due) == ([a_delivery(2).message], 0, None)


def test_a_queue_that_is_emptied_as_it_is_filled_stays_small() -> None:
    queue = MemoryQueue(Clock(), keep_sent=False)
    for number in range(5000):
        queue.send([a_delivery(number)])
        queue.acknowledge(list(queue.receive()))

    assert len(queue._order) < 1100


# ------------------------------------------------------------------------------------------------ faults


def test_steps_that_are_not_kept_are_counted_all_the_same() -> None:
    faults = Faults(keep_steps=False, crash_at=3)
    table = MemoryTable(Clock(), faults=faults)
    table.get(Key("a", "b"))

    with pytest.raises(Crash, match="before get"):
        table.get(Key("a", "b"))
    with pytest.raises(Crash):
        table.ping()

    assert (faults.count, faults.steps) == (3, [])


def test_a_process_dies_when_it_is_decided_and_so_may_the_next() -> None:
    faults = Faults(crash_when=lambda step: step == "after put")
    table = MemoryTable(Clock(), faults=faults)

    for pk in "ab":
        with pytest.raises(Crash, match="after put"):
            table.put(Change(None, an_item(pk)))
        with pytest.raises(Crash):
            table.ping()
        faults.revive()

    assert {key.pk for key in table.items} == {"a", "b"}
    assert faults.steps == ["before put", "after put"] * 2
