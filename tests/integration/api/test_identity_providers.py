"""Setting identity providers up: nobody lets one give more than their own, and its secret is never shown."""

from typing import Any

import httpx
import pytest

from functions.api import identity
from shared import wiring
from shared.domain.role import BuiltIn
from tests.integration.api.conftest import made
from tests.integration.api.keys import a_project, holder, rival
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
SECRET = "a very secret client secret"
FIELDS = {"name": "Okta", "issuer": "https://accounts.test/", "client_id": "spark"}


@pytest.fixture
def okta(api: httpx.Client) -> Json:
    mapping = [{"group": "a", "role": "admin"}, {"group": "b", "role": "viewer"}]
    return made(api.post("/identity-providers", json={**FIELDS, "client_secret": SECRET, "mapping": mapping}))


def place(provider: Json) -> str:
    return f"/identity-providers/{provider['id']}"


def test_it_is_shown_without_its_secret(api: httpx.Client, okta: Json) -> None:
    answer = api.get(place(okta))
    assert answer.json() == okta
    assert okta["issuer"] == FIELDS["issuer"]
    assert okta["has_client_secret"] is True
    assert (okta["scopes"], okta["groups_claim"]) == (["openid", "profile", "email"], "groups")
    assert (okta["default_role"], okta["domains"], okta["enabled"]) == (None, [], True)
    assert (okta["organization_id"], okta["ceiling"], okta["trusts_addresses"]) == ("default", None, False)
    assert api.get("/identity-providers").json()["items"] == [okta]
    assert "secret" not in answer.text.replace("has_client_secret", "")


def test_its_secret_is_kept_for_its_organization_alone(aws: Aws, okta: Json) -> None:
    assert SECRET not in str(aws.items())
    provider = identity.identity_providers().by_id(okta["id"])
    assert provider is not None
    assert provider.encrypted_secret is not None
    assert identity.keeper_of_organizations().decrypt("default", provider.encrypted_secret) == SECRET
    for cipher, whose in ((identity.keeper_of_organizations(), "rival"), (wiring.cipher(), "default")):
        with pytest.raises(Exception, match="InvalidCiphertext"):
            cipher.decrypt(whose, provider.encrypted_secret)


def test_it_is_changed_by_who_has_seen_it(api: httpx.Client, okta: Json) -> None:
    seen = api.get(place(okta)).headers["ETag"]
    change = {"client_secret": None, "mapping": [], "default_role": "viewer", "enabled": False}
    after = api.patch(place(okta), json=change, headers={"If-Match": seen})
    assert after.status_code == 200
    assert after.headers["ETag"] != seen
    assert {**after.json(), "updated_at": None} == {
        **okta,
        **{name: value for name, value in change.items() if name != "client_secret"},
        "has_client_secret": False,
        "updated_at": None,
    }
    problem(api.patch(place(okta), json={"name": "x"}, headers={"If-Match": seen}), 412, "stale")
    problem(api.delete(place(okta), headers={"If-Match": seen}), 412, "stale")
    assert api.delete(place(okta), headers={"If-Match": after.headers["ETag"]}).status_code == 204
    problem(api.get(place(okta)), 404, "not_found")


def test_another_secret_is_another_etag(api: httpx.Client, okta: Json) -> None:
    seen = api.get(place(okta)).headers["ETag"]
    assert api.patch(place(okta), json={"client_secret": SECRET + "2"}).headers["ETag"] != seen


def test_the_same_secret_again_is_another_etag(api: httpx.Client, okta: Json) -> None:
    """Two who give one at the same time, each for another one that they saw, do not both succeed."""
    seen = api.get(place(okta)).headers["ETag"]
    change = {"client_secret": SECRET}
    assert api.patch(place(okta), json=change, headers={"If-Match": seen}).status_code == 200
    problem(api.patch(place(okta), json=change, headers={"If-Match": seen}), 412, "stale")


