"""Backfills over HTTP."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared import wiring
from shared.errors import Conflict
from shared.store.backfills import BackfillStore
from tests.fakes import Clock
from tests.integration.api.conftest import MONDAY, made
from tests.integration.api.schedules import KEY, Body, Json, Sent, ends, instant, often, runs_of, send
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

LAST_WEEK = {"start_at": "2030-05-27T12:00:00Z", "end_at": "2030-05-31T12:00:00Z"}  # five times, both ends included


def go_on(backfill: Json) -> None:
    """What the tick does."""
    wiring.backfilling().go_on([("default", backfill["id"])], wiring.now() + timedelta(minutes=1))


def test_the_past_is_run_now(api: httpx.Client, schedule: Json, sent: Sent) -> None:
    path = f"/schedules/{schedule['id']}/backfills"
    response = api.post(path, json={**LAST_WEEK, "overlap": "queue_all"})
    backfill = made(response)
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/v1{path}/{backfill['id']}"
    assert (backfill["status"], backfill["total"], backfill["started"]) == ("completed", 5, 5)
    assert (backfill["overlap"], backfill["reprocess"]) == ("queue_all", "none")
    runs = runs_of(api, schedule)
    assert [run["scheduled_for"] for run in runs] == [f"2030-05-{day}T12:00:00.000Z" for day in (31, 30, 29, 28, 27)]
    assert {(run["origin"], run["overlap"], run["status"]) for run in runs} == {("backfill", "queue_all", "pending")}
    assert [one.delay for one in sent] == [timedelta(0)] * 5
    assert api.get(f"{path}/{backfill['id']}").json() == backfill
    assert api.get(f"/schedules/{schedule['id']}").json()["fired"] == 0


def test_a_dry_run_lists_what_would_run_and_stores_nothing(
    api: httpx.Client, body: Body, monday: Clock, aws: Aws, sent: Sent
) -> None:
    schedule = made(api.post("/schedules", json=body(**often())))
    wiring.runs()
    monday.forward(minutes=5)
    api.post(f"/schedules/{schedule['id']}/pause")  # what a clock still owes is its own
    first, second = sorted(runs_of(api, schedule), key=lambda run: str(run["id"]))
    ends(wiring.runs().get("default", first["id"]), failed=True)
    ends(wiring.runs().get("default", second["id"]), failed=False)
    sent.clear()
    before = aws.items()
    wanted = {"start_at": MONDAY.isoformat(), "end_at": (MONDAY + timedelta(minutes=4)).isoformat(), "dry_run": True}
    path = f"/schedules/{schedule['id']}/backfills"
    times = [f"2030-06-03T12:0{minute}:30.000Z" for minute in range(5)]
    nothing = {"run_id": None, "status": None}
    failed = {"scheduled_for": times[1], "run_id": first["id"], "status": "failed"}
    completed = {"scheduled_for": times[2], "run_id": second["id"], "status": "completed"}
    others = [{"scheduled_for": at, **nothing} for at in (times[0], times[3], times[4])]
    for reprocess, items in [
        ("none", others),
        ("failed", [others[0], failed, *others[1:]]),
        ("all", [others[0], failed, completed, *others[1:]]),
    ]:
        response = api.post(path, json={**wanted, "reprocess": reprocess}, headers=KEY)
        assert (response.status_code, response.json()) == (200, {"total": len(items), "items": items})
    assert (aws.items(), sent) == (before, [])


def test_a_dry_run_lists_a_thousand_and_counts_all(api: httpx.Client, body: Body) -> None:
    schedule = made(api.post("/schedules", json=body(kind="cron", expression="* * * * *", timezone="UTC")))
    wanted = {"start_at": "2030-06-03T00:00:00Z", "end_at": "2030-06-03T11:59:00Z", "dry_run": True}
    longer = {**wanted, "start_at": "2030-06-01T00:00:00Z"}
    assert api.post(f"/schedules/{schedule['id']}/backfills", json=wanted).json()["total"] == 720
    plan = api.post(f"/schedules/{schedule['id']}/backfills", json=longer).json()
    assert (plan["total"], len(plan["items"])) == (2 * 1440 + 720, 1000)


def test_a_long_one_goes_on_with_the_tick_and_can_be_cancelled(api: httpx.Client, body: Body) -> None:
    schedule = made(api.post("/schedules", json=body(kind="cron", expression="* * * * *", timezone="UTC")))
    path = f"/schedules/{schedule['id']}/backfills"
    wanted = {"start_at": "2030-06-03T08:00:00Z", "end_at": "2030-06-03T11:59:00Z"}
    one, other = made(api.post(path, json=wanted)), made(api.post(path, json={**wanted, "reprocess": "all"}))
    assert (one["status"], one["total"], one["started"]) == ("running", 240, 100)
    go_on(one)
    seen = api.get(f"{path}/{one['id']}").json()
    assert (seen["status"], seen["started"]) == ("completed", 240)
    problem(api.post(f"{path}/{one['id']}/cancel"), 409, "conflict")
    cancelled = api.post(f"{path}/{other['id']}/cancel").json()
    assert (cancelled["status"], cancelled["started"], cancelled["wake_at"]) == ("cancelled", 100, None)
    go_on(other)
    assert api.get(f"{path}/{other['id']}").json() == cancelled


def test_a_cancel_that_is_overtaken_is_decided_again(
    api: httpx.Client, body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(api.post("/schedules", json=body(kind="cron", expression="* * * * *", timezone="UTC")))
    path = f"/schedules/{schedule['id']}/backfills"
    backfill = made(api.post(path, json={"start_at": "2030-06-03T08:00:00Z", "end_at": "2030-06-03T11:59:00Z"}))
    save, calls = BackfillStore.save, list[int]()

    def race(store: BackfillStore, before: Any, after: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise Conflict("lost")
        return save(store, before, after)

    monkeypatch.setattr(BackfillStore, "save", race)
    assert api.post(f"{path}/{backfill['id']}/cancel").json()["status"] == "cancelled"


def test_they_are_listed_newest_first(api: httpx.Client, schedule: Json, body: Body, monday: Clock) -> None:
    path = f"/schedules/{schedule['id']}/backfills"
    ids = []
    for _ in range(3):
        ids.append(made(api.post(path, json=LAST_WEEK))["id"])
        monday.forward(1)
    page = api.get(path, params={"limit": 2}).json()
    assert [one["id"] for one in page["items"]] == ids[:0:-1]
    rest = api.get(path, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)
    other = made(api.post("/schedules", json=body()))
    assert api.get(f"/schedules/{other['id']}/backfills").json()["items"] == []
    problem(api.get(f"/schedules/{other['id']}/backfills/{ids[0]}"), 404, "not_found")
    problem(api.post(f"/schedules/{other['id']}/backfills/{ids[0]}/cancel"), 404, "not_found")
    problem(api.get(f"{path}/bkf_nobody"), 404, "not_found")


def test_it_is_made_once(api: httpx.Client, schedule: Json, sent: Sent, monday: Clock) -> None:
    path = f"/schedules/{schedule['id']}/backfills"
    first = made(api.post(path, json=LAST_WEEK, headers=KEY))
    monday.forward(1)
    again = api.post(path, json=LAST_WEEK, headers=KEY)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first, "true")
    assert len(sent) == 5
    problem(api.post(path, json={**LAST_WEEK, "reprocess": "all"}, headers=KEY), 422, "idempotency_key_reused")


def test_too_many_are_counted_and_refused(api: httpx.Client, body: Body, aws: Aws) -> None:
    minutely = made(api.post("/schedules", json=body(kind="cron", expression="* * * * *", timezone="UTC")))
    each_second = made(
        api.post("/schedules", json=body(**often(expression="1s"), start_at="2000-01-01T00:00:00Z", enabled=False))
    )
    excluding = made(
        api.post("/schedules", json=body(kind="cron", expression="* * * * * *", exclude=["2030-05-31", "2030-06-01"]))
    )
    before = aws.items()
    for schedule, start, count in [
        (minutely, MONDAY - timedelta(minutes=10**6), 10**6),
        (each_second, MONDAY - timedelta(seconds=10**6 - 1), 10**6),
        (each_second, instant("1970-01-01T00:00:00Z"), 960_033_631),  # since it starts, in 2000
        (excluding, MONDAY - timedelta(days=7), 7 * 86_400 + 1 - 2 * 86_400),
    ]:
        wanted = {"start_at": start.isoformat(), "end_at": MONDAY.isoformat()}
        for dry_run in (False, True):
            refused = api.post(f"/schedules/{schedule['id']}/backfills", json={**wanted, "dry_run": dry_run})
            error = problem(refused, 422, "invalid")["errors"][0]
            assert error["pointer"] == "/start_at"
            assert f"{count:,}" in error["detail"]
    assert aws.items() == before


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"end_at": "2030-05-26T12:00:00Z"}, "/end_at"),
        ({"end_at": "2030-06-03T12:01:01Z"}, "/end_at"),
        ({"start_at": "2030-05-27"}, "/start_at"),
        ({"start_at": "2030-05-27T12:00:00"}, "/start_at"),
        ({"start_at": 5}, "/start_at"),
        ({"start_at": "0001-01-01T00:00:00Z"}, "/start_at"),
        ({"end_at": "9999-12-31T23:59:59-14:00"}, "/end_at"),
        ({"overlap": "x"}, "/overlap"),
        ({"reprocess": "some"}, "/reprocess"),
        ({"dry_run": "yes"}, "/dry_run"),
        ({"surprise": "\ud800"}, "/surprise"),
    ],
)
def test_a_mistake_is_pointed_at_and_nothing_is_stored(
    api: httpx.Client, schedule: Json, aws: Aws, changes: Json, pointer: str
) -> None:
    before = aws.items()
    refused = problem(send(api, f"/schedules/{schedule['id']}/backfills", {**LAST_WEEK, **changes}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == pointer
    assert aws.items() == before


def test_a_backfill_ends_with_its_schedule(api: httpx.Client, body: Body) -> None:
    schedule = made(api.post("/schedules", json=body(kind="cron", expression="* * * * *", timezone="UTC")))
    path = f"/schedules/{schedule['id']}/backfills"
    backfill = made(api.post(path, json={"start_at": "2030-06-03T08:00:00Z", "end_at": "2030-06-03T11:59:00Z"}))
    api.delete(f"/schedules/{schedule['id']}")
    go_on(backfill)
    assert api.get(f"{path}/{backfill['id']}").json()["status"] == "cancelled"
    problem(api.get(path), 404, "not_found")
