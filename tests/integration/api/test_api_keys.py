"""API keys over HTTP: made, shown once, changed, rotated, revoked; and what nobody gets by them."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from functions.api import dependencies, identity
from shared import wiring
from shared.domain import api_key as rules
from shared.domain.record import instant_text
from shared.domain.role import ALLOWED, BuiltIn
from shared.errors import Conflict
from shared.services.deadline import Deadline
from shared.services.granting import Grantor
from shared.store.api_keys import ApiKeyStore
from tests.fakes import Clock
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import a_key, a_project, holder, rival
from tests.integration.api.wire import problem
from tests.integration.conftest import API_KEY, Aws

Json = dict[str, Any]
NEW = {"name": "ci", "role": "operator"}
HIDDEN = {"hash", "previous_hash", "key", "secret"}


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that requests see, and the doorkeeper of this environment."""
    clock = Clock(wiring.now())
    monkeypatch.setattr(wiring, "now", clock)
    dependencies.doorkeeper.cache_clear()
    return clock


def opens(key: str) -> bool:
    """Does `key` open the door of another environment, which remembers nobody?"""
    dependencies.doorkeeper.cache_clear()
    with client(key) as caller:
        status = caller.get("/runs").status_code
    assert status in (200, 401)
    return status == 200


def end(id: str, *, by: str, how: str, now: datetime) -> None:
    """Take from key `id` that it owns the organization for good."""
    grantor, deadline = (
        Grantor(by, "default", None, ALLOWED[BuiltIn.owner]),
        Deadline(now + timedelta(hours=1), wiring.now),
    )
    if how == "revoke":
        return identity.issuing().revoke(grantor, id, lambda key: None, deadline)
    fields = {"role": "admin"} if how == "role" else {"valid_until": now + timedelta(days=1)}
    identity.issuing().change(grantor, id, fields, lambda key: None, deadline)
    return None


def another(key: str) -> str:
    """The same key with another secret, as a guess."""
    return key[:-1] + ("a" if key[-1] != "a" else "b")


