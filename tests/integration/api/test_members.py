"""Who belongs to an organization, and who is asked to."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.api import dependencies, identity
from shared import wiring
from shared.domain.role import ALLOWED, BuiltIn
from shared.errors import Conflict, Unavailable
from shared.services.granting import Grantor
from tests.fakes import Clock
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import a_key
from tests.integration.api.people import (
    EMAIL,
    OTHER,
    PASSWORD,
    Invite,
    Outbox,
    Person,
    bearer,
    log_in,
    register,
    settle,
)
from tests.integration.api.wire import problem
from tests.integration.conftest import forget

Json = dict[str, Any]


@pytest.fixture
def project(api: httpx.Client) -> str:
    """Another project of the organization."""
    return str(made(api.post("/projects", json={"name": "Lab"}))["id"])


@pytest.fixture
def eve(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody who let themselves in while there was no mail, so that nobody asked whether the address is theirs."""
    monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
    monkeypatch.delenv("SPARK_OUTBOX")
    forget()
    with client(None) as anybody:
        name = "A prize http://evil.example\nhttps://evil.example"
        body = {"email": "eve@example.com", "name": name, "password": PASSWORD}
        made(anybody.post("/auth/register", json=body))
    monkeypatch.setenv("SPARK_OUTBOX", str(outbox.file.parent))
    forget()
    return log_in("eve@example.com")


def invitation(role: str = "viewer", email: str = OTHER, **where: Any) -> Json:
    return {"email": email, "role": role, **where}


