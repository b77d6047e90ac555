"""The whole API, fuzzed from its own document: no 5xx, and every answer is one that the document knows.

The handler runs on moto, with a source, a workflow, runs, and a schedule that was backfilled in the table; half of the
generated ids are replaced by theirs, so that requests meet something. The same requests every time.
"""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from functions.api import dependencies
from functions.api.app import create_app
from shared.domain.project import DEFAULT_PROJECT
from shared.services import waiting
from shared.settings import Settings
from tests.integration.api.conftest import api, langflow, made, order, source, workflow  # noqa: F401  # fixtures
from tests.integration.api.test_dead_letters import bury
from tests.integration.api.test_runs import finish
from tests.integration.conftest import aws, event_loop, moto_clients  # noqa: F401  # fixtures

load_all_checks()
DOCUMENT = create_app(Settings()).openapi()
SCHEMA = schemathesis.openapi.from_dict({**DOCUMENT, "servers": [{"url": "https://api.test"}]}).exclude(deprecated=True)
NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{1,64}")
Json = dict[str, Any]


@pytest.fixture
def known(api: httpx.Client, order: Any, source: Json, workflow: Json) -> dict[str, str]:  # noqa: F811
    """The id that stands for each parameter."""
    runs = [made(api.post("/runs", json=order()))["id"] for _ in range(4)]
    finish(runs[0])
    finish(runs[1], failed=True)
    letter = bury(runs[1])
    settings = {"name": "Report", "kind": "cron", "expression": "0 * * * *", "input": "Hello"}
    schedule = made(api.post("/schedules", json={"workflow_id": workflow["id"], "settings": settings}))["id"]
    past = {"start_at": "2024-01-01T00:00:00Z", "end_at": "2024-01-01T02:00:00Z"}
    backfill = made(api.post(f"/schedules/{schedule}/backfills", json=past))["id"]
    role = made(api.post("/roles", json={"name": "on call", "allow": ["runs:read"]}))["id"]
    key = made(api.post("/api-keys", json={"name": "ci", "role": role}))["id"]
    return {
        "organization_id": "default",
        "project_id": "default",
        "role_id": role,
        "key_id": key,
        "source_id": source["id"],
        "workflow_id": workflow["id"],
        "run_id": runs[0],
        "dead_letter_id": letter.id,
        "flow_id": "flow-1",
        "schedule_id": schedule,
        "backfill_id": backfill,
    }


@SCHEMA.parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_gets_an_answer_that_is_not_in_the_document(
    case: schemathesis.Case,
    api: httpx.Client,  # noqa: F811
    known: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "wait_for_end", lambda run, until, **tools: run)
    monkeypatch.setattr(dependencies, "sleep", lambda seconds: None)
    for values in (case.path_parameters, case.body):
        if isinstance(values, dict):
            meet(values, known)
    request = request_of(case, api)
    response = api.send(request)
    response.elapsed = timedelta(0)  # asked for by schemathesis, not set by a transport in memory
    case.validate_response(response, checks=CHECKS.get_by_names(NAMES), headers=dict(request.headers))


def meet(values: Json, known: dict[str, str]) -> None:
    """Put the ids of what exists in place of some that are well-formed."""
    for name, id in known.items():
        value = values.get(name)
        if isinstance(value, str) and WELL_FORMED.fullmatch(value) and len(value) % 2:
            values[name] = id


def request_of(case: schemathesis.Case, client: httpx.Client) -> httpx.Request:
    """The generated request, with a key that opens in place of a generated one."""
    wanted = case.as_transport_kwargs(base_url="https://api.test")
    headers = httpx.Headers(wanted.get("headers"))
    if "X-API-Key" in headers:
        headers["X-API-Key"] = client.headers["X-API-Key"]
    if case.meta and case.meta.generation.mode.is_positive and len(headers.get("X-Project-Id", "")) % 2:
        headers["X-Project-Id"] = DEFAULT_PROJECT
    return httpx.Request(
        wanted["method"],
        wanted["url"],
        params=wanted.get("params"),
        headers=headers,
        json=wanted.get("json"),
        content=wanted.get("data"),
    )
