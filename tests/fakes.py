"""The outside world in memory: a table, a queue, a bucket and a LangFlow that do what tests ask of them.

`MemoryTable` and `MemoryQueue` pass the same contract as the real ones (`contract/test_store_contract.py`,
`contract/test_queue_contract.py`). Beyond that they can do what the real ones cannot be asked to: die before or after
the n-th step (`Faults`), show indexes and inconsistent reads late (`lag`), and keep time by a clock that tests move.
"""

import copy
import itertools
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from shared.domain import message
from shared.domain.message import Delivery, RunMessage
from shared.domain.source import Source
from shared.errors import Conflict, FlowFailure, PayloadGone, Unavailable
from shared.langflow import FlowAnswer, FlowCall, Running, Stopper
from shared.queue import MAX_BATCH, MAX_DELAY
from shared.store.keys import INDEXES, Key
from shared.store.table import MAX_KEYS, MAX_STATEMENTS, Change, Item, Outcome, Page, Value, key_of

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MAX_KEY_BYTES = {"pk": 2048, "sk": 1024}


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

    `crash_at` n: the n-th step (from 1) raises `Crash`, and so does every later one until `revive`. `refuse` names
    operations that answer `Unavailable` instead, and how often; `repeat` those whose answer is lost, so that the client
    asks a second time; `meanwhile` is what others do just before an operation counts; `busy` says which
    items of a batch the table is too busy to take, time and again.
    """

    crash_at: int | None = None
    refuse: dict[str, int] = field(default_factory=dict)
    repeat: dict[str, int] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)
    busy: Callable[[Item], bool] = lambda item: False
    steps: list[str] = field(default_factory=list)
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
        """A new process starts; it will not die."""
        self.dead, self.crash_at = False, None

    def _step(self, name: str) -> None:
        with self._lock:
            if self.dead:
                raise Crash(name)
            self.steps.append(name)
            if self.crash_at == len(self.steps):
                self.dead = True
                raise Crash(name)


class MemoryTable:
    """`shared.store.table.Table` in a dictionary.

    Like DynamoDB, `put_many` writes only what differs between `before` and `after`. `lag` holds back indexes and
    inconsistent reads by that much of the clock's time.
    """

    def __init__(
        self, now: Callable[[], datetime], *, lag: timedelta = timedelta(0), faults: Faults | None = None
    ) -> None:
        self._now = now
        self._lag = lag
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._history: dict[Key, list[tuple[datetime, Item | None]]] = {}

    def history(self, key: Key) -> list[Item]:
        """Every state that was stored under `key`, oldest first."""
        with self._lock:
            return [dict(item) for _, item in self._history.get(key, []) if item is not None]

    @property
    def items(self) -> dict[Key, Item]:
        """What is stored, expired or not."""
        with self._lock:
            return {key: dict(states[-1][1]) for key, states in self._history.items() if states[-1][1] is not None}

    def quietly(self) -> "MemoryTable":
        """The same table as a test looks at it: without faults, without lag."""
        view = copy.copy(self)
        view._faults, view._lag = Faults(), timedelta(0)
        return view

    def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        self._faults.before("get")
        item = self._read(key, consistent)
        self._faults.after("get")
        return item

    def get_many(self, keys: Sequence[Key], *, consistent: bool = False) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), MAX_KEYS):
            self._faults.before("get_many")
            for key in unique[start : start + MAX_KEYS]:
                if (item := self._read(key, consistent)) is not None:
                    found[key] = item
            self._faults.after("get_many")
        return found

    def put(self, change: Change) -> None:
        self._faults.before("put")
        with self._lock:
            key = key_of(change.after)
            replaces_expired = change.before is None and self._read(key, consistent=True) is None
            if not replaces_expired and not self._holds(key, change.before):
                raise Conflict("The record was changed by somebody else at the same time.")
            self._write(key, change.after)
        self._faults.after("put")

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        held: list[Outcome] = []
        for start in range(0, len(changes), MAX_STATEMENTS):
            self._faults.before("put_many")
            chunk = changes[start : start + MAX_STATEMENTS]
            answer = [None if self._faults.busy(change.after) else self._execute(change) for change in chunk]
            held += [self._execute(change) for change in chunk] if self._faults.is_repeated("put_many") else answer
            self._faults.after("put_many")
        return held

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
            keys = sorted(key for key in self._history if key.pk == pk and key.sk.startswith(prefix))
            items = [item for key in keys if (item := self._read(key, consistent=True)) is not None]
        found = [item for item in items if below is None or str(item["sk"]) < below]
        self._faults.after("query")
        return (found[::-1] if newest_first else found)[:limit]

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

        def place(item: Item) -> tuple[str, str, str]:
            return str(item[names.range]), str(item["pk"]), str(item["sk"])

        with self._lock:
            states = [self._state(key, self._lag) for key in self._history]
        entries = [
            {name: item[name] for name in ("pk", "sk", *names)}
            for item in states
            if item is not None and item.get(names.hash) == hash and names.range in item
        ]
        entries = [
            entry
            for entry in sorted(entries, key=place, reverse=newest_first)
            if (low is None or str(entry[names.range]) >= low) and (high is None or str(entry[names.range]) <= high)
        ]
        if start is not None:
            last = place(start)
            entries = [entry for entry in entries if (place(entry) < last if newest_first else place(entry) > last)]
        self._faults.after("page")
        # Like DynamoDB: a full page names its last entry, even when nothing follows.
        return Page(entries[:limit], dict(entries[limit - 1]) if len(entries) >= limit else None)

    def ping(self) -> None:
        self._faults.before("ping")

    def _execute(self, change: Change) -> bool:
        with self._lock:
            key = key_of(change.after)
            if not self._holds(key, change.before):
                return False
            if change.before is None:
                self._write(key, change.after)
                return True
            stored = self._state(key, timedelta(0))
            assert stored is not None  # it holds
            sets = {name: value for name, value in change.after.items() if change.before.get(name) != value}
            left = {name: value for name, value in stored.items() if name in change.after or name not in change.before}
            self._write(key, {**left, **sets})
            return True

    def _holds(self, key: Key, before: Item | None) -> bool:
        stored = self._state(key, timedelta(0))
        if before is None or stored is None:
            return before is None and stored is None
        return stored["revision"] == before["revision"]

    def _write(self, key: Key, item: Item | None) -> None:
        for name, value in {**key._asdict(), **(item or {})}.items():
            _check_attribute(name, value)
        self._history.setdefault(key, []).append((self._now(), None if item is None else dict(item)))

    def _read(self, key: Key, consistent: bool) -> Item | None:
        with self._lock:
            item = self._state(key, timedelta(0) if consistent else self._lag)
        if item is None:
            return None
        expires = item.get("expires_at")
        return None if isinstance(expires, int) and expires <= self._now().timestamp() else dict(item)

    def _state(self, key: Key, lag: timedelta) -> Item | None:
        """The item under `key` as it was `lag` ago."""
        states = self._history.get(key, [])
        if not lag:
            return states[-1][1] if states else None
        seen = self._now() - lag
        return next((item for at, item in reversed(states) if at <= seen), None)


def _check_attribute(name: str, value: Value) -> None:
    """What DynamoDB refuses to store under `name`."""
    if not isinstance(value, str | int | bytes):
        raise TypeError(f"{name}: {type(value).__name__} is no value of an item")
    keys = {"pk", "sk", *(part for index in INDEXES.values() for part in index)}
    limit = MAX_KEY_BYTES.get(name, 1024)
    if name in keys and not (isinstance(value, str) and 0 < len(value.encode()) <= limit):
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
    """`shared.queue.RunQueue`, and the other end of it: a standard queue that hands out what is due."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        visibility: timedelta = timedelta(minutes=30),
        max_receives: int = 10,
        faults: Faults | None = None,
    ) -> None:
        self._now = now
        self._visibility = visibility
        self._max_receives = max_receives
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Held] = {}
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
            for receipt, held in sorted(self._waiting.items(), key=lambda entry: (entry[1].due, entry[0])):
                if held.due > now or len(batch) == limit:
                    break
                read = message.read(held.body)
                assert read is not None, held.body
                if held.receives >= self._max_receives:
                    self.dead.append(read)
                    del self._waiting[receipt]
                    continue
                held.receives += 1
                held.due = now + self._visibility
                batch[receipt] = read
            return batch

    def acknowledge(self, receipts: Sequence[int]) -> None:
        with self._lock:
            for receipt in receipts:
                self._waiting.pop(receipt, None)

    def lose_all(self) -> None:
        """What a queue must not do, and what runs must survive."""
        with self._lock:
            self._waiting.clear()

    def deliver_again(self, sent: Delivery) -> None:
        """A second copy of a message, at once: at least once means sometimes twice."""
        with self._lock:
            self._waiting[next(self._numbers)] = _Held(_body(sent), self._now())

    @property
    def next_due(self) -> datetime | None:
        with self._lock:
            return min((held.due for held in self._waiting.values()), default=None)

    def __len__(self) -> int:
        return len(self._waiting)

    def _put(self, delivery: Delivery) -> None:
        delay = min(max(delivery.delay, timedelta(0)), MAX_DELAY)
        with self._lock:
            self.sent.append(delivery)
            due = self._now() + timedelta(seconds=math.ceil(delay.total_seconds()))
            self._waiting[next(self._numbers)] = _Held(_body(delivery), due)


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
