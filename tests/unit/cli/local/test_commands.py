import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from cli import config
from cli.local import commands, stack
from cli.local.stack import PORT, RunningStack, Stack
from cli.local.status import Queue, Status
from cli.local.troubles import BundleFailed, PortTaken

Spark = Callable[..., Result]

HERE = RunningStack(
    api_url="http://127.0.0.1:4566/_aws/execute-api/a0000001",
    docs_url="http://127.0.0.1:4566/_aws/execute-api/a0000001/api/v1/docs",
    api_key="spk_bootstrap_local",
    endpoint_url="http://127.0.0.1:4566",
    table="spark-Table",
    run_queue_url="http://localhost:4566/000000000000/runs",
    dead_letter_queue_url="http://localhost:4566/000000000000/dead",
    payload_bucket="spark-payloads",
    functions={"api": "spark-api"},
)


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch) -> list[Stack]:
    """The stacks that went up."""
    asked: list[Stack] = []

    def up(wanted: Stack, progress: Callable[[str], None]) -> RunningStack:
        asked.append(wanted)
        progress("starting the emulator")
        return HERE

    monkeypatch.setattr(stack, "up", up)
    return asked


def test_up_says_where_it_is_and_keeps_it_as_a_profile(spark: Spark, ups: list[Stack], tmp_path: Path) -> None:
    result = spark("local", "up", "--state-dir", str(tmp_path / "stack"))
    assert result.exit_code == 0
    assert HERE.api_url in result.stdout
    assert "starting the emulator" in result.stderr
    assert "--profile local" in result.stderr, "another profile is in use"
    assert config.load().profile("local").api_key == HERE.api_key
    assert ups[0].port == PORT


def test_up_answers_json(spark: Spark, ups: list[Stack], tmp_path: Path) -> None:
    result = spark("local", "up", "--state-dir", str(tmp_path), "--json")
    assert json.loads(result.stdout)["endpoint_url"] == HERE.endpoint_url
    assert result.stderr == ""


def test_up_goes_back_to_the_port_of_its_state(spark: Spark, ups: list[Stack], tmp_path: Path) -> None:
    (tmp_path / "port").write_text("4600")
    spark("local", "up", "--state-dir", str(tmp_path))
    assert ups[0].port == 4600


def test_troubles_end_with_a_hint(spark: Spark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def taken(*args: Any) -> RunningStack:
        raise PortTaken("Port 4566 is taken by nginx.", "Stop it.")

    monkeypatch.setattr(stack, "up", taken)
    result = spark("local", "up", "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "Port 4566 is taken by nginx." in result.stderr
    assert "Stop it." in result.stderr


def test_watching_survives_a_half_written_file(
    spark: Spark, ups: list[Stack], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = [stack.Stack().layout.project / "shared" / "queue.py"]
    monkeypatch.setattr(commands, "changes", lambda project: iter([changed, changed]))
    good, attempts = stack.up, iter([None, BundleFailed("no such lock"), None])

    def up(*args: Any) -> RunningStack:
        if trouble := next(attempts):
            raise trouble
        return good(*args)

    monkeypatch.setattr(stack, "up", up)
    result = spark("local", "up", "--watch", "--state-dir", str(tmp_path))
    assert result.exit_code == 0
    assert "shared/queue.py changed" in result.stderr
    assert "no such lock" in result.stderr
    assert result.stderr.count("Deployed.") == 1


@pytest.mark.parametrize(("saved", "said"), [(True, "Stopped."), (False, "had to be killed")])
def test_down_says_whether_state_was_saved(
    spark: Spark, monkeypatch: pytest.MonkeyPatch, saved: bool, said: str
) -> None:
    monkeypatch.setattr(stack, "down", lambda wanted, wipe: saved)
    assert said in spark("local", "down").stderr


def test_reset_asks_first(spark: Spark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resets: list[Stack] = []
    monkeypatch.setattr(stack, "reset", lambda wanted, progress: resets.append(wanted) or HERE)
    assert spark("local", "reset", "--state-dir", str(tmp_path)).exit_code == 2
    assert resets == []
    assert spark("local", "reset", "--state-dir", str(tmp_path), "--yes").exit_code == 0
    assert len(resets) == 1


@pytest.mark.parametrize("command", ["status", "logs", "tick"])
def test_what_needs_a_stack_says_how_to_start_one(spark: Spark, tmp_path: Path, command: str) -> None:
    result = spark("local", command, "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "spark local up" in result.stderr


def test_status_shows_queues_and_running_functions(spark: Spark, monkeypatch: pytest.MonkeyPatch) -> None:
    half_up = Status(7, PORT, datetime(2030, 1, 1, tzinfo=UTC), 100, "MiniStack 1.5.33")
    whole = replace(half_up, stack="CREATE_COMPLETE", resources=30, api="healthy", run_queue=Queue(3, 2, 1))
    monkeypatch.setattr(commands, "status_of", lambda wanted: replace(whole, workers={"api": 1, "tick": 0}, here=HERE))
    shown = spark("local", "status").stdout
    assert "3 waiting, 2 running, 1 delayed" in shown
    assert "api 1" in shown
    assert "tick 0" not in shown
    monkeypatch.setattr(commands, "status_of", lambda wanted: half_up)
    assert "not deployed" in spark("local", "status").stdout
