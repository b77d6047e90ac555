"""Sources over HTTP."""

import socket
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared import wiring
from shared.domain.act import Act
from shared.domain.source import Source
from shared.domain.workflow import Workflow
from shared.errors import Conflict, NotFound
from shared.services import syncing
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore
from tests.fakes import Clock
from tests.integration.api.conftest import made
from tests.integration.api.wire import LangFlowServer, a_flow, problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
NEW = {"name": "lab", "url": "http://langflow.test", "api_key": "lf-secret-key"}


def test_a_new_source_is_looked_at_and_its_key_is_hidden(api: httpx.Client, langflow: LangFlowServer, aws: Aws) -> None:
    response = api.post("/sources", json={**NEW, "url": "http://langflow.test/"})
    source = made(response)
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/sources/{source['id']}"
    assert source["url"] == "http://langflow.test"
    assert source["has_api_key"] is True
    assert source["check"]["dialect"] == "langflow_v2"
    assert source["check"]["supports_background"] is True
    assert "lf-secret-key" not in response.text
    assert "lf-secret-key" not in str(aws.items())
    assert wiring.sources().get("default", source["id"]).encrypted_key is not None


def test_langflow_gets_the_key_and_the_correlation_id(api: httpx.Client, langflow: LangFlowServer) -> None:
    made(api.post("/sources", json=NEW, headers={"X-Correlation-Id": "trace-1"}))
    last = langflow.requests[-1]
    assert last.headers["x-api-key"] == "lf-secret-key"
    assert last.headers["x-correlation-id"] == "trace-1"


def test_a_source_that_does_not_answer_is_refused_unless_asked_otherwise(
    api: httpx.Client, langflow: LangFlowServer
) -> None:
    langflow.gone()
    refused = problem(api.post("/sources", json=NEW), 422, "source_not_verified")
    assert refused["errors"][0]["pointer"] == "/url"
    assert "?verify=false" in refused["detail"]
    assert api.get("/sources").json()["items"] == []
    assert made(api.post("/sources?verify=false", json=NEW))["check"] is None


def test_a_wrong_key_is_refused_by_name(api: httpx.Client, langflow: LangFlowServer) -> None:
    refused = problem(api.post("/sources", json={**NEW, "api_key": "wrong"}), 422, "source_not_verified")
    assert refused["errors"][0]["pointer"] == "/api_key"
    assert "wrong" not in refused["detail"]


