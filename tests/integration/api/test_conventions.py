"""What holds for every endpoint: bodies, names, cursors, correlation ids, faults."""

import gzip
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shared import wiring
from shared.domain.record import derived_id
from shared.errors import Conflict, SchemaTooNew, Unavailable
from shared.store.records import RecordStore
from shared.store.runs import RunStore
from tests.integration.api.conftest import made
from tests.integration.api.wire import problem

Json = dict[str, Any]
Order = Callable[..., Json]
JSON = {"Content-Type": "application/json"}


class TestBodies:
    def test_malformed_json_is_a_400(self, api: httpx.Client) -> None:
        problem(api.post("/runs", content=b'{"input": ', headers=JSON), 400, "malformed")

    def test_endless_nesting_is_a_400(self, api: httpx.Client) -> None:
        problem(api.post("/runs", content=b"[" * 200_000, headers=JSON), 400, "malformed")

    def test_bytes_that_are_no_text_are_a_400(self, api: httpx.Client) -> None:
        problem(api.post("/runs", content=b'{"input": "\xff"}', headers=JSON), 400, "malformed")

    def test_lone_surrogates_are_refused(self, api: httpx.Client) -> None:
        body = rb'{"workflow_id": "wf_1", "input": "\ud800", "tweaks": {"\ud800": 1}}'
        problem(api.post("/runs", content=body, headers=JSON), 422, "invalid")

    def test_unknown_fields_are_refused_by_name(self, api: httpx.Client, order: Order) -> None:
        refused = problem(api.post("/runs", json=order(priority=1)), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/priority"

    def test_pointers_escape_what_they_must(self, api: httpx.Client, order: Order) -> None:
        refused = problem(api.post("/runs", json=order(**{"a/b~c": 1})), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/a~1b~0c"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("input", None),
            ("timeout_seconds", "soon"),
            ("timeout_seconds", 0),
            ("timeout_seconds", 86_401),
            ("retry", {"max_attempts": 0}),
            ("session_id", "s" * 201),
            ("tweaks", []),
        ],
    )
    def test_wrong_types_and_ranges_are_pointed_at(
        self, api: httpx.Client, order: Order, field: str, value: Any
    ) -> None:
        refused = problem(api.post("/runs", json=order(**{field: value})), 422, "invalid")
        assert refused["errors"][0]["pointer"].startswith(f"/{field}")

    def test_a_refusal_does_not_repeat_what_was_sent(self, api: httpx.Client) -> None:
        response = api.post("/sources", json={"name": "x", "url": "http://x.test", "api_key": "secret key"})
        problem(response, 422, "invalid")
        assert "secret key" not in response.text

    def test_two_megabytes_are_too_many(self, api: httpx.Client, order: Order) -> None:
        refused = problem(api.post("/runs", json=order(input="x" * 2_000_000)), 413, "body_too_large")
        assert refused["correlation_id"]

    def test_two_megabytes_are_too_many_without_a_length(self, api: httpx.Client) -> None:
        request = api.build_request("POST", "/runs", content=b"x" * 2_000_000)
        del request.headers["Content-Length"]
        problem(api.send(request), 413, "body_too_large")

    def test_a_base64_body_is_understood(self, api: httpx.Client) -> None:
        problem(api.post("/runs", content=gzip.compress(b"{}"), headers=JSON), 400, "malformed")

    def test_an_almost_too_large_input_is_taken(self, api: httpx.Client, order: Order) -> None:
        run = made(api.post("/runs", json=order(input="x" * 1_000_000)))
        assert len(api.get(f"/runs/{run['id']}").json()["input"]) == 1_000_000


class TestNames:
    @pytest.mark.parametrize(
        "path",
        [
            "/nothing",
            "/runs/",
            "/runs/run_nobody",
            "/runs/a%00b",
            "/runs/../../x",
            pytest.param("/runs/" + "x" * 3000, id="long"),
            "/sources/src_nobody",
            "/workflows/wf_1/versions/one",
            "/workflows/wf_1/versions/0",
        ],
    )
    def test_what_is_not_there_is_a_404(self, api: httpx.Client, path: str) -> None:
        problem(api.get(path), 404, "not_found")

    def test_a_record_of_another_project_is_not_there(self, api: httpx.Client, order: Order) -> None:
        run = wiring.runs().get("default", made(api.post("/runs", json=order()))["id"])
        id = derived_id("run", run.created_at, "foreign")
        foreign = run.model_copy(update={"project_id": "other", "id": id, "revision": 0})
        assert wiring.runs().add([foreign]) == [True]
        for path in (f"/runs/{id}", f"/runs/{id}/steps"):
            problem(api.get(path), 404, "not_found")
        for verb in ("cancel", "retry"):
            problem(api.post(f"/runs/{id}/{verb}"), 404, "not_found")
        assert [one["id"] for one in api.get("/runs", params={"workflow_id": run.workflow_id}).json()["items"]] == [
            run.id
        ]

    def test_a_wrong_method_says_which_are_right(self, api: httpx.Client) -> None:
        refused = api.put("/runs/run_1", json={})
        problem(refused, 405, "method_not_allowed")
        assert "GET" in refused.headers["Allow"]


