import json

import pytest
from rich.text import Text

from tests.fake_api import NOW, FakeApi, asked, bodies, id_of
from tests.unit.cli.conftest import Spark

ERROR = {"code": "flow_failed", "message": "ValueError: this flow\nalways fails", "attempt": 1}


@pytest.fixture
def history(api: FakeApi) -> FakeApi:
    api.add_workflow("Echo")
    times = {"created_at": "2030-01-01T11:57:00.000Z", "started_at": "2030-01-01T11:57:01.000Z"}
    api.add_run(status="completed", attempt=1, **times, finished_at="2030-01-01T11:57:02.500Z")
    api.add_run(status="failed", attempt=3, error=ERROR, started_at=NOW, finished_at=NOW)
    api.add_run(status="pending", attempt=1, error=ERROR, not_before="2030-01-01T12:00:09.000Z")
    return api


def test_the_list_tells_each_run_in_a_line(history: FakeApi, spark: Spark) -> None:
    lines = [line.split(maxsplit=2) for line in spark("run", "list").stdout.splitlines()]
    assert lines[0][:2] == ["ID", "WORKFLOW"]
    assert [line[2].split() for line in lines[1:]] == [
        ["pending", "1", "just", "now", "again", "in", "9", "s"],
        ["failed", "3", "just", "now", "0.0", "s", "flow_failed:", "ValueError:", "this", "flow", "always", "fails"],
        ["completed", "1", "3", "min", "ago", "1.5", "s", "Hello"],
    ]


def test_what_is_printed_can_be_pasted_back(history: FakeApi, spark: Spark) -> None:
    shown = spark("run", "list").stdout.splitlines()[1].split()[0]
    assert json.loads(spark("run", "get", shown, "--json").stdout)["id"] == id_of("run", 3)


def test_filters_reach_the_api(history: FakeApi, spark: Spark) -> None:
    spark("run", "list", "--workflow", "Echo", "--status", "failed", "--since", "2h", "--until", "2030-01-02T00:00Z")
    params = dict(asked(history, "GET", "/runs$")[0].url.params)
    assert params == {
        "workflow_id": id_of("wf", 1),
        "status": "failed",
        "since": "2030-01-01T10:00:00.000Z",
        "until": "2030-01-02T00:00:00.000Z",
        "limit": "20",
        "due": "true",
    }


def test_what_schedules_made_ahead_of_its_time_is_listed_only_if_asked_for(history: FakeApi, spark: Spark) -> None:
    spark("run", "list", "--ahead")
    spark("run", "get", "last")
    listed, last = (dict(request.url.params) for request in asked(history, "GET", "/runs$"))
    assert "due" not in listed
    assert last == {"limit": "1", "due": "true"}


def test_an_unknown_status_is_a_usage_error(spark: Spark) -> None:
    assert spark("run", "list", "--status", "done").exit_code == 2


def test_with_json_the_list_is_the_items_of_all_pages(api: FakeApi, spark: Spark) -> None:
    for _ in range(120):
        api.add_run()
    found = json.loads(spark("run", "list", "--limit", "110", "--json").stdout)
    assert found == api.kept["runs"][:110]


def test_on_a_terminal_every_run_is_one_line_of_eighty_columns(history: FakeApi, spark: Spark) -> None:
    for run in history.kept["runs"]:
        run["input"] = "long " * 50
    shown = spark("run", "list", env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout
    lines = Text.from_ansi(shown).plain.strip().splitlines()
    assert len(lines) == 2 + 3
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("…")


def test_without_colours_there_are_none(history: FakeApi, spark: Spark) -> None:
    shown = spark("run", "list", "--no-color", env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout
    assert "\x1b[32m" not in shown
    assert "\x1b[32m" in spark("run", "list", env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout


def test_get_shows_why_it_failed(history: FakeApi, spark: Spark) -> None:
    shown = spark("run", "get", "00000002").stdout
    assert "failed" in shown
    assert "flow_failed: ValueError: this flow" in shown


def test_logs_are_lines(history: FakeApi, spark: Spark) -> None:
    shown = spark("run", "logs", "last")
    assert shown.stdout.split()[1:] == ["INFO", "run.completed"]
    assert shown.stderr == "attempt 1\n"
    assert json.loads(spark("run", "logs", "last", "--json").stdout) == history.logs


def test_steps_are_told_by_attempt(history: FakeApi, spark: Spark) -> None:
    step = {"name": "Chat Output", "status": "completed", "duration_seconds": 0.2, "error": None}
    history.steps = [
        {"attempt": 1, "started_at": NOW, "ended_at": NOW, "error": ERROR, "steps": []},
        {"attempt": 2, "started_at": NOW, "ended_at": NOW, "error": None, "steps": [step]},
    ]
    lines = spark("run", "steps").stdout.splitlines()
    assert lines[1].split()[:6] == ["1", "(attempt)", "failed", "0.0", "s", "flow_failed:"]
    assert lines[2].split() == ["2", "Chat", "Output", "completed", "0.2", "s"]
    assert lines[3].split() == ["2", "(attempt)", "completed", "0.0", "s"]
    assert json.loads(spark("run", "steps", "--json").stdout) == history.steps


def test_retry_is_a_new_run(history: FakeApi, spark: Spark) -> None:
    assert spark("run", "retry", "00000002").stdout == f"{id_of('run', 4)}\n"
    assert spark("run", "retry", "00000002", "--watch").stdout == "Hello back\n"


def test_cancel_says_whether_it_is_done(history: FakeApi, spark: Spark) -> None:
    assert "00000003 is cancelled." in spark("run", "cancel", "last").stderr


@pytest.mark.parametrize(("verb", "said"), [("cancel", "cancelled"), ("retry", "run again")])
def test_a_sweep_asks_and_goes_on_until_all_is_done(history: FakeApi, spark: Spark, verb: str, said: str) -> None:
    assert spark("run", f"{verb}-all", "--workflow", "Echo").exit_code == 2
    result = spark("run", f"{verb}-all", "--workflow", "Echo", "--since", "1h", "--yes")
    assert f"4 of 6 {said}." in result.stderr
    wanted = {"workflow_id": id_of("wf", 1), "since": "2030-01-01T11:00:00.000Z", "limit": 500}
    assert bodies(history, "POST", f"/runs/{verb}$") == [wanted, {**wanted, "cursor": "more"}]
    assert json.loads(spark("run", f"{verb}-all", "--yes", "--json").stdout) == {"matched": 6, "changed": 4}


def test_the_run_of_a_deleted_workflow_is_listed_by_its_id(history: FakeApi, spark: Spark) -> None:
    history.kept["workflows"].clear()
    assert "(00000001)" in spark("run", "list").stdout


def test_view_is_get(history: FakeApi, spark: Spark) -> None:
    assert spark("task", "view", "last").stdout == spark("run", "get", "last").stdout


def test_an_unknown_run_is_refused(spark: Spark) -> None:
    result = spark("run", "get", "nope")
    assert (result.exit_code, "There is no run 'nope'" in result.stderr) == (4, True)


def test_runs_are_filtered_by_schedule(daily: FakeApi, spark: Spark) -> None:
    spark("run", "list", "--schedule", "Daily")
    assert asked(daily, "GET", "/runs$")[0].url.params["schedule_id"] == id_of("sch", 1)
    spark("run", "cancel-all", "--schedule", "Daily", "--yes")
    assert bodies(daily, "POST", "/runs/cancel$")[0] == {"schedule_id": id_of("sch", 1), "limit": 500}
