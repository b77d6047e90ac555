"""Worlds full of trouble: schedules of all kinds, users who change their minds, and machines that do not keep up.

A world is small and lives for some hours of its own time; a million occurrences are many worlds. Everything about one
follows from its seed: `run_world(seed)` does the same thing every time.
"""

import gc
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cli import chains
from shared import observability
from shared.domain.backfill import Backfill, Reprocess, in_range
from shared.domain.message import RunMessage
from shared.domain.overlap import Overlap
from shared.domain.project import DEFAULT_PROJECT, Project
from shared.domain.record import id_time, new_id
from shared.domain.run import Origin, Run
from shared.domain.schedule import ScheduleSettings, run_id
from shared.domain.source import Source, SourceCheck
from shared.domain.workflow import VersionReason, Workflow, WorkflowSettings, version_of
from shared.errors import Delivered, FlowFailure, NotFound, SparkError
from shared.langflow import FlowAnswer, FlowCall, Running, Stopper
from shared.services import burial, endings, execution, overlapping, submission
from shared.services.admission import Gate
from shared.services.attempts import Attempts
from shared.services.backfilling import Backfilling
from shared.services.endings import Endings
from shared.services.execution import Executor
from shared.services.firing import Firing
from shared.services.overlapping import Turnstile
from shared.services.rechecking import recheck
from shared.services.scheduling import Scheduling
from shared.services.sealing import Sealing
from shared.services.submission import Order, Submission
from shared.services.ticking import Ticker
from shared.services.versioning import Author
from shared.services.waking import Waker
from shared.services.watching import LOOK_EVERY_SECONDS
from shared.store import codec, keys
from shared.store.audit import ENTRIES, SEALS, AuditStore
from shared.store.backfills import BackfillStore
from shared.store.dead_letters import DeadLetterStore
from shared.store.projects import ProjectStore
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore
from shared.store.sources import SourceStore
from shared.store.wake import WakeStore
from shared.store.workflows import WorkflowStore
from tests.chaos.observer import KINDS, Intent, Watcher
from tests.chaos.simulation import (
    NO_TROUBLES,
    ChaosQueue,
    ChaosTable,
    Process,
    QueueView,
    Simulation,
    Task,
    Troubles,
    Turns,
    taking_turns,
)
from tests.fakes import NOON, Crash, MemoryPayloads

WAKE_AFTER = timedelta(minutes=5)
LIFE = timedelta(minutes=5)  # of an invocation of the executor
TICK_LIFE = timedelta(seconds=60)
A_MINUTE = timedelta(minutes=1)
MAX_SKEW_SECONDS = 30.0
PATIENCE = timedelta(hours=12)  # within which everything is over once the troubles are

LATE = ("timeout", Delivered.unknown)
FAILURES = (
    ("upstream_unavailable", Delivered.no),
    ("disconnected", Delivered.unknown),
    ("flow_failed", Delivered.yes),
    ("flow_failed", Delivered.yes),
)


