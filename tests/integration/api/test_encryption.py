"""Encrypting anew what is stored: all of an organization's, with today's key, and nobody else's."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.api import dependencies, identity
from shared import wiring
from shared.domain.identity_provider import IdentityProvider
from shared.domain.second_factor import SecondFactor
from shared.domain.source import Source
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import a_project, holder, rival
from tests.integration.api.people import Person
from tests.integration.api.wire import problem
from tests.integration.conftest import API_KEY, Aws, forget

Json = dict[str, Any]
PATH = "/encryption/rotation"
UNSEEN = {"verify": "false"}


@pytest.fixture
def another(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> str:
    """The deployment has another key from now on: its ARN."""
    return move(monkeypatch)


def move(monkeypatch: pytest.MonkeyPatch) -> str:
    key: str = wiring.client("kms").create_key()["KeyMetadata"]["Arn"]
    monkeypatch.setenv("SPARK_KMS_KEY_ID", key)
    forget()
    return key


@pytest.fixture
def sources(api: httpx.Client) -> list[Source]:
    """Three in one project, one of them without a key, and one in another project; encrypted with the first key."""
    elsewhere = {"X-Project-Id": a_project(api)}
    a_source(api, "without", None)
    wanted = [("default", a_source(api, f"lab {number}", f"key-{number}")) for number in range(2)]
    wanted.append((elsewhere["X-Project-Id"], a_source(api, "lab 2", "key-2", **elsewhere)))
    return [wiring.sources().get(*where) for where in wanted]


def a_source(api: httpx.Client, name: str, key: str | None, **headers: str) -> str:
    body = {"name": name, "url": "http://langflow.test", "api_key": key}
    return str(made(api.post("/sources", json=body, params=UNSEEN, headers=headers))["id"])


def rotated(api: httpx.Client, **body: Any) -> Json:
    answer = api.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def now(sources: list[Source]) -> list[Source]:
    return [wiring.sources().get(source.project_id, source.id) for source in sources]


def opens_with(source: Source) -> str:
    """The ARN of the key that opens what is stored; it has to be the project's."""
    assert source.encrypted_key is not None
    blob, context = base64.b64decode(source.encrypted_key), {"project": source.project_id}
    return str(wiring.client("kms").decrypt(CiphertextBlob=blob, EncryptionContext=context)["KeyId"])


def plain(sources: list[Source]) -> list[str]:
    return [wiring.cipher().decrypt(source.project_id, source.encrypted_key or "") for source in sources]


def test_all_projects_keys_are_encrypted_with_todays_key_and_can_be_read(
    api: httpx.Client, sources: list[Source], another: str
) -> None:
    assert plain(sources) == ["key-0", "key-1", "key-2"]  # before it, too
    assert rotated(api) == {"matched": 3, "changed": 3, "next_cursor": None, "left": []}
    assert {opens_with(source) for source in now(sources)} == {another}
    assert plain(now(sources)) == ["key-0", "key-1", "key-2"]


