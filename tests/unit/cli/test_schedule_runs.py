import json
from zoneinfo import ZoneInfo

import httpx

from tests.fake_api import NOW, FakeApi, asked, fire, id_of
from tests.unit.cli.conftest import SAO_PAULO, Spark


def test_the_runs_of_a_schedule_tell_how_late_they_began(daily: FakeApi, spark: Spark) -> None:
    ours = {"schedule_id": id_of("sch", 1), "status": "completed", "finished_at": NOW}
    at, began = "2030-01-01T11:00:00.000Z", "2030-01-01T11:00:00.700Z"
    daily.add_run(**ours, origin="schedule", scheduled_for=at, started_at=began)
    daily.add_run(**ours, origin="backfill", scheduled_for=at, started_at=began)
    daily.add_run(**ours, origin="manual", started_at=began)
    lines = spark("schedule", "runs", "Daily").stdout.splitlines()
    assert [[cell.strip() for cell in line.split("  ") if cell] for line in lines] == [
        ["ID", "FOR", "STATUS", "LATE", "TOOK"],
        ["00000003", "manual", "completed", "59:59", "Hello"],
        ["00000002", "08:00 -03 backfill", "completed", "59:59", "Hello"],
        ["00000001", "08:00 -03", "completed", "0.7 s", "59:59", "Hello"],
    ]
    found = json.loads(spark("schedule", "runs", "Daily", "--status", "completed", "--json").stdout)
    assert found == daily.kept["runs"]
    assert asked(daily, "GET", "/schedules/.*/runs$")[-1].url.params["status"] == "completed"


def test_without_runs_it_says_how_to_start_one(daily: FakeApi, spark: Spark) -> None:
    assert "spark schedule trigger 00000001" in spark("schedule", "runs", "Daily").stderr


def late(spark: Spark) -> list[str]:
    """What stands under LATE."""
    title, *lines = spark("schedule", "runs", "Daily").stdout.splitlines()
    end = title.index("LATE") + len("LATE")
    return [line[:end].split("completed")[1].strip() for line in lines]


def test_jitter_is_no_lateness(daily: FakeApi, spark: Spark) -> None:
    daily.kept["schedules"][0]["settings"]["jitter_seconds"] = 60
    ours = {"schedule_id": id_of("sch", 1), "status": "completed", "origin": "schedule"}
    daily.add_run(**ours, scheduled_for="2029-12-31T12:00:00.000Z", started_at="2029-12-31T12:00:41.000Z")
    daily.add_run(**ours, scheduled_for="2030-01-01T11:00:00.000Z", started_at="2030-01-01T11:00:41.000Z")
    fired = fire("2030-01-01T11:00:00.000Z", ZoneInfo(SAO_PAULO), fires_at="2030-01-01T11:00:40.500Z")
    questions = []

    def handle(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/preview"):
            return daily.answer(request)
        questions.append(dict(request.url.params))
        return httpx.Response(200, json={"items": [fired]})  # it knows none from before an edit

    daily.handle = handle
    assert late(spark) == ["0.5 s", "≤ 41 s"]
    assert questions == [{"count": "100", "after": "2029-12-31T11:59:59.999Z"}]


def test_what_no_clock_made_is_never_late_and_nobody_is_asked(daily: FakeApi, spark: Spark) -> None:
    daily.kept["schedules"][0]["settings"]["jitter_seconds"] = 60
    daily.add_run(schedule_id=id_of("sch", 1), status="completed", origin="manual", started_at=NOW)
    assert late(spark) == [""]
    assert asked(daily, "GET", "/preview$") == []


def test_what_waits_for_its_time_says_when_that_is(daily: FakeApi, spark: Spark) -> None:
    waiting = {"schedule_id": id_of("sch", 1), "origin": "schedule", "not_before": "2030-01-01T12:00:30.000Z"}
    daily.add_run(**waiting)
    daily.add_run(**waiting, attempt=1)
    lines = spark("schedule", "runs", "Daily").stdout.splitlines()
    assert [line.split("pending")[1].strip() for line in lines[1:]] == ["again in 30 s", "due in 30 s"]