@dataclass
class Flows:
    """LangFlow: how long flows take and what comes out, by chance. They take their time in the simulation."""

    simulation: Simulation
    chance: random.Random
    watcher: Watcher
    failing: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 60.0
    jobs: dict[str, datetime] = field(default_factory=dict)
    calls: int = 0

    def connect(self, source: Source, correlation_id: str) -> "Flows":
        return self

    def run(self, call: FlowCall, stopper: Stopper) -> FlowAnswer:
        process, id = self._called(call)
        seconds = self._seconds()
        stopper.connected = True
        try:
            self._wait(process, min(seconds, call.timeout_seconds), stopper)
        finally:
            self.watcher.returned(id, process)
        if seconds > call.timeout_seconds:
            raise _failure(LATE)
        self._maybe_fail()
        return FlowAnswer(text="done", output={}, steps=(), session_id=call.session_id)

    def submit(self, call: FlowCall) -> str:
        process, id = self._called(call)
        self.watcher.returned(id, process)
        self._maybe_fail()
        job = f"job-{call.idempotency_key}"
        self.jobs.setdefault(job, self.simulation.now + timedelta(seconds=self._seconds()))
        return job

    def poll(self, job_id: str, output_component: str | None = None, tweaks: Any = None) -> Running | FlowAnswer:
        if self.simulation.now < self.jobs[job_id]:
            return Running("in_progress")
        return FlowAnswer(text="done", output={}, steps=(), session_id="")

    def stop(self, job_id: str) -> bool:
        return True

    def _called(self, call: FlowCall) -> tuple[Process, str]:
        process = self.simulation.current.process
        assert process is not None
        self.calls += 1
        id = str(call.session_id)
        self.watcher.called(id, call.input_value, process)
        return process, id

    def _seconds(self) -> float:
        return self.chance.uniform(1, self.slow_seconds) if self.chance.random() < self.slow else 0.0

    def _maybe_fail(self) -> None:
        if self.chance.random() < self.failing:
            raise _failure(self.chance.choice(FAILURES))

    def _wait(self, process: Process, seconds: float, stopper: Stopper) -> None:
        """Let the time go by. The watch looks on, as its thread would, whenever five seconds are over."""
        ends = self.simulation.now + timedelta(seconds=seconds)
        while (left := (ends - self.simulation.now).total_seconds()) > 0:
            process.sleep(min(left, LOOK_EVERY_SECONDS))
            if left > LOOK_EVERY_SECONDS and process.watch is not None:
                try:
                    process.watch.look()
                except SparkError:
                    continue
            if (failure := stopper.failure()) is not None:
                raise failure


def _failure(kind: tuple[str, Delivered]) -> FlowFailure:
    """A new one each time: an exception keeps what it went through alive."""
    code, delivered = kind
    return FlowFailure(code, "It went wrong.", delivered)


@dataclass(frozen=True)
class Climate:
    """How bad a world is."""

    troubles: Troubles = NO_TROUBLES
    skewed: bool = False
    lag: timedelta = timedelta(0)
    duplicates: float = 0.0
    delays: float = 0.0
    delayed_by: timedelta = A_MINUTE
    batch: int = 10
    """Messages for one invocation."""
    ticks: int = 1
    """So many each minute."""
    gap: float = 0.0
    """How likely it is, each minute, that ticks stay away for a while."""
    longest_gap: timedelta = timedelta(hours=2)
    failing: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 60.0
    changes: float = 0.0
    """What users do, for each schedule and hour."""


CALM = Climate()


