"""How late runs of schedules start: when an executor claims them, less the time that they were scheduled for.

Level: the local stack, that is queue, EventBridge and functions in MiniStack on this machine, never AWS; mapping
concurrency 8, flows that answer at once. `burst`: 200 schedules are due in the same second. `stream`: 20 schedules are
due in each second of a minute. All fire once, and are written into the table well before the tick's look-ahead, so the
tick finds and fires them, as EventBridge calls it. Both phases are over when every run is completed; each must have run
once, and none before its time. Lateness is from the runs as they are stored. SQS delays whole seconds, rounded up:
`rounding_seconds` is what that costs on average. MiniStack looks for messages whose delay is over once a second; AWS
waits for them. `cores_used_by_others`: on a machine that others work on, none of this means much.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import mean, quantiles

from bench.processes import Family, wait_for_quiet
from bench.result import Result
from bench.schedules import once, schedule, store
from bench.servers import Stub, stub_langflow
from bench.spark import Spark, over_http
from cli.local import emulator, ports, stack
from cli.local.stack import Stack
from shared import wiring
from shared.domain.project import DEFAULT_PROJECT
from shared.domain.run import Run, RunStatus
from shared.domain.schedule import LOOK_AHEAD, Schedule, run_id
from shared.store.runs import RunStore
from shared.store.table import Table

BURST, PER_SECOND, SECONDS = 200, 20, 60
INPUT = "x" * 512
CONCURRENCY = 8
BEFORE = LOOK_AHEAD + timedelta(seconds=10)  # nothing is due so soon: a tick sees it first, and has a minute for it
BETWEEN = timedelta(seconds=30)  # the burst and the stream
ENDS_WITHIN = timedelta(seconds=60)
POLL_SECONDS = 1.0
WARM_UP_RUNS = 200
TARGETS = {"burst_p99_seconds": "<=2", "stream_p99_seconds": "<=2"}


@dataclass(frozen=True)
class Bench:
    """A stack that is up, with a workflow that runs on the stub."""

    local: Stack
    spark: Spark
    workflow: str
    stub: Stub
    table: Table
    pid: int

    def warm_up(self) -> None:
        """Runs of the API, so that executors are there when the first schedule fires."""
        for _ in range(0, WARM_UP_RUNS, 50):
            self.spark.submit(self.workflow, [INPUT] * 50)
        while self.stub.ran() < WARM_UP_RUNS:
            time.sleep(POLL_SECONDS)
        self.stub.answer_after(0)

    def plan(self, first: int, at: datetime, count: int, per_second: int) -> list[Schedule]:
        """`count` schedules, `per_second` of them due in each second from `at` on."""
        made = wiring.now()
        return [
            schedule(first + number, self.workflow, once(at + timedelta(seconds=number // per_second), INPUT), made)
            for number in range(count)
        ]

    def runs_of(self, planned: Sequence[Schedule]) -> list[Run]:
        """The run of each, when all are over. Nobody asks before the last is due: asking is work for the emulator."""
        last = max(map(_due, planned))
        time.sleep(max((last - wiring.now()).total_seconds(), 0))
        ids = [(DEFAULT_PROJECT, run_id(each, _due(each))) for each in planned]
        runs = RunStore(self.table)
        while True:
            time.sleep(POLL_SECONDS)
            found = runs.get_many(ids, consistent=True)
            if len(found) == len(ids) and all(run.is_final for run in found.values()):
                return list(found.values())
            assert wiring.now() < last + ENDS_WITHIN, f"{len(found)} runs of {len(ids)}, not all of them over"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--burst", type=int, default=BURST, help="schedules due in the same second (200)")
    parser.add_argument("--per-second", type=int, default=PER_SECOND, help="schedules due in each second after (20)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of the stream (60)")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for a quiet machine first (30)")


def measure(options: argparse.Namespace) -> Result:
    with on_local_stack() as bench:
        bench.warm_up()
        wait_for_quiet(options.patience)
        at = wiring.now().replace(microsecond=0) + BEFORE
        burst = bench.plan(0, at, options.burst, options.burst)
        stream = bench.plan(len(burst), at + BETWEEN, options.per_second * options.seconds, options.per_second)
        store(bench.table, [*burst, *stream])
        phases = {}
        for name, planned in {"burst": burst, "stream": stream}.items():
            time.sleep(max((min(map(_due, planned)) - wiring.now()).total_seconds() - 1, 0))
            began = time.perf_counter()
            with Family(bench.pid, [bench.stub.pid]) as family:
                runs = bench.runs_of(planned)
            phases[name] = _figures(runs), family.others_seconds / (time.perf_counter() - began)
        calls = bench.stub.ran()
    assert calls == len(burst) + len(stream), f"the flow was called {calls} times for {len(burst) + len(stream)} runs"
    figures: dict[str, float] = {}
    for name, (lateness, others) in phases.items():
        figures |= {f"{name}_{key}": figure for key, figure in lateness.items()}
        figures[f"{name}_cores_used_by_others"] = others
    return Result("lateness", figures, TARGETS)


def _figures(runs: Sequence[Run]) -> dict[str, float]:
    assert all(run.status is RunStatus.completed for run in runs), "not every run is completed"
    late = lateness(runs)
    early = sum(each < 0 for each in late)
    return {"runs": len(runs), "before_time": early, **spread(late), "rounding_seconds": mean(map(rounding, runs))}


def lateness(runs: Sequence[Run]) -> list[float]:
    """By how many seconds each of `runs` was claimed after its time."""
    times = [(run.started_at, run.scheduled_for) for run in runs]
    return [(claimed - due).total_seconds() for claimed, due in times if claimed is not None and due is not None]


def rounding(run: Run) -> float:
    """What of its lateness is due to the queue's whole seconds: it was put on the queue when it was made."""
    assert run.scheduled_for is not None  # a schedule made it
    wait = (run.scheduled_for - run.created_at).total_seconds()
    return math.ceil(wait) - wait


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """The middle, and what is rarely passed."""
    percentiles = quantiles(seconds, n=100, method="inclusive")
    return {
        "p50_seconds": percentiles[49],
        "p95_seconds": percentiles[94],
        "p99_seconds": percentiles[98],
        "worst_seconds": max(seconds),
        "least_seconds": min(seconds),
    }


def _due(schedule: Schedule) -> datetime:
    assert schedule.wake_at is not None  # it is still to fire
    return schedule.wake_at


@contextmanager
def on_local_stack() -> Iterator[Bench]:
    """A stack of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder, stub_langflow() as stub:
        parameters = {"ExecutorConcurrency": str(CONCURRENCY), "WakeAfterSeconds": "300"}
        local = Stack(port=ports.free(), state_dir=Path(folder), parameters=parameters)
        try:
            running = stack.up(local)
            process = emulator.running(local.layout)
            assert process is not None  # it has just answered
            spark = Spark(over_http(running.api_url), running.api_key)
            table = Table(stack.connect(local).dynamodb, running.table, wiring.now)
            yield Bench(local, spark, spark.prepare(stub.url), stub, table, process.pid)
        finally:
            stack.down(local, wipe=True)
