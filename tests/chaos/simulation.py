"""Virtual time, and processes in it that take turns: one seed, one course of events.

Each task has a thread of its own, so that the code under test needs no changes, but only one runs at any time: it goes
on until it sleeps, and then whoever is next in virtual time has the turn. A `Process` is one invocation of a function:
it has a clock that is wrong in its own way, its own view of table and queue, and it dies alone.
"""

import copy
import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, Self

from shared.domain.message import Delivery
from shared.errors import Unavailable
from shared.queue import MAX_BATCH
from shared.services import execution, ticking
from shared.services.watching import Watch
from shared.store.keys import Key
from shared.store.table import Change, Item, Outcome
from tests.fakes import NOON, Crash, MemoryQueue, MemoryTable

Work = Callable[[], object]
CHANGING = frozenset({"put", "put_many", "put_all", "delete", "send", "put_json"})
CLOCK_READINGS = 4  # a process remembers so many


class Task:
    """Work that has its turn now and then."""

    def __init__(self, work: Work, process: "Process | None") -> None:
        self.work = work
        self.process = process
        self.turn: Any = None  # the lock that its thread waits for
        self.done = False
        self.error: BaseException | None = None
        self.result: Any = None
        self.waiter: Task | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001  # whoever joins the task looks at it
            self.error = error
        self.done = True


class _Worker:
    """A thread that runs one task after the other. Kept for the next simulation."""

    idle: list["_Worker"] = []  # noqa: RUF012  # one for the whole process

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self.task: Task | None = None
        self.simulation: Simulation | None = None
        threading.Thread(target=self._work, name="chaos", daemon=True).start()

    def _work(self) -> None:
        while True:
            self.turn.acquire()
            self._go_on()

    def _go_on(self) -> None:
        """Holds on to nothing when it is done: a simulation is over some day, its threads are not."""
        simulation, task = self.simulation, self.task
        assert simulation is not None
        self.simulation = self.task = None
        while task is not None:
            task.run()
            task = simulation.after(task, self)


class Simulation:
    """The clock on the wall, and what happens next."""

    present: "ClassVar[Simulation | None]" = None

    @classmethod
    def running(cls) -> "Simulation":
        assert cls.present is not None, "Nobody is taking turns."
        return cls.present

    def __init__(self, at: datetime = NOON) -> None:
        self.now = at
        self.alive = 0  # tasks that are not done
        self.steps = 0
        self.broken: BaseException | None = None
        self._numbers = itertools.count()
        self._events: list[tuple[datetime, int, Task | Work]] = []
        self._main = Task(lambda: None, None)
        self._main.turn = threading.Lock()
        self._main.turn.acquire()
        self.current = self._main

    def spawn(self, work: Work, process: "Process | None") -> Task:
        """Begin `work` as soon as everybody else waits."""
        task = Task(work, process)
        self.alive += 1
        self._push(self.now, task)
        return task

    def call_at(self, at: datetime, work: Work) -> None:
        """Do `work`, which must not sleep, at `at`."""
        self._push(max(at, self.now), work)

    def sleep(self, seconds: float) -> None:
        """Let others have their turn for so long."""
        me = self.current
        self._push(self.now + timedelta(seconds=seconds), me)
        self._switch(me)

    def join(self, tasks: Sequence[Task]) -> None:
        me = self.current
        for task in tasks:
            while not task.done:
                task.waiter = me
                self._switch(me)

    def after(self, task: Task, worker: _Worker) -> Task | None:
        """What `worker` does next, whose `task` is done: None is nothing, for now."""
        self.alive -= 1
        if task.waiter is not None:
            self._push(self.now, task.waiter)
        following = self._next()
        self.current = following
        if following.turn is None:
            following.turn = worker.turn
            return following
        _Worker.idle.append(worker)
        following.turn.release()
        return None

    def _push(self, at: datetime, what: Task | Work) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), what))

    def _next(self) -> Task:
        while True:
            at, _, what = heapq.heappop(self._events)
            self.now = max(self.now, at)
            if isinstance(what, Task):
                return what
            try:
                what()
            except BaseException as error:  # noqa: BLE001  # raised where the simulation is driven
                self.broken = self.broken or error

    def _switch(self, me: Task) -> None:
        following = self._next()
        self.current = following
        if following is not me:
            if following.turn is None:
                worker = _Worker.idle.pop() if _Worker.idle else _Worker()
                worker.simulation, worker.task, following.turn = self, following, worker.turn
            following.turn.release()
            me.turn.acquire()
        if me is self._main and self.broken is not None:
            raise self.broken


