"""Roles over HTTP: the five that every organization has, and its own."""

from typing import Any

import httpx
import pytest

from functions.api import identity
from shared.domain.role import ALLOWED, BuiltIn
from shared.store.roles import RoleStore
from tests.integration.api.conftest import made
from tests.integration.api.keys import a_key, a_project, holder, rival
from tests.integration.api.people import Invite
from tests.integration.api.wire import problem

Json = dict[str, Any]
NEW: Json = {"name": "on call", "allow": ["runs:read", "runs:cancel"], "deny": ["runs:create"]}
FIVE = ["viewer", "operator", "editor", "admin", "owner"]


def test_a_new_role_can_be_given(api: httpx.Client) -> None:
    response = api.post("/roles", json={**NEW, "allow": ["runs:read", "runs:cancel", "runs:read"]})
    role = made(response)
    assert response.headers["Location"] == f"/api/v1/roles/{role['id']}"
    assert role["id"].startswith("rol_")
    assert (role["allow"], role["deny"]) == (["runs:cancel", "runs:read"], ["runs:create"])
    assert (role["built_in"], role["created_by"]) == (False, "bootstrap")
    assert api.get(f"/roles/{role['id']}").json() == role
    caller = holder(api, role["id"])
    assert caller.get("/runs").status_code == 200
    problem(caller.get("/sources"), 403, "forbidden")


def test_a_denial_wins(api: httpx.Client) -> None:
    role = made(api.post("/roles", json={"name": "r", "allow": ["runs:read", "sources:read"], "deny": ["runs:read"]}))
    caller = holder(api, role["id"])
    problem(caller.get("/runs"), 403, "forbidden")
    assert caller.get("/sources").status_code == 200


def test_the_list_begins_with_those_that_everybody_has(api: httpx.Client) -> None:
    own = [made(api.post("/roles", json={**NEW, "name": str(n)}))["id"] for n in range(3)]
    everything = api.get("/roles").json()
    assert [role["id"] for role in everything["items"]] == [*FIVE, *reversed(own)]
    assert everything["next_cursor"] is None
    assert [role["built_in"] for role in everything["items"]] == [True] * 5 + [False] * 3
    assert set(everything["items"][0]["allow"]) == {str(permission) for permission in ALLOWED[BuiltIn.viewer]}


