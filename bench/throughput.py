"""How many runs a second go through all of Spark, from the first POST to the end of the last run.

Level: the local stack, that is API, queue and functions in MiniStack on this machine, never AWS; mapping concurrency 8.
One client orders 500 runs by POST /runs/batch, one request after the other; the flow is a stub that answers after
200 ms, and then at once. Functions are warm: a first load starts them. The best of the rounds counts, and each waits
a while for a quiet machine: `cores_used_by_others` says how far that was in vain. Latencies are over all rounds. Memory
is the largest sum of the resident memory of emulator and functions.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from bench.processes import Family, wait_for_quiet
from bench.result import Result
from bench.servers import Stub, stub_langflow
from bench.spark import Spark, over_http
from cli.local import emulator, ports, stack
from cli.local.clients import Clients
from cli.local.stack import RunningStack, Stack

INPUT = "x" * 512
DELAYS_MS = (200, 0)
WARM_UP_RUNS = 200
CONCURRENCY = 8
POLL_SECONDS = 0.05
ENDS_WITHIN_SECONDS = 120.0
PAGE = 100


@dataclass
class Load:
    """What one load of runs took."""

    seconds: float
    submit_ms: list[float]
    family: Family


@dataclass(frozen=True)
class Bench:
    """A stack that is up, with a workflow that runs on the stub."""

    spark: Spark
    workflow: str
    stub: Stub
    operator: Clients
    running: RunningStack
    pid: int
    patience_seconds: float

    def load(self, runs: int, batch: int, delay_ms: int) -> Load:
        """Order `runs` runs and wait until they are over."""
        self.stub.answer_after(delay_ms)
        wait_for_quiet(self.patience_seconds)
        with Family(self.pid, [self.stub.pid]) as family:
            began = time.perf_counter()
            submit_ms = [self._submit(batch) for _ in range(0, runs, batch)]
            self._wait()
            seconds = time.perf_counter() - began
        assert self.stub.ran() == runs, f"the flow was called {self.stub.ran()} times for {runs} runs"
        assert self._completed(runs), "not every run is completed"
        return Load(seconds, submit_ms, family)

    def _submit(self, batch: int) -> float:
        began = time.perf_counter()
        self.spark.submit(self.workflow, [INPUT] * batch)
        return (time.perf_counter() - began) * 1000

    def _wait(self) -> None:
        """Until the queue has no message, waiting or in work: a message goes when its run is saved."""
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while self._waiting():
            assert time.monotonic() < deadline, f"the runs did not end within {ENDS_WITHIN_SECONDS:.0f} s"
            time.sleep(POLL_SECONDS)

    def _waiting(self) -> int:
        answer = self.operator.sqs.get_queue_attributes(QueueUrl=self.running.run_queue_url, AttributeNames=["All"])
        counts = answer["Attributes"]
        return sum(int(count) for name, count in counts.items() if name.startswith("ApproximateNumberOfMessages"))

    def _completed(self, runs: int) -> bool:
        """Whether the newest `runs` runs are completed."""
        cursor, statuses = "", list[str]()
        while len(statuses) < runs:
            page = self.spark.get(f"/runs?limit={PAGE}{cursor}")
            statuses += [run["status"] for run in page["items"]]
            cursor = f"&cursor={page['next_cursor']}"
        return set(statuses[:runs]) == {"completed"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=500, help="runs of one load (500)")
    parser.add_argument("--batch", type=int, default=25, help="runs ordered in one request (25, at most 100)")
    parser.add_argument("--rounds", type=int, default=3, help="loads of each kind; the best counts (3)")
    parser.add_argument("--patience", type=float, default=30, help="seconds a load waits for a quiet machine (30)")


def measure(options: argparse.Namespace) -> Result:
    with _bench(options.patience) as bench:
        bench.load(WARM_UP_RUNS, options.batch, DELAYS_MS[0])
        loads = {
            delay: [bench.load(options.runs, options.batch, delay) for _ in range(options.rounds)]
            for delay in DELAYS_MS
        }
    figures: dict[str, float] = {}
    for delay, measured in loads.items():
        figures |= {f"{name}_{delay}ms": figure for name, figure in _figures(measured, options.runs).items()}
    return Result("throughput", figures, {"runs_per_second_200ms": ">=130"})


def _figures(loads: list[Load], runs: int) -> dict[str, float]:
    best = min(loads, key=lambda load: load.seconds)
    submits = quantiles([each for load in loads for each in load.submit_ms], n=20, method="inclusive")
    return {
        "runs_per_second": runs / best.seconds,
        "submit_ms_p50": submits[9],
        "submit_ms_p95": submits[18],
        "peak_memory_mb": max(load.family.peak_mb for load in loads),
        "processes": max(load.family.most_processes for load in loads),
        "emulator_cpu_ms_per_run": best.family.parent_seconds * 1000 / runs,
        "functions_cpu_ms_per_run": best.family.children_seconds * 1000 / runs,
        "cores_used_by_others": best.family.others_seconds / best.seconds,
    }


@contextmanager
def _bench(patience_seconds: float) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder, stub_langflow() as stub:
        parameters = {"ExecutorConcurrency": str(CONCURRENCY), "WakeAfterSeconds": "300"}
        local = Stack(port=ports.free(), state_dir=Path(folder), parameters=parameters)
        try:
            running = stack.up(local)
            process = emulator.running(local.layout)
            assert process is not None  # it has just answered
            spark = Spark(over_http(running.api_url), running.api_key)
            workflow = spark.prepare(stub.url)
            yield Bench(spark, workflow, stub, stack.connect(local), running, process.pid, patience_seconds)
        finally:
            stack.down(local, wipe=True)
