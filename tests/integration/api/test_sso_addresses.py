"""Who becomes whom by an identity provider: an address makes a member only where it is known to be theirs, and once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from functions.api import identity
from shared.domain.token import hashed
from tests.integration.api import sso
from tests.integration.api.conftest import made
from tests.integration.api.keys import holder
from tests.integration.api.people import EMAIL, Invite, Person
from tests.integration.api.sso import Forger, let_in, trust
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
SUE = "sue@sso.test"
SAYS_NOTHING = {"email_verified": ...}
VERIFIED: list[Json] = [{"email_verified": True}, {"email_verified": "true"}]
UNVERIFIED: list[Json] = [
    *({"email_verified": said} for said in (False, "false", "yes", 1, None, [True], {"true": True})),
    SAYS_NOTHING,
]


@pytest.fixture
def forger() -> Iterator[Forger]:
    with sso.forging() as forger:
        yield forger


@pytest.fixture
def okta(owner: Person, forger: Forger) -> Json:
    return trust(owner.api, forger.issuer)


def come(forger: Forger, provider: Json, subject: str, email: str, **claims: Any) -> httpx.Response:
    """A login of `subject`; a claim that is `...` is not there."""

    def token(right: Json) -> str:
        said = {**right, "sub": subject, "email": email, **claims}
        return forger.signed({name: value for name, value in said.items() if value is not ...})

    forger.tokens = token
    return forger.login(provider["id"])


def sessions(aws: Aws) -> int:
    return sum(item["pk"]["S"].startswith("SESSION#") for item in aws.items())


@pytest.mark.parametrize("domains", [[], [EMAIL.partition("@")[2]]], ids=["all", "theirs"])
@pytest.mark.parametrize("said", UNVERIFIED, ids=str)
def test_an_address_that_is_not_verified_makes_nobody_who_is_here(
    aws: Aws, owner: Person, forger: Forger, said: Json, domains: list[str]
) -> None:
    okta = trust(owner.api, forger.issuer, domains=domains)
    before = sessions(aws)
    problem(come(forger, okta, "mallory", EMAIL, **said), 409, "conflict")
    assert sessions(aws) == before
    assert not [item for item in aws.items() if "#SUBJECT#" in item["pk"]["S"]]


@pytest.mark.parametrize("said", VERIFIED, ids=str)
def test_one_that_is_verified_does(owner: Person, forger: Forger, okta: Json, said: Json) -> None:
    assert let_in(come(forger, okta, "boss", EMAIL, **said)).id == owner.id


@pytest.mark.parametrize("said", UNVERIFIED, ids=str)
def test_where_an_owner_trusts_its_addresses_silence_is_enough_and_a_no_is_not(
    owner: Person, forger: Forger, said: Json
) -> None:
    okta = trust(owner.api, forger.issuer, trusts_addresses=True)
    assert okta["trusts_addresses"] is True
    answer = come(forger, okta, "boss", EMAIL, **said)
    if said is SAYS_NOTHING:
        assert let_in(answer).id == owner.id
    else:
        problem(answer, 409, "conflict")


@pytest.mark.parametrize("said", [*VERIFIED, *UNVERIFIED], ids=str)
def test_somebody_new_needs_none_and_proves_nothing(forger: Forger, okta: Json, said: Json) -> None:
    sue = let_in(come(forger, okta, "sue", SUE, **said))
    assert sue.api.get("/auth/me").json()["user"]["email_verified_at"] is None
    assert let_in(come(forger, okta, "sue", SUE, **said)).id == sue.id


@pytest.mark.parametrize("said", [*VERIFIED, *UNVERIFIED], ids=str)
def test_two_subjects_are_never_the_same_user(forger: Forger, okta: Json, said: Json) -> None:
    """Not even where the provider has verified the address of both: it may give it to somebody else later."""
    sue = let_in(come(forger, okta, "sue", SUE))
    problem(come(forger, okta, "trudy", SUE, **said), 409, "conflict")
    assert let_in(come(forger, okta, "sue", SUE)).id == sue.id


def test_nor_where_the_first_was_a_member_before(owner: Person, forger: Forger, okta: Json) -> None:
    let_in(come(forger, okta, "boss", EMAIL))
    problem(come(forger, okta, "trudy", EMAIL), 409, "conflict")


def test_by_another_provider_they_are_that_user_again(owner: Person, forger: Forger, okta: Json) -> None:
    let_in(come(forger, okta, "boss", EMAIL))
    assert let_in(come(forger, trust(owner.api, forger.issuer), "else", EMAIL)).id == owner.id


@pytest.mark.parametrize("method", ["_welcome", "_enrol"])
def test_of_two_subjects_at_once_one_becomes_them(
    owner: Person, invite: Invite, forger: Forger, okta: Json, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Both have seen that the account, or the address, is nobody's by this provider."""
    if method == "_welcome":
        invite("viewer", SUE)
    welcoming = type(identity.welcoming())
    store = getattr(welcoming, method)

    def slow(self: Any, *said: Any) -> Any:
        """Somebody else is faster."""
        monkeypatch.setattr(welcoming, method, store)
        store(self, *(replace(each, subject=hashed("trudy")) if hasattr(each, "subject") else each for each in said))
        return store(self, *said)

    monkeypatch.setattr(welcoming, method, slow)
    problem(come(forger, okta, "sue", SUE), 409, "conflict")
    let_in(come(forger, okta, "trudy", SUE))


class TestWhoTrustsAddresses:
    ALL_BUT_OWNERS = ("identity_providers:read", "identity_providers:write", "sources:read")

    @pytest.fixture
    def writer(self, owner: Person) -> httpx.Client:
        role = made(owner.api.post("/roles", json={"name": "sso", "allow": self.ALL_BUT_OWNERS}))["id"]
        return holder(owner.api, role, organization_wide=True)

    def test_it_takes_an_owner(self, owner: Person, writer: httpx.Client, forger: Forger) -> None:
        fields = {"name": "Okta", "issuer": forger.issuer, "client_id": "spark"}
        refused = writer.post("/identity-providers", json={**fields, "trusts_addresses": True})
        assert "trusts_addresses" in problem(refused, 403, "forbidden")["detail"]
        place = f"/identity-providers/{made(writer.post('/identity-providers', json=fields))['id']}"
        refused = writer.patch(place, json={"trusts_addresses": True})
        assert "trusts_addresses" in problem(refused, 403, "forbidden")["detail"]
        assert owner.api.get(place).json()["trusts_addresses"] is False
        assert owner.api.patch(place, json={"trusts_addresses": True}).json()["trusts_addresses"] is True
        assert writer.patch(place, json={"trusts_addresses": False}).json()["trusts_addresses"] is False

    @pytest.mark.parametrize("value", ["true", 1, None])
    def test_it_is_true_or_false(self, owner: Person, okta: Json, value: Any) -> None:
        place = f"/identity-providers/{okta['id']}"
        found = problem(owner.api.patch(place, json={"trusts_addresses": value}), 422, "invalid")
        assert found["errors"][0]["pointer"] == "/trusts_addresses"
