"""Runs over HTTP. No executor is at work here: what it would write is written by hand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.api import dependencies
from shared import wiring
from shared.domain import run as run_rules
from shared.domain.attempt import Attempt, LogLine, Step, StepStatus
from shared.domain.run import Run, RunError
from shared.errors import Unavailable
from shared.queue import RunQueue
from shared.services import sweeping
from shared.store.runs import RunStore
from tests.fakes import Clock
from tests.integration.api.conftest import made
from tests.integration.api.schedules import send
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
Order = Callable[..., Json]


def finish(id: str, output: Any = "Hello", *, failed: bool = False, **page: Any) -> Run:
    """What an executor does to a run."""
    runs, now = wiring.runs(), wiring.now()
    run = runs.get("default", id)
    claimed = runs.save(run, run_rules.claim(run, now, now + timedelta(minutes=5), "me"))
    attempt = Attempt(project_id="default", run_id=id, number=1, started_at=now, ended_at=now, output=output, **page)
    error = RunError(code="flow_failed", message="The prompt is empty.", attempt=1)
    over = run_rules.fail(claimed, error, now) if failed else run_rules.complete(claimed, now)
    saved = runs.save_with_page(claimed, over, attempt)
    assert saved is not None
    return saved


def test_a_run_is_stored_announced_and_pointed_at(api: httpx.Client, order: Order, aws: Aws) -> None:
    response = api.post("/runs", json=order(), headers={"X-Correlation-Id": "trace-7"})
    run = made(response)
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/v1/runs/{run['id']}"
    assert (run["status"], run["input"], run["output"]) == ("pending", "Hello", None)
    assert aws.messages() == [{"project_id": "default", "run_id": run["id"], "turn": 0, "correlation_id": "trace-7"}]
    assert api.get(f"/runs/{run['id']}").json() == run


def test_a_workflow_is_run_by_its_own_path(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}/runs"
    run = made(api.post(path, json={"input": "Hello", "session_id": "s", "tweaks": {"A": {"b": 1}}}))
    assert (run["workflow_id"], run["tweaks"], run["session_id"]) == (workflow["id"], {"A": {"b": 1}}, "s")
    assert [one["id"] for one in api.get(path).json()["items"]] == [run["id"]]


def test_a_large_input_comes_back_whole_and_lists_stay_light(api: httpx.Client, order: Order) -> None:
    run = made(api.post("/runs", json=order(input="ä" * 5000)))
    assert api.get(f"/runs/{run['id']}").json()["input"] == "ä" * 5000
    (listed,) = api.get("/runs").json()["items"]
    assert listed["input"] is None


def test_an_object_as_input_is_refused_with_a_reason(api: httpx.Client, order: Order) -> None:
    refused = problem(api.post("/runs", json=order(input={"text": "Hello"})), 422, "invalid")
    assert refused["errors"] == [{"pointer": "/input", "detail": "The input must be text: send JSON as a string."}]
    problem(api.post("/runs", json=order(input=7)), 422, "invalid")


def test_half_a_character_is_refused_with_a_reason(api: httpx.Client, order: Order) -> None:
    refused = problem(send(api, "/runs", order(input="\ud800")), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/input"


def test_a_run_of_no_workflow_is_not_found(api: httpx.Client, order: Order) -> None:
    problem(api.post("/runs", json=order(workflow_id="wf_nobody")), 404, "not_found")


def test_an_inactive_source_takes_no_runs(api: httpx.Client, order: Order, source: Json) -> None:
    api.patch(f"/sources/{source['id']}", json={"status": "inactive"})
    problem(api.post("/runs", json=order()), 409, "source_inactive")


def test_waiting_ends_with_the_run(api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        (run,) = wiring.runs().list("default", run_filter(), limit=1).items
        finish(run.id, {"text": "Hello back"})

    monkeypatch.setattr(dependencies, "sleep", sleep)
    response = api.post("/runs?wait=20", json=order())
    assert response.status_code == 200
    assert response.json()["output"] == {"text": "Hello back"}


def test_waiting_ends_with_the_time(api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    start = wiring.now()
    times = [start]
    monkeypatch.setattr(wiring, "now", lambda: times[-1])
    monkeypatch.setattr(dependencies, "sleep", lambda seconds: times.append(times[-1] + timedelta(seconds=seconds)))
    response = api.post("/runs?wait=2", json=order())
    assert response.status_code == 202
    assert times[-1] == start + timedelta(seconds=2)
    problem(api.get(f"/runs/{response.json()['id']}?wait=26"), 422, "invalid")


def test_a_stored_output_is_resolved_up_to_a_limit(api: httpx.Client, order: Order) -> None:
    for number, (size, resolved) in enumerate([(500_000, True), (1_100_000, False)]):
        run = made(api.post("/runs", json=order()))
        key = f"keep/default/{number}.json"
        stored = wiring.payloads().put_json(key, "x" * size)
        finish(run["id"], None, output_key=key, output_bytes=stored)
        seen = api.get(f"/runs/{run['id']}").json()
        assert (seen["output"] == "x" * size) is resolved
        assert (seen["output_url"] is None) is resolved
        assert seen["output_bytes"] == stored


def test_runs_are_listed_by_what_one_asks_for(api: httpx.Client, order: Order) -> None:
    ids = [made(api.post("/runs", json=order(input=str(n))))["id"] for n in range(6)]
    for id in ids[:2]:
        finish(id)
    finish(ids[2], failed=True)
    listed: Callable[..., list[str]] = lambda **query: [  # noqa: E731
        run["id"] for run in api.get("/runs", params=query).json()["items"]
    ]
    assert listed() == ids[::-1]
    assert listed(status="completed") == [ids[1], ids[0]]
    assert listed(status="failed") == [ids[2]]
    assert listed(status="pending", limit=2) == [ids[5], ids[4]]
    assert listed(workflow_id="wf_other") == []
    assert listed(until="2020-01-01T00:00:00Z") == []
    assert listed(since="2020-01-01T00:00:00Z", workflow_id=order()["workflow_id"]) == ids[::-1]
    problem(api.get("/runs", params={"since": "yesterday"}), 422, "invalid")
    problem(api.get("/runs", params={"since": "2020-01-01T00:00:00"}), 422, "invalid")


def test_a_filtered_list_goes_on_where_it_ended(api: httpx.Client, order: Order) -> None:
    ids = [made(api.post("/runs", json=order()))["id"] for _ in range(5)]
    seen: list[str] = []
    query: Json = {"status": "pending", "limit": 2}
    while True:
        page = api.get("/runs", params=query).json()
        seen += [run["id"] for run in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ids[::-1]


def test_steps_and_logs_come_attempt_by_attempt(api: httpx.Client, order: Order) -> None:
    run = made(api.post("/runs", json=order()))
    assert api.get(f"/runs/{run['id']}/steps").json() == {"items": []}
    step = Step(name="Chat Output", component_id="ChatOutput-b", status=StepStatus.completed, duration_seconds=0.1)
    line = LogLine(at=wiring.now(), event="run.completed")
    finish(run["id"], steps=(step,), logs=(line,), worker="worker-1")
    (attempt,) = api.get(f"/runs/{run['id']}/steps").json()["items"]
    assert (attempt["attempt"], attempt["worker"]) == (1, "worker-1")
    assert attempt["steps"][0]["component_id"] == "ChatOutput-b"
    (log,) = api.get(f"/runs/{run['id']}/logs").json()["items"]
    assert log["lines"][0]["event"] == "run.completed"
    problem(api.get("/runs/run_nobody/steps"), 404, "not_found")
    problem(api.get("/runs/run_nobody/logs"), 404, "not_found")


def test_a_waiting_run_is_cancelled_at_once(api: httpx.Client, order: Order) -> None:
    run = made(api.post("/runs", json=order()))
    assert api.post(f"/runs/{run['id']}/cancel").json()["status"] == "cancelled"
    problem(api.post(f"/runs/{run['id']}/cancel"), 409, "conflict")


def test_a_finished_run_is_run_again(api: httpx.Client, order: Order) -> None:
    run = made(api.post("/runs", json=order(session_id="s")))
    problem(api.post(f"/runs/{run['id']}/retry"), 409, "conflict")
    finish(run["id"], failed=True)
    again = made(api.post(f"/runs/{run['id']}/retry"))
    assert (again["retry_of"], again["origin"], again["input"]) == (run["id"], "retry", "Hello")
    assert again["session_id"] == "s"


def test_a_batch_is_accepted_item_by_item(api: httpx.Client, order: Order, aws: Aws) -> None:
    orders = [order(input=str(n)) for n in range(30)]
    orders[7] = order(workflow_id="wf_nobody")
    orders[8] = order(timeout_seconds=86_400)
    response = api.post("/runs/batch", json={"runs": orders})
    answer = response.json()
    assert (response.status_code, answer["accepted"], answer["refused"]) == (202, 29, 1)
    assert answer["items"][7] == {
        "run": None,
        "error": {"status": 404, "code": "not_found", "detail": "No workflow 'wf_nobody' in this project."},
    }
    assert [item["run"]["input"] for item in answer["items"] if item["run"]][:3] == ["0", "1", "2"]
    assert len(aws.messages()) == 29


def test_a_batch_of_nothing_good_is_no_202(api: httpx.Client, order: Order) -> None:
    response = api.post("/runs/batch", json={"runs": [order(workflow_id="wf_nobody")]})
    assert (response.status_code, response.json()["refused"]) == (200, 1)


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_one_to_a_hundred_runs(api: httpx.Client, order: Order, count: int) -> None:
    problem(api.post("/runs/batch", json={"runs": [order()] * count}), 422, "invalid")


def test_a_wrong_item_of_a_batch_is_pointed_at(api: httpx.Client, order: Order) -> None:
    refused = problem(api.post("/runs/batch", json={"runs": [order(), order(input=[])]}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/runs/1/input"


def test_many_are_cancelled_at_once(api: httpx.Client, order: Order) -> None:
    ids = [made(api.post("/runs", json=order()))["id"] for _ in range(5)]
    finish(ids[0])
    first = api.post("/runs/cancel", json={"limit": 3}).json()
    assert (first["matched"], first["changed"]) == (3, 3)
    rest = api.post("/runs/cancel", json={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert (rest["matched"], rest["changed"], rest["next_cursor"]) == (1, 1, None)
    problem(api.post("/runs/cancel", json={"status": "failed"}), 422, "invalid")
    problem(api.post("/runs/retry", json={"cursor": first["next_cursor"]}), 400, "bad_cursor")


def test_runs_that_move_while_many_are_cancelled_are_met_again(
    api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [made(api.post("/runs", json=order()))["id"] for _ in range(3)]
    save_many = RunStore.save_many

    def race(store: RunStore, moves: Any) -> Any:
        finish(ids[0])
        run = store.get("default", ids[1])
        store.save(run, run_rules.claim(run, wiring.now(), wiring.now() + timedelta(minutes=5), "me"))
        return save_many(store, moves)

    monkeypatch.setattr(RunStore, "save_many", race)
    assert api.post("/runs/cancel", json={}).json() == {"matched": 3, "changed": 2, "next_cursor": None}
    assert api.get(f"/runs/{ids[1]}").json()["cancel_requested_at"] is not None


def test_many_are_run_again(api: httpx.Client, order: Order) -> None:
    ids = [made(api.post("/runs", json=order()))["id"] for _ in range(4)]
    for id in ids[:3]:
        finish(id, failed=id != ids[0])
    key = {"Idempotency-Key": "again"}
    answer = {"matched": 2, "changed": 2, "next_cursor": None}
    assert api.post("/runs/retry", json={}, headers=key).json() == answer
    assert api.post("/runs/retry", json={}, headers=key).json() == answer
    retries = [run for run in api.get("/runs").json()["items"] if run["retry_of"]]
    assert {run["retry_of"] for run in retries} == {ids[1], ids[2]}
    problem(api.post("/runs/retry", json={"status": "pending"}), 422, "invalid")


def test_runs_of_a_disabled_workflow_are_matched_and_left(api: httpx.Client, order: Order) -> None:
    run = made(api.post("/runs", json=order()))
    finish(run["id"], failed=True)
    api.patch(f"/workflows/{run['workflow_id']}", json={"enabled": False})
    until = "2099-01-01T00:00:00Z"
    assert api.post("/runs/retry", json={"until": until}).json() == {"matched": 1, "changed": 0, "next_cursor": None}


def test_a_run_whose_message_is_not_taken_is_accepted_all_the_same(
    api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise Unavailable("down")

    monkeypatch.setattr(RunQueue, "send", refuse)
    assert made(api.post("/runs", json=order()))["wake_at"] is not None


def run_filter() -> Any:
    from shared.store.runs import RunFilter

    return RunFilter()


def test_a_long_retry_stops_in_time_and_goes_on(
    api: httpx.Client, order: Order, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = failed_runs(api, order, clock, 4)
    add = RunStore.add

    def slowly(store: RunStore, runs: Any) -> Any:
        clock.forward(10)
        return add(store, runs)

    monkeypatch.setattr(RunStore, "add", slowly)
    first = api.post("/runs/retry", json={}).json()
    assert (first["matched"], first["changed"]) == (3, 3)
    rest = api.post("/runs/retry", json={"cursor": first["next_cursor"]}).json()
    assert (rest["matched"], rest["changed"], rest["next_cursor"]) == (1, 1, None)
    assert sorted(run["retry_of"] for run in api.get("/runs").json()["items"] if run["retry_of"]) == sorted(ids)


def test_a_retry_that_breaks_off_says_where_to_go_on(
    api: httpx.Client, order: Order, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_runs(api, order, clock, 3)
    add, calls = RunStore.add, list[int]()

    def break_off(store: RunStore, runs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise Unavailable("down")
        return add(store, runs)

    monkeypatch.setattr(RunStore, "add", break_off)
    first = api.post("/runs/retry", json={}).json()
    assert (first["matched"], first["changed"]) == (1, 1)
    assert api.post("/runs/retry", json={"cursor": first["next_cursor"]}).json()["changed"] == 2
    calls[:] = [1]
    problem(api.post("/runs/retry", json={}), 503, "unavailable")  # nothing was done, nothing can be lost


def test_a_long_cancel_stops_in_time_and_goes_on(
    api: httpx.Client, order: Order, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        made(api.post("/runs", json=order()))
    save_many = RunStore.save_many

    def slowly(store: RunStore, moves: Any) -> Any:
        clock.forward(12)
        return save_many(store, moves)

    monkeypatch.setattr(RunStore, "save_many", slowly)
    monkeypatch.setattr(sweeping, "CHUNK", 2)
    first = api.post("/runs/cancel", json={}).json()
    assert (first["matched"], first["changed"]) == (4, 4)
    rest = api.post("/runs/cancel", json={"cursor": first["next_cursor"]}).json()
    assert rest == {"matched": 1, "changed": 1, "next_cursor": None}


def failed_runs(api: httpx.Client, order: Order, clock: Clock, number: int) -> list[str]:
    ids = [str(made(api.post("/runs", json=order()))["id"]) for _ in range(number)]
    for id in ids:
        finish(id, failed=True)
    clock.forward(1)  # a sweep looks at what is older than itself
    return ids


def test_a_run_outlives_its_payloads(api: httpx.Client, order: Order, aws: Aws) -> None:
    run = made(api.post("/runs", json=order(input="x" * 5000)))
    key = "keep/default/output.json"
    finish(run["id"], None, output_key=key, output_bytes=wiring.payloads().put_json(key, "y" * 5000))
    assert api.get(f"/runs/{run['id']}").json()["gone"] == []
    bucket = wiring.settings().payload_bucket
    aws.s3.delete_object(Bucket=bucket, Key=key)
    seen = api.get(f"/runs/{run['id']}").json()
    assert (len(seen["input"]), seen["output"], seen["gone"]) == (5000, None, ["output"])
    aws.s3.delete_object(Bucket=bucket, Key=seen["input_key"])
    seen = api.get(f"/runs/{run['id']}").json()
    assert (seen["input"], seen["output"], seen["gone"]) == (None, None, ["input", "output"])
    problem(api.post(f"/runs/{run['id']}/retry"), 409, "payload_expired")
    swept = api.post("/runs/retry", json={"status": "completed", "until": "2099-01-01T00:00:00Z"}).json()
    assert swept == {"matched": 1, "changed": 0, "next_cursor": None}


def test_a_payload_that_cannot_be_read_is_not_taken_for_gone(
    api: httpx.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(api.post("/runs", json=order(input="x" * 5000)))

    def forbid(**request: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "x"}}, "GetObject")

    monkeypatch.setattr(wiring.client("s3"), "get_object", forbid)
    problem(api.get(f"/runs/{run['id']}"), 503, "unavailable")
