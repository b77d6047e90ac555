import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from cli.schedule_options import CLEARED, Clearable
from tests.fake_api import BARE_SETTINGS, NOW, FakeApi, Json, asked, bodies, fire, id_of, problem
from tests.unit.cli.conftest import DAYS, SAO_PAULO, Spark

WIDE = {"FORCE_COLOR": "1", "COLUMNS": "80", "NO_COLOR": "1"}


def posted(api: FakeApi) -> Json:
    """The settings of the one schedule that was made."""
    (body,) = bodies(api, "POST", "/schedules$")
    settings: Json = body["settings"]
    return settings


# ---------------------------------------------------------------- create


def create(spark: Spark, *words: str, **settings: Any) -> Any:
    return spark("schedule", "create", "Daily report", "--workflow", "Echo", *words, **settings)


def test_a_new_schedule_says_in_words_and_times_when_it_fires(echo: FakeApi, spark: Spark) -> None:
    shown = create(spark, "--cron", "0 9 * * *", "--tz", SAO_PAULO, "--input", "Hello")
    assert shown.exit_code == 0
    assert bodies(echo, "POST", "/schedules$") == [
        {
            "workflow_id": id_of("wf", 1),
            "settings": {
                "name": "Daily report",
                "kind": "cron",
                "expression": "0 9 * * *",
                "timezone": SAO_PAULO,
                "input": "Hello",
            },
        }
    ]
    assert f"0 9 * * * in words ({SAO_PAULO})" in shown.stdout
    assert [line.split(" -03")[0].strip() for line in shown.stdout.splitlines()[-3:]] == [
        "next      Wed 2030-01-02 09:00",
        "Thu 2030-01-03 09:00",
        "Fri 2030-01-04 09:00",
    ]
    assert "spark schedule trigger 00000001 --watch" in shown.stderr


@pytest.mark.parametrize(
    ("words", "kind", "expression"),
    [
        (["--cron", "@daily"], "cron", "@daily"),
        (["--every", "30m"], "interval", "30m"),
        (["--once", "2030-12-24T09:00"], "once", "2030-12-24T09:00"),
        (["--in", "10m"], "once", "in 10m"),
    ],
)
def test_each_kind_has_an_option(echo: FakeApi, spark: Spark, words: list[str], kind: str, expression: str) -> None:
    create(spark, *words)
    assert (posted(echo)["kind"], posted(echo)["expression"]) == (kind, expression)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Say when it is to fire."),
        (["--cron", "@daily", "--in", "5m"], "--cron and --in exclude each other."),
    ],
)
def test_exactly_one_rule_is_needed(echo: FakeApi, spark: Spark, words: list[str], said: str) -> None:
    result = create(spark, *words)
    assert (result.exit_code, asked(echo, "POST", "")) == (2, [])
    assert said in result.stderr
    assert all(option in result.stderr for option in ("--cron", "--every", "--once", "--in"))


def test_times_without_an_offset_are_in_the_schedules_zone(echo: FakeApi, spark: Spark) -> None:
    words = ["--start", "2030-02-01", "--end", "2030-02-28", "--exclude", "2030-02-05", "--exclude", "2030-02-06T09:00"]
    create(spark, "--cron", "@daily", "--tz", SAO_PAULO, *words)
    settings = posted(echo)
    assert settings["start_at"] == "2030-02-01T03:00:00.000Z"
    assert settings["end_at"] == "2030-03-01T02:59:59.999Z"  # the whole day
    assert settings["exclude"] == ["2030-02-05", "2030-02-06T12:00:00.000Z"]


