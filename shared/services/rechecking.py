"""Rechecking: before its first start, the run of a schedule asks whether it still may, and gets its input."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.overlap import Overlap
from shared.domain.project import Retention
from shared.domain.run import Origin, Run
from shared.domain.schedule import Schedule, admits, problem
from shared.errors import PayloadGone
from shared.payloads import Payloads
from shared.services.execution import Changes
from shared.services.submission import keep_input
from shared.store.schedules import ScheduleStore


def recheck(
    runs: Sequence[Run], now: datetime, *, schedules: ScheduleStore, bucket: Payloads
) -> dict[str, Changes | None]:
    """By id, what those of `runs` that wait for their schedule learn from it: fields, or None: unwanted.

    What a user does to a schedule before a run starts counts: its input is the one of now, and an edit, a pause or a
    deletion stops it. A run of a backfill needs only that the schedule is still there. One whose schedule cannot be
    read, or not evaluated, is not in the answer: it waits, and Wake brings it up again.

    Raises:
        ClientError: an input could not be read.
    """
    asking = [run for run in runs if run.awaits_schedule]
    if not asking:
        return {}
    found = schedules.find([_schedule_id(run) for run in asking], consistent=True)
    unreadable = {id for id, schedule in found.items() if schedule is None or problem(schedule) is not None}
    asking = [run for run in asking if _schedule_id(run) not in unreadable]
    return {run.id: _learn(run, found.get(_schedule_id(run)), now, bucket) for run in asking}


def _learn(run: Run, schedule: Schedule | None, now: datetime, bucket: Payloads) -> Changes | None:
    if schedule is None or not _wants(schedule, run, now):
        return None
    overlap = run.overlap or schedule.settings.overlap
    learnt: Changes = {} if overlap is Overlap.allow else {"overlap": overlap}
    if schedule.input_key is None:
        return {**learnt, "input": schedule.settings.input}
    try:
        text = input_of_schedule(schedule, bucket)
    except PayloadGone:  # the attempt will find the same, and end the run: nobody else in its batch is to suffer
        return {**learnt, "input_key": schedule.input_key}
    return {**learnt, "input_key": keep_input(Retention(run.retention_days), run.project_id, run.id, text, bucket)}


def _wants(schedule: Schedule, run: Run, now: datetime) -> bool:
    """May `run` start at `now`, as far as `schedule` is concerned?

    A schedule remembers its last change only. So one that was unwanted before is wanted by no later change than one
    that was made before its time.
    """
    assert run.scheduled_for is not None  # it awaits its schedule
    if run.origin is Origin.backfill:
        return True
    if run.is_unwanted and run.scheduled_for <= schedule.effective_at:
        return False
    return admits(schedule, run.scheduled_for, now)


def input_of_schedule(schedule: Schedule, bucket: Payloads) -> str:
    """The input of `schedule`, wherever it is kept."""
    if schedule.input_key is None:
        return schedule.settings.input
    text = bucket.get_json(schedule.input_key)
    assert isinstance(text, str)  # written by `scheduling`
    return text


def _schedule_id(run: Run) -> tuple[str, str]:
    assert run.schedule_id is not None  # it awaits its schedule
    return run.project_id, run.schedule_id
