"""Previews over HTTP: what they show is what fires."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared import wiring
from tests.fakes import Clock
from tests.integration.api.conftest import MONDAY, made
from tests.integration.api.schedules import Body, Json, Sent, instant, of, often, send
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

BERLIN = {"kind": "cron", "timezone": "Europe/Berlin"}
IN_MARCH = "2030-03-30T12:00:00Z"  # the day before the clocks go forward
IN_OCTOBER = "2030-10-26T12:00:00Z"


def preview(api: httpx.Client, schedule: Json, **query: Any) -> Json:
    answer = api.get(f"/schedules/{schedule['id']}/preview", params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def unsaved(api: httpx.Client, **timing: Any) -> Json:
    answer = api.post("/schedules/preview", json=timing)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def locals_and_marks(answer: Json) -> list[tuple[str, str | None]]:
    return [(item["local"], item["mark"]) for item in answer["items"]]


class TestStored:
    def test_it_says_when_in_words_and_in_the_zone(self, api: httpx.Client, schedule: Json) -> None:
        answer = preview(api, schedule, count=2)
        assert answer["description"] == schedule["description"]
        assert (answer["timezone"], answer["note"]) == ("America/Sao_Paulo", None)
        assert answer["items"][0] == {
            "scheduled_for": "2030-06-04T12:00:00.000Z",
            "fires_at": schedule["next_fire_at"],
            "local": "2030-06-04T09:00:00-03:00",
            "zone": "-03",
            "mark": None,
        }
        assert answer["items"][1]["local"] == "2030-06-05T09:00:00-03:00"

    def test_how_many_and_since_when_can_be_said(self, api: httpx.Client, schedule: Json) -> None:
        assert len(preview(api, schedule)["items"]) == 10
        assert len(preview(api, schedule, count=100)["items"]) == 100
        later = preview(api, schedule, count=1, after="2031-01-01T00:00:00+02:00")
        assert later["items"][0]["local"] == "2031-01-01T09:00:00-03:00"
        path = f"/schedules/{schedule['id']}/preview"
        for wrong in ({"count": 0}, {"count": 101}, {"count": "x"}):
            refused = problem(api.get(path, params=wrong), 422, "invalid")
            assert refused["errors"][0]["pointer"] == "/query/count"
        for text in (
            "yesterday",
            "2030-06-03",
            "5",
            "2030-06-03T12:00:00",
            "0001-01-01T00:00:00Z",
            "9999-12-31T00:00Z",
        ):
            refused = problem(api.get(path, params={"after": text}), 422, "invalid")
            assert refused["errors"][0]["pointer"] == "/query/after", text

    @pytest.mark.parametrize(
        "settings",
        [
            often(),
            often(jitter_seconds=50),
            often(expression="20s", jitter_seconds=86_400),
            often(expression="7s", max_runs=9),
            often(start_at="2030-06-03T12:01:07Z", end_at="2030-06-03T12:04:07Z"),
            often(exclude=["2030-06-03T12:01:30Z"]),
            {"kind": "cron", "expression": "*/20 * * * * *", "jitter_seconds": 20},
            {"kind": "cron", "expression": "* * * * *", "timezone": "Asia/Tokyo", "exclude": ["2030-06-04"]},
            {"kind": "once", "expression": "in 40s", "timezone": "UTC"},
        ],
    )
    def test_what_it_shows_is_what_fires(
        self, api: httpx.Client, body: Body, monday: Clock, settings: Json, sent: Sent
    ) -> None:
        schedule = made(api.post("/schedules", json=body(**settings)))
        shown = [(item["scheduled_for"], item["fires_at"]) for item in preview(api, schedule, count=100)["items"]]
        until = MONDAY + timedelta(minutes=5)
        while monday() < until:
            seen = api.get(f"/schedules/{schedule['id']}").json()["next_fire_at"]
            assert seen == next((at for _, at in shown if instant(at) > monday()), None)
            monday.forward(13)
            wiring.firing().fire([wiring.schedules().get("default", schedule["id"])], wiring.now())
        runs = wiring.runs().list("default", of(schedule), limit=100).items
        fired = sorted((run.scheduled_for, run.not_before) for run in runs if run.not_before <= until)
        assert [(instant(one), instant(other)) for one, other in shown if instant(other) <= until] == fired
        assert len(sent) == len(runs) > 0

    def test_no_more_than_it_may_still_fire(self, api: httpx.Client, body: Body) -> None:
        schedule = made(api.post("/schedules", json=body(max_runs=5, **often())))
        assert wiring.schedules().get("default", schedule["id"]).fired == 2  # looked ahead
        assert len(preview(api, schedule)["items"]) == 5
        assert len(preview(api, schedule, after=(MONDAY + timedelta(minutes=4)).isoformat())["items"]) == 1
        assert preview(api, schedule, after="2030-07-01T00:00:00Z")["items"] == []
        refused = api.get(f"/schedules/{schedule['id']}/preview", params={"after": "2050-01-01T00:00:00Z"})
        assert problem(refused, 422, "invalid")["errors"][0]["pointer"] == "/query/after"
        api.post(f"/schedules/{schedule['id']}/pause")
        assert len(preview(api, schedule)["items"]) == 5

    def test_a_paused_one_shows_what_it_would_do(self, api: httpx.Client, schedule: Json, monday: Clock) -> None:
        before = preview(api, schedule)
        api.post(f"/schedules/{schedule['id']}/pause")
        assert preview(api, schedule) == before
        monday.forward(days=1)
        assert preview(api, schedule)["items"][0] == before["items"][1]
        assert api.get(f"/schedules/{schedule['id']}").json()["next_fire_at"] is None


class TestUnsaved:
    def test_a_timing_is_shown_and_nothing_is_stored(self, api: httpx.Client, schedule: Json, aws: Aws) -> None:
        before = aws.items()
        timing = {name: schedule["settings"][name] for name in ("kind", "expression", "timezone")}
        assert unsaved(api, **timing) == preview(api, schedule)
        assert len(unsaved(api, count=3, **timing)["items"]) == 3
        assert len(unsaved(api, count=3, max_runs=2, **timing)["items"]) == 2
        assert aws.items() == before

    def test_bounds_and_exclusions_count(self, api: httpx.Client, monday: Clock) -> None:
        timing = {"kind": "interval", "expression": "1d", "start_at": "2030-06-10T09:00:00Z"}
        excluded = ["2030-06-11", "2030-06-12T09:00:00Z"]
        answer = unsaved(api, **timing, end_at="2030-06-14T09:00:00Z", exclude=excluded)
        assert [item["local"][:10] for item in answer["items"]] == ["2030-06-10", "2030-06-13", "2030-06-14"]
        assert answer["description"] == "Every 1 d, counted from 2030-06-10 09:00:00 UTC"

    def test_jitter_is_whose_it_will_be(self, api: httpx.Client, monday: Clock) -> None:
        (item,) = unsaved(api, kind="cron", expression="0 9 * * *", jitter_seconds=600, count=1)["items"]
        assert item["fires_at"] == item["scheduled_for"]

    def test_a_gap_moves_fixed_hours_and_takes_others(self, api: httpx.Client, monday: Clock) -> None:
        fixed = unsaved(api, expression="30 2 * * *", after=IN_MARCH, count=2, **BERLIN)
        assert locals_and_marks(fixed) == [("2030-03-31T03:00:00+02:00", "moved"), ("2030-04-01T02:30:00+02:00", None)]
        assert "On Sunday 31 March 2030" in fixed["note"]
        hourly = unsaved(api, expression="30 * * * *", after="2030-03-31T00:00:00Z", count=2, **BERLIN)
        assert [local for local, _ in locals_and_marks(hourly)] == [
            "2030-03-31T01:30:00+01:00",
            "2030-03-31T03:30:00+02:00",
        ]

    def test_a_fold_fires_fixed_hours_once_and_others_twice(self, api: httpx.Client, monday: Clock) -> None:
        fixed = unsaved(api, expression="30 2 * * *", after=IN_OCTOBER, count=2, **BERLIN)
        assert locals_and_marks(fixed) == [
            ("2030-10-27T02:30:00+02:00", "first_pass"),
            ("2030-10-28T02:30:00+01:00", None),
        ]
        hourly = unsaved(api, expression="30 * * * *", after="2030-10-27T00:00:00Z", count=2, **BERLIN)
        assert locals_and_marks(hourly) == [
            ("2030-10-27T02:30:00+02:00", "first_pass"),
            ("2030-10-27T02:30:00+01:00", "second_pass"),
        ]
        assert [item["zone"] for item in hourly["items"]] == ["CEST", "CET"]

    def test_once_is_a_wall_an_instant_or_a_distance(self, api: httpx.Client, monday: Clock) -> None:
        for expression, at in [
            ("2030-12-24T09:00", datetime(2030, 12, 24, 12, tzinfo=UTC)),
            ("2030-12-24T09:00:00Z", datetime(2030, 12, 24, 9, tzinfo=UTC)),
            ("in 10m", MONDAY + timedelta(minutes=10)),
        ]:
            (item,) = unsaved(api, kind="once", expression=expression, timezone="America/Sao_Paulo")["items"]
            assert instant(item["scheduled_for"]) == at
        moved = unsaved(api, kind="once", expression="2031-03-30T02:30", timezone="Europe/Berlin")
        assert locals_and_marks(moved) == [("2031-03-30T03:00:00+02:00", "moved")]

    @pytest.mark.parametrize(
        ("timing", "pointer"),
        [
            ({"expression": "60 * * * *"}, "/expression"),
            ({"expression": "0 0 31 2 *"}, "/expression"),
            ({"timezone": "EST"}, "/timezone"),
            ({"kind": "interval", "expression": "0"}, "/expression"),
            ({"kind": "once", "expression": "2020-01-01T00:00:00Z"}, "/expression"),
            ({"kind": "once", "expression": "9999-12-31T23:59:59Z", "timezone": "Pacific/Kiritimati"}, "/expression"),
            ({"end_at": "2030-01-01T00:00:00Z"}, "/end_at"),
            ({"end_at": "2030-06-04T12:00:00Z", "exclude": ["2030-06-04"]}, "/exclude"),
            ({"exclude": ["\ud800"]}, "/exclude/0"),
            ({"count": 101}, "/count"),
            ({"count": "3"}, "/count"),
            ({"after": 5}, "/after"),
            ({"after": "0001-01-01T00:00:00Z"}, "/after"),
            ({"name": "Report"}, "/name"),
        ],
    )
    def test_a_mistake_is_pointed_at(self, api: httpx.Client, monday: Clock, timing: Json, pointer: str) -> None:
        body = {"kind": "cron", "expression": "0 9 * * *", **timing}
        refused = problem(send(api, "/schedules/preview", body), 422, "invalid")
        assert refused["errors"][0]["pointer"] == pointer

    @pytest.mark.parametrize(
        "timing",
        [
            {"kind": "interval", "expression": "1h", "jitter_seconds": 86_400},
            {"kind": "cron", "expression": "59 23 31 12 *", "timezone": "Pacific/Kiritimati"},
            {"kind": "cron", "expression": "* * * * * *", "timezone": "Etc/GMT+12"},
        ],
    )
    def test_the_calendar_ends_for_all(self, api: httpx.Client, monday: Clock, body: Body, timing: Json) -> None:
        late = "9999-12-26T23:59:58Z"
        for answer in (
            unsaved(api, after=late, **timing),
            preview(api, made(api.post("/schedules", json=body(**timing))), after=late),
        ):
            assert all(item["scheduled_for"] < "9999-12-27" for item in answer["items"])
