"""What the audit log promises on every table: no change without its entry, no entry without its change."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.act import Act
from shared.domain.audit import AuditEntry, Subject, entry_of
from shared.domain.source import Source
from shared.errors import Conflict, NotFound
from shared.services.sealing import Sealing
from shared.store import keys
from shared.store.audit import AuditFilter, AuditStore
from shared.store.schedules import ScheduleStore
from shared.store.sources import SourceStore
from shared.store.table import Table
from shared.store.wake import WakeStore
from tests.contract.conftest import create_table
from tests.fakes import NOON, Clock, MemoryTable
from tests.world import a_schedule, a_source

O, P = "org_1", "default"  # noqa: E741
SECOND = timedelta(seconds=1)
NUMBERS = itertools.count()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "moto", "ministack"])
def table(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Any]:
    """An empty table of each kind."""
    if request.param == "memory":
        yield MemoryTable(clock)
        return
    client = request.getfixturevalue(f"{request.param}_aws").dynamodb
    name = f"audit-{next(NUMBERS)}"
    create_table(client, name)
    yield Table(client, name, clock)
    client.delete_table(TableName=name)


def act(action: str = "source.updated", seconds: float = 0, organization: str = O) -> Act:
    return Act(action, "key_1", organization, NOON + seconds * SECOND, "192.0.2.7", "trace-1", {"matched": 3})


def grown(table: Any, number: int = 1, names: str = "abc", organization: str = O) -> Source:
    """A source with an entry for each of its names, a second apart."""
    store, source = SourceStore(table), None
    for second, name in enumerate(names):
        after = (source or a_source(number)).model_copy(update={"name": name})
        source = store.save(source, after, act(f"source.{name}", second + number / 10, organization))
    assert source is not None
    return source


def log(table: Any, organization: str = O, **filters: Any) -> list[AuditEntry]:
    return AuditStore(table).list(organization, AuditFilter(**filters), limit=100).items


def waiting(table: Any) -> list[tuple[str, str]]:
    """What the tick finds."""
    found = []
    for shard in keys.wake_shards():
        for page in WakeStore(table).due(shard, NOON + timedelta(hours=1)):
            found += [(each.owner.project, each.owner.id) for each in page if each.owner.kind == keys.AUDIT]
    return found


def test_each_change_has_its_entry(table: Any) -> None:
    source = grown(table)
    SourceStore(table).delete(source, act("source.deleted", 9))

    entries = log(table)[::-1]

    assert [entry.action for entry in entries] == ["source.a", "source.b", "source.c", "source.deleted"]
    last, before = None, None
    for entry, name in zip(entries, ["a", "b", "c", None], strict=True):
        after = a_source(1).model_copy(update={"name": name}) if name else None
        again = entry_of(act(entry.action), Subject("source", source.id, P), last, before, after)
        assert (entry.before_hash, entry.after_hash) == (again.before_hash, again.after_hash)
        assert (entry.number, entry.previous) == (again.number, again.previous)
        last, before = entry, after
    with pytest.raises(NotFound):
        SourceStore(table).get(P, source.id)


@pytest.mark.parametrize("what", ["save", "delete"])
def test_a_lost_race_leaves_neither_change_nor_entry(table: Any, what: str) -> None:
    store = SourceStore(table)
    old = grown(table, names="a")
    new = store.save(old, old.model_copy(update={"name": "b"}), act(seconds=1))

    late = {
        "save": lambda: store.save(old, old.model_copy(update={"name": "c"}), act(seconds=2)),
        "delete": lambda: store.delete(old, act(seconds=2)),
    }
    with pytest.raises(Conflict):
        late[what]()

    assert store.get(P, old.id) == new
    assert len(log(table)) == 2


def test_two_who_add_to_one_chain_at_once_do_not_both(table: Any) -> None:
    """The second read the same last entry, and the record is still as it read it."""
    store, source = SourceStore(table), grown(table, names="a")
    change = store.change(source, source.model_copy(update={"name": "b"}))
    (entry,) = store.entry(act(seconds=1), source, source.model_copy(update={"name": "b"}))
    AuditStore(table).append(act("other", 1), Subject("source", source.id, P), store.key(P, source.id).pk)

    with pytest.raises(Conflict):
        table.put_all([change, entry])

    assert store.get(P, source.id) == source


def test_what_changes_nothing_but_bookkeeping_is_no_entry(table: Any) -> None:
    source = grown(table, names="a")
    SourceStore(table).save(source, source.model_copy(update={"updated_at": NOON + SECOND}), act())
    assert len(log(table)) == 1


def test_a_deleted_schedule_keeps_its_chain(table: Any) -> None:
    store = ScheduleStore(table)
    schedule = store.save(None, a_schedule(1), act("schedule.created"))
    store.delete(schedule, act("schedule.deleted", 1))
    assert [entry.action for entry in log(table)] == ["schedule.deleted", "schedule.created"]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_pages_show_each_entry_once(table: Any, limit: int, newest_first: bool) -> None:
    for number in range(1, 3):
        grown(table, number)
    store, found, after = AuditStore(table), [], None
    for _ in range(9):
        page = store.list(O, AuditFilter(), limit=limit, after=after, newest_first=newest_first)
        assert len(page.items) <= limit
        found += [entry.id for entry in page.items]
        after = page.next
        if after is None:
            break
    assert len(found) == 6
    assert found == sorted(found, reverse=newest_first)


def test_filters_pass_over_all_others(table: Any) -> None:
    first, second = grown(table, 1), grown(table, 2)
    assert {entry.subject for entry in log(table, subject=second.id)} == {second.id}
    assert [entry.subject for entry in log(table, action="source.b")] == [second.id, first.id]
    assert log(table, actor="nobody") == log(table, project_id="other") == []
    assert [entry.action for entry in log(table, since=NOON + 2.15 * SECOND)] == ["source.c"]
    assert [entry.action for entry in log(table, until=NOON + 0.15 * SECOND)] == ["source.a"]
    assert len(log(table, since=NOON, until=NOON + 9 * SECOND, actor="key_1")) == 6


def test_an_organization_sees_its_own(table: Any) -> None:
    grown(table, 1)
    grown(table, 2, organization="org_2")
    assert {entry.organization_id for entry in log(table)} == {O}
    assert {entry.organization_id for entry in log(table, "org_2")} == {"org_2"}


def test_a_seal_covers_what_waits_and_leaves_the_entries_as_they_are(table: Any, clock: Clock) -> None:
    grown(table, 1)
    grown(table, 2, organization="org_2")
    before = log(table)
    store = AuditStore(table)

    assert Sealing(store, clock).seal(waiting(table)) == 6
    assert waiting(table) == []
    assert [entry.model_copy(update={"revision": 1}) for entry in log(table)] == before

    seal = store.last_seal(O)
    assert seal is not None
    assert [(head.number, head.hash) for head in seal.heads] == [(3, before[0].hash)]
    assert store.seals("org_2", limit=9).items[0].heads[0].number == 3
    with pytest.raises(Conflict):
        store.add_seal(seal.model_copy(update={"revision": 0}))


def test_seals_are_listed_newest_first(table: Any, clock: Clock) -> None:
    store = AuditStore(table)
    for number in range(1, 4):
        grown(table, number, "a")
        Sealing(store, clock).seal(waiting(table))
    first = store.seals(O, limit=2)
    assert [seal.number for seal in first.items] == [3, 2]
    assert first.next is not None
    assert [seal.number for seal in store.seals(O, limit=2, before=int(first.next)).items] == [1]
    assert store.seals(O, limit=3).next is None
