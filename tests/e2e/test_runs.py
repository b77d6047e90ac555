"""A run from the API through SQS and the executor to LangFlow and back, on a deployed stack."""

import json

from tests.e2e.deployment import Deployment
from tests.stub_langflow import StubLangFlow


def test_a_run_ends_with_what_the_flow_said(spark: Deployment, echo: str) -> None:
    run = spark.ended(spark.submit(echo, "hello")["id"])

    assert (run["status"], run["output"], run["attempt"]) == ("completed", "hello", 1)


def test_a_caller_can_wait_for_the_end(spark: Deployment, echo: str) -> None:
    answer = spark.api.post("/runs?wait=20", json={"workflow_id": echo, "input": "now"})

    assert answer.json()["status"] == "completed"
    assert answer.json()["output"] == "now"


def test_a_batch_of_a_hundred_runs_each_once(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    inputs = [f"item {number}" for number in range(100)]

    made = spark.submit_many(echo, inputs)
    ended = [spark.ended(run["id"]) for run in made]

    assert [run["output"] for run in ended] == inputs
    assert stub.calls()["total"] == 100


def test_a_failing_flow_says_why_and_is_not_tried_again(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("fail")

    run = spark.ended(spark.submit(echo, "x")["id"])

    assert run["status"] == "failed"
    assert run["error"]["code"] == "flow_failed"
    assert run["attempt"] == 1


def test_large_inputs_and_outputs_come_back_whole(spark: Deployment, echo: str) -> None:
    text = "ä" * 100_000

    run = spark.ended(spark.submit(echo, text)["id"])

    assert run["output"] == text
    assert run["input"] == text


def test_the_correlation_id_goes_from_the_request_to_langflow(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    headers = {"X-Correlation-Id": "find-me-17"}
    answer = spark.api.post("/runs", json={"workflow_id": echo, "input": "x"}, headers=headers)
    run = spark.ended(answer.json()["id"])

    assert answer.headers["X-Correlation-Id"] == "find-me-17"
    assert run["correlation_id"] == "find-me-17"
    assert "find-me-17" in json.dumps(stub.calls())


def test_the_same_request_twice_makes_one_run(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    send = {"json": {"workflow_id": echo, "input": "once"}, "headers": {"Idempotency-Key": "once-and-only"}}

    first, second = (spark.api.post("/runs", **send) for _ in range(2))
    spark.ended(first.json()["id"])

    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert stub.calls()["total"] == 1


def test_a_finished_run_can_be_run_again(spark: Deployment, echo: str) -> None:
    first = spark.ended(spark.submit(echo, "again")["id"])

    second = spark.api.post(f"/runs/{first['id']}/retry").raise_for_status().json()

    assert second["retry_of"] == first["id"]
    assert spark.ended(second["id"])["output"] == "again"


def test_a_run_longer_than_a_function_lives_is_a_job_that_is_polled(
    spark: Deployment, echo: str, stub: StubLangFlow
) -> None:
    stub.set("ok", delay_ms=6000)

    run = spark.submit(echo, "long", timeout_seconds=600)
    running = spark.until(run["id"], lambda now: now["job_id"] is not None)
    ended = spark.ended(run["id"])

    assert running["status"] == "running"
    assert (ended["status"], ended["output"], ended["attempt"]) == ("completed", "long", 1)


def test_steps_and_logs_tell_the_story(spark: Deployment, echo: str) -> None:
    run = spark.ended(spark.submit(echo, "story")["id"])

    steps = spark.api.get(f"/runs/{run['id']}/steps").json()["items"]
    logs = spark.api.get(f"/runs/{run['id']}/logs").json()["items"]

    assert [step["attempt"] for step in steps] == [1]
    assert [line["event"] for line in logs[0]["lines"]] == ["attempt.started", "flow.completed"]
