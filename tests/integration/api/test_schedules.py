"""Schedules over HTTP. The tick and the executor are not at work here."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.api.routers import schedules
from shared import payloads, wiring
from shared.domain.act import Act
from shared.domain.overlap import Slot
from shared.domain.record import id_time
from shared.domain.schedule import Schedule
from shared.errors import Conflict
from shared.services import standing, sweeping
from shared.store.schedules import ScheduleStore
from tests.fakes import Clock
from tests.integration.api.conftest import MONDAY, made
from tests.integration.api.schedules import KEY, Body, Json, Sent, ends, instant, of, often, runs_of, send
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws


def several(api: httpx.Client, body: Body, number: int, **settings: Any) -> list[str]:
    """Ids of new schedules, a second apart."""
    ids = []
    for n in range(number):
        ids.append(str(made(api.post("/schedules", json=body(name=str(n), **settings)))["id"]))
        wiring.now.forward(1)  # type: ignore[attr-defined]
    return ids


def overtaken(name: str) -> Callable[[ScheduleStore, Schedule | None, Schedule, Act | None], Schedule]:
    """A save before which somebody else gives the schedule another name."""
    save, calls = ScheduleStore.save, list[int]()

    def race(store: ScheduleStore, before: Schedule | None, after: Schedule, act: Act | None) -> Schedule:
        calls.append(1)
        if len(calls) == 1:
            current = store.get(after.project_id, after.id)
            settings = current.settings.model_copy(update={"name": name})
            save(store, current, current.model_copy(update={"settings": settings}))
        return save(store, before, after, act)

    return race


def inputs(aws: Aws, schedule: Json) -> list[str]:
    """Keys of its large inputs in the bucket."""
    prefix = payloads.schedule_prefix("default", schedule["id"])
    found = aws.s3.list_objects_v2(Bucket=wiring.settings().payload_bucket, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


def forget(workflow: Json) -> None:
    """Delete a workflow behind the API's back."""
    wiring.workflows().delete(wiring.workflows().get("default", workflow["id"]))


