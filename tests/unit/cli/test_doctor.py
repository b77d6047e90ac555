"""`spark doctor` on the API in memory: whom it asks, what it prints, how it ends."""

import json
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from cli import config
from cli.doctor import amazon, gathering
from cli.doctor.facts import StackFacts, Unknown
from tests import fake_api
from tests.fake_api import KEY, NOW, URL, FakeApi, problem
from tests.unit.cli.conftest import Clock, Spark
from tests.unit.cli.test_doctor_checks import SETTINGS

Json = dict[str, Any]
AT_HOME = "http://127.0.0.1:4566"
FORBIDDEN = "This needs audit:read, which the role editor does not have."


class Deployment:
    """The API in memory, with what only the doctor asks for."""

    def __init__(self, api: FakeApi, clock: Clock) -> None:
        self.health: httpx.Response | Exception = httpx.Response(200, json={"status": "healthy"})
        self.stage, self.ahead, self.may_ask = "local", timedelta(0), True
        self.keys_sent: set[str | None] = set()
        self._clock, self._others = clock, api.handle
        api.handle = self.handle

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.partition("/api/v1")[2]
        if path.startswith("/health"):
            assert "X-API-Key" not in request.headers, "strangers may ask for it, so no key is shown"
            if isinstance(self.health, Exception):
                raise self.health
            date = format_datetime(self._clock.now + self.ahead, usegmt=True)
            return httpx.Response(self.health.status_code, content=self.health.content, headers={"Date": date})
        self.keys_sent.add(request.headers.get("X-API-Key"))
        if path == "/auth/me":
            return httpx.Response(200, json={"id": "key_1", "role": "editor"})
        if path == "/deployment":
            said = {"stage": self.stage, "version": "0.1.0", "oldest_due_at": NOW, "settings": SETTINGS}
            return httpx.Response(200, json=said) if self.may_ask else problem(403, "forbidden", FORBIDDEN)
        return self._others(request)


@pytest.fixture
def deployment(api: FakeApi, clock: Clock) -> Deployment:
    config.save_profile("test", AT_HOME, KEY)
    api.add_project()
    return Deployment(api, clock)


def levels(spark: Spark, *options: str, exits: int = 0) -> dict[str, str]:
    """Check → how it ended."""
    result = spark("doctor", "--json", *options)
    assert result.exit_code == exits, result.output
    return {each["check"]: each["level"] for each in json.loads(result.stdout)["findings"]}


def test_a_deployment_that_is_well(spark: Spark, deployment: Deployment) -> None:
    found = levels(spark)
    skipped = {check for check, level in found.items() if level == "skipped"}
    assert skipped == {"settings", "second factor", "stack"}
    assert {check for check, level in found.items() if level != "ok"} == skipped | {"key"}  # that of the tests is short


def test_each_finding_is_a_line_and_its_remedy_follows(spark: Spark, deployment: Deployment, api: FakeApi) -> None:
    api.add_source("lab", check={"reachable": False, "key_valid": None})
    api.add_schedule("Daily", next_fire_at=None)
    result = spark("doctor")
    assert "warn     sources        lab did not answer when last looked at" in result.stdout
    assert "sources: spark source check SOURCE says why" in result.stderr
    assert "schedules: spark schedule get SCHEDULE" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("9 ok, 3 warn, 0 fail, 3 skipped")


def test_a_warning_fails_if_one_is_strict(spark: Spark, deployment: Deployment) -> None:
    assert levels(spark, "--strict", exits=1)["key"] == "warn"


