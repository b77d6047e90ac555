"""Projects and organizations over HTTP."""

from typing import Any

import httpx
import pytest

from functions.api import dependencies, identity
from shared import wiring
from shared.domain.role import Permission
from shared.services.founding import Contents
from shared.services.granting import Grantor
from shared.store.organizations import OrganizationStore
from shared.store.projects import ProjectStore
from shared.store.table import Table
from tests.integration.api.conftest import made
from tests.integration.api.keys import RIVAL, a_key, a_project, holder, rival
from tests.integration.api.people import Invite, Person
from tests.integration.api.wire import LangFlowServer, problem

Json = dict[str, Any]
SOURCE = {"name": "lab", "url": "http://langflow.test", "api_key": "lf-secret-key"}


def test_a_new_project_is_open_at_once(api: httpx.Client) -> None:
    response = api.post("/projects", json={"name": "Lab", "retention_days": 7})
    project = made(response)
    assert response.headers["Location"] == f"/api/v1/projects/{project['id']}"
    assert project["id"].startswith("prj_")
    assert (project["organization_id"], project["name"], project["retention_days"]) == ("default", "Lab", 7)
    assert api.get(f"/projects/{project['id']}").json() == project
    assert api.get("/runs", headers={"X-Project-Id": project["id"]}).status_code == 200


def test_a_project_keeps_runs_for_ninety_days_unless_told_otherwise(api: httpx.Client) -> None:
    id = a_project(api)
    assert api.get(f"/projects/{id}").json()["retention_days"] == 90
    assert api.patch(f"/projects/{id}", json={"retention_days": 0}).json()["retention_days"] == 0


@pytest.mark.parametrize("body", [{"name": ""}, {"retention_days": 8}, {"name": None}, {"id": "x"}])
def test_what_makes_no_sense_is_refused(api: httpx.Client, body: Json) -> None:
    problem(api.post("/projects", json={"name": "Lab", **body}), 422, "invalid")
    problem(api.patch("/projects/default", json=body), 422, "invalid")


