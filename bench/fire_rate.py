"""What firing costs in CPU: one tick that fires 10,000 due schedules, against the bare requests for the same items.

Level: child processes against MiniStack, never AWS; only the child's own CPU (user + system, all threads) counts. The
tick goes through the real handler, with the invocations to which it hands on full shards, one after the other; reading
Wake and the schedules, and all log lines, are in it. It is held against two bare children that know nothing of what
they write, whose items are ready made, and that read nothing; boto3, HTTP and JSON cost them the same:

- `ratio`: a PutItem for each run, its message among ten of a batch, a PutItem for each schedule.
- `ratio_to_batches`: the requests that a tick makes to change anything, as recorded: 25 statements in each.

All are warm and single out the work: imports, clients and a first request are over when the clock starts. Children take
turns on an emulator that is empty each time; the minimum of each counts.
"""

import argparse
import gc
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import boto3

from bench import resources
from bench.events import Context
from bench.result import Result
from bench.schedules import NOON, Clock, daily, kept_by, schedule, store
from bench.servers import ministack, stub_langflow
from bench.spark import Spark, in_process
from shared.store import keys

T = TypeVar("T")

INPUT = "x" * 512
WRITES = {"dynamodb": ("BatchExecuteStatement",), "sqs": ("SendMessageBatch",)}
Request = tuple[str, str, dict[str, Any]]  # service, operation, parameters


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schedules", type=int, default=10_000, help="schedules that are due (10000)")
    parser.add_argument("--rounds", type=int, default=3, help="children of each kind; the cheapest counts (3)")
    parser.add_argument("--profile", type=Path, help="write a profile of one more tick to this file, for pstats")


def measure(options: argparse.Namespace) -> Result:
    count = options.schedules
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder, stub_langflow() as stub:
        batches, puts = Path(folder) / "batches", Path(folder) / "puts"
        fill = partial(create_due, stub.url, count)
        _on_an_empty_emulator(fill, partial(record, batches, puts, count))
        kinds = [partial(spend_ticking, count), partial(spend_writing, puts), partial(spend_writing, batches)]
        rounds = [[_on_an_empty_emulator(fill, kind) for kind in kinds] for _ in range(options.rounds)]
        if options.profile:
            _on_an_empty_emulator(fill, partial(profile, options.profile, count))
        requests = [len(_read(path)) for path in (puts, batches)]
    ticking, putting, batching = (min(each) for each in zip(*rounds, strict=True))
    figures = {
        "ratio": ticking / putting,
        "worst_ratio": max(ticking / putting for ticking, putting, _ in rounds),
        "ratio_to_batches": ticking / batching,
        "tick_cpu_ms_per_schedule": ticking * 1000 / count,
        "puts_cpu_ms_per_schedule": putting * 1000 / count,
        "batches_cpu_ms_per_schedule": batching * 1000 / count,
        "fired_per_cpu_second": count / ticking,
        "put_requests": requests[0],
        "batch_requests": requests[1],
        "schedules": count,
    }
    return Result("fire_rate", figures, {"ratio": "<=1.5"})


def create_due(source_url: str, count: int, environment: dict[str, str]) -> None:
    """A workflow and its schedules, due a minute after noon. Each of these functions is for a process of its own."""
    _use(environment)
    from functions.api.handler import handler
    from shared import wiring

    with kept_by(Clock()):
        workflow = Spark(in_process(handler), resources.API_KEY).prepare(source_url)
        settings, made = daily(NOON + timedelta(minutes=1), INPUT), NOON - timedelta(days=1, hours=1)
        due = [schedule(number, workflow, settings, made) for number in range(count)]
        for each in due:
            assert each.wake_at is not None
        late = [each.model_copy(update={"watermark": NOON, "wake_at": NOON + timedelta(minutes=1)}) for each in due]
        store(wiring.table(), late)


def record(batches: Path, puts: Path, count: int, environment: dict[str, str]) -> None:
    """Write what a tick sends to one file, and to another the plain requests for what it left in the table."""
    _use(environment)
    from shared import wiring

    requests = list[Request]()
    with kept_by(Clock()):
        for service, operations in WRITES.items():
            for operation in operations:
                event = f"provide-client-params.{service}.{operation}"
                keep = partial(_keep, requests, service, operation)
                wiring.client(service).meta.events.register(event, keep)
        _tick(count)
    batches.write_bytes(pickle.dumps(requests))
    sends = [each for each in requests if each[0] == "sqs"]
    puts.write_bytes(pickle.dumps([*_plain_puts(keys.RUN, count), *sends, *_plain_puts(keys.SCHEDULE, count)]))


