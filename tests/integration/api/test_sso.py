"""Logging in by an identity provider: a real one, in a process of its own, which holds PKCE against us."""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from functions.api import identity
from shared import wiring
from shared.domain.login import Proofs
from shared.errors import Conflict
from tests.fakes import Clock
from tests.integration.api import sso
from tests.integration.api.conftest import made
from tests.integration.api.keys import RIVAL, rival
from tests.integration.api.people import EMAIL, PASSWORD, Invite, Outbox, Person, bearer, log_in, visitor
from tests.integration.api.sso import Provider, asked_for, begin, begun, come, finish, let_in, trust
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
SUE = "sue@sso.test"
ADMINS = {"mapping": [{"group": "admins", "role": "admin"}, {"group": "makers", "role": "editor"}]}


@pytest.fixture(scope="module")
def process() -> Iterator[Provider]:
    with sso.running() as provider:
        yield provider


@pytest.fixture
def oidc(process: Provider) -> Provider:
    """The provider, which knows Sue."""
    process.knows("sue", email=SUE, name="Sue", groups=["makers"])
    return process


@pytest.fixture
def okta(owner: Person, oidc: Provider) -> Json:
    """The same, trusted by the organization."""
    return trust(owner.api, oidc.issuer, **ADMINS)


def refresh(person: Person) -> httpx.Response:
    with visitor() as anybody:
        return anybody.post("/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]})


def member(owner: Person, email: str) -> Json:
    found: list[Json] = owner.api.get("/members").json()["items"]
    return next(each for each in found if each["email"] == email)


def actions(owner: Person) -> list[tuple[str, str]]:
    return [(each["action"], each["actor"]) for each in owner.api.get("/audit").json()["items"]]


class TestTheWayThere:
    def test_it_carries_a_challenge_a_state_and_a_nonce_that_fit_what_the_starter_has(self, okta: Json) -> None:
        start = begun(okta["id"])
        said = asked_for(start["authorization_url"])
        proofs = Proofs.of(start["attempt"].rpartition("_")[2])
        assert (said["state"], said["nonce"]) == (proofs.state, proofs.nonce)
        digest = hashlib.sha256(proofs.verifier.encode()).digest()
        assert said["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert (said["code_challenge_method"], said["response_type"]) == ("S256", "code")
        assert (said["client_id"], said["scope"]) == (sso.CLIENT_ID, "openid profile email")

    def test_nothing_that_is_stored_of_it_helps_anybody(self, aws: Aws, okta: Json) -> None:
        start = begun(okta["id"])
        secret = start["attempt"].rpartition("_")[2]
        proofs = Proofs.of(secret)
        stored = str([item for item in aws.items() if item["pk"]["S"].startswith("LOGIN#")])
        assert okta["id"] in stored
        assert not [each for each in (secret, proofs.state, proofs.nonce, proofs.verifier) if each in stored]

    @pytest.mark.parametrize(
        "uri",
        [
            "http://127.0.0.1:7777/elsewhere",
            "http://localhost:7777/{id}",
            "http://127.0.0.1/{id}",
            "http://127.0.0.1:7777@evil.test/{id}",
            "http://127.0.0.1:7777/{id}#x",
            "http://127.0.0.1:7777/?x=/{id}",
            "https://evil.test/{id}",
            "javascript:alert(1)//{id}",
        ],
    )
    def test_it_leads_back_to_this_machine_or_to_us_on_a_path_of_its_own(self, okta: Json, uri: str) -> None:
        found = problem(begin(okta["id"], redirect_uri=uri.format(id=okta["id"])), 422, "invalid")
        assert found["errors"][0]["pointer"] == "/redirect_uri"

    def test_a_provider_that_is_unknown_or_switched_off_is_not_there(self, owner: Person, okta: Json) -> None:
        owner.api.patch(f"/identity-providers/{okta['id']}", json={"enabled": False})
        for id in (okta["id"], "idp_nobody"):
            problem(begin(id), 404, "not_found")


class TestComingIn:
    def test_somebody_new_becomes_a_member_with_the_role_of_their_group(
        self, owner: Person, oidc: Provider, okta: Json
    ) -> None:
        sue = let_in(come(oidc, okta["id"], "sue"))
        me = sue.api.get("/auth/me").json()
        assert (me["organization_id"], me["role"]) == ("default", "editor")
        assert (me["user"]["email"], me["user"]["name"], me["user"]["email_verified_at"]) == (SUE, "Sue", None)
        assert member(owner, SUE)["created_by"] == okta["id"]
        assert {("member.joined", okta["id"]), ("identity.linked", okta["id"])} <= set(actions(owner))

    def test_the_audit_log_tells_it_from_a_login_by_password(self, owner: Person, oidc: Provider, okta: Json) -> None:
        let_in(come(oidc, okta["id"], "sue"))
        by_provider, by_password = owner.api.get("/audit", params={"action": "session.opened"}).json()["items"]
        assert okta["id"] in by_provider["detail"]["reason"]
        assert by_password["detail"].keys() == {"session"}

    def test_the_same_person_is_the_same_user_whatever_their_address(self, oidc: Provider, okta: Json) -> None:
        first = let_in(come(oidc, okta["id"], "sue")).id
        oidc.knows("sue", email="married@sso.test", groups=["makers"])
        assert let_in(come(oidc, okta["id"], "sue")).id == first

    def test_no_password_opens_the_account_until_a_letter_sets_one(
        self, oidc: Provider, okta: Json, outbox: Outbox
    ) -> None:
        let_in(come(oidc, okta["id"], "sue"))
        with visitor() as anybody:
            problem(anybody.post("/auth/login", json={"email": SUE, "password": PASSWORD}), 401, "unauthenticated")
            assert anybody.post("/auth/forgot-password", json={"email": SUE}).status_code == 204
            body = {"token": outbox.token(SUE), "password": PASSWORD}
            assert anybody.post("/auth/reset-password", json=body).status_code == 204
        assert log_in(SUE).api.get("/auth/me").json()["user"]["email_verified_at"] is not None

    def test_whoever_is_a_member_already_is_let_in_as_themselves(
        self, owner: Person, invite: Invite, oidc: Provider, okta: Json
    ) -> None:
        bob = invite("operator", "bob@sso.test")
        oidc.knows("bob", email="BOB@sso.test", groups=["makers"])
        assert let_in(come(oidc, okta["id"], "bob")).id == bob.id
        assert member(owner, "bob@sso.test")["role"] == "editor"

    def test_a_role_given_by_hand_stays_unless_a_group_has_another(
        self, owner: Person, invite: Invite, oidc: Provider
    ) -> None:
        okta = trust(owner.api, oidc.issuer, **ADMINS)
        invite("operator", "bob@sso.test")
        oidc.knows("bob", email="bob@sso.test", groups=["others"])
        let_in(come(oidc, okta["id"], "bob"))
        assert member(owner, "bob@sso.test")["role"] == "operator"

    def test_whose_groups_have_no_role_is_refused_and_stays_what_they_are(
        self, owner: Person, invite: Invite, oidc: Provider
    ) -> None:
        okta = trust(owner.api, oidc.issuer, default_role=None, **ADMINS)
        invite("operator", "bob@sso.test")
        oidc.knows("bob", email="bob@sso.test", groups="others")
        problem(come(oidc, okta["id"], "bob"), 403, "forbidden")
        assert member(owner, "bob@sso.test")["role"] == "operator"

    @pytest.mark.parametrize("email", ["sue@elsewhere.test", "sue@x.sso.test", "no address", None])
    def test_addresses_of_other_domains_are_refused(self, owner: Person, oidc: Provider, email: str | None) -> None:
        okta = trust(owner.api, oidc.issuer, domains=["SSO.test"])
        oidc.knows("other", **({"email": email} if email else {}))
        problem(come(oidc, okta["id"], "other"), 403, "forbidden")

    def test_whoever_was_removed_stays_out(self, owner: Person, oidc: Provider, okta: Json) -> None:
        sue = let_in(come(oidc, okta["id"], "sue"))
        assert owner.api.delete(f"/members/{sue.id}").status_code == 204
        problem(come(oidc, okta["id"], "sue"), 403, "forbidden")

    def test_who_is_barred_stays_out(self, oidc: Provider, okta: Json) -> None:
        user = identity.users().get(let_in(come(oidc, okta["id"], "sue")).id)
        identity.users().save(user, user.model_copy(update={"disabled_at": wiring.now()}))
        problem(come(oidc, okta["id"], "sue"), 401, "unauthenticated")


class TestGroups:
    def test_another_group_is_another_role_at_the_next_login(self, owner: Person, oidc: Provider, okta: Json) -> None:
        let_in(come(oidc, okta["id"], "sue"))
        oidc.knows("sue", email=SUE, groups=["admins", "makers"])
        assert let_in(come(oidc, okta["id"], "sue")).api.get("/auth/me").json()["role"] == "admin"
        assert ("member.updated", okta["id"]) in actions(owner)
        oidc.knows("sue", email=SUE, groups=[])
        assert let_in(come(oidc, okta["id"], "sue")).api.get("/auth/me").json()["role"] == "viewer"

    def test_what_a_group_gave_goes_with_it_also_from_who_was_invited(
        self, owner: Person, invite: Invite, oidc: Provider, okta: Json
    ) -> None:
        bob = invite("operator", "bob@sso.test")
        for groups, role in ((["admins"], "admin"), ([], "viewer")):
            oidc.knows("bob", email="bob@sso.test", groups=groups)
            let_in(come(oidc, okta["id"], "bob"))
            assert member(owner, "bob@sso.test")["role"] == role
        owner.api.patch(f"/members/{bob.id}", json={"role": "editor"})
        let_in(come(oidc, okta["id"], "bob"))
        assert member(owner, "bob@sso.test")["role"] == "editor"

    def test_the_last_owner_stays_one_whatever_their_group(self, owner: Person, oidc: Provider, okta: Json) -> None:
        oidc.knows("boss", email=EMAIL, groups=["makers"])
        assert let_in(come(oidc, okta["id"], "boss")).id == owner.id
        assert member(owner, EMAIL)["role"] == "owner"

    def test_one_of_two_owners_follows_their_group(
        self, owner: Person, invite: Invite, oidc: Provider, okta: Json
    ) -> None:
        invite("owner", "bob@sso.test")
        oidc.knows("bob", email="bob@sso.test", groups=["makers"])
        let_in(come(oidc, okta["id"], "bob"))
        assert member(owner, "bob@sso.test")["role"] == "editor"

    def test_who_had_one_project_gets_the_role_of_their_group_in_all(
        self, owner: Person, invite: Invite, oidc: Provider, okta: Json
    ) -> None:
        project = made(owner.api.post("/projects", json={"name": "Lab"}))["id"]
        invite("viewer", "bob@sso.test", project_id=project)
        oidc.knows("bob", email="bob@sso.test", groups=["others"])
        bob = let_in(come(oidc, okta["id"], "bob")).api
        assert bob.get("/auth/me").json()["role"] == "viewer"
        assert bob.get("/sources", headers={"X-Project-Id": "default"}).status_code == 404
        oidc.knows("bob", email="bob@sso.test", groups=["makers"])
        bob = let_in(come(oidc, okta["id"], "bob")).api
        assert bob.get("/auth/me", headers={"X-Project-Id": "default"}).json()["role"] == "editor"


class TestTheWayBack:
    def test_a_login_is_finished_once(self, oidc: Provider, okta: Json) -> None:
        start = begun(okta["id"])
        back = oidc.visit(start["authorization_url"], "sue")
        let_in(finish(start["attempt"], back))
        problem(finish(start["attempt"], back), 401, "unauthenticated")

    def test_a_code_is_good_for_one_login(self, oidc: Provider, okta: Json) -> None:
        first, second = begun(okta["id"]), begun(okta["id"])
        code = oidc.visit(first["authorization_url"], "sue")["code"]
        mine = {"state": asked_for(second["authorization_url"])["state"], "code": code}
        problem(finish(second["attempt"], mine), 401, "unauthenticated")  # the provider: another verifier

    def test_the_state_is_that_of_the_attempt(self, oidc: Provider, okta: Json) -> None:
        mine, theirs = begun(okta["id"]), begun(okta["id"])
        back = oidc.visit(theirs["authorization_url"], "sue")
        problem(finish(mine["attempt"], back), 401, "unauthenticated")
        let_in(finish(theirs["attempt"], back))

    def test_whoever_began_alone_can_finish(self, oidc: Provider, okta: Json) -> None:
        start = begun(okta["id"])
        back = oidc.visit(start["authorization_url"], "sue")
        kind, ulid, _ = start["attempt"].split("_")
        for attempt in (f"{kind}_{ulid}_{'x' * 43}", f"spr_{ulid}_{'x' * 43}", "nothing"):
            problem(finish(attempt, back), 401, "unauthenticated")
        let_in(finish(start["attempt"], back))

    def test_it_takes_no_longer_than_ten_minutes(self, oidc: Provider, okta: Json, clock: Clock) -> None:
        start = begun(okta["id"])
        back = oidc.visit(start["authorization_url"], "sue")
        clock.forward(minutes=10)
        problem(finish(start["attempt"], back), 401, "unauthenticated")

    def test_a_provider_that_was_switched_off_meanwhile_lets_nobody_in(
        self, owner: Person, oidc: Provider, okta: Json
    ) -> None:
        start = begun(okta["id"])
        back = oidc.visit(start["authorization_url"], "sue")
        owner.api.patch(f"/identity-providers/{okta['id']}", json={"enabled": False})
        problem(finish(start["attempt"], back), 401, "unauthenticated")

    def test_two_first_logins_at_once_make_one_user(
        self, owner: Person, oidc: Provider, okta: Json, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        welcoming, others = type(identity.welcoming()), list[str]()
        enrol = welcoming._enrol

        def slow(self: Any, *arguments: Any) -> Any:
            """Another request for the same person is faster."""
            others.append(enrol(self, *arguments).id)
            return enrol(self, *arguments)

        monkeypatch.setattr(welcoming, "_enrol", slow)
        assert [let_in(come(oidc, okta["id"], "sue")).id] == others
        assert [each["email"] for each in owner.api.get("/members").json()["items"]].count(SUE) == 1


class TestSessions:
    @pytest.fixture
    def sue(self, oidc: Provider, okta: Json) -> Person:
        return let_in(come(oidc, okta["id"], "sue"))

    def test_they_are_refreshed_for_twelve_hours(self, sue: Person, clock: Clock) -> None:
        sue.tokens = refresh(sue).json()
        assert bearer(sue.tokens["access_token"]).get("/sources").status_code == 200
        clock.forward(hours=12)
        problem(refresh(sue), 401, "unauthenticated")

    @pytest.mark.parametrize("how", ["switched off", "deleted"])
    def test_they_end_with_the_trust_in_their_provider(
        self, owner: Person, sue: Person, okta: Json, clock: Clock, how: str
    ) -> None:
        assert sue.api.get("/sources").status_code == 200
        place = f"/identity-providers/{okta['id']}"
        gone = owner.api.delete(place) if how == "deleted" else owner.api.patch(place, json={"enabled": False})
        assert gone.is_success
        clock.forward(seconds=61)
        problem(sue.api.get("/sources"), 401, "unauthenticated")
        problem(refresh(sue), 401, "unauthenticated")
        assert member(log_in(), SUE)["role"] == "editor"

    def test_they_are_left_by_logging_out(self, sue: Person, clock: Clock) -> None:
        assert sue.api.post("/auth/logout").status_code == 204
        clock.forward(seconds=61)
        problem(sue.api.get("/sources"), 401, "unauthenticated")

    def test_they_do_not_open_the_account(self, sue: Person) -> None:
        change = {"current_password": PASSWORD, "password": PASSWORD + "2"}
        requests = [
            sue.api.post("/auth/change-password", json=change),
            sue.api.post("/auth/verification"),
            sue.api.get("/auth/sessions"),
            sue.api.delete(f"/auth/sessions/{sue.tokens['session_id']}"),
            sue.api.post("/auth/invitations/accept", json={"token": "x"}),
        ]
        for answer in requests:
            problem(answer, 403, "forbidden")

    def test_the_person_sees_and_ends_them_when_they_log_in_themselves(
        self, invite: Invite, oidc: Provider, okta: Json
    ) -> None:
        bob = invite("operator", "bob@sso.test")
        oidc.knows("bob", email="bob@sso.test", groups=[])
        opened = let_in(come(oidc, okta["id"], "bob")).tokens["session_id"]
        assert opened in [each["id"] for each in bob.api.get("/auth/sessions").json()["items"]]
        assert bob.api.delete(f"/auth/sessions/{opened}").status_code == 204


class TestHostileProviders:
    """A provider says what it likes of anybody: it counts in its own organization."""

    @pytest.fixture
    def theirs(self, owner: Person, oidc: Provider) -> Json:
        with rival() as api:
            return trust(api, oidc.issuer, default_role="owner")

    def test_somebody_elses_address_opens_nothing(self, owner: Person, oidc: Provider, theirs: Json) -> None:
        oidc.knows("liar", email=EMAIL)
        problem(come(oidc, theirs["id"], "liar"), 409, "conflict")

    def test_a_member_of_both_is_let_in_to_theirs_alone(self, owner: Person, oidc: Provider, theirs: Json) -> None:
        """Once the owner of ours has joined them, they can say that they are that one."""
        join_rival(owner)
        oidc.knows("liar", email=EMAIL)
        liar = let_in(come(oidc, theirs["id"], "liar"))
        assert liar.id == owner.id
        me = liar.api.get("/auth/me").json()
        assert me["organization_id"] == RIVAL
        ours = {"X-Project-Id": "default"}
        for path in ("/sources", "/runs", "/members", "/api-keys", "/audit", "/identity-providers", "/organizations"):
            problem(liar.api.get(path, headers=ours), 404, "not_found")
        problem(liar.api.get("/organizations/default"), 404, "not_found")
        problem(liar.api.post("/api-keys", json={"name": "x", "role": "owner"}, headers=ours), 404, "not_found")
        problem(liar.api.get("/auth/sessions"), 403, "forbidden")
        assert owner.api.get("/sources", headers=ours).status_code == 200

    def test_what_it_gives_is_a_role_of_its_own_organization(self, owner: Person, oidc: Provider, theirs: Json) -> None:
        join_rival(owner)
        oidc.knows("liar", email=EMAIL)
        let_in(come(oidc, theirs["id"], "liar"))
        assert member(owner, EMAIL)["role"] == "owner"

    def test_a_provider_of_somebody_who_may_less_lets_nobody_in_as_more(
        self, owner: Person, invite: Invite, oidc: Provider
    ) -> None:
        """Who may set providers up and little else cannot become the owner by one that says so."""
        allow = ["identity_providers:write", "identity_providers:read", "sources:read", "projects:read"]
        role = made(owner.api.post("/roles", json={"name": "sso", "allow": allow}))["id"]
        eve = invite(role, "eve@sso.test")
        narrow = made(owner.api.post("/roles", json={"name": "narrow", "allow": ["sources:read"]}))["id"]
        mine = trust(eve.api, oidc.issuer, default_role=narrow, mapping=[{"group": "low", "role": narrow}])
        oidc.knows("liar", email=EMAIL, groups=["low"])
        liar = let_in(come(oidc, mine["id"], "liar"))
        assert liar.id == owner.id
        assert set(liar.api.get("/auth/me").json()["permissions"]) == set(allow)
        problem(liar.api.get("/members"), 403, "forbidden")
        assert member(owner, EMAIL)["role"] == "owner"
        invite("owner", "second@sso.test")
        oidc.knows("second", email="second@sso.test", groups=["low"])
        let_in(come(oidc, mine["id"], "second"))
        assert member(owner, "second@sso.test")["role"] == "owner"  # nor takes it away from others


def join_rival(owner: Person) -> None:
    from shared.domain.member import Member
    from shared.domain.user import joined

    user = identity.users().get(owner.id)
    member = Member(organization_id=RIVAL, user_id=user.id, role="viewer", created_by="key", created_at=wiring.now())
    identity.users().save_with(user, joined(user, member), identity.members().changes(RIVAL, None, member))


def test_many_at_once_end_one_login(oidc: Provider, okta: Json) -> None:
    """The condition, not the order of requests: threads on the store itself."""
    vouching = identity.vouching()
    start = begun(okta["id"])
    back = oidc.visit(start["authorization_url"], "sue")
    login = vouching.logins.by_ulid(start["attempt"].split("_")[1])
    assert login is not None

    def spend(_: int) -> bool:
        try:
            vouching.logins.spend(login)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(8))) == 1
    problem(finish(start["attempt"], back), 401, "unauthenticated")
