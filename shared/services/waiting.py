"""Waiting for a run to end while its caller holds the line."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain.run import Run
from shared.store.runs import RunStore

FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=1)
GROWTH = 1.5


def wait_for_end(
    run: Run, until: datetime, *, runs: RunStore, now: Callable[[], datetime], sleep: Callable[[float], None]
) -> Run:
    """`run` as it is when it is over, or at `until`. Looks after 0.1 s, then ever less often, at last each second."""
    pause = FIRST_PAUSE
    while not run.is_final and (left := until - now()) > timedelta(0):
        sleep(min(pause, left).total_seconds())
        run = runs.get(run.project_id, run.id)
        pause = min(pause * GROWTH, LONGEST_PAUSE)
    return run
