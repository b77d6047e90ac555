import json

import httpx
import pytest

from tests.fake_api import SECRET, FakeApi, asked, bodies, id_of
from tests.unit.cli.conftest import Spark

ADD = ("source", "add", "lab", "http://langflow.test")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--api-key", "-"], {"input": f"{SECRET}\n"}),
        (["--api-key", "-"], {"input": f"{SECRET}\n", "user": True}),
        (["--api-key", "env:LAB_KEY"], {"env": {"LAB_KEY": SECRET}}),
        (["--api-key", SECRET], {}),
        ([], {"input": f"{SECRET}\n", "user": True}),
    ],
)
def test_a_key_comes_from_a_prompt_stdin_the_environment_or_the_line(
    api: FakeApi, spark: Spark, words: list[str], settings: dict[str, object]
) -> None:
    assert spark(*ADD, *words, **settings).exit_code == 0
    assert bodies(api, "POST", "/sources$") == [{"name": "lab", "url": "http://langflow.test", "api_key": SECRET}]


def test_a_key_on_the_line_draws_a_warning(spark: Spark) -> None:
    assert "history" in spark(*ADD, "--api-key", SECRET).stderr


def test_without_a_terminal_no_key_is_no_key(api: FakeApi, spark: Spark) -> None:
    spark(*ADD)
    assert "api_key" not in bodies(api, "POST", "/sources$")[0]


def test_a_missing_variable_is_a_usage_error(spark: Spark) -> None:
    result = spark(*ADD, "--api-key", "env:NOPE")
    assert (result.exit_code, "no NOPE" in result.stderr) == (2, True)


def test_a_new_source_is_checked(api: FakeApi, spark: Spark) -> None:
    assert "lfx 1.13.0" in spark(*ADD).stdout
    spark(*ADD, "--no-verify")
    assert [request.url.params.get("verify") for request in api.requests] == [None, "false"]


def test_adding_with_json_prints_one_document(spark: Spark) -> None:
    assert json.loads(spark(*ADD, "--json").stdout)["id"] == id_of("src", 1)


def test_the_list_tells_how_they_are(api: FakeApi, spark: Spark) -> None:
    api.add_source("fine", check={"reachable": True, "key_valid": True, "version": "1.9", "dialect": "langflow_v2"})
    api.add_source("gone", check={"reachable": False})
    api.add_source("locked", check={"reachable": True, "key_valid": False})
    api.add_source("off", status="inactive")
    lines = spark("source", "list").stdout.splitlines()
    assert [line.split()[1:3] for line in lines[1:]] == [
        ["off", "inactive"],
        ["locked", "key"],
        ["gone", "unreachable"],
        ["fine", "active"],
    ]
    assert "langflow 1.9" in lines[4]


def test_an_empty_list_says_how_to_begin(spark: Spark) -> None:
    assert "spark source add" in spark("source", "list").stderr


def test_get_takes_a_name_or_an_id(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    assert spark("source", "get", "lab").stdout == spark("source", "get", id_of("src", 1)).stdout


def test_update_changes_only_what_is_named(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    spark("source", "update", "lab", "--inactive", "--max-concurrency", "4")
    assert bodies(api, "PATCH", "/sources/") == [{"status": "inactive", "max_concurrency": 4}]


def test_an_empty_key_and_no_limit_can_be_said(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    spark("source", "update", "lab", "--api-key", "-", "--max-concurrency", "0", input="\n")
    assert bodies(api, "PATCH", "/sources/") == [{"api_key": None, "max_concurrency": None}]


def test_sync_tells_what_became_of_each_workflow(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    assert "No workflow" in spark("source", "sync", "lab").stderr
    api.add_workflow()
    assert spark("source", "sync", "lab").stdout.splitlines()[1].split() == ["00000001", "synced", "2"]
    api.synced = {"status": "failed", "version": 1, "error": {"detail": "The flow is gone."}}
    result = spark("source", "sync", "lab")
    assert (result.exit_code, "The flow is gone." in result.stdout) == (1, True)


def test_update_of_nothing_is_a_usage_error(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    assert spark("source", "update", "lab").exit_code == 2


def test_check_follows_what_it_finds(api: FakeApi, spark: Spark) -> None:
    source = api.add_source("lab")
    assert spark("source", "check", "lab").exit_code == 0
    api.answers = [httpx.Response(200, json={**source, "check": {"reachable": False, "message": "refused"}})]
    result = spark("source", "check", source["id"])
    assert (result.exit_code, "refused" in result.stdout) == (1, True)


def test_flows_lists_what_can_be_imported(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    api.flows = [{"id": "a1b2c3d4-0000-4000-8000-000000000000", "name": "Echo", "description": "Says\nit again"}]
    assert "a1b2c3d4  Echo            Says it again" in spark("source", "flows", "lab").stdout
    assert json.loads(spark("source", "flows", "lab", "--json").stdout) == api.flows


def test_delete_in_use_needs_cascade(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    spark("source", "delete", "lab", "--cascade", "--yes")
    assert asked(api, "DELETE", "/sources/")[0].url.params["cascade"] == "true"
