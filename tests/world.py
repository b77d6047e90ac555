"""A whole Spark in memory, driven by virtual time: records to start from, executors, the tick, and what lies between.

`World.settle` plays AWS: it delivers due messages in batches, ticks each minute, and jumps to the next moment at which
something can happen, until every run is over.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.domain import firing, message
from shared.domain.attempt import Attempt
from shared.domain.message import RunMessage
from shared.domain.project import DEFAULT_PROJECT, Project
from shared.domain.record import derived_id
from shared.domain.run import Run
from shared.domain.schedule import Schedule, ScheduleSettings
from shared.domain.source import Source
from shared.domain.workflow import VersionReason, Workflow, WorkflowSettings, WorkflowVersion, version_of
from shared.errors import Delivered, FlowFailure
from shared.services import burial, submission
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
from shared.services.ticking import Ticked, Ticker
from shared.services.waking import Waker
from shared.store import keys
from shared.store.audit import AuditStore
from shared.store.backfills import BackfillStore
from shared.store.dead_letters import DeadLetterStore
from shared.store.projects import ProjectStore
from shared.store.runs import RunFilter, RunStore
from shared.store.schedules import ScheduleStore
from shared.store.sources import SourceStore
from shared.store.table import Change
from shared.store.wake import WakeStore
from shared.store.workflows import WorkflowStore
from tests.fakes import NOON, Clock, Crash, Faults, MemoryPayloads, MemoryQueue, MemoryTable, ScriptedLangFlow

WAKE_AFTER = timedelta(minutes=5)
LEASE = timedelta(minutes=5)
TICK = timedelta(minutes=1)

BUSY = FlowFailure("upstream_unavailable", "LangFlow answered 503.", Delivered.no, status=503)
CUT_OFF = FlowFailure("disconnected", "The connection to LangFlow broke.", Delivered.unknown)
BROKEN = FlowFailure("flow_failed", "The prompt is empty.", Delivered.yes, status=200)


def id_of(prefix: str, number: int, at: datetime = NOON) -> str:
    return derived_id(prefix, at, str(number))


def a_project(**changes: Any) -> Project:
    return Project(**{"project_id": DEFAULT_PROJECT, "name": "Default", "created_at": NOON, **changes})


def a_source(number: int = 1, **changes: Any) -> Source:
    return Source(
        **{
            "project_id": DEFAULT_PROJECT,
            "id": id_of("src", number),
            "name": "lab",
            "url": "http://langflow.test",
            "created_at": NOON,
            "updated_at": NOON,
            **changes,
        }
    )


def a_workflow(number: int = 1, **changes: Any) -> Workflow:
    return Workflow(
        **{
            "project_id": DEFAULT_PROJECT,
            "id": id_of("wf", number),
            "source_id": id_of("src", 1),
            "flow_id": "flow-1",
            "settings": WorkflowSettings(name="Echo"),
            "created_at": NOON,
            "updated_at": NOON,
            **changes,
        }
    )


def a_version(workflow: Workflow, **changes: Any) -> WorkflowVersion:
    return version_of(workflow, VersionReason.created, "key_test").model_copy(update=changes)


def a_run(number: int = 1, **changes: Any) -> Run:
    """A run as `submit` makes it at noon."""
    return Run(
        **{
            "project_id": DEFAULT_PROJECT,
            "id": id_of("run", number),
            "workflow_id": id_of("wf", 1),
            "workflow_version": 1,
            "created_by": "key_test",
            "created_at": NOON,
            "correlation_id": "c-1",
            "input": "Hello",
            "timeout_seconds": 120,
            "wake_at": NOON + WAKE_AFTER,
            **changes,
        }
    )


def settings_of(**changes: Any) -> ScheduleSettings:
    return ScheduleSettings(**{"kind": "cron", "expression": "0 * * * *", "name": "Hourly", **changes})


def a_schedule(number: int = 1, **changes: Any) -> Schedule:
    """A schedule as it is made at noon, each minute. `changes` may name fields of the schedule and of its settings."""
    said = {name: changes.pop(name) for name in list(changes) if name in ScheduleSettings.model_fields}
    created = changes.get("created_at", NOON)
    settings = ScheduleSettings(**{"kind": "cron", "expression": "* * * * *", "name": "Minutely", **said})
    schedule = Schedule(
        **{
            "project_id": DEFAULT_PROJECT,
            "id": id_of("sch", number, created),
            "workflow_id": id_of("wf", 1),
            "settings": settings,
            "effective_at": created,
            "watermark": firing.beginning(settings, created),
            "created_by": "key_test",
            "created_at": created,
            "updated_at": created,
            **changes,
        }
    )
    return schedule if "wake_at" in changes else firing.scheduled(schedule)


def a_message(run: Run, **changes: Any) -> RunMessage:
    return message.announce(run).message.model_copy(update=changes)


@dataclass
class World:
    """One deployment. Executors made by `executor()` share everything but their memory."""

    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    langflow: ScriptedLangFlow = field(default_factory=ScriptedLangFlow)
    lag: timedelta = timedelta(0)
    chance: float = 0.5
    source: Source = field(default_factory=a_source)
    workflow: Workflow = field(default_factory=a_workflow)
    visibility: timedelta = timedelta(minutes=30)

    def __post_init__(self) -> None:
        self.table: Any = MemoryTable(self.clock, lag=self.lag, faults=self.faults)
        self.queue: Any = MemoryQueue(self.clock, visibility=self.visibility, faults=self.faults)
        self.bucket: Any = MemoryPayloads(self.faults)
        self.runs = RunStore(self.table)
        self.seen = RunStore(self.table.quietly())
        self.sources = SourceStore(self.table)
        self.workflows = WorkflowStore(self.table)
        self.schedules = ScheduleStore(self.table)
        self.backfills = BackfillStore(self.table)
        self.projects = ProjectStore(self.table)
        self.audit = AuditStore(self.table)
        self.dead_letters = DeadLetterStore(self.table)
        self.project = self.projects.ensure(a_project())
        self.source = self.sources.save(None, self.source)
        self.workflow = self.workflows.save(None, self.workflow)
        self.workflows.save_version(a_version(self.workflow))
        self.clock.forward(self.lag.total_seconds())
        self.faults.steps.clear()
        self._worker = self.executor()
        self._invocations = itertools.count(1)

    def executor(self) -> Executor:
        attempts = Attempts(
            self.runs,
            self.queue,
            self.bucket,
            self.langflow.connect,  # type: ignore[arg-type]
            self.clock,
            lambda: self.chance,
            WAKE_AFTER,
        )
        stores = (self.runs, self.workflows, self.sources)
        gates = (Gate(self.sources), self.recheck, self.turnstile().enter, self.endings().ended)
        return Executor(*stores, self.queue, attempts, *gates, self.clock, WAKE_AFTER)

    def recheck(self, runs: Sequence[Run]) -> dict[str, Any]:
        return recheck(runs, self.clock.at, schedules=self.schedules, bucket=self.bucket)

    def ticker(self) -> Ticker:
        chance = lambda: self.chance  # noqa: E731
        waker = Waker(self.runs, self.workflows, self.queue, self.endings(), self.clock, chance, WAKE_AFTER)
        wake = WakeStore(self.table)
        sealing = Sealing(self.audit, self.clock)
        return Ticker(wake, self.schedules, self.firing(), self.backfilling(), waker, sealing, self.clock)

    def firing(self) -> Firing:
        return Firing(self.schedules, self.workflows, self.projects, self.runs, self.queue, self.clock, WAKE_AFTER)

    def scheduling(self) -> Scheduling:
        return Scheduling(self.schedules, self.workflows, self.sources, self.firing(), self.bucket)

    def backfilling(self) -> Backfilling:
        stores = (self.backfills, self.schedules, self.workflows, self.projects, self.runs)
        return Backfilling(*stores, self.queue, self.clock, WAKE_AFTER)

    def turnstile(self) -> Turnstile:
        return Turnstile(self.schedules, self.runs, self.queue, self.clock)

    def endings(self) -> Endings:
        return Endings(self.schedules, self.runs, self.turnstile(), self.clock)

    def schedule(self, number: int = 1, **changes: Any) -> Schedule:
        """A schedule that was made just now and stored as it is: nothing of it has fired."""
        return self.schedules.save(None, a_schedule(number, **{"created_at": self.clock.at, **changes}))

    def now_of(self, schedule: Schedule) -> Schedule:
        """`schedule` as it is stored now."""
        return ScheduleStore(self.table.quietly()).get(schedule.project_id, schedule.id)

    def runs_of(self, schedule: Schedule) -> list[Run]:
        """Its runs, oldest first."""
        filter = RunFilter(schedule_id=schedule.id)
        return self.seen.list(schedule.project_id, filter, limit=5000).items[::-1]

    def submit(self, count: int = 1, **order: Any) -> list[Run]:
        order = {"input": "Hello", **order}
        submitted = Submission(self.project, "key_test", "c-1", self.clock.at, WAKE_AFTER)
        ids = [id_of("run", number) for number in range(1, count + 1)]
        orders = [Order(**order) for _ in ids]
        made = submission.submit(
            submitted, self.workflow, orders, ids, runs=self.runs, queue=self.queue, bucket=self.bucket
        )
        return [submission.stored(run) for run in made]

    def cancel(self, run: Run) -> Run:
        return submission.cancel(run.project_id, run.id, self.clock.at, runs=self.runs, queue=self.queue)

    def execute(self, messages: Sequence[RunMessage], executor: Executor | None = None) -> None:
        invocation = f"call-{next(self._invocations)}"
        (executor or self._worker).execute(messages, self.clock.at + LEASE, "worker-1", invocation)

    def tick(self) -> Ticked:
        """One tick, and what it hands on."""
        ticker, deadline, handed_on = self.ticker(), self.clock.at + TICK, list[str]()
        ticked = ticker.tick(deadline, handed_on.append)
        return sum((ticker.tick_shard(shard, deadline) for shard in handed_on), ticked)

    def bury(self, read: RunMessage) -> None:
        stores: dict[str, Any] = {"runs": self.runs, "dead_letters": self.dead_letters}
        burial.bury(read, self.clock.at, WAKE_AFTER, **stores, ended=self.endings().ended)

    def run(self, id: str | Run) -> Run:
        return self.seen.get(DEFAULT_PROJECT, id if isinstance(id, str) else id.id)

    def all_runs(self) -> list[Run]:
        return self.seen.list(DEFAULT_PROJECT, RunFilter(), limit=1000).items

    def pages(self, run: Run) -> list[Attempt]:
        return self.seen.pages(run.project_id, run.id)

    def put(self, *runs: Run) -> list[Run]:
        """Store `runs` as they are; nobody announces them."""
        assert all(self.runs.add(runs))
        return [self.run(run.id) for run in runs]

    def deliver(self, limit: int = 10, executor: Executor | None = None) -> int:
        """Hand one batch to an executor and acknowledge what it does not fail; the number of messages."""
        batch = self.queue.receive(limit)
        if batch:
            try:
                self.execute(list(batch.values()), executor)
            except Exception:  # noqa: BLE001  # as the handler does: the batch comes again
                return len(batch)
            self.queue.acknowledge(list(batch))
        return len(batch)

    def deliver_and_die(self) -> bool:
        """As `deliver`, in a process that may crash; True if it did. A new one goes on from there."""
        try:
            self.deliver()
        except Crash:
            self.restart()
            return True
        return False

    def restart(self) -> None:
        self.faults.revive()
        self._worker = self.executor()

    def settle(self, within: timedelta = timedelta(hours=30)) -> None:
        """Let time go by until every run is over."""
        start, last_tick = self.clock.at, self.clock.at
        while waiting := _unfinished(self.all_runs()):
            assert self.clock.at < start + within, f"not over after {within}: {waiting}"
            while self.deliver():
                pass
            # The ticks in between find nothing: only one in the minute after a run is due on Wake has work.
            wakes = [run.wake_at for run in _unfinished(self.all_runs()) if run.wake_at is not None]
            minutes = math.ceil((min(wakes, default=start) - start) / TICK)
            tick_at = max(start + minutes * TICK, last_tick + TICK)
            self.clock.jump(min(tick_at, self.queue.next_due or tick_at))
            if self.clock.at >= tick_at:
                self.tick()
                last_tick = tick_at


def _unfinished(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if not run.is_final]


def unreadable(world: World, run: Run) -> None:
    """`run` as a newer Spark left it."""
    key = keys.run(run.project_id, run.id)
    item = world.table.get(key)
    world.table.put(Change(item, {**item, "schema": 99}))