class TestCursors:
    @pytest.mark.parametrize("cursor", ["x", "AAAA", "ä", "=" * 20, "cnVuXzE"])
    def test_a_made_up_cursor_is_a_400(self, api: httpx.Client, cursor: str) -> None:
        problem(api.get("/runs", params={"cursor": cursor}), 400, "bad_cursor")

    def test_a_cursor_of_another_list_is_a_400(self, api: httpx.Client, order: Order) -> None:
        for _ in range(2):
            made(api.post("/runs", json=order()))
        cursor = api.get("/runs", params={"limit": 1}).json()["next_cursor"]
        assert len(api.get("/runs", params={"limit": 50, "cursor": cursor}).json()["items"]) == 1
        problem(api.get("/runs", params={"cursor": cursor, "status": "pending"}), 400, "bad_cursor")
        problem(api.get("/workflows", params={"cursor": cursor}), 400, "bad_cursor")
        tampered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        problem(api.get("/runs", params={"cursor": tampered}), 400, "bad_cursor")

    @pytest.mark.parametrize("limit", ["0", "101", "many"])
    def test_a_page_has_one_to_a_hundred_items(self, api: httpx.Client, limit: str) -> None:
        problem(api.get("/runs", params={"limit": limit}), 422, "invalid")


class TestCorrelation:
    def test_the_callers_id_comes_back(self, api: httpx.Client) -> None:
        assert api.get("/runs", headers={"X-Correlation-Id": "abc-1"}).headers["X-Correlation-Id"] == "abc-1"

    @pytest.mark.parametrize("wanted", ["", "a b", "x" * 65, "a\tb"])
    def test_an_id_that_may_not_stand_in_a_log_is_replaced(self, api: httpx.Client, wanted: str) -> None:
        assert api.get("/runs", headers={"X-Correlation-Id": wanted}).headers["X-Correlation-Id"].startswith("req_")

    def test_problems_name_it(self, api: httpx.Client) -> None:
        refused = api.get("/runs/run_1", headers={"X-Correlation-Id": "abc-2"})
        assert problem(refused, 404, "not_found")["correlation_id"] == "abc-2"


class TestFaults:
    @pytest.mark.parametrize(
        "error",
        [
            Unavailable("busy"),
            ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "GetItem"),
            EndpointConnectionError(endpoint_url="http://table.test"),
        ],
    )
    def test_a_table_that_does_not_answer_is_a_503(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        api.get("/runs")
        monkeypatch.setattr(RunStore, "get", _raising(error))
        refused = api.get("/runs/run_1")
        assert "table.test" not in problem(refused, 503, "unavailable")["detail"]
        assert int(refused.headers["Retry-After"]) > 0

    def test_a_bug_is_a_500_that_tells_nothing_but_its_id(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.get("/runs")
        monkeypatch.setattr(RunStore, "get", _raising(RuntimeError("internal detail")))
        refused = api.get("/runs/run_1", headers={"X-Correlation-Id": "abc-3"})
        document = problem(refused, 500, "internal")
        assert "internal detail" not in refused.text
        assert document["correlation_id"] == refused.headers["X-Correlation-Id"] == "abc-3"

    def test_a_record_of_a_newer_version_is_a_500_without_its_key(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.get("/runs")
        monkeypatch.setattr(RunStore, "get", _raising(SchemaTooNew("PROJECT#default#RUN#x has schema 2")))
        assert "PROJECT#" not in problem(api.get("/runs/run_1"), 500, "schema_too_new")["detail"]

    def test_a_source_that_keeps_changing_is_a_503(
        self, api: httpx.Client, source: Json, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RecordStore, "save", _raising(Conflict("lost")))
        monkeypatch.setattr(RecordStore, "delete", _raising(Conflict("lost")))
        path = f"/sources/{source['id']}"
        for response in (api.patch(path, json={"name": "x"}), api.post(f"{path}/check"), api.delete(path)):
            problem(response, 503, "unavailable")


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any, **more: Any) -> None:
        raise error

    return fail
