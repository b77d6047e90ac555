"""The oracle: watches every write, knows every user's intent, and says what should not have happened.

It shares with the core the list of a timing's occurrences (proven by `property/test_recurrence.py`) and their jitter,
and nothing else: what is in force when, what is late, what is counted and who may run is decided here once more.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.domain.overlap import Overlap
from shared.domain.record import id_time
from shared.domain.run import FINAL
from shared.domain.schedule import CatchUp, Schedule, ScheduleSettings, jitter
from shared.domain.timing import TIMING, next_occurrence
from shared.store import keys
from shared.store.keys import Key
from shared.store.runs import _decode as read_run
from shared.store.schedules import SLOTS, ScheduleStore
from shared.store.table import Item
from tests.chaos.simulation import Process, Simulation

ON_TIME = timedelta(seconds=300)
A_MINUTE = timedelta(minutes=1)
EARLY = timedelta(seconds=1)
A_MILLISECOND = timedelta(milliseconds=1)
CALLED_OFF = '"schedule_changed"'
ENDS = frozenset(str(status) for status in FINAL)
KINDS = ("lost", "doubled", "stuck", "wrong")
MAX_TOLD = 20


@dataclass
class Intent:
    """What a user asks for a schedule, at a time by the clock of who asks."""

    what: str  # create, edit, pause, delete
    at: datetime
    changes: dict[str, Any] = field(default_factory=dict)
    enabled: bool | None = None


@dataclass
class Window:
    """A timing in force: its occurrences after `after`, up to and with `until`."""

    timing: ScheduleSettings
    anchor: datetime
    after: datetime
    until: datetime | None = None

    def has(self, at: datetime) -> bool:
        inside = at > self.after and (self.until is None or at <= self.until)
        return inside and next_occurrence(self.timing, self.anchor, at - A_MILLISECOND) == at


@dataclass
class Phase:
    """What was wanted of a schedule since `since`, true time."""

    since: datetime
    what: str  # create, retime, pause, resume, input, delete
    enabled: bool
    windows: tuple[Window, ...]
    changed: datetime
    """When, by the clock of who did it."""
    input: str
    overlap: Overlap

    def wants(self, at: datetime) -> bool:
        return self.enabled and any(window.has(at) for window in self.windows)


@dataclass
class Kept:
    """A schedule as it should be."""

    schedule: Schedule
    watermark: datetime
    windows: list[Window] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    fired: set[datetime] = field(default_factory=set)
    called_off: dict[datetime, datetime] = field(default_factory=dict)
    """When, by occurrence."""
    skipped: int = 0
    waiting: tuple[str, ...] = ()
    deleted: bool = False
    retimed: bool = False

    @property
    def settings(self) -> ScheduleSettings:
        return self.schedule.settings

    @property
    def is_used_up(self) -> bool:
        return self.settings.max_runs is not None and len(self.fired) >= self.settings.max_runs

    def phases_since(self, since: datetime) -> list[Phase]:
        """Those in force at some time from `since` on."""
        first = max((n for n, phase in enumerate(self.phases) if phase.since < since), default=0)
        return self.phases[first:]

    def follows(self, at: datetime) -> datetime | None:
        return next_occurrence(self.settings, self.schedule.anchor, at)

    def fires_at(self, at: datetime) -> datetime:
        return at + jitter(self.schedule, at)

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        found, at = [], self.follows(after)
        while at is not None and at <= until:
            found.append(at)
            at = self.follows(at)
        return found


@dataclass(slots=True)
class Told:
    """A run as far as it is known."""

    id: str
    schedule: str | None
    at: datetime | None
    origin: str
    made: datetime
    status: str = "pending"
    turn: int = 0
    attempt: int = 0
    called: int = 0  # the last attempt that called LangFlow
    started: datetime | None = None
    due: datetime | None = None
    holder: Process | None = None  # who claimed the last attempt
    ended: datetime | None = None
    cancelling: bool = False
    put_off: int | None = None
    """How many windows its schedule had had when it was found to be unwanted, for the first time."""


class Watcher:
    """Collects what was wrong, by kind."""

    def __init__(self, simulation: Simulation, lag: timedelta) -> None:
        self._simulation, self._lag = simulation, lag
        self.runs: dict[str, Told] = {}
        self.schedules: dict[str, Kept] = {}
        self.unfinished: dict[str, Told] = {}
        self.occurrences: dict[tuple[str, datetime], str] = {}
        self.found: Counter[str] = Counter()
        self.told: list[str] = []
        self.active: defaultdict[str, dict[str, Process]] = defaultdict(dict)
        self.inconsistent = 0
        """Fired and counted as missed, too: put by somebody who died before the schedule was advanced."""
        self.revived = 0
        """Started after an edit had called them off, since a second edit came before their message did."""

    def say(self, kind: str, text: str) -> None:
        self.found[kind] += 1
        if len(self.told) < MAX_TOLD:
            self.told.append(f"{kind}: {text} (at {self._simulation.now:%d %H:%M:%S.%f})")

    # --- what is written -------------------------------------------------------------------------------------------

    def wrote(self, key: Key, before: Item | None, after: Item | None) -> None:
        process = self._simulation.current.process
        if process is None or key.sk.startswith((keys.AUDIT_PREFIX, keys.SEAL_PREFIX)):
            return
        _, _, kind, id = key.pk.split("#", 3)
        if kind == "RUN" and key.sk == "RECORD" and after is not None:
            self._run(id, before, after, process)
        elif kind == "SCHEDULE" and key.sk == "RECORD":
            self._schedule(id, before, after, process)
        elif kind == "SCHEDULE" and after is not None:
            self._slot(id, before, after, process)

    def _run(self, id: str, before: Item | None, after: Item, process: Process) -> None:
        status = str(after["status"])
        told = self._made(id, after, process) if before is None else self.runs[id]
        if before is not None and str(before["status"]) in ENDS:
            return self.say("wrong", f"run {id} was {before['status']!r} and became {status}")
        turn, attempt = int(after.get("turn", 0)), int(after.get("attempt", 0))
        if turn < told.turn:
            self.say("wrong", f"the turn of run {id} went back to {turn}")
        if attempt != told.attempt:
            self._claimed(told, attempt, process)
        elif status == "running" and turn > told.turn and "claim" in after:
            process.attempts[id] = attempt  # a poll
        if told.status == "running" and status != "running" and '"worker_lost"' in str(after.get("error", "")):
            self._given_up(told, process)
        told.turn, told.attempt, told.status = turn, attempt, status
        told.cancelling = "cancel_requested_at" in after
        if status in ENDS:
            self._ended(told, after, process)
        elif told.put_off is None and CALLED_OFF in str(after.get("error", "")):
            self._put_off(told, process)
        return None

    def _given_up(self, told: Told, process: Process) -> None:
        """Who is given up must be dead, or close to it: the clocks of two may be a minute apart."""
        holder = told.holder
        if holder is None or holder is process or holder.dead or holder.ends is None:
            return
        busy = any(active.get(told.id) is holder for active in self.active.values())
        if busy and self._simulation.now < holder.ends - A_MINUTE:
            self.say("wrong", f"run {told.id} was taken from {holder.name}, which works on it")

    def _made(self, id: str, item: Item, process: Process) -> Told:
        run = read_run(item)
        owner, origin, at = run.schedule_id, str(run.origin), run.scheduled_for
        if id in self.runs:
            self.say("doubled", f"run {id} was made twice")
        told = self.runs[id] = self.unfinished[id] = Told(id, owner, at, origin, self._simulation.now)
        if origin != "schedule":
            return told
        assert owner is not None
        assert at is not None
        if (owner, at) in self.occurrences:
            self.say("doubled", f"{owner} has two runs for {at}: {self.occurrences[owner, at]} and {told.id}")
        self.occurrences[owner, at] = id
        kept = self.schedules[owner]
        phases = kept.phases_since(process.began - self._lag)
        if len(phases) == 1 and kept.fires_at(at) > self._simulation.now + process.skew:
            told.due = kept.fires_at(at)  # to whoever made it, it lay ahead; and there was one jitter only
        if not any(window.has(at) for phase in phases for window in phase.windows):
            self.say("doubled", f"{owner} got a run for {at}, which it never wanted")
        return told

    def _claimed(self, told: Told, attempt: int, process: Process) -> None:
        if attempt != told.attempt + 1:
            self.say("wrong", f"attempt {told.attempt} of run {told.id} was followed by {attempt}")
        process.attempts[told.id] = attempt
        told.holder = process
        if (told.id, told.turn) not in process.messages:
            self.say("wrong", f"turn {told.turn} of run {told.id} was claimed without a message that announced it")
        if told.due is not None and told.due - (self._simulation.now + process.skew) > EARLY:
            self.say("wrong", f"run {told.id} started at {self._simulation.now}, before its time {told.due}")
        if attempt == 1 and told.origin == "schedule" and told.schedule is not None and told.at is not None:
            phases = self.schedules[told.schedule].phases_since(process.began)
            if not any(phase.wants(told.at) for phase in phases):
                if self._may_be_forgotten(self.schedules[told.schedule], told.at):
                    self.revived += 1
                    return
                self.say("wrong", f"run {told.id} of {told.schedule} started for {told.at}, which was not wanted")

    def _may_be_forgotten(self, kept: Kept, at: datetime) -> bool:
        """A schedule remembers its last change only: a run that one called off starts if another came before it.

        A pause and the resume after it are one change.
        """
        first = next(n for n, phase in enumerate(kept.phases) if any(window.has(at) for window in phase.windows))
        gone = [n for n, phase in enumerate(kept.phases) if n > first and not any(w.has(at) for w in phase.windows)]
        if not gone:
            return False
        later = [phase for phase in kept.phases[gone[0] + 1 :] if phase.what != "input"]
        return len(later) >= (2 if kept.phases[gone[0]].what == "pause" else 1)

    def _ended(self, told: Told, item: Item, process: Process) -> None:
        told.ended = self._simulation.now
        self.unfinished.pop(told.id, None)
        code = str(item.get("error", ""))
        if told.status == "completed" and told.called != told.attempt:
            self.say("wrong", f"run {told.id} completed attempt {told.attempt} without a call")
        if told.status == "cancelled" and CALLED_OFF in code and told.schedule is not None:
            self._called_off(told, process)
        if told.status == "skipped" and told.schedule is not None:
            self._skipped(told, self.schedules[told.schedule])

    def _skipped(self, told: Told, kept: Kept) -> None:
        """Where one may wait, an older one is left out for a newer one, never the other way round."""
        kept.skipped += 1
        always = {phase.overlap for phase in kept.phases} == {Overlap.queue_one}
        if always and told.origin == "schedule" and not any(other > told.id for other in kept.waiting):
            self.say("wrong", f"run {told.id} of {kept.schedule.id} was left out for an older one of {kept.waiting}")

    def _put_off(self, told: Told, process: Process) -> None:
        kept = self.schedules[str(told.schedule)]
        if self._is_wanted(told, kept, process):
            self.say("lost", f"run {told.id} of {told.schedule} for {told.at} was put off without a reason")
        told.put_off = len(kept.windows)

    def _called_off(self, told: Told, process: Process) -> None:
        kept = self.schedules[str(told.schedule)]
        if told.origin == "backfill":
            if not kept.deleted:
                self.say("lost", f"run {told.id} of a backfill was called off")
            return
        assert told.at is not None
        kept.called_off[told.at] = self._simulation.now
        if told.attempt or self._is_wanted(told, kept, process):
            self.say("lost", f"run {told.id} of {told.schedule} for {told.at} was called off without a reason")

    def _is_wanted(self, told: Told, kept: Kept, process: Process) -> bool:
        """Whatever else `process` may have seen. What was unwanted once takes a timing that came into force later."""
        at = told.at
        if at is None or (kept.is_used_up and at not in kept.fired):
            return False
        again = told.put_off is None or any(window.has(at) for window in kept.windows[told.put_off :])
        return again and all(phase.wants(at) for phase in kept.phases_since(process.began))

    # --- schedules -------------------------------------------------------------------------------------------------

    def _schedule(self, id: str, before: Item | None, after: Item | None, process: Process) -> None:
        if after is None:
            kept = self.schedules[id]
            kept.deleted = True
            self._begin_phase(kept, "delete", process.readings[-1], enabled=False)
            return
        if before is None:
            self._created(id, after, process)
            return
        kept = self.schedules[id]
        old, new = (ScheduleStore.codec.decode(item) for item in (before, after))
        if (old.updated_at, old.enabled, old.settings) != (new.updated_at, new.enabled, new.settings):
            self._edited(kept, old, new, process)
        else:
            self._advanced(kept, old, new, process)
        if new.fired != len(kept.fired):
            told = f"{id} says it fired {new.fired} times; it was {len(kept.fired)}"
            self.say("wrong", f"{told} ({process.name}, {process.intent})")

    def _created(self, id: str, item: Item, process: Process) -> None:
        intent: Intent = process.intent
        schedule = Schedule(
            id=id,
            project_id="default",
            workflow_id=ScheduleStore.codec.decode(item).workflow_id,
            settings=ScheduleSettings.model_validate(intent.changes),
            effective_at=intent.at,
            watermark=intent.at,
            created_by="chaos",
            created_at=id_time(id),
            updated_at=intent.at,
        )
        kept = self.schedules[id] = Kept(schedule, intent.at)
        if schedule.enabled:
            self._open(kept, intent.at)
        self._begin_phase(kept, "create", intent.at, enabled=schedule.enabled)

    def _edited(self, kept: Kept, before: Schedule, after: Schedule, process: Process) -> None:
        intent, enabled = process.intent, before.enabled
        if not isinstance(intent, Intent) or intent.what in ("create", "delete"):
            return self._paused_by_failures(kept, after, process)
        known = len(kept.windows)
        at = max(intent.at, kept.phases[-1].changed)  # changes happen in the order in which they are stored
        if intent.changes:
            self._resettled(kept, intent, at, enabled=enabled)
        if intent.enabled is False and enabled:
            self._close(kept, at)
        if intent.enabled is True and not enabled:
            self._open(kept, at)
        what = {None: "input", True: "resume", False: "pause"}[intent.enabled]
        what = "retime" if TIMING & intent.changes.keys() else what
        self._require_not_called_off(kept, kept.windows[known:], process)
        return self._begin_phase(kept, what, at, enabled=enabled if intent.enabled is None else intent.enabled)

    def _paused_by_failures(self, kept: Kept, after: Schedule, process: Process) -> None:
        at = max(process.readings[-1], kept.phases[-1].changed)
        if after.enabled or kept.settings.pause_after_failures is None:
            self.say("wrong", f"{kept.schedule.id} was changed by {process.name}")
        self._close(kept, at)
        self._begin_phase(kept, "pause", at, enabled=False)

    def _resettled(self, kept: Kept, intent: Intent, at: datetime, *, enabled: bool) -> None:
        settings = ScheduleSettings.model_validate({**kept.settings.model_dump(), **intent.changes})
        retimed = any(getattr(settings, name) != getattr(kept.settings, name) for name in TIMING)
        if retimed and enabled and intent.enabled is not False:
            self._require_all_dealt_with(kept, intent.at)
        if retimed and enabled:
            self._close(kept, at)
        kept.schedule = kept.schedule.model_copy(update={"settings": settings})
        if not retimed:
            return
        kept.retimed = True
        kept.fired = {each for each in kept.fired if each <= at}
        kept.watermark = self._beginning(kept, at)
        if enabled:
            self._open(kept, at)

    def _require_all_dealt_with(self, kept: Kept, at: datetime) -> None:
        """What was due before a change is not lost by it."""
        owed = kept.follows(kept.watermark)
        if owed is not None and owed <= at and not kept.is_used_up:
            self.say("lost", f"an edit of {kept.schedule.id} swallowed {owed}")

    def _require_not_called_off(self, kept: Kept, opened: list[Window], process: Process) -> None:
        """Nothing that is wanted from now on was called off for good before its user asked for it."""
        for at, ended in kept.called_off.items():
            if ended < process.began and any(window.has(at) for window in opened):
                self.say("lost", f"{kept.schedule.id} wants {at} again, which was called off at {ended}")

    def _beginning(self, kept: Kept, at: datetime) -> datetime:
        start = kept.settings.start_at
        return at if start is None else max(at, start - A_MILLISECOND)

    def _open(self, kept: Kept, at: datetime) -> None:
        kept.watermark = self._beginning(kept, at)
        kept.windows.append(Window(kept.settings, kept.schedule.anchor, kept.watermark))

    def _close(self, kept: Kept, at: datetime) -> None:
        """From `at` on, by the clock of who said so, nothing more is wanted of the timing in force."""
        kept.watermark = min(kept.watermark, at)
        kept.fired = {each for each in kept.fired if each <= at}
        if kept.windows and kept.windows[-1].until is None:
            kept.windows[-1].until = at

    def _begin_phase(self, kept: Kept, what: str, changed: datetime, *, enabled: bool) -> None:
        windows = tuple(Window(w.timing, w.anchor, w.after, w.until) for w in kept.windows)
        settings = kept.settings
        told = (settings.input, settings.overlap)
        kept.phases.append(Phase(self._simulation.now, what, enabled, windows, changed, *told))

    def _advanced(self, kept: Kept, before: Schedule, after: Schedule, process: Process) -> None:
        """Whoever advances the watermark says of everything up to it that it fired, or was missed."""
        to = after.watermark
        if to < kept.watermark:
            self.say("wrong", f"the watermark of {kept.schedule.id} went back from {kept.watermark} to {to}")
        early, late = min(process.readings), self._simulation.now + process.skew
        fired = missed = 0
        passed = kept.between(kept.watermark, to)
        following = [*passed, kept.follows(to)][1:]
        for at, newer in zip(passed, following, strict=True):
            exists = (kept.schedule.id, at) in self.occurrences
            must, may = self._judge(kept, at, newer, early, late)
            if must and not exists:
                self.say("lost", f"{kept.schedule.id} never fired for {at} ({process.name})")
            if exists and not may:
                self.inconsistent += 1
            fires = exists and may
            fired, missed = fired + fires, missed + (not fires)
            if fires:
                kept.fired.add(at)
        kept.watermark = max(kept.watermark, to)
        told = [after.fired - before.fired, after.skipped_missed - before.skipped_missed]
        if told != [fired, missed]:
            self.say("wrong", f"{kept.schedule.id} counts {told} fired and missed instead of {[fired, missed]}")
        if kept.settings.max_runs is not None and len(kept.fired) > kept.settings.max_runs and fired:
            self.say("wrong", f"{kept.schedule.id} fired {len(kept.fired)} times")

    def _judge(
        self, kept: Kept, at: datetime, newer: datetime | None, early: datetime, late: datetime
    ) -> tuple[bool, bool]:
        """Must `at` fire, and may it? It was evaluated between `early` and `late`, by the clock of who did."""
        fires_at = kept.fires_at(at)
        follows = kept.fires_at(newer) if newer is not None else None
        verdicts = [
            self._fires(kept.settings, now - fires_at, None if follows is None else now - follows)
            for now in (early, late)
        ]
        return all(verdicts), any(verdicts)

    def _fires(self, settings: ScheduleSettings, late: timedelta, newer_late: timedelta | None) -> bool:
        if late <= ON_TIME:
            return True
        if settings.max_lateness_seconds is not None and late > timedelta(seconds=settings.max_lateness_seconds):
            return False
        match settings.catch_up:
            case CatchUp.all:
                return True
            case CatchUp.none:
                return False
        return newer_late is None or newer_late <= ON_TIME

    # --- slots -----------------------------------------------------------------------------------------------------

    def _slot(self, schedule: str, before: Item | None, after: Item, process: Process) -> None:
        """Who waited first goes first, unless it is over; and who comes last stands last."""
        kept, new = self.schedules[schedule], SLOTS.decode(after)
        old = SLOTS.decode(before) if before else new
        kept.waiting = new.queue
        if {phase.overlap for phase in kept.phases} != {Overlap.queue_all}:
            return
        stayed = [id for id in old.queue if id in new.queue]
        if list(new.queue[: len(stayed)]) != stayed:
            self.say("wrong", f"the queue of {schedule} went from {old.queue} to {new.queue} ({process.name})")
        if new.holder is None or new.holder == old.holder:
            return
        ahead = old.queue[: old.queue.index(new.holder)] if new.holder in old.queue else old.queue
        if waiting := [id for id in ahead if id in self.unfinished]:
            self.say("wrong", f"run {new.holder} came before {waiting}, who waited longer ({process.name})")

    # --- LangFlow --------------------------------------------------------------------------------------------------

    def called(self, id: str, input: str, process: Process) -> None:
        told = self.runs[id]
        attempt = process.attempts.get(id)
        if attempt is None:
            self.say("doubled", f"run {id} was executed by {process.name}, which had not claimed it")
        elif attempt <= told.called:
            self.say("doubled", f"attempt {attempt} of run {id} was executed twice")
        told.called = max(told.called, attempt or 0)
        told.started = told.started or self._simulation.now
        if told.schedule is None:
            return
        kept = self.schedules[told.schedule]
        phases = kept.phases_since(process.began)
        if attempt == 1 and told.origin in ("schedule", "backfill") and input not in {phase.input for phase in phases}:
            self.say("wrong", f"run {id} ran with the input {input!r}")
        active = self.active[told.schedule]
        alone = all(phase.overlap is not Overlap.allow for phase in kept.phases) and not kept.deleted
        if alone and not told.cancelling:
            for other, holder in active.items():
                if other != id and not self._is_over(self.runs[other], holder):
                    self.say("wrong", f"runs {other} and {id} of {told.schedule} ran at the same time")
        active[id] = process

    def returned(self, id: str, process: Process) -> None:
        told = self.runs[id]
        if told.schedule is not None and self.active[told.schedule].get(id) is process:
            del self.active[told.schedule][id]

    def _is_over(self, told: Told, holder: Process) -> bool:
        """Nobody waits for it any more: its process is dead, or it is to be cancelled, or was given up."""
        return holder.dead or told.cancelling or told.status != "running"

    # --- in the end ------------------------------------------------------------------------------------------------

    def settle(self, now: datetime, slots: dict[str, Item]) -> None:
        """What must be true once everybody has had time enough."""
        for told in self.unfinished.values():
            self.say("stuck", f"run {told.id} of {told.schedule} is {told.status} (attempt {told.attempt})")
        for kept in self.schedules.values():
            self._settle_one(kept, now)
        for id, item in slots.items():
            kept = self.schedules[id]
            if kept.deleted:
                continue
            slot = SLOTS.decode(item)
            if slot.skipped != kept.skipped:
                self.say("wrong", f"{id} counts {slot.skipped} skipped runs; it was {kept.skipped}")

    def _settle_one(self, kept: Kept, now: datetime) -> None:
        if kept.deleted or not kept.phases[-1].enabled or kept.is_used_up:
            return
        owed = kept.follows(kept.watermark)
        if owed is not None and kept.fires_at(owed) < now:
            self.say("lost", f"{kept.schedule.id} stopped before {owed}")

    def occurrences_seen(self) -> int:
        return len(self.occurrences)


__all__ = ["KINDS", "Intent", "Watcher"]