@dataclass(frozen=True)
class Troubles:
    """How likely each trouble is, at a step (each request is two) or for a request."""

    crash: float = 0.0
    pause: float = 0.0
    """Others have a turn; up to `pause_seconds`."""
    pause_seconds: float = 0.3
    freeze: float = 0.0
    """The same, for up to a minute."""
    refuse: float = 0.0
    repeat: float = 0.0
    busy: float = 0.0
    """For an item of a batch: not stored, and nobody can tell."""
    unknown: float = 0.0
    """The same, but stored."""


NO_TROUBLES = Troubles()


class Process:
    """One invocation: `skew` is what its clock is ahead of the true time. `crash_at` n: it dies at its n-th step that
    changes something, before it or after it.

    It has the interface of `tests.fakes.Faults`, as far as table, queue and bucket use it.
    """

    def __init__(
        self,
        simulation: Simulation,
        chance: random.Random,
        troubles: Troubles,
        *,
        skew: timedelta = timedelta(0),
        lives: timedelta | None = None,
        crash_at: int | None = None,
        name: str = "",
    ) -> None:
        self.simulation, self.chance, self.troubles = simulation, chance, troubles
        self.skew, self.crash_at, self.name = skew, crash_at, name
        self.began = simulation.now
        self.ends = simulation.now + lives if lives is not None else None
        self.steps = 0
        self.crashed = False
        self.readings: deque[datetime] = deque(maxlen=CLOCK_READINGS)
        self.always_busy = False  # whatever it writes in batches comes to nothing
        self.refuses: frozenset[str] = frozenset()  # operations that are never done for it
        self.intent: Any = None  # what its user wants: known to the observer
        self.attempts: dict[str, int] = {}  # by run: the attempt that it claimed
        self.messages: frozenset[tuple[str, int]] = frozenset()  # run and turn of those that it was handed
        self.watch: Watch | None = None
        self.meanwhile: tuple[int, Work] | None = None  # what others do just before a step of this number

    def clock(self) -> datetime:
        at = self.simulation.now + self.skew
        self.readings.append(at)
        return at

    @property
    def dead(self) -> bool:
        return self.crashed or (self.ends is not None and self.simulation.now >= self.ends)

    def before(self, operation: str) -> None:
        self._step(operation)
        if operation in self.refuses:
            raise Unavailable(f"{operation} refused")
        if self.troubles.refuse and self.chance.random() < self.troubles.refuse:
            raise Unavailable(f"{operation} refused")

    def after(self, operation: str) -> None:
        self._step(operation)

    def is_repeated(self, operation: str) -> bool:
        return bool(self.troubles.repeat) and self.chance.random() < self.troubles.repeat

    def busy(self, item: Item) -> bool:
        return self.always_busy or (bool(self.troubles.busy) and self.chance.random() < self.troubles.busy)

    def is_unknown(self) -> bool:
        return bool(self.troubles.unknown) and self.chance.random() < self.troubles.unknown

    def sleep(self, seconds: float) -> None:
        """Wait, and die meanwhile if its time is up."""
        if self.ends is not None:
            seconds = min(seconds, (self.ends - self.simulation.now).total_seconds())
        self.simulation.sleep(max(seconds, 0))
        self.live()

    def live(self) -> None:
        if self.dead:
            raise Crash(self.name)

    def _step(self, operation: str) -> None:
        self.live()
        self.simulation.steps += 1
        if operation in CHANGING:
            self._change()
        troubles = self.troubles
        if troubles is NO_TROUBLES:
            return
        chance = self.chance.random()
        if chance < troubles.crash:
            self._crash()
        if chance < troubles.crash + troubles.freeze:
            self.sleep(self.chance.uniform(1, 60))
        elif chance < troubles.crash + troubles.freeze + troubles.pause:
            self.sleep(self.chance.uniform(0, troubles.pause_seconds))

    def _change(self) -> None:
        """Before and after each request that changes something: in between only reads could be interrupted."""
        self.steps += 1
        if self.meanwhile is not None and self.meanwhile[0] == self.steps:
            self.meanwhile[1]()
        if self.crash_at == self.steps:
            self._crash()

    def _crash(self) -> None:
        self.crashed = True
        raise Crash(self.name)


