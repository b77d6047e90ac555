"""The whole API, fuzzed from its own document: no 5xx, and every answer is one that the document knows.

The handler runs on moto, with one of everything in the table. Each operation by itself: half of the generated ids are
replaced by those of what is there, so that requests meet something. And in sequences, in which answers lead to the next
request: schemathesis finds out from the document which do. As several callers, and the same requests every time.
"""

# ruff: noqa: F401, F811  # fixtures

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import APIStateMachine, StepInput

from functions.api import dependencies
from functions.api.app import create_app
from shared.domain.project import DEFAULT_PROJECT
from shared.services import hashing, waiting
from shared.settings import Settings
from tests.integration.api import people
from tests.integration.api.conftest import api, langflow, made, order, source, tell_count, workflow
from tests.integration.api.keys import a_key
from tests.integration.api.test_dead_letters import bury
from tests.integration.api.test_runs import finish
from tests.integration.conftest import API_KEY, Aws, aws, event_loop, forget, moto_clients

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
# In a sequence a body may name what the step before has just deleted, so what is refused says nothing of the data.
IN_SEQUENCES = tuple(name for name in NAMES if name != "negative_data_rejection")
WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{1,64}")
CREDENTIALS = {"x-api-key", "authorization"}
CALLERS = ("the first key", "an owner who is logged in", "a viewer's key")
STRANGERS = ("nobody", "a key that is none", "a token that is none")
EXAMPLES = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
Json = dict[str, Any]
Headers = Callable[[str], Json]
Count = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, and passwords are hashed as nobody should."""
    monkeypatch.setattr(waiting, "wait_for_end", lambda run, until, **tools: run)
    monkeypatch.setattr(dependencies, "sleep", lambda seconds: None)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(hashing, "HASHER", quick)
    monkeypatch.setattr(hashing, "NOBODYS", quick.hash("nobody's"))


@pytest.fixture(autouse=True)
def letters(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OUTBOX", str(tmp_path))
    forget()


@pytest.fixture
def owner(api: httpx.Client) -> people.Person:
    assert people.register().status_code == 201
    return people.log_in()


@pytest.fixture
def headers(api: httpx.Client, owner: people.Person) -> Headers:
    """What somebody says of themselves; whose session has ended, as there are operations that end it, logs in again."""
    person = [owner]
    viewer = a_key(api, "viewer")["key"]

    def logged_in() -> str:
        if person[0].api.get("/auth/me").status_code == 401:
            person[0] = people.log_in()
        return str(person[0].tokens["access_token"])

    def of(caller: str) -> Json:
        if caller == "an owner who is logged in":
            return {"Authorization": f"Bearer {logged_in()}"}
        keys = {"the first key": API_KEY, "a viewer's key": viewer, "a key that is none": "spk_nobody_" + "x" * 43}
        if caller == "a token that is none":
            return {"Authorization": "Bearer x.y.z"}
        return {"X-API-Key": keys[caller]} if caller in keys else {}

    return of


@pytest.fixture
def known(api: httpx.Client, order: Any, source: Json, workflow: Json, owner: people.Person) -> dict[str, str]:
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
    robot = made(api.post("/service-accounts", json={"name": "robot", "role": "viewer"}))["id"]
    invitation = made(owner.api.post("/invitations", json={"email": people.OTHER, "role": "viewer"}))["id"]
    provider = {"name": "Acme", "issuer": "https://127.0.0.1:1", "client_id": "spark", "default_role": "viewer"}
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
        "service_account_id": robot,
        "invitation_id": invitation,
        "provider_id": made(api.post("/identity-providers", json=provider))["id"],
        "user_id": owner.id,
        "session_id": owner.again().api.get("/auth/sessions").json()["items"][0]["id"],
    }


@pytest.fixture
def rewind(aws: Aws, known: dict[str, str], headers: Headers) -> Callable[[], None]:
    """Puts the table back to where it was: the same requests are to get the same answers in each sequence."""
    kept = aws.items()

    def back() -> None:
        for item in aws.items():
            aws.dynamodb.delete_item(TableName=aws.table, Key={name: item[name] for name in ("pk", "sk")})
        for item in kept:
            aws.dynamodb.put_item(TableName=aws.table, Item=item)
        forget()

    return back


@SCHEMA.given(caller=st.sampled_from(CALLERS + STRANGERS))
@SCHEMA.parametrize()
@settings(max_examples=10, phases=[Phase.explicit, Phase.generate], **EXAMPLES)
def test_no_request_gets_an_answer_that_is_not_in_the_document(
    case: schemathesis.Case,
    caller: str,
    api: httpx.Client,
    known: dict[str, str],
    headers: Headers,
) -> None:
    for values in (case.path_parameters, case.body):
        if isinstance(values, dict):
            meet(values, known)
    request = request_of(case, headers(caller))
    response = answer_to(request, api)
    case.validate_response(response, checks=CHECKS.get_by_names(NAMES), headers=dict(request.headers))
    if caller in STRANGERS and case.operation.definition.raw.get("security"):
        assert not response.is_success, f"{case.operation.label} lets {caller} in"


@pytest.mark.parametrize("caller", CALLERS)
def test_no_sequence_of_requests_does(
    caller: str,
    api: httpx.Client,
    rewind: Callable[[], None],
    headers: Headers,
    tell_count: Count,
) -> None:
    asked = Counter[tuple[str, bool]]()

    class Sequence(SCHEMA.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            """Lists come first: what they show is what a sequence begins with."""
            rewind()
            for operation in lists(self._transitions):
                case = operation.Case()
                self.recorder.record_case(case=case)
                self.control.record_step(StepInput.initial(case), self.recorder)
                output = APIStateMachine._step(self, StepInput.initial(case))
                self._add_results_to_targets((), [output])

        def call(self, case: schemathesis.Case, **kwargs: Any) -> Response:
            (case.headers or {}).pop("X-Project-Id", None)  # one that is not there would end each sequence
            response = answer_to(request_of(case, headers(caller)), api)
            asked[case.operation.label, response.is_success] += 1
            return Response.from_any(response)

        def validate_response(self, response: Response, case: schemathesis.Case, *_: Any, **__: Any) -> None:
            case.validate_response(response, checks=CHECKS.get_by_names(IN_SEQUENCES))

    Sequence.run(settings=settings(max_examples=4, stateful_step_count=30, phases=[Phase.generate], **EXAMPLES))
    assert sum(worked for _, worked in asked) > 12, asked  # a viewer may do the least
    tell_count("requests in sequences", asked.total())


def lists(transitions: Any) -> Iterator[Any]:
    """The operations that show what there is, and from whose answers something follows."""
    for result in SCHEMA.get_all_operations():
        operation = result.ok()
        follows = transitions.operations.get(operation.label)
        if operation.method == "get" and "{" not in operation.path and follows and follows.outgoing:
            yield operation


def meet(values: Json, known: dict[str, str]) -> None:
    """Put the ids of what exists in place of some that are well-formed."""
    for name, id in known.items():
        value = values.get(name)
        if isinstance(value, str) and WELL_FORMED.fullmatch(value) and len(value) % 2:
            values[name] = id


def request_of(case: schemathesis.Case, credentials: Json) -> httpx.Request:
    """The generated request, with credentials that are known in place of generated ones."""
    wanted = case.as_transport_kwargs(base_url="https://api.test")
    headers = {name: value for name, value in (wanted.get("headers") or {}).items() if name.lower() not in CREDENTIALS}
    project = headers.get("X-Project-Id", "")
    if case.meta and case.meta.generation.mode.is_positive and len(project) % 2:
        headers["X-Project-Id"] = DEFAULT_PROJECT
    return httpx.Request(
        wanted["method"],
        wanted["url"],
        params=wanted.get("params"),
        headers=[(name.encode(), str(value).encode("latin-1")) for name, value in {**headers, **credentials}.items()],
        json=wanted.get("json"),
        content=wanted.get("data"),
    )


def answer_to(request: httpx.Request, client: httpx.Client) -> httpx.Response:
    response = client._transport.handle_request(request)  # not `send`, which would add the client's own key
    response.request = request
    response.read()
    response.elapsed = timedelta(0)  # asked for by schemathesis, not set by a transport in memory
    return response