class TestInvitations:
    def test_the_token_in_the_mail_makes_a_member(self, owner: Person, outbox: Outbox) -> None:
        answer = owner.api.post("/invitations", json=invitation("editor"))
        sent = made(answer)
        assert answer.headers["Location"] == f"/api/v1/invitations/{sent['id']}"
        token = outbox.token(OTHER)
        assert token.rpartition("_")[2] not in answer.text
        joined = register(email=OTHER, name="Bob", invitation=token)
        assert joined.json()["email_verified_at"] is not None
        me = log_in(OTHER).api.get("/auth/me").json()
        assert (me["organization_id"], me["role"]) == ("default", "editor")
        assert set(me["permissions"]) == set(ALLOWED[BuiltIn.editor])
        assert owner.api.get("/invitations").json()["items"] == []

    def test_it_is_good_once(self, owner: Person, outbox: Outbox, invite: Invite) -> None:
        invite("viewer")
        token = outbox.token(OTHER)
        refused = problem(register(email=OTHER, name="Eve", invitation=token), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/invitation"

    def test_one_that_is_taken_back_at_the_last_moment_opens_nothing(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was read before it was taken back."""
        id = made(owner.api.post("/invitations", json=invitation()))["id"]
        store, token = identity.invitations(), outbox.token(OTHER)
        found = store.by_ulid(token.split("_")[1])
        owner.api.delete(f"/invitations/{id}")
        monkeypatch.setattr(type(store), "by_ulid", lambda store, ulid: found)
        problem(register(email=OTHER, name="Bob", invitation=token), 409, "conflict")
        assert [one["email"] for one in owner.api.get("/members").json()["items"]] == [EMAIL]
        assert identity.users().by_email(OTHER) is None

    def test_it_is_for_its_address_alone(self, owner: Person, outbox: Outbox) -> None:
        owner.api.post("/invitations", json=invitation())
        token = outbox.token(OTHER)
        problem(register(email="eve@example.com", name="Eve", invitation=token), 422, "invalid")
        assert register(email=OTHER.upper(), name="Bob", invitation=token).status_code == 201

    def test_it_is_over_after_seven_days(self, owner: Person, outbox: Outbox, clock: Clock) -> None:
        owner.api.post("/invitations", json=invitation())
        clock.forward(days=7)
        problem(register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)), 422, "invalid")

    def test_it_can_be_taken_back(self, owner: Person, outbox: Outbox) -> None:
        id = made(owner.api.post("/invitations", json=invitation()))["id"]
        assert [one["id"] for one in owner.api.get("/invitations").json()["items"]] == [id]
        assert owner.api.delete(f"/invitations/{id}").status_code == 204
        problem(register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)), 422, "invalid")
        problem(owner.api.delete(f"/invitations/{id}"), 404, "not_found")

    def test_a_request_that_comes_again_mails_once(self, owner: Person, outbox: Outbox) -> None:
        before, again = len(outbox.letters()), {"Idempotency-Key": "k"}
        first, second = (owner.api.post("/invitations", json=invitation(), headers=again) for _ in range(2))
        assert first.json() == second.json()
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(outbox.letters()) == before + 1

    def test_what_could_not_be_mailed_is_mailed_by_the_next_attempt(
        self, owner: Person, outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any) -> None:
            raise Unavailable("x")

        again = {"Idempotency-Key": "k"}
        with monkeypatch.context() as trouble:
            trouble.setattr(type(identity.mail()), "send", down)
            problem(owner.api.post("/invitations", json=invitation(), headers=again), 503, "unavailable")
        clock.forward(31)  # the lease of the request that failed
        sent = made(owner.api.post("/invitations", json=invitation(), headers=again))
        assert [one["id"] for one in owner.api.get("/invitations").json()["items"]] == [sent["id"]]
        assert register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)).status_code == 201

    def test_a_deployment_without_mail_says_so(self, api: httpx.Client) -> None:
        refused = problem(api.post("/invitations", json=invitation()), 409, "conflict")
        assert "MailFrom" in refused["detail"]
        assert api.get("/invitations").json()["items"] == []

    def test_who_has_an_account_joins_with_it(self, owner: Person, outbox: Outbox, monkeypatch: Any) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        settle(OTHER, outbox)
        owner.api.post("/invitations", json=invitation("operator"))
        bob = log_in(OTHER)
        joined = bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)})
        assert joined.json()["role"] == "operator"
        refused = problem(bob.again().api.get("/auth/me"), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/header/X-Project-Id"
        assert "default" in refused["detail"]
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": "default"}) as there:
            assert there.get("/auth/me").json()["role"] == "operator"
        problem(bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)}), 422, "invalid")

    def test_nobody_joins_on_an_invitation_of_somebody_else(
        self, owner: Person, invite: Invite, outbox: Outbox
    ) -> None:
        bob = invite("viewer")
        owner.api.post("/invitations", json=invitation("owner", "carol@example.com"))
        token = outbox.token("carol@example.com")
        problem(bob.api.post("/auth/invitations/accept", json={"token": token}), 422, "invalid")

    @pytest.mark.parametrize(("role", "status"), [("owner", 403), ("admin", 201), ("viewer", 201), ("nonsense", 422)])
    def test_nobody_gives_more_than_their_own(self, invite: Invite, role: str, status: int) -> None:
        admin = invite("admin")
        assert admin.api.post("/invitations", json=invitation(role, "c@example.com")).status_code == status

    @pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
    def test_it_takes_the_permission(self, owner: Person, invite: Invite, role: str) -> None:
        bob = invite(role)
        problem(bob.api.post("/invitations", json=invitation()), 403, "forbidden")
        problem(bob.api.get("/invitations"), 403, "forbidden")
        problem(bob.api.get("/members"), 403, "forbidden")
        problem(bob.api.patch(f"/members/{owner.id}", json={"role": "viewer"}), 403, "forbidden")

    def test_an_admin_of_one_project_has_a_say_there_alone(self, owner: Person, invite: Invite, project: str) -> None:
        bob = invite("admin", project_id=project)
        problem(bob.api.post("/invitations", json=invitation("viewer", "c@example.com")), 403, "forbidden")
        elsewhere = invitation("viewer", "c@example.com", project_id="default")
        problem(bob.api.post("/invitations", json=elsewhere), 404, "not_found")
        made(bob.api.post("/invitations", json=invitation("viewer", "c@example.com", project_id=project)))
        mine = made(owner.api.post("/invitations", json=invitation("viewer", "d@example.com")))
        problem(bob.api.delete(f"/invitations/{mine['id']}"), 404, "not_found")
        assert [one["email"] for one in bob.api.get("/invitations").json()["items"]] == ["c@example.com"]

    def test_a_role_in_one_project_is_none_in_the_organization(
        self, owner: Person, invite: Invite, outbox: Outbox, project: str
    ) -> None:
        """A viewer of the organization who is an admin of one project makes nobody a member of the organization."""
        bob = invite("viewer")
        owner.api.post("/invitations", json=invitation("admin", project_id=project))
        bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)})
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": project}) as there:
            assert there.get("/auth/me").json()["role"] == "viewer and admin"
            problem(there.post("/invitations", json=invitation("viewer", "c@example.com")), 403, "forbidden")
            made(there.post("/invitations", json=invitation("viewer", "c@example.com", project_id=project)))
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": "default"}) as elsewhere:
            problem(elsewhere.post("/invitations", json=invitation("viewer", "d@example.com")), 403, "forbidden")

    def test_what_is_denied_in_a_project_is_not_got_around_from_another(
        self, owner: Person, invite: Invite, outbox: Outbox, project: str
    ) -> None:
        bob = invite("admin")
        role = made(owner.api.post("/roles", json={"name": "no keys", "deny": ["keys:write"]}))["id"]
        made(owner.api.post("/invitations", json=invitation(role, project_id=project)))
        assert bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)}).status_code == 200
        key = {"name": "x", "role": "editor"}
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": project}) as there:
            own = f"/members/{there.get('/auth/me').json()['id']}?project_id={project}"
            problem(there.post("/api-keys", json=key), 403, "forbidden")
            problem(there.delete(own), 403, "forbidden")
            problem(there.patch(own, json={"role": "viewer"}), 403, "forbidden")
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": "default"}) as here:
            problem(here.post("/api-keys", json={**key, "project_id": project}), 404, "not_found")
            problem(here.post("/api-keys", json={**key, "organization_wide": True}), 403, "forbidden")
            problem(here.delete(own), 404, "not_found")
            made(here.post("/api-keys", json=key))


def test_who_joins_is_noted_with_where_they_came_from(owner: Person, invite: Invite, outbox: Outbox) -> None:
    bob = invite("viewer")
    made(owner.api.post("/invitations", json=invitation(project_id="default")))
    headers = {"X-Correlation-Id": "joins-0001"}
    answer = bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)}, headers=headers)
    assert answer.status_code == 200
    joined = owner.api.get("/audit", params={"action": "member.joined"}).json()["items"]
    assert len(joined) == 3
    assert all(entry["address"] and entry["correlation_id"] for entry in joined)
    assert joined[0]["correlation_id"] == answer.headers["X-Correlation-Id"]


def test_who_belongs_to_one_organization_means_its_oldest_project(eve: Person, clock: Clock) -> None:
    """Else a second project would shut its founder out of everything that names none."""
    own = eve.api.get("/auth/me").json()["project_id"]
    clock.forward(1)
    for name in ("Lab", "Den"):
        made(eve.api.post("/projects", json={"name": name}))
    clock.forward(60)
    assert eve.api.get("/auth/me").json()["project_id"] == own
    assert len(eve.api.get("/projects").json()["items"]) == 3


def test_who_belongs_to_two_projects_alone_has_to_name_one(
    owner: Person, invite: Invite, outbox: Outbox, project: str, clock: Clock
) -> None:
    other = made(owner.api.post("/projects", json={"name": "Den"}))["id"]
    bob = invite("viewer", project_id=project)
    made(owner.api.post("/invitations", json=invitation(project_id=other)))
    assert bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)}).status_code == 200
    clock.forward(60)
    problem(bob.api.get("/projects"), 422, "invalid")
    assert bob.api.get("/projects", headers={"X-Project-Id": other}).status_code == 200


class TestWhoSentIt:
    """What somebody handed out does not outlive what they may do."""

    @pytest.mark.parametrize(("role", "status"), [("owner", 422), ("admin", 201), ("viewer", 201)])
    def test_what_a_former_owner_could_no_longer_give_is_void(
        self, owner: Person, invite: Invite, outbox: Outbox, role: str, status: int
    ) -> None:
        bob = invite("owner")
        made(bob.api.post("/invitations", json=invitation(role, "c@example.com")))
        assert owner.api.patch(f"/members/{bob.id}", json={"role": "admin"}).status_code == 200
        answer = register(email="c@example.com", name="Carol", invitation=outbox.token("c@example.com"))
        assert answer.status_code == status

    def test_what_somebody_sent_who_was_removed_is_void(self, owner: Person, invite: Invite, outbox: Outbox) -> None:
        bob, carol = invite("admin"), invite("viewer", "c@example.com")
        for email in ("c@example.com", "d@example.com"):
            made(bob.api.post("/invitations", json=invitation("viewer", email)))
        assert owner.api.delete(f"/members/{bob.id}").status_code == 204
        joined = carol.api.post("/auth/invitations/accept", json={"token": outbox.token("c@example.com")})
        registered = register(email="d@example.com", name="Dan", invitation=outbox.token("d@example.com"))
        for refused in (joined, registered):
            assert "not for this address" in problem(refused, 422, "invalid")["detail"]

    def test_who_may_no_longer_invite_has_no_invitations(self, owner: Person, invite: Invite, outbox: Outbox) -> None:
        bob = invite("admin")
        made(bob.api.post("/invitations", json=invitation("viewer", "c@example.com")))
        owner.api.patch(f"/members/{bob.id}", json={"role": "viewer"})
        answer = register(email="c@example.com", name="Carol", invitation=outbox.token("c@example.com"))
        problem(answer, 422, "invalid")

    def test_a_role_that_is_gone_is_not_given(self, owner: Person, outbox: Outbox) -> None:
        role = made(owner.api.post("/roles", json={"name": "r", "allow": ["runs:read"]}))["id"]
        made(owner.api.post("/invitations", json=invitation(role)))
        assert owner.api.delete(f"/roles/{role}").status_code == 204
        problem(register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)), 422, "invalid")

    @pytest.mark.parametrize("is_there", [True, False])
    def test_the_invitation_of_a_key_is_good_as_long_as_the_key(
        self, owner: Person, outbox: Outbox, is_there: bool
    ) -> None:
        key = a_key(owner.api, "admin", organization_wide=True)
        with client(key["key"]) as caller:
            made(caller.post("/invitations", json=invitation()))
        if not is_there:
            assert owner.api.delete(f"/api-keys/{key['id']}").status_code == 204
        answer = register(email=OTHER, name="Bob", invitation=outbox.token(OTHER))
        assert answer.status_code == (201 if is_there else 422)

    def test_the_key_of_a_project_invites_there_until_it_is_over(
        self, owner: Person, outbox: Outbox, project: str, clock: Clock
    ) -> None:
        until = (wiring.now() + timedelta(hours=1)).isoformat()
        with client(a_key(owner.api, "admin", project_id=project, valid_until=until)["key"]) as caller:
            for email in (OTHER, "c@example.com"):
                made(caller.post("/invitations", json=invitation(email=email, project_id=project)))
        assert register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)).status_code == 201
        clock.forward(hours=1)
        answer = register(email="c@example.com", name="Carol", invitation=outbox.token("c@example.com"))
        problem(answer, 422, "invalid")

    def test_nobody_joins_a_project_that_is_gone(self, owner: Person, outbox: Outbox, project: str) -> None:
        made(owner.api.post("/invitations", json=invitation(project_id=project)))
        wiring.projects().delete(wiring.projects().get("default", project))
        problem(register(email=OTHER, name="Bob", invitation=outbox.token(OTHER)), 422, "invalid")
        assert identity.users().by_email(OTHER) is None


class TestLetters:
    def prove(self, person: Person, outbox: Outbox) -> None:
        assert person.api.post("/auth/verification").status_code == 204
        answer = person.api.post("/auth/verify", json={"token": outbox.token(person.email)})
        assert answer.status_code == 200, answer.text

    def test_nobody_writes_to_others_before_their_own_address_is_proven(self, eve: Person, outbox: Outbox) -> None:
        before = len(outbox.letters())
        with client(a_key(eve.api, "owner", organization_wide=True)["key"]) as key:
            for caller in (eve.api, key):
                refused = problem(caller.post("/invitations", json=invitation()), 409, "conflict")
                assert "prove their e-mail address" in refused["detail"]
            assert len(outbox.letters()) == before
            self.prove(eve, outbox)
            for caller in (eve.api, key):
                made(caller.post("/invitations", json=invitation()))

    def test_what_they_founded_is_noted(self, eve: Person) -> None:
        found = eve.api.get("/audit").json()["items"]
        founding = {"organization.created", "project.created", "member.joined"}
        assert {each["action"] for each in found} == founding | {"session.opened"}
        assert all(each["actor"] == eve.id and each["address"] and each["correlation_id"] for each in found)

    def test_a_letter_carries_no_address_of_a_strangers_making(self, eve: Person, outbox: Outbox) -> None:
        self.prove(eve, outbox)
        made(eve.api.post("/invitations", json=invitation()))
        text = outbox.letters()[-1]["text"]
        assert "You are invited to A prize http evil.example https evil.example at" in text
        assert "://" not in text.partition(" at ")[0]

    def test_nobody_gets_more_than_five_letters_a_minute_whoever_sends_them(
        self, owner: Person, invite: Invite, outbox: Outbox
    ) -> None:
        bob, to = invite("admin", "b@example.com"), invitation("viewer", "victim@example.com")
        senders = [owner, bob, owner, bob, owner]
        assert [one.api.post("/invitations", json=to).status_code for one in senders] == [201] * 5
        problem(bob.api.post("/invitations", json=to), 429, "rate_limited")
        assert bob.api.post("/invitations", json=invitation("viewer", "c@example.com")).status_code == 201
        assert len(owner.api.get("/invitations").json()["items"]) == 6


class TestMembers:
    def test_they_are_listed_with_who_they_are(self, owner: Person, invite: Invite, project: str) -> None:
        bob = invite("viewer", project_id=project)
        listed = owner.api.get("/members").json()["items"]
        facts = [(one["email"], one["role"], one["project_id"]) for one in listed]
        assert facts == [(OTHER, "viewer", project), (EMAIL, "owner", None)]
        assert "hash" not in str(listed)
        one = owner.api.get(f"/members/{bob.id}?project_id={project}")
        assert one.json() == listed[0]
        problem(owner.api.get(f"/members/{bob.id}"), 404, "not_found")

    def test_a_list_goes_on(self, owner: Person, invite: Invite) -> None:
        invite("viewer")
        first = owner.api.get("/members?limit=1").json()
        second = owner.api.get("/members", params={"limit": 1, "cursor": first["next_cursor"]}).json()
        assert {one["email"] for one in (*first["items"], *second["items"])} == {EMAIL, OTHER}

    def test_a_role_can_be_changed_and_counts_within_a_minute(
        self, owner: Person, invite: Invite, clock: Clock
    ) -> None:
        bob = invite("viewer")
        assert bob.api.get("/auth/me").json()["role"] == "viewer"
        changed = owner.api.patch(f"/members/{bob.id}", json={"role": "editor"})
        assert changed.json()["role"] == "editor"
        clock.forward(60)
        assert bob.api.get("/auth/me").json()["role"] == "editor"

    def test_one_who_is_lowered_does_not_undo_it_within_the_minute(self, owner: Person, invite: Invite) -> None:
        bob = invite("owner")
        path, others = f"/members/{bob.id}", f"/members/{owner.id}"
        assert owner.api.patch(path, json={"role": "viewer"}).status_code == 200
        assert bob.api.get("/auth/me").json()["role"] == "owner", "is remembered"
        problem(bob.api.patch(path, json={"role": "owner"}), 403, "forbidden")
        problem(bob.api.patch(others, json={"role": "viewer"}), 403, "forbidden")
        problem(bob.api.post("/projects", json={"name": "x"}), 403, "forbidden")

    def test_one_who_is_removed_gives_nothing_away_within_the_minute(self, owner: Person, invite: Invite) -> None:
        bob = invite("admin")
        assert owner.api.delete(f"/members/{bob.id}").status_code == 204
        assert bob.api.get("/auth/me").status_code == 200, "is remembered"
        problem(bob.api.post("/api-keys", json={"name": "x", "role": "admin"}), 403, "forbidden")
        problem(bob.api.post("/invitations", json={"email": "c@example.com", "role": "admin"}), 403, "forbidden")

    def test_if_match_guards_it(self, owner: Person, invite: Invite) -> None:
        path = f"/members/{invite('viewer').id}"
        tag = owner.api.get(path).headers["ETag"]
        assert owner.api.patch(path, json={"role": "editor"}, headers={"If-Match": tag}).status_code == 200
        problem(owner.api.patch(path, json={"role": "admin"}, headers={"If-Match": tag}), 412, "stale")
        problem(owner.api.delete(path, headers={"If-Match": tag}), 412, "stale")

    def test_one_who_is_removed_is_out_within_a_minute(self, owner: Person, invite: Invite, clock: Clock) -> None:
        bob = invite("editor")
        id = bob.id
        assert owner.api.delete(f"/members/{id}").status_code == 204
        clock.forward(60)
        problem(bob.api.get("/auth/me"), 403, "forbidden")
        problem(owner.api.delete(f"/members/{id}"), 404, "not_found")
        assert [one["email"] for one in owner.api.get("/members").json()["items"]] == [EMAIL]

    def test_one_who_was_removed_can_be_invited_again(self, owner: Person, invite: Invite, outbox: Outbox) -> None:
        bob = invite("editor")
        owner.api.delete(f"/members/{bob.id}")
        owner.api.post("/invitations", json=invitation("viewer"))
        assert bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)}).status_code == 200
        assert bob.again().api.get("/auth/me").json()["role"] == "viewer"

    def test_the_last_owner_is_neither_lowered_nor_removed(self, owner: Person, invite: Invite, clock: Clock) -> None:
        path = f"/members/{owner.id}"
        problem(owner.api.patch(path, json={"role": "admin"}), 409, "conflict")
        problem(owner.api.delete(path), 409, "conflict")
        bob = invite("owner")
        assert owner.api.patch(path, json={"role": "admin"}).status_code == 200
        problem(bob.api.delete(f"/members/{bob.id}"), 409, "conflict")
        assert bob.api.delete(path).status_code == 204

    def test_two_owners_do_not_remove_each_other_at_once(
        self, owner: Person, invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one has read who the owners are before the other is stored."""
        bob, ann = invite("owner").id, owner.id
        table, service = wiring.table(), identity.belonging()
        real = table.put_all
        mine = ALLOWED[BuiltIn.owner]

        def remove(whom: str, by: str) -> None:
            service.remove(Grantor(by, "default", None, mine), whom, None, lambda member: None)

        def meanwhile(_: Any, changes: Any) -> None:
            monkeypatch.setattr(type(table), "put_all", lambda table, changes: real(changes))
            remove(ann, by=bob)
            real(changes)

        monkeypatch.setattr(type(table), "put_all", meanwhile)
        with pytest.raises(Conflict):
            remove(bob, by=ann)
        assert [one.user_id for one in identity.members().list("default", limit=9).items] == [bob]

    def test_the_audit_log_tells_who_let_whom_in_and_out(self, owner: Person, invite: Invite) -> None:
        bob = invite("owner").id
        owner.api.patch(f"/members/{bob}", json={"role": "admin"})
        owner.api.delete(f"/members/{bob}")
        told = owner.api.get("/audit").json()["items"]
        acts = [one["action"] for one in reversed(told) if one["kind"] == "member"]
        assert acts == ["member.joined", "member.joined", "member.updated", "member.removed"]
        assert {one["actor"] for one in told if one["action"] == "member.removed"} == {owner.id}

    def test_an_admin_lays_no_hand_on_an_owner(self, owner: Person, invite: Invite) -> None:
        admin = invite("admin")
        problem(admin.api.patch(f"/members/{owner.id}", json={"role": "viewer"}), 403, "forbidden")
        problem(admin.api.delete(f"/members/{owner.id}"), 403, "forbidden")
        problem(admin.api.patch(f"/members/{admin.id}", json={"role": "owner"}), 403, "forbidden")

    def test_nothing_is_seen_or_changed_from_another_organization(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        bob, pending = settle(OTHER, outbox), made(owner_invites(owner))
        assert [one["email"] for one in bob.api.get("/members").json()["items"]] == [OTHER]
        assert bob.api.get("/invitations").json()["items"] == []
        problem(bob.api.get(f"/members/{owner.id}"), 404, "not_found")
        problem(bob.api.patch(f"/members/{owner.id}", json={"role": "viewer"}), 404, "not_found")
        problem(bob.api.delete(f"/members/{owner.id}"), 404, "not_found")
        problem(bob.api.delete(f"/invitations/{pending['id']}"), 404, "not_found")
        foreign = invitation("viewer", "c@example.com", project_id="default")
        problem(bob.api.post("/invitations", json=foreign), 404, "not_found")
        assert owner.api.get("/auth/me").json()["role"] == "owner"


class TestTheirKeys:
    """What becomes of the keys that somebody made who is removed."""

    def test_they_are_kept_if_nothing_else_is_said(self, owner: Person, invite: Invite, clock: Clock) -> None:
        bob = invite("admin")
        key = a_key(bob.api)
        assert owner.api.delete(f"/members/{bob.id}").status_code == 204
        clock.forward(61)
        assert opens(key)

    def test_they_are_revoked_one_by_one(self, owner: Person, invite: Invite, project: str, clock: Clock) -> None:
        bob, mine = invite("admin"), a_key(owner.api)
        me, wide = bob.id, {"organization_wide": True}
        keys = [a_key(bob.api), a_key(bob.api, project_id=project), a_key(bob.api, "admin", **wide)]
        assert owner.api.delete(f"/members/{me}?keys=revoke").status_code == 204
        clock.forward(61)
        assert [opens(key) for key in [*keys, mine]] == [False, False, False, True]
        revoked = owner.api.get("/audit", params={"action": "key.revoked"}).json()["items"]
        assert {one["subject"] for one in revoked} == {key["id"] for key in keys}
        assert {one["actor"] for one in revoked} == {owner.id}
        problem(owner.api.get(f"/members/{me}"), 404, "not_found")

    def test_of_one_project_with_the_membership_in_it(self, owner: Person, invite: Invite, project: str) -> None:
        bob = invite("admin", project_id=project)
        key, mine = a_key(bob.api), a_key(owner.api, project_id=project)
        assert owner.api.delete(f"/members/{bob.id}?project_id={project}&keys=revoke").status_code == 204
        left = [one["id"] for one in owner.api.get("/api-keys", params={"project_id": project}).json()["items"]]
        assert mine["id"] in left
        assert key["id"] not in left

    def test_it_takes_the_permission(self, owner: Person, invite: Invite) -> None:
        bob = invite("viewer")
        role = {
            "name": "people",
            "allow": ["members:read", "members:write", *bob.api.get("/auth/me").json()["permissions"]],
        }
        mate = invite(made(owner.api.post("/roles", json=role))["id"], "c@example.com")
        problem(mate.api.delete(f"/members/{bob.id}?keys=revoke"), 403, "forbidden")
        assert mate.api.delete(f"/members/{bob.id}?keys=keep").status_code == 204

    def test_one_above_their_own_keeps_all_of_it_as_it_is(self, owner: Person, invite: Invite) -> None:
        bob, admin = invite("owner"), invite("admin", "c@example.com")
        keys, me = [a_key(bob.api), a_key(bob.api, "owner")], bob.id
        owner.api.patch(f"/members/{me}", json={"role": "admin"})
        problem(admin.api.delete(f"/members/{me}?keys=revoke"), 403, "forbidden")
        assert all(opens(key) for key in keys)
        assert owner.api.get(f"/members/{me}").status_code == 200

    def test_the_last_owner_key_keeps_all_of_it_as_it_is(
        self, owner: Person, invite: Invite, api: httpx.Client
    ) -> None:
        bob = invite("owner")
        keys, me = [a_key(bob.api), *(a_key(bob.api, "owner", organization_wide=True) for _ in range(2))], bob.id
        assert api.delete("/api-keys/bootstrap").status_code == 204
        problem(owner.api.delete(f"/members/{me}?keys=revoke"), 409, "conflict")
        assert all(opens(key) for key in keys)
        assert owner.api.get(f"/members/{me}").status_code == 200

    def test_the_last_owner_keeps_their_keys(self, owner: Person) -> None:
        key = a_key(owner.api)
        problem(owner.api.delete(f"/members/{owner.id}?keys=revoke"), 409, "conflict")
        assert opens(key)

    def test_what_was_interrupted_goes_on(self, owner: Person, invite: Invite, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keys first: while there are any left, the member is still there to be removed."""
        bob = invite("admin")
        keys, me = [a_key(bob.api) for _ in range(3)], bob.id
        store, revoked = identity.api_keys(), []
        real = type(store).delete

        def dies(store: Any, key: Any, *rest: Any) -> None:
            if revoked:
                raise Unavailable("x")
            revoked.append(key.id)
            real(store, key, *rest)

        with monkeypatch.context() as trouble:
            trouble.setattr(type(store), "delete", dies)
            problem(owner.api.delete(f"/members/{me}?keys=revoke"), 503, "unavailable")
        assert owner.api.get(f"/members/{me}").status_code == 200
        assert owner.api.delete(f"/members/{me}?keys=revoke").status_code == 204
        left = [one["id"] for one in owner.api.get("/api-keys", params={"created_by": me}).json()["items"]]
        assert left == []
        assert len(keys) == 3

    def test_one_that_is_made_meanwhile_goes_too(
        self, owner: Person, invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bob = invite("admin")
        first, me, belonging = a_key(bob.api), bob.id, identity.belonging()
        real = type(belonging).remove
        late = identity.api_keys().get("default", first["id"]).model_copy(update={"id": "key_late", "revision": 0})

        def meanwhile(*said: Any) -> None:
            identity.api_keys().save(None, late)
            real(*said)

        monkeypatch.setattr(type(belonging), "remove", meanwhile)
        assert owner.api.delete(f"/members/{me}?keys=revoke").status_code == 204
        assert owner.api.get("/api-keys", params={"created_by": me}).json()["items"] == []


def opens(key: Json) -> bool:
    """Does it open the door of another environment, which remembers nobody?"""
    dependencies.doorkeeper.cache_clear()
    with client(key["key"]) as caller:
        return caller.get("/runs").status_code == 200


def owner_invites(owner: Person) -> httpx.Response:
    return owner.api.post("/invitations", json=invitation("viewer", "carol@example.com"))
