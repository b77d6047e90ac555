"""What takes minutes of real time: schedules that are watched, and a LangFlow that is away. Both happen at once."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from cli.local import ports
from tests.e2e.deployment import Deployment
from tests.e2e.test_schedules import create, instant, runs, schedule, wait
from tests.stub_langflow import ECHO, StubLangFlow

Run = dict[str, Any]

WATCHED = timedelta(minutes=2)
AWAY_SECONDS = 60
TAKES_AT_MOST_SECONDS = 300


@dataclass(frozen=True)
class Watch:
    """What came of a schedule every five seconds, `interval`, and of one `once`, in ten seconds."""

    due: list[datetime]
    fired: list[Run]  # of the interval, until the last that was due
    attempted: int  # of all runs of the interval
    single: Run
    calls: dict[str, int]  # input → how often LangFlow was called with it
    interval: dict[str, Any]
    once: dict[str, Any]


@dataclass(frozen=True)
class Outage:
    """Runs when LangFlow had been away for a minute, and when they were over."""

    waiting: list[Run]
    ended: list[Run]


@pytest.fixture(scope="module")
def began(spark: Deployment) -> Iterator[tuple[Future[Watch], Future[Outage]]]:
    with ThreadPoolExecutor(2) as both:
        yield both.submit(watch, spark), both.submit(live_through_an_outage, spark)


def watch(spark: Deployment) -> Watch:
    with StubLangFlow() as stub:
        workflow = spark.import_flow(spark.add_source("watched", stub.url), ECHO)
        interval = create(spark, workflow, kind="interval", expression="5s", input="every five seconds")
        once = create(spark, workflow, kind="once", expression="in 10s", input="once, in ten seconds")
        began = instant(interval["created_at"])
        wait(began + WATCHED + timedelta(seconds=2))
        spark.api.post(f"/schedules/{interval['id']}/pause", json={}).raise_for_status()  # so that counting has an end
        time.sleep(8)

        due = [began.replace(microsecond=0) + n * timedelta(seconds=5) for n in range(1, WATCHED.seconds // 5 + 1)]
        found, (single,) = runs(spark, interval["id"]), runs(spark, once["id"])
        return Watch(
            due,
            fired=[run for run in found if instant(run["scheduled_for"]) <= due[-1]],
            attempted=len([run for run in found if run["attempt"]]),
            single=single,
            calls=stub.calls()["calls"][ECHO],
            interval=schedule(spark, interval["id"]),
            once=schedule(spark, once["id"]),
        )


def live_through_an_outage(spark: Deployment) -> Outage:
    port = ports.free()
    with _langflow(port):
        source = spark.add_source("moody", f"http://127.0.0.1:{port}")
        workflow = spark.import_flow(source, ECHO)
    made = spark.submit_many(workflow, [f"patient {number}" for number in range(50)])
    time.sleep(AWAY_SECONDS)
    waiting = [spark.run(run["id"]) for run in made]
    with _langflow(port), ThreadPoolExecutor(8) as pool:
        return Outage(waiting, list(pool.map(lambda run: spark.ended(run["id"], 150), made)))


class _langflow:  # noqa: N801  # reads as a verb: with langflow on this port
    """The stub as a process of its own, so that its port can go away and come back."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> None:
        command = [sys.executable, "-m", "tests.stub_langflow", "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        httpx.get(f"http://127.0.0.1:{self._port}/health", trust_env=False).raise_for_status()

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()


@pytest.mark.timeout(TAKES_AT_MOST_SECONDS)
def test_for_two_minutes_none_is_missed_and_none_fires_twice(began: tuple[Future[Watch], Future[Outage]]) -> None:
    seen = began[0].result()

    assert sorted(instant(run["scheduled_for"]) for run in seen.fired) == seen.due
    ended = Counter((run["status"], run["attempt"]) for run in [*seen.fired, seen.single])
    assert ended == {("completed", 1): len(seen.due) + 1}
    assert seen.calls == {"once, in ten seconds": 1, "every five seconds": seen.attempted}
    assert seen.once["state"] == "finished"
    assert seen.interval["failed_in_a_row"] == 0


@pytest.mark.timeout(TAKES_AT_MOST_SECONDS)
def test_fifty_runs_outlive_a_minute_without_langflow(began: tuple[Future[Watch], Future[Outage]]) -> None:
    seen = began[1].result()

    assert len(seen.ended) == 50
    assert {run["status"] for run in seen.waiting} == {"pending"}
    assert {run["status"] for run in seen.ended} == {"completed"}
    assert max(run["attempt"] for run in seen.ended) <= 3