def test_all_settings_go_along(echo: FakeApi, spark: Spark, tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("Grüße\n", encoding="utf-8")
    words = "--jitter 30s --max-runs 10 --overlap skip --catch-up none --max-lateness 1h --pause-after-failures 3"
    words += " --timeout 2m --session s --tweak Model-1.temperature=0.2 --max-attempts 1 --paused"
    create(spark, "--every", "1h", "-f", str(tmp_path / "input.txt"), *words.split())
    assert posted(echo) == {
        "name": "Daily report",
        "kind": "interval",
        "expression": "1h",
        "input": "Grüße",
        "jitter_seconds": 30,
        "max_runs": 10,
        "overlap": "skip",
        "catch_up": "none",
        "max_lateness_seconds": 3600,
        "pause_after_failures": 3,
        "timeout_seconds": 120,
        "session_id": "s",
        "tweaks": {"Model-1": {"temperature": 0.2}},
        "retry": {"max_attempts": 1, "flow_failed": False},
    }
    assert bodies(echo, "POST", "/schedules$")[0]["enabled"] is False


def test_the_input_may_come_from_stdin(echo: FakeApi, spark: Spark) -> None:
    create(spark, "--cron", "@daily", "--input", "-", input="two\nlines\n")
    assert posted(echo)["input"] == "two\nlines"


def test_a_new_schedule_says_what_jitter_does_to_it(echo: FakeApi, spark: Spark) -> None:
    late = fire(DAYS[0], ZoneInfo("UTC"), fires_at="2030-01-02T12:00:40.000Z")
    answer, preview = echo.answer, httpx.Response(200, json={"items": [late]})
    echo.handle = lambda request: preview if request.url.path.endswith("/preview") else answer(request)
    assert "Wed 2030-01-02 12:00 UTC  in 1 d; 40s later, by jitter" in create(spark, "--cron", "0 12 * * *").stdout


def test_whoever_names_no_zone_is_told_which_it_is(echo: FakeApi, spark: Spark) -> None:
    assert "in UTC" in create(spark, "--cron", "@daily").stderr
    assert "in UTC" not in create(spark, "--cron", "@daily", "--tz", SAO_PAULO).stderr


@pytest.mark.parametrize(
    ("pointer", "words", "option"),
    [
        ("/settings/expression", ["--cron", "0 25 * * *"], "--cron"),
        ("/settings/expression", ["--in", "0m"], "--in"),
        ("/settings/timezone", ["--cron", "@daily", "--tz", "Mars/Base"], "--tz"),
        ("/settings/exclude/0", ["--cron", "@daily"], "--exclude"),
        ("/settings/retry/max_attempts", ["--cron", "@daily"], "--max-attempts"),
        ("/settings/tweaks/name/x", ["--cron", "@daily"], "--tweak"),
        ("/workflow_id", ["--cron", "@daily"], "--workflow"),
        ("/elsewhere", ["--cron", "@daily"], "/elsewhere"),
    ],
)
def test_the_api_complains_about_options(
    echo: FakeApi, spark: Spark, pointer: str, words: list[str], option: str
) -> None:
    refused = problem(422, "invalid", "No.", errors=[{"pointer": pointer, "detail": "This cannot be."}])
    answer = echo.answer
    echo.handle = lambda request: refused if request.method == "POST" else answer(request)
    result = create(spark, *words)
    assert (result.exit_code, f"  {option}  This cannot be." in result.stderr) == (4, True)
    assert json.loads(create(spark, *words, "--json").stderr)["errors"][0]["pointer"] == pointer


def test_a_local_time_in_an_unknown_zone_is_a_usage_error(echo: FakeApi, spark: Spark) -> None:
    result = create(spark, "--cron", "@daily", "--tz", "Mars/Base", "--start", "2030-02-01")
    assert (result.exit_code, "'Mars/Base' is no time zone" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ["--start", "soon"],
        ["--end", "31.12.2030"],
        ["--exclude", "christmas"],
        ["--jitter", "0.5s"],
        ["--timeout", "long"],
        ["--max-lateness", "-5m"],
    ],
)
def test_what_cannot_be_read_is_named(echo: FakeApi, spark: Spark, words: list[str]) -> None:
    result = create(spark, "--cron", "@daily", *words)
    assert (result.exit_code, asked(echo, "POST", "")) == (2, [])
    assert f"Error: {words[0]}: {words[1]!r} " in result.stderr
    assert "\nWrite " in result.stderr


def test_with_json_a_new_schedule_is_the_answer_of_the_api(echo: FakeApi, spark: Spark) -> None:
    shown = create(spark, "--cron", "@daily", "--json")
    assert json.loads(shown.stdout) == echo.kept["schedules"][0]
    assert shown.stderr == ""


# ---------------------------------------------------------------- list and get


def test_the_list_tells_when_each_fires_next_by_its_own_clock(daily: FakeApi, spark: Spark) -> None:
    daily.add_schedule("Beat", settings={"kind": "interval", "expression": "5m"}, fired=7, next_fire_at=NOW)
    daily.add_schedule("Rest", state="paused", next_fire_at=None)
    lines = spark("schedule", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "NAME", "WHEN", "NEXT", "STATE", "FIRED", "WORKFLOW"]
    assert [[cell.strip() for cell in line.split("  ") if cell] for line in lines[1:]] == [
        ["00000003", "Rest", "0 9 * * *", "paused", "0", "Echo"],
        ["00000002", "Beat", "every 5m", "now (12:00 UTC)", "active", "7", "Echo"],
        ["00000001", "Daily", "0 9 * * *", "in 1 d (Wed 09:00 -03)", "active", "0", "Echo"],
    ]


