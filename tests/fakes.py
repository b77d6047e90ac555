"""The outside world in memory: a table, a queue, a bucket and a LangFlow that do what tests ask of them.

`MemoryTable` and `MemoryQueue` pass the same contract as the real ones (`contract/test_store_contract.py`,
`contract/test_queue_contract.py`). Beyond that they can do what the real ones cannot be asked to: die before or after
the n-th step (`Faults`), show indexes and inconsistent reads late (`lag`), and keep time by a clock that tests move.

They are quick enough for a million runs, and remember no more than what is stored once they are told to:
`MemoryTable(keep_history=False)`, `MemoryQueue(keep_sent=False)`, `Faults(keep_steps=False)`.
"""

import copy
import heapq
import itertools
import json
import math
import random
import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from sortedcontainers import SortedList

from shared.domain import message
from shared.domain.message import Delivery, RunMessage
from shared.domain.source import Source
from shared.errors import Conflict, FlowFailure, Outrun, PayloadGone, Unavailable
from shared.langflow import FlowAnswer, FlowCall, Running, Stopper
from shared.queue import MAX_BATCH, MAX_DELAY
from shared.store.keys import INDEXES, Key
from shared.store.table import (
    FIRST,
    LAST,
    MAX_KEYS,
    MAX_STATEMENTS,
    Change,
    Counted,
    Item,
    Outcome,
    Page,
    Value,
    key_of,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
NOTHING: Item = {}
STORABLE = (str, int, bytes)
MAX_KEY_BYTES = {**{name: 1024 for index in INDEXES.values() for name in index}, "pk": 2048, "sk": 1024}
MAX_TRANSACTION = 100
MIN_STALE = 1000  # so many forgotten messages are no reason yet to tidy a queue


class Crash(BaseException):
    """The process dies here: no `except Exception` of ours sees it, and nothing it does afterwards counts."""


class Clock:
    """Virtual time. `step` moves it a little with every look, for code that waits by looking at it."""

    def __init__(self, at: datetime = NOON, step: timedelta = timedelta(0)) -> None:
        self.at = at
        self._step = step
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            self.at += self._step
            return self.at

    def forward(self, seconds: float = 0, **parts: float) -> datetime:
        with self._lock:
            self.at += timedelta(seconds=seconds, **parts)
            return self.at

    def jump(self, at: datetime) -> None:
        """Move to `at`, never back."""
        with self._lock:
            self.at = max(self.at, at)


@dataclass
class Faults:
    """Where a process dies. Every request to table, queue or bucket is two steps: before it counts and after it did.

    `crash_at` n: the n-th step (from 1) raises `Crash`, and so does every later one until `revive`. `crash_when` is
    asked at each step whether it shall be the last, of this process and of those that follow. `refuse` names
    operations that answer `Unavailable` instead, and how often; `repeat` those whose answer is lost, so that the client
    asks a second time; `meanwhile` is what others do just before an operation counts; `busy` says which
    items of a batch the table is too busy to take, time and again.

    `steps` are the names of all steps, from which n counts; without `keep_steps` they are only counted, in `count`.
    """

    crash_at: int | None = None
    crash_when: Callable[[str], bool] | None = None
    refuse: dict[str, int] = field(default_factory=dict)
    repeat: dict[str, int] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)
    busy: Callable[[Item], bool] = lambda item: False
    steps: list[str] = field(default_factory=list)
    keep_steps: bool = True
    count: int = 0
    dead: bool = False
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    def before(self, operation: str) -> None:
        self._step(f"before {operation}")
        if (others := self.meanwhile.pop(operation, None)) is not None:
            others()
        with self._lock:
            if self.refuse.get(operation, 0):
                self.refuse[operation] -= 1
                raise Unavailable(f"{operation} was told to refuse.")

    def after(self, operation: str) -> None:
        self._step(f"after {operation}")

    def is_repeated(self, operation: str) -> bool:
        with self._lock:
            left = self.repeat.get(operation, 0)
            self.repeat[operation] = max(left - 1, 0)
            return left > 0

    def revive(self) -> None:
        """A new process starts; it will not die, unless `crash_when` says so."""
        self.dead, self.crash_at = False, None

    def _step(self, name: str) -> None:
        with self._lock:
            if self.dead:
                raise Crash(name)
            self.count += 1
            if self.keep_steps:
                self.steps.append(name)
            if self._is_last(name):
                self.dead = True
                raise Crash(name)

    def _is_last(self, name: str) -> bool:
        if self.crash_at == (len(self.steps) if self.keep_steps else self.count):
            return True
        return self.crash_when is not None and self.crash_when(name)