def test_something_that_is_no_langflow_is_refused(api: httpx.Client, langflow: LangFlowServer) -> None:
    langflow.refusal = lambda request: httpx.Response(404, text="nothing here")
    assert "no LangFlow" in problem(api.post("/sources", json=NEW), 422, "source_not_verified")["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://langflow.test",
        "langflow.test",
        "http://",
        "http://user:pass@langflow.test",
        "http://langflow.test/?a=1",
        "http://langflow.test/#top",
        "http://langflow.test:99999",
        "http://lang flow.test",
        "http://" + "a" * 500,
        "http://[::1",
    ],
)
def test_urls_that_cannot_be_a_langflow_are_refused(api: httpx.Client, url: str) -> None:
    refused = problem(api.post("/sources", json={**NEW, "url": url}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/url"


INSIDE = [
    "http://169.254.169.254",
    "http://[fe80::1]",
    "http://[::ffff:169.254.169.254]/latest",
    "http://169.254.170.2",
    "http://[fd00:ec2::254]",
    "http://127.0.0.1:9001",
    "http://10.0.0.1:7860",
    "http://192.168.0.1",
    "http://[::1]:7860",
    "http://[::ffff:10.0.0.1]",
    "https://2851995902",
    "http://0xa9fea9fe",
    "http://169.254.43518",
    "http://10.1.",
    "http://0",
]


@pytest.mark.parametrize("query", ["", "?verify=false"])
@pytest.mark.parametrize("url", INSIDE)
def test_an_address_that_is_not_public_is_refused_unseen(
    api: httpx.Client, langflow: LangFlowServer, url: str, query: str
) -> None:
    refused = problem(api.post(f"/sources{query}", json={**NEW, "url": url}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/url"
    assert "OutboundAllow" in refused["detail"]
    assert langflow.requests == []
    assert api.get("/sources").json()["items"] == []


@pytest.mark.parametrize("query", ["", "?verify=false"])
def test_a_source_cannot_move_inside_either(
    api: httpx.Client, source: Json, langflow: LangFlowServer, query: str
) -> None:
    path = f"/sources/{source['id']}"
    refused = problem(api.patch(f"{path}{query}", json={"url": "http://169.254.169.254"}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/url"
    assert api.get(path).json()["url"] == "http://langflow.test"


def test_an_address_that_the_deployment_allows_can_be_a_source(api: httpx.Client, langflow: LangFlowServer) -> None:
    assert made(api.post("/sources", json={**NEW, "url": "http://127.0.0.1:7860"}))["check"]["reachable"] is True


@pytest.mark.parametrize("name", ["inside.test", "169.254.169.254.nip.test"])
def test_a_name_that_leads_inside_is_refused_and_nobody_learns_where_it_leads(
    api: httpx.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(None, None, None, "", ("10.1.2.3", 80))])
    refused = problem(api.post("/sources", json={**NEW, "url": f"http://{name}"}), 422, "source_not_verified")
    assert refused["errors"][0]["pointer"] == "/url"
    assert "OutboundAllow" in refused["detail"]
    assert "10.1.2.3" not in str(refused)


def test_a_name_that_moved_inside_is_not_asked_any_more(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(None, None, None, "", ("10.1.2.3", 80))])
    path = f"/sources/{made(api.post('/sources?verify=false', json=NEW))['id']}"
    found = api.post(f"{path}/check").json()["check"]
    assert (found["reachable"], "OutboundAllow" in found["message"]) == (False, True)
    assert "OutboundAllow" in problem(api.get(f"{path}/flows"), 502, "address_refused")["detail"]
    assert "10.1.2.3" not in api.get(path).text


def test_a_list_shows_the_newest_first_and_goes_on(api: httpx.Client) -> None:
    ids = [made(api.post("/sources?verify=false", json={**NEW, "name": str(n)}))["id"] for n in range(5)]
    first = api.get("/sources", params={"limit": 2})
    page = first.json()
    assert [source["id"] for source in page["items"]] == [ids[4], ids[3]]
    second = api.get(str(httpx.URL(str(first.url)).join(first.headers["Link"].split(">")[0][1:])))
    assert [source["id"] for source in second.json()["items"]] == [ids[2], ids[1]]
    third = api.get("/sources", params={"limit": 2, "cursor": second.json()["next_cursor"]}).json()
    assert [source["id"] for source in third["items"]] == [ids[0]]
    assert third["next_cursor"] is None


def test_a_patch_changes_what_it_names(api: httpx.Client, source: Json) -> None:
    changed = api.patch(f"/sources/{source['id']}", json={"name": "prod", "max_concurrency": 3})
    assert changed.status_code == 200
    assert changed.json() | {"updated_at": ""} == source | {"name": "prod", "max_concurrency": 3, "updated_at": ""}
    assert api.patch(f"/sources/{source['id']}", json={"max_concurrency": None}).json()["max_concurrency"] is None


def test_a_changed_address_is_looked_at_first(api: httpx.Client, source: Json, langflow: LangFlowServer) -> None:
    path = f"/sources/{source['id']}"
    langflow.gone()
    problem(api.patch(path, json={"url": "http://moved.test"}), 422, "source_not_verified")
    assert api.get(path).json()["url"] == "http://langflow.test"
    unseen = api.patch(f"{path}?verify=false", json={"url": "http://moved.test"}).json()
    assert (unseen["url"], unseen["check"]) == ("http://moved.test", None)


def test_a_key_can_be_taken_away(api: httpx.Client, source: Json, langflow: LangFlowServer) -> None:
    langflow.key = None
    assert api.patch(f"/sources/{source['id']}", json={"api_key": None}).json()["has_api_key"] is False


def test_a_stale_edit_is_refused(api: httpx.Client, source: Json) -> None:
    path = f"/sources/{source['id']}"
    tag = api.get(path).headers["ETag"]
    assert api.patch(path, json={"name": "one"}, headers={"If-Match": tag}).status_code == 200
    problem(api.patch(path, json={"name": "two"}, headers={"If-Match": tag}), 412, "stale")
    problem(api.delete(path, headers={"If-Match": tag}), 412, "stale")
    assert api.patch(path, json={"name": "three"}, headers={"If-Match": "*"}).json()["name"] == "three"


def test_a_check_does_not_change_the_etag(api: httpx.Client, source: Json) -> None:
    tag = api.get(f"/sources/{source['id']}").headers["ETag"]
    assert api.post(f"/sources/{source['id']}/check").headers["ETag"] == tag


def test_a_check_reports_bad_news_as_an_answer(api: httpx.Client, source: Json, langflow: LangFlowServer) -> None:
    langflow.gone()
    checked = api.post(f"/sources/{source['id']}/check")
    assert checked.status_code == 200
    assert checked.json()["check"]["reachable"] is False


def test_a_source_in_use_is_not_deleted(api: httpx.Client, source: Json, workflow: Json) -> None:
    refused = problem(api.delete(f"/sources/{source['id']}"), 409, "in_use")
    assert refused["users"] == [workflow["id"]]


def test_a_cascade_disables_the_workflows(api: httpx.Client, source: Json, workflow: Json) -> None:
    assert api.delete(f"/sources/{source['id']}?cascade=true").status_code == 204
    problem(api.get(f"/sources/{source['id']}"), 404, "not_found")
    assert api.get(f"/workflows/{workflow['id']}").json()["enabled"] is False
    problem(api.post(f"/workflows/{workflow['id']}/runs", json={"input": "Hello"}), 409, "workflow_disabled")


def test_remote_flows_are_listed_page_by_page(api: httpx.Client, source: Json, langflow: LangFlowServer) -> None:
    langflow.flows = {f"flow-{n}": a_flow(f"flow-{n}", f"Flow {n}") for n in range(5)}
    path = f"/sources/{source['id']}/flows"
    page = api.get(path, params={"limit": 3}).json()
    rest = api.get(path, params={"limit": 3, "cursor": page["next_cursor"]}).json()
    assert len(page["items"]) == 3
    assert len({flow["id"] for flow in page["items"] + rest["items"]}) == 5
    assert rest["next_cursor"] is None


def test_a_source_that_cannot_be_asked_is_an_upstream_problem(
    api: httpx.Client, source: Json, langflow: LangFlowServer
) -> None:
    path = f"/sources/{source['id']}/flows"
    langflow.refusal = lambda request: httpx.Response(500, json={"detail": "broken"})
    assert api.get(path).status_code == 502
    langflow.refusal = lambda request: httpx.Response(200, text="<html>")
    problem(api.get(path), 502, "invalid_answer")
    langflow.refusal = lambda request: httpx.Response(403, json={"detail": "Invalid API key"})
    problem(api.get(path), 502, "upstream_refused")
    langflow.gone()
    assert problem(api.get(path), 503, "upstream_unavailable")
    assert int(api.get(path).headers["Retry-After"]) >= 1


def test_an_unseen_source_is_looked_at_when_it_is_first_asked(api: httpx.Client, langflow: LangFlowServer) -> None:
    source = made(api.post("/sources?verify=false", json=NEW))
    assert len(api.get(f"/sources/{source['id']}/flows").json()["items"]) == 1
    assert api.get(f"/sources/{source['id']}").json()["check"]["dialect"] == "langflow_v2"


def test_a_sync_refreshes_what_changed(api: httpx.Client, source: Json, langflow: LangFlowServer) -> None:
    langflow.flows |= {f"flow-{n}": a_flow(f"flow-{n}") for n in (2, 3)}
    ids = [
        made(api.post("/workflows/import", json={"source_id": source["id"], "flow_id": f"flow-{n}"}))["id"]
        for n in (1, 2, 3)
    ]
    langflow.flows["flow-2"]["data"]["nodes"].pop()
    del langflow.flows["flow-3"]
    answer = api.post(f"/sources/{source['id']}/sync").json()
    found = {item["workflow_id"]: item for item in answer["items"]}
    assert [found[id]["status"] for id in ids] == ["unchanged", "synced", "failed"]
    assert [found[id]["version"] for id in ids] == [1, 2, 1]
    assert found[ids[2]]["error"]["code"] == "flow_not_found"
    assert answer["next_cursor"] is None


def test_a_sync_of_a_dead_source_fails_as_one(
    api: httpx.Client, source: Json, workflow: Json, langflow: LangFlowServer
) -> None:
    langflow.gone()
    problem(api.post(f"/sources/{source['id']}/sync"), 503, "upstream_unavailable")


def test_a_long_sync_goes_on_with_its_cursor(
    api: httpx.Client, source: Json, langflow: LangFlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "MAX_SYNCED", 2)
    monkeypatch.setattr(syncing, "PAGE", 2)
    langflow.flows = {f"flow-{n}": a_flow(f"flow-{n}") for n in range(5)}
    for id in langflow.flows:
        made(api.post("/workflows/import", json={"source_id": source["id"], "flow_id": id}))
    seen: list[str] = []
    cursor = None
    while True:
        page = api.post(f"/sources/{source['id']}/sync", params={"cursor": cursor} if cursor else {}).json()
        seen += [item["workflow_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5


def test_a_sync_goes_on_past_what_it_cannot_read(
    api: httpx.Client, source: Json, workflow: Json, langflow: LangFlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep: Json = {}
    for _ in range(150):
        deep = {"deeper": deep}
    langflow.flows["flow-1"]["data"]["nodes"][0]["data"]["node"]["template"] = deep
    (item,) = api.post(f"/sources/{source['id']}/sync").json()["items"]
    assert (item["status"], item["error"]["code"]) == ("failed", "invalid")

    def deleted(*arguments: Any, **more: Any) -> None:
        raise NotFound("workflow", workflow["id"])

    monkeypatch.setattr(syncing, "refresh", deleted)
    assert api.post(f"/sources/{source['id']}/sync").json()["items"][0]["status"] == "unchanged"


def test_a_cascade_meets_a_workflow_that_changes(
    api: httpx.Client, source: Json, workflow: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = WorkflowStore.save, list[int]()

    def race(store: WorkflowStore, before: Workflow | None, after: Workflow, act: Act | None) -> Workflow:
        calls.append(1)
        if len(calls) == 1:
            raise Conflict("lost")
        return save(store, before, after, act)

    monkeypatch.setattr(WorkflowStore, "save", race)
    assert api.delete(f"/sources/{source['id']}?cascade=true").status_code == 204
    assert api.get(f"/workflows/{workflow['id']}").json()["enabled"] is False


def test_a_change_that_is_always_overtaken_ends_before_the_function_does(
    api: httpx.Client, source: Json, langflow: LangFlowServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(store: SourceStore, before: Source | None, after: Source, act: Act | None) -> Source:
        raise Conflict("lost")

    monkeypatch.setattr(SourceStore, "save", lose)
    langflow.slow(lambda: clock.forward(9))
    before = clock()
    answer = api.patch(f"/sources/{source['id']}", json={"url": "http://moved.test"})
    assert "send it again" in problem(answer, 503, "out_of_time")["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert clock() - before == timedelta(seconds=18)  # a third look might have taken ten more


def test_a_sync_of_a_slow_source_stops_in_time_and_goes_on(
    api: httpx.Client, source: Json, langflow: LangFlowServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "PAGE", 2)
    langflow.flows = {f"flow-{n}": a_flow(f"flow-{n}") for n in range(6)}
    for id in langflow.flows:
        made(api.post("/workflows/import", json={"source_id": source["id"], "flow_id": id}))
    for seconds, pages in [(5, [3, 3]), (6, [2, 2, 2]), (21, [1] * 6)]:
        langflow.slow(lambda seconds=seconds: clock.forward(seconds))  # type: ignore[misc]
        assert synced(api, source) == pages
        del langflow._answer


def synced(api: httpx.Client, source: Json) -> list[int]:
    """How many workflows each call of a whole sync was about."""
    counts, cursor = list[int](), None
    while True:
        page = api.post(f"/sources/{source['id']}/sync", params={"cursor": cursor} if cursor else {}).json()
        assert all(item["status"] == "unchanged" for item in page["items"])
        counts.append(len(page["items"]))
        cursor = page["next_cursor"]
        if cursor is None:
            return counts


def test_a_long_cascade_stops_in_time_and_goes_on(
    api: httpx.Client, source: Json, langflow: LangFlowServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    langflow.flows = {f"flow-{n}": a_flow(f"flow-{n}") for n in range(3)}
    for id in langflow.flows:
        made(api.post("/workflows/import", json={"source_id": source["id"], "flow_id": id}))
    save = WorkflowStore.save

    def slowly(store: WorkflowStore, before: Workflow | None, after: Workflow, act: Act | None) -> Workflow:
        clock.forward(12)
        return save(store, before, after, act)

    monkeypatch.setattr(WorkflowStore, "save", slowly)
    problem(api.delete(f"/sources/{source['id']}?cascade=true"), 503, "out_of_time")
    assert [one["enabled"] for one in api.get("/workflows").json()["items"]] == [False, False, True]
    assert api.delete(f"/sources/{source['id']}?cascade=true").status_code == 204
