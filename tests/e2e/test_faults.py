"""What goes wrong in the world, and what becomes of the runs. Real processes, real time."""

import signal
import time

import pytest

from tests.e2e.deployment import FINAL, Deployment
from tests.stub_langflow import StubLangFlow


def ticking(spark: Deployment, id: str, seconds: float) -> dict:
    """The ended run, with the minute tick every few seconds as time goes by on the short clock of these tests."""
    deadline = time.monotonic() + seconds
    while (run := spark.run(id))["status"] not in FINAL:
        assert time.monotonic() < deadline, f"still {run['status']} after {seconds} s: {run}"
        time.sleep(2)
        spark.tick()
    return run


def test_a_run_whose_worker_is_killed_is_tried_again(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("hang")
    run = spark.submit(echo, "survive")
    spark.until(run["id"], lambda now: now["status"] == "running")
    time.sleep(1)  # until it waits for LangFlow

    workers = spark.workers(spark.outputs["ExecutorFunctionName"])
    stub.set("ok")
    for worker in workers:
        worker.send_signal(signal.SIGKILL)

    ended = ticking(spark, run["id"], 90)
    assert workers
    assert (ended["status"], ended["output"]) == ("completed", "survive")
    assert ended["attempt"] == 2
    assert ended["may_have_run_before"] is True


def test_cancel_stops_a_run_that_blocks_in_langflow_within_ten_seconds(
    spark: Deployment, echo: str, stub: StubLangFlow
) -> None:
    stub.set("hang")
    run = spark.submit(echo, "stop me")
    spark.until(run["id"], lambda now: now["status"] == "running")

    spark.api.post(f"/runs/{run['id']}/cancel").raise_for_status()
    ended = spark.ended(run["id"], 10)

    assert ended["status"] == "cancelled"
    assert ended["upstream_stopped"] is False


def test_a_flow_that_hangs_past_its_timeout_ends_as_timeout(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("hang")

    run = spark.submit(echo, "slow", timeout_seconds=1, retry={"max_attempts": 1})
    ended = spark.ended(run["id"], 20)

    assert ended["error"]["code"] == "timeout"


@pytest.mark.parametrize(
    ("mode", "code"), [("garbage", "invalid_answer"), ("huge", "output_too_large"), ("refuse_key", "upstream_refused")]
)
def test_answers_that_cannot_be_used_are_final(
    spark: Deployment, echo: str, stub: StubLangFlow, mode: str, code: str
) -> None:
    stub.set(mode)

    ended = spark.ended(spark.submit(echo, "x")["id"])

    assert (ended["status"], ended["error"]["code"], ended["attempt"]) == ("failed", code, 1)


def test_a_message_that_is_no_message_is_kept_and_harms_no_other(spark: Deployment, echo: str) -> None:
    queue = spark.client("sqs")
    queue.send_message(QueueUrl=spark.outputs["RunQueueUrl"], MessageBody="poison")

    run = spark.ended(spark.submit(echo, "unharmed")["id"])
    letters = spark.api.get("/dead-letters", params={"unreadable": "true"}).json()["items"]

    assert run["status"] == "completed"
    assert "poison" in [letter["body"] for letter in letters]


def test_a_message_delivered_many_times_runs_once(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("ok", delay_ms=300)
    run = spark.submit(echo, "only once")
    body = '{"project_id":"default","run_id":"%s","turn":0}' % run["id"]  # noqa: UP031  # JSON is full of braces

    queue = spark.client("sqs")
    for _ in range(20):
        queue.send_message(QueueUrl=spark.outputs["RunQueueUrl"], MessageBody=body)
    ended = spark.ended(run["id"])
    time.sleep(2)  # the duplicates have been delivered as well by now

    assert ended["attempt"] == 1
    assert stub.calls()["total"] == 1