@pytest.mark.parametrize("field", ["issuer", "client_id", "ceiling", "organization_id"])
def test_who_it_is_stays(api: httpx.Client, okta: Json, field: str) -> None:
    """Under another issuer, or for another client, the same subject may be somebody else."""
    problem(api.patch(place(okta), json={field: "https://other.test"}), 422, "invalid")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"issuer": "http://accounts.test"}, "/issuer"),
        ({"issuer": "https://10.0.0.1"}, "/issuer"),
        ({"issuer": "https://169.254.169.254"}, "/issuer"),
        ({"issuer": "https://user:pass@accounts.test"}, "/issuer"),
        ({"issuer": "https://accounts.test?x=1"}, "/issuer"),
        ({"issuer": "accounts.test"}, "/issuer"),
        ({"mapping": [{"group": "a", "role": "nobody"}]}, "/mapping"),
        ({"mapping": [{"group": "", "role": "viewer"}]}, "/mapping/0/group"),
        ({"mapping": [{"group": "a"}]}, "/mapping/0/role"),
        ({"default_role": "nobody"}, "/default_role"),
        ({"domains": ["not a domain"]}, "/domains/0"),
        ({"scopes": ["open id"]}, "/scopes/0"),
        ({"client_id": ""}, "/client_id"),
        ({"enabled": "yes"}, "/enabled"),
        ({"enabled": 1}, "/enabled"),
        ({"vouch": True}, "/vouch"),
        ({"client_secret": "ü"}, "/client_secret"),
    ],
)
def test_what_cannot_be_is_refused_by_name(api: httpx.Client, fields: Json, pointer: str) -> None:
    found = problem(api.post("/identity-providers", json={**FIELDS, **fields}), 422, "invalid")
    assert found["errors"][0]["pointer"] == pointer


def test_in_the_clear_it_may_be_where_the_deployment_allows_it(api: httpx.Client) -> None:
    made(api.post("/identity-providers", json={**FIELDS, "issuer": "http://127.0.0.1:8080"}))


