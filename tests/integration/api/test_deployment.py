"""`GET /deployment`: what the operator of a deployment may know of it, and nobody else."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared import wiring
from shared.domain.receiver import NO_ADDRESS, NOT_ENCRYPTED
from tests.fakes import Clock
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import a_project, holder, rival
from tests.integration.conftest import Aws, forget

Json = dict[str, Any]
PATH = "/deployment"


def said(api: httpx.Client) -> Json:
    answer = api.get(PATH)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_it_says_what_it_is_and_how_it_is_set(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", "10.0.5.0/24, .corp.internal")
    monkeypatch.setenv("SPARK_MAIL_FROM", "spark@example.com")
    monkeypatch.setenv("SPARK_STAGE", "staging")
    forget()
    document = said(api)
    assert (document["stage"], document["version"]) == ("staging", "0.1.0")
    assert document["settings"]["outbound_allow"] == ["10.0.5.0/24", ".corp.internal"]
    assert document["settings"]["letters"] == "ses"
    assert document["settings"]["open_registration"] is False


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, None),
        (
            {"ENDPOINT": "https://receiver.test:4318/otel", "CONTENT": "true"},
            {"scheme": "https", "host": "receiver.test", "content": True, "problem": None},
        ),
        (
            {"ENDPOINT": "http://collector.corp.internal:4318"},
            {"scheme": "http", "host": "collector.corp.internal", "content": False, "problem": None},
        ),
        (
            {"ENDPOINT": "https://u:sekret@receiver.test"},
            {"scheme": None, "host": None, "content": False, "problem": NO_ADDRESS},
        ),
        (
            {"ENDPOINT": "http://receiver.test"},
            {"scheme": None, "host": None, "content": False, "problem": NOT_ENCRYPTED},
        ),
    ],
)
def test_it_says_where_traces_go(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], shown: Json | None
) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", ".corp.internal")
    for name, value in environment.items():
        monkeypatch.setenv(f"SPARK_OTLP_{name}", value)
    forget()
    assert said(api)["settings"]["traces"] == shown


def test_what_has_waited_for_the_tick_the_longest_shows_until_a_tick_comes(api: httpx.Client, clock: Clock) -> None:
    said(api)  # the first request founds the organization, which is an entry, too
    tick(clock)
    assert said(api)["oldest_due_at"] is None
    first = made(api.post("/roles", json={"name": "first", "allow": ["runs:read"]}))  # which the tick has to seal
    clock.forward(60)
    made(api.post("/roles", json={"name": "second", "allow": ["runs:read"]}))
    assert said(api)["oldest_due_at"] == first["created_at"]
    tick(clock)
    assert said(api)["oldest_due_at"] is None


def test_what_is_due_later_does_not_wait(api: httpx.Client, clock: Clock, schedule: Json) -> None:
    tick(clock)
    assert schedule["next_fire_at"]
    assert said(api)["oldest_due_at"] is None


def tick(clock: Clock) -> None:
    wiring.ticker().tick(clock.at + timedelta(minutes=1), lambda shard: None)


def test_it_is_for_the_whole_of_the_first_organization(api: httpx.Client) -> None:
    with holder(api, "owner", project_id=a_project(api)) as of_a_project:
        assert of_a_project.get(PATH).status_code == 403
    with rival() as owner_elsewhere:
        assert owner_elsewhere.get(PATH).status_code == 403
    with holder(api, "editor", organization_wide=True) as editor:
        assert editor.get(PATH).status_code == 403
    with client(None) as stranger:
        assert stranger.get(PATH).status_code == 401


def test_strangers_learn_nothing_from_health(aws: Aws) -> None:
    with client(None) as stranger:
        assert stranger.get("/health/ready").json() == {"status": "healthy"}
