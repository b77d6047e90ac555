import io
import json
from datetime import datetime
from typing import Any

import httpx
import pytest
from rich.console import Console
from rich.text import Text

from cli.watch import View, sentence
from tests.fake_api import DONE, NOW, FakeApi, asked, id_of
from tests.unit.cli.conftest import Spark

NOON = datetime.fromisoformat(NOW)
WORKFLOW = {"id": id_of("wf", 1), "settings": {"name": "Echo", "retry": {"max_attempts": 3}}}
ERROR = {"code": "upstream_unavailable", "message": "LangFlow refused the connection.", "attempt": 1}
RUN = {"id": id_of("run", 1), "status": "pending", "attempt": 0, "created_at": NOW}


@pytest.fixture
def echo(api: FakeApi) -> FakeApi:
    api.add_workflow("Echo")
    return api


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "waiting for its turn"),
        ({"status": "running", "attempt": 2}, "running, attempt 2 of 3"),
        ({"status": "running", "attempt": 1, "job_id": "j"}, "running, attempt 1 of 3 as a LangFlow job"),
        ({"status": "running", "attempt": 1, "cancel_requested_at": NOW}, "being cancelled, attempt 1 of 3"),
        (
            {"attempt": 1, "error": ERROR, "not_before": "2030-01-01T12:00:04.000Z"},
            "attempt 1 of 3 failed (upstream_unavailable), next in 4 s",
        ),
        (
            {"deferred_since": NOW, "not_before": "2030-01-01T12:00:30.000Z"},
            "held back by its source's limits, next look in 30 s",
        ),
        ({"status": "completed", "attempt": 1}, "completed, attempt 1 of 3"),
        ({"status": "running", "attempt": 1, "retry": {"max_attempts": 9}}, "running, attempt 1 of 9"),
        ({"status": "cancelled", "attempt": 0}, "cancelled"),
    ],
)
def test_every_state_has_its_sentence(state: dict[str, Any], said: str) -> None:
    assert sentence({**RUN, **state}, WORKFLOW, NOON) == said


def drawn(view: View, width: int = 80) -> list[str]:
    screen = io.StringIO()
    Console(file=screen, width=width, force_terminal=True, no_color=True, highlight=False).print(view)
    return Text.from_ansi(screen.getvalue()).plain.splitlines()


def test_the_live_view_shows_name_state_clock_and_last_log_line() -> None:
    later = datetime.fromisoformat("2030-01-01T12:00:07Z")
    view = View({**RUN, "status": "running", "attempt": 1}, WORKFLOW, lambda: later, last_log="run.claimed")
    text = "\n".join(drawn(view))
    for part in ("Echo", "00000001", "7.0 s", "running, attempt 1 of 3", "run.claimed"):
        assert part in text


def test_the_last_frame_stands_still() -> None:
    done = {**RUN, "status": "completed", "attempt": 1, "finished_at": "2030-01-01T12:00:03.000Z"}
    text = "\n".join(drawn(View(done, WORKFLOW, lambda: NOON)))
    assert "✓ completed, attempt 1 of 3" in text
    assert "3.0 s" in text


def test_the_view_fits_eighty_columns() -> None:
    view = View({**RUN, "status": "running", "attempt": 1}, WORKFLOW, lambda: NOON, last_log="x" * 500)
    assert len(drawn(view)) <= 4


def test_a_pipe_gets_a_line_per_change_and_the_output_alone_on_stdout(echo: FakeApi, spark: Spark) -> None:
    running = {"status": "running", "attempt": 1}
    waiting = {"status": "pending", "attempt": 1, "error": ERROR, "not_before": "2030-01-01T12:00:04.000Z"}
    echo.script = [running, running, waiting, {"status": "running", "attempt": 2}, {**DONE, "attempt": 2}]
    result = spark("workflow", "run", "Echo", "Hello", "--watch")
    assert result.stdout == "Hello back\n"
    assert result.stderr.splitlines() == [
        "12:00:00 waiting for its turn",
        "12:00:00 running, attempt 1 of 3",
        "12:00:00 attempt 1 of 3 failed (upstream_unavailable), next in 4 s",
        "12:00:00 running, attempt 2 of 3",
        "12:00:00 completed, attempt 2 of 3",
    ]


@pytest.mark.parametrize(
    ("end", "code"), [(DONE, 0), ({"status": "failed", "attempt": 3, "error": ERROR}, 1), ({"status": "cancelled"}, 3)]
)
@pytest.mark.parametrize("words", [["--wait"], ["--watch"], ["--watch", "--json"]])
def test_the_exit_code_follows_the_run(
    echo: FakeApi, spark: Spark, end: dict[str, Any], code: int, words: list[str]
) -> None:
    echo.script = [end]
    assert spark("workflow", "run", "Echo", "x", *words).exit_code == code


def test_a_failure_says_why_and_what_next(echo: FakeApi, spark: Spark) -> None:
    echo.script = [{"status": "failed", "attempt": 3, "error": ERROR}]
    result = spark("workflow", "run", "Echo", "x", "--watch")
    assert result.stdout == ""
    assert "upstream_unavailable: LangFlow refused the connection." in result.stderr
    assert "spark run retry 00000001" in result.stderr


def test_an_output_that_is_no_text_is_printed_as_json(echo: FakeApi, spark: Spark) -> None:
    echo.script = [{**DONE, "output": {"a": [1]}}]
    assert json.loads(spark("workflow", "run", "Echo", "x", "--wait").stdout) == {"a": [1]}


def test_watching_holds_the_request_instead_of_asking_often(echo: FakeApi, spark: Spark) -> None:
    spark("workflow", "run", "Echo", "x", "--wait")
    assert [request.url.params["wait"] for request in asked(echo, "GET", "/runs/")] == ["1"]


def test_an_old_run_is_asked_after_less_often(echo: FakeApi, spark: Spark) -> None:
    echo.script = [{}, DONE]  # `run watch` looks once before it waits
    echo.add_run(created_at="2030-01-01T11:00:00.000Z", status="running", attempt=1)
    spark("run", "watch", "last")
    assert "10" in {request.url.params.get("wait") for request in asked(echo, "GET", "/runs/")}


def test_watch_without_an_id_takes_the_newest_run(echo: FakeApi, spark: Spark) -> None:
    echo.add_run()
    assert spark("run", "watch").stdout == "Hello back\n"


def test_a_terminal_gets_the_live_view(echo: FakeApi, spark: Spark) -> None:
    echo.script = [{"status": "running", "attempt": 1}, DONE]
    result = spark("workflow", "run", "Echo", "x", "--watch", env={"FORCE_COLOR": "1", "COLUMNS": "80"})
    assert result.stdout == "Hello back\n"
    assert "✓ completed, attempt 1 of 3" in Text.from_ansi(result.stderr).plain
    assert len(asked(echo, "GET", "/logs$")) == 2


def test_ctrl_c_leaves_the_run_and_says_how_to_stop_it(echo: FakeApi, spark: Spark) -> None:
    def interrupted(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("wait"):
            raise KeyboardInterrupt
        return echo.answer(request)

    echo.handle = interrupted
    result = spark("workflow", "run", "Echo", "x", "--watch")
    assert result.exit_code == 130
    assert "spark run cancel 00000001" in result.stderr
    assert asked(echo, "POST", "/cancel$") == []
