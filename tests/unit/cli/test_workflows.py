import json
from pathlib import Path

import httpx
import pytest

from tests.fake_api import DONE, FakeApi, asked, bodies, id_of, problem
from tests.unit.cli.conftest import Spark

FLOWS = [
    {"id": "a1b2c3d4-0000-4000-8000-000000000000", "name": "Spark Echo"},
    {"id": "b1b2c3d4-0000-4000-8000-000000000000", "name": "Spark Slow"},
]


@pytest.fixture
def lab(api: FakeApi) -> FakeApi:
    api.add_source("lab")
    api.flows = FLOWS
    return api


@pytest.mark.parametrize("flow", ["Spark Echo", "a1b2c3d4", FLOWS[0]["id"]])
def test_a_flow_is_imported_by_name_or_id(lab: FakeApi, spark: Spark, flow: str) -> None:
    result = spark("workflow", "import", "lab", flow, "--json")
    assert bodies(lab, "POST", "import$") == [{"source_id": id_of("src", 1), "flow_id": FLOWS[0]["id"]}]
    assert json.loads(result.stdout)["id"] == id_of("wf", 1)


def test_all_flows_are_imported(lab: FakeApi, spark: Spark) -> None:
    result = spark("workflow", "import", "lab", "--all", "--json")
    assert [workflow["flow_id"] for workflow in json.loads(result.stdout)] == [flow["id"] for flow in FLOWS]


@pytest.mark.parametrize(("words", "code"), [(["lab"], 2), (["lab", "Echo", "--all"], 2), (["lab", "nope"], 4)])
def test_an_import_needs_one_flow_or_all(lab: FakeApi, spark: Spark, words: list[str], code: int) -> None:
    assert spark("workflow", "import", *words).exit_code == code


def test_what_is_imported_already_is_left_alone(lab: FakeApi, spark: Spark) -> None:
    known = problem(409, "already_imported", "The flow is a workflow already.", workflow_id=id_of("wf", 9))
    lab.handle = lambda request: known if request.url.path.endswith("import") else lab.answer(request)
    assert json.loads(spark("workflow", "import", "lab", "--all", "--json").stdout) == []
    result = spark("workflow", "import", "lab", "Spark Echo")
    assert (result.exit_code, f"spark workflow sync {id_of('wf', 9)}" in result.stderr) == (4, True)


def test_an_import_says_what_to_do_next(lab: FakeApi, spark: Spark) -> None:
    assert 'spark workflow run 00000001 "Hello" --watch' in spark("workflow", "import", "lab", "Spark Echo").stderr


def test_a_workflow_can_be_made_by_hand(lab: FakeApi, spark: Spark) -> None:
    words = ["--name", "Mine", "--timeout", "5m", "--max-attempts", "2", "--retry-failures", "--tag", "x"]
    spark("workflow", "create", "lab", "flow-9", *words)
    settings = {
        "name": "Mine",
        "timeout_seconds": 300,
        "tags": ["x"],
        "retry": {"max_attempts": 2, "flow_failed": True},
    }
    assert bodies(lab, "POST", "/workflows$") == [
        {"source_id": id_of("src", 1), "flow_id": "flow-9", "settings": settings}
    ]


def test_the_list_shows_names_and_versions(api: FakeApi, spark: Spark) -> None:
    api.add_workflow("Echo", version=3)
    assert "00000001  Echo        3" in spark("workflow", "list").stdout


def test_update_sends_only_what_is_named(api: FakeApi, spark: Spark) -> None:
    api.add_workflow("Echo")
    assert spark("workflow", "update", "Echo").exit_code == 2
    spark("workflow", "update", "Echo", "--timeout", "90")
    assert bodies(api, "PATCH", "/workflows/") == [{"settings": {"timeout_seconds": 90}}]


def test_a_workflow_can_be_switched_off(api: FakeApi, spark: Spark) -> None:
    api.add_workflow("Echo", enabled=True)
    spark("workflow", "update", "Echo", "--disable")
    assert bodies(api, "PATCH", "/workflows/") == [{"enabled": False}]
    assert "disabled" in spark("workflow", "list").stdout


def test_sync_shows_what_became_of_it(api: FakeApi, spark: Spark) -> None:
    workflow = api.add_workflow("Echo")
    api.answers = [httpx.Response(200, json={**workflow, "version": 2})]
    assert json.loads(spark("workflow", "sync", workflow["id"], "--json").stdout)["version"] == 2


def test_versions_are_listed(api: FakeApi, spark: Spark) -> None:
    workflow = api.add_workflow("Echo")
    version = {"number": 2, "reason": "synced", "facts": {"definition_hash": "abcdef0123456"}, "created_by": "k"}
    page = {"items": [{**workflow, **version}], "next_cursor": None}
    api.answers = [httpx.Response(200, json=page)]
    line = spark("workflow", "versions", workflow["id"]).stdout.splitlines()[1]
    assert line.split() == ["2", "synced", "Echo", "abcdef01", "k", "just", "now"]