@pytest.mark.parametrize("limit", range(1, 9))
def test_the_list_goes_on_wherever_a_page_ends(api: httpx.Client, limit: int) -> None:
    own = [made(api.post("/roles", json={**NEW, "name": str(n)}))["id"] for n in range(2)]
    found, cursor = list[str](), None
    for _ in range(9):
        page = api.get("/roles", params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) <= limit
        found += [role["id"] for role in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [*FIVE, *reversed(own)]


def test_those_that_everybody_has_stay_as_they_are(api: httpx.Client) -> None:
    for role in FIVE:
        assert api.get(f"/roles/{role}").json()["built_in"] is True
        problem(api.patch(f"/roles/{role}", json={"allow": []}), 409, "conflict")
        problem(api.delete(f"/roles/{role}"), 409, "conflict")


@pytest.mark.parametrize("name", ["owner", "Owner", " ADMIN "])
def test_no_role_borrows_their_names(api: httpx.Client, name: str) -> None:
    id = made(api.post("/roles", json=NEW))["id"]
    for refused in (api.post("/roles", json={"name": name}), api.patch(f"/roles/{id}", json={"name": name})):
        assert problem(refused, 422, "invalid")["errors"][0]["pointer"] == "/name"


@pytest.mark.parametrize("change", [{"allow": ["everything"]}, {"allow": None}, {"deny": "runs:read"}, {"name": ""}])
def test_what_makes_no_sense_is_refused(api: httpx.Client, change: Json) -> None:
    id = made(api.post("/roles", json=NEW))["id"]
    problem(api.post("/roles", json={**NEW, **change}), 422, "invalid")
    problem(api.patch(f"/roles/{id}", json=change), 422, "invalid")


def test_a_role_that_is_sent_twice_is_made_once(api: httpx.Client) -> None:
    first, second = (api.post("/roles", json=NEW, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert made(first) == made(second)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(api.get("/roles").json()["items"]) == 6
    problem(
        api.post("/roles", json={**NEW, "name": "x"}, headers={"Idempotency-Key": "k"}), 422, "idempotency_key_reused"
    )


def test_a_patch_changes_what_it_names(api: httpx.Client) -> None:
    role = made(api.post("/roles", json=NEW))
    changed = api.patch(f"/roles/{role['id']}", json={"allow": ["runs:read"]}).json()
    assert changed == {**role, "allow": ["runs:read"]}
    assert api.patch(f"/roles/{role['id']}", json={"deny": []}).json()["deny"] == []


def test_of_two_edits_of_one_edition_the_second_is_refused(api: httpx.Client) -> None:
    path = f"/roles/{made(api.post('/roles', json=NEW))['id']}"
    tag = api.get(path).headers["ETag"]
    assert api.patch(path, json={"name": "one"}, headers={"If-Match": tag}).status_code == 200
    problem(api.patch(path, json={"name": "two"}, headers={"If-Match": tag}), 412, "stale")
    problem(api.delete(path, headers={"If-Match": tag}), 412, "stale")
    assert api.get(path).json()["name"] == "one"


def test_an_edit_that_loses_a_race_is_made_on_what_is_there(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    path, save, rivals = f"/roles/{made(api.post('/roles', json=NEW))['id']}", RoleStore.save, [1]

    def raced(store: RoleStore, before: Any, after: Any, act: Any = None) -> Any:
        if before is not None and rivals:
            rivals.pop()
            save(store, before, before.model_copy(update={"name": "theirs"}), act)
        return save(store, before, after, act)

    monkeypatch.setattr(RoleStore, "save", raced)
    changed = api.patch(path, json={"deny": []}).json()
    assert (changed["name"], changed["deny"]) == ("theirs", [])


@pytest.mark.parametrize("where", ["mapping", "default_role"])
def test_one_that_an_identity_provider_gives_is_not_deleted(api: httpx.Client, where: str) -> None:
    role = made(api.post("/roles", json=NEW))["id"]
    given = {"mapping": [{"group": "a", "role": role}]} if where == "mapping" else {"default_role": role}
    fields = {"name": "Okta", "issuer": "https://accounts.test", "client_id": "spark", **given}
    okta = made(api.post("/identity-providers", json=fields))["id"]
    assert problem(api.delete(f"/roles/{role}"), 409, "in_use")["users"] == [okta]
    assert api.patch(f"/identity-providers/{okta}", json={"mapping": [], "default_role": None}).status_code == 200
    assert api.delete(f"/roles/{role}").status_code == 204


def test_a_role_in_use_is_not_deleted(api: httpx.Client) -> None:
    role = made(api.post("/roles", json=NEW))["id"]
    key = a_key(api, role)["id"]
    assert problem(api.delete(f"/roles/{role}"), 409, "in_use")["users"] == [key]
    api.delete(f"/api-keys/{key}")
    assert api.delete(f"/roles/{role}").status_code == 204
    problem(api.get(f"/roles/{role}"), 404, "not_found")
    problem(api.delete(f"/roles/{role}"), 404, "not_found")


def test_a_role_that_somebody_has_is_not_deleted(api: httpx.Client, invite: Invite) -> None:
    role = made(api.post("/roles", json=NEW))["id"]
    bob = invite(role)
    assert problem(api.delete(f"/roles/{role}"), 409, "in_use")["users"] == [bob.id]
    assert api.patch(f"/members/{bob.id}", json={"role": "viewer"}).status_code == 200
    assert api.delete(f"/roles/{role}").status_code == 204


class TestNobodyGetsMore:
    def test_a_role_allows_no_more_than_its_maker_may(self, api: httpx.Client) -> None:
        admin = holder(api, "admin", organization_wide=True)
        refused = problem(admin.post("/roles", json={"name": "x", "allow": ["organization:write"]}), 403, "forbidden")
        assert "organization:write" in refused["detail"]
        mine = made(admin.post("/roles", json={"name": "x", "allow": ["runs:read"]}))["id"]
        problem(admin.patch(f"/roles/{mine}", json={"allow": ["organization:write"]}), 403, "forbidden")
        assert api.get(f"/roles/{mine}").json()["allow"] == ["runs:read"]

    def test_nobody_changes_a_role_above_their_own(self, api: httpx.Client) -> None:
        admin = holder(api, "admin", organization_wide=True)
        above = made(api.post("/roles", json={"name": "x", "allow": ["organization:write"]}))["id"]
        for change in ({"name": "y"}, {"allow": []}):
            problem(admin.patch(f"/roles/{above}", json=change), 403, "forbidden")
        problem(admin.delete(f"/roles/{above}"), 403, "forbidden")
        assert api.get(f"/roles/{above}").json()["name"] == "x"

    def test_nobody_lifts_a_denial_of_what_they_may_not_do(self, api: httpx.Client) -> None:
        admin = holder(api, "admin", organization_wide=True)
        role = made(api.post("/roles", json={"name": "x", "deny": ["organization:write", "runs:read"]}))["id"]
        problem(admin.patch(f"/roles/{role}", json={"deny": ["runs:read"]}), 403, "forbidden")
        problem(admin.delete(f"/roles/{role}"), 403, "forbidden")
        assert admin.patch(f"/roles/{role}", json={"deny": ["organization:write"]}).status_code == 200

    def test_the_key_of_a_project_only_looks(self, api: httpx.Client) -> None:
        role = made(api.post("/roles", json=NEW))["id"]
        admin = holder(api, "owner", project_id=a_project(api))
        assert admin.get(f"/roles/{role}").status_code == 200
        problem(admin.post("/roles", json=NEW), 403, "forbidden")
        problem(admin.patch(f"/roles/{role}", json={"name": "x"}), 403, "forbidden")
        problem(admin.delete(f"/roles/{role}"), 403, "forbidden")
        assert api.get(f"/roles/{role}").json()["name"] == "on call"

    @pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
    def test_roles_below_admin_only_look(self, api: httpx.Client, role: str) -> None:
        caller = holder(api, role, organization_wide=True)
        id = made(api.post("/roles", json=NEW))["id"]
        assert caller.get("/roles").status_code == 200
        problem(caller.post("/roles", json=NEW), 403, "forbidden")
        problem(caller.patch(f"/roles/{id}", json={"name": "x"}), 403, "forbidden")
        problem(caller.delete(f"/roles/{id}"), 403, "forbidden")

    def test_a_role_of_another_organization_is_not_there(self, api: httpx.Client) -> None:
        role = made(api.post("/roles", json=NEW))["id"]
        with rival() as stranger:
            problem(stranger.get(f"/roles/{role}"), 404, "not_found")
            problem(stranger.patch(f"/roles/{role}", json={"name": "x"}), 404, "not_found")
            problem(stranger.delete(f"/roles/{role}"), 404, "not_found")
            assert [one["id"] for one in stranger.get("/roles").json()["items"]] == FIVE
            problem(stranger.post("/api-keys", json={"name": "x", "role": role}), 422, "invalid")
        assert identity.roles().get("default", role).name == "on call"