class TestCreating:
    def test_a_schedule_is_stored_explained_and_pointed_at(self, api: httpx.Client, body: Body, workflow: Json) -> None:
        response = api.post("/schedules", json=body())
        schedule = made(response)
        assert response.status_code == 201
        assert response.headers["Location"] == f"/api/v1/schedules/{schedule['id']}"
        assert schedule["workflow_id"] == workflow["id"]
        assert schedule["settings"]["expression"] == "0 9 * * 1-5"
        assert (schedule["state"], schedule["enabled"]) == ("active", True)
        assert schedule["next_fire_at"] == "2030-06-04T12:00:00.000Z"  # nine in São Paulo; today it is just over
        assert schedule["description"] == "At 09:00, Monday through Friday (America/Sao_Paulo)"
        assert "input_key" not in schedule
        assert "revision" not in schedule
        read = api.get(f"/schedules/{schedule['id']}")
        assert read.headers["ETag"] == response.headers["ETag"]
        assert {name: read.json()[name] for name in schedule} == schedule

    @pytest.mark.parametrize(("expression", "seconds"), [("in 10s", 10), ("in 2m", 120)])
    def test_what_is_due_soon_is_on_its_way_before_the_answer_is(
        self, api: httpx.Client, body: Body, sent: Sent, monday: Clock, expression: str, seconds: int
    ) -> None:
        schedule = made(api.post("/schedules", json=body(kind="once", expression=expression)))
        at = MONDAY + timedelta(seconds=seconds)
        (run,) = runs_of(api, schedule)
        assert (run["status"], run["origin"]) == ("pending", "schedule")
        assert (instant(run["scheduled_for"]), instant(run["not_before"])) == (at, at)
        assert [(one.message.run_id, one.delay) for one in sent] == [(run["id"], at - MONDAY)]
        assert schedule["settings"]["expression"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert (schedule["state"], instant(schedule["next_fire_at"]), schedule["fired"]) == ("active", at, 0)
        monday.forward(seconds)
        seen = api.get(f"/schedules/{schedule['id']}").json()
        assert (seen["state"], seen["next_fire_at"], seen["fired"]) == ("finished", None, 1)

    def test_what_is_due_later_comes_with_the_tick_and_the_right_delay(
        self, api: httpx.Client, body: Body, sent: Sent, monday: Clock
    ) -> None:
        schedule = made(api.post("/schedules", json=body(kind="once", expression="in 10m")))
        assert (runs_of(api, schedule), sent) == ([], [])
        monday.forward(minutes=8)
        wiring.firing().fire([wiring.schedules().get("default", schedule["id"])], wiring.now())
        assert [one.delay for one in sent] == [timedelta(minutes=2)]
        monday.forward(minutes=3)
        assert api.get(f"/schedules/{schedule['id']}").json()["state"] == "finished"

    def test_a_paused_one_does_nothing(self, api: httpx.Client, body: Body, sent: Sent) -> None:
        schedule = made(api.post("/schedules", json=body(enabled=False, **often())))
        assert (schedule["state"], schedule["next_fire_at"], sent) == ("paused", None, [])

    def test_a_large_input_comes_back_whole_and_lists_stay_light(self, api: httpx.Client, body: Body, aws: Aws) -> None:
        schedule = made(api.post("/schedules", json=body(input="ä" * 5000)))
        assert schedule["settings"]["input"] == "ä" * 5000
        assert api.get(f"/schedules/{schedule['id']}").json()["settings"]["input"] == "ä" * 5000
        (listed,) = api.get("/schedules").json()["items"]
        assert (listed["settings"]["input"], listed["gone"]) == ("", [])
        key = wiring.schedules().get("default", schedule["id"]).input_key
        aws.s3.delete_object(Bucket=wiring.settings().payload_bucket, Key=key)
        seen = api.get(f"/schedules/{schedule['id']}").json()
        assert (seen["settings"]["input"], seen["gone"]) == ("", ["input"])

    def test_it_is_made_once(self, api: httpx.Client, body: Body, sent: Sent) -> None:
        wanted = body(kind="once", expression="in 10s")
        first = api.post("/schedules", json=wanted, headers=KEY)
        again = api.post("/schedules", json=wanted, headers=KEY)
        assert made(again) == made(first)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(api.get("/schedules").json()["items"]) == len(sent) == 1
        problem(api.post("/schedules", json=body(), headers=KEY), 422, "idempotency_key_reused")


REFUSED = [
    ({"expression": "* * * *"}, "/settings/expression"),
    ({"expression": "* * * * * * * *"}, "/settings/expression"),
    ({"expression": "60 * * * *"}, "/settings/expression"),
    ({"expression": "0 0 31 2 *"}, "/settings/expression"),
    ({"expression": "@every 5m"}, "/settings/expression"),
    ({"expression": "\0"}, "/settings/expression"),
    ({"expression": "\ud800"}, "/settings/expression"),
    ({"expression": "* " * 200}, "/settings/expression"),
    ({"expression": ""}, "/settings/expression"),
    ({"expression": 5}, "/settings/expression"),
    ({"kind": "sometimes"}, "/settings/kind"),
    ({"timezone": "Mars/Olympus"}, "/settings/timezone"),
    ({"timezone": "CET"}, "/settings/timezone"),
    ({"timezone": "EST5EDT"}, "/settings/timezone"),
    ({"timezone": "../../etc/passwd"}, "/settings/timezone"),
    ({"timezone": "\0"}, "/settings/timezone"),
    (often(expression="0"), "/settings/expression"),
    (often(expression="-5m"), "/settings/expression"),
    (often(expression="367d"), "/settings/expression"),
    (often(expression="1.5h"), "/settings/expression"),
    (often(expression="9" * 150), "/settings/expression"),
    ({"kind": "once", "expression": "2020-01-01T00:00:00Z"}, "/settings/expression"),
    ({"kind": "once", "expression": "0001-01-01T00:00:00+14:00"}, "/settings/expression"),
    ({"kind": "once", "expression": "9999-12-31T23:59:59Z"}, "/settings/expression"),
    ({"kind": "once", "expression": "in " + "9" * 150 + "d"}, "/settings/expression"),
    ({"start_at": "2031-01-01T00:00:00Z", "end_at": "2030-12-31T00:00:00Z"}, "/settings/end_at"),
    ({"end_at": "2030-01-01T00:00:00Z"}, "/settings/end_at"),
    ({"end_at": "2030-06-03T12:01:00Z"}, "/settings/end_at"),
    ({"start_at": "2030-12-24T09:00:00"}, "/settings/start_at"),
    ({"start_at": 1_900_000_000}, "/settings/start_at"),
    ({"start_at": "0001-01-01T00:00:00Z"}, "/settings/start_at"),
    ({"start_at": "9999-12-31T23:59:59-14:00"}, "/settings/start_at"),
    ({"exclude": ["Christmas"]}, "/settings/exclude/0"),
    ({"exclude": ["2030-12-24T09:00:00"]}, "/settings/exclude/0"),
    ({"exclude": ["9999-12-31"]}, "/settings/exclude/0"),
    ({"exclude": ["2030-12-24"] * 367}, "/settings/exclude"),
    ({"end_at": "2030-06-05T00:00:00Z", "exclude": ["2030-06-04"]}, "/settings/exclude"),
    ({"kind": "once", "expression": "2030-12-24T09:00", "exclude": ["2030-12-24"]}, "/settings/exclude"),
    ({"jitter_seconds": -1}, "/settings/jitter_seconds"),
    ({"jitter_seconds": 86_401}, "/settings/jitter_seconds"),
    ({"jitter_seconds": 10**30}, "/settings/jitter_seconds"),
    ({"jitter_seconds": "5"}, "/settings/jitter_seconds"),
    ({"max_runs": 0}, "/settings/max_runs"),
    ({"max_lateness_seconds": 299}, "/settings/max_lateness_seconds"),
    ({"pause_after_failures": 101}, "/settings/pause_after_failures"),
    ({"timeout_seconds": 86_401}, "/settings/timeout_seconds"),
    ({"overlap": "sometimes"}, "/settings/overlap"),
    ({"catch_up": "some"}, "/settings/catch_up"),
    ({"retry": {"max_attempts": 0}}, "/settings/retry/max_attempts"),
    ({"tweaks": {"a": "\ud800"}}, "/settings/tweaks"),
    ({"input": {"text": "Hello"}}, "/settings/input"),
    ({"input": "\udfff"}, "/settings/input"),
    ({"name": " "}, "/settings/name"),
    ({"surprise": 1}, "/settings/surprise"),
]


class TestRefusing:
    @pytest.mark.parametrize(("settings", "pointer"), REFUSED)
    def test_a_mistake_is_pointed_at_and_nothing_is_stored(
        self, api: httpx.Client, body: Body, aws: Aws, sent: Sent, settings: Json, pointer: str
    ) -> None:
        before = aws.items()
        refused = problem(send(api, "/schedules", body(**settings)), 422, "invalid")
        assert refused["errors"][0]["pointer"] == pointer
        assert refused["errors"][0]["detail"]
        assert (aws.items(), sent) == (before, [])

    @pytest.mark.parametrize(("settings", "pointer"), REFUSED)
    def test_an_edit_is_held_to_the_same_rules(
        self, api: httpx.Client, schedule: Json, aws: Aws, settings: Json, pointer: str
    ) -> None:
        before = aws.items()
        path = f"/schedules/{schedule['id']}"
        refused = problem(send(api, path, {"settings": settings}, method="PATCH"), 422, "invalid")
        assert refused["errors"][0]["pointer"] == pointer
        assert aws.items() == before

    def test_a_refused_large_input_is_not_kept(self, api: httpx.Client, body: Body, schedule: Json, aws: Aws) -> None:
        wrong = {"input": "x" * 5000, "expression": "0 0 31 2 *"}
        problem(api.post("/schedules", json=body(**wrong)), 422, "invalid")
        problem(api.patch(f"/schedules/{schedule['id']}", json={"settings": wrong}), 422, "invalid")
        stored = aws.s3.list_objects_v2(Bucket=wiring.settings().payload_bucket).get("Contents", [])
        assert [one["Key"] for one in stored if "/schedules/" in one["Key"]] == []

    def test_a_workflow_must_be_there(self, api: httpx.Client, body: Body) -> None:
        refused = problem(api.post("/schedules", json={**body(), "workflow_id": "wf_nobody"}), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/workflow_id"
        problem(api.post("/schedules", json={**body(), "enabled": 1}), 422, "invalid")

    def test_a_source_must_keep_the_timeout(self, api: httpx.Client, body: Body, source: Json) -> None:
        api.patch(f"/sources/{source['id']}?verify=false", json={"url": "http://moved.test"})
        refused = problem(api.post("/schedules", json=body(timeout_seconds=600)), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/settings/timeout_seconds"
        wiring.sources().delete(wiring.sources().get("default", source["id"]))
        problem(api.post("/schedules", json=body(timeout_seconds=60)), 409, "conflict")


ENDPOINTS = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/trigger"),
    ("GET", "/preview"),
    ("GET", "/runs"),
    ("GET", "/backfills"),
    ("POST", "/backfills"),
    ("GET", "/backfills/{backfill_id}"),
    ("POST", "/backfills/{backfill_id}/cancel"),
]


class TestOwning:
    @pytest.mark.parametrize(("method", "path"), ENDPOINTS)
    def test_what_is_another_projects_is_not_there(
        self, api: httpx.Client, schedule: Json, aws: Aws, method: str, path: str
    ) -> None:
        past = {"start_at": "2030-05-27T12:00:00Z", "end_at": "2030-05-31T12:00:00Z"}
        backfill = made(api.post(f"/schedules/{schedule['id']}/backfills", json=past))
        for store, id in ((wiring.schedules(), schedule["id"]), (wiring.backfills(), backfill["id"])):
            record: Any = store.get("default", id)
            store.delete(record)
            store.save(None, record.model_copy(update={"project_id": "other", "revision": 0}))
        before = aws.items()
        body = {"PATCH": {"enabled": False}, "POST": past if path == "/backfills" else {}}.get(method)
        full = f"/schedules/{schedule['id']}{path.format(backfill_id=backfill['id'])}"
        problem(api.request(method, full, json=body), 404, "not_found")
        assert api.get("/schedules").json()["items"] == []
        assert api.post("/schedules/pause", json={}).json()["matched"] == 0
        assert aws.items() == before

    def test_every_endpoint_is_asked(self) -> None:
        asked = {(method, f"/api/v1/schedules/{{schedule_id}}{path}") for method, path in ENDPOINTS}
        routes = {(method, route.path) for route in schedules.router.routes for method in route.methods}
        assert {(method, path) for method, path in routes if "{" in path} == asked


class TestReading:
    def test_a_schedule_says_how_it_stands(self, api: httpx.Client, body: Body, monday: Clock) -> None:
        schedule = made(api.post("/schedules", json=body(overlap="skip", **often())))
        path = f"/schedules/{schedule['id']}"
        seen = api.get(path).json()
        assert (seen["skipped_overlap"], seen["failed_in_a_row"], seen["last_fire"]) == (0, 0, None)
        monday.forward(62)
        runs = {run.scheduled_for: run for run in wiring.runs().list("default", of(schedule), limit=10).items}
        failed = ends(runs[MONDAY + timedelta(minutes=1)], failed=True)
        slot = Slot(project_id="default", schedule_id=schedule["id"], skipped=3)
        wiring.schedules().save_slot(slot, slot)
        seen = api.get(path).json()
        assert (seen["skipped_overlap"], seen["failed_in_a_row"]) == (3, 1)
        assert seen["last_fire"] == {
            "run_id": failed.id,
            "status": "failed",
            "scheduled_for": "2030-06-03T12:01:30.000Z",
            "started_at": "2030-06-03T12:01:32.000Z",
            "lateness_seconds": 2.0,
        }

    def test_only_the_clock_makes_a_last_fire(self, api: httpx.Client, schedule: Json) -> None:
        made(api.post(f"/schedules/{schedule['id']}/trigger"))
        assert api.get(f"/schedules/{schedule['id']}").json()["last_fire"] is None

    def test_a_last_fire_is_found_behind_many_other_runs(
        self, api: httpx.Client, body: Body, monday: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schedule = made(api.post("/schedules", json=body(kind="once", expression="in 10s")))
        monday.forward(11)
        for _ in range(4):
            made(api.post(f"/schedules/{schedule['id']}/trigger"))
        monkeypatch.setattr(standing, "PAGE", 2)
        seen = api.get(f"/schedules/{schedule['id']}").json()["last_fire"]
        assert (seen["scheduled_for"], seen["lateness_seconds"]) == ("2030-06-03T12:00:40.000Z", None)
        monkeypatch.setattr(standing, "MOST", 4)
        assert api.get(f"/schedules/{schedule['id']}").json()["last_fire"] is None

    def test_they_are_listed_by_what_one_asks_for(self, api: httpx.Client, body: Body, workflow: Json) -> None:
        ids = several(api, body, 4)
        api.post(f"/schedules/{ids[1]}/pause")
        over = made(api.post("/schedules", json=body(kind="once", expression="in 10s")))["id"]
        listed: Callable[..., list[str]] = lambda **query: [  # noqa: E731
            one["id"] for one in api.get("/schedules", params=query).json()["items"]
        ]
        assert listed() == [over, *ids[::-1]]
        assert listed(limit=2) == [over, ids[3]]
        assert listed(state="paused") == [ids[1]]
        assert listed(state="active", workflow_id=workflow["id"], limit=3) == [over, ids[3], ids[2]]
        assert listed(state="finished") == []
        assert listed(workflow_id="wf_other") == []
        wiring.now.forward(11)  # type: ignore[attr-defined]
        assert listed(state="finished") == [over]
        problem(api.get("/schedules", params={"state": "asleep"}), 422, "invalid")

    def test_a_filtered_list_goes_on_where_it_ended(self, api: httpx.Client, body: Body) -> None:
        ids = several(api, body, 6)
        for id in ids[1::2]:
            api.post(f"/schedules/{id}/pause")
        seen: list[str] = []
        query: Json = {"state": "paused", "limit": 1}
        while True:
            page = api.get("/schedules", params=query).json()
            seen += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert seen == ids[5:0:-2]
        problem(api.get("/schedules", params={"state": "active", "cursor": query["cursor"]}), 400, "bad_cursor")

    def test_its_runs_are_listed_newest_first(self, api: httpx.Client, body: Body, workflow: Json) -> None:
        schedule = made(api.post("/schedules", json=body(**often())))
        manual = made(api.post(f"/schedules/{schedule['id']}/trigger"))["id"]
        made(api.post("/runs", json={"workflow_id": workflow["id"], "input": "Hello"}))
        ahead = [MONDAY + timedelta(minutes=n) for n in (2, 1)]
        assert [id_time(run["id"]) for run in runs_of(api, schedule)] == [*ahead, MONDAY]
        assert runs_of(api, schedule)[2]["id"] == manual
        assert [run["id"] for run in runs_of(api, schedule, until=MONDAY.isoformat())] == [manual]
        assert runs_of(api, schedule, status="completed") == []
        found = api.get("/runs", params={"schedule_id": schedule["id"]}).json()["items"]
        assert found == runs_of(api, schedule)
        found = api.get("/runs", params={"schedule_id": schedule["id"], "workflow_id": "wf_other"}).json()["items"]
        assert found == []


class TestEditing:
    def test_a_patch_changes_what_it_names(self, api: httpx.Client, schedule: Json, monday: Clock) -> None:
        path = f"/schedules/{schedule['id']}"
        monday.forward(1)
        changed = api.patch(path, json={"settings": {"input": "Bye", "retry": {"max_attempts": 5}}}).json()
        settings = {**schedule["settings"], "input": "Bye", "retry": changed["settings"]["retry"]}
        assert changed["settings"] == settings
        assert changed["settings"]["retry"]["multiplier"] == 2
        assert changed["next_fire_at"] == schedule["next_fire_at"]
        changed = api.patch(path, json={"settings": {"retry": {"multiplier": 3}}}).json()
        assert (changed["settings"]["retry"]["max_attempts"], changed["settings"]["retry"]["multiplier"]) == (5, 3)
        assert api.patch(path, json={"settings": {"retry": None}}).json()["settings"]["retry"] is None
        changed = api.put(path, json={"settings": {"expression": "0 10 * * *"}, "enabled": False}).json()
        assert (changed["state"], changed["next_fire_at"], changed["pause_reason"]) == ("paused", None, "by hand")
        changed = api.patch(path, json={"enabled": True}).json()
        assert (changed["state"], changed["next_fire_at"]) == ("active", "2030-06-03T13:00:00.000Z")

    def test_another_timing_counts_at_once(self, api: httpx.Client, schedule: Json, sent: Sent) -> None:
        changed = api.patch(f"/schedules/{schedule['id']}", json={"settings": {"expression": "1 9 * * *"}}).json()
        assert [one.delay for one in sent] == [timedelta(seconds=30)]
        assert changed["next_fire_at"] == "2030-06-03T12:01:00.000Z"

    def test_an_input_can_grow_and_shrink(self, api: httpx.Client, schedule: Json) -> None:
        path = f"/schedules/{schedule['id']}"
        tags = [api.get(path).headers["ETag"]]
        for text in ("x" * 5000, "y" * 5000, "small"):
            changed = api.patch(path, json={"settings": {"input": text}})
            assert changed.json()["settings"]["input"] == text
            tags.append(changed.headers["ETag"])
        assert len(set(tags)) == 4
        assert api.patch(path, json={"settings": {"name": "Other"}}).json()["settings"]["input"] == "small"

    def test_a_stale_edit_is_refused(self, api: httpx.Client, schedule: Json) -> None:
        path = f"/schedules/{schedule['id']}"
        tag = api.get(path).headers["ETag"]
        assert api.patch(path, json={"settings": {"name": "one"}}, headers={"If-Match": tag}).status_code == 200
        problem(api.patch(path, json={"settings": {"name": "two"}}, headers={"If-Match": tag}), 412, "stale")
        problem(api.delete(path, headers={"If-Match": tag}), 412, "stale")
        assert api.get(path).json()["settings"]["name"] == "one"

    def test_firing_does_not_change_the_etag(self, api: httpx.Client, body: Body, monday: Clock) -> None:
        schedule = made(api.post("/schedules", json=body(**often())))
        path = f"/schedules/{schedule['id']}"
        tag = api.get(path).headers["ETag"]
        monday.forward(minutes=5)
        wiring.firing().fire([wiring.schedules().get("default", schedule["id"])], wiring.now())
        assert api.get(path).json()["fired"] > schedule["fired"]
        assert api.get(path).headers["ETag"] == tag
        assert api.post(f"{path}/pause").headers["ETag"] != tag

    def test_of_two_edits_at_once_the_second_is_decided_again(
        self, api: httpx.Client, schedule: Json, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = f"/schedules/{schedule['id']}"
        tag = {"If-Match": api.get(path).headers["ETag"]}
        with monkeypatch.context() as patched:
            patched.setattr(ScheduleStore, "save", overtaken("one"))
            problem(api.patch(path, json={"settings": {"input": "two"}}, headers=tag), 412, "stale")
        with monkeypatch.context() as patched:
            patched.setattr(ScheduleStore, "save", overtaken("three"))
            changed = api.patch(path, json={"settings": {"input": "four"}}).json()["settings"]
        assert (changed["name"], changed["input"]) == ("three", "four")

    def test_a_change_that_is_always_overtaken_is_given_up(
        self, api: httpx.Client, schedule: Json, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lose(*arguments: Any) -> None:
            raise Conflict("lost")

        monkeypatch.setattr(ScheduleStore, "save", lose)
        problem(api.patch(f"/schedules/{schedule['id']}", json={"settings": {"name": "x"}}), 503, "unavailable")
        monkeypatch.setattr(ScheduleStore, "delete", lose)
        problem(api.delete(f"/schedules/{schedule['id']}"), 503, "unavailable")

    def test_only_a_named_timeout_is_held_against_the_source(
        self, api: httpx.Client, body: Body, source: Json, workflow: Json
    ) -> None:
        schedule = made(api.post("/schedules", json=body(timeout_seconds=600)))
        path = f"/schedules/{schedule['id']}"
        api.patch(f"/sources/{source['id']}?verify=false", json={"url": "http://moved.test"})
        assert api.patch(path, json={"settings": {"name": "Other"}}).status_code == 200
        refused = problem(api.patch(path, json={"settings": {"timeout_seconds": 601}}), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/settings/timeout_seconds"
        forget(workflow)
        problem(api.patch(path, json={"settings": {"timeout_seconds": 60}}), 409, "conflict")


class TestPausing:
    def test_a_pause_has_a_reason_and_an_end(self, api: httpx.Client, schedule: Json) -> None:
        path = f"/schedules/{schedule['id']}"
        paused = api.post(f"{path}/pause", json={"reason": "Holidays"}).json()
        assert (paused["state"], paused["pause_reason"], paused["next_fire_at"]) == ("paused", "Holidays", None)
        assert instant(paused["paused_at"]) == MONDAY
        assert api.post(f"{path}/pause", json={"reason": "Other"}).json() == paused
        resumed = api.post(f"{path}/resume").json()
        assert (resumed["state"], resumed["pause_reason"]) == ("active", None)
        assert resumed["next_fire_at"] == schedule["next_fire_at"]
        assert api.post(f"{path}/resume").json() == resumed
        assert api.post(f"{path}/pause").json()["pause_reason"] == "by hand"
        for wrong in ({"reason": ""}, {"reason": "x" * 201}, {"reason": "\ud800"}, {"why": "x"}):
            problem(send(api, f"{path}/pause", wrong), 422, "invalid")

    def test_a_resumed_schedule_fires_at_once_what_is_due_soon(self, api: httpx.Client, body: Body, sent: Sent) -> None:
        schedule = made(api.post("/schedules", json=body(enabled=False, **often())))
        assert api.post(f"/schedules/{schedule['id']}/resume").json()["next_fire_at"] == "2030-06-03T12:01:30.000Z"
        assert [one.delay for one in sent] == [timedelta(minutes=1), timedelta(minutes=2)]

    def test_a_schedule_that_is_far_behind_can_be_paused_but_not_edited(
        self, api: httpx.Client, body: Body, monday: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schedule = made(api.post("/schedules", json=body(catch_up="all", **often(expression="1s"))))
        monday.forward(hours=1)
        monkeypatch.setattr("shared.domain.firing.CHUNK", 20)
        monkeypatch.setattr("shared.services.scheduling.FIRES_WITHIN", timedelta(0))
        path = f"/schedules/{schedule['id']}"
        problem(api.patch(path, json={"settings": {"expression": "2s"}}), 503, "unavailable")
        assert api.post(f"{path}/pause").json()["state"] == "paused"

    def test_many_are_paused_and_resumed(self, api: httpx.Client, body: Body, workflow: Json) -> None:
        ids = [made(api.post("/schedules", json=body()))["id"] for _ in range(5)]
        api.post(f"/schedules/{ids[0]}/pause", json={"reason": "Holidays"})
        first = api.post("/schedules/pause", json={"limit": 3, "workflow_id": workflow["id"]}).json()
        assert (first["matched"], first["changed"]) == (3, 3)
        rest = {"workflow_id": workflow["id"], "cursor": first["next_cursor"]}
        assert api.post("/schedules/pause", json=rest).json() == {"matched": 1, "changed": 1, "next_cursor": None}
        problem(api.post("/schedules/resume", json=rest), 400, "bad_cursor")
        assert api.post("/schedules/resume", json={"workflow_id": "wf_other"}).json()["matched"] == 0
        answer = {"matched": 5, "changed": 5, "next_cursor": None}
        assert api.post("/schedules/resume", json={"state": "paused"}).json() == answer
        assert {one["state"] for one in api.get("/schedules").json()["items"]} == {"active"}

    def test_a_sweep_is_of_those_that_can_be_changed(self, api: httpx.Client, schedule: Json) -> None:
        for verb, state in (("pause", "paused"), ("resume", "active"), ("resume", "finished")):
            refused = problem(api.post(f"/schedules/{verb}", json={"state": state}), 422, "invalid")
            assert refused["errors"][0]["pointer"] == "/state"
        problem(api.post("/schedules/pause", json={"limit": 501}), 422, "invalid")

    def test_a_schedule_that_is_deleted_meanwhile_is_matched_and_left(
        self, api: httpx.Client, body: Body, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = [made(api.post("/schedules", json=body()))["id"] for _ in range(2)]
        switch_all = sweeping.switch_all

        def late(*arguments: Any) -> Any:
            wiring.schedules().delete(wiring.schedules().get("default", ids[0]))
            return switch_all(*arguments)

        monkeypatch.setattr(sweeping, "switch_all", late)
        assert api.post("/schedules/pause", json={}).json() == {"matched": 2, "changed": 1, "next_cursor": None}

    def test_a_long_sweep_stops_in_time_and_goes_on(
        self, api: httpx.Client, body: Body, monday: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(4):
            made(api.post("/schedules", json=body()))
        save = ScheduleStore.save

        def slowly(store: ScheduleStore, before: Schedule | None, after: Schedule, act: Act | None) -> Schedule:
            monday.forward(10)
            return save(store, before, after, act)

        monkeypatch.setattr(ScheduleStore, "save", slowly)
        first = api.post("/schedules/pause", json={}).json()
        assert (first["matched"], first["changed"]) == (3, 3)
        rest = api.post("/schedules/pause", json={"cursor": first["next_cursor"]}).json()
        assert rest == {"matched": 1, "changed": 1, "next_cursor": None}


class TestDeleting:
    def test_what_is_deleted_is_gone_but_its_runs_stay(self, api: httpx.Client, body: Body) -> None:
        schedule = made(api.post("/schedules", json=body(overlap="skip", **often())))
        path = f"/schedules/{schedule['id']}"
        slot = Slot(project_id="default", schedule_id=schedule["id"])
        wiring.schedules().save_slot(slot, slot)
        assert api.delete(path).status_code == 204
        problem(api.get(path), 404, "not_found")
        problem(api.delete(path), 404, "not_found")
        assert len(api.get("/runs", params={"schedule_id": schedule["id"]}).json()["items"]) == 2

    def test_its_large_inputs_go_with_it_and_nobody_elses(self, api: httpx.Client, body: Body, aws: Aws) -> None:
        mine, other = (made(api.post("/schedules", json=body(input="x" * 5000))) for _ in range(2))
        path = f"/schedules/{mine['id']}"
        for text in ("y" * 5000, "z" * 5000, "small"):
            api.patch(path, json={"settings": {"input": text}})
        run = made(api.post(f"{path}/trigger", json={"input": "r" * 5000}))
        assert len(inputs(aws, mine)) == 3

        assert api.delete(path).status_code == 204

        assert inputs(aws, mine) == []
        assert api.get(f"/schedules/{other['id']}").json()["settings"]["input"] == "x" * 5000
        assert api.get(f"/runs/{run['id']}").json()["input"] == "r" * 5000

    def test_an_input_that_is_edited_and_edited_back_stays(self, api: httpx.Client, body: Body, aws: Aws) -> None:
        schedule = made(api.post("/schedules", json=body(input="x" * 5000)))
        path = f"/schedules/{schedule['id']}"
        for text in ("y" * 5000, "x" * 5000):
            api.patch(path, json={"settings": {"input": text}})
        assert api.get(path).json()["settings"]["input"] == "x" * 5000

    def test_more_inputs_than_one_answer_lists_go_too(
        self, api: httpx.Client, schedule: Json, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket, some = wiring.payloads(), aws.s3.list_objects_v2
        for number in range(5):
            bucket.put_json(payloads.schedule_key("default", schedule["id"], str(number)), "x")
        monkeypatch.setattr(aws.s3, "list_objects_v2", lambda **query: some(**query, MaxKeys=2))

        assert api.delete(f"/schedules/{schedule['id']}").status_code == 204

        assert inputs(aws, schedule) == []

    @pytest.mark.parametrize("refused", ["list_objects_v2", "delete_objects"])
    def test_a_bucket_that_refuses_keeps_no_schedule_from_being_deleted(
        self, api: httpx.Client, body: Body, aws: Aws, monkeypatch: pytest.MonkeyPatch, refused: str
    ) -> None:
        schedule = made(api.post("/schedules", json=body(input="x" * 5000)))
        error = ClientError({"Error": {"Code": "SlowDown", "Message": "x"}}, refused)
        monkeypatch.setattr(aws.s3, refused, MagicMock(side_effect=error))

        assert api.delete(f"/schedules/{schedule['id']}").status_code == 204

        problem(api.get(f"/schedules/{schedule['id']}"), 404, "not_found")

    def test_what_a_bucket_did_not_delete_is_an_error(
        self, body: Body, api: httpx.Client, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S3 answers 200, and says inside what was denied."""
        made(api.post("/schedules", json=body(input="x" * 5000)))
        denied = {"Errors": [{"Key": "x", "Code": "AccessDenied", "Message": "Access Denied"}]}
        monkeypatch.setattr(aws.s3, "delete_objects", lambda **request: denied)

        with pytest.raises(ClientError, match="AccessDenied"):
            wiring.payloads().delete_below("keep/default/schedules/")

    def test_a_run_that_moves_the_slot_meanwhile_does_not_hinder_it(
        self, api: httpx.Client, schedule: Json, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slot = Slot(project_id="default", schedule_id=schedule["id"])
        store, table = wiring.schedules(), wiring.table()
        store.save_slot(slot, slot)
        delete = type(table).delete

        def race(self: Any, before: Any) -> None:
            if before["sk"] == "SLOT":
                raise Conflict("lost")
            delete(self, before)

        monkeypatch.setattr(type(table), "delete", race)
        assert api.delete(f"/schedules/{schedule['id']}").status_code == 204

    def test_a_workflow_that_is_scheduled_stays(self, api: httpx.Client, schedule: Json, workflow: Json) -> None:
        path = f"/workflows/{workflow['id']}"
        refused = problem(api.delete(path), 409, "in_use")
        assert refused["users"] == [schedule["id"]]
        assert "cascade" in refused["detail"]
        assert api.delete(f"{path}?cascade=true").status_code == 204
        paused = api.get(f"/schedules/{schedule['id']}").json()
        assert (paused["state"], paused["pause_reason"]) == ("paused", "Its workflow was deleted.")
        problem(api.post(f"/schedules/{schedule['id']}/trigger"), 409, "conflict")

    def test_what_was_made_ahead_does_not_keep_a_workflow_but_other_runs_do(
        self, api: httpx.Client, body: Body, workflow: Json
    ) -> None:
        made(api.post("/schedules", json=body(**often())))
        path = f"/workflows/{workflow['id']}?cascade=true"
        run = made(api.post("/runs", json={"workflow_id": workflow["id"], "input": "Hello"}))
        assert problem(api.delete(path), 409, "in_use")["users"] == [run["id"]]
        api.post(f"/runs/{run['id']}/cancel")
        assert api.delete(path).status_code == 204
