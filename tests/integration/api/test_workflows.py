"""Workflows over HTTP."""

import json
from typing import Any

import httpx
import pytest

from shared import wiring
from shared.domain.workflow import VersionReason, WorkflowSettings, revise, version_of
from shared.errors import Conflict
from shared.store.workflows import WorkflowStore
from tests.fakes import Clock
from tests.integration.api.conftest import made
from tests.integration.api.wire import LangFlowServer, _node, a_flow, problem
from tests.integration.conftest import Aws

Json = dict[str, Any]


def flow_with(*ids: str) -> Json:
    return a_flow(data={"nodes": [_node(id, id.partition("-")[0]) for id in ids], "edges": []})


def imported(api: httpx.Client, source: Json, **body: Any) -> httpx.Response:
    return api.post("/workflows/import", json={"source_id": source["id"], "flow_id": "flow-1", **body})


def test_an_import_takes_over_what_the_flow_says(api: httpx.Client, workflow: Json) -> None:
    assert workflow["settings"]["name"] == "Echo"
    assert workflow["settings"]["description"] == "Says it again"
    assert workflow["settings"]["tags"] == ["demo"]
    assert workflow["facts"]["icon"] == "bot"
    assert [one["id"] for one in workflow["facts"]["inputs"]] == ["ChatInput-aaaaa"]
    assert [one["id"] for one in workflow["facts"]["outputs"]] == ["ChatOutput-bbbbb"]
    assert (workflow["version"], workflow["enabled"]) == (1, True)
    assert api.get(f"/workflows/{workflow['id']}").json() == workflow


def test_secrets_of_a_flow_are_not_kept(api: httpx.Client, workflow: Json, aws: Aws) -> None:
    version = api.get(f"/workflows/{workflow['id']}/versions/1").json()
    assert version["reason"] == "imported"
    definition = wiring.payloads().get_json(version["definition_key"])
    assert definition["data"]["nodes"][2]["id"] == "OpenAI-ccccc"
    assert "sk-very-secret" not in json.dumps(definition) + str(aws.items())
    assert version["definition_url"].startswith("https://")


def test_the_same_flow_is_imported_once(api: httpx.Client, source: Json, workflow: Json) -> None:
    refused = problem(imported(api, source), 409, "already_imported")
    assert refused["workflow_id"] == workflow["id"]
    again = api.post("/workflows/import?again=true", json={"source_id": source["id"], "flow_id": "flow-1"})
    assert made(again)["id"] != workflow["id"]


def test_the_only_input_and_the_chat_among_outputs_are_chosen(
    api: httpx.Client, source: Json, langflow: LangFlowServer
) -> None:
    langflow.flows["flow-1"] = flow_with("TextInput-a", "TextOutput-b", "ChatOutput-c")
    settings = made(imported(api, source))["settings"]
    assert (settings["input_component"], settings["output_component"]) == ("TextInput-a", "ChatOutput-c")


