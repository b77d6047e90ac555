"""The handler on the events that API Gateway sends: `events/api_*.json`."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.api.handler import handler
from shared import wiring
from shared.observability import count, metrics
from shared.store.runs import RunStore
from tests.integration.api.wire import CONTEXT
from tests.integration.conftest import Aws
from tests.world import a_source, a_workflow

EVENTS = Path(__file__).parents[3] / "events"
Json = dict[str, Any]


def sent(name: str) -> tuple[Json, Any]:
    """The answer to an event, and its body."""
    answer = handler(json.loads((EVENTS / f"{name}.json").read_text()), CONTEXT)  # type: ignore[arg-type]
    assert answer["isBase64Encoded"] is False
    return answer, json.loads(answer["body"])


@pytest.fixture
def workflow_id(aws: Aws) -> str:
    """The workflow that the events name."""
    id = json.loads(json.loads((EVENTS / "api_create_run.json").read_text())["body"])["workflow_id"]
    wiring.sources().save(None, a_source())
    wiring.workflows().save(None, a_workflow(id=id))
    return str(id)


@pytest.mark.parametrize("name", ["api_create_run", "api_base64_body"])
def test_a_run_is_created(aws: Aws, workflow_id: str, name: str) -> None:
    answer, run = sent(name)
    assert answer["statusCode"] == 202
    assert answer["headers"]["location"] == f"/api/v1/runs/{run['id']}"
    assert (run["workflow_id"], run["input"]) == (workflow_id, "Hello")
    assert [message["run_id"] for message in aws.messages()] == [run["id"]]


def test_runs_are_listed(aws: Aws) -> None:
    assert sent("api_list_runs")[1] == {"items": [], "next_cursor": None}


def test_health_needs_no_key(aws: Aws) -> None:
    assert sent("api_health")[1] == {"status": "healthy"}


def test_without_a_key_nothing_opens(aws: Aws) -> None:
    answer, body = sent("api_no_key")
    assert (answer["statusCode"], body["code"]) == (401, "unauthenticated")
    assert answer["headers"]["content-type"] == "application/problem+json"


def test_what_was_counted_is_reported(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics.provider, "namespace", "Spark")
    list_runs = RunStore.list

    def counted(*arguments: Any, **more: Any) -> Any:
        count("Looks")
        return list_runs(*arguments, **more)

    monkeypatch.setattr(RunStore, "list", counted)
    sent("api_list_runs")
    assert '"Looks":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status"), [(ZeroDivisionError(), 500), (ClientError({"Error": {"Code": "AccessDenied"}}, "Query"), 503)]
)
def test_a_request_that_fails_is_counted_by_the_version_of_the_code(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    """To Lambda the answer is a success; the deployment of new code that gives such is to be taken back."""

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(RunStore, "list", fails)
    assert sent("api_list_runs")[0]["statusCode"] == status
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "FailuresOfVersion" in line)
    counted = json.loads(line)
    assert counted["version"] == CONTEXT.function_version
    assert {*counted["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]} == {"service", "version"}


def test_every_sample_event_of_the_api_is_used() -> None:
    used = {"api_create_run", "api_base64_body", "api_list_runs", "api_health", "api_no_key"}
    assert {path.stem for path in EVENTS.glob("api_*.json")} == used