def test_on_a_narrow_terminal_the_state_stands_in_for_the_next_fire(daily: FakeApi, spark: Spark) -> None:
    daily.add_schedule("Rest", state="paused", next_fire_at=None)
    shown = spark("schedule", "list", env=WIDE).stdout
    assert "STATE" not in shown
    assert "paused" in shown


def test_the_list_is_filtered(daily: FakeApi, spark: Spark) -> None:
    spark("schedule", "list", "--workflow", "Echo", "--state", "paused")
    (asking,) = asked(daily, "GET", "/schedules$")
    assert dict(asking.url.params) == {"workflow_id": id_of("wf", 1), "state": "paused", "limit": "50"}
    assert json.loads(spark("schedule", "list", "--json").stdout) == daily.kept["schedules"]


def test_without_schedules_the_list_says_how_to_make_one(api: FakeApi, spark: Spark) -> None:
    shown = spark("schedule", "list")
    assert (shown.stdout, "spark schedule create" in shown.stderr) == ("", True)


def test_get_tells_how_it_is_doing(daily: FakeApi, spark: Spark) -> None:
    last = {"run_id": id_of("run", 9), "status": "failed", "scheduled_for": "2030-01-01T11:50:00.000Z"}
    daily.kept["schedules"][0].update(
        last_fire={**last, "started_at": NOW, "lateness_seconds": 0.8},
        fired=12,
        failed_in_a_row=2,
        skipped_missed=3,
        skipped_overlap=1,
    )
    daily.kept["schedules"][0]["settings"].update(
        max_runs=100,
        pause_after_failures=5,
        jitter_seconds=90,
        overlap="skip",
        tweaks={"Model-1": {"temperature": 0}},
        end_at="2030-12-31T15:00:00.000Z",
    )
    lines = spark("schedule", "get", "Daily").stdout.splitlines()
    card = {line[:9].strip(): line[10:] for line in lines if line[0] != " "}
    assert card["last"] == "10 min ago (08:50 -03)  ✗ failed, 0.8 s late, run 00000009"
    assert card["fired"] == "12 of 100"
    assert card["skipped"] == "3 missed, 1 because of overlap"
    assert card["in a row"] == "2 failed, pauses after 5"
    assert (card["jitter"], card["overlap"]) == ("up to 1m30s", "skip")
    assert card["tweaks"] == "Model-1.temperature=0"
    assert card["end"] == "Tue 2030-12-31 12:00 -03"
    assert card["workflow"].startswith("Echo ")
    assert sum("2030-01-0" in line for line in lines) == 3


def test_get_says_why_it_is_paused(daily: FakeApi, spark: Spark) -> None:
    daily.kept["schedules"][0].update(state="paused", pause_reason="3 failed runs in a row")
    shown = spark("schedule", "get", "Daily").stdout
    assert "paused: 3 failed runs in a row" in shown
    assert "none while it is paused" in shown


def test_a_time_zone_that_this_machine_does_not_know_is_shown_in_utc(daily: FakeApi, spark: Spark) -> None:
    daily.kept["schedules"][0]["settings"]["timezone"] = "Mars/Base"
    assert "in 1 d (Wed 12:00 UTC)" in spark("schedule", "list").stdout


def test_an_unknown_schedule_is_refused(api: FakeApi, spark: Spark) -> None:
    result = spark("schedule", "get", "nope")
    assert (result.exit_code, "There is no schedule 'nope'" in result.stderr) == (4, True)


# ---------------------------------------------------------------- update and delete


def changes(api: FakeApi) -> Json:
    (body,) = bodies(api, "PATCH", "/schedules/")
    settings: Json = body["settings"]
    return settings


def test_update_sends_only_what_is_named(daily: FakeApi, spark: Spark) -> None:
    assert spark("schedule", "update", "Daily").exit_code == 2
    shown = spark("schedule", "update", "Daily", "--every", "2h", "--name", "Often")
    assert changes(daily) == {"kind": "interval", "expression": "2h", "name": "Often"}
    assert "next " in shown.stdout


def test_what_is_cleared_stands_for_nothing(daily: FakeApi, spark: Spark) -> None:
    spark("schedule", "update", "Daily", "--clear", "end", "--clear", "exclude", "--clear", "jitter")
    assert changes(daily) == {"end_at": None, "exclude": [], "jitter_seconds": 0}


def test_what_can_be_cleared_is_what_a_schedule_can_be_made_without() -> None:
    nothing = {field: value for each in Clearable for field, value in CLEARED[each].items()}
    kept = {"overlap", "catch_up"}
    assert nothing == {field: value for field, value in BARE_SETTINGS.items() if field not in kept}


