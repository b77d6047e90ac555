"""Accounts: what the audit log says of them, and what the operator of a deployment does about one."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from cli import chains
from functions.api import identity
from shared import wiring
from shared.domain.session import Visitor, opened
from shared.store.audit import AuditFilter, AuditStore
from tests.fakes import Clock
from tests.integration.api.conftest import made
from tests.integration.api.factors import enable
from tests.integration.api.keys import holder, rival
from tests.integration.api.people import (
    EMAIL,
    OTHER,
    PASSWORD,
    Invite,
    Outbox,
    Person,
    bearer,
    log_in,
    settle,
    visitor,
)
from tests.integration.api.sso import forging, trust
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws, forget

Json = dict[str, Any]
ANOTHER = "another long and winding password"


def told(api: httpx.Client, user: str, **filters: str) -> list[Json]:
    """What the log of an organization says of an account, oldest first."""
    found = api.get("/audit", params={"subject": user, **filters}).json()["items"]
    return sorted((one for one in found if one["kind"] == "user"), key=lambda one: int(one["number"]))


def acts(api: httpx.Client, user: str) -> list[str]:
    return [one["action"] for one in told(api, user)]


class TestWhatTheLogSays:
    def test_a_session_is_opened_and_ended(self, api: httpx.Client, owner: Person) -> None:
        me, session = owner.id, owner.tokens["session_id"]
        answer = owner.api.post("/auth/logout", headers={"X-Correlation-Id": "leaves-0001"})
        assert answer.status_code == 204
        opened, revoked = told(api, me)
        assert (opened["action"], revoked["action"]) == ("session.opened", "session.revoked")
        assert opened["detail"] == revoked["detail"] == {"session": session}
        assert {one["actor"] for one in (opened, revoked)} == {me}
        assert all(one["address"] == "127.0.0.1" and one["correlation_id"] for one in (opened, revoked))
        assert revoked["correlation_id"] == "leaves-0001"
        assert not any(one["before_hash"] or one["after_hash"] for one in (opened, revoked))

    def test_a_session_that_is_ended_from_elsewhere(self, api: httpx.Client, owner: Person) -> None:
        other = owner.again()
        assert owner.api.delete(f"/auth/sessions/{other.tokens['session_id']}").status_code == 204
        assert told(api, owner.id)[-1]["detail"] == {"session": other.tokens["session_id"]}

    def test_a_stolen_refresh_token_is_sparks_own(self, api: httpx.Client, owner: Person, clock: Clock) -> None:
        with visitor() as anybody:
            for _ in range(2):
                answer = anybody.post("/auth/refresh", json={"refresh_token": owner.tokens["refresh_token"]})
                clock.forward(11)
        problem(answer, 401, "unauthenticated")
        revoked = told(api, log_in().id)[1]
        assert (revoked["action"], revoked["actor"]) == ("session.revoked", "spark")
        assert "second time" in revoked["detail"]["reason"]

    def test_another_password_and_a_proven_address(self, api: httpx.Client, owner: Person, outbox: Outbox) -> None:
        me, token = owner.id, outbox.token(EMAIL)
        with visitor() as anybody:
            assert anybody.post("/auth/verify", json={"token": token}).status_code == 200
            body = {"current_password": PASSWORD, "password": ANOTHER}
            assert owner.api.post("/auth/change-password", json=body).status_code == 204
            anybody.post("/auth/forgot-password", json={"email": EMAIL})
            body = {"token": outbox.token(EMAIL), "password": PASSWORD}
            assert anybody.post("/auth/reset-password", json=body).status_code == 204
        assert acts(api, me) == ["session.opened", "email.verified", "password.changed", "password.reset"]
        text = api.get("/audit/export").text
        assert not [secret for secret in (PASSWORD, ANOTHER, token, outbox.token(EMAIL)) if secret in text]

    def test_the_second_factor_switched_on_renewed_off_and_taken_away(
        self, api: httpx.Client, owner: Person, clock: Clock
    ) -> None:
        app, me = enable(owner, clock), owner.id
        proof = {"current_password": PASSWORD}
        assert owner.api.post("/auth/mfa/recovery-codes", json={**proof, "code": app.next_code()}).status_code == 200
        off = owner.api.post("/auth/mfa/disable", json={**proof, "code": app.next_code()})
        assert off.status_code == 204, off.text
        clock.forward(30)
        enable(owner, clock)
        assert api.post("/accounts/remove-second-factor", json={"account": EMAIL}).status_code == 204
        found = told(api, me)[1:]
        assert [(one["action"].partition(".")[2], one["actor"]) for one in found] == [
            ("enabled", me),
            ("recovery_codes_renewed", me),
            ("disabled", me),
            ("enabled", me),
            ("removed", "bootstrap"),
        ]
        assert all(one["action"].startswith("second_factor.") and one["correlation_id"] for one in found)
        assert not [code for code in (app.secret, *app.codes) if code in api.get("/audit/export").text]

    def test_a_wrong_password_is_no_entry(self, api: httpx.Client, owner: Person) -> None:
        before = acts(api, owner.id)
        with visitor() as anybody:
            anybody.post("/auth/login", json={"email": EMAIL, "password": "wrong"})
        body = {"current_password": "wrong", "password": ANOTHER}
        problem(owner.api.post("/auth/change-password", json=body), 401, "unauthenticated")
        assert acts(api, owner.id) == before

    def test_each_organization_of_theirs_is_told_and_no_other(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bob founded one organization, and was invited to another; Eve founded a third."""
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        bob = settle(OTHER, outbox)
        settle("eve@example.com", outbox)
        me, own = bob.id, bob.api.get("/auth/me").json()["project_id"]
        made(owner.api.post("/invitations", json={"email": OTHER, "role": "viewer"}))
        bob.api.post("/auth/invitations/accept", json={"token": outbox.token(OTHER)})
        bob = bob.again()
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": own}) as at_home:
            assert acts(at_home, me) == ["email.verified", "session.opened", "session.opened"]
        assert [(one["action"], one["number"]) for one in told(owner.api, me)] == [("session.opened", 1)]
        eve = log_in("eve@example.com")
        assert told(eve.api, me) == []

    def test_a_session_that_counts_in_one_organization_is_told_that_one(self, api: httpx.Client, owner: Person) -> None:
        """As one that an identity provider opened; whoever it is of is in others, too."""
        now, ann = wiring.now(), identity.users().get(owner.id)
        everywhere = ann.model_copy(update={"places": (("default", None), ("org_b", None))})
        session = opened(everywhere, wiring.new_id("ses"), "s" * 86, Visitor("", ""), now)
        confined = session.model_copy(update={"organization_id": "org_b", "provider_id": "idp_1"})
        identity.sessions().save(None, confined)
        identity.users().save(ann, everywhere)
        before = acts(api, owner.id)
        identity.signing_in().log_out(ann.id, confined.id)
        assert acts(api, owner.id) == before
        (entry,) = wiring.audit().list("org_b", AuditFilter(), limit=9).items
        assert (entry.action, entry.detail) == ("session.revoked", {"session": confined.id})

    def test_neither_change_nor_entry_is_there_without_the_other(
        self, api: httpx.Client, owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        me, sessions, before = owner.id, len(owner.api.get("/auth/sessions").json()["items"]), acts(api, owner.id)
        real = AuditStore.following

        def taken(store: AuditStore, *said: Any) -> Any:
            """Somebody else's entry has this number already."""
            change = real(store, *said)
            return change._replace(before={**change.after, "revision": 9})

        with monkeypatch.context() as trouble:
            trouble.setattr(AuditStore, "following", taken)
            object.__setattr__(identity.witness(), "sleep", lambda _: None)
            with visitor() as anybody:
                answer = anybody.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
            problem(answer, 503, "unavailable")
        assert len(owner.api.get("/auth/sessions").json()["items"]) == sessions
        assert acts(api, me) == before

    def test_two_logins_at_once_are_two_entries(
        self, api: httpx.Client, owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one has read where the chain ends before the other is stored."""
        table, me = wiring.table(), identity.users().get(owner.id)
        real, service = table.put_all, identity.signing_in()

        def meanwhile(_: Any, changes: Any, *, removed: Any = ()) -> None:
            monkeypatch.setattr(
                type(table), "put_all", lambda _, changes, *, removed=(): real(changes, removed=removed)
            )
            service.open(me, Visitor("", ""))
            real(changes, removed=removed)

        monkeypatch.setattr(type(table), "put_all", meanwhile)
        service.open(me, Visitor("", ""))
        assert [one["number"] for one in told(api, me.id)] == [1, 2, 3]

    def test_the_log_verifies_and_warns_of_nothing(
        self, api: httpx.Client, owner: Person, invite: Invite, clock: Clock
    ) -> None:
        bob = invite("viewer")
        bob.api.post("/auth/logout")
        owner.api.post("/auth/change-password", json={"current_password": PASSWORD, "password": ANOTHER})
        assert api.post("/accounts/disable", json={"account": OTHER}).status_code == 200
        clock.forward(60)
        assert wiring.ticker().tick(clock() + timedelta(seconds=30), lambda shard: None).sealed == 9
        entries, seals = (api.get(path, params={"limit": 100}).json()["items"] for path in ("/audit", "/audit/seals"))
        assert len(entries) == 9
        assert chains.faults(entries, seals, wiring.now()) == []
        assert chains.warnings(entries) == []
        dropped = [one for one in entries if one["kind"] != "user"]
        assert chains.faults(dropped, seals, wiring.now())


class TestTheOperator:
    @pytest.mark.parametrize("named", ["email", "id"])
    def test_an_account_is_disabled_and_enabled(
        self, api: httpx.Client, owner: Person, invite: Invite, clock: Clock, named: str
    ) -> None:
        bob = invite("admin")
        account = {"account": OTHER.upper() if named == "email" else bob.id}
        answer = api.post("/accounts/disable", json=account)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["email"], bool(answer.json()["disabled_at"])) == (OTHER, True)
        assert "hash" not in answer.text
        clock.forward(61)
        problem(bob.api.get("/runs"), 401, "unauthenticated")
        with visitor() as anybody:
            login = {"email": OTHER, "password": PASSWORD}
            problem(anybody.post("/auth/login", json=login), 401, "unauthenticated")
            refresh = {"refresh_token": bob.tokens["refresh_token"]}
            problem(anybody.post("/auth/refresh", json=refresh), 401, "unauthenticated")
            assert api.post("/accounts/enable", json=account).json()["disabled_at"] is None
            problem(anybody.post("/auth/refresh", json=refresh), 401, "unauthenticated")  # over for good
        assert log_in(OTHER).api.get("/runs").status_code == 200

    def test_it_is_in_the_log_once_for_each_time(self, api: httpx.Client, invite: Invite) -> None:
        bob = invite("viewer").id
        for verb in ("disable", "disable", "enable", "enable"):
            assert api.post(f"/accounts/{verb}", json={"account": bob}).status_code == 200
        changes = told(api, bob)[1:]
        assert [(one["action"], one["actor"]) for one in changes] == [
            ("user.disabled", "bootstrap"),
            ("user.enabled", "bootstrap"),
        ]

    def test_nobody_else_does_it(self, api: httpx.Client, owner: Person, invite: Invite, aws: Aws) -> None:
        bob = invite("viewer").id
        with holder(api, "owner", organization_wide=True) as other:
            for caller in (owner.api, other):
                for verb in ("disable", "enable"):
                    refused = problem(caller.post(f"/accounts/{verb}", json={"account": bob}), 403, "forbidden")
                    assert "first key" in refused["detail"]
        assert identity.users().get(bob).disabled_at is None

    @pytest.mark.parametrize("account", ["nobody@example.com", "usr_nobody"])
    def test_who_is_not_there(self, api: httpx.Client, account: str) -> None:
        problem(api.post("/accounts/disable", json={"account": account}), 404, "not_found")


class TestWhoIsTold:
    """An organization may make an account for an address that is not its people's."""

    def test_an_organization_that_was_not_asked_learns_nothing_of_the_account(
        self, api: httpx.Client, owner: Person, outbox: Outbox
    ) -> None:
        with forging() as forger, rival() as mallory:
            provider = trust(mallory, forger.issuer)
            forger.tokens = lambda said: forger.signed({**said, "sub": "bob", "email": OTHER})
            assert forger.login(provider["id"]).status_code == 200
            owner.api.post("/invitations", json={"email": OTHER, "role": "viewer"}).raise_for_status()
            invitation = outbox.token(OTHER)
            with visitor() as anybody:
                anybody.post("/auth/forgot-password", json={"email": OTHER})
                body = {"token": outbox.token(OTHER), "password": PASSWORD}
                assert anybody.post("/auth/reset-password", json=body).status_code == 204
            bob = log_in(OTHER)
            assert bob.api.post("/auth/invitations/accept", json={"token": invitation}).status_code == 200
            log_in(OTHER)
            theirs = [one["action"] for one in mallory.get("/audit").json()["items"] if one["kind"] == "user"]
            assert theirs == ["session.opened"]  # the one that their provider opened
        ours = [one["action"] for one in api.get("/audit").json()["items"] if one["kind"] == "user"]
        assert ours[0] == "session.opened"
