import json
from pathlib import Path

import httpx
import pytest
from rich.text import Text

from tests.fake_api import DONE, FakeApi, asked, bodies, id_of
from tests.unit.cli.conftest import Spark


@pytest.fixture
def echo(api: FakeApi) -> FakeApi:
    api.add_workflow("Echo")
    return api


@pytest.fixture
def lines(tmp_path: Path) -> str:
    path = tmp_path / "inputs.txt"
    path.write_text("one\n\ntwo\nthree\n")
    return str(path)


def finish(api: FakeApi) -> None:
    """From now on the list shows every run as over."""
    plain = api.handle

    def handle(request: httpx.Request) -> httpx.Response:
        answer = plain(request)
        if request.url.path.endswith("/runs/batch"):
            for run in api.kept["runs"]:
                run.update(DONE, output=f"{run['input']} back")
                api.script.clear()
        return answer

    api.handle = handle


def test_a_line_is_an_input(echo: FakeApi, spark: Spark, lines: str) -> None:
    result = spark("workflow", "run", "Echo", "--batch", lines)
    assert result.stdout.split() == [id_of("run", number) for number in (1, 2, 3)]
    sent = bodies(echo, "POST", "batch$")
    assert [run["input"] for run in sent[0]["runs"]] == ["one", "two", "three"]


def test_outputs_come_in_the_order_of_the_inputs(echo: FakeApi, spark: Spark, lines: str) -> None:
    echo.script = []
    finish(echo)
    result = spark("workflow", "run", "Echo", "--batch", lines, "--watch")
    assert result.stdout == "one back\ntwo back\nthree back\n"
    assert "3 of 3 completed." in result.stderr


def test_more_than_a_hundred_go_in_hundreds(echo: FakeApi, spark: Spark) -> None:
    spark("workflow", "run", "Echo", "--batch", "-", input="x\n" * 250)
    assert [len(body["runs"]) for body in bodies(echo, "POST", "batch$")] == [100, 100, 50]


def test_with_json_the_runs_are_one_array(echo: FakeApi, spark: Spark, lines: str) -> None:
    document = json.loads(spark("workflow", "run", "Echo", "--batch", lines, "--json").stdout)
    assert [item["run"]["input"] for item in document] == ["one", "two", "three"]


def test_what_is_refused_is_told_and_the_rest_runs(echo: FakeApi, spark: Spark) -> None:
    result = spark("workflow", "run", "Echo", "--batch", "-", input="one\nrefuse me\n")
    assert (result.exit_code, result.stdout) == (4, f"{id_of('run', 1)}\n")
    assert "refused: An input too many." in result.stderr
    echo.script = []
    finish(echo)
    result = spark("workflow", "run", "Echo", "--batch", "-", "--wait", input="one\nrefuse me\ntwo\n")
    assert (result.exit_code, result.stdout) == (1, "one back\n\ntwo back\n")
    assert "2 of 3 completed." in result.stderr


def test_one_bad_run_makes_the_batch_fail(echo: FakeApi, spark: Spark, lines: str) -> None:
    echo.script = []
    finish(echo)
    plain = echo.handle

    def spoil(request: httpx.Request) -> httpx.Response:
        answer = plain(request)
        for run in echo.kept["runs"]:
            if run["input"] == "two":
                run.update(status="failed", output=None, error={"code": "flow_failed", "message": "no\ngood"})
        return answer

    echo.handle = spoil
    result = spark("workflow", "run", "Echo", "--batch", lines, "--watch")
    assert result.exit_code == 1
    assert result.stdout == "one back\n\nthree back\n"
    assert "00000002 failed: no good" in result.stderr
    assert "2 of 3 completed." in result.stderr


def test_ctrl_c_leaves_the_runs(echo: FakeApi, spark: Spark, lines: str) -> None:
    def interrupted(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path.endswith("/runs"):
            raise KeyboardInterrupt
        return echo.answer(request)

    echo.handle = interrupted
    result = spark("workflow", "run", "Echo", "--batch", lines, "--watch")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "The runs go on." in result.stderr


def test_on_a_terminal_there_is_one_progress_bar(echo: FakeApi, spark: Spark, lines: str) -> None:
    echo.script = []
    finish(echo)
    result = spark("workflow", "run", "Echo", "--batch", lines, "--watch", env={"FORCE_COLOR": "1", "COLUMNS": "80"})
    assert "3/3" in Text.from_ansi(result.stderr).plain


def test_a_file_without_lines_is_a_usage_error(echo: FakeApi, spark: Spark) -> None:
    assert spark("workflow", "run", "Echo", "--batch", "-", input="\n\n").exit_code == 2
    assert asked(echo, "POST", "batch$") == []
