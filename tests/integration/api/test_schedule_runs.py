"""Runs of schedules over HTTP: triggered, cancelled."""

import httpx
import pytest

from functions.api import dependencies
from shared import wiring
from shared.domain.overlap import Overlap
from tests.fakes import Clock
from tests.integration.api.conftest import MONDAY, made
from tests.integration.api.schedules import KEY, Body, Json, Sent, ends, of, runs_of, send
from tests.integration.api.wire import problem


class TestTriggering:
    def test_a_run_now_is_as_the_schedule_would_make_it(self, api: httpx.Client, body: Body, sent: Sent) -> None:
        settings = {"session_id": "s", "tweaks": {"A": {"b": 1}}, "timeout_seconds": 60, "retry": {"max_attempts": 7}}
        schedule = made(api.post("/schedules", json=body(overlap="queue_one", enabled=False, **settings)))
        response = api.post(f"/schedules/{schedule['id']}/trigger")
        run = made(response)
        assert response.headers["Location"] == f"/api/v1/runs/{run['id']}"
        assert (run["origin"], run["schedule_id"], run["scheduled_for"]) == ("manual", schedule["id"], None)
        assert (run["input"], run["overlap"], run["workflow_id"]) == ("Hello", "queue_one", schedule["workflow_id"])
        assert {name: run[name] for name in ("session_id", "tweaks", "timeout_seconds")} == {
            name: settings[name] for name in ("session_id", "tweaks", "timeout_seconds")
        }
        assert run["retry"]["max_attempts"] == 7
        assert [one.message.run_id for one in sent] == [run["id"]]
        assert api.get(f"/schedules/{schedule['id']}").json()["fired"] == 0

    def test_what_is_said_counts_instead(self, api: httpx.Client, body: Body) -> None:
        schedule = made(api.post("/schedules", json=body(input="x" * 5000, session_id="s", overlap="skip")))
        path = f"/schedules/{schedule['id']}/trigger"
        assert made(api.post(path, json={}))["input"] == "x" * 5000
        said = {"input": "Bye", "session_id": None, "tweaks": {"A": {"b": 2}}, "overlap": "allow"}
        run = made(api.post(path, json=said))
        assert {name: run[name] for name in said} == {**said, "overlap": None}
        for wrong in ({"input": {}}, {"overlap": "x"}, {"surprise": 1}, {"input": "\ud800"}):
            problem(send(api, path, wrong), 422, "invalid")

    def test_it_is_made_once(self, api: httpx.Client, schedule: Json, sent: Sent) -> None:
        path = f"/schedules/{schedule['id']}/trigger"
        first = made(api.post(path, json={"input": "Now"}, headers=KEY))
        again = api.post(path, json={"input": "Now"}, headers=KEY)
        assert (again.json(), again.headers["Idempotency-Replayed"]) == (first, "true")
        assert len(sent) == 1

    def test_waiting_ends_with_the_run(
        self, api: httpx.Client, schedule: Json, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def sleep(seconds: float) -> None:
            (run,) = wiring.runs().list("default", of(schedule), limit=1).items
            ends(run, failed=False)

        monkeypatch.setattr(dependencies, "sleep", sleep)
        response = api.post(f"/schedules/{schedule['id']}/trigger?wait=20")
        assert (response.status_code, response.json()["status"]) == (200, "completed")

    def test_it_needs_a_workflow_that_runs(self, api: httpx.Client, body: Body, source: Json, workflow: Json) -> None:
        schedule = made(api.post("/schedules", json=body(timeout_seconds=600)))
        path = f"/schedules/{schedule['id']}/trigger"
        api.patch(f"/sources/{source['id']}?verify=false", json={"url": "http://moved.test"})
        problem(api.post(path), 409, "conflict")
        api.patch(f"/workflows/{workflow['id']}", json={"enabled": False})
        problem(api.post(path), 409, "workflow_disabled")
        assert runs_of(api, schedule) == []


class TestCancelling:
    def test_the_next_one_goes_when_one_is_cancelled(self, api: httpx.Client, body: Body, sent: Sent) -> None:
        schedule = made(api.post("/schedules", json=body(overlap="queue_all")))
        path = f"/schedules/{schedule['id']}/trigger"
        ids = [made(api.post(path))["id"] for _ in range(3)]
        for id in ids:
            wiring.turnstile().enter(wiring.runs().get("default", id), Overlap.queue_all)
        sent.clear()
        api.post(f"/runs/{ids[0]}/cancel")
        assert [one.message.run_id for one in sent] == [ids[1]]
        sent.clear()
        swept = api.post("/runs/cancel", json={"schedule_id": schedule["id"], "until": MONDAY.isoformat()}).json()
        assert (swept["matched"], swept["changed"]) == (2, 2)
        assert wiring.schedules().get_slot("default", schedule["id"]).holder is None

    def test_runs_of_one_schedule_are_swept(self, api: httpx.Client, schedule: Json, body: Body, monday: Clock) -> None:
        other = made(api.post("/schedules", json=body()))
        for one in (schedule, schedule, other):
            made(api.post(f"/schedules/{one['id']}/trigger"))
        wanted = {"schedule_id": schedule["id"]}
        assert api.post("/runs/cancel", json=wanted).json() == {"matched": 2, "changed": 2, "next_cursor": None}
        monday.forward(1)  # a sweep looks at what is older than itself
        retried = api.post("/runs/retry", json={**wanted, "status": "cancelled"})
        assert retried.json() == {"matched": 2, "changed": 2, "next_cursor": None}
