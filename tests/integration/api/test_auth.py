"""People: how they get an account, come in, and leave."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from functions.api import dependencies, identity
from shared import wiring
from shared.domain.record import EPOCH
from shared.domain.session import Visitor
from shared.domain.signing_key import PERIOD
from shared.errors import NotSignedIn, Outrun, Unavailable
from shared.services import hashing
from shared.store.table import key_of
from tests.fakes import Clock
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
    visitor,
)
from tests.integration.api.wire import problem
from tests.integration.conftest import API_KEY, Aws, forget
from tests.moto_atomic import one_at_a_time

Json = dict[str, Any]


def post(path: str, **body: Any) -> httpx.Response:
    with visitor() as anybody:
        return anybody.post(f"/auth/{path}", json=body)


class TestRegister:
    def test_the_first_key_makes_the_owner_of_the_default_organization(self, outbox: Outbox) -> None:
        made = register()
        assert made.status_code == 201, made.text
        assert made.json().keys() == {"id", "email", "name", "email_verified_at", "created_at"}
        me = log_in().api.get("/auth/me").json()
        assert (me["organization_id"], me["project_id"], me["role"]) == ("default", "default", "owner")
        assert me["user"] == made.json()

    def test_there_is_one_first_owner(self, owner: Person) -> None:
        refused = problem(register(email=OTHER), 409, "conflict")
        assert "invitation" in refused["detail"]

    def test_of_those_who_come_first_at_the_same_time_one_becomes_the_owner(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each has looked, and seen no owner, before the first of them is stored."""
        with visitor(**{"X-API-Key": API_KEY}) as key:
            key.get("/auth/me")
        store = type(identity.users())
        monkeypatch.setattr(store, "has_first_owner", lambda users: False)
        answers = [register(email=f"{name}@example.com").status_code for name in ("a", "b", "c")]
        assert answers == [201, 409, 409]

    def test_without_a_key_or_an_invitation_there_is_no_way_in(self, outbox: Outbox) -> None:
        problem(post("register", email=EMAIL, name="Ann", password=PASSWORD), 403, "forbidden")

    def test_no_other_key_will_do(self, owner: Person, api: httpx.Client) -> None:
        made = api.post("/api-keys", json={"name": "k", "role": "owner"}).json()
        with visitor(**{"X-API-Key": made["key"]}) as other:
            body = {"email": OTHER, "name": "Bob", "password": PASSWORD}
            problem(other.post("/auth/register", json=body), 403, "forbidden")

    def test_where_it_is_open_everybody_gets_an_organization_of_their_own(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        bob = settle(OTHER, outbox)
        me = bob.api.get("/auth/me").json()
        assert me["role"] == "owner"
        assert me["organization_id"] not in ("", "default")
        assert bob.api.get("/sources").json()["items"] == []
        with bearer(bob.tokens["access_token"], **{"X-Project-Id": "default"}) as abroad:
            problem(abroad.get("/sources"), 404, "not_found")

    def test_where_it_is_open_a_letter_alone_says_who_has_an_account(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        waited: list[float] = []
        monkeypatch.setattr(dependencies, "sleep", waited.append)
        mine = {"name": "Eve", "password": "a password of eve's own"}
        taken, free = (post("register", email=email, **mine) for email in (EMAIL, OTHER))
        said = {"x-correlation-id", "ratelimit"}  # who asks twice has fewer left, whatever for
        assert (taken.status_code, taken.content) == (free.status_code, free.content) == (202, b"null")
        assert [(name, value) for name, value in taken.headers.items() if name not in said] == [
            (name, value) for name, value in free.headers.items() if name not in said
        ]
        assert len(waited) == 2
        assert all(0 < seconds <= 1 for seconds in waited)
        told, asked = outbox.letters()[-2:]
        assert (told["to"], asked["to"]) == (EMAIL, OTHER)
        assert "There is one already" in told["text"]
        assert "sp" not in told["text"].replace("spark", "")  # no token
        logins = [post("login", email=email, password=mine["password"]) for email in (EMAIL, OTHER)]
        first, second = (problem(answer, 401, "unauthenticated") for answer in logins)
        assert {**first, "correlation_id": ""} == {**second, "correlation_id": ""}
        weak = [post("register", email=email, name="Eve", password="short") for email in (EMAIL, "c@example.com")]
        assert [problem(answer, 422, "invalid")["errors"][0]["pointer"] for answer in weak] == ["/password"] * 2
        assert owner.again().api.get("/auth/me").json()["user"]["name"] == "Ann"

    def test_who_lost_the_letter_gets_in_by_another(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        for _ in range(2):
            post("register", email=OTHER, name="Bob", password=PASSWORD)
        assert post("forgot-password", email=OTHER).status_code == 204
        new = "quite another password"
        assert post("reset-password", token=outbox.token(OTHER), password=new).status_code == 204
        assert log_in(OTHER, new).api.get("/auth/me").json()["role"] == "owner"

    @pytest.mark.parametrize("email", [EMAIL, EMAIL.upper(), "Ann@Example.com"])
    def test_an_address_is_one_persons_where_there_is_no_mail(
        self, owner: Person, monkeypatch: pytest.MonkeyPatch, email: str
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        monkeypatch.delenv("SPARK_OUTBOX")
        forget()
        problem(post("register", email=email, name="Eve", password=PASSWORD), 409, "conflict")

    def test_an_address_is_one_persons_also_when_two_come_at_once(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        monkeypatch.setattr(type(identity.users()), "is_taken", lambda users, address: False)
        assert post("register", email=EMAIL, name="Eve", password=PASSWORD).status_code == 202
        assert "There is one already" in outbox.letters()[-1]["text"]
        assert log_in().api.get("/auth/me").json()["user"]["name"] == "Ann"

    @pytest.mark.parametrize(
        "password", ["short", "passwordpassword", "aaaaaaaaaaaaaaaa", EMAIL, EMAIL.upper(), "ü" * 600]
    )
    def test_a_password_that_would_be_guessed_is_refused(self, outbox: Outbox, password: str) -> None:
        refused = problem(register(password=password), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/password"

    def test_a_mail_that_cannot_be_sent_does_not_undo_an_account(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any) -> None:
            raise Unavailable("x")

        monkeypatch.setattr(type(identity.mail()), "send", down)
        assert register().status_code == 201
        log_in()

    def test_it_refuses_to_be_repeated(self, outbox: Outbox) -> None:
        with visitor(**{"X-API-Key": API_KEY, "Idempotency-Key": "k"}) as key:
            body = {"email": EMAIL, "name": "Ann", "password": PASSWORD}
            problem(key.post("/auth/register", json=body), 422, "invalid")


class TestLogin:
    @pytest.mark.parametrize("email", [EMAIL, EMAIL.upper()])
    def test_a_password_opens_a_session(self, owner: Person, email: str) -> None:
        answer = post("login", email=email, password=PASSWORD)
        tokens = answer.json()
        assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
        assert answer.headers["Cache-Control"] == "no-store"
        with bearer(tokens["access_token"]) as ann:
            assert ann.get("/sources").status_code == 200

    def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(self, owner: Person) -> None:
        wrong = post("login", email=EMAIL, password="another long password")
        unknown = post("login", email="nobody@example.com", password="another long password")
        assert wrong.headers["WWW-Authenticate"] == unknown.headers["WWW-Authenticate"] == "Bearer"
        first, second = (problem(answer, 401, "unauthenticated") for answer in (wrong, unknown))
        assert {**first, "correlation_id": ""} == {**second, "correlation_id": ""}

    def test_an_unknown_address_costs_as_much_as_a_known_one(
        self, owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work: list[str] = []
        table = type(wiring.table())
        real_get, real_right = table.get, hashing.is_right
        monkeypatch.setattr(table, "get", lambda *a, **k: work.append("read") or real_get(*a, **k))
        monkeypatch.setattr(hashing, "is_right", lambda *a: work.append("hash") or real_right(*a))
        costs = []
        for email in (EMAIL, "nobody@example.com"):
            work.clear()
            with pytest.raises(NotSignedIn):
                identity.signing_in().log_in(email, "another long password", Visitor("", ""))
            costs.append(list(work))
        assert costs == [["read", "read", "hash"]] * 2

    def test_neither_password_nor_token_is_stored(self, owner: Person, aws: Aws) -> None:
        stored = str(aws.items())
        for secret in (PASSWORD, owner.tokens["refresh_token"].rpartition("_")[2], owner.tokens["access_token"]):
            assert secret not in stored
        assert "PRIVATE KEY" not in stored
        assert "$argon2id$" in stored

    def test_a_hash_of_older_parameters_is_renewed_by_a_login(self, owner: Person) -> None:
        from argon2 import PasswordHasher

        store = identity.users()
        user = store.by_email(EMAIL)
        assert user is not None
        weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
        store.save(user, user.model_copy(update={"password_hash": weak}))
        log_in()
        renewed = store.get(user.id).password_hash
        assert renewed != weak
        assert not hashing.is_outdated(renewed)

    def test_who_guesses_is_locked_out_and_the_owner_elsewhere_is_not(self, owner: Person) -> None:
        answers = [post("login", email=EMAIL, password=f"guess number {n}").status_code for n in range(7)]
        assert answers == [401] * 5 + [429] * 2
        assert post("login", email=EMAIL, password=PASSWORD).status_code == 429
        assert post("login", email=OTHER, password=PASSWORD).status_code == 401

    def test_a_barred_user_stays_out(self, owner: Person) -> None:
        store, now = identity.users(), wiring.now()
        user = store.by_email(EMAIL)
        assert user is not None
        store.save(user, user.model_copy(update={"disabled_at": now}))
        problem(post("login", email=EMAIL, password=PASSWORD), 401, "unauthenticated")
        problem(post("refresh", refresh_token=owner.tokens["refresh_token"]), 401, "unauthenticated")
        problem(owner.api.get("/auth/me"), 401, "unauthenticated")

    def test_of_sixteen_at_once_all_get_in(
        self, owner: Person, api: httpx.Client, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each has an entry in the same log, one after the other."""
        one_at_a_time(aws.dynamodb, monkeypatch, latency=0.03)
        service, user, here = identity.signing_in(), identity.users().get(owner.id), Visitor("", "192.0.2.7")
        with ThreadPoolExecutor(16) as pool:
            opened = {each.session.id for each in pool.map(lambda _: service.open(user, here), range(16))}
        entries = api.get("/audit", params={"actor": owner.id, "action": "session.opened"}).json()["items"]
        assert opened < {entry["detail"]["session"] for entry in entries}
        assert sorted(int(entry["number"]) for entry in entries) == list(range(1, 18))

    def test_a_log_that_stays_busy_is_no_conflict_of_theirs(
        self, owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def busy(table: Any, changes: Any, **_: Any) -> None:
            raise Outrun("x", [key_of(changes[1].after)])  # after the session itself

        monkeypatch.setattr(type(wiring.table()), "put_all", busy)
        object.__setattr__(identity.witness(), "sleep", lambda _: None)
        problem(post("login", email=EMAIL, password=PASSWORD), 503, "unavailable")


class TestRefresh:
    def test_a_refresh_token_gives_the_next_pair(self, owner: Person) -> None:
        answer = post("refresh", refresh_token=owner.tokens["refresh_token"])
        tokens = answer.json()
        assert answer.status_code == 200, answer.text
        assert tokens["refresh_token"] != owner.tokens["refresh_token"]
        assert tokens["session_id"] == owner.tokens["session_id"]
        with bearer(tokens["access_token"]) as ann:
            assert ann.get("/auth/me").status_code == 200

    def test_of_fifty_at_once_one_wins_and_its_token_works(
        self, owner: Person, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All fifty read the session before the first of them is stored."""
        one_at_a_time(aws.dynamodb, monkeypatch)
        service, gate = identity.signing_in(), threading.Barrier(50, timeout=30)
        real = service._is_open
        outcomes: list[Any] = []

        def wait(session: Any) -> bool:
            is_open = real(session)
            gate.wait()
            return is_open

        object.__setattr__(service, "_is_open", wait)

        def once(_: int) -> None:
            try:
                outcomes.append(service.refresh(owner.tokens["refresh_token"]))
            except Exception as error:  # noqa: BLE001  # all of them count
                outcomes.append(type(error).__name__)

        with ThreadPoolExecutor(50) as pool:
            list(pool.map(once, range(50)))
        object.__setattr__(service, "_is_open", real)
        won = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        assert len(won) == 1
        assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["Conflict"] * 49
        assert post("refresh", refresh_token=won[0].refresh).status_code == 200

    def test_a_replay_at_once_revokes_nothing(self, owner: Person, clock: Clock) -> None:
        first = owner.tokens["refresh_token"]
        second = post("refresh", refresh_token=first).json()["refresh_token"]
        clock.forward(9)
        problem(post("refresh", refresh_token=first), 409, "conflict")
        assert post("refresh", refresh_token=second).status_code == 200

    def test_a_late_replay_revokes_the_family(self, owner: Person, clock: Clock) -> None:
        first = owner.tokens["refresh_token"]
        second = post("refresh", refresh_token=first).json()
        clock.forward(10)
        problem(post("refresh", refresh_token=first), 401, "unauthenticated")
        problem(post("refresh", refresh_token=second["refresh_token"]), 401, "unauthenticated")
        with bearer(second["access_token"]) as ann:
            problem(ann.get("/auth/me"), 401, "unauthenticated")

    def test_a_token_from_long_before_revokes_the_family_too(self, owner: Person) -> None:
        first = owner.tokens["refresh_token"]
        second = post("refresh", refresh_token=first).json()["refresh_token"]
        third = post("refresh", refresh_token=second).json()["refresh_token"]
        problem(post("refresh", refresh_token=first), 401, "unauthenticated")
        problem(post("refresh", refresh_token=third), 401, "unauthenticated")

    def test_a_made_up_token_revokes_nothing(self, owner: Person) -> None:
        real = owner.tokens["refresh_token"]
        made_up = real[: -len("x" * 86)] + "x" * 86
        problem(post("refresh", refresh_token=made_up), 401, "unauthenticated")
        assert post("refresh", refresh_token=real).status_code == 200

    @pytest.mark.parametrize("token", ["x", "spr_01JGJ0000000000000000000000_" + "a" * 86])
    def test_what_is_no_token_is_refused(self, owner: Person, token: str) -> None:
        problem(post("refresh", refresh_token=token), 401, "unauthenticated")

    def test_a_session_is_over_after_thirty_days(self, owner: Person, clock: Clock) -> None:
        clock.forward(days=30)
        problem(post("refresh", refresh_token=owner.tokens["refresh_token"]), 401, "unauthenticated")


class TestSessions:
    def test_logout_ends_the_session(self, owner: Person) -> None:
        assert owner.api.post("/auth/logout").status_code == 204
        problem(post("refresh", refresh_token=owner.tokens["refresh_token"]), 401, "unauthenticated")
        problem(owner.api.get("/auth/me"), 401, "unauthenticated")

    def test_a_revoked_session_is_believed_for_a_minute_at_most(self, owner: Person, clock: Clock) -> None:
        assert owner.api.get("/sources").status_code == 200
        owner.api.post("/auth/logout")
        assert owner.api.get("/sources").status_code == 200
        clock.forward(60)
        problem(owner.api.get("/sources"), 401, "unauthenticated")

    def test_they_are_listed_with_where_they_come_from(self, owner: Person) -> None:
        other = owner.again()
        listed = owner.api.get("/auth/sessions").json()["items"]
        assert [one["id"] for one in listed] == [other.tokens["session_id"], owner.tokens["session_id"]]
        assert [one["is_current"] for one in listed] == [False, True]
        assert {one["address"] for one in listed} == {"127.0.0.1"}
        assert all("httpx" in one["user_agent"] for one in listed)
        assert "hash" not in str(listed)

    def test_one_can_be_ended_from_another(self, owner: Person) -> None:
        other = owner.again()
        assert owner.api.delete(f"/auth/sessions/{other.tokens['session_id']}").status_code == 204
        problem(other.api.get("/auth/me"), 401, "unauthenticated")
        listed = owner.api.get("/auth/sessions").json()["items"]
        assert [one["id"] for one in listed] == [owner.tokens["session_id"]]

    def test_nobody_ends_or_sees_the_session_of_somebody_else(self, owner: Person, invite: Invite) -> None:
        bob = invite("admin")
        problem(bob.api.delete(f"/auth/sessions/{owner.tokens['session_id']}"), 404, "not_found")
        assert [one["id"] for one in bob.api.get("/auth/sessions").json()["items"]] == [bob.tokens["session_id"]]
        assert owner.api.get("/auth/me").status_code == 200

    def test_a_key_has_no_sessions(self, api: httpx.Client) -> None:
        problem(api.get("/auth/sessions"), 401, "unauthenticated")
        assert api.get("/auth/me").json()["user"] is None

    def test_another_password_ends_all_other_sessions(self, owner: Person) -> None:
        other, new = owner.again(), "quite another password"
        body = {"current_password": PASSWORD, "password": new}
        assert owner.api.post("/auth/change-password", json=body).status_code == 204
        assert owner.api.get("/auth/me").status_code == 200
        assert post("refresh", refresh_token=owner.tokens["refresh_token"]).status_code == 200
        problem(other.api.get("/auth/me"), 401, "unauthenticated")
        problem(post("refresh", refresh_token=other.tokens["refresh_token"]), 401, "unauthenticated")
        problem(post("login", email=EMAIL, password=PASSWORD), 401, "unauthenticated")
        log_in(password=new)

    def test_another_password_and_a_refresh_at_the_same_time_both_count(
        self, owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed, refreshed = hashing.hashed, list[str]()

        def meanwhile(password: str) -> str:
            refreshed.append(identity.signing_in().refresh(owner.tokens["refresh_token"]).refresh)
            return hashed(password)

        with monkeypatch.context() as race:
            race.setattr(hashing, "hashed", meanwhile)
            body = {"current_password": PASSWORD, "password": "another one entirely"}
            assert owner.api.post("/auth/change-password", json=body).status_code == 204
        log_in(EMAIL, "another one entirely")
        assert identity.signing_in().refresh(refreshed[0]).access

    def test_another_password_takes_the_present_one(self, owner: Person) -> None:
        body = {"current_password": "not the present one", "password": "quite another password"}
        problem(owner.api.post("/auth/change-password", json=body), 401, "unauthenticated")
        log_in()


class TestAccessTokens:
    def test_it_works_for_fifteen_minutes(self, owner: Person, clock: Clock) -> None:
        clock.forward(minutes=14, seconds=50)
        assert owner.api.get("/auth/me").status_code == 200
        clock.forward(10)  # though it was let in a moment ago
        refused = problem(owner.api.get("/auth/me"), 401, "unauthenticated")
        assert "over" in refused["detail"]

    def test_a_key_in_the_same_request_counts_instead(self, owner: Person) -> None:
        with bearer("nonsense", **{"X-API-Key": API_KEY}) as both:
            assert both.get("/auth/me").json()["id"] == "bootstrap"

    def test_it_is_looked_up_once_a_minute(self, owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        reads: list[int] = []
        table = type(wiring.table())
        for name in ("get", "get_many", "query", "page"):
            real = getattr(table, name)
            monkeypatch.setattr(table, name, lambda *a, _real=real, **k: reads.append(1) or _real(*a, **k))
        caller = dependencies.bearers()
        for _ in range(3):
            caller.admit(owner.tokens["access_token"])
        assert len(reads) <= 5  # session and user; memberships; project; the signing keys, if another process made them
        before = len(reads)
        caller.admit(owner.tokens["access_token"])
        assert len(reads) == before

    def test_the_public_keys_verify_it(self, owner: Person) -> None:
        import jwt

        with visitor() as anybody:
            answer = anybody.get("/auth/jwks")
        keys = jwt.PyJWKSet.from_dict(answer.json())
        token = owner.tokens["access_token"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        said = jwt.decode(token, key.key, algorithms=["ES256"], audience="spark", issuer="urn:spark:local")
        assert said["sid"] == owner.tokens["session_id"]
        assert said["exp"] - said["iat"] == 900
        assert said.keys() == {"iss", "aud", "sub", "sid", "iat", "exp", "jti"}
        assert '"d"' not in answer.text

    def test_keys_follow_one_another_and_the_old_one_verifies_until_its_tokens_are_over(
        self, outbox: Outbox, clock: Clock
    ) -> None:
        clock.jump(_end_of_period(clock()) - timedelta(seconds=10))
        register()
        old = log_in()
        clock.forward(10)
        new = log_in()
        assert _kid(old) != _kid(new)
        assert old.api.get("/auth/me").status_code == 200
        forget()  # another environment knows both
        assert old.api.get("/auth/me").status_code == 200
        with visitor() as anybody:
            assert {key["kid"] for key in anybody.get("/auth/jwks").json()["keys"]} == {_kid(old), _kid(new)}
        clock.forward(hours=1)
        with visitor() as anybody:
            assert [key["kid"] for key in anybody.get("/auth/jwks").json()["keys"]] == [_kid(new)]


def _end_of_period(now: datetime) -> datetime:
    return EPOCH + ((now - EPOCH) // PERIOD + 1) * PERIOD


def _kid(person: Person) -> str:
    import jwt

    return str(jwt.get_unverified_header(person.tokens["access_token"])["kid"])


class TestMail:
    def test_an_address_is_proven_by_what_was_mailed_to_it_once(self, owner: Person, outbox: Outbox) -> None:
        assert owner.api.get("/auth/me").json()["user"]["email_verified_at"] is None
        token = outbox.token(EMAIL)
        assert post("verify", token=token).json()["email_verified_at"] is not None
        problem(post("verify", token=token), 422, "invalid")
        before = len(outbox.letters())
        assert owner.api.post("/auth/verification").status_code == 204
        assert len(outbox.letters()) == before  # nothing is left to prove

    def test_another_token_makes_the_one_before_void(self, owner: Person, outbox: Outbox) -> None:
        first = outbox.token(EMAIL)
        owner.api.post("/auth/verification")
        problem(post("verify", token=first), 422, "invalid")
        assert post("verify", token=outbox.token(EMAIL)).status_code == 200

    def test_a_forgotten_password_is_replaced_once_and_all_sessions_end(self, owner: Person, outbox: Outbox) -> None:
        assert post("forgot-password", email=EMAIL).status_code == 204
        token, new = outbox.token(EMAIL), "quite another password"
        refused = problem(post("reset-password", token=token, password="short"), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/password"
        assert post("reset-password", token=token, password=new).status_code == 204
        problem(post("reset-password", token=token, password="yet another password"), 422, "invalid")
        problem(owner.api.get("/auth/me"), 401, "unauthenticated")
        assert log_in(password=new).api.get("/auth/me").json()["user"]["email_verified_at"] is not None

    def test_a_reset_is_good_for_an_hour(self, owner: Person, outbox: Outbox, clock: Clock) -> None:
        post("forgot-password", email=EMAIL)
        clock.forward(hours=1)
        problem(post("reset-password", token=outbox.token(EMAIL), password="another password"), 422, "invalid")

    def test_a_token_of_one_kind_is_none_of_another(self, owner: Person, outbox: Outbox) -> None:
        token = outbox.token(EMAIL).replace("spv_", "spw_")
        problem(post("reset-password", token=token, password="quite another password"), 422, "invalid")

    def test_nobody_learns_who_has_an_account(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waited: list[float] = []
        monkeypatch.setattr(dependencies, "sleep", waited.append)
        known, unknown = (post("forgot-password", email=email) for email in (EMAIL, "nobody@example.com"))
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (204, b"")
        assert len(waited) == 2
        assert all(0 < seconds <= 1 for seconds in waited)
        assert {letter["to"] for letter in outbox.letters()} == {EMAIL}

    def test_that_a_mail_could_not_be_sent_is_not_told_either(
        self, owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any) -> None:
            raise Unavailable("x")

        monkeypatch.setattr(type(identity.mail()), "send", down)
        assert post("forgot-password", email=EMAIL).status_code == 204

    def test_nobody_is_flooded(self, owner: Person, outbox: Outbox, clock: Clock) -> None:
        before = len(outbox.letters())
        for _ in range(18):
            assert post("forgot-password", email=EMAIL).status_code == 204
            clock.forward(minutes=10)
        assert len(outbox.letters()) - before == 6  # in three hours

    def test_who_asks_in_somebodys_name_takes_nothing_from_them(
        self, owner: Person, outbox: Outbox, clock: Clock
    ) -> None:
        """Every letter is good for its whole hour, however often others ask; and there is always one."""
        sent: dict[str, datetime] = {}
        for _ in range(20):
            post("forgot-password", email=EMAIL)
            sent.setdefault(outbox.token(EMAIL), clock.at)
            for token, at in sent.items():
                refused = problem(post("reset-password", token=token, password="short"), 422, "invalid")
                is_good = refused["errors"][0]["pointer"] == "/password"
                assert is_good is (clock.at - at < timedelta(hours=1)), (token, at)
            clock.forward(minutes=11)
        assert len(sent) == 7

    def test_none_is_good_for_an_account_that_is_disabled_nor_when_it_is_enabled_again(
        self, api: httpx.Client, owner: Person, outbox: Outbox, clock: Clock
    ) -> None:
        post("forgot-password", email=EMAIL)
        first = outbox.token(EMAIL)
        clock.forward(minutes=31)
        post("forgot-password", email=EMAIL)
        second = outbox.token(EMAIL)
        assert first != second
        for verb in ("disable", "enable"):
            assert api.post(f"/accounts/{verb}", json={"account": EMAIL}).status_code == 200
            for token in (first, second):
                problem(post("reset-password", token=token, password="quite another password"), 422, "invalid")

    def test_none_that_was_left_lets_a_disabled_account_in(self, owner: Person, outbox: Outbox) -> None:
        """As disabling left the older one, until it took both away."""
        post("forgot-password", email=EMAIL)
        user = identity.users().get(owner.id)
        identity.users().save(user, user.model_copy(update={"disabled_at": wiring.now()}))
        refused = post("reset-password", token=outbox.token(EMAIL), password="quite another password")
        problem(refused, 422, "invalid")

    def test_a_reset_makes_the_others_void(self, owner: Person, outbox: Outbox, clock: Clock) -> None:
        post("forgot-password", email=EMAIL)
        first = outbox.token(EMAIL)
        clock.forward(minutes=31)
        post("forgot-password", email=EMAIL)
        second = outbox.token(EMAIL)
        assert first != second
        assert post("reset-password", token=second, password="quite another password").status_code == 204
        problem(post("reset-password", token=first, password="yet another password"), 422, "invalid")

    def test_strangers_keep_back_nothing_that_is_not_theirs(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
        forget()
        for _ in range(8):
            post("forgot-password", email=EMAIL)
            post("register", email=OTHER, name="Eve", password=PASSWORD)
        before = len(outbox.letters())
        assert owner.api.post("/auth/verification").status_code == 204
        assert owner.api.post("/invitations", json={"email": OTHER, "role": "viewer"}).status_code == 201
        assert len(outbox.letters()) == before + 2

    def test_a_letter_that_did_not_leave_is_no_reason_to_wait(
        self, owner: Person, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any) -> None:
            raise Unavailable("x")

        with monkeypatch.context() as while_down:
            while_down.setattr(type(identity.mail()), "send", down)
            post("forgot-password", email=EMAIL)
        post("forgot-password", email=EMAIL)
        assert post("reset-password", token=outbox.token(EMAIL), password="another long one!").status_code == 204

    def test_the_folder_is_for_its_owner_alone(self, owner: Person, outbox: Outbox) -> None:
        assert outbox.file.stat().st_mode & 0o777 == 0o600

    def test_ses_sends_what_has_a_sender(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPARK_MAIL_FROM", "spark@example.com")
        forget()
        wiring.client("sesv2").create_email_identity(EmailIdentity="spark@example.com")
        sent: list[Json] = []
        ses = wiring.client("sesv2")
        real = ses.send_email
        monkeypatch.setattr(ses, "send_email", lambda **said: sent.append(said) or real(**said))
        assert register().status_code == 201
        assert [one["Destination"] for one in sent] == [{"ToAddresses": [EMAIL]}]


def test_a_request_with_a_key_imports_nothing_of_people(api: httpx.Client) -> None:
    """Modules are forgotten, so that what the requests need is imported anew."""
    heavy = ("argon2", "jwt", "cryptography")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in heavy}
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name in PEOPLES}
    forget()
    try:
        assert api.get("/sources").status_code == 200
        assert api.get("/auth/me").status_code == 200
        assert api.get("/members").status_code == 200
        assert [name for name in sys.modules if name.partition(".")[0] in heavy] == []
    finally:
        sys.modules.update(kept | ours)


PEOPLES = {f"shared.services.{name}" for name in ("hashing", "signing", "signing_in", "enrolling", "recovering")}