def test_a_rollback_says_what_it_changed_and_what_it_could_not(api: FakeApi, spark: Spark) -> None:
    workflow = api.add_workflow("Echo")
    done = {
        "workflow": workflow,
        "changes": {"timeout_seconds": [60, 120]},
        "differences": {"definition_hash": ["a", "b"]},
    }
    api.answers = [httpx.Response(200, json=done)]
    said = spark("workflow", "rollback", workflow["id"], "1").stderr
    assert "changed: timeout_seconds  60 → 120" in said
    assert "still different: definition_hash  a → b" in said
    assert bodies(api, "POST", "/rollback$") == [{"version": 1}]


def test_delete_by_name(api: FakeApi, spark: Spark) -> None:
    api.add_workflow("Echo")
    assert spark("workflow", "delete", "Echo", "--yes").exit_code == 0
    assert api.kept["workflows"] == []


# ---------------------------------------------------------------- run


@pytest.fixture
def echo(api: FakeApi) -> FakeApi:
    api.add_workflow("Echo")
    return api


def test_a_run_is_started_and_its_id_printed(echo: FakeApi, spark: Spark) -> None:
    result = spark("workflow", "run", "Echo", "Hello")
    assert result.stdout == f"{id_of('run', 1)}\n"
    assert "spark run watch 00000001" in result.stderr
    assert bodies(echo, "POST", "runs$") == [{"input": "Hello"}]


@pytest.mark.parametrize("words", [["-"], ["--input-file", "-"]])
def test_the_input_may_come_from_stdin(echo: FakeApi, spark: Spark, words: list[str]) -> None:
    spark("workflow", "run", "Echo", *words, input="two\nlines\n")
    assert bodies(echo, "POST", "runs$") == [{"input": "two\nlines"}]


def test_the_input_may_come_from_a_file(echo: FakeApi, spark: Spark, tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("Grüße\n", encoding="utf-8")
    spark("workflow", "run", "Echo", "-f", str(tmp_path / "input.txt"))
    assert bodies(echo, "POST", "runs$") == [{"input": "Grüße"}]


@pytest.mark.parametrize(
    "words",
    [["x", "-f", "y"], ["-f", "/nowhere"], ["x", "--batch", "-"], ["--tweak", "nonsense"], ["--timeout", "soon"]],
)
def test_what_makes_no_sense_starts_nothing(echo: FakeApi, spark: Spark, words: list[str]) -> None:
    assert spark("workflow", "run", "Echo", *words).exit_code == 2
    assert echo.kept["runs"] == []


def test_tweaks_session_timeout_and_retries_go_along(echo: FakeApi, spark: Spark) -> None:
    words = ["--tweak", "Model-1.temperature=0.2", "--tweak", "Model-1.name=big", "--session", "s", "--timeout", "10m"]
    spark("workflow", "run", "Echo", "x", *words, "--max-attempts", "1")
    assert bodies(echo, "POST", "runs$") == [
        {
            "input": "x",
            "tweaks": {"Model-1": {"temperature": 0.2, "name": "big"}},
            "session_id": "s",
            "timeout_seconds": 600,
            "retry": {"max_attempts": 1, "flow_failed": False},
        }
    ]


def test_a_policy_of_a_run_begins_with_that_of_its_workflow(echo: FakeApi, spark: Spark) -> None:
    echo.kept["workflows"][0]["settings"]["retry"] = {"max_attempts": 7, "flow_failed": False}
    spark("workflow", "run", "Echo", "x", "--retry-failures")
    assert bodies(echo, "POST", "runs$") == [{"input": "x", "retry": {"max_attempts": 7, "flow_failed": True}}]


def test_a_large_output_is_fetched_without_our_key(echo: FakeApi, spark: Spark) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "bucket.test":
            assert "X-API-Key" not in request.headers
            return httpx.Response(200, json="a very long answer")
        return echo.answer(request)

    echo.handle = handle
    echo.script = [{**DONE, "output": None, "output_url": "https://bucket.test/output?signature=x"}]
    assert spark("workflow", "run", "Echo", "x", "--wait").stdout == "a very long answer\n"


def test_waiting_prints_the_output_and_nothing_else(echo: FakeApi, spark: Spark) -> None:
    result = spark("workflow", "run", "Echo", "Hello", "--wait")
    assert (result.exit_code, result.output) == (0, "Hello back\n")


def test_waiting_with_json_prints_the_run(echo: FakeApi, spark: Spark) -> None:
    document = json.loads(spark("workflow", "run", "Echo", "Hello", "--watch", "--json").stdout)
    assert (document["status"], document["output"]) == ("completed", "Hello back")


def test_a_workflow_that_does_not_exist_is_refused(api: FakeApi, spark: Spark) -> None:
    assert spark("workflow", "run", "nope", "x").exit_code == 4
    assert asked(api, "POST", "") == []
