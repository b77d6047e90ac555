"""What one run costs the executor in CPU, beyond the bare call of LangFlow.

Level: one child process against MiniStack and a stub LangFlow, each a process of its own, so that only the executor's
own CPU (user + system, all threads) is counted. It handles batches of ten through the real handler, logging included,
after one batch to warm up. Subtracted: a child that makes the same calls with bare httpx, ten threads at once, a fresh
connection each. Children take turns; the minimum of either counts.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from bench import resources
from bench.events import Context, sqs_batch
from bench.result import Result
from bench.servers import ministack, stub_langflow
from bench.spark import FLOW, Spark, in_process

T = TypeVar("T")

BATCH = 10
INPUT = "x" * 512


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=200, help="runs per child")
    parser.add_argument("--rounds", type=int, default=3, help="children of each kind; the cheapest counts")


def measure(options: argparse.Namespace) -> Result:
    with ministack() as emulator, stub_langflow() as stub:
        environment = {**_create(emulator.url), "AWS_ENDPOINT_URL": emulator.url}
        order = partial(order_runs, environment, stub.url, options.runs)
        call = partial(spend_calling, stub.url, options.runs)
        spent = []
        for _ in range(options.rounds):
            execute = partial(spend_executing, environment, _in_child(order))
            spent.append((_in_child(execute), _in_child(call)))
        expected = options.rounds * 2 * (options.runs + BATCH)
        assert stub.ran() == expected, f"the flow was called {stub.ran()} times instead of {expected}"
    executing, calling = (min(each) * 1000 / options.runs for each in zip(*spent, strict=True))
    figures = {
        "executor_cpu_ms_per_run": executing - calling,
        "executor_ms_per_run": executing,
        "bare_call_ms_per_run": calling,
        "runs": options.runs,
    }
    return Result("executor_cpu", figures, {"executor_cpu_ms_per_run": "<=15"})


def order_runs(environment: dict[str, str], source_url: str, runs: int) -> list[list[str]]:
    """Batches of messages for `runs` runs and one batch more. For a process of its own: takes over the environment."""
    os.environ.update(environment)
    _silence()
    from functions.api.handler import handler  # reads the environment
    from shared import wiring

    spark = Spark(in_process(handler), resources.API_KEY)
    workflow = spark.prepare(source_url)
    for _ in range(runs // BATCH + 1):
        spark.submit(workflow, [INPUT] * BATCH)
    queue, url = wiring.client("sqs"), environment["SPARK_RUN_QUEUE_URL"]
    batches = []
    while messages := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH).get("Messages"):
        batches.append([message["Body"] for message in messages])
    return batches


def spend_executing(environment: dict[str, str], batches: list[list[str]]) -> float:
    """CPU seconds that the executor spends on all `batches` but the first."""
    os.environ.update(environment)
    _silence()
    from functions.executor.handler import handler

    handle: Any = handler
    handle(sqs_batch(batches[0]), Context())
    return _cpu(lambda: [handle(sqs_batch(batch), Context()) for batch in batches[1:]])


def spend_calling(source_url: str, runs: int) -> float:
    """CPU seconds of calling the stub alone."""
    import httpx

    body = {"flow_id": FLOW, "mode": "sync", "input_value": INPUT}
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(limits=limits, verify=False, trust_env=False) as client:  # noqa: S501  # it is plain http

        def call(_: int) -> Any:
            return json.loads(client.post(f"{source_url}/api/v2/workflows", json=body).content)

        _together(call, BATCH)
        return _cpu(lambda: [_together(call, BATCH) for _ in range(runs // BATCH)])


def _together(call: Callable[[int], Any], count: int) -> Sequence[Any]:
    """As the executor does: threads of their own for each batch."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def _cpu(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _in_child(work: Callable[[], T]) -> T:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work).result()


def _silence() -> None:
    """Log lines are written, but nobody reads them: stdout is for the figures."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _create(endpoint: str) -> dict[str, str]:
    import boto3

    session: Any = boto3.Session("test", "test", region_name=resources.REGION)
    return resources.create(partial(session.client, endpoint_url=endpoint))
