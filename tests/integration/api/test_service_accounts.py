"""Service accounts: who is no person, and the keys that act for them."""

from typing import Any

import httpx
import pytest

from functions.api import dependencies, identity
from shared import wiring
from tests.fakes import Clock
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import a_key, a_project, holder, rival
from tests.integration.api.people import OTHER, Outbox, Person, register
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]


def an_account(api: httpx.Client, role: str = "operator", **fields: Any) -> Json:
    return made(api.post("/service-accounts", json={"name": "deployer", "role": role, **fields}))


def key_of(api: httpx.Client, account: Json, **fields: Any) -> Json:
    """A new key that acts for `account`."""
    return made(api.post("/api-keys", json={"name": "ci", "service_account_id": account["id"], **fields}))


def me(key: Json) -> httpx.Response:
    with client(key["key"]) as caller:
        return caller.get("/auth/me")


class TestTheAccount:
    def test_it_is_made_read_changed_and_removed(self, api: httpx.Client) -> None:
        answer = api.post("/service-accounts", json={"name": "deployer", "role": "editor"})
        account = made(answer)
        path = f"/service-accounts/{account['id']}"
        assert answer.headers["Location"] == f"/api/v1{path}"
        assert account["id"].startswith("svc_")
        assert (account["organization_id"], account["project_id"]) == ("default", "default")
        assert (account["organization_wide"], account["disabled_at"]) == (False, None)
        assert api.get(path).json() == account
        assert api.get("/service-accounts").json()["items"] == [account]
        changed = api.patch(path, json={"name": "releaser", "role": "viewer"}).json()
        assert (changed["name"], changed["role"]) == ("releaser", "viewer")
        assert api.delete(path).status_code == 204
        problem(api.get(path), 404, "not_found")

    def test_it_is_followed_in_the_audit_log(self, api: httpx.Client) -> None:
        account = an_account(api)
        path = f"/service-accounts/{account['id']}"
        api.patch(path, json={"role": "viewer"})
        for verb in ("disable", "disable", "enable"):
            assert api.post(f"{path}/{verb}").status_code == 200
        api.delete(path)
        told = api.get("/audit", params={"subject": account["id"]}).json()["items"]
        assert [one["action"] for one in reversed(told)] == [
            f"service_account.{what}" for what in ("created", "updated", "disabled", "enabled", "deleted")
        ]

    def test_of_two_edits_of_one_edition_the_second_is_refused(self, api: httpx.Client) -> None:
        path = f"/service-accounts/{an_account(api)['id']}"
        tag = api.get(path).headers["ETag"]
        assert api.patch(path, json={"name": "one"}, headers={"If-Match": tag}).status_code == 200
        problem(api.patch(path, json={"name": "two"}, headers={"If-Match": tag}), 412, "stale")
        problem(api.delete(path, headers={"If-Match": tag}), 412, "stale")

    @pytest.mark.parametrize(("role", "status"), [("owner", 403), ("admin", 201), ("king", 422)])
    def test_nobody_gives_it_more_than_their_own(self, api: httpx.Client, role: str, status: int) -> None:
        with holder(api, "admin", organization_wide=True) as admin:
            assert admin.post("/service-accounts", json={"name": "x", "role": role}).status_code == status
            mine = an_account(admin, "viewer")
            assert admin.patch(f"/service-accounts/{mine['id']}", json={"role": role}).status_code in (status, 200)
            assert (admin.get(f"/service-accounts/{mine['id']}").json()["role"] == role) == (status == 201)

    def test_nobody_lays_hands_on_one_above_their_own(self, api: httpx.Client) -> None:
        account = an_account(api, "owner", organization_wide=True)
        key = key_of(api, account)
        path = f"/service-accounts/{account['id']}"
        with holder(api, "admin", organization_wide=True) as admin:
            problem(admin.patch(path, json={"role": "viewer"}), 403, "forbidden")
            problem(admin.post(f"{path}/disable"), 403, "forbidden")
            problem(admin.post(f"{path}/enable"), 403, "forbidden")
            problem(admin.delete(path), 403, "forbidden")
            body = {"name": "mine", "service_account_id": account["id"]}
            problem(admin.post("/api-keys", json=body), 403, "forbidden")
            problem(admin.delete(f"/api-keys/{key['id']}"), 403, "forbidden")
            problem(admin.post(f"/api-keys/{key['id']}/rotate", json={}), 403, "forbidden")
        assert me(key).status_code == 200

    def test_a_project_has_to_do_with_its_own(self, api: httpx.Client) -> None:
        lab = a_project(api)
        other, everywhere = an_account(api), an_account(api, organization_wide=True, project_id=lab)
        with holder(api, "owner", project_id=lab) as caller:
            mine = an_account(caller)
            assert mine["project_id"] == lab
            assert [one["id"] for one in caller.get("/service-accounts").json()["items"]] == [mine["id"]]
            for account in (other, everywhere):
                problem(caller.get(f"/service-accounts/{account['id']}"), 404, "not_found")
                body = {"name": "x", "service_account_id": account["id"]}
                problem(caller.post("/api-keys", json=body), 404, "not_found")
            wide = {"name": "x", "role": "viewer", "organization_wide": True}
            problem(caller.post("/service-accounts", json=wide), 403, "forbidden")
            elsewhere = {"name": "x", "role": "viewer", "project_id": "default"}
            problem(caller.post("/service-accounts", json=elsewhere), 404, "not_found")

    def test_another_organization_makes_it_no_key(self, api: httpx.Client) -> None:
        account = an_account(api)
        with rival() as stranger:
            body = {"name": "x", "service_account_id": account["id"]}
            problem(stranger.post("/api-keys", json=body), 404, "not_found")
            assert stranger.get("/service-accounts").json()["items"] == []

    def test_its_role_and_its_project_stay_while_it_has_them(self, api: httpx.Client) -> None:
        role = made(api.post("/roles", json={"name": "R", "allow": ["runs:read"]}))["id"]
        lab = a_project(api)
        account = an_account(api, role, project_id=lab)
        for path in (f"/roles/{role}", f"/projects/{lab}"):
            assert account["id"] in str(problem(api.delete(path), 409, "in_use"))
        assert api.delete(f"/service-accounts/{account['id']}").status_code == 204
        for path in (f"/roles/{role}", f"/projects/{lab}"):
            assert api.delete(path).status_code == 204