def test_a_list_shows_the_newest_first_and_goes_on(api: httpx.Client) -> None:
    ids = [a_project(api) for _ in range(2)]
    page = api.get("/projects", params={"limit": 2}).json()
    rest = api.get("/projects", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [one["id"] for one in page["items"] + rest["items"]] == [*reversed(ids), "default"]


def test_a_project_that_is_sent_twice_is_made_once(api: httpx.Client) -> None:
    first, second = (api.post("/projects", json={"name": "x"}, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert made(first) == made(second)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(api.get("/projects").json()["items"]) == 2


def test_of_two_edits_of_one_edition_the_second_is_refused(api: httpx.Client) -> None:
    path = f"/projects/{a_project(api)}"
    tag = api.get(path).headers["ETag"]
    assert api.patch(path, json={"name": "one"}, headers={"If-Match": tag}).status_code == 200
    problem(api.patch(path, json={"name": "two"}, headers={"If-Match": tag}), 412, "stale")
    problem(api.delete(path, headers={"If-Match": tag}), 412, "stale")
    assert api.get(path).json()["name"] == "one"


def test_an_edit_that_loses_a_race_is_made_on_what_is_there(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    path, save, rivals = f"/projects/{a_project(api)}", ProjectStore.save, [1]

    def raced(store: ProjectStore, before: Any, after: Any, act: Any = None) -> Any:
        if before is not None and rivals:
            rivals.pop()
            save(store, before, before.model_copy(update={"name": "theirs"}), act)
        return save(store, before, after, act)

    monkeypatch.setattr(ProjectStore, "save", raced)
    changed = api.patch(path, json={"retention_days": 7}).json()
    assert (changed["name"], changed["retention_days"]) == ("theirs", 7)


def two_alone(stranger: httpx.Client) -> list[str]:
    """The only projects of their organization. No key and no member belongs to one."""
    (own,) = stranger.get("/projects").json()["items"]
    ids = [a_project(stranger) for _ in range(2)]
    wiring.projects().delete(wiring.projects().get(RIVAL, own["id"]))
    stranger.headers["X-Project-Id"] = ids[0]
    return ids


class TestClosing:
    def test_an_empty_project_goes(self, api: httpx.Client) -> None:
        id = a_project(api)
        assert api.delete(f"/projects/{id}").status_code == 204
        problem(api.get(f"/projects/{id}"), 404, "not_found")
        problem(api.delete(f"/projects/{id}"), 404, "not_found")
        problem(api.get("/runs", headers={"X-Project-Id": id}), 404, "not_found")

    def test_one_with_something_in_it_stays(self, api: httpx.Client, langflow: LangFlowServer) -> None:
        id = a_project(api)
        there, path = {"X-Project-Id": id}, f"/projects/{id}"
        source = made(api.post("/sources", json=SOURCE, headers=there))["id"]
        imported = {"source_id": source, "flow_id": "flow-1"}
        workflow = made(api.post("/workflows/import", json=imported, headers=there))["id"]
        settings = {"name": "x", "kind": "cron", "expression": "0 * * * *", "input": "x"}
        wanted = {"workflow_id": workflow, "settings": settings, "enabled": False}
        schedule = made(api.post("/schedules", json=wanted, headers=there))["id"]
        key = a_key(api, project_id=id)["id"]
        left = [(schedule, "schedules"), (workflow, "workflows"), (source, "sources"), (key, "api-keys")]
        while left:
            assert problem(api.delete(path), 409, "in_use")["users"] == [one for one, _ in left]
            one, noun = left.pop(0)
            assert api.delete(f"/{noun}/{one}", headers=there).status_code == 204
        assert api.delete(path).status_code == 204

    def test_one_with_a_member_stays(self, api: httpx.Client, invite: Invite) -> None:
        id = a_project(api)
        bob = invite("viewer", project_id=id)
        assert problem(api.delete(f"/projects/{id}"), 409, "in_use")["users"] == [bob.id]
        assert api.delete(f"/members/{bob.id}", params={"project_id": id}).status_code == 204
        assert api.delete(f"/projects/{id}").status_code == 204

    def test_one_that_somebody_is_invited_to_stays(self, owner: Person) -> None:
        id = a_project(owner.api)
        body = {"email": "bob@example.com", "role": "viewer", "project_id": id}
        invitation = made(owner.api.post("/invitations", json=body))["id"]
        assert problem(owner.api.delete(f"/projects/{id}"), 409, "in_use")["users"] == [invitation]
        assert owner.api.delete(f"/invitations/{invitation}").status_code == 204
        assert owner.api.delete(f"/projects/{id}").status_code == 204

    def test_an_organization_keeps_one(self, api: httpx.Client) -> None:
        with rival() as stranger:
            first, second = two_alone(stranger)
            assert stranger.delete(f"/projects/{second}").status_code == 204
            assert "only project" in problem(stranger.delete(f"/projects/{first}"), 409, "conflict")["detail"]
            assert stranger.get("/auth/me").status_code == 200

    def test_of_two_who_remove_the_last_two_at_the_same_time_one_is_refused(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with rival() as stranger:
            first, second = two_alone(stranger)
            put_all, others = Table.put_all, [wiring.projects().get(RIVAL, second)]

            def raced(table: Table, changes: Any, *, removed: Any = ()) -> None:
                if removed and others:
                    by = Grantor("x", RIVAL, None, frozenset(Permission))
                    things = (wiring.sources(), wiring.workflows(), wiring.schedules())
                    people = (identity.members(), identity.invitations(), identity.service_accounts())
                    contents = Contents(*things, identity.api_keys(), *people)
                    id = others.pop().id
                    identity.founding().close(by, id, lambda project: None, contents, dependencies.deadline())
                put_all(table, changes, removed=removed)

            monkeypatch.setattr(Table, "put_all", raced)
            problem(stranger.delete(f"/projects/{first}"), 409, "conflict")
            assert [one["id"] for one in stranger.get("/projects").json()["items"]] == [first]

    def test_the_default_one_stays(self, api: httpx.Client) -> None:
        problem(api.delete("/projects/default"), 409, "conflict")

    def test_a_key_that_was_made_for_it_meanwhile_opens_nothing(self, api: httpx.Client) -> None:
        id = a_project(api)
        caller = holder(api, project_id=id)
        wiring.projects().delete(wiring.projects().get("default", id))
        problem(caller.get("/runs"), 404, "not_found")


class TestWhoseTheyAre:
    def test_the_key_of_a_project_knows_no_other(self, api: httpx.Client) -> None:
        lab, caller = (id := a_project(api)), holder(api, "owner", project_id=id)
        assert [one["id"] for one in caller.get("/projects").json()["items"]] == [lab]
        assert caller.patch(f"/projects/{lab}", json={"name": "Mine"}).json()["name"] == "Mine"
        problem(caller.get("/projects/default"), 404, "not_found")
        problem(caller.patch("/projects/default", json={"name": "x"}), 404, "not_found")
        for refused in (
            caller.post("/projects", json={"name": "x"}),
            caller.delete(f"/projects/{lab}"),
            caller.delete("/projects/default"),
            caller.patch("/organizations/default", json={"name": "x"}),
        ):
            problem(refused, 403, "forbidden")
        assert api.get("/projects/default").json()["name"] == "Default"

    @pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
    def test_roles_below_admin_only_look(self, api: httpx.Client, role: str) -> None:
        id, caller = a_project(api), holder(api, role, organization_wide=True)
        assert caller.get(f"/projects/{id}").status_code == 200
        problem(caller.post("/projects", json={"name": "x"}), 403, "forbidden")
        problem(caller.patch(f"/projects/{id}", json={"name": "x"}), 403, "forbidden")
        problem(caller.delete(f"/projects/{id}"), 403, "forbidden")

    def test_a_project_of_another_organization_is_not_there(self, api: httpx.Client) -> None:
        id = a_project(api)
        before = wiring.projects().get("default", id)
        with rival() as stranger:
            for one in (id, "default"):
                problem(stranger.get(f"/projects/{one}"), 404, "not_found")
                problem(stranger.patch(f"/projects/{one}", json={"name": "x"}), 404, "not_found")
                problem(stranger.delete(f"/projects/{one}"), 404, "not_found")
            (own,) = stranger.get("/projects").json()["items"]
        assert wiring.projects().get("default", id) == before
        problem(api.delete(f"/projects/{own['id']}"), 404, "not_found")


class TestOrganizations:
    def test_there_is_one(self, api: httpx.Client) -> None:
        (own,) = api.get("/organizations").json()["items"]
        assert (own["id"], own["name"]) == ("default", "Default")
        assert api.get("/organizations/default").json() == own

    def test_its_owner_renames_it(self, api: httpx.Client) -> None:
        tag = api.get("/organizations/default").headers["ETag"]
        renamed = api.patch("/organizations/default", json={"name": "Acme"}, headers={"If-Match": tag})
        assert renamed.json()["name"] == "Acme"
        problem(api.patch("/organizations/default", json={"name": "x"}, headers={"If-Match": tag}), 412, "stale")
        problem(api.patch("/organizations/default", json={"name": ""}), 422, "invalid")
        assert api.get("/organizations/default").json()["name"] == "Acme"

    def test_two_renames_at_once_are_one_after_the_other(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save, rivals, tag = OrganizationStore.save, [1], api.get("/organizations/default").headers["ETag"]

        def raced(store: OrganizationStore, before: Any, after: Any, act: Any = None) -> Any:
            if rivals:
                rivals.pop()
                save(store, before, before.model_copy(update={"name": "theirs"}), act)
            return save(store, before, after, act)

        monkeypatch.setattr(OrganizationStore, "save", raced)
        assert api.patch("/organizations/default", json={"name": "mine"}).json()["name"] == "mine"
        rivals.append(1)
        stale = api.patch("/organizations/default", json={"name": "x"}, headers={"If-Match": tag})
        problem(stale, 412, "stale")

    def test_an_admin_does_not(self, api: httpx.Client) -> None:
        admin = holder(api, "admin", organization_wide=True)
        problem(admin.patch("/organizations/default", json={"name": "x"}), 403, "forbidden")

    def test_another_one_is_not_there(self, api: httpx.Client) -> None:
        with rival() as stranger:
            assert [one["id"] for one in stranger.get("/organizations").json()["items"]] == [RIVAL]
            problem(stranger.get("/organizations/default"), 404, "not_found")
            problem(stranger.patch("/organizations/default", json={"name": "x"}), 404, "not_found")
        problem(api.get(f"/organizations/{RIVAL}"), 404, "not_found")
        problem(api.patch(f"/organizations/{RIVAL}", json={"name": "x"}), 404, "not_found")
        assert identity.organizations().get("default").name == "Default"
        assert identity.organizations().get(RIVAL).name == "Rival"