class TestMaking:
    def test_a_new_key_is_shown_once_and_opens(self, api: httpx.Client, aws: Aws) -> None:
        response = api.post("/api-keys", json=NEW)
        key = made(response)
        assert response.headers["Location"] == f"/api/v1/api-keys/{key['id']}"
        id, secret = key["key"].removeprefix("spk_").split("_")
        assert (key["id"], len(secret)) == (f"key_{id}", 43)
        assert key["prefix"] == f"spk_{id}_"
        assert (key["project_id"], key["organization_id"]) == ("default", "default")
        assert (key["organization_wide"], key["created_by"], key["valid_until"]) == (False, "bootstrap", None)
        assert opens(key["key"])
        assert not opens(another(key["key"]))
        assert secret not in str(aws.items())
        shown = api.get(f"/api-keys/{key['id']}")
        assert shown.json() | {"last_used_at": None} == {k: v for k, v in key.items() if k != "key"}
        assert HIDDEN.isdisjoint(shown.json())
        assert shown.headers["ETag"]

    def test_no_list_shows_a_secret_or_its_hash(self, api: httpx.Client) -> None:
        key = a_key(api)
        api.post(f"/api-keys/{key['id']}/rotate", json={})
        stored = identity.api_keys().get("default", key["id"])
        text = api.get("/api-keys").text
        assert key["id"] in text
        for secret in (key["key"], key["key"].split("_")[2], stored.hash, stored.previous_hash):
            assert secret is not None
            assert secret not in text

    def test_two_keys_have_nothing_in_common(self, api: httpx.Client) -> None:
        secrets = {a_key(api)["key"].split("_")[2] for _ in range(5)}
        assert len(secrets) == 5

    @pytest.mark.parametrize("path", ["", "/{id}/rotate"])
    def test_what_shows_a_secret_cannot_be_asked_again(self, api: httpx.Client, path: str) -> None:
        id = a_key(api)["id"]
        before = api.get("/api-keys").json()
        refused = api.post("/api-keys" + path.format(id=id), json=NEW, headers={"Idempotency-Key": "k"})
        assert problem(refused, 422, "invalid")["errors"][0]["pointer"] == "/header/idempotency-key"
        assert api.get("/api-keys").json() == before

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", " "),
            ("role", "king"),
            ("role", "rol_01JGJ000000000000000000001"),
            ("valid_until", "2020-01-01T00:00:00Z"),
            ("valid_until", 5),
            ("organization_wide", "yes"),
            ("per_minute", -1),
            ("key", "spk_mine_" + "x" * 43),
        ],
    )
    def test_what_makes_no_sense_is_pointed_at(self, api: httpx.Client, field: str, value: Any) -> None:
        refused = problem(api.post("/api-keys", json={**NEW, field: value}), 422, "invalid")
        assert refused["errors"][0]["pointer"] == f"/{field}"
        assert len(api.get("/api-keys").json()["items"]) == 1

    def test_a_list_shows_the_newest_first_and_goes_on(self, api: httpx.Client) -> None:
        ids = [a_key(api)["id"] for _ in range(3)]
        page = api.get("/api-keys", params={"limit": 2}).json()
        rest = api.get("/api-keys", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        assert [key["id"] for key in page["items"] + rest["items"]] == [*reversed(ids), "bootstrap"]
        assert rest["next_cursor"] is None

    def test_a_list_may_be_that_of_a_project(self, api: httpx.Client) -> None:
        lab = a_project(api)
        a_key(api)
        key = a_key(api, project_id=lab)
        assert [one["id"] for one in api.get("/api-keys", params={"project_id": lab}).json()["items"]] == [key["id"]]

    def test_a_key_is_for_the_project_that_the_request_means(self, api: httpx.Client) -> None:
        lab = a_project(api)
        key = made(api.post("/api-keys", json=NEW, headers={"X-Project-Id": lab}))
        assert key["project_id"] == lab

    def test_a_key_of_no_project_is_not_made(self, api: httpx.Client) -> None:
        problem(api.post("/api-keys", json={**NEW, "project_id": "prj_nobody"}), 404, "not_found")


class TestChanging:
    def test_a_patch_changes_what_it_names(self, api: httpx.Client) -> None:
        key, until = a_key(api), instant_text(wiring.now() + timedelta(days=9))
        path = f"/api-keys/{key['id']}"
        changed = api.patch(path, json={"name": "deploy", "role": "editor", "valid_until": until}).json()
        expected = {"name": "deploy", "role": "editor", "valid_until": until}
        assert changed == {k: v for k, v in key.items() if k != "key"} | expected
        assert api.patch(path, json={"valid_until": None}).json()["valid_until"] is None
        problem(api.patch(path, json={"valid_until": "2020-01-01T00:00:00Z"}), 422, "invalid")
        problem(api.patch(path, json={"project_id": "default"}), 422, "invalid")
        problem(api.patch(path, json={"organization_wide": True}), 422, "invalid")

    def test_of_two_edits_of_one_edition_the_second_is_refused(self, api: httpx.Client) -> None:
        path = f"/api-keys/{a_key(api)['id']}"
        tag = api.get(path).headers["ETag"]
        assert api.patch(path, json={"name": "one"}, headers={"If-Match": tag}).status_code == 200
        problem(api.patch(path, json={"name": "two"}, headers={"If-Match": tag}), 412, "stale")
        problem(api.delete(path, headers={"If-Match": tag}), 412, "stale")
        assert api.get(path).json()["name"] == "one"

    def test_an_edit_that_loses_a_race_is_checked_again(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = f"/api-keys/{a_key(api)['id']}"
        tag = api.get(path).headers["ETag"]
        save, rivals = ApiKeyStore.save, [1]

        def raced(store: ApiKeyStore, before: Any, after: Any, *rest: Any) -> Any:
            if before is not None and before.name == "viewer" and rivals:
                rivals.pop()
                save(store, before, before.model_copy(update={"name": "theirs"}), *rest)
            return save(store, before, after, *rest)

        monkeypatch.setattr(ApiKeyStore, "save", raced)
        problem(api.patch(path, json={"role": "operator"}, headers={"If-Match": tag}), 412, "stale")
        assert (rivals, api.get(path).json()["name"]) == ([], "theirs")
        rivals.append(1)
        api.patch(path, json={"name": "viewer"})
        assert api.patch(path, json={"role": "operator"}).json()["name"] == "theirs"

    def test_a_new_role_counts_within_a_minute(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api, "viewer")
        with client(key["key"]) as caller:
            problem(caller.post("/projects", json={"name": "x"}), 403, "forbidden")
            api.patch(f"/api-keys/{key['id']}", json={"role": "editor"})
            body = {"name": "x", "url": "http://x.test"}
            problem(caller.post("/sources?verify=false", json=body), 403, "forbidden")
            time.forward(seconds=61)
            assert caller.post("/sources?verify=false", json=body).status_code == 201


class TestTheirTime:
    def test_a_key_ends_when_its_time_is_over(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api, valid_until=instant_text(time() + timedelta(hours=1)))["key"]
        assert opens(key)
        time.forward(minutes=59)
        assert opens(key)
        time.forward(minutes=1)
        assert not opens(key)

    def test_an_old_secret_works_until_the_overlap_is_over(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api)
        rotated = api.post(f"/api-keys/{key['id']}/rotate", json={"overlap_seconds": 3600})
        assert rotated.status_code == 200
        new = rotated.json()
        assert new["previous_until"] == instant_text(time() + timedelta(hours=1))
        assert (new["id"], new["prefix"]) == (key["id"], key["prefix"])
        assert new["key"] != key["key"]
        assert (opens(key["key"]), opens(new["key"])) == (True, True)
        time.forward(minutes=59, seconds=59)
        assert opens(key["key"])
        time.forward(seconds=1)
        assert (opens(key["key"]), opens(new["key"])) == (False, True)

    def test_without_an_overlap_the_old_secret_is_over_at_once(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api)
        new = api.post(f"/api-keys/{key['id']}/rotate", json={"overlap_seconds": 0}).json()
        assert (opens(key["key"]), opens(new["key"])) == (False, True)

    def test_a_day_is_the_usual_overlap(self, api: httpx.Client, time: Clock) -> None:
        new = api.post(f"/api-keys/{a_key(api)['id']}/rotate", json={}).json()
        assert new["previous_until"] == instant_text(time() + timedelta(days=1))

    def test_a_rotation_that_comes_twice_shuts_nobody_out(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api)
        path = f"/api-keys/{key['id']}/rotate"
        new = api.post(path, json={"overlap_seconds": 60}).json()
        problem(api.post(path, json={"overlap_seconds": 60}), 409, "conflict")
        assert (opens(key["key"]), opens(new["key"])) == (True, True)
        newest = api.post(path, json={"overlap_seconds": 0}).json()
        assert (opens(key["key"]), opens(new["key"]), opens(newest["key"])) == (False, False, True)
        time.forward(seconds=61)
        assert api.post(path, json={"overlap_seconds": 60}).status_code == 200

    @pytest.mark.parametrize("seconds", [-1, 2_592_001, "60", 1.5, None])
    def test_an_overlap_has_bounds(self, api: httpx.Client, seconds: Any) -> None:
        path = f"/api-keys/{a_key(api)['id']}/rotate"
        problem(api.post(path, json={"overlap_seconds": seconds}), 422, "invalid")

    def test_a_revoked_key_works_for_a_minute_where_it_was_just_used(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api)
        with client(key["key"]) as caller:
            assert caller.get("/runs").status_code == 200
            assert api.delete(f"/api-keys/{key['id']}").status_code == 204
            problem(api.get(f"/api-keys/{key['id']}"), 404, "not_found")
            problem(api.delete(f"/api-keys/{key['id']}"), 404, "not_found")
            time.forward(seconds=59)
            assert caller.get("/runs").status_code == 200
            time.forward(seconds=2)
            problem(caller.get("/runs"), 401, "unauthenticated")
        assert not opens(key["key"])
        assert [one["id"] for one in api.get("/api-keys").json()["items"]] == ["bootstrap"]

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api-keys", {"name": "x", "role": "admin"}),
            ("/roles", {"name": "x", "allow": ["runs:read"]}),
            ("/projects", {"name": "x"}),
            ("/invitations", {"email": "a@example.com", "role": "admin"}),
        ],
    )
    def test_a_revoked_key_gives_no_access_even_within_the_minute(
        self, api: httpx.Client, path: str, body: Json
    ) -> None:
        key = a_key(api, "admin", organization_wide=True)
        with client(key["key"]) as caller:
            assert caller.get("/auth/me").status_code == 200
            assert api.delete(f"/api-keys/{key['id']}").status_code == 204
            assert caller.get("/auth/me").status_code == 200, "is remembered"
            problem(caller.post(path, json=body), 401, "unauthenticated")

    def test_noting_a_use_does_not_bring_a_revoked_key_back(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key, find = a_key(api), ApiKeyStore.by_id

        def revoked_meanwhile(store: ApiKeyStore, id: str, **how: bool) -> Any:
            found = find(store, id, **how)
            if found is not None and id == key["id"]:
                store.delete(store.get("default", id))
            return found

        monkeypatch.setattr(ApiKeyStore, "by_id", revoked_meanwhile)
        with client(key["key"]) as caller:
            caller.get("/runs")
        problem(api.get(f"/api-keys/{key['id']}"), 404, "not_found")


class TestTheFirstKey:
    def test_the_last_owner_stays(self, api: httpx.Client, time: Clock) -> None:
        soon = instant_text(time() + timedelta(days=1))
        a_key(api, "owner")  # of one project
        a_key(api, "owner", organization_wide=True, valid_until=soon)
        a_key(api, "admin", organization_wide=True)
        problem(api.delete("/api-keys/bootstrap"), 409, "conflict")
        for change in ({"role": "admin"}, {"valid_until": soon}):
            problem(api.patch("/api-keys/bootstrap", json=change), 409, "conflict")
        assert api.patch("/api-keys/bootstrap", json={"name": "first"}).json()["name"] == "first"
        assert opens(API_KEY)

    @pytest.mark.parametrize("how", ["revoke", "role", "valid_until"])
    def test_two_owner_keys_do_not_end_each_other_at_once(
        self, api: httpx.Client, time: Clock, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """The one has seen that the other is there before that one is ended."""
        other = a_key(api, "owner", organization_wide=True)["id"]
        table = wiring.table()
        real = table.put_all

        def meanwhile(_: Any, changes: Any, *, removed: Any = ()) -> None:
            monkeypatch.setattr(
                type(table), "put_all", lambda _, changes, *, removed=(): real(changes, removed=removed)
            )
            end("bootstrap", by=other, how=how, now=time())
            real(changes, removed=removed)

        monkeypatch.setattr(type(table), "put_all", meanwhile)
        with pytest.raises(Conflict, match="last key"):
            end(other, by="bootstrap", how=how, now=time())
        lasting = [key.id for key in identity.api_keys().list("default", limit=9).items if rules.lasts(key)]
        assert lasting == [other]

    def test_an_owner_key_that_a_list_still_shows_is_not_counted_on(
        self, api: httpx.Client, time: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lists are a moment behind."""
        other = a_key(api, "owner", organization_wide=True)["id"]
        stale = identity.api_keys().list("default", limit=9)
        assert api.delete(f"/api-keys/{other}").status_code == 204
        monkeypatch.setattr(ApiKeyStore, "list", lambda *_, **__: stale)
        problem(api.delete("/api-keys/bootstrap"), 409, "conflict")

    def test_a_revoked_first_key_stays_shut(self, api: httpx.Client, aws: Aws, time: Clock) -> None:
        owner = holder(api, "owner", organization_wide=True)
        assert owner.delete("/api-keys/bootstrap").status_code == 204
        for _ in range(3):
            assert not opens(API_KEY)
        assert owner.delete("/api-keys/bootstrap").status_code == 204
        ended = owner.get("/api-keys/bootstrap").json()["valid_until"]
        assert ended == instant_text(time())
        problem(owner.delete(f"/api-keys/{own_id(owner)}"), 409, "conflict")

    def test_a_changed_secret_opens_the_first_key_again(self, api: httpx.Client, aws: Aws) -> None:
        owner = holder(api, "owner", organization_wide=True)
        owner.delete("/api-keys/bootstrap")
        change_secret(aws, "n" * 43)
        assert not opens(API_KEY)
        assert opens("spk_bootstrap_" + "n" * 43)
        assert not opens(API_KEY)

    def test_a_secret_that_was_changed_does_not_come_back_where_it_is_remembered(
        self, api: httpx.Client, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.get("/runs")
        old = dependencies.doorkeeper()
        old._known.clear()
        assert old._first is not None
        change_secret(aws, "n" * 43)
        assert opens("spk_bootstrap_" + "n" * 43)
        monkeypatch.setattr(dependencies, "doorkeeper", lambda: old)
        problem(api.get("/runs"), 401, "unauthenticated")
        monkeypatch.undo()

    def test_a_revoked_first_key_is_not_opened_by_taking_its_end_away(self, api: httpx.Client, time: Clock) -> None:
        owner = holder(api, "owner", organization_wide=True, per_minute=0, daily_quota=0)
        assert owner.delete("/api-keys/bootstrap").status_code == 204
        time.forward(minutes=2)
        problem(owner.patch("/api-keys/bootstrap", json={"valid_until": None}), 409, "conflict")
        assert not opens(API_KEY)

    def test_its_secret_is_not_rotated_here(self, api: httpx.Client) -> None:
        assert "Secrets Manager" in problem(api.post("/api-keys/bootstrap/rotate", json={}), 409, "conflict")["detail"]
        assert opens(API_KEY)


class TestNobodyGetsMore:
    """Whatever an admin, a custom role or the key of a project tries, it ends with no more than it began with."""

    def test_nobody_gives_a_role_above_their_own(self, api: httpx.Client) -> None:
        admin = holder(api, "admin", organization_wide=True)
        refused = problem(admin.post("/api-keys", json={"name": "x", "role": "owner"}), 403, "forbidden")
        assert "organization:write" in refused["detail"]
        mine = a_key(admin, "viewer")["id"]
        problem(admin.patch(f"/api-keys/{mine}", json={"role": "owner"}), 403, "forbidden")
        problem(admin.patch(f"/api-keys/{own_id(admin)}", json={"role": "owner"}), 403, "forbidden")
        assert a_key(admin, "admin")["role"] == "admin"

    def test_nobody_lays_hands_on_a_key_above_their_own(self, api: httpx.Client) -> None:
        owner = a_key(api, "owner", organization_wide=True)
        admin = holder(api, "admin", organization_wide=True)
        for id in (owner["id"], "bootstrap"):
            path = f"/api-keys/{id}"
            before = identity.api_keys().get("default", id)
            problem(admin.post(f"{path}/rotate", json={"overlap_seconds": 0}), 403, "forbidden")
            for change in ({"name": "x"}, {"role": "viewer"}, {"valid_until": None}):
                problem(admin.patch(path, json=change), 403, "forbidden")
            problem(admin.delete(path), 403, "forbidden")
            assert identity.api_keys().get("default", id) == before
        assert opens(owner["key"])

    def test_nobody_gives_a_later_end_or_more_requests_than_their_own(self, api: httpx.Client, time: Clock) -> None:
        soon, later = (instant_text(time() + timedelta(hours=hours)) for hours in (1, 2))
        mine = {"per_minute": 30, "daily_quota": 300, "valid_until": soon}
        key = a_key(api, "admin", **mine)
        with client(key["key"]) as caller:
            own = f"/api-keys/{key['id']}"
            for field, more in (("per_minute", 31), ("daily_quota", 301), ("valid_until", later)):
                for value in (more, None, 0) if field != "valid_until" else (more, None):
                    problem(caller.post("/api-keys", json={**NEW, **mine, field: value}), 403, "forbidden")
                    problem(caller.patch(own, json={field: value}), 403, "forbidden")
            assert caller.patch(own, json={"name": "x", **mine}).status_code == 200
            assert caller.patch(own, json={"per_minute": 29}).status_code == 200
            made(caller.post("/api-keys", json={**NEW, **mine, "per_minute": 29}))

    def test_nobody_takes_over_a_key_with_more_requests_than_their_own(self, api: httpx.Client) -> None:
        free, slow = a_key(api, "editor", per_minute=0), a_key(api, "admin", per_minute=30)
        with client(slow["key"]) as caller:
            problem(caller.post(f"/api-keys/{free['id']}/rotate", json={}), 403, "forbidden")
            assert caller.patch(f"/api-keys/{free['id']}", json={"name": "x"}).status_code == 200
            assert caller.post(f"/api-keys/{slow['id']}/rotate", json={}).status_code == 200

    def test_a_key_that_is_over_is_not_opened_again(self, api: httpx.Client, time: Clock) -> None:
        key = a_key(api, valid_until=instant_text(time() + timedelta(hours=1)))
        time.forward(hours=1)
        path = f"/api-keys/{key['id']}"
        for change in ({"valid_until": None}, {"name": "x"}):
            assert "ended" in problem(api.patch(path, json=change), 409, "conflict")["detail"]
        assert api.delete(path).status_code == 204

    @pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
    def test_roles_below_admin_have_nothing_to_do_with_keys(self, api: httpx.Client, role: str) -> None:
        id, caller = a_key(api)["id"], holder(api, role, organization_wide=True)
        answers = [
            caller.get("/api-keys"),
            caller.get(f"/api-keys/{id}"),
            caller.post("/api-keys", json=NEW),
            caller.patch(f"/api-keys/{id}", json={"name": "x"}),
            caller.post(f"/api-keys/{id}/rotate", json={}),
            caller.delete(f"/api-keys/{id}"),
        ]
        for answer in answers:
            problem(answer, 403, "forbidden")
        assert api.get(f"/api-keys/{id}").json()["name"] == "viewer"

    def test_a_denial_takes_away_what_could_be_given(self, api: httpx.Client) -> None:
        said = {"name": "keys", "allow": ["keys:read", "keys:write", "runs:read"], "deny": ["runs:read"]}
        role = made(api.post("/roles", json=said))["id"]
        caller = holder(api, role, organization_wide=True)
        problem(caller.get("/runs"), 403, "forbidden")
        problem(caller.post("/api-keys", json=NEW), 403, "forbidden")
        problem(caller.post("/api-keys", json={"name": "same", "role": role}), 403, "forbidden")
        own = made(api.post("/roles", json={"name": "less", "allow": ["keys:read"]}))["id"]
        assert made(caller.post("/api-keys", json={"name": "less", "role": own}))["role"] == own

    def test_the_key_of_a_project_has_to_do_with_its_keys_alone(self, api: httpx.Client) -> None:
        lab = a_project(api)
        admin = holder(api, "admin", project_id=lab)
        own = a_key(api, project_id=lab)["id"]
        wide = a_key(api, "viewer", project_id=lab, organization_wide=True)["id"]
        foreign = a_key(api)["id"]
        assert {key["id"] for key in admin.get("/api-keys").json()["items"]} == {own, own_id(admin)}
        assert admin.get("/api-keys", params={"project_id": "default"}).json()["items"] == []
        assert admin.patch(f"/api-keys/{own}", json={"name": "x"}).status_code == 200
        assert admin.post(f"/api-keys/{own}/rotate", json={}).status_code == 200
        for id in (wide, foreign, "bootstrap"):
            before = identity.api_keys().get("default", id)
            everything_is_a_404(admin, f"/api-keys/{id}")
            assert identity.api_keys().get("default", id) == before

    def test_the_key_of_a_project_makes_none_that_opens_another(self, api: httpx.Client) -> None:
        lab = a_project(api)
        admin = holder(api, "admin", project_id=lab)
        problem(admin.post("/api-keys", json={**NEW, "organization_wide": True}), 403, "forbidden")
        problem(admin.post("/api-keys", json={**NEW, "project_id": "default"}), 404, "not_found")
        problem(admin.post("/api-keys", json=NEW, headers={"X-Project-Id": "default"}), 404, "not_found")
        assert len(api.get("/api-keys").json()["items"]) == 2
        assert a_key(admin)["project_id"] == lab

    def test_a_key_of_another_organization_is_not_there(self, api: httpx.Client) -> None:
        id = a_key(api, "viewer")["id"]
        before = identity.api_keys().get("default", id)
        with rival() as stranger:
            everything_is_a_404(stranger, f"/api-keys/{id}")
            everything_is_a_404(stranger, "/api-keys/bootstrap")
            problem(stranger.post("/api-keys", json={**NEW, "project_id": "default"}), 404, "not_found")
            assert [key["name"] for key in stranger.get("/api-keys").json()["items"]] == ["theirs"]
            own = own_id(stranger)
        assert identity.api_keys().get("default", id) == before
        everything_is_a_404(api, f"/api-keys/{own}")

    def test_a_role_that_is_gone_allows_nothing_and_can_be_replaced(self, api: httpx.Client) -> None:
        role = made(api.post("/roles", json={"name": "r", "allow": ["runs:read"]}))["id"]
        key = a_key(api, role)
        identity.roles().delete(identity.roles().get("default", role))
        with client(key["key"]) as caller:
            problem(caller.get("/runs"), 403, "forbidden")
        assert api.patch(f"/api-keys/{key['id']}", json={"role": "viewer"}).json()["role"] == "viewer"


class TestProjects:
    def test_the_key_of_a_project_opens_no_other(self, api: httpx.Client) -> None:
        lab = a_project(api)
        caller = holder(api, project_id=lab)
        assert caller.get("/runs").status_code == 200
        assert caller.get("/runs", headers={"X-Project-Id": lab}).status_code == 200
        problem(caller.get("/runs", headers={"X-Project-Id": "default"}), 404, "not_found")
        problem(caller.get("/runs", headers={"X-Project-Id": "prj_nobody"}), 404, "not_found")

    def test_an_organization_wide_key_goes_from_one_to_the_other(self, api: httpx.Client) -> None:
        lab, body = a_project(api), {"name": "lab", "url": "http://x.test"}
        caller = holder(api, "editor", organization_wide=True)
        there = {"X-Project-Id": lab}
        source = made(caller.post("/sources?verify=false", json=body, headers=there))
        assert source["project_id"] == lab
        assert [one["id"] for one in caller.get("/sources", headers=there).json()["items"]] == [source["id"]]
        assert caller.get("/sources").json()["items"] == []
        problem(caller.get(f"/sources/{source['id']}"), 404, "not_found")

    def test_no_key_opens_a_project_of_another_organization(self, api: httpx.Client) -> None:
        with rival() as stranger:
            theirs = stranger.get("/projects").json()["items"][0]["id"]
            problem(stranger.get("/runs", headers={"X-Project-Id": "default"}), 404, "not_found")
        problem(api.get("/runs", headers={"X-Project-Id": theirs}), 404, "not_found")


def everything_is_a_404(caller: httpx.Client, path: str) -> None:
    problem(caller.get(path), 404, "not_found")
    problem(caller.patch(path, json={"name": "x"}), 404, "not_found")
    problem(caller.post(f"{path}/rotate", json={"overlap_seconds": 0}), 404, "not_found")
    problem(caller.delete(path), 404, "not_found")


def own_id(caller: httpx.Client) -> str:
    """The id of the key that `caller` has."""
    return "key_" + str(caller.headers["X-API-Key"]).split("_")[1]


def change_secret(aws: Aws, secret: str) -> None:
    text = json.dumps({"key_id": "bootstrap", "secret": secret})
    aws.secrets.update_secret(SecretId=aws.secret_id, SecretString=text)