def _plain_puts(kind: str, count: int) -> list[Request]:
    from shared import wiring

    pages = wiring.client("dynamodb").get_paginator("scan").paginate(TableName=resources.TABLE)
    items = [item for page in pages for item in page["Items"] if _is_record(item, kind)]
    assert len(items) == count, f"{len(items)} items of {kind}, not {count}"
    return [("dynamodb", "PutItem", {"TableName": resources.TABLE, "Item": item}) for item in items]


def _is_record(item: dict[str, Any], kind: str) -> bool:
    return item["sk"]["S"] == keys.RECORD and f"#{kind}#" in item["pk"]["S"]


def spend_ticking(count: int, environment: dict[str, str]) -> float:
    """CPU seconds of the tick."""
    _use(environment)
    with _warm():
        return _cpu(lambda: _tick(count))


def spend_writing(path: Path, environment: dict[str, str]) -> float:
    """CPU seconds of the requests in a file alone."""
    _use(environment)
    from shared import wiring

    requests, dynamodb = _read(path), wiring.client("dynamodb")
    methods = {"BatchExecuteStatement": dynamodb.batch_execute_statement, "PutItem": dynamodb.put_item}
    methods["SendMessageBatch"] = wiring.client("sqs").send_message_batch
    with _warm():
        return _cpu(lambda: [methods[operation](**params) for _, operation, params in requests])


def _read(path: Path) -> list[Request]:
    requests: list[Request] = pickle.loads(path.read_bytes())  # noqa: S301  # written by our own child
    return requests


def profile(path: Path, count: int, environment: dict[str, str]) -> None:
    """Where a tick spends its time, by cProfile, which sees one thread: one shard after the other."""
    import cProfile

    _use(environment)
    watched = cProfile.Profile(time.process_time)
    with _warm():
        fired = watched.runcall(lambda: sum(_invoke({"shard": shard}) for shard in keys.wake_shards()))
    assert fired == count, f"{fired} fired of {count}"
    watched.dump_stats(path)


def _use(environment: dict[str, str]) -> None:
    """Log lines are written, but nobody reads them: stdout is for the figures."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _tick(count: int) -> None:
    """A tick, and the invocations that it hands shards on to."""
    from shared import wiring

    shards = list[str]()

    def hand_on(params: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        shards.append(json.loads(params["body"])["shard"])
        return SimpleNamespace(status_code=202), {"StatusCode": 202}

    wiring.client("lambda").meta.events.register("before-call.lambda.Invoke", hand_on)
    fired = _invoke({}) + sum(_invoke({"shard": shard}) for shard in shards)
    assert fired == count, f"{fired} fired of {count}"


@contextmanager
def _warm() -> Iterator[None]:
    """At noon; imports, clients and connections are there from a tick before anything was due."""
    clock = Clock(NOON - timedelta(hours=1))
    with kept_by(clock):
        _invoke({})
        from shared import wiring

        wiring.queue().ping()
        clock.at = NOON
        yield


def _invoke(event: Any) -> int:
    """How many occurrences the tick fired."""
    from functions.tick.handler import handler

    tick: Any = handler
    return int(tick(event, Context(function_name="spark-tick"))["fired"])


def _keep(requests: list[Request], service: str, operation: str, params: dict[str, Any], **_: Any) -> None:
    requests.append((service, operation, params))


def _cpu(work: Callable[[], Any]) -> float:
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def _on_an_empty_emulator(fill: Callable[[dict[str, str]], None], work: Callable[[dict[str, str]], T]) -> T:
    with ministack() as emulator:
        session: Any = boto3.Session("test", "test", region_name=resources.REGION)
        made = resources.create(partial(session.client, endpoint_url=emulator.url))
        environment = {**made, "AWS_ENDPOINT_URL": emulator.url}
        _in_child(partial(fill, environment))
        return _in_child(partial(work, environment))


def _in_child(work: Callable[[], T]) -> T:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work).result()
