"""Making and changing schedules. What a change makes due soon is fired at once: it does not wait for the tick."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shared import payloads
from shared.domain import firing as rules
from shared.domain.firing import beginning
from shared.domain.record import id_time
from shared.domain.schedule import LOOK_AHEAD, Schedule, ScheduleSettings
from shared.domain.source import Source
from shared.domain.timing import TIMING, checked, settled
from shared.domain.workflow import Workflow, require_time
from shared.errors import Conflict, Invalid, NotFound, Unavailable
from shared.observability import logger
from shared.payloads import Payloads
from shared.services.firing import Firing
from shared.services.versioning import Author
from shared.store.schedules import ScheduleStore
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore

ROUNDS = 5  # how often a change is tried again after somebody else was faster
FIRES_WITHIN = timedelta(seconds=5)  # for what is due at once; what is left comes with the tick
BY_USER = "by hand"

Guard = Callable[[Schedule], None]
"""Raises when the schedule is not the one that the caller wants to change."""


@dataclass(frozen=True)
class Scheduling:
    """Creates, edits, pauses, resumes and deletes schedules."""

    schedules: ScheduleStore
    workflows: WorkflowStore
    sources: SourceStore
    firing: Firing
    bucket: Payloads

    def create(
        self, author: Author, id: str, workflow_id: str, settings: ScheduleSettings, *, enabled: bool
    ) -> Schedule:
        """A new schedule under `id`, and its first runs if they are due soon.

        Raises:
            Invalid: no such workflow, a timeout its source cannot keep, or a timing that never fires.
            Conflict: it exists.
        """
        now, given = id_time(id), settings.input
        self._require_time(self._workflow(author.project, workflow_id), settings)
        with within("/settings"):
            settings = settled(settings, now)
            checked(settings, now, now)
        settings, input_key = _divide(author.project, id, settings)
        schedule = Schedule(
            id=id,
            project_id=author.project,
            workflow_id=workflow_id,
            settings=settings,
            input_key=input_key,
            enabled=enabled,
            effective_at=now,
            watermark=beginning(settings, now),
            created_by=author.by,
            created_at=now,
            updated_at=now,
        )
        self._keep_input(input_key, given)
        stored = self.schedules.save(None, rules.scheduled(schedule), author.does("schedule.created"))
        return self._fire(stored, author.now)

    def edit(self, author: Author, id: str, changes: dict[str, Any], enabled: bool | None, guard: Guard) -> Schedule:
        """The schedule with `changes` in its settings, switched on or off if `enabled` says so.

        Raises:
            NotFound; Invalid; whatever `guard` raises.
        """

        def decide(current: Schedule) -> Schedule:
            after = self._edited(current, changes, author.now) if changes else current
            if enabled is None:
                return after
            return _resumed(after, author.now) if enabled else rules.pause(after, author.now, BY_USER)

        settles = enabled is not False and not TIMING.isdisjoint(changes)
        return self._change(author, "schedule.updated", id, decide, guard, settles=settles)

    def pause(self, author: Author, id: str, reason: str | None, guard: Guard) -> Schedule:
        """The schedule, firing no more: neither runs that have not started, nor what it has still to catch up with.

        Raises:
            NotFound; whatever `guard` raises.
        """

        def stop(current: Schedule) -> Schedule:
            return rules.pause(current, author.now, reason or BY_USER)

        return self._change(author, "schedule.paused", id, stop, guard)

    def resume(self, author: Author, id: str, guard: Guard) -> Schedule:
        """The schedule, firing again from now on.

        Raises:
            NotFound; whatever `guard` raises.
            Invalid: this version cannot evaluate its timing.
        """
        return self._change(author, "schedule.resumed", id, lambda current: _resumed(current, author.now), guard)

    def delete(self, author: Author, id: str, guard: Guard) -> None:
        """Remove a schedule. Runs that have not started will not; those that have go on. Raises NotFound; Stale."""
        for _ in range(ROUNDS):
            current = self.schedules.get(author.project, id)
            guard(current)
            try:
                return self.schedules.delete(current, author.does("schedule.deleted"))
            except Conflict:
                continue
        raise Unavailable("The schedule keeps changing. Try again.")

    def forget_inputs(self, project: str, id: str) -> None:
        """Remove the large inputs of a schedule that was deleted: all that it ever had.

        An edit leaves the old one where it is: another edit may just be coming back to it, since they are named by
        their content, and a run may be about to copy it. What cannot be removed stays, and costs a little.
        """
        try:
            self.bucket.delete_below(payloads.schedule_prefix(project, id))
        except (ClientError, BotoCoreError):
            logger.warning("schedule.inputs_not_deleted", extra={"schedule_id": id}, exc_info=True)

    def _change(
        self,
        author: Author,
        action: str,
        id: str,
        decide: Callable[[Schedule], Schedule],
        guard: Guard,
        *,
        settles: bool = False,
    ) -> Schedule:
        """Read, decide, save, fire; again when somebody else was faster.

        `settles`: what the schedule owes as it is was fired before, since it will not be owed by what it becomes.
        """
        for _ in range(ROUNDS):
            current = self._up_to_date(author, id) if settles else self.schedules.get(author.project, id)
            guard(current)
            after = decide(current)
            if after == current:
                return current
            try:
                return self._fire(self.schedules.save(current, after, author.does(action)), author.now)
            except Conflict:
                continue
        raise Unavailable("The schedule keeps changing. Try again.")

    def _up_to_date(self, author: Author, id: str) -> Schedule:
        """The schedule with nothing owed: what was due before a change is not lost by it.

        What is owed by a timing that cannot be evaluated is lost: the change may be there to mend it.

        Raises:
            Unavailable: it has so much to catch up with that it takes longer.
        """
        current = self.schedules.get(author.project, id)
        for _ in range(2):  # by its jitter, the last of many may fire further ahead than all before it
            if (ahead := rules.overdue(current, author.now)) is not None:
                current = self._fire(current, author.now, ahead)
        if rules.overdue(current, author.now) is not None:
            raise Unavailable("The schedule is catching up with what it missed. Try again.")
        return current

    def _fire(self, schedule: Schedule, now: datetime, ahead: timedelta = LOOK_AHEAD) -> Schedule:
        """The schedule after everything that it owes, or will within the time `ahead`, was fired.

        It is stored: should firing fail, the tick does it, and the caller does not make another one.
        """
        if not _owes(schedule, now + ahead):
            return schedule
        try:
            replace(self.firing, ahead=ahead).fire([schedule], now + FIRES_WITHIN)
            return self.schedules.get(schedule.project_id, schedule.id)
        except (Unavailable, ClientError, BotoCoreError):
            logger.warning("schedule.not_fired", extra={"schedule_id": schedule.id}, exc_info=True)
            return schedule

    def _edited(self, current: Schedule, changes: dict[str, Any], now: datetime) -> Schedule:
        merged, key = _merge(current.settings, changes), current.input_key
        given = merged.input
        if "timeout_seconds" in changes:
            self._require_time(self._workflow_of(current), merged)
        if "input" in changes:
            merged, key = _divide(current.project_id, current.id, merged)
        with within("/settings"):
            edited = rules.edit(current, merged, key, now)
        if "input" in changes:
            self._keep_input(key, given)
        return edited

    def _workflow(self, project: str, id: str) -> Workflow:
        try:
            return self.workflows.get(project, id)
        except NotFound as error:
            raise Invalid(f"There is no workflow {id!r}.", "/workflow_id") from error

    def _workflow_of(self, schedule: Schedule) -> Workflow:
        try:
            return self.workflows.get(schedule.project_id, schedule.workflow_id)
        except NotFound as error:
            raise Conflict(f"Workflow {schedule.workflow_id} of schedule {schedule.id} is gone.") from error

    def _require_time(self, workflow: Workflow, settings: ScheduleSettings) -> None:
        if settings.timeout_seconds is not None:
            require_time(self._source(workflow), settings.timeout_seconds, "/settings/timeout_seconds")

    def _source(self, workflow: Workflow) -> Source:
        try:
            return self.sources.get(workflow.project_id, workflow.source_id)
        except NotFound as error:
            raise Conflict(f"Source {workflow.source_id} of workflow {workflow.id} is gone.") from error

    def _keep_input(self, key: str | None, text: str) -> None:
        if key is not None:
            self.bucket.put_json(key, text)


@contextmanager
def within(pointer: str) -> Iterator[None]:
    """Errors inside name their field as it stands in the request: below `pointer`."""
    try:
        yield
    except Invalid as error:
        raise Invalid(str(error), pointer + error.pointer) from error


def _resumed(schedule: Schedule, now: datetime) -> Schedule:
    with within("/settings"):
        return rules.resume(schedule, now)


def _divide(project: str, id: str, settings: ScheduleSettings) -> tuple[ScheduleSettings, str | None]:
    """`settings` as they are stored, and where a large input goes in the bucket.

    It is named by its content: an edit that fails leaves the old one as it was.
    """
    if not payloads.is_large(settings.input):
        return settings, None
    key = payloads.schedule_key(project, id, hashlib.sha256(settings.input.encode()).hexdigest())
    return settings.model_copy(update={"input": ""}), key


def _owes(schedule: Schedule, now: datetime) -> bool:
    return schedule.wake_at is not None and schedule.wake_at <= now


def _merge(settings: ScheduleSettings, changes: dict[str, Any]) -> ScheduleSettings:
    """`settings` with `changes`; of `retry` only what is said."""
    retry = changes.get("retry")
    if retry is not None and settings.retry is not None:
        changes = {**changes, "retry": {**settings.retry.model_dump(), **retry}}
    return ScheduleSettings.model_validate({**settings.model_dump(), **changes})