def test_secrets_at_identity_providers_and_of_authenticator_apps_too(
    owner: Person, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, id = wiring.now(), owner.id
    secret = identity.keeper_of_organizations().encrypt("default", "at the provider")
    provider = IdentityProvider(
        id="idp_1",
        organization_id="default",
        name="Acme",
        issuer="https://login.test",
        client_id="spark",
        encrypted_secret=secret,
        created_by=id,
        created_at=at,
        updated_at=at,
    )
    identity.identity_providers().save(None, provider)
    factor = SecondFactor(
        user_id=id, encrypted_secret=identity.keeper_of_users().encrypt(id, "of the app"), created_at=at
    )
    identity.second_factors().save(None, factor)
    another = move(monkeypatch)
    with client(API_KEY) as api:
        assert in_parts(api) == 2
    for keeper, of, stored, plain in (
        (
            identity.keeper_of_organizations(),
            "default",
            identity.identity_providers().get("default", "idp_1"),
            provider,
        ),
        (identity.keeper_of_users(), id, identity.second_factors().find(id), factor),
    ):
        assert stored is not None
        assert stored.encrypted_secret != plain.encrypted_secret
        assert keeper.decrypt(of, stored.encrypted_secret or "") in ("at the provider", "of the app")
        assert another.rpartition("/")[2].encode() in base64.b64decode(stored.encrypted_secret or "")


def test_the_etag_of_an_identity_provider_stays(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody edited it."""
    fields = {"name": "Acme", "issuer": "https://login.test", "client_id": "spark", "client_secret": "at the provider"}
    place = f"/identity-providers/{made(api.post('/identity-providers', json=fields))['id']}"
    seen, before = api.get(place), identity.identity_providers().list("default", limit=1).items
    move(monkeypatch)
    with client(API_KEY) as later:
        assert rotated(later)["changed"] == 1
        after = identity.identity_providers().list("default", limit=1).items
        assert after[0].encrypted_secret != before[0].encrypted_secret
        assert later.get(place).headers["ETag"] == seen.headers["ETag"]
        assert later.patch(place, json={"name": "x"}, headers={"If-Match": seen.headers["ETag"]}).status_code == 200


def in_parts(api: httpx.Client) -> int:
    """One record per call; how many were encrypted."""
    cursor, changed = None, 0
    for _ in range(20):
        answer = rotated(api, limit=1, **({"cursor": cursor} if cursor else {}))
        cursor, changed = answer["next_cursor"], changed + answer["changed"]
        if cursor is None:
            break
    assert cursor is None
    return changed


def test_what_is_done_in_parts_comes_to_the_same(api: httpx.Client, sources: list[Source], another: str) -> None:
    assert in_parts(api) == 3
    assert {opens_with(source) for source in now(sources)} == {another}


def test_who_has_no_more_time_goes_on_with_the_next_call(
    api: httpx.Client, sources: list[Source], another: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hurry:
        hurry.setattr(dependencies, "REQUEST_TIME", timedelta(0))
        answer = rotated(api)
    assert answer["next_cursor"]
    assert opens_with(now(sources)[0]) != another
    rest = rotated(api, cursor=answer["next_cursor"])
    assert answer["changed"] + rest["changed"] == 3
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("step", range(3))
def test_a_crash_in_the_middle_leaves_all_readable_and_is_done_again(
    api: httpx.Client, sources: list[Source], another: str, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    real, calls = wiring.cipher().reencrypt, iter(range(100))

    def dies(project: str, text: str) -> str | None:
        if next(calls) == step:
            raise RuntimeError("the function ends here")
        return real(project, text)

    monkeypatch.setattr(wiring.cipher(), "reencrypt", dies)
    assert api.post(PATH, json={}).status_code == 500
    assert plain(now(sources)) == ["key-0", "key-1", "key-2"]
    assert [opens_with(source) for source in now(sources)].count(another) == step
    monkeypatch.setattr(wiring.cipher(), "reencrypt", real)
    assert rotated(api)["changed"] == 3
    assert {opens_with(source) for source in now(sources)} == {another}


@pytest.mark.parametrize("new_key", [None, "a-new-key"])
def test_an_edit_in_between_is_kept_and_its_key_encrypted_too(
    api: httpx.Client, sources: list[Source], another: str, monkeypatch: pytest.MonkeyPatch, new_key: str | None
) -> None:
    real, edit = wiring.cipher().reencrypt, {"name": "renamed"}
    if new_key is not None:
        edit["encrypted_key"] = wiring.cipher().encrypt("default", new_key)

    def meanwhile(project: str, text: str) -> str | None:
        done = real(project, text)
        if text == sources[1].encrypted_key:
            current = wiring.sources().get("default", sources[1].id)
            if current.name != "renamed":
                wiring.sources().save(current, current.model_copy(update=edit))
        return done

    monkeypatch.setattr(wiring.cipher(), "reencrypt", meanwhile)
    assert rotated(api)["changed"] == 3
    after = wiring.sources().get("default", sources[1].id)
    assert after.name == "renamed"
    assert plain([after]) == [new_key or "key-1"]
    assert opens_with(after) == another


def test_one_that_goes_in_between_is_no_trouble(
    api: httpx.Client, sources: list[Source], another: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = wiring.cipher().reencrypt

    def meanwhile(project: str, text: str) -> str | None:
        done = real(project, text)
        if sources[1].encrypted_key == text:
            wiring.sources().delete(sources[1])
        return done

    monkeypatch.setattr(wiring.cipher(), "reencrypt", meanwhile)
    assert rotated(api)["next_cursor"] is None
    assert {opens_with(source) for source in now([sources[0], sources[2]])} == {another}


def test_what_does_not_open_any_more_is_named_and_the_rest_is_done(
    api: httpx.Client, sources: list[Source], another: str
) -> None:
    damaged = sources[1].model_copy(update={"encrypted_key": base64.b64encode(b"x" * 200).decode()})
    wiring.sources().save(sources[1], damaged)
    answer = rotated(api)
    assert (answer["matched"], answer["changed"], answer["left"]) == (3, 2, [damaged.id])
    assert {opens_with(source) for source in now([sources[0], sources[2]])} == {another}


def test_trouble_of_kms_is_no_verdict_on_a_source(
    api: httpx.Client, sources: list[Source], another: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(project: str, text: str) -> str | None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "ReEncrypt")

    monkeypatch.setattr(wiring.cipher(), "reencrypt", busy)
    assert api.post(PATH, json={}).status_code == 503


class TestOthers:
    @pytest.fixture
    def theirs(self, api: httpx.Client) -> Iterator[tuple[httpx.Client, Source]]:
        with rival() as caller:
            id = a_source(caller, "theirs", "their-key")
            project = caller.get("/projects").json()["items"][0]["id"]
            yield caller, wiring.sources().get(project, id)

    def test_another_organizations_sources_are_not_touched(
        self, api: httpx.Client, sources: list[Source], theirs: tuple[httpx.Client, Source], another: str
    ) -> None:
        assert rotated(api)["changed"] == 3
        assert now([theirs[1]]) == [theirs[1]]

    def test_nor_by_a_forged_cursor(
        self, api: httpx.Client, sources: list[Source], theirs: tuple[httpx.Client, Source], another: str
    ) -> None:
        from functions.api.pages import make_cursor

        place = f"{theirs[1].project_id}/src_z"
        forged = make_cursor(place, "\0".join(["default", "rotate", "{}"]))
        assert api.post(PATH, json={"cursor": forged}).status_code == 200
        assert now([theirs[1]]) == [theirs[1]]

    def test_it_takes_the_whole_organization(self, api: httpx.Client) -> None:
        with holder(api, "owner") as of_one_project, holder(api, "admin", organization_wide=True) as admin:
            problem(of_one_project.post(PATH, json={}), 403, "forbidden")
            problem(admin.post(PATH, json={}), 403, "forbidden")


def test_it_is_one_entry_in_the_audit_log(api: httpx.Client, sources: list[Source], another: str) -> None:
    rotated(api)
    newest = api.get("/audit").json()["items"][0]
    assert (newest["action"], newest["kind"], newest["subject"]) == ("encryption.rotated", "organization", "default")
    assert newest["detail"] == {"matched": 3}
    assert newest["actor"] == "bootstrap"


def test_a_cursor_of_another_list_is_refused(api: httpx.Client) -> None:
    problem(api.post(PATH, json={"cursor": "AAAA"}), 400, "bad_cursor")