class Deployment:
    """One Spark, and all that goes on in it."""

    def __init__(self, seed: object, climate: Climate = CALM) -> None:
        self.chance = random.Random(f"chaos {seed}")
        self.climate = climate
        self.simulation = Simulation()
        self.watcher = Watcher(self.simulation, climate.lag)
        self.done: Counter[str] = Counter()
        self.table = ChaosTable(lambda: self.simulation.now, lag=climate.lag, keep_history=False)
        self.queue = ChaosQueue(
            lambda: self.simulation.now,
            keep_sent=False,
            chance=self.chance,
            duplicates=climate.duplicates,
            delays=climate.delays,
            delayed_by=climate.delayed_by,
        )
        flows_chance = random.Random(f"flows {seed}")
        rates = (climate.failing, climate.slow, climate.slow_seconds)
        self.flows = Flows(self.simulation, flows_chance, self.watcher, *rates)
        self.calm = False
        self.bucket: Any = MemoryPayloads()
        self.tick_tasks: list[Task] = []
        self._versions: list[dict[Any, Any]] = [{} for _ in range(4)]
        self._skews = [self._skew() for _ in self._versions]
        self._pumps_at: datetime | None = None
        self._names = 0
        self.backfills: list[Backfill] = []
        self._furnish()
        self.table.observer = self.watcher

    def _furnish(self) -> None:
        from tests import world

        process = self.process("setup", troubled=False)
        table: Any = self.table.of(process)
        ProjectStore(table).ensure(Project(project_id=DEFAULT_PROJECT, name="Default", created_at=NOON))
        self.workflows: list[Workflow] = []
        for number in (1, 2, 3):
            check = SourceCheck(reachable=True, supports_background=True)
            source = world.a_source(number, check=check)
            SourceStore(table).save(None, source)
            settings = WorkflowSettings(name="Echo")
            workflow = world.a_workflow(number, source_id=source.id, flow_id=f"flow{number}", settings=settings)
            self.workflows.append(WorkflowStore(table).save(None, workflow))
            WorkflowStore(table).save_version(version_of(workflow, VersionReason.created, "chaos"))
        self.simulation.now += self.climate.lag

    # --- processes -------------------------------------------------------------------------------------------------

    def _skew(self) -> timedelta:
        seconds = self.chance.uniform(-MAX_SKEW_SECONDS, MAX_SKEW_SECONDS) if self.climate.skewed else 0.0
        return timedelta(milliseconds=int(seconds * 1000))

    def process(
        self,
        name: str,
        lives: timedelta | None = None,
        *,
        troubled: bool = True,
        skew: timedelta | None = None,
        crash_at: int | None = None,
    ) -> Process:
        self._names += 1
        troubles = self.climate.troubles if troubled and not self.calm else NO_TROUBLES
        skew = self._skew() if skew is None else skew
        name = f"{name}-{self._names}"
        return Process(self.simulation, self.chance, troubles, skew=skew, lives=lives, crash_at=crash_at, name=name)

    def services(self, process: Process) -> "Services":
        return Services(self, process)

    def run(self, process: Process, work: Callable[[], object]) -> Task:
        """Begin `work` in `process`. How it ends is counted."""

        def counted() -> object:
            try:
                return work()
            except Crash:
                self.done["crashes"] += 1
                raise
            except SparkError as error:
                self.done[type(error).__name__] += 1
                return error
            except BaseException as error:  # of any kind: it ends the simulation, whose driver raises the first one
                self.simulation.broken = self.simulation.broken or error
                raise

        return self.simulation.spawn(counted, process)

    def call(self, process: Process, work: Callable[[], object]) -> Any:
        """Do `work` in `process` and wait for it: what it answered, or the Crash that ended it."""
        task = self.run(process, work)
        self.simulation.join([task])
        return task.error if task.error is not None else task.result

    # --- what AWS does ---------------------------------------------------------------------------------------------

    def tick(self, process: Process | None = None) -> Task:
        """EventBridge starts a tick."""
        process = process or self.process("tick", TICK_LIFE)
        self.done["ticks"] += 1
        ticker = Services(self, process).ticker()
        deadline = process.clock() + TICK_LIFE - timedelta(seconds=5)
        return self.run(process, lambda: ticker.tick(deadline, self._hand_on))

    def _hand_on(self, shard: str) -> None:
        process = self.process("shard", TICK_LIFE)
        self.done["handed_on"] += 1
        ticker = Services(self, process).ticker()
        deadline = process.clock() + TICK_LIFE - timedelta(seconds=5)
        self.run(process, lambda: ticker.tick_shard(shard, deadline))

    def pump_soon(self) -> None:
        """Messages are delivered on the second."""
        due = self.queue.next_due
        if due is None:
            return
        at = max(due, self.simulation.now)
        at = at.replace(microsecond=0) + timedelta(seconds=1) if at.microsecond else at
        if self._pumps_at is None or at < self._pumps_at:
            self._pumps_at = at
            self.simulation.call_at(at, lambda: self._pump(at))

    def _pump(self, at: datetime) -> None:
        if self._pumps_at != at:
            return  # an earlier one was planned meanwhile
        self._pumps_at = None
        while batch := self.queue.receive(self.climate.batch):
            self.deliver(batch)
        self.pump_soon()

    def deliver(self, batch: dict[int, RunMessage], process: Process | None = None) -> Task:
        """Lambda invokes the executor with a batch and acknowledges it if it ends well."""
        number = self.chance.randrange(len(self._versions))
        process = process or self.process("executor", LIFE, skew=self._skews[number])
        executor = Services(self, process).executor(self._versions[number])
        self.done["deliveries"] += len(batch)
        process.messages = frozenset((read.run_id, read.turn) for read in batch.values())
        lease_until = process.clock() + LIFE

        def execute() -> None:
            executor.execute(list(batch.values()), lease_until, "worker", process.name)
            self.queue.acknowledge(list(batch))

        return self.run(process, execute)

    def bury(self) -> None:
        """What the dead-letter queue holds goes to its function."""
        while self.queue.dead:
            self._bury_one(self.queue.dead.pop())

    def _bury_one(self, read: RunMessage) -> None:
        process = self.process("burial")
        services = Services(self, process)
        letters, ended = DeadLetterStore(services.table), services.endings().ended
        self.done["buried"] += 1

        def work() -> None:
            burial.bury(read, process.clock(), WAKE_AFTER, runs=services.runs, dead_letters=letters, ended=ended)

        self.run(process, work)

    # --- what users do ---------------------------------------------------------------------------------------------

    def create(self, settings: dict[str, Any], workflow: int = 0, process: Process | None = None) -> Task:
        process = process or self.process("api")
        now = process.clock()
        id = new_id("sch", now, self.chance.randbytes(10))
        author = Author(DEFAULT_PROJECT, "chaos", now)
        process.intent = Intent("create", id_time(id), settings)
        scheduling = Services(self, process).scheduling()
        wanted = ScheduleSettings.model_validate(settings)
        workflow_id = self.workflows[workflow].id
        return self.run(process, lambda: scheduling.create(author, id, workflow_id, wanted, enabled=True))

    def edit(
        self, id: str, changes: dict[str, Any], enabled: bool | None = None, process: Process | None = None
    ) -> Task:
        process = process or self.process("api")
        now = process.clock()
        process.intent = Intent("edit", now, changes, enabled)
        scheduling = Services(self, process).scheduling()
        author = Author(DEFAULT_PROJECT, "chaos", now)
        return self.run(process, lambda: scheduling.edit(author, id, changes, enabled, _anyone))

    def pause(self, id: str, process: Process | None = None) -> Task:
        process = process or self.process("api")
        now = process.clock()
        process.intent = Intent("pause", now, {}, False)
        scheduling = Services(self, process).scheduling()
        author = Author(DEFAULT_PROJECT, "chaos", now)
        return self.run(process, lambda: scheduling.pause(author, id, None, _anyone))

    def delete(self, id: str, process: Process | None = None) -> Task:
        process = process or self.process("api")
        now = process.clock()
        process.intent = Intent("delete", now)
        scheduling = Services(self, process).scheduling()
        author = Author(DEFAULT_PROJECT, "chaos", now)
        return self.run(process, lambda: scheduling.delete(author, id, _anyone))

    def trigger(self, id: str, process: Process | None = None) -> Task:
        """A run of the schedule by hand."""
        process = process or self.process("api")
        kept = self.watcher.schedules[id]
        now = process.clock()
        project = Project(project_id=DEFAULT_PROJECT, name="Default", created_at=NOON)
        overlap = kept.settings.overlap
        made = Submission(
            project, "chaos", "c", now, WAKE_AFTER, Origin.manual, schedule_id=id, overlap=_unless_allowed(overlap)
        )
        order = Order(kept.settings.input, timeout_seconds=kept.settings.timeout_seconds, retry=kept.settings.retry)
        workflow = next(each for each in self.workflows if each.id == kept.schedule.workflow_id)
        services = Services(self, process)
        stores: dict[str, Any] = {"runs": services.runs, "queue": services.queue, "bucket": self.bucket}
        run = new_id("run", now, self.chance.randbytes(10))
        return self.run(process, lambda: submission.submit(made, workflow, [order], [run], **stores))

    def cancel(self, run: str, process: Process | None = None) -> Task:
        process = process or self.process("api")
        services = Services(self, process)
        stores: dict[str, Any] = {"runs": services.runs, "queue": services.queue}
        return self.run(process, lambda: submission.cancel(DEFAULT_PROJECT, run, process.clock(), **stores))

    def backfill(self, id: str, since: datetime, until: datetime, process: Process | None = None) -> Task:
        process = process or self.process("api")
        kept = self.watcher.schedules[id]
        now = process.clock()
        total = len(in_range(kept.schedule, since, until, now))
        wanted = Backfill(
            project_id=DEFAULT_PROJECT,
            id=new_id("bkf", now, self.chance.randbytes(10)),
            schedule_id=id,
            start_at=since,
            end_at=until,
            reprocess=Reprocess.all,
            total=total,
            cursor=since - timedelta(milliseconds=1),
            wake_at=now,
            created_by="chaos",
            created_at=now,
        )
        filling = Services(self, process).backfilling()
        self.backfills.append(wanted)
        return self.run(process, lambda: filling.start(wanted))

    # --- the course of events --------------------------------------------------------------------------------------

    def tick_every_minute(self, until: datetime) -> None:
        """Ticks, at some second of each minute; now and then they stay away."""
        for _ in range(self.climate.ticks):
            self.simulation.call_at(self.simulation.now + timedelta(seconds=self.chance.uniform(0, 3)), self.tick)
        self.bury()
        following = A_MINUTE
        if self.chance.random() < self.climate.gap:
            following += self.climate.longest_gap * self.chance.random() ** 3
        at = self.simulation.now + following
        if at < until:
            self.simulation.call_at(at, lambda: self.tick_every_minute(until))

    def _settle_audit(self) -> None:
        """Every change of a schedule is in the log, and every entry is sealed, whoever died when."""
        items = [(key.sk, item) for key, item in self.table.items.items()]
        entries = [ENTRIES.decode(item) for sk, item in items if sk.startswith(keys.AUDIT_PREFIX)]
        seals = [SEALS.decode(item) for sk, item in items if sk.startswith(keys.SEAL_PREFIX)]
        told = [[each.model_dump(mode="json") for each in group] for group in (entries, seals)]
        for fault in chains.faults(*told, self.simulation.now + timedelta(days=1)):
            self.watcher.say("wrong", f"{fault.where}: {fault.what}")

    def settle(self) -> None:
        """No more troubles: let everything come to its end, and see that it does."""
        self.calm = True
        simulation = self.simulation
        give_up = simulation.now + PATIENCE
        while simulation.now < give_up:
            wakes = self.table.wakes()
            if not wakes and not simulation.alive and not len(self.queue):
                break
            ahead = (simulation.now + timedelta(seconds=150)).isoformat()
            if any(wake[:19] <= ahead[:19] for wake in wakes):
                self.tick()
            self.bury()
            simulation.sleep(60)
        self._settle_backfills()
        slots: dict[str, Any] = {}
        for key, item in self.table.items.items():
            if key.sk == "SLOT":
                slots[key.pk.split("#", 3)[3]] = item
        self.watcher.settle(simulation.now, slots)
        self._settle_audit()

    def _settle_backfills(self) -> None:
        """Each occurrence in the range has a run of its own, unless its schedule changed or is gone."""
        store: Any = BackfillStore(self.table.of(self.process("look", troubled=False)))  # type: ignore[arg-type]
        for wanted in self.backfills:
            kept = self.watcher.schedules[wanted.schedule_id]
            if kept.deleted or kept.retimed:
                continue
            try:
                found = store.get(DEFAULT_PROJECT, wanted.id)
            except NotFound:  # who asked for it died before it was stored
                continue
            expected = {
                run_id(kept.schedule, at, wanted.id)
                for at in in_range(kept.schedule, wanted.start_at, wanted.end_at, self.simulation.now)
            }
            missing = expected - self.watcher.runs.keys()
            if missing:
                self.watcher.say("lost", f"backfill {wanted.id} has no runs {sorted(missing)[:3]}")
            if (found.status, found.started) != ("completed", len(expected)):
                self.watcher.say("wrong", f"backfill {wanted.id}: {found.status}, {found.started} runs")


