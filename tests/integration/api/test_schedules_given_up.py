"""Schedules that this version can no longer evaluate: tzdata gave up their time zone, or croniter their expression."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared import wiring
from tests.fakes import Clock
from tests.integration.api.conftest import made
from tests.integration.api.schedules import Body, Json, ends, of, often, runs_of
from tests.integration.api.wire import problem

ZONE = {"timezone": "America/Atlantis"}
EXPRESSION = {"expression": "0 9 * * 1-5 h"}
WHY = "Cannot be evaluated: unknown time zone 'America/Atlantis'"
PAST = {"start_at": "2030-05-27T12:00:00Z", "end_at": "2030-05-31T12:00:00Z"}


def give_up(schedule: Json, wrong: Json) -> Json:
    """`schedule` as an older Spark stored it, which could still read `wrong`."""
    before = wiring.schedules().get("default", schedule["id"])
    settings = before.settings.model_copy(update=wrong)
    wiring.schedules().save(before, before.model_copy(update={"settings": settings}))
    return schedule


@pytest.fixture(params=[ZONE, EXPRESSION], ids=["zone", "expression"])
def lost(request: pytest.FixtureRequest, schedule: Json) -> Json:
    return give_up(schedule, request.param)


@pytest.fixture
def zoneless(schedule: Json) -> Json:
    return give_up(schedule, ZONE)


def test_the_list_shows_it_among_the_others(api: httpx.Client, lost: Json, body: Body) -> None:
    other = made(api.post("/schedules", json=body()))

    listed = {one["id"]: one for one in api.get("/schedules").json()["items"]}

    assert listed.keys() == {lost["id"], other["id"]}
    assert listed[other["id"]] == other
    seen = listed[lost["id"]]
    assert (seen["state"], seen["next_fire_at"]) == ("active", None)
    assert seen["description"].startswith("Cannot be evaluated: ")
    assert len(api.get("/schedules", params={"state": "active"}).json()["items"]) == 2


def test_it_says_what_is_wrong(api: httpx.Client, zoneless: Json) -> None:
    seen = api.get(f"/schedules/{zoneless['id']}").json()

    assert seen["description"].partition(": did you mean")[0] == WHY
    assert (seen["state"], seen["next_fire_at"], seen["last_fire"]) == ("active", None, None)
    coming = api.get(f"/schedules/{zoneless['id']}/preview").json()
    assert (coming["items"], coming["description"]) == ([], seen["description"])


def test_its_last_fire_is_shown_without_the_jitter_that_nobody_knows(
    api: httpx.Client, body: Body, monday: Clock
) -> None:
    schedule = made(api.post("/schedules", json=body(**often(jitter_seconds=5))))
    monday.forward(minutes=2)
    run = ends(wiring.runs().list("default", of(schedule), limit=1).items[0], failed=False)
    give_up(schedule, ZONE)

    last = api.get(f"/schedules/{schedule['id']}").json()["last_fire"]

    assert (last["run_id"], last["lateness_seconds"]) == (run.id, None)


def test_one_that_had_nothing_more_to_fire_is_finished_all_the_same(
    api: httpx.Client, body: Body, monday: Clock
) -> None:
    schedule = made(api.post("/schedules", json=body(kind="once", expression="in 10s")))
    monday.forward(minutes=2)
    give_up(schedule, ZONE)

    assert api.get(f"/schedules/{schedule['id']}").json()["state"] == "finished"


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=3)], ids=["in time", "when it owes already"])
def test_another_time_zone_mends_it(api: httpx.Client, zoneless: Json, monday: Clock, later: timedelta) -> None:
    monday.forward(later.total_seconds())

    changed = api.patch(f"/schedules/{zoneless['id']}", json={"settings": {"timezone": "America/Bahia"}})

    assert changed.status_code == 200, changed.text
    assert (changed.json()["state"], changed.json()["skipped_missed"]) == ("active", 0)
    assert changed.json()["next_fire_at"] is not None
    assert changed.json()["description"] == "At 09:00, Monday through Friday (America/Bahia)"


def test_another_expression_mends_it(api: httpx.Client, schedule: Json) -> None:
    give_up(schedule, EXPRESSION)

    changed = api.patch(f"/schedules/{schedule['id']}", json={"settings": {"expression": "0 9 * * *"}}).json()

    assert (changed["state"], changed["next_fire_at"]) == ("active", "2030-06-04T12:00:00.000Z")


def test_it_can_be_mended_and_resumed_in_the_same_breath(api: httpx.Client, zoneless: Json) -> None:
    path = f"/schedules/{zoneless['id']}"
    api.post(f"{path}/pause")

    changed = api.patch(path, json={"settings": {"timezone": "UTC"}, "enabled": True}).json()

    assert (changed["state"], changed["next_fire_at"]) == ("active", "2030-06-04T09:00:00.000Z")


def test_what_is_none_of_its_timing_can_be_edited(api: httpx.Client, zoneless: Json, monday: Clock) -> None:
    monday.forward(days=3)

    changed = api.patch(f"/schedules/{zoneless['id']}", json={"settings": {"name": "Lost"}})

    assert (changed.status_code, changed.json()["settings"]["name"]) == (200, "Lost")


@pytest.mark.parametrize("change", [{"settings": {"expression": "0 10 * * *"}}, {"enabled": True}])
def test_an_edit_that_does_not_mend_it_names_the_time_zone(api: httpx.Client, zoneless: Json, change: Json) -> None:
    path = f"/schedules/{zoneless['id']}"
    api.post(f"{path}/pause")

    refused = problem(api.patch(path, json=change), 422, "invalid")

    assert refused["errors"][0]["pointer"] == "/settings/timezone"


def test_it_can_be_paused_and_is_resumed_when_it_is_mended(api: httpx.Client, zoneless: Json) -> None:
    path = f"/schedules/{zoneless['id']}"

    paused = api.post(f"{path}/pause").json()

    assert (paused["state"], paused["pause_reason"]) == ("paused", "by hand")
    assert problem(api.post(f"{path}/resume"), 422, "invalid")["errors"][0]["pointer"] == "/settings/timezone"
    assert api.get(path).json()["state"] == "paused"
    assert api.patch(path, json={"settings": {"timezone": "UTC"}}).json()["state"] == "paused"
    assert api.post(f"{path}/resume").json()["state"] == "active"


def test_what_it_counted_ahead_stays_counted_in_a_pause(api: httpx.Client, body: Body) -> None:
    """Nobody can tell any more how many of them lie ahead."""
    schedule = give_up(made(api.post("/schedules", json=body(**often()))), ZONE)

    assert api.post(f"/schedules/{schedule['id']}/pause").json()["fired"] == 2


def test_it_does_not_keep_others_from_being_paused_and_resumed(api: httpx.Client, lost: Json, body: Body) -> None:
    other = made(api.post("/schedules", json=body()))

    assert api.post("/schedules/pause", json={}).json()["changed"] == 2
    assert api.post("/schedules/resume", json={}).json() == {"matched": 1, "changed": 1, "next_cursor": None}
    states = {one["id"]: one["state"] for one in api.get("/schedules").json()["items"]}
    assert states == {lost["id"]: "paused", other["id"]: "active"}


def test_it_can_be_run_by_hand_but_its_past_cannot(api: httpx.Client, zoneless: Json) -> None:
    path = f"/schedules/{zoneless['id']}"

    made(api.post(f"{path}/trigger"))

    refused: Any = problem(api.post(f"{path}/backfills", json=PAST), 409, "conflict")
    assert "America/Atlantis" in refused["detail"]
    assert len(runs_of(api, zoneless)) == 1


def test_it_can_be_deleted(api: httpx.Client, lost: Json) -> None:
    assert api.delete(f"/schedules/{lost['id']}").status_code == 204
    assert api.get("/schedules").json()["items"] == []
