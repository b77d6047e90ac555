"""Doing the same to many runs: cancel or retry all that a filter finds, some per call."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.domain import run as run_rules
from shared.domain.run import Run
from shared.errors import Conflict, Invalid, NotFound
from shared.queue import RunQueue
from shared.services.ordering import Orders
from shared.services.submission import announce, cancel
from shared.store.runs import RunFilter, RunStore

CHUNK = 25  # runs saved with one request


@dataclass(frozen=True)
class Swept:
    """`matched` runs were there to be changed, `changed` were; `next` is the run after which the rest begins."""

    matched: int
    changed: int
    next: str | None


def cancel_all(
    project: str,
    filter: RunFilter,
    limit: int,
    after: str | None,
    now: datetime,
    *,
    runs: RunStore,
    queue: RunQueue,
) -> Swept:
    """Cancel the unfinished runs among the next `limit` that `filter` finds."""
    page = runs.list(project, filter, limit=limit, after=after)
    unfinished = [run for run in page.items if not run.is_final]
    changed = sum(_cancel(chunk, now, runs, queue) for chunk in _chunks(unfinished))
    return Swept(len(unfinished), changed, page.next)


def retry_all(
    project: str, filter: RunFilter, limit: int, after: str | None, id_for: Callable[[Run], str], orders: Orders
) -> Swept:
    """Run the finished ones again among the next `limit` runs that `filter` finds, each under the id made for it."""
    page = orders.runs.list(project, filter, limit=limit, after=after)
    finished = [run for run in page.items if run.is_final]
    changed = sum(_retry(run, id_for(run), orders) for run in finished)
    return Swept(len(finished), changed, page.next)


def _cancel(chunk: list[Run], now: datetime, runs: RunStore, queue: RunQueue) -> int:
    """How many of `chunk` were cancelled: most with one request, those that moved on meanwhile one by one."""
    saved = runs.save_many([(run, run_rules.request_cancel(run, now)) for run in chunk])
    announce([run for run in saved if run is not None and run.awaits_job], queue, now)
    missed = [run for run, after in zip(chunk, saved, strict=True) if after is None]
    return len(chunk) - len(missed) + sum(_cancel_one(run, now, runs, queue) for run in missed)


def _cancel_one(run: Run, now: datetime, runs: RunStore, queue: RunQueue) -> bool:
    try:
        cancel(run.project_id, run.id, now, runs=runs, queue=queue)
    except (Conflict, NotFound):
        return False  # it ended by itself
    return True


def _retry(run: Run, id: str, orders: Orders) -> bool:
    try:
        orders.again(run, id)
    except (Conflict, Invalid):
        return False  # its workflow is gone or switched off, or its source cannot run that long any more
    return True


def _chunks(runs: list[Run]) -> Iterator[list[Run]]:
    for start in range(0, len(runs), CHUNK):
        yield runs[start : start + CHUNK]