Place = tuple[str, ...]  # in an index: range, pk, sk; a shorter one is before all that begin with it


class _Contents:
    """What is stored, and each index of it in order. Items are replaced, never changed."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self._indexes: dict[str, dict[str, SortedList]] = {index: {} for index in INDEXES}

    def store(self, key: Key, item: Item | None) -> None:
        """Put `item` in the place of what is stored under `key`, or remove that."""
        old, new = self.items.get(key, NOTHING), item or NOTHING
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item
        for index, (hash, range) in INDEXES.items():
            left, entered = (old.get(hash), old.get(range)), (new.get(hash), new.get(range))
            if left != entered:
                self._move(self._indexes[index], key, left, entered)

    def walk(self, index: str, hash: str, low: Place, high: Place, newest_first: bool) -> Iterator[Place]:
        """The places between `low` and `high`, both excluded."""
        places = self._indexes[index].get(hash)
        return iter(()) if places is None else places.irange(low, high, (False, False), newest_first)

    def _move(self, places: dict[str, SortedList], key: Key, left: tuple[Any, Any], entered: tuple[Any, Any]) -> None:
        if None not in left:
            places[left[0]].remove((left[1], *key))
            if not places[left[0]]:
                del places[left[0]]
        if None not in entered:
            if entered[0] not in places:
                places[entered[0]] = SortedList()
            places[entered[0]].add((entered[1], *key))


class _Late:
    """The contents as they were `lag` ago, and what has been stored since."""

    def __init__(self, lag: timedelta) -> None:
        self._lag = lag
        self._contents = _Contents()
        self._pending: deque[tuple[datetime, Key, Item | None]] = deque()

    def store(self, at: datetime, key: Key, item: Item | None) -> None:
        self._pending.append((at, key, item))
        self.seen(at)

    def seen(self, now: datetime) -> _Contents:
        """What an observer sees who is behind."""
        until = now - self._lag
        while self._pending and self._pending[0][0] <= until:
            _, key, item = self._pending.popleft()
            self._contents.store(key, item)
        return self._contents


class MemoryTable:
    """`shared.store.table.Table` in a dictionary.

    Like DynamoDB, `put_many` writes only what differs between `before` and `after`. `lag` holds back indexes and
    inconsistent reads by that much of the clock's time, which must not go back. Without `keep_history` an old state is
    forgotten as soon as nobody can see it.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        lag: timedelta = timedelta(0),
        faults: Faults | None = None,
        keep_history: bool = True,
    ) -> None:
        self._now = now
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._stored = _Contents()
        self._late = _Late(lag) if lag else None
        self._is_late = bool(lag)
        self._partitions: dict[str, list[str]] = {}
        self._expiring = SortedList()  # time and key of what TTL will delete
        self._history: dict[Key, list[Item]] | None = {} if keep_history else None

    def history(self, key: Key) -> list[Item]:
        """Every state that was stored under `key`, oldest first."""
        assert self._history is not None, "The table was told to keep no history."
        with self._lock:
            return [dict(item) for item in self._history.get(key, [])]

    @property
    def items(self) -> dict[Key, Item]:
        """What is stored, expired or not."""
        with self._lock:
            return {key: dict(item) for key, item in self._stored.items.items()}

    def quietly(self) -> "MemoryTable":
        """The same table as a test looks at it: without faults, without lag."""
        view = copy.copy(self)
        view._faults, view._is_late = Faults(keep_steps=False), False
        return view

    def expire(self) -> int:
        """Delete, as TTL does some day, what has expired; the number of items."""
        count = 0
        with self._lock:
            now = self._now().timestamp()
            while self._expiring and self._expiring[0][0] <= now:
                self._write(self._expiring[0][1], None)
                count += 1
        return count

    def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        self._faults.before("get")
        found = self._read([key], consistent)
        self._faults.after("get")
        return found.get(key)

    def get_many(self, keys: Sequence[Key], *, consistent: bool = False) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), MAX_KEYS):
            self._faults.before("get_many")
            found |= self._read(unique[start : start + MAX_KEYS], consistent)
            self._faults.after("get_many")
        return found

    def put(self, change: Change) -> None:
        self._faults.before("put")
        self._put([change])
        self._faults.after("put")

    def put_all(self, changes: Sequence[Change], *, removed: Sequence[Item] = ()) -> None:
        self._faults.before("put_all")
        items = [*(change.after for change in changes), *removed]
        if not 0 < len(set(map(key_of, items))) == len(items) <= MAX_TRANSACTION:
            raise refusal("ValidationException", "none, too many, or two of one item", "TransactWriteItems")
        self._put(changes, removed)
        self._faults.after("put_all")

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        held: list[Outcome] = []
        for start in range(0, len(changes), MAX_STATEMENTS):
            self._faults.before("put_many")
            chunk = changes[start : start + MAX_STATEMENTS]
            answer = [None if self._faults.busy(change.after) else self._execute(change) for change in chunk]
            held += [self._execute(change) for change in chunk] if self._faults.is_repeated("put_many") else answer
            self._faults.after("put_many")
        return held

    def count(self, key: Key, same: Item, limits: Mapping[str, int | None]) -> Counted:
        self._faults.before("count")
        counted = self._count(key, same, limits)
        self._faults.after("count")
        return counted

    def delete(self, before: Item) -> None:
        self._faults.before("delete")
        with self._lock:
            if not self._holds(key_of(before), before):
                raise Conflict("The record was changed by somebody else at the same time.")
            self._write(key_of(before), None)
        self._faults.after("delete")

    def query(
        self, pk: str, prefix: str, *, below: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> list[Item]:
        self._faults.before("query")
        with self._lock:
            now = self._now().timestamp()
            stored = (self._stored.items[Key(pk, sk)] for sk in self._sort_keys(pk, prefix, below, newest_first))
            alive = (dict(item) for item in stored if _is_alive(item, now))
            found = list(itertools.islice(alive, limit))
        self._faults.after("query")
        return found

    def page(
        self,
        index: str,
        hash: str,
        *,
        low: str | None = None,
        high: str | None = None,
        limit: int,
        start: dict[str, Value] | None = None,
        newest_first: bool = True,
    ) -> Page:
        self._faults.before("page")
        names = INDEXES[index]
        bottom, top = _bounds(low, high)
        if start is not None:
            last = (str(start[names.range]), str(start["pk"]), str(start["sk"]))
            bottom, top = (bottom, min(top, last)) if newest_first else (max(bottom, last), top)
        with self._lock:
            walk = self._seen(consistent=False).walk(index, hash, bottom, top, newest_first)
            places = list(itertools.islice(walk, limit))
        entries: list[Item] = [{"pk": pk, "sk": sk, names.hash: hash, names.range: range} for range, pk, sk in places]
        self._faults.after("page")
        # Like DynamoDB: a full page names its last entry, even when nothing follows.
        return Page(entries, dict(entries[-1]) if len(entries) == limit else None)

    def ping(self) -> None:
        self._faults.before("ping")

    def _put(self, changes: Sequence[Change], removed: Sequence[Item] = ()) -> None:
        """All of them or none."""
        with self._lock:
            changed = [key_of(change.after) for change in changes if not self._may_put(change)]
            changed += [key_of(item) for item in removed if not self._holds(key_of(item), item)]
            if changed:
                raise Outrun("The record was changed by somebody else at the same time.", changed)
            for change in changes:
                _check(change.after)
            for change in changes:
                self._write(key_of(change.after), dict(change.after))
            for item in removed:
                self._write(key_of(item), None)

    def _count(self, key: Key, same: Item, limits: Mapping[str, int | None]) -> Counted:
        with self._lock:
            stored = self._stored.items.get(key, NOTHING)
            has_room = all(limit is None or stored.get(name, limit) < limit for name, limit in limits.items())  # type: ignore[operator]
            if not has_room or any(stored.get(name) != value for name, value in same.items()):
                return Counted(False, self._read([key], consistent=True).get(key))
            more = {name: int(stored.get(name, 0)) + 1 for name in [*limits, "revision"]}
            self._write(key, {**stored, **more})
            return Counted(True, {**stored, **more})

    def _may_put(self, change: Change) -> bool:
        key = key_of(change.after)
        if change.before is None:
            return not self._read([key], consistent=True)  # an expired one makes room
        return self._holds(key, change.before)

    def _execute(self, change: Change) -> bool:
        with self._lock:
            key = key_of(change.after)
            if not self._holds(key, change.before):
                return False
            if change.before is None:
                _check(change.after)
                self._write(key, dict(change.after))
                return True
            before = change.before
            sets = {name: value for name, value in change.after.items() if before.get(name) != value}
            _check(sets)
            item = self._stored.items[key] | sets  # it holds
            for name in before.keys() - change.after.keys():
                item.pop(name, None)
            self._write(key, item)
            return True

    def _holds(self, key: Key, before: Item | None) -> bool:
        stored = self._stored.items.get(key)
        if before is None or stored is None:
            return before is None and stored is None
        return stored["revision"] == before["revision"]

    def _write(self, key: Key, item: Item | None) -> None:
        """Replace what is stored by `item`, which from now on belongs to the table; None removes it."""
        old = self._stored.items.get(key)
        self._stored.store(key, item)
        if (old is None) != (item is None):
            self._divide(key, is_new=old is None)
        self._time(key, old or NOTHING, item or NOTHING)
        if self._late is not None:
            self._late.store(self._now(), key, item)
        if self._history is not None and item is not None:
            self._history.setdefault(key, []).append(item)

    def _divide(self, key: Key, *, is_new: bool) -> None:
        """Keep the sort keys of each partition in order."""
        partition = self._partitions.setdefault(key.pk, [])
        if is_new:
            insort(partition, key.sk)
            return
        del partition[bisect_left(partition, key.sk)]
        if not partition:
            del self._partitions[key.pk]

    def _time(self, key: Key, old: Item, new: Item) -> None:
        """Keep what will expire in order."""
        was, will = old.get("expires_at"), new.get("expires_at")
        if was == will:
            return
        if isinstance(was, int):
            self._expiring.remove((was, key))
        if isinstance(will, int):
            self._expiring.add((will, key))

    def _sort_keys(self, pk: str, prefix: str, below: str | None, newest_first: bool) -> Iterator[str]:
        """The sort keys of a partition that begin with `prefix`: in a sorted list they are neighbours."""
        partition = self._partitions.get(pk, [])
        low = bisect_left(partition, prefix)
        high = bisect_left(partition, True, low, key=lambda sk: not sk.startswith(prefix))
        if below is not None:
            high = min(high, bisect_left(partition, below))
        return map(partition.__getitem__, reversed(range(low, high)) if newest_first else range(low, high))

    def _read(self, keys: Sequence[Key], consistent: bool) -> dict[Key, Item]:
        with self._lock:
            now = self._now().timestamp()
            items = self._seen(consistent).items
            found = ((key, items.get(key)) for key in keys)
            return {key: dict(item) for key, item in found if item is not None and _is_alive(item, now)}

    def _seen(self, consistent: bool) -> _Contents:
        if consistent or self._late is None or not self._is_late:
            return self._stored
        return self._late.seen(self._now())


def _bounds(low: str | None, high: str | None) -> tuple[Place, Place]:
    """Just before all places of `low` and just behind all of `high`; these are no places themselves."""
    return (low or FIRST,), (LAST if high is None else high + FIRST,)


def _is_alive(item: Item, now: float) -> bool:
    expires = item.get("expires_at")
    return not isinstance(expires, int) or expires > now


def _check(attributes: Item) -> None:
    """Raises what DynamoDB refuses to store."""
    for name, value in attributes.items():
        if not isinstance(value, STORABLE):
            raise TypeError(f"{name}: {type(value).__name__} is no value of an item")
        limit = MAX_KEY_BYTES.get(name)
        if limit is not None and not (isinstance(value, str) and 0 < len(value.encode()) <= limit):
            raise refusal("ValidationException", f"{name} is empty, too long or no text", "PutItem")


def refusal(code: str, text: str, operation: str) -> ClientError:
    """An AWS service that says no."""
    return ClientError({"Error": {"Code": code, "Message": text}}, operation)


@dataclass
class _Held:
    body: str
    due: datetime
    receives: int = 0


class MemoryQueue:
    """`shared.queue.RunQueue`, and the other end of it: a standard queue that hands out what is due.

    Given a `chance`, it does what such a queue may do at any time: a message comes twice with the probability
    `duplicates`, and each copy late, by up to `delayed_by`, with the probability `delays`. Without `keep_sent` nothing
    is added to `sent`.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        visibility: timedelta = timedelta(minutes=30),
        max_receives: int = 10,
        faults: Faults | None = None,
        keep_sent: bool = True,
        chance: random.Random | None = None,
        duplicates: float = 0.02,
        delays: float = 0.02,
        delayed_by: timedelta = timedelta(minutes=1),
    ) -> None:
        self._now = now
        self._visibility = visibility
        self._max_receives = max_receives
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Held] = {}
        # Times and receipts. One whose message is gone or due at another time is stale: nobody looks for it until it
        # comes up, or until the stale ones are most of them.
        self._order: list[tuple[datetime, int]] = []
        self._keep_sent = keep_sent
        self._chance = chance
        self._duplicates = duplicates
        self._delays = delays
        self._delayed_by = delayed_by
        self.sent: list[Delivery] = []
        self.dead: list[RunMessage] = []

    def send(self, deliveries: Sequence[Delivery]) -> None:
        for start in range(0, len(deliveries), MAX_BATCH):
            self._faults.before("send")
            for delivery in deliveries[start : start + MAX_BATCH]:
                self._put(delivery)
            self._faults.after("send")

    def ping(self) -> None:
        self._faults.before("ping")

    def receive(self, limit: int = MAX_BATCH) -> dict[int, RunMessage]:
        """Up to `limit` messages that are due, by receipt, oldest first; invisible to others for a while."""
        with self._lock:
            now = self._now()
            batch: dict[int, RunMessage] = {}
            while len(batch) < limit and (receipt := self._take(now)) is not None:
                held = self._waiting[receipt]
                read = message.read(held.body)
                assert read is not None, held.body
                if held.receives >= self._max_receives:
                    self.dead.append(read)
                    del self._waiting[receipt]
                    continue
                held.receives += 1
                batch[receipt] = read
            for receipt in batch:
                self._hide(receipt, now + self._visibility)
            self._tidy()
            return batch

    def acknowledge(self, receipts: Sequence[int]) -> None:
        with self._lock:
            for receipt in receipts:
                self._waiting.pop(receipt, None)

    def lose_all(self) -> None:
        """What a queue must not do, and what runs must survive."""
        with self._lock:
            self._waiting.clear()
            self._order.clear()

    def deliver_again(self, sent: Delivery) -> None:
        """A second copy of a message, at once: at least once means sometimes twice."""
        with self._lock:
            self._enqueue(_body(sent), self._now())

    @property
    def next_due(self) -> datetime | None:
        with self._lock:
            self._drop_stale()
            return self._order[0][0] if self._order else None

    def __len__(self) -> int:
        return len(self._waiting)

    def _put(self, delivery: Delivery) -> None:
        delay = min(max(delivery.delay, timedelta(0)), MAX_DELAY)
        with self._lock:
            if self._keep_sent:
                self.sent.append(delivery)
            due = self._now() + timedelta(seconds=math.ceil(delay.total_seconds()))
            body = _body(delivery)
            for late in self._copies():
                self._enqueue(body, due + late)

    def _copies(self) -> list[timedelta]:
        """How late each copy of a message comes."""
        if self._chance is None:
            return [timedelta(0)]
        count = 2 if self._chance.random() < self._duplicates else 1
        return [
            self._delayed_by * self._chance.random() if self._chance.random() < self._delays else timedelta(0)
            for _ in range(count)
        ]

    def _enqueue(self, body: str, due: datetime) -> None:
        receipt = next(self._numbers)
        self._waiting[receipt] = _Held(body, due)
        self._hide(receipt, due)
        self._tidy()

    def _hide(self, receipt: int, until: datetime) -> None:
        self._waiting[receipt].due = until
        heapq.heappush(self._order, (until, receipt))

    def _tidy(self) -> None:
        if len(self._order) > 2 * len(self._waiting) + MIN_STALE:
            self._order = [(held.due, receipt) for receipt, held in self._waiting.items()]
            heapq.heapify(self._order)

    def _take(self, now: datetime) -> int | None:
        """The receipt of the message that has been due for the longest time; it has no place in the order any more."""
        self._drop_stale()
        return heapq.heappop(self._order)[1] if self._order and self._order[0][0] <= now else None

    def _drop_stale(self) -> None:
        while self._order and self._is_stale(*self._order[0]):
            heapq.heappop(self._order)

    def _is_stale(self, due: datetime, receipt: int) -> bool:
        held = self._waiting.get(receipt)
        return held is None or held.due != due


def _body(delivery: Delivery) -> str:
    return delivery.message.model_dump_json(exclude_defaults=True)


class MemoryPayloads:
    """`shared.payloads.Payloads` in a dictionary of JSON texts."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self.texts: dict[str, str] = {}
        self.down = False

    def put_json(self, key: str, value: Any) -> int:
        try:
            self._faults.before("put_json")
        except Unavailable as error:
            raise refusal("ServiceUnavailable", "Please reduce your request rate.", "PutObject") from error
        self.texts[key] = json.dumps(value, ensure_ascii=False)
        self._faults.after("put_json")
        return len(self.texts[key].encode())

    def get_json(self, key: str) -> Any:
        if self.down:
            raise refusal("SlowDown", "Please reduce your request rate.", "GetObject")
        if key not in self.texts:
            raise PayloadGone("The payload has expired.")
        return json.loads(self.texts[key])

    def link(self, key: str) -> str:
        return f"memory://{key}"


Answer = FlowAnswer | FlowFailure | Exception | Callable[[FlowCall, Stopper], FlowAnswer]


@dataclass
class ScriptedLangFlow:
    """LangFlow by script: its `connect` is what `Attempts` calls to reach a source.

    Each list is used up from the front; when it is empty the flow echoes, the job is accepted, still runs, or stops.
    An entry that is an exception is raised; one in `runs` may be a function of the call and its stopper, one in `polls`
    a function of nothing. `down` decides before anything else whether the server can be reached.
    """

    runs: list[Answer] = field(default_factory=list)
    submissions: list[str | Exception] = field(default_factory=list)
    polls: list[FlowAnswer | Running | Exception | Callable[[], Any]] = field(default_factory=list)
    stops: list[bool] = field(default_factory=list)
    down: Callable[[], FlowFailure | None] = lambda: None
    calls: list[FlowCall] = field(default_factory=list)
    submitted: list[FlowCall] = field(default_factory=list)
    polled: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    active: int = 0
    peak: int = 0
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    def connect(self, source: Source, correlation_id: str) -> "ScriptedLangFlow":
        return self

    def run(self, call: FlowCall, stopper: Stopper) -> FlowAnswer:
        with self._lock:
            self.calls.append(call)
            entry: Answer = self.runs.pop(0) if self.runs else echo
            self.active += 1
            self.peak = max(self.peak, self.active)
        try:
            self._reach()
            return _told(entry(call, stopper) if callable(entry) else entry)
        finally:
            with self._lock:
                self.active -= 1

    def submit(self, call: FlowCall) -> str:
        """As LangFlow: the same idempotency key is the same job."""
        self._reach()
        with self._lock:
            entry = self.submissions.pop(0) if self.submissions else f"job-{call.idempotency_key}"
            self.submitted.append(call)
        return _told(entry)

    def poll(
        self, job_id: str, output_component: str | None = None, tweaks: Mapping[str, Any] | None = None
    ) -> Running | FlowAnswer:
        self._reach()
        with self._lock:
            self.polled.append(job_id)
            entry = self.polls.pop(0) if self.polls else Running("in_progress")
        return _told(entry() if callable(entry) else entry)

    def stop(self, job_id: str) -> bool:
        with self._lock:
            self.stopped.append(job_id)
            return self.stops.pop(0) if self.stops else True

    def _reach(self) -> None:
        if (failure := self.down()) is not None:
            raise failure


def echo(call: FlowCall, stopper: Stopper) -> FlowAnswer:
    return FlowAnswer(text=call.input_value, output={}, steps=(), session_id=call.session_id)


def until_stopped(call: FlowCall, stopper: Stopper) -> FlowAnswer:
    """A flow that hangs until somebody stops the exchange."""
    stopper.connected = True
    pause = threading.Event()
    while (failure := stopper.failure()) is None:
        pause.wait(0.01)
    raise failure


def _told(entry: Any) -> Any:
    if isinstance(entry, Exception):
        raise entry
    return entry
