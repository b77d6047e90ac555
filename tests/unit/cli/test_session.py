import json

import httpx
import pytest

from cli import config
from tests.fake_api import KEY, FakeApi, problem
from tests.unit.cli.conftest import Spark


@pytest.mark.parametrize(
    "words", [["--json", "source", "list"], ["source", "--json", "list"], ["source", "list", "--json"]]
)
def test_json_may_stand_anywhere(api: FakeApi, spark: Spark, words: list[str]) -> None:
    api.add_source()
    assert json.loads(spark(*words).stdout) == api.kept["sources"]


@pytest.mark.parametrize("words", [["--profile", "second", "run", "list"], ["run", "list", "--profile", "second"]])
def test_a_profile_may_stand_anywhere(api: FakeApi, spark: Spark, words: list[str]) -> None:
    config.save_profile("second", "http://second.test", KEY)
    spark(*words)
    assert {request.url.host for request in api.requests} == {"second.test"}


def test_the_profile_nearest_to_the_command_counts(api: FakeApi, spark: Spark) -> None:
    config.save_profile("second", "http://second.test", KEY)
    spark("--profile", "test", "run", "list", "--profile", "second")
    assert {request.url.host for request in api.requests} == {"second.test"}


def test_errors_are_a_few_lines_on_stderr(api: FakeApi, spark: Spark) -> None:
    errors = [{"pointer": "/url", "detail": "is no web address"}, {"pointer": "/name", "detail": "is odd"}]
    api.answers = [problem(422, "invalid", "/url: is no web address", errors=errors)]
    result = spark("source", "add", "lab", "nonsense")
    assert result.exit_code == 4
    assert result.stdout == ""
    assert result.stderr == "Error: The request breaks a rule.\n  /url  is no web address\n  /name  is odd\n"


def test_with_json_the_problem_document_is_on_stderr(api: FakeApi, spark: Spark) -> None:
    result = spark("run", "get", "run_01JGJ000000000000000000404", "--json")
    assert (result.exit_code, result.stdout) == (4, "")
    assert json.loads(result.stderr)["code"] == "not_found"


def test_a_wrong_key_says_what_to_do(spark: Spark) -> None:
    config.save_profile("test", "http://spark.test", "wrong")
    result = spark("source", "list")
    assert result.exit_code == 4
    assert "spark config set test --api-key -" in result.stderr


def test_without_a_deployment_it_says_what_to_do(spark: Spark) -> None:
    config.delete_profile("test")
    result = spark("source", "list")
    assert result.exit_code == 2
    assert "spark local up" in result.stderr


def test_a_destructive_command_asks(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    assert spark("source", "delete", "lab", user=True, input="n\n").exit_code == 1
    assert api.kept["sources"]
    assert spark("source", "delete", "lab", user=True, input="y\n").exit_code == 0
    assert not api.kept["sources"]


def test_without_a_terminal_it_wants_to_hear_yes(api: FakeApi, spark: Spark) -> None:
    api.add_source("lab")
    result = spark("source", "delete", "lab")
    assert (result.exit_code, len(api.kept["sources"])) == (2, 1)
    assert "--yes" in result.stderr
    assert spark("source", "delete", "lab", "--yes").exit_code == 0


def test_an_interrupt_is_130(api: FakeApi, spark: Spark) -> None:
    api.handle = _interrupt
    assert spark("run", "list").exit_code == 130


def _interrupt(request: httpx.Request) -> httpx.Response:
    raise KeyboardInterrupt
