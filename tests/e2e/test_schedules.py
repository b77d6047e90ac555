"""Schedules on a running stack, in real time: what fires, when, and what stops it."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.deployment import Deployment
from tests.stub_langflow import StubLangFlow


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def create(spark: Deployment, workflow: str, **settings: Any) -> dict[str, Any]:
    body = {"workflow_id": workflow, "settings": {"name": "e2e", "input": "tick", **settings}}
    schedule: dict[str, Any] = spark.api.post("/schedules", json=body).raise_for_status().json()
    return schedule


def schedule(spark: Deployment, id: str) -> dict[str, Any]:
    found: dict[str, Any] = spark.api.get(f"/schedules/{id}").raise_for_status().json()
    return found


def runs(spark: Deployment, id: str) -> list[dict[str, Any]]:
    """The runs of a schedule, those of the look-ahead included, newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 100, **({"cursor": cursor} if cursor else {})}
        page = spark.api.get(f"/schedules/{id}/runs", params=params).raise_for_status().json()
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return found


def wait(until: datetime) -> None:
    time.sleep(max((until - datetime.now(UTC)).total_seconds(), 0))


def test_a_pause_stops_what_has_not_started(spark: Deployment, echo: str) -> None:
    made = create(spark, echo, kind="interval", expression="4s")
    paused = spark.api.post(f"/schedules/{made['id']}/pause", json={"reason": "enough"}).raise_for_status().json()
    wait(instant(paused["paused_at"]) + timedelta(seconds=12))

    found = runs(spark, made["id"])
    unwanted = [run for run in found if (run["error"] or {}).get("code") == "schedule_changed"]
    completed = [run for run in found if run["status"] == "completed"]

    assert len(unwanted) >= 2
    assert {run["status"] for run in unwanted} <= {"pending", "cancelled"}  # the schedule might be resumed
    assert len(completed) <= 1
    assert schedule(spark, made["id"])["fired"] == len(completed)


def test_a_run_gets_the_input_of_the_moment_it_starts(spark: Deployment, echo: str) -> None:
    made = create(spark, echo, kind="once", expression="in 5s", input="before")
    spark.api.patch(f"/schedules/{made['id']}", json={"settings": {"input": "after"}}).raise_for_status()

    (run,) = runs(spark, made["id"])

    assert spark.ended(run["id"])["output"] == "after"


def test_runs_that_may_not_overlap_wait_for_each_other(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    stub.set("ok", delay_ms=2500)
    made = create(spark, echo, kind="interval", expression="1s", overlap="skip", max_runs=6)
    wait(instant(made["created_at"]) + timedelta(seconds=12))

    done = [spark.ended(run["id"]) for run in runs(spark, made["id"])]
    by_status = Counter(run["status"] for run in done)

    assert by_status.keys() == {"completed", "skipped"}
    assert len(done) == 6
    assert schedule(spark, made["id"])["skipped_overlap"] == by_status["skipped"] >= 2


def test_a_schedule_can_be_tried_before_its_time(spark: Deployment, echo: str) -> None:
    made = create(spark, echo, kind="cron", expression="0 9 24 12 *", timezone="America/Sao_Paulo")
    christmas = instant(made["next_fire_at"])

    said = spark.tick(as_of=christmas.isoformat())

    (run,) = runs(spark, made["id"])
    assert said["fired"] >= 1
    assert instant(run["scheduled_for"]) == christmas
    assert spark.ended(run["id"])["status"] == "completed"
    assert instant(schedule(spark, made["id"])["next_fire_at"]) > christmas
