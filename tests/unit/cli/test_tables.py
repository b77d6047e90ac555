import pytest
from rich.text import Text

from cli import tables
from tests.fake_api import NOW, FakeApi, id_of
from tests.unit.cli.conftest import Spark


def test_a_short_id_is_the_end_of_it() -> None:
    assert tables.short("run_01JGJ0000000000000ABCDEFGH") == "ABCDEFGH"
    assert tables.short("bootstrap") == "bootstrap"
    assert tables.short(None) == ""


@pytest.mark.parametrize(("text", "line"), [("a\n  b\tc", "a b c"), (None, ""), ({"a": 1}, "{'a': 1}")])
def test_text_is_brought_onto_one_line(text: object, line: str) -> None:
    assert tables.first_line(text) == line


@pytest.mark.parametrize("status", ["pending", "running", "completed", "failed", "cancelled", "skipped"])
def test_every_status_has_a_colour_and_a_sign(status: str) -> None:
    assert tables.state(status).style
    assert tables.sign(status).plain != "·"


@pytest.mark.parametrize(
    "words",
    [
        ["source", "list"],
        ["source", "flows", "long"],
        ["workflow", "list"],
        ["schedule", "list"],
        ["schedule", "backfills", "sch"],
        ["schedule", "runs", "sch"],
        ["run", "list"],
        ["dead-letters", "list"],
        ["config", "list"],
        ["key", "list"],
        ["project", "list"],
    ],
)
def test_every_list_fits_eighty_columns_whatever_it_shows(api: FakeApi, spark: Spark, words: list[str]) -> None:
    long = "long " * 40
    check = {"reachable": True, "key_valid": True, "dialect": "langflow_v2", "version": "1.13.0"}
    api.add_source("long", url=f"http://{'x' * 100}", check=check, checked_at="2030-01-01T11:00:00.000Z")
    api.flows = [{"id": "f" * 36, "name": long, "endpoint_name": long, "description": long}]
    api.add_workflow(long)
    hard = {"expression": "*/10 8-18 * * 1-5", "timezone": "Asia/Kolkata"}
    api.add_schedule(long, settings=hard, next_fire_at="2030-11-22T09:00:30.000Z", fired=123_456)
    api.add_backfill(total=10_000, started=10_000)
    told = {"schedule_id": id_of("sch", 1), "origin": "backfill", "scheduled_for": "2029-12-01T09:00:30.000Z"}
    api.add_run(**told, status="completed", attempt=2, input=long, started_at="2030-01-01T09:00:00.000Z")
    api.add_project(long)
    api.add_key(long, role=id_of("rol", 1), last_used_at=NOW, valid_until="2031-01-01T00:00:00.000Z")
    api.add_dead_letter(reason="too_many_attempts", run_id=id_of("run", 1), message=long)
    shown = Text.from_ansi(spark(*words, env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout).plain.splitlines()
    assert max(map(len, shown)) <= 80
    assert len(shown) == 3
