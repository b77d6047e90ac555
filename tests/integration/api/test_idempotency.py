"""`Idempotency-Key`: sending a request again does its work once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared import wiring
from shared.domain.idempotency import LEASE, LIFETIME
from shared.errors import Conflict, Unavailable
from shared.services.submission import submit
from shared.store.idempotency import IdempotencyStore
from shared.store.runs import RunStore
from tests.fakes import Clock
from tests.integration.api.conftest import made
from tests.integration.api.people import Outbox, Person
from tests.integration.api.wire import LangFlowServer, problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
Order = Callable[..., Json]
KEY = {"Idempotency-Key": "once-1"}


def records(aws: Aws) -> int:
    return sum("#IDEMPOTENCY#" in item["pk"]["S"] for item in aws.items())


def test_the_same_request_gets_the_same_answer(api: httpx.Client, order: Order, aws: Aws) -> None:
    first = api.post("/runs", json=order(), headers=KEY)
    second = api.post("/runs?wait=0", json=order(), headers=KEY)
    assert second.json() == first.json()
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert len(aws.messages()) == 1
    assert len(api.get("/runs").json()["items"]) == 1


def test_another_body_under_the_same_key_is_refused(api: httpx.Client, order: Order) -> None:
    made(api.post("/runs", json=order(), headers=KEY))
    problem(api.post("/runs", json=order(input="Other"), headers=KEY), 422, "idempotency_key_reused")


def test_the_same_key_on_another_route_is_another_key(api: httpx.Client, order: Order, workflow: Json) -> None:
    one = made(api.post("/runs", json=order(), headers=KEY))
    other = made(api.post(f"/workflows/{workflow['id']}/runs", json={"input": "Hello"}, headers=KEY))
    assert one["id"] != other["id"]


def test_a_refused_request_leaves_no_record(api: httpx.Client, order: Order, aws: Aws) -> None:
    problem(api.post("/runs", json=order(workflow_id="wf_nobody"), headers=KEY), 404, "not_found")
    assert records(aws) == 0
    made(api.post("/runs", json=order(), headers=KEY))


def test_a_request_in_flight_is_not_done_twice(
    api: httpx.Client, order: Order, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RunStore, "add", _fail)
        problem(api.post("/runs", json=order(), headers=KEY), 503, "unavailable")
    waiting = api.post("/runs", json=order(), headers=KEY)
    problem(waiting, 409, "in_flight")
    assert int(waiting.headers["Retry-After"]) > 0


def test_a_crashed_request_is_resumed_with_the_same_ids(
    api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"runs": [order(input=str(n)) for n in range(3)]}
    with monkeypatch.context() as patched:
        patched.setattr("shared.services.ordering.submit", _half)
        problem(api.post("/runs/batch", json=batch, headers=KEY), 503, "unavailable")
    later = wiring.now() + LEASE + timedelta(seconds=1)
    monkeypatch.setattr(wiring, "now", lambda: later)
    answer = api.post("/runs/batch", json=batch, headers=KEY).json()
    assert answer["accepted"] == 3
    assert len(api.get("/runs").json()["items"]) == 3
    replay = api.post("/runs/batch", json=batch, headers=KEY)
    assert replay.headers["Idempotency-Replayed"] == "true"
    assert replay.json() == answer


def test_sources_and_workflows_are_made_once(api: httpx.Client, langflow: LangFlowServer) -> None:
    body = {"name": "lab", "url": "http://langflow.test", "api_key": langflow.key}
    source = made(api.post("/sources", json=body, headers=KEY))
    assert made(api.post("/sources", json=body, headers=KEY)) == source
    problem(api.post("/sources", json={**body, "api_key": "x"}, headers=KEY), 422, "idempotency_key_reused")
    wish = {"source_id": source["id"], "flow_id": "flow-1"}
    workflow = made(api.post("/workflows/import", json=wish, headers=KEY))
    assert made(api.post("/workflows/import", json=wish, headers=KEY)) == workflow
    by_hand = {**wish, "settings": {"name": "Again"}}
    made(api.post("/workflows", json=by_hand, headers=KEY))
    made(api.post("/workflows", json=by_hand, headers=KEY))
    assert len(api.get("/workflows").json()["items"]) == 2


def test_an_import_that_crashed_half_way_is_finished(
    api: httpx.Client, source: Json, langflow: LangFlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = {"source_id": source["id"], "flow_id": "flow-1"}
    with monkeypatch.context() as patched:
        patched.setattr("shared.store.workflows.WorkflowStore.save", _fail)
        problem(api.post("/workflows/import", json=wish, headers=KEY), 503, "unavailable")
    later = wiring.now() + LEASE + timedelta(seconds=1)
    monkeypatch.setattr(wiring, "now", lambda: later)
    langflow.flows["flow-1"]["data"]["nodes"].pop()  # the version that was stored counts, not what the flow is by now
    workflow = made(api.post("/workflows/import", json=wish, headers=KEY))
    (version,) = api.get(f"/workflows/{workflow['id']}/versions").json()["items"]
    assert version["facts"] == workflow["facts"]


def test_a_key_is_free_again_after_a_day(api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(api.post("/runs", json=order(), headers=KEY))
    later = wiring.now() + LIFETIME + timedelta(seconds=1)
    monkeypatch.setattr(wiring, "now", lambda: later)
    monkeypatch.setattr(wiring.table(), "_now", lambda: later)
    assert made(api.post("/runs", json=order(), headers=KEY))["id"] != first["id"]


def test_a_key_whose_request_fails_this_moment_is_in_flight(
    api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IdempotencyStore, "save", _lose)
    problem(api.post("/runs", json=order(), headers=KEY), 409, "in_flight")


def test_only_one_of_two_resumes(api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RunStore, "add", _fail)
        api.post("/runs", json=order(), headers=KEY)
    later = wiring.now() + LEASE + timedelta(seconds=1)
    monkeypatch.setattr(wiring, "now", lambda: later)
    monkeypatch.setattr(IdempotencyStore, "save", _lose)
    problem(api.post("/runs", json=order(), headers=KEY), 409, "in_flight")


@pytest.mark.parametrize("key", ["", "a" * 256, "with blank"])
def test_a_key_must_be_visible_characters(api: httpx.Client, order: Order, key: str) -> None:
    refused = problem(api.post("/runs", json=order(), headers={"Idempotency-Key": key}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/header/idempotency-key"


def _fail(*arguments: Any, **more: Any) -> Any:
    raise Unavailable("The table is too busy.")


def _lose(*arguments: Any, **more: Any) -> Any:
    raise Conflict("lost")


def _half(submission: Any, workflow: Any, orders: Any, ids: Any, **stores: Any) -> Any:
    """Submits some and dies."""
    submit(submission, workflow, orders[:2], ids[:2], **stores)
    raise Unavailable("The table is too busy.")


@pytest.mark.parametrize("after", [timedelta(seconds=1), LEASE + timedelta(seconds=1), timedelta(hours=23)])
@pytest.mark.parametrize(
    "noun", ["sources", "workflows", "schedules", "projects", "roles", "service-accounts", "identity-providers"]
)
def test_a_request_that_comes_again_brings_nothing_back_that_was_deleted(
    api: httpx.Client, langflow: LangFlowServer, clock: Clock, noun: str, after: timedelta
) -> None:
    """There is nothing left to make the same answer of, so it says that."""
    body, path = the_body_of(api, noun)
    id = made(api.post(f"/{noun}{path}", json=body, headers=KEY))["id"]
    assert api.delete(f"/{noun}/{id}").status_code == 204
    clock.forward(after.total_seconds())
    again = api.post(f"/{noun}{path}", json=body, headers=KEY)
    assert "deleted since" in problem(again, 409, "conflict")["detail"]
    problem(api.get(f"/{noun}/{id}"), 404, "not_found")
    other = made(api.post(f"/{noun}{path}", json=body, headers={"Idempotency-Key": "once-2"}))
    assert other["id"] != id


def test_an_invitation_that_was_taken_back_is_not_mailed_again(owner: Person, outbox: Outbox, clock: Clock) -> None:
    body = {"email": "bob@example.com", "role": "viewer"}
    id = made(owner.api.post("/invitations", json=body, headers=KEY))["id"]
    letters = len(outbox.letters())
    assert owner.api.delete(f"/invitations/{id}").status_code == 204
    clock.forward(LEASE.total_seconds() + 1)
    problem(owner.api.post("/invitations", json=body, headers=KEY), 409, "conflict")
    assert len(outbox.letters()) == letters
    assert owner.api.get("/invitations").json()["items"] == []


def the_body_of(api: httpx.Client, noun: str) -> tuple[Json, str]:
    """What makes one of `noun`, and where below it that is sent to."""
    source = {"name": "lab", "url": "http://langflow.test", "api_key": "lf-secret-key"}
    if noun == "sources":
        return source, ""
    if noun in ("workflows", "schedules"):
        imported = {"source_id": made(api.post("/sources", json=source))["id"], "flow_id": "flow-1"}
        if noun == "workflows":
            return imported, "/import"
        workflow = made(api.post("/workflows/import", json=imported))["id"]
        timing = {"name": "daily", "kind": "cron", "expression": "0 9 * * *"}
        return {"workflow_id": workflow, "settings": timing}, ""
    if noun == "identity-providers":
        return {"name": "Okta", "issuer": "https://accounts.test", "client_id": "spark"}, ""
    return {"name": "mine", **({"role": "viewer"} if noun == "service-accounts" else {})}, ""
