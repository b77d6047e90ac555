"""Doing the same to many records that a filter finds, some per call: cancel or retry runs, pause or resume schedules.

A call does what it can until its deadline, and at least one step, so that whoever goes on from there gets to the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from shared.domain import run as run_rules
from shared.domain.run import Run
from shared.errors import Conflict, Invalid, NotFound, PayloadGone, Unavailable
from shared.queue import RunQueue
from shared.services.deadline import Deadline
from shared.services.ordering import Orders
from shared.services.submission import announce, cancel
from shared.store.records import Slice
from shared.store.runs import RunFilter, RunStore

if TYPE_CHECKING:  # which sweeps of runs do not need
    from shared.domain.schedule import Schedule

T = TypeVar("T")

CHUNK = 25  # runs saved with one request


@dataclass(frozen=True)
class Swept:
    """`matched` records were there to be changed, `changed` were; `next` is the one after which the rest begins."""

    matched: int
    changed: int
    next: str | None


def cancel_all(
    project: str,
    filter: RunFilter,
    limit: int,
    after: str | None,
    deadline: Deadline,
    *,
    runs: RunStore,
    queue: RunQueue,
    ended: Callable[[Run], None],
) -> Swept:
    """Cancel the unfinished runs among the next `limit` that `filter` finds. `ended` is told of each."""

    def cancel_some(chunk: list[Run]) -> Swept:
        unfinished = [run for run in chunk if not run.is_final]
        cancelled = _cancel(unfinished, deadline.now(), runs, queue)
        for run in cancelled:
            ended(run)
        return Swept(len(unfinished), len(cancelled), chunk[-1].id)

    return sweep(runs.list(project, filter, limit=limit, after=after), CHUNK, cancel_some, deadline)


def retry_all(
    project: str,
    filter: RunFilter,
    limit: int,
    after: str | None,
    deadline: Deadline,
    id_for: Callable[[Run], str],
    orders: Orders,
) -> Swept:
    """Run the finished ones again among the next `limit` runs that `filter` finds, each under the id made for it."""

    def retry_one(chunk: list[Run]) -> Swept:
        (run,) = chunk
        return Swept(run.is_final, run.is_final and _retry(run, id_for(run), orders), run.id)

    return sweep(orders.runs.list(project, filter, limit=limit, after=after), 1, retry_one, deadline)


def switch_all(page: Slice["Schedule"], deadline: Deadline, switch: Callable[["Schedule"], "Schedule"]) -> Swept:
    """`switch` the schedules of `page` on or off."""

    def switch_one(chunk: list["Schedule"]) -> Swept:
        (schedule,) = chunk
        try:
            switch(schedule)
        except NotFound:
            return Swept(1, 0, schedule.id)  # it was deleted meanwhile
        return Swept(1, 1, schedule.id)

    return sweep(page, 1, switch_one, deadline)


def sweep(page: Slice[T], size: int, change: Callable[[list[T]], Swept], deadline: Deadline) -> Swept:
    """`change` chunk after chunk. Where the time is over, or something does not answer, what was done is the answer."""
    done = Swept(0, 0, None)
    for start in range(0, len(page.items), size):
        if done.next is not None and deadline.is_over:
            return done
        try:
            step = change(page.items[start : start + size])
        except Unavailable:
            if done.next is None:
                raise
            return done
        done = Swept(done.matched + step.matched, done.changed + step.changed, step.next)
    return replace(done, next=page.next)


def _cancel(chunk: list[Run], now: datetime, runs: RunStore, queue: RunQueue) -> list[Run]:
    """Those of `chunk` that were cancelled: most with one request, those that moved on meanwhile one by one."""
    saved = runs.save_many([(run, run_rules.request_cancel(run, now)) for run in chunk])
    announce([run for run in saved if run is not None and run.awaits_job], queue, now)
    cancelled = [
        _cancel_one(run, now, runs, queue) if after is None else after for run, after in zip(chunk, saved, strict=True)
    ]
    return [run for run in cancelled if run is not None]


def _cancel_one(run: Run, now: datetime, runs: RunStore, queue: RunQueue) -> Run | None:
    try:
        return cancel(run.project_id, run.id, now, runs=runs, queue=queue)
    except (Conflict, NotFound):
        return None  # it ended by itself


def _retry(run: Run, id: str, orders: Orders) -> bool:
    try:
        orders.again(run, id)
    except (Conflict, Invalid, PayloadGone):
        return False  # its input or workflow is gone or switched off, or its source cannot run that long any more
    return True
