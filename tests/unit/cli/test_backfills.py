import json

import httpx
import pytest

from tests.fake_api import NOW, FakeApi, bodies, id_of, problem
from tests.unit.cli.conftest import Spark

PLAN = {
    "total": 2,
    "items": [
        {"scheduled_for": "2029-12-30T12:00:00.000Z", "run_id": None, "status": None},
        {"scheduled_for": "2029-12-31T12:00:00.000Z", "run_id": id_of("run", 7), "status": "failed"},
    ],
}


@pytest.fixture
def past(daily: FakeApi) -> FakeApi:
    daily.plan = PLAN
    return daily


def test_a_dry_run_lists_what_would_run(past: FakeApi, spark: Spark) -> None:
    shown = spark("schedule", "backfill", "Daily", "--from", "2029-12-30", "--to", "2029-12-31", "--dry-run")
    assert bodies(past, "POST", "/backfills$") == [
        {"start_at": "2029-12-30T03:00:00.000Z", "end_at": "2030-01-01T02:59:59.999Z", "dry_run": True}
    ]
    assert shown.stderr == "Daily: 2 runs from Sun 2029-12-30 09:00 -03 to Mon 2029-12-31 09:00 -03\n"
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == ["STATUS", "-", "failed"]
    assert past.kept["backfills"] == []


def test_a_backfill_says_how_much_it_is_and_asks(past: FakeApi, spark: Spark) -> None:
    refused = spark("schedule", "backfill", "Daily", "--from", "7d")
    assert (refused.exit_code, "Daily: 2 runs" in refused.stderr, past.kept["backfills"]) == (2, True, [])
    started = spark("schedule", "backfill", "Daily", "--from", "7d", "--reprocess", "failed", "--overlap", "skip", "-y")
    assert started.stdout == f"{id_of('bkf', 1)}\n"
    assert "2 of 2 runs started." in started.stderr
    wish = {"start_at": "2029-12-25T12:00:00.000Z", "reprocess": "failed", "overlap": "skip"}
    assert bodies(past, "POST", "/backfills$")[-2:] == [{**wish, "dry_run": True}, wish]


def test_a_backfill_reaches_no_further_than_now(past: FakeApi, spark: Spark) -> None:
    spark("schedule", "backfill", "Daily", "--from", "2029-12-01", "--to", "2030-01-01", "--dry-run")
    assert bodies(past, "POST", "/backfills$")[0]["end_at"] == NOW


def test_a_backfill_of_nothing_starts_nothing(daily: FakeApi, spark: Spark) -> None:
    result = spark("schedule", "backfill", "Daily", "--from", "7d")
    assert (result.exit_code, "nothing to run" in result.stderr) == (0, True)
    assert daily.kept["backfills"] == []


@pytest.mark.parametrize("words", [["--from", "yesterday"], ["--from", "7d", "--to", "in a week"]])
def test_a_range_that_cannot_be_read_is_about_its_option(past: FakeApi, spark: Spark, words: list[str]) -> None:
    result = spark("schedule", "backfill", "Daily", *words)
    assert (result.exit_code, bodies(past, "POST", "")) == (2, [])
    assert f"Error: {words[-2]}: " in result.stderr


def test_too_large_a_backfill_is_about_its_options(past: FakeApi, spark: Spark) -> None:
    refused = problem(422, "invalid", "No.", errors=[{"pointer": "/start_at", "detail": "20,000 occurrences"}])
    answer = past.answer
    past.handle = lambda request: refused if request.method == "POST" else answer(request)
    assert "  --from  20,000 occurrences" in spark("schedule", "backfill", "Daily", "--from", "9w").stderr


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1)])
def test_a_watched_backfill_exits_as_its_runs_ended(past: FakeApi, spark: Spark, status: str, code: int) -> None:
    for end in ("completed", status):
        past.add_run(schedule_id=id_of("sch", 1), origin="backfill", backfill_id=id_of("bkf", 1), status=end)
    past.add_run(schedule_id=id_of("sch", 1), origin="schedule", status="failed")  # not ours
    result = spark("schedule", "backfill", "Daily", "--from", "7d", "--yes", "--watch")
    assert result.exit_code == code
    assert f"{2 - code} of 2 runs completed." in result.stderr


def test_a_backfill_under_way_is_watched_until_it_is_over(past: FakeApi, spark: Spark) -> None:
    running = past.add_backfill(status="running", started=0, total=1)
    over = {**running, "status": "completed", "started": 1}

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(running["id"]):
            past.add_run(
                schedule_id=id_of("sch", 1), origin="backfill", backfill_id=id_of("bkf", 1), status="completed"
            )
            return httpx.Response(200, json=over)
        posted = request.method == "POST" and b"dry_run" not in request.content
        return httpx.Response(202, json=running) if posted else past.answer(request)

    past.handle = handle
    result = spark("schedule", "backfill", "Daily", "--from", "7d", "--yes", "--watch", "--json")
    assert [run["id"] for run in json.loads(result.stdout)["runs"]] == [id_of("run", 1)]


def test_backfills_are_listed_and_cancelled(past: FakeApi, spark: Spark) -> None:
    assert "No backfills" in spark("schedule", "backfills", "Daily").stderr
    past.add_backfill(status="running", started=1, left_out=1, total=9)
    line = spark("schedule", "backfills", "Daily").stdout.splitlines()[1]
    assert line.split() == ["00000001", "2030-01-01", "09:00", "2030-01-01", "09:00", "running", "1/9", "just", "now"]
    assert json.loads(spark("schedule", "backfills", "Daily", "--json").stdout) == past.kept["backfills"]
    cancelled = spark("schedule", "backfills", "Daily", "--cancel", "last")
    assert "00000001 is cancelled: 1 of 8 runs started, 1 left out." in cancelled.stderr
    assert spark("schedule", "backfills", "Daily", "--cancel", "nope").exit_code == 4
