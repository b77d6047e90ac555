import json
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.fake_api import FakeApi, bodies, fire, problem
from tests.unit.cli.conftest import SAO_PAULO, Spark


def test_a_preview_explains_an_expression(echo: FakeApi, spark: Spark) -> None:
    shown = spark("schedule", "preview", "0 9 * * *", "--tz", SAO_PAULO, "--count", "2")
    assert bodies(echo, "POST", "/preview$") == [
        {"kind": "cron", "expression": "0 9 * * *", "timezone": SAO_PAULO, "count": 2}
    ]
    assert shown.stderr == f"0 9 * * * in words ({SAO_PAULO})\n"
    assert [line.split() for line in shown.stdout.splitlines()[1:]] == [
        ["Wed", "2030-01-02", "09:00", "-03", "01-02", "12:00Z", "in", "1", "d"],
        ["Thu", "2030-01-03", "09:00", "-03", "01-03", "12:00Z", "in", "2", "d"],
    ]


@pytest.mark.parametrize(
    ("text", "kind", "expression"),
    [
        ("@daily", "cron", "@daily"),
        ("*/5 * * * *", "cron", "*/5 * * * *"),
        ("0 9 * *", "cron", "0 9 * *"),  # wrong, which is for the API to say
        ("0 0 0 9 * * 1-5 2030", "cron", "0 0 0 9 * * 1-5 2030"),
        ("every 30m", "interval", "30m"),
        ("1h30m", "interval", "1h30m"),
        ("PT15M", "interval", "PT15M"),
        ("in 10m", "once", "in 10m"),
        ("2030-12-24T09:00", "once", "2030-12-24T09:00"),
    ],
)
def test_an_expression_is_known_by_its_looks(
    echo: FakeApi, spark: Spark, text: str, kind: str, expression: str
) -> None:
    spark("schedule", "preview", text)
    assert bodies(echo, "POST", "/preview$") == [{"kind": kind, "expression": expression, "count": 10}]


@pytest.mark.parametrize("words", [["Daily"], ["00000001"], ["--schedule", "Daily"], ["--schedule", "@daily"]])
def test_anything_else_is_the_name_of_a_schedule(daily: FakeApi, spark: Spark, words: list[str]) -> None:
    daily.add_schedule("@daily")
    assert len(json.loads(spark("schedule", "preview", *words, "--json").stdout)["items"]) == 10
    assert bodies(daily, "POST", "") == []


@pytest.mark.parametrize(
    "words",
    [[], ["Daily", "--cron", "@daily"], ["Daily", "--schedule", "Daily"], ["Daily", "--tz", SAO_PAULO]],
)
def test_a_preview_is_of_one_thing(daily: FakeApi, spark: Spark, words: list[str]) -> None:
    assert spark("schedule", "preview", *words).exit_code == 2


def test_daylight_saving_is_told_in_words(echo: FakeApi, spark: Spark) -> None:
    zone = ZoneInfo("Europe/Berlin")
    skipped = fire("2030-03-31T01:00:00.000Z", zone, mark="moved")
    late = {**fire("2030-04-01T00:30:00.000Z", zone), "fires_at": "2030-04-01T00:31:30.000Z"}
    answer = {"description": "At 02:30", "timezone": zone.key, "note": "On Sunday …", "items": [skipped, late]}
    echo.answers = [httpx.Response(200, json=answer)]
    shown = spark("schedule", "preview", "30 2 * * *", "--tz", zone.key)
    assert "Sun 2030-03-31 03:00 +02  03-31 01:00Z  in 88 d  clocks skip it: fires after" in shown.stdout
    assert "1m30s later, by jitter" in shown.stdout
    assert "On Sunday …" in shown.stderr


@pytest.mark.parametrize(
    ("words", "option"), [(["--cron", "61 * * * *"], "--cron"), (["61 * * * *"], "the expression")]
)
def test_a_wrong_expression_is_named_as_it_was_said(echo: FakeApi, spark: Spark, words: list[str], option: str) -> None:
    echo.answers = [problem(422, "invalid", "No.", errors=[{"pointer": "/expression", "detail": "minute 61"}])]
    result = spark("schedule", "preview", *words)
    assert (result.exit_code, f"  {option}  minute 61" in result.stderr) == (4, True)
