"""What the doctor makes of facts: each check on its own, with no deployment behind it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.doctor import checks, key_checks, setting_checks, stack_checks
from cli.doctor.facts import (
    GONE,
    NOT_ASKED,
    Alarm,
    Certificate,
    Facts,
    Finding,
    KeyInUse,
    Level,
    Moot,
    StackFacts,
    Unknown,
)

Check = Callable[[Any], Iterator[Finding]]

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
ok, warn, fail, skipped = Level.ok, Level.warn, Level.fail, Level.skipped
SETTINGS = {
    "outbound_allow": [],
    "open_registration": False,
    "letters": "ses",
    "text_messages": False,
    "public_url": "https://spark.test",
    "cors_origins": [],
    "requests_per_minute": 600,
    "requests_per_day": 0,
    "refusals_per_minute": 120,
}
DEPLOYMENT = {"stage": "production", "version": "0.1.0", "oldest_due_at": None, "settings": SETTINGS}
STACK = StackFacts("spark", "UPDATE_COMPLETE", NOW, NOW - timedelta(days=9), {}, {})
FACTS = Facts("https://spark.test", NOW, 200, deployment=DEPLOYMENT)


def ago(**time: float) -> str:
    return (NOW - timedelta(**time)).isoformat()


def levels(check: Check, facts: Facts | StackFacts) -> list[Level]:
    return [finding.level for finding in check(facts)]


def knowing(**facts: Any) -> Facts:
    return replace(FACTS, **facts)


def with_settings(stage: str = "production", **settings: Any) -> Facts:
    """One of the stage `local` is on this machine."""
    url = "http://127.0.0.1:4566" if stage == "local" else FACTS.url
    return knowing(url=url, deployment={**DEPLOYMENT, "stage": stage, "settings": {**SETTINGS, **settings}})


def with_stack(**facts: Any) -> StackFacts:
    return replace(STACK, **facts)


def a_key(**fields: Any) -> dict[str, Any]:
    key = {"id": "key_1", "name": "ci", "active": True, "created_at": ago(days=10), "last_used_at": ago(days=1)}
    return {**key, "valid_until": (NOW + timedelta(days=30)).isoformat(), "previous_until": None, **fields}


OF_PARAMETERS = (stack_checks.visibility, stack_checks.traces)  # which come with the stack itself
ASKING = [each for each in (*checks.CHECKS[1:], *stack_checks.CHECKS[1:]) if each not in OF_PARAMETERS]


@pytest.mark.parametrize("check", ASKING, ids=lambda check: check.__name__)
def test_what_is_unknown_is_skipped_and_says_why(check: Check) -> None:
    """All but whether it can be reached, and how the stack stands, without which there would be no facts."""
    facts = replace(FACTS, deployment=NOT_ASKED) if check in checks.CHECKS else STACK
    found = list(check(facts))
    assert found
    assert {finding.level for finding in found} == {skipped}
    assert all(finding.said == NOT_ASKED.reason for finding in found)


@pytest.mark.parametrize(("health", "level"), [(200, ok), (404, fail), (503, fail), (Unknown("no route"), fail)])
def test_reachable(health: int | Unknown, level: Level) -> None:
    assert levels(checks.reachable, knowing(health=health)) == [level]


@pytest.mark.parametrize(("complaint", "level"), [(None, ok), ("Not ready: no answer from table.", fail)])
def test_ready(complaint: str | None, level: Level) -> None:
    assert levels(checks.ready, knowing(ready=complaint)) == [level]


@pytest.mark.parametrize(
    ("url", "days", "level"),
    [
        ("http://127.0.0.1:4566/x", None, ok),
        ("http://spark.test", None, fail),
        ("https://spark.test", 90, ok),
        ("https://spark.test", 20, warn),
        ("https://spark.test", -1, warn),
    ],
)
def test_tls(url: str, days: int | None, level: Level) -> None:
    certificate = Certificate(NOW + timedelta(days=days), "Test CA") if days else NOT_ASKED
    assert levels(checks.tls, knowing(url=url, certificate=certificate)) == [level]


@pytest.mark.parametrize(("ahead", "level"), [(0.4, ok), (-5, ok), (6, warn), (-30, warn), (31, fail), (-4000, fail)])
def test_clock(ahead: float, level: Level) -> None:
    assert levels(checks.clock, knowing(ahead_seconds=ahead)) == [level]


@pytest.mark.parametrize(("due", "level"), [(ago(seconds=10), ok), (ago(minutes=3), ok), (ago(minutes=4), fail)])
def test_a_tick_that_leaves_work_undone_fails(due: str, level: Level) -> None:
    assert levels(checks.tick, knowing(deployment={**DEPLOYMENT, "oldest_due_at": due})) == [level]


def test_where_nothing_is_due_only_the_alarm_on_silence_can_tell() -> None:
    assert levels(checks.tick, FACTS) == [skipped]
    heard = with_stack(alarms=[Alarm("spark-TickMissing-1", "OK", "")])
    assert levels(checks.tick, knowing(stack=heard)) == [ok]
    ringing = with_stack(alarms=[Alarm("spark-TickMissing-1", "ALARM", "")])
    assert levels(checks.tick, knowing(stack=ringing)) == [skipped]


def test_a_tick_that_could_have_been_asked_about_is_missing_and_one_that_could_not_is_moot() -> None:
    assert [finding.is_moot for finding in checks.tick(FACTS)] == [True]
    assert [finding.is_moot for finding in checks.tick(knowing(stack=with_stack(alarms=Unknown("denied"))))] == [False]
    assert isinstance(FACTS.stack, Moot)


@pytest.mark.parametrize(
    ("key", "role", "expected"),
    [
        (KeyInUse("01ABC", 43), "editor", [ok]),
        (KeyInUse("01ABC", 32), "editor", [warn]),
        (KeyInUse("01ABC", 43), "owner", [warn]),
        (KeyInUse("bootstrap", 43), "owner", [warn]),
        (KeyInUse("bootstrap", 43, is_borrowed=True), "owner", [ok]),
    ],
)
def test_the_key_in_use(key: KeyInUse, role: str, expected: list[Level]) -> None:
    assert levels(key_checks.key, knowing(key=key, me={"role": role})) == expected


def test_a_key_that_is_refused_fails() -> None:
    facts = knowing(key=KeyInUse("01ABC", 43), me=Unknown("The API key is not valid.", 401))
    assert levels(key_checks.key, facts) == [fail]


@pytest.mark.parametrize("status", [429, 503, None])
def test_a_key_that_got_no_answer_is_not_called_wrong(status: int | None) -> None:
    """The API is busy, ill, or did not answer in time: another key would not help."""
    (finding,) = key_checks.key(knowing(key=KeyInUse("01ABC", 43), me=Unknown("Try again.", status)))
    assert (finding.level, finding.hint, finding.is_moot) == (skipped, "", False)


@pytest.mark.parametrize(
    ("key", "level"),
    [
        (a_key(), ok),
        (a_key(valid_until=None), warn),
        (a_key(valid_until=None, active=False), ok),
        (a_key(last_used_at=ago(days=91)), warn),
        (a_key(last_used_at=None, created_at=ago(days=91)), warn),
        (a_key(last_used_at=None), ok),
        (a_key(created_at=ago(days=400)), warn),
        (a_key(created_at=ago(days=400), previous_until=ago(days=30)), ok),
        (a_key(id="bootstrap", valid_until=None, last_used_at=ago(days=1)), warn),
        (a_key(id="bootstrap", valid_until=None, last_used_at=ago(days=8)), ok),
    ],
)
def test_keys_that_may_be_seen(key: dict[str, Any], level: Level) -> None:
    assert levels(key_checks.keys, knowing(keys=[key])) == [level]


def test_what_the_doctor_itself_used_is_no_use() -> None:
    first = a_key(id="bootstrap", valid_until=None, last_used_at=ago(seconds=1))
    borrowed = knowing(keys=[first], key=KeyInUse("bootstrap", 43, is_borrowed=True))
    assert levels(key_checks.keys, borrowed) == [ok]


@pytest.mark.parametrize(("has_one", "level"), [(True, ok), (False, warn)])
def test_second_factor(has_one: bool, level: Level) -> None:
    assert levels(key_checks.second_factor, knowing(second_factor=has_one)) == [level]


@pytest.mark.parametrize(
    ("entry", "stage", "expected"),
    [
        ("10.0.5.0/24", "production", [ok]),
        ("langflow.internal", "production", [ok]),
        (".corp.internal", "production", [ok]),
        ("10.0.0.0/8", "production", [warn]),
        ("fd00::/8", "production", [warn]),
        ("fd12:3456:789a::/48", "production", [ok]),
        ("0.0.0.0/0", "production", [fail]),
        ("0.0.0.0/1", "production", [fail]),
        ("128.0.0.0/4", "local", [fail]),
        ("2000::/3", "production", [fail]),
        ("8.0.0.0/5", "production", [warn]),
        (".com", "production", [fail]),
        (".com", "local", [fail]),
        (".internal", "production", [warn]),
        ("com", "production", [warn]),
        ("de", "production", [warn]),
        ("langflow", "production", [ok]),
        (".amazonaws.com", "production", [warn]),
        (".eu-west-1.elb.amazonaws.com", "production", [warn]),
        ("one.eu-west-1.elb.amazonaws.com", "production", [ok]),
        (".co.uk", "production", [warn]),
        (".corp.co.uk", "production", [ok]),
        ("::/0", "local", [fail]),
        ("169.254.169.254", "production", [fail]),
        ("fd00:ec2::254", "production", [fail]),
        ("127.0.0.0/8", "production", [fail]),
        ("127.0.0.0/8", "local", [ok]),
        ("::1", "local", [ok]),
    ],
)
def test_outbound(entry: str, stage: str, expected: list[Level]) -> None:
    assert levels(setting_checks.outbound, with_settings(stage, outbound_allow=[entry])) == expected


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, ok),
        ({"open_registration": True}, warn),
        ({"letters": "none"}, warn),
        ({"letters": "outbox"}, warn),
        ({"cors_origins": ["*"]}, warn),
        ({"requests_per_minute": 0}, warn),
        ({"refusals_per_minute": 0}, warn),
        ({"public_url": None}, warn),
    ],
)
def test_settings(settings: dict[str, Any], level: Level) -> None:
    assert levels(setting_checks.settings, with_settings(**settings)) == [level]
    assert levels(setting_checks.settings, with_settings("local", **settings)) == [skipped]


def test_a_stage_that_is_local_somewhere_else_is_no_local_stack() -> None:
    facts = replace(with_settings("local", letters="none"), url="https://a1.execute-api.eu-west-1.amazonaws.com")
    assert levels(setting_checks.settings, facts) == [fail, warn]
    assert levels(setting_checks.outbound, replace(facts, url="http://a1.execute-api.localhost:4566")) == [ok]
    loopback = replace(with_settings("local", outbound_allow=["127.0.0.0/8"]), url=facts.url)
    assert levels(setting_checks.outbound, loopback) == [fail]


@pytest.mark.parametrize(("days", "level"), [(7, ok), (365, ok), (0, warn)])
def test_retention(days: int, level: Level) -> None:
    assert levels(setting_checks.retention, knowing(projects=[{"name": "Lab", "retention_days": days}])) == [level]


@pytest.mark.parametrize(
    ("letter", "level"),
    [
        ({"redriven_run_id": None, "created_at": ago(days=1)}, warn),
        ({"redriven_run_id": "run_1", "created_at": ago(days=1)}, ok),
        ({"redriven_run_id": None, "created_at": ago(days=8)}, ok),
    ],
)
def test_dead_letters(letter: dict[str, Any], level: Level) -> None:
    assert levels(checks.dead_letters, knowing(dead_letters=[letter])) == [level]


@pytest.mark.parametrize(
    ("status", "check", "level"),
    [
        ("active", {"reachable": True, "key_valid": True}, ok),
        ("active", {"reachable": True, "key_valid": None}, ok),
        ("active", {"reachable": False, "key_valid": None}, warn),
        ("active", {"reachable": True, "key_valid": False}, warn),
        ("inactive", {"reachable": False, "key_valid": None}, ok),
        ("active", None, ok),
    ],
)
def test_sources(status: str, check: dict[str, Any] | None, level: Level) -> None:
    assert levels(checks.sources, knowing(sources=[{"name": "lab", "status": status, "check": check}])) == [level]


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"state": "active", "next_fire_at": ago(hours=-1), "pause_reason": None}, ok),
        ({"state": "active", "next_fire_at": None, "pause_reason": None}, warn),
        ({"state": "paused", "next_fire_at": None, "pause_reason": "by hand"}, ok),
        ({"state": "paused", "next_fire_at": None, "pause_reason": "3 failed runs in a row."}, warn),
    ],
)
def test_schedules(fields: dict[str, Any], level: Level) -> None:
    assert levels(checks.schedules, knowing(schedules=[{"settings": {"name": "Daily"}, **fields}])) == [level]


def test_of_many_with_the_same_trouble_three_are_named() -> None:
    keys = [a_key(name=f"ci-{number}", valid_until=None) for number in range(5)]
    (finding,) = key_checks.keys(knowing(keys=keys))
    assert finding.said == "ci-0, ci-1, ci-2 and 2 more have no end"


@pytest.mark.parametrize(
    ("check", "name", "record"),
    [
        (checks.schedules, "schedules", {"state": "active", "next_fire_at": NOW, "pause_reason": None}),
        (checks.sources, "sources", {"status": "inactive", "check": None}),
        (checks.dead_letters, "dead_letters", {"redriven_run_id": "run_1", "created_at": ago(days=9)}),
        (key_checks.keys, "keys", a_key()),
        (setting_checks.retention, "projects", {"retention_days": 7}),
    ],
)
def test_of_a_list_that_is_longer_it_says_how_much_was_read(check: Check, name: str, record: dict[str, Any]) -> None:
    whole = knowing(**{name: [record]})
    (finding,) = check(replace(whole, cut=frozenset({name})))
    assert finding.level is ok
    assert "the first 1" in finding.said or "the first 0" in finding.said
    assert "the first" not in next(check(whole)).said


# ---------------------------------------------------------------- the stack


@pytest.mark.parametrize(
    ("status", "level"),
    [
        ("CREATE_COMPLETE", ok),
        ("UPDATE_ROLLBACK_COMPLETE", warn),
        ("UPDATE_IN_PROGRESS", warn),
        ("UPDATE_ROLLBACK_FAILED", fail),
        ("ROLLBACK_COMPLETE", fail),
    ],
)
def test_stack(status: str, level: Level) -> None:
    assert levels(stack_checks.deployed, with_stack(status=status)) == [level]


def test_alarms_that_ring_fail_each_and_only_warn_while_the_stack_is_young() -> None:
    alarms = [Alarm("a", "ALARM", "Look here."), Alarm("b", "OK", ""), Alarm("c", "INSUFFICIENT_DATA", "")]
    assert levels(stack_checks.alarms, with_stack(alarms=alarms)) == [fail, warn]
    assert next(stack_checks.alarms(with_stack(alarms=alarms))).hint == "Look here."
    assert levels(stack_checks.alarms, with_stack(alarms=alarms, created_at=NOW - timedelta(minutes=5))) == [warn]
    assert levels(stack_checks.alarms, with_stack(alarms=alarms[1:2])) == [ok]
    assert levels(stack_checks.alarms, with_stack(alarms=[])) == [fail]


@pytest.mark.parametrize(
    ("alarm", "level"),
    [
        (Alarm("a", GONE, ""), fail),
        (Alarm("a", "INSUFFICIENT_DATA", ""), warn),
        (Alarm("a", "OK", "", is_muted=True), warn),
    ],
)
def test_an_alarm_that_would_not_ring(alarm: Alarm, level: Level) -> None:
    assert levels(stack_checks.alarms, with_stack(alarms=[Alarm("b", "OK", ""), alarm])) == [level]


@pytest.mark.parametrize(
    ("subscriptions", "level"),
    [([], fail), (["PendingConfirmation"], fail), (["PendingConfirmation", "arn:aws:sns:x:1:t:2"], ok)],
)
def test_subscribed(subscriptions: list[str], level: Level) -> None:
    assert levels(stack_checks.subscribed, with_stack(subscriptions=subscriptions)) == [level]


@pytest.mark.parametrize(
    ("stage", "url", "level"),
    [
        ("local", "http://a1.execute-api.localhost:4566", warn),
        ("local", "https://a1.execute-api.eu-west-1.amazonaws.com", fail),
        ("staging", "http://a1.execute-api.localhost:4566", fail),
    ],
)
def test_only_on_an_emulator_alarms_may_reach_nobody(stage: str, url: str, level: Level) -> None:
    stack = with_stack(subscriptions=[], parameters={"Stage": stage}, outputs={"ApiUrl": url})
    assert levels(stack_checks.subscribed, stack) == [level]


def test_a_mail_that_was_just_sent_may_be_unread() -> None:
    young = with_stack(created_at=NOW - timedelta(minutes=5))
    assert levels(stack_checks.subscribed, replace(young, subscriptions=["PendingConfirmation"])) == [warn]
    assert levels(stack_checks.subscribed, replace(young, subscriptions=[])) == [fail]


@pytest.mark.parametrize(("count", "level"), [(0, ok), (1, fail)])
def test_dead_messages(count: int, level: Level) -> None:
    assert levels(stack_checks.dead_messages, with_stack(dead_messages=count)) == [level]


@pytest.mark.parametrize(("days", "level"), [(30, ok), (None, fail), (0, fail)])
def test_log_retention(days: int | None, level: Level) -> None:
    (finding,) = stack_checks.logs(with_stack(log_retention={"/aws/lambda/spark-api": days}))
    assert finding.level is level
    assert ("deleted" in finding.said) is (days == 0)


def test_table() -> None:
    assert levels(stack_checks.table, with_stack(is_protected=True, recovery_days=35, expires=True)) == [ok, ok, ok]
    bad = with_stack(is_protected=False, recovery_days=0, expires=False, outputs={"TableName": "spark-Table-1"})
    assert levels(stack_checks.table, bad) == [warn, fail, fail]
    hints = [finding.hint for finding in stack_checks.table(bad)]
    assert all(" --table-name spark-Table-1 " in hint for hint in hints)


@pytest.mark.parametrize(
    ("days", "asked", "level"), [(35, "35", ok), (1, "35", warn), (1, "", warn), (7, "7", ok), (0, "1", fail)]
)
def test_recovery_reaches_as_far_back_as_the_stack_asks(days: int, asked: str, level: Level) -> None:
    stack = with_stack(recovery_days=days, parameters={"TableRecoveryDays": asked})
    assert levels(stack_checks.table, stack)[1] is level


@pytest.mark.parametrize(("kept", "level"), [(None, ok), (5, ok), (0, fail)])
def test_concurrency(kept: int | None, level: Level) -> None:
    assert levels(stack_checks.concurrency, with_stack(concurrency={"spark-api": kept})) == [level]


@pytest.mark.parametrize(
    ("hidden", "works", "level"), [("1800", "300", ok), ("1799", "300", warn), ("1800", "301", warn)]
)
def test_visibility(hidden: str, works: str, level: Level) -> None:
    said = {"RunVisibilitySeconds": hidden, "ExecutorTimeoutSeconds": works}
    assert levels(stack_checks.visibility, with_stack(parameters=said)) == [level]


@pytest.mark.parametrize(
    ("endpoint", "secret", "level"),
    [
        ("", "arn:x", skipped),
        ("https://otlp.test", "arn:x", ok),
        ("http://127.0.0.1:4318", "arn:x", ok),
        ("http://otlp.test", "arn:x", fail),
        ("http://otlp.test", "", warn),
    ],
)
def test_traces(endpoint: str, secret: str, level: Level) -> None:
    stack = with_stack(parameters={"OtlpEndpoint": endpoint, "OtlpSecretArn": secret})
    assert levels(stack_checks.traces, stack) == [level]


@pytest.mark.parametrize(
    ("runtime", "at", "level"),
    [
        ("python3.13", NOW, ok),
        ("python3.13", datetime(2029, 3, 1, tzinfo=UTC), warn),
        ("python3.13", datetime(2029, 7, 1, tzinfo=UTC), fail),
        ("python3.99", NOW, skipped),
    ],
)
def test_runtimes(runtime: str, at: datetime, level: Level) -> None:
    assert levels(stack_checks.runtimes, with_stack(runtimes={"spark-api": runtime}, now=at)) == [level]


@pytest.mark.parametrize(("is_on", "level"), [(True, ok), (False, fail)])
def test_triggers(is_on: bool, level: Level) -> None:
    assert levels(stack_checks.triggers, with_stack(triggers={"rule": is_on})) == [level]


@pytest.mark.parametrize(("state", "level"), [("Enabled", ok), ("PendingDeletion", fail), ("Disabled", fail)])
def test_kms(state: str, level: Level) -> None:
    assert levels(stack_checks.kms, with_stack(keys={"1234": state})) == [level]


def test_without_a_stack_all_of_it_is_skipped_in_one_line() -> None:
    (finding,) = stack_checks.findings(FACTS)
    assert (finding.level, finding.check) == (skipped, "stack")
    assert "--stack" in finding.said