class Services:
    """Everything of ours, as one process has it."""

    def __init__(self, deployment: Deployment, process: Process) -> None:
        self.deployment, self.process = deployment, process
        table: Any = deployment.table.of(process)
        queue: Any = QueueView(deployment.queue, process, deployment.pump_soon)
        self.table, self.queue = table, queue
        self.runs, self.workflows, self.sources = RunStore(table), WorkflowStore(table), SourceStore(table)
        self.schedules, self.projects, self.backfills = ScheduleStore(table), ProjectStore(table), BackfillStore(table)
        self.now, self.chance = process.clock, deployment.chance.random

    def recheck(self, runs: Sequence[Run]) -> dict[str, Any | None]:
        return recheck(runs, self.now(), schedules=self.schedules, bucket=self.deployment.bucket)

    def turnstile(self) -> Turnstile:
        return Turnstile(self.schedules, self.runs, self.queue, self.now)

    def endings(self) -> Endings:
        return Endings(self.schedules, self.runs, self.turnstile(), self.now)

    def firing(self) -> Firing:
        return Firing(self.schedules, self.workflows, self.projects, self.runs, self.queue, self.now, WAKE_AFTER)

    def scheduling(self) -> Scheduling:
        return Scheduling(self.schedules, self.workflows, self.sources, self.firing(), self.deployment.bucket)

    def backfilling(self) -> Backfilling:
        stores = (self.backfills, self.schedules, self.workflows, self.projects, self.runs)
        return Backfilling(*stores, self.queue, self.now, WAKE_AFTER)

    def ticker(self) -> Ticker:
        waker = Waker(self.runs, self.workflows, self.queue, self.endings(), self.now, self.chance, WAKE_AFTER)
        patient = replace(self.firing(), sleep=self.process.sleep)
        sealing = Sealing(AuditStore(self.table), self.now)
        return Ticker(WakeStore(self.table), self.schedules, patient, self.backfilling(), waker, sealing, self.now)

    def executor(self, versions: dict[Any, Any]) -> Executor:
        connect: Any = self.deployment.flows.connect
        bucket = self.deployment.bucket
        tries = Attempts(self.runs, self.queue, bucket, connect, self.now, self.chance, WAKE_AFTER)
        gate = Gate(self.sources)
        gate._lock = Turns()  # type: ignore[assignment]
        stores = (self.runs, self.workflows, self.sources)
        enter, ended = self.turnstile().enter, self.endings().ended
        return Executor(*stores, self.queue, tries, gate, self.recheck, enter, ended, self.now, WAKE_AFTER, versions)


