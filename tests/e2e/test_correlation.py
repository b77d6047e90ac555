"""One id in the logs of every function that works on a run, and at LangFlow: read from the logs of a running stack."""

import time
import uuid
from datetime import datetime, timedelta
from typing import Any

from tests.e2e.deployment import Deployment
from tests.e2e.test_iam import no_executors
from tests.stub_langflow import StubLangFlow

WITHIN_SECONDS = 30
FUNCTIONS = {"api": "ApiFunctionName", "tick": "TickFunctionName", "executor": "ExecutorFunctionName"}


def who_names(spark: Deployment, id: str) -> set[str]:
    """The functions whose logs have the id."""
    return {name for name, output in FUNCTIONS.items() if is_in_log(spark, spark.outputs[output], id)}


def is_in_log(spark: Deployment, function: str, id: str) -> bool:
    events = spark.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
    return any(id in event["message"] for page in events for event in page["events"])


def until_named(spark: Deployment, id: str, by: set[str]) -> None:
    """An invocation's lines appear some time after its end."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not by <= (named := who_names(spark, id)):
        assert time.monotonic() < deadline, f"{id} is in the logs of {named} only"
        time.sleep(0.5)


def test_the_id_of_a_request_is_in_the_logs_of_api_tick_and_executor_and_at_langflow(
    spark: Deployment, echo: str, stub: StubLangFlow
) -> None:
    """Its message is lost on the way, so that the tick has something to do with it."""
    id = f"order-{uuid.uuid4()}"  # not that of an earlier test run, where the stack is older
    queue = spark.outputs["RunQueueUrl"]
    with no_executors(spark):
        body = {"workflow_id": echo, "input": "Hi"}
        answer = spark.api.post("/runs", json=body, headers={"X-Correlation-Id": id}).raise_for_status()
        spark.client("sqs").purge_queue(QueueUrl=queue)
        until_named(spark, id, {"api"})
        deadline = time.monotonic() + WITHIN_SECONDS
        while "tick" not in who_names(spark, id):  # the run is looked after once WakeAfterSeconds are over
            assert time.monotonic() < deadline
            spark.tick()
            time.sleep(1)

    run: dict[str, Any] = spark.ended(answer.json()["id"])

    assert run["status"] == "completed"
    assert stub.calls()["headers"]["x-correlation-id"] == id
    until_named(spark, id, {"api", "tick", "executor"})


def test_the_id_of_a_run_that_the_clock_made_is_its_own(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    """A tick makes it: what is due within minutes when a schedule is made, the API fires itself."""
    settings = {"name": "e2e", "input": "tick", "kind": "interval", "expression": "1h"}
    schedule = spark.api.post("/schedules", json={"workflow_id": echo, "settings": settings}).raise_for_status().json()

    in_an_hour = datetime.fromisoformat(schedule["created_at"]) + timedelta(hours=1, seconds=1)
    assert spark.tick(as_of=in_an_hour.isoformat())["fired"] == 1
    (run,) = spark.api.get(f"/schedules/{schedule['id']}/runs").raise_for_status().json()["items"]

    assert spark.ended(run["id"])["status"] == "completed"
    assert stub.calls()["headers"]["x-correlation-id"] == run["id"]
    until_named(spark, run["id"], {"tick", "executor"})
