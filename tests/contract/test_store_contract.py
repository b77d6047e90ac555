"""What every table promises: the one in memory, DynamoDB as moto plays it, and DynamoDB as MiniStack plays it."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from shared.domain.api_key import ApiKey
from shared.domain.attempt import Attempt, LogLine, Step, StepStatus
from shared.domain.backfill import Backfill, Reprocess
from shared.domain.breaker import Breaker
from shared.domain.dead_letter import DeadLetter, DeadLetterReason
from shared.domain.idempotency import IdempotencyRecord
from shared.domain.leases import Leases
from shared.domain.overlap import Slot
from shared.domain.project import DEFAULT_PROJECT
from shared.domain.record import instant_text
from shared.domain.run import Origin, Run, RunStatus, await_job, claim, complete, error_of, fail, skip
from shared.domain.schedule import Schedule, run_id
from shared.domain.source import Dialect, SourceCheck
from shared.errors import Conflict, NotFound, Outrun
from shared.store import keys
from shared.store.api_keys import ApiKeyStore
from shared.store.backfills import BackfillStore
from shared.store.dead_letters import DeadLetterStore
from shared.store.idempotency import IdempotencyStore
from shared.store.keys import Key
from shared.store.projects import ProjectStore
from shared.store.runs import RunFilter, RunStore
from shared.store.schedules import ScheduleStore
from shared.store.sources import SourceStore
from shared.store.table import Change, Item, Table
from shared.store.wake import WakeStore, Wakeup
from shared.store.workflows import WorkflowStore
from tests.contract.conftest import create_table
from tests.fakes import NOON, Clock, MemoryTable
from tests.world import a_project, a_run, a_schedule, a_source, a_version, a_workflow, id_of

NUMBERS = itertools.count()
TABLES = ["memory", "moto", "ministack"]
P = DEFAULT_PROJECT


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Any]:
    """An empty table of each kind."""
    if request.param == "memory":
        yield MemoryTable(clock)
        return
    client = request.getfixturevalue(f"{request.param}_aws").dynamodb
    name = f"contract-{next(NUMBERS)}"
    create_table(client, name)
    yield Table(client, name, clock)
    client.delete_table(TableName=name)


def an_item(number: int, revision: int = 1, **attributes: Any) -> Item:
    key = keys.run(P, f"r{number:04}")
    return {"pk": key.pk, "sk": key.sk, "schema": 1, "revision": revision, **attributes}


def new(item: Item) -> Change:
    return Change(None, item)


def key(item: Item) -> Key:
    return Key(str(item["pk"]), str(item["sk"]))


# ------------------------------------------------------------------------------------------------ one item


def test_an_item_comes_back_as_it_was_stored(table: Table) -> None:
    item = an_item(
        1, text="Grüße 😀", empty="", large=12345678901234567890, zero=0, raw=b"\x00\xff", yes=True, no=False
    )

    table.put(new(item))

    assert table.get(key(item)) == item
    assert table.get(key(item), consistent=False) == item


def test_a_truth_value_comes_back_as_one_and_a_number_as_a_whole_number(table: Table) -> None:
    table.put(new(an_item(1, yes=True, one=1)))

    found = table.get(key(an_item(1)))

    assert found is not None
    assert found["yes"] is True
    assert type(found["one"]) is int


def test_an_unknown_key_is_none(table: Table) -> None:
    assert table.get(keys.run(P, "nobody")) is None


def test_a_new_item_is_refused_where_one_is_stored(table: Table) -> None:
    table.put(new(an_item(1, text="first")))

    with pytest.raises(Conflict):
        table.put(new(an_item(1, text="second")))

    assert table.get(key(an_item(1))) == an_item(1, text="first")


def test_a_save_over_the_revision_that_was_read_holds(table: Table) -> None:
    table.put(new(an_item(1, text="first")))

    table.put(Change(an_item(1, text="first"), an_item(1, 2, text="second")))

    assert table.get(key(an_item(1))) == an_item(1, 2, text="second")


def test_a_save_over_an_older_revision_is_a_conflict(table: Table) -> None:
    table.put(new(an_item(1, 2, text="moved on")))

    with pytest.raises(Conflict):
        table.put(Change(an_item(1, 1), an_item(1, 2, text="too late")))

    assert table.get(key(an_item(1))) == an_item(1, 2, text="moved on")


def test_a_save_over_an_item_that_is_gone_is_a_conflict(table: Table) -> None:
    with pytest.raises(Conflict):
        table.put(Change(an_item(1), an_item(1, 2)))

    assert table.get(key(an_item(1))) is None


def test_a_put_leaves_no_attribute_of_the_old_item(table: Table) -> None:
    table.put(new(an_item(1, text="first", extra="gone")))

    table.put(Change(an_item(1), an_item(1, 2, text="second")))

    assert table.get(key(an_item(1))) == an_item(1, 2, text="second")


def test_a_delete_removes_what_was_read(table: Table) -> None:
    table.put(new(an_item(1)))

    table.delete(an_item(1))

    assert table.get(key(an_item(1))) is None


@pytest.mark.parametrize("stored", [None, an_item(1, 2)])
def test_a_delete_of_what_changed_or_is_gone_is_a_conflict(table: Table, stored: Item | None) -> None:
    if stored is not None:
        table.put(new(stored))

    with pytest.raises(Conflict):
        table.delete(an_item(1, 1))

    assert table.get(key(an_item(1))) == stored


def test_an_expired_item_is_invisible_everywhere(table: Table, clock: Clock) -> None:
    second = int(NOON.timestamp())
    items = [an_item(1, expires_at=second), an_item(2, expires_at=second + 1)]
    table.put_many([new(item) for item in items])

    assert table.get(key(items[0])) is None
    assert list(table.get_many([key(item) for item in items])) == [key(items[1])]
    assert table.query(str(items[0]["pk"]), keys.RECORD) == []
    assert table.query(str(items[1]["pk"]), keys.RECORD) == [items[1]]
    clock.forward(1)
    assert table.get(key(items[1])) is None


def test_an_expired_item_makes_room_for_a_new_one_and_one_that_is_alive_does_not(table: Table, clock: Clock) -> None:
    second = int(NOON.timestamp())
    table.put(new(an_item(1, expires_at=second + 1, text="old")))

    with pytest.raises(Conflict):
        table.put(new(an_item(1, text="too early")))
    clock.forward(1)
    table.put(new(an_item(1, text="new")))

    assert table.get(key(an_item(1))) == an_item(1, text="new")


def test_a_table_that_is_there_answers_a_ping(table: Table) -> None:
    table.ping()


@pytest.mark.parametrize("place", ["moto", "ministack"])
def test_a_table_that_is_missing_does_not(request: pytest.FixtureRequest, place: str) -> None:
    client = request.getfixturevalue(f"{place}_aws").dynamodb

    with pytest.raises(ClientError):
        Table(client, "no-such-table", Clock()).ping()


# ------------------------------------------------------------------------------------------------ many items


def test_each_of_many_changes_holds_or_fails_on_its_own_and_in_order(table: Table) -> None:
    table.put_many([new(an_item(number, text="old")) for number in range(0, 60, 3)])

    held = table.put_many([new(an_item(number, text="new")) for number in range(60)])

    assert held == [number % 3 != 0 for number in range(60)]
    found = table.get_many([key(an_item(number)) for number in range(60)])
    assert [found[key(an_item(number))]["text"] for number in range(60)] == ["old", "new", "new"] * 20


def test_many_changes_are_saved_over_the_revision_that_was_read_only(table: Table) -> None:
    stored = [an_item(number, 1 + number % 2, text="old") for number in range(40)]
    table.put_many([new(item) for item in stored])

    held = table.put_many([Change(an_item(n, 1, text="old"), an_item(n, 2, text="new")) for n in range(40)])

    assert held == [number % 2 == 0 for number in range(40)]
    found = table.get_many([key(item) for item in stored])
    assert [found[key(item)]["text"] for item in stored] == ["new", "old"] * 20


def test_no_changes_are_no_work(table: Table) -> None:
    assert table.put_many([]) == []
    assert table.get_many([]) == {}


def test_of_two_changes_to_one_item_the_first_holds(table: Table) -> None:
    held = table.put_many([new(an_item(1, text="first")), new(an_item(1, text="second"))])

    assert held == [True, False]
    assert table.get(key(an_item(1))) == an_item(1, text="first")


def test_many_changes_add_and_remove_attributes(table: Table) -> None:
    before, after = an_item(1, kept="k", gone="g", changed="a"), an_item(1, 2, kept="k", changed="b", fresh="f")
    table.put(new(before))

    assert table.put_many([Change(before, after)]) == [True]

    assert table.get(key(after)) == after


def test_attribute_names_may_be_words_that_the_database_reserves(table: Table) -> None:
    names = ["status", "input", "error", "name", "url", "timestamp", "order", "group", "size", "value", "key", "hash"]
    before = an_item(1, **dict.fromkeys(names, "old"))
    after = an_item(1, 2, **dict.fromkeys(names, "new"))

    assert table.put_many([new(before)]) == [True]
    assert table.put_many([Change(before, after)]) == [True]

    assert table.get(key(after)) == after


def test_texts_may_hold_quotes_and_placeholders(table: Table) -> None:
    nasty = an_item(1, text='it\'s "quoted" ? \'x\': ? \\ \n SET "pk" = ?')

    assert table.put_many([new(nasty)]) == [True]
    assert table.put_many([Change(nasty, {**nasty, "revision": 2, "more": "';--"})]) == [True]

    assert table.get(key(nasty)) == {**nasty, "revision": 2, "more": "';--"}


def test_many_keys_are_read_at_once_and_missing_ones_left_out(table: Table) -> None:
    table.put_many([new(an_item(number)) for number in range(0, 250, 2)])

    found = table.get_many([key(an_item(number)) for number in range(250)], consistent=True)

    assert found == {key(an_item(number)): an_item(number) for number in range(0, 250, 2)}


def test_a_key_may_be_asked_for_twice(table: Table) -> None:
    table.put(new(an_item(1)))

    assert table.get_many([key(an_item(1)), key(an_item(1))]) == {key(an_item(1)): an_item(1)}


# ------------------------------------------------------------------------------------------------ all or nothing


def test_a_transaction_stores_all_of_its_changes(table: Table) -> None:
    table.put(new(an_item(1, text="old", gone="g")))

    table.put_all([Change(an_item(1), an_item(1, 2, text="new")), new(an_item(2, text="fresh"))])

    assert table.get(key(an_item(1))) == an_item(1, 2, text="new")
    assert table.get(key(an_item(2))) == an_item(2, text="fresh")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("wrong", ["moved on", "gone", "taken"])
def test_a_transaction_of_which_one_change_does_not_hold_stores_none(table: Table, wrong: str, first: bool) -> None:
    stored = [an_item(1, text="mine"), an_item(2, 2 if wrong == "moved on" else 1, text="theirs")]
    table.put_many([new(item) for item in stored[: 1 if wrong == "gone" else 2]])
    fine = Change(an_item(1), an_item(1, 2, text="changed"))
    other = new(an_item(2, text="again")) if wrong == "taken" else Change(an_item(2), an_item(2, 2, text="changed"))

    with pytest.raises(Outrun) as refused:
        table.put_all([fine, other] if first else [other, fine])

    assert refused.value.changed == {key(an_item(2))}
    assert table.get(key(an_item(1))) == stored[0]
    assert table.get(key(an_item(2))) == (None if wrong == "gone" else stored[1])


def test_a_transaction_stores_and_deletes(table: Table) -> None:
    table.put(new(an_item(1)))

    table.put_all([new(an_item(2, text="fresh"))], removed=[an_item(1)])

    assert table.get(key(an_item(1))) is None
    assert table.get(key(an_item(2))) == an_item(2, text="fresh")


@pytest.mark.parametrize("wrong", ["the deleted one moved on", "it is gone", "the new one is there"])
def test_a_transaction_of_which_one_part_does_not_hold_deletes_nothing(table: Table, wrong: str) -> None:
    if wrong != "it is gone":
        table.put(new(an_item(1, 2 if wrong == "the deleted one moved on" else 1)))
    if wrong == "the new one is there":
        table.put(new(an_item(2, text="first")))
    before = table.get_many([key(an_item(1)), key(an_item(2))])

    with pytest.raises(Outrun) as refused:
        table.put_all([new(an_item(2, text="second"))], removed=[an_item(1)])

    assert refused.value.changed == {key(an_item(2 if wrong == "the new one is there" else 1))}
    assert table.get_many([key(an_item(1)), key(an_item(2))]) == before


def test_a_transaction_may_put_a_new_item_in_the_place_of_an_expired_one(table: Table) -> None:
    table.put_many([new(an_item(1, expires_at=int(NOON.timestamp()))), new(an_item(2))])

    table.put_all([new(an_item(1, text="new")), Change(an_item(2), an_item(2, 2))])

    assert table.get(key(an_item(1))) == an_item(1, text="new")


def test_a_transaction_holds_a_hundred_changes(table: Table) -> None:
    table.put_all([new(an_item(number)) for number in range(100)])

    assert len(table.get_many([key(an_item(number)) for number in range(100)])) == 100


@pytest.mark.parametrize("wrong", ["none", "too many", "twice the same"])
def test_a_transaction_that_is_none_is_refused(table: Table, wrong: str) -> None:
    items = {"none": [], "too many": [an_item(number) for number in range(101)], "twice the same": [an_item(1)] * 2}

    with pytest.raises((ClientError, ParamValidationError)):
        table.put_all([new(item) for item in items[wrong]])

    assert table.get(key(an_item(1))) is None


def test_a_transaction_moves_items_within_their_indexes(table: Table) -> None:
    table.put_all([new(a_due_item(1, "t1")), new(a_due_item(2, "t2"))])

    table.put_all(
        [
            Change(a_due_item(1, "t1"), an_item(1, 2)),
            Change(a_due_item(2, "t2"), {**a_due_item(2, "t9"), "revision": 2}),
        ]
    )

    assert walk(table, limit=10) == ["t9"]


# ------------------------------------------------------------------------------------------------ one partition


def test_a_query_gives_one_kind_of_one_partition_in_order(table: Table) -> None:
    store = RunStore(table)
    pages = [Attempt(project_id=P, run_id=a_run().id, number=n, started_at=NOON) for n in (2, 1, 10)]
    run = store.save_with_page(*_added(store, a_run()), pages[0])
    assert run is not None
    for page in pages[1:]:
        run = store.save_with_page(run, run, page)
        assert run is not None

    assert [page.number for page in store.pages(P, a_run().id)] == [1, 2, 10]


def test_a_query_goes_backwards_below_a_key_and_stops_at_its_limit(table: Table) -> None:
    store = WorkflowStore(table)
    for number in range(1, 8):
        store.save_version(a_version(a_workflow(), number=number))

    newest = store.versions(P, a_workflow().id, limit=3)
    older = store.versions(P, a_workflow().id, limit=3, before=int(newest.next or 0))
    oldest = store.versions(P, a_workflow().id, limit=3, before=int(older.next or 0))

    assert [[version.number for version in part.items] for part in (newest, older, oldest)] == [
        [7, 6, 5],
        [4, 3, 2],
        [1],
    ]
    assert oldest.next is None


def test_a_query_of_large_items_is_not_cut_short(table: Table) -> None:
    """DynamoDB ends an answer at 1 MB."""
    sk = [keys.workflow_version(P, "w1", number) for number in range(1, 8)]
    for each in sk:
        table.put(new({"pk": each.pk, "sk": each.sk, "revision": 1, "text": "x" * 300_000}))

    found = table.query(sk[0].pk, keys.VERSION_PREFIX, limit=6, newest_first=True)

    assert [item["sk"] for item in found] == [each.sk for each in reversed(sk)][:6]


# ------------------------------------------------------------------------------------------------ indexes


def a_due_item(number: int, at: str, shard: str = "00") -> Item:
    return an_item(number, wake_shard=shard, wake_at=at, text="not in the index")


def walk(table: Table, *, limit: int, **bounds: Any) -> list[str]:
    """The range values of all pages, one after the other."""
    found: list[str] = []
    start = None
    while True:
        page = table.page(keys.WAKE, "00", limit=limit, start=start, **bounds)
        assert len(page.items) <= limit
        found += [str(item["wake_at"]) for item in page.items]
        if page.next is None:
            return found
        start = page.next


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 7, 8])
def test_pages_show_each_entry_once_in_both_directions(table: Table, newest_first: bool, limit: int) -> None:
    table.put_many([new(a_due_item(number, f"t{number}")) for number in (3, 1, 0, 6, 2, 5, 4)])
    table.put(new(a_due_item(9, "t3", shard="01")))

    found = walk(table, limit=limit, newest_first=newest_first)

    assert found == [f"t{number}" for number in (range(6, -1, -1) if newest_first else range(7))]


def test_pages_show_entries_of_the_same_instant_each_once(table: Table) -> None:
    table.put_many([new(a_due_item(number, "t0")) for number in range(7)])

    start, found = None, []
    while True:
        page = table.page(keys.WAKE, "00", limit=2, start=start, newest_first=False)
        found += [str(item["pk"]) for item in page.items]
        if page.next is None:
            break
        start = page.next

    assert sorted(found) == sorted(str(a_due_item(number, "t0")["pk"]) for number in range(7))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (None, "t3", [0, 1, 2, 3]),
        ("t5", None, [5, 6]),
        ("t2", "t4", [2, 3, 4]),
        ("t3", "t3", [3]),
        ("t31", "t39", []),
        ("t4", "t2", []),
    ],
)
def test_bounds_of_a_page_are_included(table: Table, low: str | None, high: str | None, expected: list[int]) -> None:
    table.put_many([new(a_due_item(number, f"t{number}")) for number in range(7)])

    assert walk(table, limit=2, low=low, high=high, newest_first=False) == [f"t{number}" for number in expected]


def test_an_index_holds_keys_only(table: Table) -> None:
    table.put(new(a_due_item(1, "t1")))

    page = table.page(keys.WAKE, "00", limit=10)

    assert page.items == [{"pk": key(an_item(1)).pk, "sk": keys.RECORD, "wake_shard": "00", "wake_at": "t1"}]


def test_an_item_without_both_attributes_is_not_in_the_index(table: Table) -> None:
    table.put_many([new(an_item(1, wake_at="t1")), new(an_item(2, wake_shard="00")), new(a_due_item(3, "t3"))])

    assert walk(table, limit=10) == ["t3"]


def test_an_item_moves_within_its_index_when_it_is_saved(table: Table) -> None:
    table.put_many([new(a_due_item(1, "t1")), new(a_due_item(2, "t2"))])

    table.put_many([Change(a_due_item(1, "t1"), {**a_due_item(1, "t9"), "revision": 2})])

    assert walk(table, limit=10, newest_first=False) == ["t2", "t9"]


def test_a_page_may_start_at_an_entry_that_has_left_the_index(table: Table) -> None:
    table.put_many([new(a_due_item(number, f"t{number}")) for number in range(5)])
    first = table.page(keys.WAKE, "00", limit=2, newest_first=False)

    table.put_many([Change(a_due_item(1, "t1"), an_item(1, 2))])
    rest = table.page(keys.WAKE, "00", limit=10, newest_first=False, start=first.next)

    assert [item["wake_at"] for item in rest.items] == ["t2", "t3", "t4"]


# ------------------------------------------------------------------------------------------------ runs


def _added(store: RunStore, run: Run) -> tuple[Run, Run]:
    assert store.add([run]) == [True]
    stored = store.get(run.project_id, run.id)
    return stored, stored


def _due(table: Table) -> set[str]:
    wake = WakeStore(table)
    return {
        each.owner.id
        for shard in keys.wake_shards()
        for page in wake.due(shard, NOON.replace(year=2031))
        for each in page
    }


def _failed(table: Table) -> list[str]:
    return [run.id for run in RunStore(table).list(P, RunFilter(status=RunStatus.failed), limit=10).items]


def test_a_run_is_on_wake_until_it_is_over_and_among_the_failed_from_then_on(table: Table) -> None:
    store = RunStore(table)
    fine, bad = a_run(1), a_run(2)
    store.add([fine, bad])
    assert (_due(table), _failed(table)) == ({fine.id, bad.id}, [])

    lease = NOON + timedelta(minutes=5)
    claimed = store.save_many(
        [(run, claim(run, NOON, lease, "me")) for run in (store.get(P, fine.id), store.get(P, bad.id))]
    )
    assert (_due(table), _failed(table)) == ({fine.id, bad.id}, [])

    fine, bad = (run for run in claimed if run is not None)
    store.save_many([(fine, complete(fine, NOON)), (bad, fail(bad, error_of("timeout", "Late.", 1), NOON))])
    assert (_due(table), _failed(table)) == (set(), [bad.id])


def test_wake_gives_what_is_due_earliest_first_and_nothing_later(table: Table) -> None:
    store, shard = RunStore(table), keys.wake_shard(id_of("run", 1))
    mine = [number for number in range(200) if keys.wake_shard(id_of("run", number)) == shard][:5]
    store.add([a_run(number, wake_at=NOON + timedelta(seconds=number)) for number in mine])

    pages = list(WakeStore(table).due(shard, NOON + timedelta(seconds=mine[3])))

    owners = [keys.Owner(P, keys.RUN, id_of("run", number)) for number in mine[:4]]
    times = [instant_text(NOON + timedelta(seconds=number)) for number in mine[:4]]
    assert [each for page in pages for each in page] == list(map(Wakeup, owners, times))


def test_a_run_whose_id_is_taken_is_not_added_again(table: Table) -> None:
    store = RunStore(table)

    assert store.add([a_run(1), a_run(2, input="first")]) == [True, True]
    assert store.add([a_run(2, input="second"), a_run(3)]) == [False, True]

    assert store.get(P, id_of("run", 2)).input == "first"


def test_a_run_is_not_found_in_another_project(table: Table) -> None:
    RunStore(table).add([a_run(1)])

    with pytest.raises(NotFound):
        RunStore(table).get("other", a_run(1).id)

    assert RunStore(table).list("other", RunFilter(), limit=10).items == []


def test_a_stale_run_is_not_saved_with_its_page_and_leaves_the_newer_one(table: Table) -> None:
    store = RunStore(table)
    stored, _ = _added(store, a_run(1))
    page = Attempt(project_id=P, run_id=stored.id, number=1, started_at=NOON)
    moved = store.save(stored, stored.model_copy(update={"turn": 4}))

    assert store.save_with_page(stored, complete(claim(stored, NOON, NOON, "me"), NOON), page) is None

    assert store.get(P, stored.id) == moved


def test_a_page_that_is_saved_again_keeps_its_newest_content(table: Table) -> None:
    """As for a background job: written when it is handed over, and again when its result is there."""
    store = RunStore(table)
    run, _ = _added(store, a_run(1, timeout_seconds=600))
    held = store.save(run, claim(run, NOON, NOON + timedelta(minutes=5), "me"))
    first = Attempt(project_id=P, run_id=run.id, number=1, started_at=NOON, logs=(LogLine(at=NOON, event="a"),))
    waiting = store.save_with_page(held, await_job(held, "job-1", NOON, timedelta(minutes=5)), first)
    assert waiting is not None

    page = store.page(P, run.id, 1)
    assert page is not None
    ended = page.model_copy(
        update={"output": "done", "ended_at": NOON, "logs": (*page.logs, LogLine(at=NOON, event="b"))}
    )
    assert store.save_with_page(waiting, complete(waiting, NOON), ended) is not None

    found = store.page(P, run.id, 1)
    assert found is not None
    assert (found.output, found.ended_at, [line.event for line in found.logs]) == ("done", NOON, ["a", "b"])


def test_runs_are_listed_newest_first_by_project_workflow_and_failure(table: Table) -> None:
    store = RunStore(table)
    runs = [
        a_run(
            n,
            id=id_of("run", n, NOON + timedelta(seconds=n)),
            workflow_id=id_of("wf", n % 2),
            status=RunStatus.failed if n % 3 == 0 else RunStatus.completed,
            wake_at=None,
        )
        for n in range(12)
    ]
    store.add(runs)
    newest = [run.id for run in reversed(runs)]

    def listed(filter: RunFilter) -> list[str]:
        found: list[str] = []
        after = None
        while True:
            part = store.list(P, filter, limit=4, after=after)
            found += [run.id for run in part.items]
            if part.next is None:
                return found
            after = part.next

    assert listed(RunFilter()) == newest
    assert listed(RunFilter(workflow_id=id_of("wf", 1))) == [run.id for run in reversed(runs[1::2])]
    assert listed(RunFilter(status=RunStatus.failed)) == [run.id for run in reversed(runs[0::3])]
    assert listed(RunFilter(status=RunStatus.completed)) == [r.id for r in reversed(runs) if r.status == "completed"]
    assert listed(RunFilter(workflow_id=id_of("wf", 0), status=RunStatus.failed)) == [runs[6].id, runs[0].id]
    since, until = NOON + timedelta(seconds=3), NOON + timedelta(seconds=5)
    assert listed(RunFilter(since=since, until=until)) == [runs[5].id, runs[4].id, runs[3].id]
    assert listed(RunFilter(since=until, until=since)) == []
    assert listed(RunFilter(since=NOON.replace(year=1960))) == newest


def test_runs_of_a_schedule_are_listed_newest_first_whoever_made_them(table: Table) -> None:
    store, schedule, other = RunStore(table), a_schedule(1), a_schedule(2)
    times = [NOON + timedelta(minutes=n) for n in range(5)]
    runs = [
        a_run(id=run_id(owner, at), origin=origin, schedule_id=owner.id, scheduled_for=at, workflow_id=id_of("wf", 1))
        for at, owner, origin in zip(
            times,
            (schedule, schedule, other, schedule, schedule),
            (Origin.schedule, Origin.backfill, Origin.schedule, Origin.schedule, Origin.schedule),
            strict=True,
        )
    ]
    manual = a_run(7, id=id_of("run", 7, NOON + timedelta(hours=1)), origin=Origin.manual, schedule_id=schedule.id)
    store.add([*runs, manual, a_run(8)])

    page = store.list(P, RunFilter(schedule_id=schedule.id), limit=3)
    rest = store.list(P, RunFilter(schedule_id=schedule.id), limit=3, after=page.next)

    found = page.items + rest.items
    assert [run.id for run in found] == [manual.id, runs[4].id, runs[3].id, runs[1].id, runs[0].id]
    assert [run.scheduled_for for run in found] == [None, times[4], times[3], times[1], times[0]]
    assert rest.next is None
    since = RunFilter(schedule_id=schedule.id, since=times[1], until=times[3])
    assert [run.id for run in store.list(P, since, limit=9).items] == [runs[3].id, runs[1].id]
    assert store.list("other", RunFilter(schedule_id=schedule.id), limit=9).items == []


# ------------------------------------------------------------------------------------------------ schedules


def _fired(schedule: Schedule, minutes: int) -> Schedule:
    at = NOON + timedelta(minutes=minutes)
    return schedule.model_copy(
        update={"watermark": at, "wake_at": at + timedelta(minutes=1), "fired": minutes, "skipped_missed": minutes}
    )


def test_a_schedule_is_on_wake_while_it_has_something_to_fire(table: Table) -> None:
    store = ScheduleStore(table)
    active, paused = store.save(None, a_schedule(1)), store.save(None, a_schedule(2, enabled=False))
    assert _due(table) == {active.id}

    off = store.save(active, active.model_copy(update={"wake_at": None, "enabled": False}))
    on = store.save(paused, paused.model_copy(update={"wake_at": NOON, "enabled": True}))
    assert _due(table) == {on.id}

    assert store.save_many(
        [(off, off.model_copy(update={"wake_at": NOON})), (on, on.model_copy(update={"wake_at": None}))]
    )
    assert _due(table) == {off.id}


def test_a_schedule_that_fired_is_saved_over_what_was_read_only(table: Table) -> None:
    store = ScheduleStore(table)
    one, other = store.save(None, a_schedule(1)), store.save(None, a_schedule(2))
    moved = store.save(other, other.model_copy(update={"fired": 1}))

    assert store.save_many([(one, _fired(one, 3)), (other, _fired(other, 3))]) == [True, False]

    assert store.get(P, one.id) == _fired(one, 3).model_copy(update={"revision": 2})
    assert store.get(P, other.id) == moved
    assert store.find([(P, one.id), (P, "sch_gone"), ("other", one.id)]).keys() == {(P, one.id)}
    pages = WakeStore(table).due(keys.wake_shard(one.id), NOON + timedelta(minutes=4))
    assert instant_text(NOON + timedelta(minutes=4)) in [each.wake_at for page in pages for each in page]


def test_a_schedule_that_was_read_can_be_saved_again_and_again(table: Table) -> None:
    store = ScheduleStore(table)
    schedule = store.save(None, a_schedule(1))
    for minutes in range(1, 6):
        (held,) = store.save_many([(schedule, _fired(schedule, minutes))])
        assert held is True
        schedule = store.get(P, schedule.id)

    assert (schedule.fired, schedule.skipped_missed, schedule.revision) == (5, 5, 6)


def test_schedules_are_listed_and_found_in_their_project_only(table: Table) -> None:
    store = ScheduleStore(table)
    schedules = [store.save(None, a_schedule(n, created_at=NOON + timedelta(seconds=n))) for n in range(5)]
    store.save(None, a_schedule(1, project_id="other"))

    first = store.list(P, limit=3)
    rest = store.list(P, limit=3, after=first.next)

    assert [each.id for each in first.items + rest.items] == [each.id for each in reversed(schedules)]


def test_a_slot_is_empty_until_it_is_saved_and_then_saved_over_what_was_read_only(table: Table) -> None:
    store = ScheduleStore(table)
    schedule = store.save(None, a_schedule(1))
    empty = store.get_slot(P, schedule.id)
    assert empty == Slot(project_id=P, schedule_id=schedule.id)

    store.save_slot(empty, empty.model_copy(update={"holder": "run_a", "queue": ("run_b", "run_c"), "skipped": 2}))
    with pytest.raises(Conflict):
        store.save_slot(empty, empty.model_copy(update={"holder": "run_z"}))
    slot = store.get_slot(P, schedule.id)
    store.save_slot(slot, slot.model_copy(update={"holder": None, "queue": ()}))

    freed = store.get_slot(P, schedule.id)
    assert (slot.holder, slot.queue, slot.skipped) == ("run_a", ("run_b", "run_c"), 2)
    assert (freed.holder, freed.queue, freed.skipped) == (None, (), 2)


def test_a_deleted_schedule_takes_its_slot_along(table: Table) -> None:
    store = ScheduleStore(table)
    schedule = store.save(None, a_schedule(1))
    store.save_slot(store.get_slot(P, schedule.id), Slot(project_id=P, schedule_id=schedule.id, holder="run_a"))

    store.delete(schedule)

    assert store.get_slot(P, schedule.id).holder is None
    assert _due(table) == set()
    with pytest.raises(NotFound):
        store.get(P, schedule.id)


@pytest.mark.parametrize("moved", ["slot", "run"])
def test_a_slot_and_a_run_are_saved_together_or_not_at_all(table: Table, moved: str) -> None:
    store, runs = ScheduleStore(table), RunStore(table)
    schedule = store.save(None, a_schedule(1))
    stored, _ = _added(runs, a_run(1, schedule_id=schedule.id))
    empty = store.get_slot(P, schedule.id)
    counted, skipped = empty.model_copy(update={"skipped": 1}), skip(stored, NOON, "overlap", "x")
    if moved == "slot":
        store.save_slot(empty, empty.model_copy(update={"holder": "run_b"}))
    else:
        runs.save(stored, stored.model_copy(update={"turn": 4}))

    with pytest.raises(Conflict):
        store.save_slot_and_run(empty, counted, stored, skipped)
    assert (store.get_slot(P, schedule.id).skipped, runs.get(P, stored.id).status) == (0, "pending")

    slot, run = store.get_slot(P, schedule.id), runs.get(P, stored.id)
    store.save_slot_and_run(slot, slot.model_copy(update={"skipped": 1}), run, skip(run, NOON, "overlap", "x"))
    assert (store.get_slot(P, schedule.id).skipped, runs.get(P, stored.id).status) == (1, "skipped")
    assert stored.id not in _due(table)


def test_backfills_are_listed_by_their_schedule_and_are_on_wake_while_they_run(table: Table) -> None:
    store = BackfillStore(table)

    def a_backfill(number: int, schedule: int = 1) -> Backfill:
        return Backfill(
            project_id=P,
            id=id_of("bkf", number, NOON + timedelta(seconds=number)),
            schedule_id=a_schedule(schedule).id,
            start_at=NOON,
            end_at=NOON,
            total=7,
            cursor=NOON,
            reprocess=Reprocess.failed,
            wake_at=NOON,
            created_by="k",
            created_at=NOON,
        )

    saved = [store.save(None, a_backfill(n)) for n in range(3)]
    other = store.save(None, a_backfill(9, schedule=2))

    page = store.of_schedule(P, a_schedule(1).id, limit=2)
    rest = store.of_schedule(P, a_schedule(1).id, limit=2, after=page.next)
    assert page.items + rest.items == saved[::-1]
    assert rest.next is None
    assert _due(table) == {each.id for each in [*saved, other]}
    store.save(other, other.model_copy(update={"wake_at": None}))
    assert _due(table) == {each.id for each in saved}
    assert store.readable([(P, saved[0].id), (P, "bkf_gone")]) == [saved[0]]


# ------------------------------------------------------------------------------------------------ round trips


def test_every_kind_of_record_comes_back_as_it_was_saved(table: Table) -> None:
    check = SourceCheck(reachable=True, dialect=Dialect.lfx, version="1.13", key_valid=False, message="Ünï")
    source = SourceStore(table).save(None, a_source(check=check, checked_at=NOON, max_concurrency=3))
    workflow = WorkflowStore(table).save(None, a_workflow())
    version = a_version(workflow)
    WorkflowStore(table).save_version(version)
    letter = DeadLetter(
        project_id="-", id=id_of("dead", 1), reason=DeadLetterReason.unreadable, body="{", message="m", created_at=NOON
    )
    letter = DeadLetterStore(table).save(None, letter)
    api_key = ApiKey(project_id=P, id="k1", name="first", hash="ab" * 32, created_at=NOON)
    ApiKeyStore(table).save(None, api_key)
    record = IdempotencyRecord(
        project_id=P, id="ab", body_hash="cd", began_at=NOON, lease_until=NOON, expires_at=NOON + timedelta(days=1)
    )
    record = IdempotencyStore(table).save(None, record)
    project = ProjectStore(table).ensure(a_project())

    assert SourceStore(table).get(P, source.id) == source
    assert WorkflowStore(table).get(P, workflow.id) == workflow
    assert WorkflowStore(table).get_version(P, workflow.id, 1) == version.model_copy(update={"revision": 1})
    assert DeadLetterStore(table).get("-", letter.id) == letter
    assert ApiKeyStore(table).by_id("k1") == api_key.model_copy(update={"revision": 1})
    assert IdempotencyStore(table).find(P, "ab") == record
    assert ProjectStore(table).by_id(P) == project


def test_a_full_run_and_its_page_come_back_as_they_were_saved(table: Table) -> None:
    store = RunStore(table)
    run, _ = _added(
        store,
        a_run(
            1,
            input="",
            tweaks={"ChatInput-abc": {"files": ["a", None], "temperature": 0.1}},
            error=error_of("timeout", "Zeit um", 1),
            expires_at=NOON + timedelta(days=7),
            may_have_run_before=True,
        ),
    )
    page = Attempt(
        project_id=P,
        run_id=run.id,
        number=1,
        started_at=NOON,
        ended_at=NOON,
        worker="w",
        output={"a": [1, 2.5, None, "ü"]},
        output_bytes=0,
        steps=(Step(name="Chat", status=StepStatus.failed, duration_seconds=0.25, error="x"),),
        logs=(LogLine(at=NOON, event="flow.completed"),),
    )

    saved = store.save_with_page(run, run, page)

    assert saved == store.get(P, run.id)
    assert store.pages(P, run.id) == [page.model_copy(update={"revision": 1})]


def test_breaker_and_leases_stand_beside_their_source(table: Table) -> None:
    store = SourceStore(table)
    source = store.save(None, a_source())
    assert store.get_breaker(P, source.id) == Breaker(project_id=P, source_id=source.id)

    store.save_breaker(store.get_breaker(P, source.id), Breaker(project_id=P, source_id=source.id, failures=3))
    store.save_leases(
        store.get_leases(P, source.id), Leases(project_id=P, source_id=source.id, holders={"run_1": NOON})
    )

    assert store.get_breaker(P, source.id).failures == 3
    assert store.get_leases(P, source.id).holders == {"run_1": NOON}
    found, breaker = store.with_breakers([(P, source.id), (P, "src_gone")])[P, source.id]
    assert (found, breaker.failures) == (source, 3)
    with pytest.raises(Conflict):
        store.save_breaker(Breaker(project_id=P, source_id=source.id), breaker)


def test_a_version_may_be_saved_twice_but_not_replaced(table: Table) -> None:
    store = WorkflowStore(table)
    store.save_version(a_version(a_workflow()))

    store.save_version(a_version(a_workflow()))
    with pytest.raises(Conflict):
        store.save_version(a_version(a_workflow(flow_id="another")))


def test_records_are_listed_newest_first_and_page_by_page(table: Table) -> None:
    store = SourceStore(table)
    sources = [a_source(n, id=id_of("src", n, NOON + timedelta(seconds=n))) for n in range(5)]
    for source in sources:
        store.save(None, source)
    WorkflowStore(table).save(None, a_workflow())

    first = store.list(P, limit=3)
    second = store.list(P, limit=3, after=first.next)

    assert [source.id for source in first.items + second.items] == [source.id for source in reversed(sources)]
    assert second.next is None


def test_a_stale_record_is_neither_saved_nor_deleted(table: Table) -> None:
    store = SourceStore(table)
    old = store.save(None, a_source())
    new_ = store.save(old, old.model_copy(update={"name": "renamed"}))

    with pytest.raises(Conflict):
        store.save(old, old.model_copy(update={"name": "too late"}))
    with pytest.raises(Conflict):
        store.delete(old)

    assert store.get(P, old.id) == new_
    store.delete(new_)
    with pytest.raises(NotFound):
        store.get(P, old.id)
