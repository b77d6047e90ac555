"""One id follows a run through the logs of everybody who works on it, to LangFlow. All handlers, AWS on moto."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.executor.handler import handler as executor
from functions.tick.handler import handler as tick
from shared import wiring
from shared.observability import logger
from tests.integration.api.conftest import made
from tests.integration.conftest import Aws
from tests.integration.test_handlers import ALL_FINE, context, due, event
from tests.stub_langflow import ECHO, StubLangFlow

Json = dict[str, Any]
Listen = Callable[[], list[Json]]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubLangFlow]:
    with StubLangFlow() as running:
        yield running


@pytest.fixture
def echo(api: httpx.Client, stub: StubLangFlow) -> str:
    """A workflow of a flow that answers its input."""
    stub.reset()
    source = made(api.post("/sources", json={"name": "stub", "url": stub.url, "api_key": "a-key"}))
    flow = {"source_id": source["id"], "flow_id": ECHO}
    return str(made(api.post("/workflows/import", json=flow))["id"])


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Listen:
    """The lines since it was asked last."""
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)

    def listen() -> list[Json]:
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        log.seek(0)
        log.truncate()
        logger.set_correlation_id(None)  # the API's: deployed, each function is a process with a logger of its own
        return lines

    return listen


def about(id: str, lines: list[Json]) -> set[str]:
    """The events that name this correlation id."""
    return {line["message"] for line in lines if id in [line.get("correlation_id"), *line.get("correlation_ids", [])]}


def test_the_id_of_a_request_is_in_the_logs_of_api_tick_and_executor_and_at_langflow(
    api: httpx.Client, echo: str, stub: StubLangFlow, aws: Aws, logged: Listen
) -> None:
    """Its message is lost on the way, so that the tick has something to do with it."""
    id = "order-4711"
    logged()
    run = made(api.post("/runs", json={"workflow_id": echo, "input": "Hi"}, headers={"X-Correlation-Id": id}))
    assert "request.answered" in about(id, logged())
    assert len(aws.messages()) == 1
    stored = wiring.runs().get("default", run["id"])
    wiring.runs().save(stored, stored.model_copy(update={"wake_at": wiring.now() - timedelta(seconds=1)}))

    assert tick(event("eventbridge_tick.json"), context())["resent"] == 1
    assert about(id, logged()) == {"runs.resent"}

    messages = due(aws)
    assert executor(messages, context()) == ALL_FINE
    assert about(id, logged()) == {"run.saved"}
    assert stub.calls()["headers"]["x-correlation-id"] == id

    assert executor(messages, context()) == ALL_FINE
    assert about(id, logged()) == {"message.acknowledged"}


def test_the_id_of_a_run_that_the_clock_made_is_its_own(
    api: httpx.Client, echo: str, stub: StubLangFlow, aws: Aws, logged: Listen
) -> None:
    body = {"workflow_id": echo, "settings": {"name": "s", "input": "tick", "kind": "interval", "expression": "1h"}}
    schedule = made(api.post("/schedules", json=body))
    stored = wiring.schedules().get("default", schedule["id"])
    an_hour = timedelta(hours=1)
    ago = {name: getattr(stored, name) - an_hour for name in ("watermark", "effective_at", "created_at", "wake_at")}
    wiring.schedules().save(stored, stored.model_copy(update=ago))
    logged()

    assert tick(event("eventbridge_tick.json"), context())["fired"] == 1
    (run,) = api.get(f"/schedules/{schedule['id']}/runs").json()["items"]
    assert about(run["id"], logged()) == {"runs.fired"}

    assert executor(due(aws), context()) == ALL_FINE
    assert "run.saved" in about(run["id"], logged())
    assert stub.calls()["headers"]["x-correlation-id"] == run["id"]


def test_a_request_that_fires_at_once_names_both(api: httpx.Client, echo: str, logged: Listen) -> None:
    """Who made the schedule is told by the one, what became of its run by the other."""
    body = {"workflow_id": echo, "settings": {"name": "s", "input": "x", "kind": "once", "expression": "in 10s"}}
    logged()
    schedule = made(api.post("/schedules", json=body, headers={"X-Correlation-Id": "deploy-7"}))
    lines = logged()
    (run,) = api.get(f"/schedules/{schedule['id']}/runs").json()["items"]
    (fired,) = [line for line in lines if line["message"] == "runs.fired"]
    assert (fired["correlation_id"], fired["correlation_ids"]) == ("deploy-7", [run["id"]])
    assert (fired["runs"], fired["run_ids"]) == (1, [run["id"]])