def test_nothing_is_set_and_cleared_at_once(daily: FakeApi, spark: Spark) -> None:
    result = spark("schedule", "update", "Daily", "--jitter", "5s", "--clear", "jitter")
    assert (result.exit_code, asked(daily, "PATCH", "")) == (2, [])


def test_new_times_are_in_the_zone_that_the_schedule_has(daily: FakeApi, spark: Spark) -> None:
    spark("schedule", "update", "Daily", "--end", "2030-02-28T09:00")
    assert changes(daily) == {"end_at": "2030-02-28T12:00:00.000Z"}


def test_new_times_are_in_the_new_zone_if_there_is_one(daily: FakeApi, spark: Spark) -> None:
    spark("schedule", "update", "Daily", "--end", "2030-02-28T09:00", "--tz", "Europe/Berlin")
    assert changes(daily) == {"end_at": "2030-02-28T08:00:00.000Z", "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(("own", "attempts"), [(None, 3), ({"max_attempts": 7, "flow_failed": False}, 7)])
def test_a_policy_begins_with_its_own_or_its_workflows(
    daily: FakeApi, spark: Spark, own: Json | None, attempts: int
) -> None:
    daily.kept["schedules"][0]["settings"]["retry"] = own
    spark("schedule", "update", "Daily", "--retry-failures")
    assert changes(daily) == {"retry": {"max_attempts": attempts, "flow_failed": True}}


def test_delete_asks_first(daily: FakeApi, spark: Spark) -> None:
    assert spark("schedule", "delete", "Daily").exit_code == 2
    assert spark("schedule", "delete", "Daily", user=True, input="n\n").exit_code == 1
    assert daily.kept["schedules"]
    assert spark("schedule", "delete", "Daily", "--yes").exit_code == 0
    assert daily.kept["schedules"] == []


# ---------------------------------------------------------------- pause and resume


def test_a_schedule_is_paused_with_a_reason_and_resumed(daily: FakeApi, spark: Spark) -> None:
    assert "Daily is paused." in spark("schedule", "pause", "Daily", "--reason", "deploy").stderr
    assert bodies(daily, "POST", "/pause$") == [{"reason": "deploy"}]
    assert "Daily is active, next in 21 h (Wed 06:00 -03)." in spark("schedule", "resume", "Daily").stderr


@pytest.mark.parametrize("words", [[], ["Daily", "--all"], ["Daily", "--workflow", "Echo"]])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_either_one_or_many_are_named(daily: FakeApi, spark: Spark, verb: str, words: list[str]) -> None:
    assert spark("schedule", verb, *words).exit_code == 2
    assert asked(daily, "POST", "") == []


def test_a_reason_is_for_one(daily: FakeApi, spark: Spark) -> None:
    assert spark("schedule", "pause", "--all", "--reason", "x", "--yes").exit_code == 2


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_sweep_asks_and_goes_on_until_all_is_done(daily: FakeApi, spark: Spark, verb: str) -> None:
    assert spark("schedule", verb, "--workflow", "Echo").exit_code == 2
    result = spark("schedule", verb, "--workflow", "Echo", "--yes")
    assert result.stderr.splitlines() == [f"2 {verb}d so far …", f"4 of 6 {verb}d."]
    wanted = {"workflow_id": id_of("wf", 1), "limit": 500}
    assert bodies(daily, "POST", f"/schedules/{verb}$") == [wanted, {**wanted, "cursor": "more"}]
    assert json.loads(spark("schedule", verb, "--all", "--yes", "--json").stdout) == {"matched": 6, "changed": 4}


# ---------------------------------------------------------------- trigger


def test_a_trigger_starts_a_run_with_the_schedules_input(daily: FakeApi, spark: Spark) -> None:
    result = spark("schedule", "trigger", "Daily")
    assert result.stdout == f"{id_of('run', 1)}\n"
    assert bodies(daily, "POST", "/trigger$") == [{}]


def test_a_trigger_takes_another_input_and_is_watched(daily: FakeApi, spark: Spark) -> None:
    words = ["--input", "other", "--session", "s", "--tweak", "A.b=1", "--overlap", "allow", "--watch"]
    assert spark("schedule", "trigger", "Daily", *words).stdout == "Hello back\n"
    wish = {"input": "other", "session_id": "s", "tweaks": {"A": {"b": 1}}, "overlap": "allow"}
    assert bodies(daily, "POST", "/trigger$") == [wish]


def test_a_watched_trigger_exits_as_its_run_ended(daily: FakeApi, spark: Spark) -> None:
    daily.script = [{"status": "failed", "attempt": 1, "error": {"code": "flow_failed", "message": "no"}}]
    assert spark("schedule", "trigger", "Daily", "--wait").exit_code == 1
