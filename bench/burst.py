"""A discrete-event simulation of schedules that are due together: tick, table, queue, mapping, executors. Pure.

Time is in seconds, and 0 is when the burst is due. What is modelled, each as the limit it is:

- The tick looks 150 s ahead each minute. The first pages of all shards share its CPU; a shard with more is handed on to
  an invocation of its own, which takes a moment, maybe a cold start, and a place in the account, and goes through the
  pages until its time is up. A put that the table refuses is tried five times within 0.75 s, then left to the next
  tick, as `Table.put_many` and `Firing` do; any other refused write is tried again until it holds.
- A partition is a bucket of 1,000 write units a second. A write needs room in the table and in all indexes that it
  changes: an index that cannot follow holds up its table. Keys lie on partitions as evenly as they can.
- SQS delays whole seconds, and keeps the backlog of one project behind all others (`bench.fair_queue`).
- The mapping takes batches, as many at a time as its pollers: more of them as long as messages wait, and otherwise only
  those that are busy, or the first five. A batch is over when its slowest run is.
- Environments are kept. A new one needs a token of Lambda's scaling rate, room in the account, and a cold start.

Left out: partitions that split meanwhile, failures, retries by botocore, limits of sources, LangFlow's own; ticks that
find no place in the account: they get theirs first; duplicates, hence what the tick sends again after WakeAfterSeconds.
"""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from bench.agenda import Agenda, Steps
from bench.fair_queue import FairQueue
from bench.limits import Bucket, Environments, Pollers, Ramp
from bench.partitions import Partitions, Writes, advance_of, claim_of, finish_of, put_of
from shared.domain.schedule import LOOK_AHEAD
from shared.queue import MAX_BATCH
from shared.store.keys import WAKE_SHARDS
from shared.store.table import MAX_ROUNDS, MAX_STATEMENTS
from shared.store.wake import PAGE

AHEAD = LOOK_AHEAD.total_seconds()
MINUTE = 60.0
PAUSES = [0.05 * 2**round for round in range(MAX_ROUNDS - 1)]  # as `Table` waits between its rounds
PATIENCE = 86_400.0  # a simulated day, after which something is wrong with the parameters

ONE_AT_A_TIME = Ramp(1, 0, 1)

Duration = Callable[[Random], float]


@dataclass(frozen=True)
class Work:
    """What is due: `burst` runs at 0, and, of another project, `stream` a second from `start` until these are over."""

    burst: int
    stream: int = 0
    start: int = -30
    projects: int = 1  # that the burst is spread over, each with one workflow


@dataclass(frozen=True)
class Place:
    """Where it runs. The defaults are without any limit and take no time, so that a test can set one alone."""

    partition_writes: float = math.inf
    warm_writes: float = math.inf  # that the table, and each index, takes at once over all its partitions
    mapping: Ramp = ONE_AT_A_TIME
    batch_size: int = 10
    environments_at_once: float = math.inf  # new ones
    environments_per_second: float = 0.0
    account_concurrency: float = math.inf
    tick_at: float = -AHEAD  # one tick; those after it are a minute apart
    tick_gap: float = MINUTE  # between it and the one before; those before that are a minute apart, too
    tick_seconds: float = math.inf  # after which a shard is left to the next tick
    hand_on_seconds: float = 0.0  # until an invocation begins that nobody waits for
    fire_seconds: float = 0.0  # of a tick, for each schedule
    request_seconds: float = 0.0  # of each request to the table or the queue
    claim_seconds: float = 0.0  # from the start of an invocation until its claims, without requests
    notice_seconds: float = 0.0  # until the mapping sees a message that can be received
    cold_start_seconds: float = 0.0

    def but(self, **changes: Any) -> "Place":
        """The same place, changed in these."""
        return replace(self, **changes)


@dataclass(slots=True, eq=False)
class Run:
    number: int
    due: float
    project: int
    shard: int  # of the schedule
    wake: int  # shard of the run
    is_stored: bool = False
    is_fired: bool = False  # its schedule has moved on
    sent: float | None = None
    claimed: float | None = None
    ended: float | None = None


@dataclass
class Outcome:
    """The runs, each with its times, and what they met. `refused` counts writes by the first partition without room."""

    runs: list[Run]
    refused: Counter[str] = field(default_factory=Counter)
    put_off: int = 0  # puts left to the next tick
    most_executors: int = 0
    batches: int = 0


