"""What one API run costs in AWS calls, capacity units and USD, from its POST until it is completed.

Level: an exact count in one process, on moto, never AWS. Batches of ten go through the real handlers of API and
executor, as Lambda calls them; the flow is a stub that answers its input. Hooks in boto3's clients count what is sent
and `bench.prices` says what it costs. Added is what Lambda itself sends: one ReceiveMessage and one DeleteMessageBatch
per batch. The environment is warm: API key, project, workflow version and decrypted source key are remembered, as they
are for minutes; `cold_` figures are of the first batch. `with_key`: each run ordered by a request of its own that has
an Idempotency-Key.

USD: list prices (`bench/prices.py`). What a count cannot know is assumed: the flow takes --flow-seconds, our own code
0.1 s per API request and 0.2 s per batch.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3

from bench import prices, resources
from bench.deployment import Deployment, on_moto
from bench.events import Context, sqs_batch
from bench.prices import Usage, WireItem
from bench.recording import Tally
from bench.result import Result
from bench.servers import stub_langflow

BATCH = 10
SMALL = ""  # the suffix of the figures that have targets
SIZES = {SMALL: 512, "_4kb": 4096, "_64kb": 65536}  # of the input, hence of the output
SERVICES = ("dynamodb", "sqs", "s3", "kms", "secretsmanager")
API_SECONDS, EXECUTOR_SECONDS = 0.1, 0.2
TARGETS = {
    "write_units_per_run": "<=8",
    "write_units_per_run_with_key": "<=9",
    "read_units_per_run": "<=4",
    "sqs_requests_per_run": "<=0.5",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flow-seconds", type=float, default=1.0, help="how long a flow takes, for the price (1)")
    parser.add_argument("--explain", action="store_true", help="show the attributes of the items of a run, on stderr")


def measure(options: argparse.Namespace) -> Result:
    with stub_langflow() as stub, _bench(stub.url, options.flow_seconds) as bench:
        cold = bench.batch(SIZES[SMALL])
        tallies = {suffix: bench.batch(size) for suffix, size in SIZES.items()}
        keyed = bench.batch(SIZES[SMALL], keys=True)
    if options.explain:
        sys.stderr.write("".join(explanation(key, item) for key, item in tallies[SMALL].largest.items()))
    figures: dict[str, float] = {}
    for suffix, tally in tallies.items():
        figures |= {f"{name}{suffix}": figure for name, figure in _figures(tally).items()}
    figures["write_units_per_run_with_key"] = keyed.usage.write_units / BATCH
    figures |= {f"cold_{name}": figure for name, figure in _figures(cold).items() if name.endswith("_units_per_run")}
    figures |= breakdown(tallies[SMALL], BATCH)
    return Result("calls_per_run", figures, TARGETS)


@dataclass
class Bench:
    """Spark in this process, overheard."""

    here: Deployment
    workflow: str
    flow_seconds: float

    def batch(self, size: int, *, keys: bool = False) -> Tally:
        """What ten runs took, from their order to their end: ordered at once, or one by one, each with a key."""
        spark, text = self.here.spark, "x" * size
        with self.here.overheard() as tally:
            if keys:
                ids = [spark.submit_one(self.workflow, text, {"idempotency-key": str(n)}) for n in range(BATCH)]
            else:
                ids = spark.submit(self.workflow, [text] * BATCH)
            self.here.execute(sqs_batch(_receive()), Context())
        tally.usage += self._lambdas(BATCH if keys else 1, size)
        assert [spark.get(f"/runs/{id}")["status"] for id in ids] == ["completed"] * BATCH
        return tally

    def _lambdas(self, requests: int, size: int) -> Usage:
        """What is used around our code: the HTTP API, two functions, and the mapping's own requests to the queue."""
        api, executor = resources.memory_gb("ApiFunction"), resources.memory_gb("ExecutorFunction")
        return Usage(
            sqs_requests=2,
            http_api_requests=requests * prices.http_api_requests(size * BATCH // requests),
            lambda_requests=requests + 1,
            lambda_gb_seconds=requests * api * API_SECONDS + executor * (self.flow_seconds + EXECUTOR_SECONDS),
        )


@contextmanager
def _bench(source_url: str, flow_seconds: float) -> Iterator[Bench]:
    with on_moto() as here:
        yield Bench(here, here.spark.prepare(source_url), flow_seconds)


def _receive() -> list[str]:
    """The messages on the queue, taken off it by a client that nobody listens to."""
    queue, url = boto3.client("sqs"), os.environ["SPARK_RUN_QUEUE_URL"]
    messages = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH)["Messages"]
    for message in messages:
        queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def _figures(tally: Tally) -> dict[str, float]:
    usage = tally.usage.each(BATCH)
    return {
        "write_units_per_run": usage.write_units,
        "read_units_per_run": usage.read_units,
        "sqs_requests_per_run": usage.sqs_requests,
        "dynamodb_calls_per_run": tally.calls_to("dynamodb") / BATCH,
        "s3_calls_per_run": tally.calls_to("s3") / BATCH,
        "aws_calls_per_run": tally.calls.total() / BATCH,
        "largest_item_bytes": max(map(prices.item_bytes, tally.largest.values())),
        "usd_per_million_runs": sum(prices.usd(usage).values()) * 1e6,
    }


def breakdown(tally: Tally, runs: int) -> dict[str, float]:
    """What the price of one of so many small runs is made of, and what keeping it costs."""
    stored = sum(prices.stored_bytes(item) for key, item in tally.largest.items() if "#RUN#" in key[0]) / runs
    costs = {f"usd_{name}": cost * 1e6 for name, cost in prices.usd(tally.usage.each(runs)).items() if cost}
    return {**costs, "usd_to_keep_a_month": stored / prices.GB * prices.STORED_GB_MONTH * 1e6}


def explanation(key: tuple[str, str], item: WireItem) -> str:
    """The attributes of an item by their size, largest first."""
    sizes = {name: len(name.encode()) + prices.attribute_bytes(value) for name, value in item.items()}
    parts = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items(), key=lambda each: -each[1]))
    return f"{key[0]} {key[1]}: {prices.item_bytes(item)} bytes: {parts}\n"
