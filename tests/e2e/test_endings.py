"""What follows the end of a schedule's run, whoever ends it: its executor, the tick, or a dead letter."""

import json
import signal
import time
from typing import Any

from shared.domain.dead_letter import MAX_RETURNS
from shared.store import keys
from tests.e2e.deployment import Deployment
from tests.e2e.test_iam import no_executors, runs_of, scheduled
from tests.stub_langflow import StubLangFlow

LONG_AGO = {"S": "2020-01-01T00:00:00.000Z"}


def paused(spark: Deployment, schedule: str) -> dict[str, Any]:
    """The schedule as soon as it is paused."""
    deadline = spark.deadline(20)
    while (found := spark.api.get(f"/schedules/{schedule}").raise_for_status().json())["state"] != "paused":
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return dict(found)


def give_up(spark: Deployment, run: dict[str, Any]) -> dict[str, Any]:
    """The run when its message has come back from the dead-letter queue too often."""
    body = json.dumps({"project_id": run["project_id"], "run_id": run["id"], "turn": run["turn"]})
    for _ in range(MAX_RETURNS + 1):
        spark.client("sqs").send_message(QueueUrl=spark.outputs["DeadLetterQueueUrl"], MessageBody=body)
    return spark.ended(run["id"], 20)


def lose(spark: Deployment, run: dict[str, Any]) -> None:
    """End the executor that has the run, and let the time pass that the run was its."""
    for worker in spark.workers(spark.outputs["ExecutorFunctionName"]):
        worker.send_signal(signal.SIGKILL)
    pk, sk = keys.run(run["project_id"], run["id"])
    spark.client("dynamodb").update_item(
        TableName=spark.outputs["TableName"],
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET lease_until = :then, wake_at = :then",
        ExpressionAttributeValues={":then": LONG_AGO},
    )


def test_a_schedule_whose_runs_fail_is_paused(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("fail")
    schedule = scheduled(spark, echo, kind="interval", expression="1s", max_runs=4, pause_after_failures=2)

    assert paused(spark, schedule)["failed_in_a_row"] >= 2


def test_a_schedule_whose_run_becomes_a_dead_letter_is_paused(spark: Deployment, echo: str) -> None:
    with no_executors(spark):
        schedule = scheduled(spark, echo, kind="interval", expression="1s", max_runs=2, pause_after_failures=1)
        (run, _) = reversed(runs_of(spark, schedule))
        time.sleep(2)  # until its time has come: what lies ahead is no failure in a row
        assert give_up(spark, run)["status"] == "failed"

        assert paused(spark, schedule)["failed_in_a_row"] == 1


def test_a_schedule_whose_run_is_ended_by_the_tick_is_paused(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("hang")
    settings: dict[str, Any] = {"max_runs": 2, "pause_after_failures": 1, "retry": {"max_attempts": 1}}
    schedule = scheduled(spark, echo, kind="interval", expression="1s", **settings)
    (run, _) = reversed(runs_of(spark, schedule))
    spark.until(run["id"], lambda now: now["status"] == "running")

    lose(spark, run)
    spark.tick()

    assert spark.run(run["id"])["error"]["code"] == "worker_lost"
    assert paused(spark, schedule)["failed_in_a_row"] == 1


def test_whoever_waited_for_a_run_that_is_given_up_goes_on(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("hang")
    schedule = scheduled(spark, echo, kind="interval", expression="1s", max_runs=2, overlap="queue_all")
    (first, second) = reversed(runs_of(spark, schedule))
    running = spark.until(first["id"], lambda now: now["status"] == "running")
    time.sleep(3)  # until the second has come and waits
    stub.set("ok")

    give_up(spark, running)

    assert spark.ended(second["id"], 20)["status"] == "completed"