class Simulation:
    """One burst; `run` once."""

    def __init__(self, work: Work, place: Place, duration: Duration, seed: int = 0) -> None:
        self._work, self._place, self._duration, self._chance = work, place, duration, Random(seed)
        self._first = work.start if work.stream else 0  # second in which anything is due
        self._before = max(math.ceil((place.tick_at - place.tick_gap - self._first + AHEAD) / MINUTE), 0)  # more ticks
        self._agenda = Agenda(place.tick_at - place.tick_gap - self._before * MINUTE)
        self._partitions = Partitions(place.partition_writes, place.warm_writes)
        self._shards: list[list[Run]] = [[] for _ in range(WAKE_SHARDS)]
        self._ready = FairQueue[Run]()
        self._ticks_there = Environments(busy=1, most=1)  # the one that comes each minute is warm, and always counted
        self._executors = Environments()
        self._creation = Bucket(place.environments_per_second, place.environments_at_once)
        self._pollers = Pollers(place.mapping)
        self._planned = self._first  # up to which second the stream is known
        self._left, self._burst_left = 0, work.burst
        self._outcome = Outcome([])

    def run(self) -> Outcome:
        """All of it.

        Raises:
            RuntimeError: it is not over after a simulated day.
        """
        self._agenda.start(self._ticks())
        self._agenda.start(self._pulse())
        self._agenda.run()
        self._outcome.most_executors = self._executors.most
        return self._outcome

    @property
    def _is_on(self) -> bool:
        return self._left > 0 or self._burst_left > 0

    def _plan(self) -> None:
        """What is due within the look-ahead. The stream goes on as long as the burst does."""
        until = math.floor(self._agenda.now + AHEAD) + 1 if self._burst_left else self._planned
        while self._planned < until:
            if self._planned == 0:
                self._add((number % self._work.projects for number in range(self._work.burst)), 0.0)
            self._add([self._work.projects] * self._work.stream, float(self._planned))
            self._planned += 1

    def _add(self, projects: Iterable[int], due: float) -> None:
        """A run of each project."""
        for project in projects:
            shard, wake = self._chance.randrange(WAKE_SHARDS), self._chance.randrange(WAKE_SHARDS)
            run = Run(len(self._outcome.runs), due, project, shard, wake)
            self._outcome.runs.append(run)
            self._shards[shard].append(run)
            self._left += 1

    def _ticks(self) -> Steps:
        for number in count():
            if not self._is_on:
                return
            self._plan()
            self._tick()
            yield self._place.tick_gap if number == self._before else MINUTE

    def _tick(self) -> None:
        """One invocation for all shards. Those with something to do share its CPU."""
        due = {shard: runs for shard in range(WAKE_SHARDS) if (runs := self._due(shard))}
        for shard, runs in due.items():
            self._agenda.start(self._first_page(shard, runs, len(due)))

    def _due(self, shard: int) -> list[Run]:
        self._shards[shard] = [run for run in self._shards[shard] if not run.is_fired]
        return [run for run in self._shards[shard] if run.due <= self._agenda.now + AHEAD]

    def _first_page(self, shard: int, due: Sequence[Run], sharing: int) -> Steps:
        yield from self._fire(due[:PAGE], sharing, is_first=True)
        if len(due) > PAGE:
            self._agenda.start(self._handed_on(shard))

    def _handed_on(self, shard: int) -> Steps:
        """An invocation of its own: the pages of a shard, earliest first. What could not be put is left to the next."""
        is_cold = self._ticks_there.begin()
        yield self._place.hand_on_seconds + (self._place.cold_start_seconds if is_cold else 0.0)
        began = self._agenda.now
        for page in _chunks(self._due(shard), PAGE):
            if self._agenda.now >= began + self._place.tick_seconds:
                break
            yield from self._fire(page)
        self._ticks_there.end()

    def _fire(self, page: Sequence[Run], sharing: int = 1, *, is_first: bool = False) -> Steps:
        reading = 2 * self._place.request_seconds  # Wake's page, and its schedules
        yield len(page) * self._place.fire_seconds * sharing + reading
        put: list[Run] = []
        for chunk in _chunks(page, MAX_STATEMENTS):
            put += yield from self._put(chunk)
        self._outcome.put_off += len(page) - len(put)
        if is_first and any(run.due > self._agenda.now for run in put):
            yield -self._agenda.now % 1.0  # as `Firing` waits, so that whole seconds of delay are not too many
        yield math.ceil(len(put) / MAX_BATCH) * self._place.request_seconds
        self._send(put)
        for chunk in _chunks(put, MAX_STATEMENTS):
            yield from self._write([advance_of(run.number, run.shard) for run in chunk])
        for run in put:
            run.is_fired = True

    def _put(self, chunk: Sequence[Run]) -> Generator[float, None, list[Run]]:
        """Those of `chunk` that the table took within its rounds, from us and from nobody before."""
        waiting = [run for run in chunk if not run.is_stored]
        put = waiting
        for pause in (0.0, *PAUSES):
            yield pause + self._place.request_seconds
            for run in waiting:
                run.is_stored = self._holds(put_of(run.number, run.project, run.wake))
            if not (waiting := [run for run in waiting if not run.is_stored]):
                break
        return [run for run in put if run.is_stored]

    def _write(self, writes: Sequence[Writes]) -> Steps:
        """All of `writes`, as one request, asked for again as long as some are refused."""
        waiting, round = list(writes), 0
        while waiting:
            yield self._place.request_seconds + (PAUSES[min(round, len(PAUSES)) - 1] if round else 0)
            waiting, round = [each for each in waiting if not self._holds(each)], round + 1

    def _holds(self, writes: Writes) -> bool:
        refused = self._partitions.refuses(self._agenda.now, writes)
        if refused is not None:
            self._outcome.refused[refused] += 1
        return refused is None

    def _send(self, runs: Sequence[Run]) -> None:
        for run in runs:
            run.sent = self._agenda.now
        for due, group in _by_due(runs).items():
            wait = math.ceil(max(due - self._agenda.now, 0.0) - 1e-9)
            self._agenda.start(self._arrive(group), wait + self._place.notice_seconds)

    def _arrive(self, runs: Sequence[Run]) -> Steps:
        self._ready.send((run.project, run) for run in runs)
        yield 0.0  # until all that come at this instant are there: they make full batches
        self._dispatch()

    def _pulse(self) -> Steps:
        """Look again as often as the ramp grows: nobody else tells the mapping that it may take more."""
        started = self._agenda.now
        while self._is_on:
            if self._agenda.now > started + PATIENCE:
                raise RuntimeError(f"{self._left} runs were not over after a day")
            self._dispatch()
            yield 0.1

    def _dispatch(self) -> None:
        """Invoke an executor for each batch that may be taken."""
        while self._ready and self._may_invoke():
            batch = self._ready.receive(self._place.batch_size)
            self._outcome.batches += 1
            self._agenda.start(self._invocation(batch, is_cold=self._executors.begin()))
        self._pollers.observe(self._agenda.now, self._executors.busy, is_waiting=bool(self._ready))

    def _may_invoke(self) -> bool:
        room = self._place.account_concurrency - self._ticks_there.busy
        if self._executors.busy >= min(self._pollers.allowed(self._agenda.now), room):
            return False
        return self._executors.has_idle or self._creation.take(self._agenda.now, 1)

    def _invocation(self, batch: Sequence[Run], *, is_cold: bool) -> Steps:
        yield (self._place.cold_start_seconds if is_cold else 0.0) + self._place.claim_seconds
        yield from self._write([claim_of(run.number) for run in batch])
        lasting = sorted((self._duration(self._chance), run.number, run) for run in batch)
        for run in batch:
            run.claimed = self._agenda.now
        began = self._agenda.now
        for seconds, _, run in lasting:
            yield max(began + seconds - self._agenda.now, 0.0)
            yield from self._write([finish_of(run.number, run.wake)])
            run.ended = self._agenda.now
            self._left -= 1
            self._burst_left -= run.project < self._work.projects
        for run in batch:
            self._ready.delete(run.project)
        self._executors.end()
        self._dispatch()


def _chunks(runs: Sequence[Run], size: int) -> list[Sequence[Run]]:
    return [runs[start : start + size] for start in range(0, len(runs), size)]


def _by_due(runs: Sequence[Run]) -> dict[float, list[Run]]:
    groups: dict[float, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.due, []).append(run)
    return groups