def test_the_same_request_again_makes_no_second_one(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = (api.post("/identity-providers", json=FIELDS, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(api.get("/identity-providers").json()["items"]) == 1


def test_what_is_kept_of_the_request_tells_nobody_its_secret(api: httpx.Client, aws: Aws) -> None:
    """Whoever reads the table and knows the rest of the body could try secrets, if the same made the same hash."""

    def hashes(name: str, **fields: str) -> set[str]:
        for number in range(2):
            headers = {"Idempotency-Key": f"{name}-{number}"}
            made(api.post("/identity-providers", json={**FIELDS, **fields}, headers=headers))
        stored = {item["body_hash"]["S"] for item in aws.items() if "#IDEMPOTENCY#" in item["pk"]["S"]}
        assert not any(name in str(item) for item in aws.items())  # what they are keyed with
        return stored

    without = hashes("some-key")
    assert len(without) == 1
    assert len(hashes("other-key", client_secret=SECRET) - without) == 2


def test_each_change_has_its_entry_and_none_has_a_secret(api: httpx.Client, okta: Json) -> None:
    api.patch(place(okta), json={"client_secret": SECRET + "2"})
    api.delete(place(okta))
    entries = api.get("/audit", params={"subject": okta["id"]}).json()["items"]
    assert [each["action"].partition(".")[2] for each in entries] == ["deleted", "updated", "created"]
    assert {each["kind"] for each in entries} == {"identity_provider"}
    assert SECRET not in str(entries)


class TestItsRoleIsGone:
    """Deleted as it was given: a role in use is not."""

    @pytest.fixture
    def orphan(self, api: httpx.Client) -> Json:
        role = made(api.post("/roles", json={"name": "r", "allow": ["runs:read"]}))["id"]
        orphan = made(api.post("/identity-providers", json={**FIELDS, "default_role": role}))
        identity.roles().delete(identity.roles().get("default", role))
        return orphan

    def test_it_is_switched_off_and_not_on_again(self, api: httpx.Client, orphan: Json) -> None:
        assert api.patch(place(orphan), json={"enabled": False}).json()["enabled"] is False
        found = problem(api.patch(place(orphan), json={"enabled": True}), 422, "invalid")
        assert found["errors"][0]["pointer"] == "/default_role"
        again = api.patch(place(orphan), json={"enabled": True, "default_role": None})
        assert again.json()["enabled"] is True

    def test_what_is_named_is_looked_at(self, api: httpx.Client, orphan: Json) -> None:
        assert api.patch(place(orphan), json={"name": "x", "mapping": []}).status_code == 200
        same = {"default_role": orphan["default_role"]}
        problem(api.patch(place(orphan), json=same), 422, "invalid")

    def test_it_is_deleted(self, api: httpx.Client, orphan: Json) -> None:
        assert api.delete(place(orphan)).status_code == 204


class TestWhoMay:
    WRITER = ("identity_providers:read", "identity_providers:write", "sources:read")

    @pytest.fixture
    def writer(self, api: httpx.Client) -> httpx.Client:
        """Somebody who may set providers up, and little else."""
        role = made(api.post("/roles", json={"name": "sso", "allow": self.WRITER}))["id"]
        return holder(api, role, organization_wide=True)

    def test_admins_read_and_owners_write(self, api: httpx.Client, okta: Json) -> None:
        with holder(api, BuiltIn.admin, organization_wide=True) as admin:
            assert admin.get(place(okta)).json() == okta
            for answer in (
                admin.post("/identity-providers", json=FIELDS),
                admin.patch(place(okta), json={"name": "x"}),
                admin.delete(place(okta)),
            ):
                problem(answer, 403, "forbidden")

    def test_it_is_a_matter_of_the_whole_organization(self, api: httpx.Client, okta: Json) -> None:
        with holder(api, BuiltIn.owner, project_id=a_project(api)) as caller:
            for answer in (
                caller.get("/identity-providers"),
                caller.get(place(okta)),
                caller.post("/identity-providers", json=FIELDS),
                caller.patch(place(okta), json={"name": "x"}),
                caller.delete(place(okta)),
            ):
                problem(answer, 403, "forbidden")

    @pytest.mark.parametrize(
        "fields", [{"default_role": "viewer"}, {"mapping": [{"group": "a", "role": "viewer"}]}], ids=str
    )
    def test_nobody_lets_one_give_more_than_their_own(self, writer: httpx.Client, fields: Json) -> None:
        problem(writer.post("/identity-providers", json={**FIELDS, **fields}), 403, "forbidden")
        mine = made(writer.post("/identity-providers", json=FIELDS))
        problem(writer.patch(place(mine), json=fields), 403, "forbidden")

    def test_nobody_changes_one_that_lets_in_more_than_they(
        self, api: httpx.Client, writer: httpx.Client, okta: Json
    ) -> None:
        problem(writer.patch(place(okta), json={"groups_claim": "name"}), 403, "forbidden")
        problem(writer.delete(place(okta)), 403, "forbidden")
        mine = made(writer.post("/identity-providers", json=FIELDS))
        assert api.patch(place(mine), json={"vouch": True}).status_code == 200
        problem(writer.patch(place(mine), json={"name": "mine"}), 403, "forbidden")  # an owner stands for it now

    @pytest.mark.parametrize(
        "change",
        [{"name": "tidy"}, {"client_secret": SECRET}, {"mapping": ...}, {"vouch": False}],
        ids=str,
    )
    def test_who_may_more_and_changes_one_does_not_stand_for_it(
        self, api: httpx.Client, writer: httpx.Client, change: Json
    ) -> None:
        little = made(api.post("/roles", json={"name": "little", "allow": ["sources:read"]}))["id"]
        if "mapping" in change:
            change = {"mapping": [{"group": "a", "role": little}]}
        mine = made(writer.post("/identity-providers", json=FIELDS))
        assert mine["ceiling"] == sorted(self.WRITER)
        assert api.patch(place(mine), json=change).json()["ceiling"] == mine["ceiling"]
        assert writer.patch(place(mine), json={"name": "still mine"}).status_code == 200

    @pytest.mark.parametrize(
        "fields", [{"default_role": "viewer"}, {"mapping": [{"group": "a", "role": "viewer"}]}], ids=str
    )
    def test_it_gives_no_more_than_who_stands_for_it(
        self, api: httpx.Client, writer: httpx.Client, fields: Json
    ) -> None:
        """Nobody would be let in by it."""
        mine = made(writer.post("/identity-providers", json=FIELDS))
        refused = problem(api.patch(place(mine), json=fields), 403, "forbidden")
        assert refused["detail"].startswith(f"{next(iter(fields))}: viewer may do more")
        seen = api.get(place(mine)).headers["ETag"]
        after = api.patch(place(mine), json={**fields, "vouch": True})
        assert after.json()["ceiling"] is None
        problem(api.patch(place(mine), json={"name": "x"}, headers={"If-Match": seen}), 412, "stale")
        (entry,) = api.get("/audit", params={"action": "identity_provider.updated"}).json()["items"]
        assert entry["detail"] == {"vouch": "true"}

    def test_another_ceiling_is_another_etag(self, api: httpx.Client, writer: httpx.Client) -> None:
        mine = made(writer.post("/identity-providers", json=FIELDS))
        seen = api.get(place(mine)).headers["ETag"]
        assert api.patch(place(mine), json={"vouch": True}).headers["ETag"] != seen

    def test_another_organization_sees_none(self, okta: Json) -> None:
        with rival() as stranger:
            problem(stranger.get(place(okta)), 404, "not_found")
            problem(stranger.patch(place(okta), json={"enabled": False}), 404, "not_found")
            problem(stranger.delete(place(okta)), 404, "not_found")
            assert stranger.get("/identity-providers").json()["items"] == []