def _anyone(schedule: object) -> None:
    """A guard that lets everybody pass."""


def _unless_allowed(overlap: Overlap) -> Overlap | None:
    return None if overlap is Overlap.allow else overlap


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody reads metrics or log lines here, and they cost more than the work."""
    silent: Any = lambda *_, **__: None  # noqa: E731
    modules: tuple[Any, ...] = (execution, burial, endings, overlapping, observability)
    counters = [(module, name) for module in modules for name in ("count", "measure") if hasattr(module, name)]
    real = [(module, name, getattr(module, name)) for module, name in counters]
    loggers = {logging.getLogger("table"), logging.getLogger("shared.store.table")}
    level, others = observability.logger.log_level, [(each, each.level) for each in loggers]
    try:
        for module, name in counters:
            setattr(module, name, silent)
        logging.getLogger(observability.logger.name).setLevel(logging.CRITICAL + 1)
        for each in loggers:
            each.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for module, name, original in real:
            setattr(module, name, original)
        logging.getLogger(observability.logger.name).setLevel(level)
        for each, old in others:
            each.setLevel(old)


class _NoCompression:
    """Takes the place of zlib: the pages of attempts are small, and nobody reads them here."""

    compress = decompress = staticmethod(lambda data: data)


@contextmanager
def quick() -> Iterator[None]:
    """What a world leaves behind is little, and is cleared away when it is over."""
    collecting, compression = gc.isenabled(), codec.zlib  # type: ignore[attr-defined]
    gc.disable()
    codec.zlib = _NoCompression  # type: ignore[attr-defined, assignment]
    try:
        yield
    finally:
        codec.zlib = compression  # type: ignore[attr-defined]
        if collecting:
            gc.enable()


@contextmanager
def deployed(seed: object, climate: Climate = CALM) -> Iterator[Deployment]:
    deployment = Deployment(seed, climate)
    with quiet(), quick(), taking_turns(deployment.simulation):
        yield deployment


# --- worlds -----------------------------------------------------------------------------------------------------------

CRONS = ("* * * * *", "*/5 * * * *", "0 * * * *", "*/20 * * * * *", "7,37 * * * *", "30 */2 * * *", "15 9-18 * * 1-5")
ZONES = ("UTC", "America/Sao_Paulo", "Asia/Kolkata", "Europe/London")
INTERVALS = (5, 10, 30, 45, 60, 90, 300, 420, 900, 1800, 3600)


WORLD = 2000  # occurrences
FEW = 6


@dataclass
class Report:
    """What came of worlds."""

    occurrences: int = 0
    worlds: int = 0
    found: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def __add__(self, other: "Report") -> "Report":
        return Report(
            self.occurrences + other.occurrences,
            self.worlds + other.worlds,
            self.found + other.found,
            self.done + other.done,
            self.told + other.told,
        )

    @property
    def is_clean(self) -> bool:
        return not any(self.found[kind] for kind in KINDS)


def a_climate(chance: random.Random) -> Climate:
    pick = chance.choice
    troubles = Troubles(
        crash=pick([0, 0.0005, 0.002, 0.01]),
        pause=pick([0, 0.02, 0.1]),
        pause_seconds=pick([0.05, 0.5, 3]),
        freeze=pick([0, 0, 0.0005]),
        refuse=pick([0, 0, 0.002]),
        repeat=pick([0, 0.01]),
        busy=pick([0, 0, 0.005]),
        unknown=pick([0, 0, 0.005]),
    )
    return Climate(
        troubles=troubles,
        skewed=chance.random() < 0.6,
        lag=timedelta(seconds=pick([0, 0, 0.2, 2, 15])),
        duplicates=pick([0, 0.02, 0.2]),
        delays=pick([0, 0.02, 0.2]),
        delayed_by=timedelta(seconds=pick([5, 60, 600])),
        batch=pick([1, 3, 10, 10]),
        ticks=pick([1, 2, 3]),
        gap=pick([0, 0.03, 0.1]),
        longest_gap=timedelta(minutes=pick([5, 20, 180])),
        failing=pick([0, 0.05, 0.3]),
        slow=pick([0, 0.02, 0.1]),
        slow_seconds=pick([10, 60, 200]),
        changes=pick([0, 0.2, 2]),
    )


def a_timing(chance: random.Random, now: datetime, end: datetime) -> tuple[dict[str, Any], float]:
    """A timing, and about how often it fires until `end`."""
    lasts = (end - now).total_seconds()
    kind = chance.choice(["cron", "interval", "interval", "once"])
    timing: dict[str, Any] = {"end_at": end, "kind": kind, "timezone": chance.choice(ZONES)}
    if kind == "cron":
        timing["expression"] = chance.choice(CRONS)
        every = {"* * * * *": 60, "*/5 * * * *": 300, "*/20 * * * * *": 20, "7,37 * * * *": 1800}
        count = lasts / every.get(timing["expression"], 3600)
    elif kind == "interval":
        seconds = chance.choice(INTERVALS)
        timing["expression"], count = f"{seconds}s", lasts / seconds
    else:
        at = now + timedelta(seconds=int(chance.uniform(35, lasts - 1)))
        timing["expression"], count = at.isoformat(timespec="seconds"), 1.0
    if chance.random() < 0.2 and kind == "interval":
        timing["start_at"] = now + timedelta(seconds=int(chance.uniform(-3600, 600)))
    if chance.random() < 0.25:
        timing["jitter_seconds"] = chance.choice([1, 10, 60, 600])
    if chance.random() < 0.1:
        excluded = now + timedelta(seconds=int(chance.uniform(0, lasts)))
        timing["exclude"] = (excluded.replace(second=0).isoformat(timespec="seconds"),)
    if chance.random() < 0.15:
        timing["max_runs"] = chance.choice([1, 3, 20])
        count = min(count, timing["max_runs"])
    return timing, count


def some_settings(chance: random.Random, now: datetime, end: datetime) -> tuple[dict[str, Any], float]:
    timing, count = a_timing(chance, now, end)
    settings = {
        **timing,
        "name": "chaos",
        "input": f"input {chance.randrange(10)}",
        "overlap": chance.choice(["allow"] * 3 + ["skip", "queue_one", "queue_all", "cancel_previous"]),
        "catch_up": chance.choice(["last", "all", "none"]),
    }
    if chance.random() < 0.1:
        settings["max_lateness_seconds"] = chance.choice([300, 1200])
    if chance.random() < 0.03:
        settings["pause_after_failures"] = chance.choice([1, 3])
    if chance.random() < 0.05:
        settings["timeout_seconds"] = chance.choice([30, 600])
    return settings, count


def change_something(deployment: Deployment, end: datetime, most: float) -> None:
    """One user does one thing; a new timing fires `most` times."""
    ids = [id for id, kept in deployment.watcher.schedules.items() if not kept.deleted]
    if not ids:
        return
    chance, id = deployment.chance, deployment.chance.choice(ids)
    changes: dict[str, tuple[float, Callable[[], object]]] = {
        "retime": (3, lambda: _retime(deployment, id, end, most)),
        "input": (2, lambda: deployment.edit(id, {"input": f"input {chance.randrange(1000)}"})),
        "pause": (3, lambda: _pause_for_a_while(deployment, id)),
        "resume": (5, lambda: deployment.edit(id, {}, True)),
        "trigger": (3, lambda: deployment.trigger(id)),
        "cancel": (2, lambda: _cancel_one(deployment)),
        "backfill": (1, lambda: _fill_in(deployment, id)),
        "delete": (0.3, lambda: deployment.delete(id)),
    }
    (what,) = chance.choices(list(changes), [weight for weight, _ in changes.values()])
    deployment.done[what] += 1
    changes[what][1]()


NEUTRAL: dict[str, Any] = {"start_at": None, "jitter_seconds": 0, "exclude": (), "max_runs": None}


def _retime(deployment: Deployment, id: str, end: datetime, most: float) -> None:
    timing, count = a_timing(deployment.chance, deployment.simulation.now, end)
    while count > most:
        timing, count = a_timing(deployment.chance, deployment.simulation.now, end)
    deployment.edit(id, NEUTRAL | timing)


def _cancel_one(deployment: Deployment) -> None:
    if runs := list(deployment.watcher.runs)[-100:]:
        deployment.cancel(deployment.chance.choice(runs))


def _pause_for_a_while(deployment: Deployment, id: str) -> None:
    chance = deployment.chance
    if chance.random() < 0.5:
        deployment.pause(id)
    else:
        deployment.edit(id, {}, False)
    if chance.random() < 0.7:
        later = deployment.simulation.now + timedelta(seconds=chance.uniform(0, 400))
        deployment.simulation.call_at(later, lambda: deployment.edit(id, {}, True))


def _fill_in(deployment: Deployment, id: str) -> None:
    """One backfill of a schedule is enough."""
    if not any(each.schedule_id == id for each in deployment.backfills):
        until = deployment.simulation.now - timedelta(seconds=60)
        deployment.backfill(id, until - timedelta(minutes=20), until)


def run_world(seed: object, occurrences: int = WORLD) -> Report:
    """A world of about so many occurrences, from its beginning to its end. One of ten is crowded: schedules that fire
    a few times each, as many as it takes."""
    chance = random.Random(f"world {seed}")
    crowded = chance.random() < 0.1
    with deployed(seed, a_climate(chance)) as deployment:
        simulation = deployment.simulation
        began, hours = simulation.now, chance.choice([0.5, 1, 2, 4])
        end = (began + timedelta(hours=hours)).replace(microsecond=0)
        planned, most = 0.0, FEW if crowded else occurrences / 2
        while planned < occurrences:
            settings, count = some_settings(chance, began, end)
            if count > most:
                continue
            planned += count
            at = began + timedelta(seconds=chance.uniform(0, 60 if chance.random() < 0.9 else hours * 1800))
            workflow = chance.randrange(3)
            simulation.call_at(at, lambda s=settings, w=workflow: deployment.create(s, w))  # type: ignore[misc]
            deployment.done["schedules"] += 1
        changes = int(deployment.climate.changes * hours * min(deployment.done["schedules"], 200))
        for _ in range(changes):
            at = began + timedelta(seconds=chance.uniform(60, hours * 3600 - 60))
            simulation.call_at(at, lambda: change_something(deployment, end, most))
        deployment.tick_every_minute(end)
        simulation.sleep((end - began).total_seconds() + 1)
        deployment.settle()
        return report_of(deployment, seed)


def report_of(deployment: Deployment, seed: object) -> Report:
    watcher = deployment.watcher
    found = Counter({kind: watcher.found[kind] for kind in KINDS})
    done = Counter(deployment.done)
    done["duplicates"] = deployment.queue.duplicated
    done["steps"], done["calls"] = deployment.simulation.steps, deployment.flows.calls
    done["inconsistent"], done["revived"] = watcher.inconsistent, watcher.revived
    done["runs"] = len(watcher.runs)
    return Report(watcher.occurrences_seen(), 1, found, done, [f"[{seed}] {text}" for text in watcher.told])