def test_a_component_must_be_in_the_flow(api: httpx.Client, source: Json) -> None:
    refused = problem(imported(api, source, input_component="Nobody-1"), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/input_component"
    assert "ChatInput-aaaaa" in refused["detail"]
    assert made(imported(api, source, output_component="ChatOutput-bbbbb"))["settings"]["output_component"]


def test_an_import_of_what_is_not_there_names_the_field(
    api: httpx.Client, source: Json, langflow: LangFlowServer
) -> None:
    gone = imported(api, source, flow_id="flow-9")
    assert problem(gone, 422, "invalid")["errors"][0]["pointer"] == "/flow_id"
    nowhere = api.post("/workflows/import", json={"source_id": "src_nobody", "flow_id": "flow-1"})
    assert problem(nowhere, 422, "invalid")["errors"][0]["pointer"] == "/source_id"
    langflow.flows["flow-1"]["is_component"] = True
    assert "component" in problem(imported(api, source), 422, "invalid")["detail"]


def test_a_flow_beyond_reason_is_refused(api: httpx.Client, source: Json, langflow: LangFlowServer) -> None:
    deep: Json = {}
    for _ in range(150):
        deep = {"deeper": deep}
    langflow.flows["flow-1"]["data"]["nodes"][0]["data"]["node"]["template"] = deep
    problem(imported(api, source), 422, "invalid")


def test_an_import_from_a_dead_source_may_be_tried_later(
    api: httpx.Client, source: Json, langflow: LangFlowServer
) -> None:
    langflow.gone()
    problem(imported(api, source), 503, "upstream_unavailable")


def test_a_workflow_is_made_by_hand_without_asking_langflow(
    api: httpx.Client, source: Json, langflow: LangFlowServer
) -> None:
    langflow.gone()
    body = {"source_id": source["id"], "flow_id": "later", "settings": {"name": "Later", "timeout_seconds": 600}}
    workflow = made(api.post("/workflows", json=body))
    assert workflow["facts"]["definition_hash"] is None
    versions = api.get(f"/workflows/{workflow['id']}/versions").json()["items"]
    assert [(one["number"], one["reason"], one["definition_key"]) for one in versions] == [(1, "created", None)]


def test_a_long_timeout_needs_background_jobs(api: httpx.Client, langflow: LangFlowServer, source: Json) -> None:
    langflow.background = False
    assert api.post(f"/sources/{source['id']}/check").json()["check"]["supports_background"] is False
    workflow = made(imported(api, source))
    patch = {"settings": {"timeout_seconds": 241}}
    refused = problem(api.patch(f"/workflows/{workflow['id']}", json=patch), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/settings/timeout_seconds"
    body = {"source_id": source["id"], "flow_id": "x", "settings": {"name": "x", "timeout_seconds": 241}}
    problem(api.post("/workflows", json=body), 422, "invalid")
    run = {"workflow_id": workflow["id"], "input": "", "timeout_seconds": 241}
    assert problem(api.post("/runs", json=run), 422, "invalid")["errors"][0]["pointer"] == "/timeout_seconds"


def test_new_settings_are_a_new_version_and_the_others_stay(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}"
    body = {"settings": {"timeout_seconds": 60, "retry": {"max_attempts": 5}}}
    changed = api.patch(path, json=body).json()
    assert (changed["version"], changed["settings"]["timeout_seconds"]) == (2, 60)
    assert api.patch(path, json={"settings": {"retry": {"flow_failed": True}}}).json()["settings"]["retry"] == {
        **workflow["settings"]["retry"],
        "max_attempts": 5,
        "flow_failed": True,
    }
    versions = api.get(f"{path}/versions").json()["items"]
    assert [(one["number"], one["reason"]) for one in versions] == [(3, "updated"), (2, "updated"), (1, "imported")]
    assert versions[0]["definition_key"] == versions[2]["definition_key"]


def test_saying_what_is_so_already_makes_no_version(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}"
    assert api.patch(path, json={"settings": {"name": "Echo"}}).json() == workflow
    assert api.patch(path, json={}).json() == workflow


def test_switching_off_is_no_version(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}"
    off = api.patch(path, json={"enabled": False}).json()
    assert (off["enabled"], off["version"]) == (False, 1)
    assert api.patch(path, json={"enabled": True}).json()["enabled"] is True


def test_versions_are_paged(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}"
    for number in range(4):
        api.patch(path, json={"settings": {"name": f"Echo {number}"}})
    page = api.get(f"{path}/versions", params={"limit": 3}).json()
    rest = api.get(f"{path}/versions", params={"limit": 3, "cursor": page["next_cursor"]}).json()
    assert [one["number"] for one in page["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None


def test_a_sync_makes_a_version_only_of_a_changed_flow(
    api: httpx.Client, workflow: Json, langflow: LangFlowServer
) -> None:
    path = f"/workflows/{workflow['id']}"
    same = api.post(f"{path}/sync").json()
    assert (same["version"], same["facts"]) == (1, workflow["facts"])
    langflow.flows["flow-1"]["data"]["nodes"].pop()
    synced = api.post(f"{path}/sync").json()
    assert synced["version"] == 2
    assert synced["facts"]["definition_hash"] != workflow["facts"]["definition_hash"]
    assert api.get(f"{path}/versions/2").json()["reason"] == "synced"


def test_a_sync_of_a_flow_that_is_gone_says_so(api: httpx.Client, workflow: Json, langflow: LangFlowServer) -> None:
    langflow.flows.clear()
    problem(api.post(f"/workflows/{workflow['id']}/sync"), 502, "flow_not_found")


def test_a_workflow_whose_source_is_gone_cannot_be_synced_or_run(
    api: httpx.Client, source: Json, workflow: Json
) -> None:
    path = f"/workflows/{workflow['id']}"
    api.delete(f"/sources/{source['id']}?cascade=true")
    problem(api.post(f"{path}/sync"), 409, "conflict")
    problem(api.patch(path, json={"settings": {"timeout_seconds": 10}}), 409, "conflict")
    api.patch(path, json={"enabled": True})
    problem(api.post(f"{path}/runs", json={"input": "Hello"}), 409, "source_inactive")


def test_a_rollback_brings_settings_back_and_not_the_flow(
    api: httpx.Client, workflow: Json, langflow: LangFlowServer
) -> None:
    path = f"/workflows/{workflow['id']}"
    api.patch(path, json={"settings": {"name": "Second"}})
    langflow.flows["flow-1"]["data"]["nodes"].pop()
    changed = api.post(f"{path}/sync").json()
    done = api.post(f"{path}/rollback", json={"version": 1}).json()
    assert done["workflow"]["settings"] == workflow["settings"]
    assert done["workflow"]["version"] == 4
    assert done["definition_restored"] is False
    assert done["changes"] == {"name": ["Second", "Echo"]}
    hashes = [workflow["facts"]["definition_hash"], changed["facts"]["definition_hash"]]
    assert done["differences"] == {"definition_hash": hashes}
    newest = api.get(f"{path}/versions/4").json()
    assert (newest["reason"], newest["rollback_of"]) == ("rolled_back", 1)
    again = api.post(f"{path}/rollback", json={"version": 1}).json()
    assert (again["workflow"]["version"], again["changes"]) == (4, {})


def test_a_rollback_to_no_version_names_the_field(api: httpx.Client, workflow: Json) -> None:
    refused = problem(api.post(f"/workflows/{workflow['id']}/rollback", json={"version": 9}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/version"


def test_a_version_that_was_stored_before_a_crash_comes_into_force_first(api: httpx.Client, workflow: Json) -> None:
    store = wiring.workflows()
    current = store.get("default", workflow["id"])
    ahead = revise(current, wiring.now(), settings=WorkflowSettings(name="Before the crash"))
    store.save_version(version_of(ahead, VersionReason.updated, "somebody"))
    after = api.patch(f"/workflows/{workflow['id']}", json={"settings": {"timeout_seconds": 7}}).json()
    assert (after["version"], after["settings"]["name"]) == (3, "Before the crash")
    assert after["settings"]["timeout_seconds"] == 7


def test_an_edit_that_loses_every_race_gives_up(
    api: httpx.Client, workflow: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*arguments: Any) -> None:
        raise Conflict("lost")

    monkeypatch.setattr(WorkflowStore, "save", lose)
    path = f"/workflows/{workflow['id']}"
    problem(api.patch(path, json={"enabled": False}), 503, "unavailable")
    monkeypatch.setattr(WorkflowStore, "delete", lose)
    problem(api.delete(path), 503, "unavailable")


def test_a_stale_edit_is_refused(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}"
    tag = api.get(path).headers["ETag"]
    api.patch(path, json={"settings": {"name": "Newer"}})
    problem(api.patch(path, json={"enabled": False}, headers={"If-Match": tag}), 412, "stale")
    problem(api.delete(path, headers={"If-Match": f"W/{tag}"}), 412, "stale")


def test_a_workflow_with_unfinished_runs_is_not_deleted(api: httpx.Client, workflow: Json) -> None:
    path = f"/workflows/{workflow['id']}"
    run = made(api.post(f"{path}/runs", json={"input": "Hello"}))
    assert problem(api.delete(path), 409, "in_use")["users"] == [run["id"]]
    api.post(f"/runs/{run['id']}/cancel")
    assert api.delete(path).status_code == 204
    problem(api.get(path), 404, "not_found")
    assert api.get(f"/runs/{run['id']}").json()["status"] == "cancelled"
    problem(api.post(f"/runs/{run['id']}/retry"), 409, "conflict")


@pytest.mark.parametrize("value", [{"a": "x" * 33_000}, {"a": float("nan")}])
def test_tweaks_that_cannot_be_stored_are_refused(api: httpx.Client, workflow: Json, value: Json) -> None:
    body = json.dumps({"settings": {"tweaks": value}})
    headers = {"Content-Type": "application/json"}
    refused = problem(api.patch(f"/workflows/{workflow['id']}", content=body, headers=headers), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/settings/tweaks"


def test_an_import_that_would_take_too_long_leaves_nothing_and_can_be_sent_again(
    api: httpx.Client, langflow: LangFlowServer, clock: Clock
) -> None:
    unseen = {"name": "lab", "url": "http://langflow.test", "api_key": langflow.key}
    source = made(api.post("/sources?verify=false", json=unseen))
    langflow.slow(lambda: clock.forward(18))
    body, key = {"source_id": source["id"], "flow_id": "flow-1"}, {"Idempotency-Key": "import"}
    problem(api.post("/workflows/import", json=body, headers=key), 503, "out_of_time")
    assert api.get("/workflows").json()["items"] == []
    assert (
        made(api.post("/workflows/import", json=body, headers=key))["flow_id"] == "flow-1"
    )  # what it is, is known now
