"""The audit log over HTTP: what makes an entry, who reads it, and what the tick seals."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.api import dependencies, identity
from functions.api.pages import make_cursor
from shared import wiring
from shared.domain.api_key import FIRST_KEY, ApiKey, read_key, written
from shared.domain.audit import AuditEntry
from shared.domain.project import Project
from shared.domain.role import BuiltIn
from shared.errors import Conflict, Unavailable
from shared.store.audit import AuditFilter, AuditStore
from shared.store.table import Table
from tests.fakes import Clock
from tests.integration.api.conftest import client, made
from tests.integration.api.schedules import Body
from tests.integration.api.test_api_keys import change_secret
from tests.integration.api.wire import LangFlowServer, problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
NEW = {"name": "lab", "url": "http://langflow.test", "api_key": "lf-secret-key"}
SECRET = "k" * 43


def entries(api: httpx.Client, **filters: str) -> list[Json]:
    """Newest first; that the first key was registered only where it is asked for."""
    answer = api.get("/audit", params=filters)
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return [each for each in items if each["subject"] != FIRST_KEY or "subject" in filters]


def actions(api: httpx.Client, **filters: str) -> list[str]:
    """Oldest first."""
    return [entry["action"] for entry in sorted(entries(api, **filters), key=lambda each: (each["at"], each["number"]))]


def another(role: BuiltIn, *, name: str = "other", organization: str = "default", project: str = "default") -> str:
    """The text of a key that opens `project` alone."""
    presented = read_key(f"spk_{name}_{SECRET}")
    assert presented is not None
    key = ApiKey(
        id=presented.key_id,
        organization_id=organization,
        project_id=project,
        name=name,
        role=role,
        hash=presented.hash,
        created_at=wiring.now(),
    )
    identity.api_keys().save(None, key)
    return written(key.id, SECRET)


# ------------------------------------------------------------------------------------------------ what makes an entry


def test_a_change_says_who_did_what_on_what_from_where(api: httpx.Client, langflow: LangFlowServer) -> None:
    source = made(api.post("/sources", json=NEW, headers={"X-Correlation-Id": "trace-1"}))
    api.patch(f"/sources/{source['id']}", json={"name": "new"})
    api.delete(f"/sources/{source['id']}")

    deleted, updated, created = entries(api, subject=source["id"])

    assert [created["action"], updated["action"], deleted["action"]] == [
        "source.created",
        "source.updated",
        "source.deleted",
    ]
    assert (created["actor"], created["address"], created["correlation_id"]) == ("bootstrap", "127.0.0.1", "trace-1")
    assert (created["kind"], created["subject"], created["project_id"]) == ("source", source["id"], "default")
    assert created["before_hash"] is None
    assert created["after_hash"] == updated["before_hash"] != updated["after_hash"] == deleted["before_hash"]
    assert deleted["after_hash"] is None
    assert [each["number"] for each in (created, updated, deleted)] == [1, 2, 3]
    assert (created["previous"], updated["previous"], deleted["previous"]) == (None, created["hash"], updated["hash"])


def test_no_entry_holds_a_secret_and_another_secret_is_another_hash(
    api: httpx.Client, langflow: LangFlowServer, aws: Aws
) -> None:
    source = made(api.post("/sources", json=NEW))
    langflow.key = "another-secret"
    api.patch(f"/sources/{source['id']}", json={"api_key": "another-secret"})

    updated, created = entries(api, subject=source["id"])

    assert created["after_hash"] == updated["before_hash"] != updated["after_hash"]
    assert "secret" not in api.get("/audit/export").text


def test_what_changes_nothing_is_no_entry(api: httpx.Client, source: Json, workflow: Json) -> None:
    before = actions(api)
    api.post(f"/sources/{source['id']}/check")
    api.patch(f"/sources/{source['id']}", json={"name": source["name"]})
    api.post(f"/workflows/{workflow['id']}/sync")
    assert actions(api) == before == ["source.created", "workflow.imported"]


def test_workflows_and_schedules_are_followed(api: httpx.Client, langflow: LangFlowServer, schedule: Json) -> None:
    workflow, id = schedule["workflow_id"], schedule["id"]
    api.patch(f"/workflows/{workflow}", json={"settings": {"name": "B"}})
    api.post(f"/workflows/{workflow}/rollback", json={"version": 1})
    api.patch(f"/schedules/{id}", json={"settings": {"name": "B"}})
    api.post(f"/schedules/{id}/pause")
    api.post(f"/schedules/{id}/resume")
    api.delete(f"/schedules/{id}")
    api.delete(f"/workflows/{workflow}")

    assert actions(api, subject=workflow) == [
        "workflow.imported",
        "workflow.updated",
        "workflow.rolled_back",
        "workflow.deleted",
    ]
    assert actions(api, subject=id) == [
        "schedule.created",
        "schedule.updated",
        "schedule.paused",
        "schedule.resumed",
        "schedule.deleted",
    ]


def test_many_at_once_are_one_entry(api: httpx.Client, body: Body) -> None:
    schedules = [made(api.post("/schedules", json=body())) for _ in range(3)]
    assert api.post("/schedules/pause", json={"workflow_id": schedules[0]["workflow_id"]}).json()["changed"] == 3
    assert api.post("/schedules/pause", json={}).json()["changed"] == 0

    (entry,) = entries(api, action="schedules.paused")

    assert entry["detail"] == {"state": "active", "matched": 3, "workflow_id": schedules[0]["workflow_id"]}
    assert (entry["kind"], entry["subject"]) == ("project", "default")
    assert actions(api, subject=schedules[0]["id"]) == ["schedule.created"]


def test_a_run_is_recorded_on_the_run_alone(api: httpx.Client, workflow: Json) -> None:
    before = actions(api)
    made(api.post("/runs", json={"workflow_id": workflow["id"], "input": "x"}))
    assert actions(api) == before


def test_a_change_that_cannot_be_stored_leaves_no_entry_and_the_other_way_round(
    api: httpx.Client, source: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(table: Table, *_: Any, **__: Any) -> None:
        raise Unavailable("too busy")

    monkeypatch.setattr(Table, "put_all", down)
    problem(api.patch(f"/sources/{source['id']}", json={"name": "new"}), 503, "unavailable")
    monkeypatch.undo()
    assert api.get(f"/sources/{source['id']}").json()["name"] == source["name"]
    assert actions(api, subject=source["id"]) == ["source.created"]


# ------------------------------------------------------------------------------------------------ what is denied


def test_a_denial_is_noted_once_a_minute(api: httpx.Client, source: Json) -> None:
    with client(another(BuiltIn.viewer)) as viewer:
        for _ in range(3):
            problem(viewer.delete(f"/sources/{source['id']}"), 403, "forbidden")
        problem(viewer.get("/audit"), 403, "forbidden")

    read, deleted = entries(api, action="request.denied")

    assert (deleted["kind"], deleted["subject"], deleted["actor"]) == ("caller", "key_other", "key_other")
    assert deleted["detail"] == {
        "request": f"DELETE /api/v1/sources/{source['id']}",
        "permission": "sources:write",
    }
    assert read["detail"]["permission"] == "audit:read"
    assert (deleted["number"], read["number"], read["previous"]) == (1, 2, deleted["hash"])


def test_a_harmless_denial_hides_no_other_of_the_same_permission(api: httpx.Client, source: Json) -> None:
    with client(another(BuiltIn.viewer)) as viewer:
        problem(viewer.delete(f"/sources/{source['id']}"), 403, "forbidden")
        problem(viewer.delete("/sources/src_none"), 403, "forbidden")
        problem(viewer.patch(f"/sources/{source['id']}", json={"name": "mine"}), 403, "forbidden")
        problem(viewer.post("/sources", json={"name": "x", "url": "http://x.test"}), 403, "forbidden")

    seen = [entry["detail"]["request"] for entry in entries(api, action="request.denied")]
    assert [request.split()[0] for request in seen] == ["POST", "PATCH", "DELETE"]


def test_a_denial_that_cannot_be_noted_is_a_denial_all_the_same(
    api: httpx.Client, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> None:
        raise Unavailable("too busy")

    api.get("/sources")
    monkeypatch.setattr(AuditStore, "append", busy)
    with client(another(BuiltIn.viewer)) as viewer:
        problem(viewer.get("/audit"), 403, "forbidden")


# ------------------------------------------------------------------------------------------------ who reads what


def test_the_log_is_paged_and_filtered(api: httpx.Client, langflow: LangFlowServer, clock: Clock) -> None:
    api.get("/sources")  # registers the first key
    clock.forward(60)
    sources = []
    for _ in range(5):
        sources.append(made(api.post("/sources", json=NEW)))
        clock.forward(60)
    newest = [source["id"] for source in reversed(sources)]

    first = api.get("/audit", params={"limit": 2}).json()
    second = api.get("/audit", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    third = api.get("/audit", params={"limit": 2, "cursor": second["next_cursor"]}).json()

    assert [each["subject"] for page in (first, second, third) for each in page["items"]] == [*newest, FIRST_KEY]
    assert third["next_cursor"] is None
    assert entries(api, actor="nobody") == entries(api, project_id="other") == []
    assert len(entries(api, actor="bootstrap", action="source.created", project_id="default")) == 5
    at = entries(api, subject=newest[2])[0]["at"]
    assert [each["subject"] for each in entries(api, since=at)] == newest[:3]
    assert [each["subject"] for each in entries(api, until=at)] == newest[2:]
    problem(api.get("/audit", params={"limit": 2, "actor": "x", "cursor": first["next_cursor"]}), 400, "bad_cursor")


def test_an_export_is_lines_oldest_first_that_go_on(
    api: httpx.Client, langflow: LangFlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.api.routers.audit.MAX_LINES", 2)
    sources = [made(api.post("/sources", json=NEW)) for _ in range(3)]

    first = api.get("/audit/export")
    second = api.get("/audit/export" + first.links["next"]["url"])

    assert first.headers["Content-Type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for page in (first, second) for line in page.text.splitlines()]
    assert sorted(line["subject"] for line in lines) == sorted([FIRST_KEY, *(source["id"] for source in sources)])
    assert lines == list(reversed(api.get("/audit").json()["items"]))
    assert len(first.text.splitlines()) == 2
    assert "next" not in second.links
    problem(api.get("/audit/export?since=2030-01-01T00:00:00Z&cursor=x"), 400, "bad_cursor")


def test_a_key_of_one_project_sees_that_project_alone(api: httpx.Client, source: Json) -> None:
    wiring.projects().save(None, Project(project_id="prj_b", name="B", created_at=wiring.now()))
    with client(another(BuiltIn.admin, project="prj_b")) as other:
        assert entries(other) == []
        assert other.get("/audit/export").text == ""
        problem(other.get("/audit?project_id=default"), 403, "forbidden")
        problem(other.get("/audit/seals"), 403, "forbidden")
        assert actions(other) == ["request.denied"] * 2
    assert "source.created" in actions(api)


def test_another_organization_sees_nothing(api: httpx.Client, source: Json) -> None:
    project = Project(organization_id="org_b", project_id="prj_b", name="B", created_at=wiring.now())
    wiring.projects().save(None, project)
    with client(another(BuiltIn.owner, organization="org_b", project="prj_b")) as stranger:
        assert entries(stranger) == entries(stranger, subject=source["id"]) == []
        assert stranger.get("/audit/export").text == ""


# ------------------------------------------------------------------------------------------------ what the tick seals


def tick() -> int:
    return int(wiring.ticker().tick(wiring.now() + timedelta(seconds=30), lambda shard: None).sealed)


def test_each_tick_seals_what_is_new(api: httpx.Client, source: Json) -> None:
    assert tick() == 2  # that the first key was registered, too
    assert tick() == 0
    api.patch(f"/sources/{source['id']}", json={"name": "b"})
    api.patch(f"/sources/{source['id']}", json={"name": "c"})
    assert tick() == 2

    second, first = api.get("/audit/seals").json()["items"]

    third, _, created = entries(api, subject=source["id"])
    chain = f"source/{source['id']}"
    (registered,) = entries(api, subject=FIRST_KEY)
    assert first["heads"] == [
        {"chain": f"key/{FIRST_KEY}", "number": 1, "hash": registered["hash"]},
        {"chain": chain, "number": 1, "hash": created["hash"]},
    ]
    assert second["heads"] == [{"chain": chain, "number": 3, "hash": third["hash"]}]
    assert (first["number"], first["previous"]) == (1, None)
    assert (second["number"], second["previous"]) == (2, first["hash"])
    assert api.get("/audit/seals?limit=1").json()["items"] == [second]


def test_a_tick_that_dies_between_seal_and_note_seals_once_more(
    api: httpx.Client, source: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AuditStore, "sealed", lambda *_: None)
    assert tick() == 2
    monkeypatch.undo()
    assert tick() == 2
    assert tick() == 0
    second, first = api.get("/audit/seals").json()["items"]
    assert first["heads"] == second["heads"]


def test_of_two_ticks_at_once_one_seals(api: httpx.Client, source: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise Conflict("somebody was faster")

    monkeypatch.setattr(AuditStore, "add_seal", lost)
    assert tick() == 0
    monkeypatch.undo()
    assert tick() == 2


def test_the_store_gives_entries_as_they_were_made(api: httpx.Client, source: Json) -> None:
    (entry,) = wiring.audit().list("default", AuditFilter(subject=source["id"]), limit=9).items
    assert isinstance(entry, AuditEntry)
    assert entry.chain == f"source/{source['id']}"


# ------------------------------------------------------------------------------------------------ identity


def test_keys_roles_projects_and_the_organization_are_followed(api: httpx.Client, aws: Aws) -> None:
    role = made(api.post("/roles", json={"name": "R", "allow": ["runs:read"]}))["id"]
    project = made(api.post("/projects", json={"name": "P"}))["id"]
    key = made(api.post("/api-keys", json={"name": "K", "role": role, "project_id": project}))
    id = key["id"]
    assert api.patch(f"/roles/{role}", json={"name": "S"}).status_code == 200
    assert api.patch(f"/projects/{project}", json={"name": "Q"}).status_code == 200
    assert api.patch(f"/api-keys/{id}", json={"name": "L"}).status_code == 200
    rotated = api.post(f"/api-keys/{id}/rotate", json={"overlap_seconds": 0}).json()
    assert api.delete(f"/api-keys/{id}").status_code == 204
    assert api.delete(f"/roles/{role}").status_code == 204
    assert api.delete(f"/projects/{project}").status_code == 204
    assert api.patch("/organizations/default", json={"name": "Ours"}).status_code == 200

    assert actions(api, subject=id) == ["key.created", "key.updated", "key.rotated", "key.revoked"]
    assert actions(api, subject=role) == ["role.created", "role.updated", "role.deleted"]
    assert actions(api, subject=project) == ["project.created", "project.updated", "project.deleted"]
    assert actions(api, subject="default") == ["organization.updated"]
    log = api.get("/audit/export").text
    assert key["key"].rpartition("_")[2] not in log
    assert rotated["key"].rpartition("_")[2] not in log
    assert {entry["actor"] for entry in entries(api)} == {"bootstrap"}


def test_the_use_of_a_key_is_no_entry(api: httpx.Client, clock: Clock) -> None:
    api.get("/sources")
    clock.forward(3600)
    api.get("/sources")
    assert entries(api) == []


# ------------------------------------------------------------------------------------------------ what Spark does


def test_the_first_key_is_registered_by_spark_and_with_another_secret_rotated(api: httpx.Client, aws: Aws) -> None:
    api.get("/sources")
    change_secret(aws, "n" * 43)
    dependencies.doorkeeper.cache_clear()
    with client(f"spk_{FIRST_KEY}_{'n' * 43}") as caller:
        rotated, created = entries(caller, subject=FIRST_KEY)
    assert (created["action"], rotated["action"]) == ("key.created", "key.rotated")
    assert {entry["actor"] for entry in (created, rotated)} == {"spark"}
    assert created["after_hash"] == rotated["before_hash"] != rotated["after_hash"]


def test_a_pause_after_failures_is_sparks_own(api: httpx.Client, schedule: Json) -> None:
    act = wiring.by_spark("default", "schedule.paused", "3 failed runs in a row.")
    before = wiring.schedules().get("default", schedule["id"])
    wiring.schedules().save(before, before.model_copy(update={"enabled": False}), act)
    paused, _ = sorted(entries(api, subject=schedule["id"]), key=lambda entry: -entry["number"])
    assert (paused["actor"], paused["action"], paused["address"]) == ("spark", "schedule.paused", None)
    assert paused["detail"] == {"reason": "3 failed runs in a row."}


@pytest.mark.parametrize("number", ["x", "-5", "0", "\u0661", "9" * 40])
def test_a_cursor_that_somebody_made_is_refused(api: httpx.Client, number: str) -> None:
    cursor = make_cursor(number, "default\0/api/v1/audit/seals\0")
    problem(api.get("/audit/seals", params={"cursor": cursor}), 400, "bad_cursor")