class TestItsKeys:
    def test_they_have_its_role_and_its_place(self, api: httpx.Client) -> None:
        lab = a_project(api)
        account = an_account(api, "editor", project_id=lab)
        key = key_of(api, account)
        assert (key["role"], key["project_id"], key["active"]) == ("editor", lab, True)
        assert key["service_account_id"] == account["id"]
        said = me(key).json()
        assert (said["id"], said["project_id"], said["role"]) == (key["id"], lab, "editor")
        assert said["service_account"] == {"id": account["id"], "name": "deployer"}
        with client(key["key"]) as caller:
            problem(caller.get("/runs", headers={"X-Project-Id": "default"}), 404, "not_found")
            problem(caller.get("/api-keys"), 403, "forbidden")
        assert me(a_key(api)).json()["service_account"] is None

    def test_one_of_the_whole_organization_opens_every_project(self, api: httpx.Client) -> None:
        lab = a_project(api)
        key = key_of(api, an_account(api, organization_wide=True))
        with client(key["key"]) as caller:
            assert caller.get("/runs", headers={"X-Project-Id": lab}).status_code == 200

    @pytest.mark.parametrize(
        "twice", [{"role": "viewer"}, {"project_id": "default"}, {"organization_wide": True}], ids=str
    )
    def test_what_the_account_says_is_not_said_again(self, api: httpx.Client, twice: Json) -> None:
        account = an_account(api)
        body = {"name": "x", "service_account_id": account["id"], **twice}
        refused = problem(api.post("/api-keys", json=body), 422, "invalid")
        assert refused["errors"][0]["pointer"] == f"/{next(iter(twice))}"
        key = key_of(api, account)
        if "role" in twice:
            refused = problem(api.patch(f"/api-keys/{key['id']}", json=twice), 422, "invalid")
            assert refused["errors"][0]["pointer"] == "/role"
        refused = problem(api.post("/api-keys", json={"name": "x"}), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/role"

    def test_another_role_counts_for_them_within_a_minute(self, api: httpx.Client, clock: Clock) -> None:
        account = an_account(api, "viewer")
        key = key_of(api, account)
        assert me(key).json()["role"] == "viewer"
        api.patch(f"/service-accounts/{account['id']}", json={"role": "editor"})
        clock.forward(61)
        assert me(key).json()["role"] == "editor"
        assert api.get(f"/api-keys/{key['id']}").json()["role"] == "editor"

    def test_a_disabled_account_shuts_them_within_a_minute_and_an_enabled_one_opens_them(
        self, api: httpx.Client, clock: Clock
    ) -> None:
        account = an_account(api)
        keys, path = [key_of(api, account) for _ in range(2)], f"/service-accounts/{account['id']}"
        assert [me(key).status_code for key in keys] == [200, 200]
        assert api.post(f"{path}/disable").json()["disabled_at"] is not None
        assert me(keys[0]).status_code == 200  # remembered
        clock.forward(61)
        assert [me(key).status_code for key in keys] == [401, 401]
        assert [one["active"] for one in api.get("/api-keys").json()["items"]] == [False, False, True]
        assert api.post(f"{path}/enable").json()["disabled_at"] is None
        assert [me(key).status_code for key in keys] == [200, 200]

    def test_a_disabled_account_gives_no_access_even_within_the_minute(self, api: httpx.Client) -> None:
        account = an_account(api, "admin")
        with client(key_of(api, account)["key"]) as caller:
            made(caller.post("/api-keys", json={"name": "x", "role": "viewer"}))
            api.post(f"/service-accounts/{account['id']}/disable")
            assert caller.get("/runs").status_code == 200
            problem(caller.post("/api-keys", json={"name": "x", "role": "viewer"}), 401, "unauthenticated")

    def test_what_gives_access_to_others_is_told_how_the_account_is_now(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not how it was a moment ago, which is half as dear and enough for all else."""
        store, asked = identity.service_accounts(), list[bool]()
        real = type(store).readable

        def readable(store: Any, ids: Any, *, consistent: bool = False) -> Any:
            asked.append(consistent)
            return real(store, ids, consistent=consistent)

        with client(key_of(api, an_account(api, "admin"))["key"]) as caller:
            monkeypatch.setattr(type(store), "readable", readable)
            assert caller.get("/runs").status_code == 200
            assert asked == [False]
            assert caller.post("/service-accounts", json={"name": "x", "role": "viewer"}).status_code == 201
            assert asked == [False, True]

    def test_those_of_a_deleted_account_open_nothing_show_as_ended_and_can_be_revoked(
        self, api: httpx.Client, clock: Clock
    ) -> None:
        account = an_account(api)
        key = key_of(api, account)
        assert api.delete(f"/service-accounts/{account['id']}").status_code == 204
        problem(me(key), 401, "unauthenticated")
        shown = api.get("/api-keys", params={"service_account_id": account["id"]}).json()["items"]
        assert [(one["id"], one["active"], one["role"]) for one in shown] == [(key["id"], False, "")]
        assert api.delete(f"/api-keys/{key['id']}").status_code == 204

    def test_one_that_was_shut_is_told_what_any_other_is(self, api: httpx.Client) -> None:
        account = an_account(api)
        key = key_of(api, account)
        api.post(f"/service-accounts/{account['id']}/disable")
        with client("spk_nobody_" + "x" * 43) as stranger:
            unknown = stranger.get("/auth/me").json()
        assert {**me(key).json(), "correlation_id": None} == {**unknown, "correlation_id": None}

    def test_an_owner_of_that_kind_does_not_make_another_owner_dispensable(self, api: httpx.Client) -> None:
        """It could be disabled."""
        key_of(api, an_account(api, "owner", organization_wide=True))
        problem(api.delete("/api-keys/bootstrap"), 409, "conflict")

    def test_they_can_be_rotated_and_have_an_end(self, api: httpx.Client) -> None:
        key = key_of(api, an_account(api), valid_until="2999-01-01T00:00:00Z")
        rotated = api.post(f"/api-keys/{key['id']}/rotate", json={}).json()
        assert me(rotated).json()["role"] == me(key).json()["role"] == "operator"
        assert api.patch(f"/api-keys/{key['id']}", json={"name": "new"}).json()["role"] == "operator"
        stored = identity.api_keys().get("default", key["id"])
        assert stored.role == ""  # without its account it is nothing

    def test_one_read_more_lets_them_in(self, api: httpx.Client, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        plain, acting = a_key(api, "operator"), key_of(api, an_account(api))
        assert me(plain).status_code == me(acting).status_code == 200
        reads = {name: reads_of(key, monkeypatch) for name, key in (("plain", plain), ("acting", acting))}
        assert reads["acting"] == reads["plain"] + 1

    def test_what_they_invite_to_stands_while_the_account_does(
        self, owner: Person, outbox: Outbox, clock: Clock
    ) -> None:
        account = an_account(owner.api, "admin", organization_wide=True)
        with client(key_of(owner.api, account)["key"]) as caller:
            made(caller.post("/invitations", json={"email": OTHER, "role": "viewer"}))
        owner.api.post(f"/service-accounts/{account['id']}/disable")
        assert register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)).status_code == 422
        owner.api.post(f"/service-accounts/{account['id']}/enable")
        assert register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)).status_code == 201


def reads_of(key: Json, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many requests to the table it takes to let `key` in where nobody is remembered."""
    dependencies.doorkeeper.cache_clear()
    table, asked = wiring.table(), []
    with monkeypatch.context() as watched:
        for name in ("get", "get_many", "query"):
            real = getattr(table, name)
            watched.setattr(
                table, name, lambda *a, real=real, name=name, **k: (asked.append(name), real(*a, **k))[1], raising=False
            )
        with client(key["key"]) as caller:
            assert caller.get("/sources").status_code == 200
    return len(asked)
