"""The simulation held against a burst on the local stack: `python -m bench simulate --local RUNS`.

Level: MiniStack on this machine. Schedules that are due in the same second are put into the table; a tick, called by
hand, fires them, and they wait on the queue. Flows answer after two seconds, so that waiting and not the machine takes
the time. A batch of ten alone tells how long an executor is busy with one, and a third of the runs how long a tick is
with each. The simulation gets these, the number of runs, and what is known of the emulator, and foretells that third
and the whole: nothing that is measured of the whole goes into it. The emulator has no ramp, no partitions and no
scaling rate: what is checked here is tick, delay, batches, and executors that are all busy, not the limits of AWS.
"""

import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import mean

from bench.burst import Place, Simulation, Work
from bench.lateness import CONCURRENCY, Bench, lateness, on_local_stack
from bench.limits import Ramp
from bench.result import Result
from bench.schedules import store
from cli.local import stack
from shared import wiring
from shared.domain.run import Run

FLOW_MS = 2_000
BATCH = 10
LEADS = [timedelta(seconds=seconds) for seconds in (8, 16, 32, 64)]  # for the schedules to be stored and fired
NOTICE_SECONDS = 0.5  # MiniStack looks for messages whose delay is over once a second
SIZES = ("third", "whole")
# None for how long the third waits: executors are idle, so that is when MiniStack happens to look, and nothing else.
TARGETS = dict.fromkeys(("third_drained_ratio", "whole_drained_ratio", "whole_waited_ratio"), "<=1.5")


def rehearse(count: int) -> Result:
    """Simulate a third of `count` runs and all of them, and run both."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not before the stack is down
    with on_local_stack() as bench:
        bench.warm_up()
        bench.stub.answer_after(FLOW_MS)
        alone, _ = _run(bench, 0, BATCH)
        third, tick_seconds = _run(bench, 1_000, count // 3)
        whole, _ = _run(bench, 2_000, count)
    busy = (max(map(_ended, alone)) - min(map(_claimed, alone))).total_seconds()
    each = tick_seconds / len(third)
    figures = {"runs": count, "batch_seconds": busy, "tick_seconds_each": each}
    for size, runs in zip(SIZES, (third, whole), strict=True):
        compared = _compared(measured_of(runs), predicted_of(len(runs), busy, each))
        figures |= {f"{size}_{name}": value for name, value in compared.items()}
    return Result("simulate", figures, TARGETS)


def _compared(measured: Mapping[str, float], predicted: Mapping[str, float]) -> dict[str, float]:
    """Both, and by what factor they differ."""
    figures: dict[str, float] = {}
    for name, value in measured.items():
        figures |= {f"measured_{name}_seconds": value, f"predicted_{name}_seconds": predicted[name]}
        figures[f"{name}_ratio"] = max(value / predicted[name], predicted[name] / value)
    return figures


def _run(bench: Bench, first: int, count: int) -> tuple[Sequence[Run], float]:
    """Runs of `count` schedules that are due together, when they are over; and the seconds that their tick took.

    Once more with twice the lead, if the machine was too slow to have all of them sent when they were due.

    Raises:
        AssertionError: it was so with the longest lead, too.
    """
    for number, lead in enumerate(LEADS):
        due = wiring.now().replace(microsecond=0) + lead
        planned = bench.plan(first + number * count, due, count, count)
        store(bench.table, planned)
        began = wiring.now()
        stack.tick(bench.local, began)
        over = wiring.now()
        runs = bench.runs_of(planned)
        if over < due:
            return runs, (over - began).total_seconds()
    raise AssertionError("no tick was over when its runs were due: the machine is too busy")


def measured_of(runs: Sequence[Run]) -> dict[str, float]:
    """When the last was over, and how late they were on average, in seconds from when they were due."""
    due = runs[0].scheduled_for
    assert due is not None  # a schedule made it
    return {"drained": (max(map(_ended, runs)) - due).total_seconds(), "waited": mean(lateness(runs))}


def predicted_of(count: int, batch_seconds: float, tick_seconds_each: float) -> dict[str, float]:
    """The same by the simulation, on a place like the emulator."""
    place = Place(
        mapping=Ramp(CONCURRENCY, 0, CONCURRENCY),
        batch_size=BATCH,
        notice_seconds=NOTICE_SECONDS,
        tick_at=-LEADS[0].total_seconds(),
        fire_seconds=tick_seconds_each,
    )
    runs = Simulation(Work(count), place, lambda _: batch_seconds).run().runs
    claims = [run.claimed for run in runs if run.claimed is not None]
    return {"drained": max(run.ended for run in runs if run.ended is not None), "waited": mean(claims)}


def _claimed(run: Run) -> datetime:
    assert run.started_at is not None  # it is over
    return run.started_at


def _ended(run: Run) -> datetime:
    assert run.finished_at is not None  # it is over
    return run.finished_at