@pytest.fixture
def strong(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that gives no cause for a warning."""
    key = "spk_1_" + "k" * 43
    monkeypatch.setattr(fake_api, "KEY", key)
    config.save_profile("test", AT_HOME, key)


def test_what_does_not_apply_is_no_failure_however_strict(spark: Spark, strong: None) -> None:
    found = levels(spark, "--strict")
    assert {check for check, level in found.items() if level == "skipped"} == {"settings", "second factor", "stack"}


def test_what_could_not_be_looked_at_fails_if_one_is_strict(spark: Spark, strong: None, deployment: Deployment) -> None:
    """A monitor whose rights were taken away shall not stay green."""
    deployment.may_ask = False
    assert levels(spark, "--strict", exits=1)["tick"] == "skipped"
    assert levels(spark)["tick"] == "skipped"


def test_a_busy_api_does_not_make_the_key_a_wrong_one(spark: Spark, strong: None, api: FakeApi) -> None:
    before = api.handle

    def busy(request: httpx.Request) -> httpx.Response:
        is_asked = "/auth/me" in request.url.path
        return problem(503, "unavailable", "The table is too busy.") if is_asked else before(request)

    api.handle = busy
    assert levels(spark)["key"] == "skipped"
    assert "spark config set" not in spark("doctor").stderr


def test_of_what_is_more_than_it_reads_it_says_so(
    spark: Spark, strong: None, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MOST_PROJECTS", 2)
    monkeypatch.setattr(gathering, "MOST_RECORDS", 2)
    for number in range(2):
        api.add_schedule(f"Daily {number}")
    assert "2 in order" in spark("doctor").stdout
    api.add_schedule("Daily 2")
    assert "the first 2 in order" in spark("doctor").stdout
    for number in range(2):
        api.add_project(f"Another {number}")
    assert "in each of the first 2 projects" in spark("doctor").stdout


def test_nobody_there(spark: Spark, deployment: Deployment) -> None:
    deployment.health = httpx.ConnectError("no route to host")
    found = levels(spark, exits=1)
    assert found.pop("reachable") == "fail"
    assert set(found.values()) == {"ok", "skipped"}  # that HTTP stays on this machine is known without asking
    assert "no route to host" in spark("doctor").stdout


def test_not_ready(spark: Spark, deployment: Deployment) -> None:
    deployment.health = problem(503, "unavailable", "Not ready: no answer from table.")
    found = levels(spark, exits=1)
    assert (found["reachable"], found["ready"]) == ("fail", "fail")
    assert "Not ready: no answer from table." in spark("doctor").stdout


def test_clocks_that_are_apart(spark: Spark, deployment: Deployment) -> None:
    deployment.ahead = timedelta(minutes=2)
    assert levels(spark, exits=1)["clock"] == "fail"
    assert "the deployment's is 120 s ahead of this machine's" in spark("doctor").stdout


def test_what_one_may_not_ask_is_skipped_and_never_passed(spark: Spark, deployment: Deployment) -> None:
    deployment.may_ask = False
    found = levels(spark)
    assert {found[check] for check in ("tick", "outbound", "settings")} == {"skipped"}
    assert FORBIDDEN in spark("doctor").stdout


def test_a_key_that_is_refused(spark: Spark, deployment: Deployment, api: FakeApi) -> None:
    before = api.handle

    def refuse(request: httpx.Request) -> httpx.Response:
        is_open = "/health" in request.url.path
        return before(request) if is_open else problem(401, "unauthenticated", "The API key is not valid.")

    api.handle = refuse
    found = levels(spark, exits=1)
    assert found["key"] == "fail"
    assert found["keys"] == "skipped"


def test_dead_letters_of_all_projects_count(spark: Spark, deployment: Deployment, api: FakeApi) -> None:
    api.add_dead_letter(created_at=NOW, redriven_run_id=None)
    api.add_project("Other")
    assert levels(spark)["dead letters"] == "warn"
    asked = {request.headers["X-Project-Id"] for request in api.requests if "/dead-letters" in request.url.path}
    assert len(asked) == 2


# ---------------------------------------------------------------- with a stack


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Json:
    """What AWS says of the stack; tests change it. Its other parts nobody may see."""
    told: Json = {
        "outputs": {"ApiUrl": AT_HOME, "BootstrapSecretArn": "arn:secret"},
        "first": Unknown("denied"),
        "parameters": {},
    }
    facts = ("spark", "CREATE_COMPLETE", clock.now, clock.now - timedelta(days=1))
    monkeypatch.setattr(amazon, "clients", lambda: None)
    monkeypatch.setattr(
        amazon, "gather", lambda client, name, now: StackFacts(*facts, told["outputs"], told["parameters"])
    )
    monkeypatch.setattr(amazon, "first_key", lambda client, stack: told["first"])
    return told


def test_the_profile_with_the_stacks_address_is_used(spark: Spark, deployment: Deployment, stack: Json) -> None:
    config.save_profile("elsewhere", URL, "spk_other_" + "o" * 43, use=True)
    assert levels(spark, "--stack", "spark")["stack"] == "ok"
    assert deployment.keys_sent == {KEY}


def test_a_domain_of_ones_own_is_the_stacks_too(spark: Spark, deployment: Deployment, stack: Json) -> None:
    stack["outputs"]["ApiUrl"] = "https://a1.execute-api.eu-west-1.amazonaws.com"
    stack["parameters"] = {"PublicUrl": f"{AT_HOME}/"}
    assert levels(spark, "--stack", "spark")["key"] == "warn"
    assert deployment.keys_sent == {KEY}


def test_a_key_never_goes_to_a_stack_it_was_not_kept_for(spark: Spark, deployment: Deployment, stack: Json) -> None:
    config.save_profile("test", URL, KEY)
    found = levels(spark, "--stack", "spark")
    assert (found["reachable"], found["key"], found["tick"]) == ("ok", "skipped", "skipped")
    assert deployment.keys_sent == set()


def test_the_first_key_is_borrowed_and_shown_to_nobody(spark: Spark, deployment: Deployment, stack: Json) -> None:
    stack["first"] = "spk_bootstrap_" + "f" * 43
    result = spark("doctor", "--stack", "spark", "--first-key")
    assert deployment.keys_sent == {stack["first"]}
    assert "f" * 43 not in result.output
    assert "bootstrap is of role editor" in result.stdout


def test_a_named_profile_says_where_the_api_of_an_emulator_is(
    spark: Spark, deployment: Deployment, stack: Json
) -> None:
    stack["outputs"]["ApiUrl"] = "http://a0000001.execute-api.localhost:4566"
    stack["first"] = "spk_bootstrap_" + "f" * 43
    assert spark("doctor", "--stack", "spark", "--first-key", "--profile", "test").exit_code == 0
    assert deployment.keys_sent == {stack["first"]}


def test_the_first_key_goes_to_its_own_stack_and_nowhere_else(
    spark: Spark, deployment: Deployment, stack: Json
) -> None:
    config.save_profile("elsewhere", "https://spark.test", "spk_other_" + "o" * 43)
    stack["first"] = "spk_bootstrap_" + "f" * 43
    result = spark("doctor", "--stack", "spark", "--first-key", "--profile", "elsewhere")
    assert result.exit_code == 2
    assert "its first key is not sent there" in result.stderr
    assert deployment.keys_sent == set()


def test_a_stack_of_something_else(spark: Spark, deployment: Deployment, stack: Json) -> None:
    del stack["outputs"]["ApiUrl"]
    assert "has no output ApiUrl" in spark("doctor", "--stack", "spark").stderr


def test_where_the_first_key_is_not_ours_to_read_health_is_all(
    spark: Spark, deployment: Deployment, stack: Json
) -> None:
    config.save_profile("test", URL, KEY)
    result = spark("doctor", "--stack", "spark", "--first-key")
    assert result.exit_code == 0
    assert "The first key is not ours to read (denied)" in result.stderr
    assert deployment.keys_sent == set()


def test_whose_first_key(spark: Spark, deployment: Deployment) -> None:
    assert spark("doctor", "--first-key").exit_code == 2
