"""What one run of a schedule costs in AWS calls, capacity units and USD, from the tick that fires it to its end.

Level: an exact count in one process, on moto, never AWS. 200 schedules are due in the same minute: one made through
`services.scheduling`, the others copies of its record (moto copies its whole table in each transaction). One tick fires
them all two minutes ahead, and the executor gets the runs in batches of ten, as Lambda calls it. The flow is a stub
that answers its input. Hooks in boto3's clients count what is sent and `bench.prices` says what it costs: that of the
tick, of looking at all shards of Wake, and of the attempt pages is in it. Added is what Lambda itself sends: one
ReceiveMessage and one DeleteMessageBatch per batch. The environment is warm: workflow version and decrypted source key
are remembered; `cold_` figures are of the first minute. `_alone`: one schedule is due in its minute, so a whole tick
and a batch of one are for it.

USD: list prices (`bench/prices.py`). What a count cannot know is assumed: the flow takes --flow-seconds, our own code
0.2 s per batch and 1 s for the tick.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from bench import prices, recording, resources, schedules
from bench.calls_per_run import breakdown, explanation
from bench.deployment import Deployment, on_moto
from bench.events import Context, sqs_batch
from bench.prices import Usage
from bench.recording import Tally
from bench.result import Result
from bench.schedules import BY, Clock, daily, kept_by
from bench.servers import stub_langflow
from shared import wiring
from shared.domain.project import DEFAULT_PROJECT
from shared.domain.run import RunStatus
from shared.domain.schedule import ScheduleSettings
from shared.services.versioning import Author
from shared.store.runs import RunStore

SCHEDULES = 200
BATCH = 10
SMALL = ""  # the suffix of the figures that have targets
SIZES = {SMALL: 512, "_4kb": 4096, "_64kb": 65536}  # of the input, hence of the output
AHEAD = timedelta(minutes=2)  # when the tick sees an occurrence first; it looks 150 s ahead, once a minute
EXECUTOR_SECONDS, TICK_SECONDS = 0.2, 1.0
TARGETS = {"write_units_per_run": "<=12", "read_units_per_run": "<=4", "sqs_requests_per_run": "<=0.5"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schedules", type=int, default=SCHEDULES, help="schedules due in the same minute (200)")
    parser.add_argument("--flow-seconds", type=float, default=1.0, help="how long a flow takes, for the price (1)")
    parser.add_argument("--explain", action="store_true", help="show the attributes of the largest items, on stderr")


def measure(options: argparse.Namespace) -> Result:
    count = options.schedules
    with stub_langflow() as stub, _bench(stub.url, options.flow_seconds) as bench:
        cold = bench.minute(count, SIZES[SMALL])
        tallies = {suffix: bench.minute(count, size) for suffix, size in SIZES.items()}
        alone = bench.minute(1, SIZES[SMALL])
    small = tallies[SMALL]
    if options.explain:
        largest = {recording.kind(key): (key, item) for key, item in small.largest.items()}
        sys.stderr.write("".join(explanation(*each) for each in largest.values()))
    figures: dict[str, float] = {}
    for suffix, tally in tallies.items():
        figures |= {f"{name}{suffix}": figure for name, figure in _figures(tally, count).items()}
    figures |= {f"{name}_alone": figure for name, figure in _figures(alone, 1).items()}
    figures |= {f"cold_{name}": figure for name, figure in _figures(cold, count).items() if "_units_" in name}
    figures |= _units(small, count)
    figures |= breakdown(small, count)
    return Result("calls_per_scheduled_run", figures, TARGETS)


@dataclass
class Bench:
    """Spark in this process, overheard, at a time that only we move."""

    here: Deployment
    clock: Clock
    workflow: str
    flow_seconds: float
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def minute(self, count: int, size: int) -> Tally:
        """What the runs of a minute in which `count` schedules are due took, from the tick to their end."""
        due = self.clock.at + timedelta(hours=1)
        self._create(count, daily(due, "x" * size))
        self.clock.at = due - AHEAD
        self.here.sent.clear()
        with self.here.overheard() as tally:
            ticked = self.here.tick({}, Context(function_name="spark-tick"))
            assert ticked["fired"] == count, ticked
            self.clock.at = due
            batches = [self.here.sent[start : start + BATCH] for start in range(0, count, BATCH)]
            for batch in batches:
                self.here.execute(sqs_batch(batch), Context())
        tally.usage += self._lambdas(len(batches))
        assert self._completed() == count, "not every run is completed"
        return tally

    def _create(self, count: int, settings: ScheduleSettings) -> None:
        """Schedules alike, and a tick that seals what was noted of the first, which is no part of a run."""
        first, *others = [schedules.id_of(next(self._numbers), self.clock.at) for _ in range(count)]
        author = Author(DEFAULT_PROJECT, BY, self.clock.at)
        made = wiring.scheduling().create(author, first, self.workflow, settings, enabled=True)
        schedules.store(self.here.quiet, [made.model_copy(update={"id": other}) for other in others])
        self.here.tick({}, Context(function_name="spark-tick"))

    def _completed(self) -> int:
        """How many of the runs that were announced are completed."""
        announced = [json.loads(body) for body in self.here.sent]
        ids = [(each["project_id"], each["run_id"]) for each in announced]
        runs = RunStore(self.here.quiet).get_many(ids, consistent=True)
        return sum(run.status is RunStatus.completed for run in runs.values())

    def _lambdas(self, batches: int) -> Usage:
        """What is used around our code: two functions, and the mapping's own requests to the queue."""
        tick, executor = resources.memory_gb("TickFunction"), resources.memory_gb("ExecutorFunction")
        seconds = self.flow_seconds + EXECUTOR_SECONDS
        return Usage(
            sqs_requests=2 * batches,
            lambda_requests=batches + 1,
            lambda_gb_seconds=tick * TICK_SECONDS + batches * executor * seconds,
        )


@contextmanager
def _bench(source_url: str, flow_seconds: float) -> Iterator[Bench]:
    clock = Clock()
    with kept_by(clock), on_moto() as here:
        yield Bench(here, clock, here.spark.prepare(source_url), flow_seconds)


def _figures(tally: Tally, runs: int) -> dict[str, float]:
    usage = tally.usage.each(runs)
    return {
        "write_units_per_run": usage.write_units,
        "read_units_per_run": usage.read_units,
        "sqs_requests_per_run": usage.sqs_requests,
        "dynamodb_calls_per_run": tally.calls_to("dynamodb") / runs,
        "s3_calls_per_run": tally.calls_to("s3") / runs,
        "aws_calls_per_run": tally.calls.total() / runs,
        "largest_item_bytes": max(map(prices.item_bytes, tally.largest.values())),
        "usd_per_million_runs": sum(prices.usd(usage).values()) * 1e6,
    }


def _units(tally: Tally, runs: int) -> dict[str, float]:
    """What was written: units by the kind of the item, and by index."""
    written = {**tally.base_units, **tally.index_units}
    return {f"units_{name.lower().replace(' ', '_')}": units / runs for name, units in sorted(written.items())}