class Observer(Protocol):
    def wrote(self, key: Key, before: Item | None, after: Item | None) -> None: ...


class ChaosTable(MemoryTable):
    """Tells its observer of every write."""

    observer: Observer | None = None

    def of(self, process: Process) -> Self:
        """The same table, as `process` sees it."""
        view = copy.copy(self)
        view._faults = process  # type: ignore[assignment]
        return view

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        held = super().put_many(changes)
        process: Any = self._faults
        return [None if process.is_unknown() else each for each in held]

    def wakes(self) -> list[str]:
        """The first `wake_at` of each shard."""
        places = self._stored._indexes["Wake"].values()
        return [shard[0][0] for shard in places]

    def _write(self, key: Key, item: Item | None) -> None:
        before = self._stored.items.get(key)
        super()._write(key, item)
        if self.observer is not None:
            self.observer.wrote(key, before, item)


class ChaosQueue(MemoryQueue):
    """Counts the copies that nobody ordered."""

    duplicated = 0

    def _copies(self) -> list[timedelta]:
        late = super()._copies()
        self.duplicated += len(late) - 1
        return late


class QueueView:
    """The queue as one process sees it."""

    def __init__(self, queue: MemoryQueue, process: Process, sent: Work) -> None:
        self._queue, self._process, self._sent = queue, process, sent

    def send(self, deliveries: Sequence[Delivery]) -> None:
        for start in range(0, len(deliveries), MAX_BATCH):
            self._process.before("send")
            self._queue.send(deliveries[start : start + MAX_BATCH])
            self._sent()
            self._process.after("send")


class _Future:
    def __init__(self, task: Task) -> None:
        self._task = task

    def exception(self) -> BaseException | None:
        return self._task.error

    def result(self) -> Any:
        if self._task.error is not None:
            raise self._task.error
        return self._task.result


class Pool:
    """Does at once and in order what a thread pool would do at the same time."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def submit(self, work: Callable[..., object], *arguments: Any) -> _Future:
        task = Task(lambda: work(*arguments), None)
        task.run()
        return _Future(task)


class Together(Pool):
    """A task for each piece of work; one alone needs none."""

    def __enter__(self) -> Self:
        self._tasks: list[Task] = []
        return self

    def __exit__(self, *error: object) -> None:
        if self._tasks:
            Simulation.running().join(self._tasks)

    def submit(self, work: Callable[..., object], *arguments: Any) -> _Future:
        if self._size == 1:
            return super().submit(work, *arguments)
        simulation = Simulation.running()
        task = simulation.spawn(lambda: work(*arguments), simulation.current.process)
        self._tasks.append(task)
        return _Future(task)


class Looking(Watch):
    """Looked after by the flows themselves, while they wait."""

    def __enter__(self) -> Self:
        process = Simulation.running().current.process
        assert process is not None
        process.watch = self
        return self

    def __exit__(self, *error: object) -> None:
        return


class Turns:
    """A lock whose owner may sleep."""

    def __init__(self) -> None:
        self._taken = False

    def __enter__(self) -> None:
        while self._taken:
            Simulation.running().sleep(0.01)
        self._taken = True

    def __exit__(self, *error: object) -> None:
        self._taken = False


REPLACED: list[tuple[Any, str, Any]] = [
    (ticking, "ThreadPoolExecutor", Pool),
    (execution, "ThreadPoolExecutor", Together),
    (execution, "Watch", Looking),
]


@contextmanager
def taking_turns(simulation: Simulation) -> Iterator[None]:
    """The threads of the services become tasks of `simulation`, until this is left."""
    real = [(module, name, getattr(module, name)) for module, name, _ in REPLACED]
    outer, Simulation.present = Simulation.present, simulation
    try:
        for module, name, replacement in REPLACED:
            setattr(module, name, replacement)
        yield
    finally:
        Simulation.present = outer
        for module, name, original in real:
            setattr(module, name, original)
