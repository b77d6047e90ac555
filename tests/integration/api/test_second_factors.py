"""A second factor: switching it on, the second step of a login, and what happens to who guesses, replays or races."""

import base64
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from functions.api import identity
from shared import wiring
from shared.errors import NotSignedIn, Unavailable
from tests.fakes import Clock
from tests.integration.api.factors import App, Phone, challenge, enable, first_step, second_step
from tests.integration.api.people import (
    EMAIL,
    PASSWORD,
    Invite,
    Outbox,
    Person,
    bearer,
    log_in,
    visitor,
)
from tests.integration.api.wire import problem
from tests.integration.conftest import API_KEY, Aws, forget
from tests.moto_atomic import one_at_a_time

Json = dict[str, Any]
NUMBER = "+5511987654321"
WRONG_PASSWORD = "not the present one"


@pytest.fixture
def app(owner: Person, clock: Clock) -> App:
    """The owner's account, with a second factor."""
    return enable(owner, clock)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch, outbox: Outbox) -> Phone:
    """A deployment that sends text messages, into a folder."""
    monkeypatch.setenv("SPARK_SMS", "true")
    forget()
    return Phone(outbox.file.parent / "texts.jsonl")


@pytest.fixture
def phone(texts: Phone, app: App) -> Phone:
    """The owner's account, with a phone number besides."""
    body = {"number": NUMBER, "current_password": PASSWORD, "code": app.next_code()}
    assert app.person.api.post("/auth/mfa/phone", json=body).status_code == 204
    confirmed = app.person.api.post("/auth/mfa/phone/confirm", json={"code": texts.code()})
    assert confirmed.status_code == 200, confirmed.text
    return texts


def state(person: Person) -> Json:
    found: Json = person.api.get("/auth/mfa").json()
    return found


def disable(app: App, code: str, password: str = PASSWORD) -> httpx.Response:
    return app.person.api.post("/auth/mfa/disable", json={"current_password": password, "code": code})


class TestSwitchingOn:
    def test_an_app_is_told_a_secret_and_a_code_of_it_switches_on(self, owner: Person, clock: Clock) -> None:
        assert state(owner) == {
            "enabled": False,
            "methods": [],
            "recovery_codes_left": 0,
            "phone": None,
            "confirmed_at": None,
        }
        begun = owner.api.post("/auth/mfa/totp", json={"current_password": PASSWORD})
        assert begun.headers["Cache-Control"] == "no-store"
        said = begun.json()
        assert said["secret"] in said["uri"]
        assert unquote(said["uri"]).startswith(f"otpauth://totp/Spark (local):{EMAIL}?")
        assert said["qr"].startswith("data:image/svg+xml")
        assert not state(owner)["enabled"]  # nobody is locked out by a picture that they did not take
        log_in()
        app = App(owner, clock, said["secret"])
        confirmed = owner.api.post("/auth/mfa/totp/confirm", json={"code": app.code()})
        assert confirmed.headers["Cache-Control"] == "no-store"
        codes = confirmed.json()["recovery_codes"]
        assert len(set(codes)) == 10
        assert {**state(owner), "confirmed_at": ""} == {
            "enabled": True,
            "methods": ["totp", "recovery"],
            "recovery_codes_left": 10,
            "phone": None,
            "confirmed_at": "",
        }

    def test_it_takes_the_password(self, owner: Person) -> None:
        problem(owner.api.post("/auth/mfa/totp", json={"current_password": WRONG_PASSWORD}), 401, "unauthenticated")
        assert identity.second_factors().find(owner.id) is None

    def test_a_wrong_code_switches_nothing_on(self, owner: Person, clock: Clock) -> None:
        secret = owner.api.post("/auth/mfa/totp", json={"current_password": PASSWORD}).json()["secret"]
        wrong = App(owner, clock, secret).wrong()
        problem(owner.api.post("/auth/mfa/totp/confirm", json={"code": wrong}), 401, "unauthenticated")
        assert not state(owner)["enabled"]
        log_in()

    def test_who_begins_again_has_the_newest_secret(self, owner: Person, clock: Clock) -> None:
        old = owner.api.post("/auth/mfa/totp", json={"current_password": PASSWORD}).json()["secret"]
        enable(owner, clock)
        problem(second_step(challenge(), App(owner, clock, old).next_code()), 401, "unauthenticated")

    def test_one_that_is_on_is_not_replaced(self, app: App) -> None:
        problem(app.person.api.post("/auth/mfa/totp", json={"current_password": PASSWORD}), 409, "conflict")
        problem(app.person.api.post("/auth/mfa/totp/confirm", json={"code": app.next_code()}), 409, "conflict")

    def test_it_ends_no_session(self, owner: Person, clock: Clock) -> None:
        other = owner.again()
        enable(owner, clock)
        assert other.api.get("/auth/me").status_code == 200

    def test_a_key_has_none(self, api: httpx.Client, outbox: Outbox) -> None:
        problem(api.get("/auth/mfa"), 401, "unauthenticated")
        problem(api.post("/auth/mfa/totp", json={"current_password": PASSWORD}), 401, "unauthenticated")

    def test_it_refuses_to_be_repeated(self, owner: Person) -> None:
        body, key = {"current_password": PASSWORD}, {"Idempotency-Key": "k"}
        problem(owner.api.post("/auth/mfa/totp", json=body, headers=key), 422, "invalid")

    def test_nobody_sees_or_touches_that_of_somebody_else(self, app: App, invite: Invite) -> None:
        with pytest.raises(AssertionError, match="second_factor_required"):
            log_in()
        bob = invite("admin")
        assert not state(bob)["enabled"]
        body = {"current_password": PASSWORD, "code": app.codes[0]}
        problem(bob.api.post("/auth/mfa/disable", json=body), 401, "unauthenticated")
        assert state(app.person)["recovery_codes_left"] == 10


class TestLogin:
    def test_the_password_gets_a_challenge_and_a_code_the_tokens(self, app: App) -> None:
        first = first_step()
        refused = problem(first, 401, "second_factor_required")
        assert first.headers["WWW-Authenticate"] == "Bearer"
        assert refused["methods"] == ["totp", "recovery"]
        answer = second_step(refused["challenge"], app.next_code())
        assert answer.headers["Cache-Control"] == "no-store"
        with bearer(answer.json()["access_token"]) as ann:
            assert ann.get("/auth/me").json()["user"]["email"] == EMAIL

    def test_a_wrong_password_gets_the_answer_that_all_get(self, app: App) -> None:
        refused = problem(first_step(password=WRONG_PASSWORD), 401, "unauthenticated")
        assert "challenge" not in refused

    def test_a_code_works_once(self, app: App) -> None:
        code = app.next_code()
        assert second_step(challenge(), code).status_code == 200
        problem(second_step(challenge(), code), 401, "unauthenticated")
        assert second_step(challenge(), app.next_code()).status_code == 200

    def test_so_does_the_one_that_switched_it_on(self, app: App) -> None:
        problem(second_step(challenge(), app.code()), 401, "unauthenticated")

    def test_an_older_code_does_not_follow_a_newer_one(self, app: App) -> None:
        older = app.next_code()
        newer = app.next_code()
        assert second_step(challenge(), newer).status_code == 200
        problem(second_step(challenge(), older), 401, "unauthenticated")

    def test_a_recovery_code_works_once(self, app: App) -> None:
        assert second_step(challenge(), app.codes[4].lower()).status_code == 200
        problem(second_step(challenge(), app.codes[4]), 401, "unauthenticated")
        assert second_step(challenge(), app.codes[5], method="recovery").status_code == 200
        assert state(app.person)["recovery_codes_left"] == 8

    def test_a_method_means_its_own_codes_alone(self, app: App) -> None:
        problem(second_step(challenge(), app.codes[0], method="totp"), 401, "unauthenticated")
        problem(second_step(challenge(), app.next_code(), method="sms"), 401, "unauthenticated")
        assert state(app.person)["recovery_codes_left"] == 10

    def test_for_a_page_the_tokens_are_in_cookies(self, app: App) -> None:
        answer = second_step(challenge(), app.next_code(), cookies=True)
        assert answer.status_code == 200, answer.text
        assert "access_token" not in answer.json()

    def test_another_password_makes_a_challenge_void(self, app: App) -> None:
        asked = challenge()
        body = {"current_password": PASSWORD, "password": "quite another password"}
        assert app.person.api.post("/auth/change-password", json=body).status_code == 204
        problem(second_step(asked, app.next_code()), 401, "unauthenticated")
        assert second_step(challenge(password="quite another password"), app.code()).status_code == 200

    def test_so_do_five_minutes(self, app: App, clock: Clock) -> None:
        asked = challenge()
        clock.forward(minutes=5)
        problem(second_step(asked, app.next_code()), 401, "unauthenticated")

    def test_a_challenge_opens_nothing_by_itself(self, app: App) -> None:
        with bearer(challenge()) as nobody:
            problem(nobody.get("/auth/me"), 401, "unauthenticated")
            problem(nobody.get("/auth/mfa"), 401, "unauthenticated")
        problem(second_step(str(app.person.tokens["access_token"]), app.next_code()), 401, "unauthenticated")
        with visitor() as anybody:
            refused = anybody.post("/auth/refresh", json={"refresh_token": challenge()[:200]})
            problem(refused, 401, "unauthenticated")

    def test_it_is_void_where_the_second_factor_is_off_by_then(self, app: App) -> None:
        asked = challenge()
        assert disable(app, app.next_code()).status_code == 204
        problem(second_step(asked, app.next_code()), 401, "unauthenticated")

    def test_a_barred_user_stays_out(self, app: App) -> None:
        asked, store = challenge(), identity.users()
        user = store.by_email(EMAIL)
        assert user is not None
        store.save(user, user.model_copy(update={"disabled_at": wiring.now()}))
        problem(second_step(asked, app.next_code()), 401, "unauthenticated")

    def test_a_forgotten_password_leaves_the_second_factor(self, app: App, outbox: Outbox) -> None:
        with visitor() as anybody:
            assert anybody.post("/auth/forgot-password", json={"email": EMAIL}).status_code == 204
            body = {"token": outbox.token(EMAIL), "password": "a password after that"}
            assert anybody.post("/auth/reset-password", json=body).status_code == 204
        problem(first_step(password="a password after that"), 401, "second_factor_required")
        assert second_step(challenge(password="a password after that"), app.next_code()).status_code == 200

    def test_it_refuses_to_be_repeated(self, app: App) -> None:
        with visitor(**{"Idempotency-Key": "k"}) as anybody:
            body = {"challenge": challenge(), "code": app.next_code()}
            problem(anybody.post("/auth/login/second-factor", json=body), 422, "invalid")


class TestGuessing:
    def test_who_guesses_from_many_addresses_is_locked_out_of_the_account(self, app: App, clock: Clock) -> None:
        """Also with the right code, which is not looked at any more."""
        _begin_a_minute(clock)
        asked, right = challenge(), app.code()
        answers = [second_step(asked, app.wrong(), f"192.0.2.{n}").status_code for n in range(7)]
        assert answers == [401] * 5 + [429] * 2
        problem(second_step(asked, right, "192.0.2.99"), 429, "rate_limited")
        factor = identity.second_factors().find(app.person.id)
        assert factor is not None
        assert identity.proving().use(_user(app), right).last_step > factor.last_step  # it would have been good

    def test_twenty_codes_a_day_are_all_from_wherever(self, app: App, clock: Clock) -> None:
        answers = []
        for n in range(24):
            if n % 4 == 0:
                clock.forward(60)
                asked = challenge(source=f"198.51.100.{n}")
            answers.append(second_step(asked, app.wrong(), f"192.0.2.{n}").status_code)
        assert answers == [401] * 20 + [429] * 4

    def test_a_recovery_code_lets_the_owner_in_all_the_same(self, app: App, clock: Clock) -> None:
        _begin_a_minute(clock)
        asked = challenge()
        for n in range(6):
            second_step(asked, app.wrong(), f"192.0.2.{n}")
        assert second_step(challenge(), app.codes[0]).status_code == 200

    def test_who_guesses_at_recovery_codes_is_locked_out_at_their_address(self, app: App, clock: Clock) -> None:
        _begin_a_minute(clock)
        asked = challenge()
        guess = "AAAA-AAAA-AAAA-AAAA"
        answers = [second_step(asked, guess, "192.0.2.7").status_code for _ in range(6)]
        assert answers == [401] * 5 + [429]
        assert second_step(asked, app.codes[0]).status_code == 200

    def test_the_first_step_does_not_make_up_for_the_second(self, app: App, clock: Clock) -> None:
        """Whoever knows the password would count from nothing each time that they show it."""
        _begin_a_minute(clock)
        answers = []
        for _ in range(4):
            first = first_step()
            answers.append(first.status_code)
            if first.status_code == 401:
                answers.append(second_step(first.json()["challenge"], app.wrong()).status_code)
        assert answers == [401] * 5 + [429] * 2

    def test_the_right_code_makes_up_for_slips(self, app: App, clock: Clock) -> None:
        for _ in range(3):
            asked = challenge()
            for _ in range(2):
                problem(second_step(asked, app.wrong()), 401, "unauthenticated")
            assert second_step(asked, app.next_code()).status_code == 200

    def test_who_has_a_session_guesses_no_more_often(self, app: App, clock: Clock) -> None:
        _begin_a_minute(clock)
        answers = [disable(app, app.wrong()).status_code for _ in range(6)]
        assert answers == [401] * 5 + [429]
        assert state(app.person)["enabled"]


class TestAtTheSameTime:
    def test_of_twenty_with_one_recovery_code_one_gets_in(
        self, app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All twenty have found the code unused before the first of them is stored."""
        outcomes = self.race(aws, monkeypatch, app, app.codes[0])
        assert sorted(outcomes) == ["NotSignedIn"] * 19 + ["let in"]
        assert state(app.person)["recovery_codes_left"] == 9

    def test_of_twenty_with_one_code_of_the_app_one_gets_in(
        self, app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outcomes = self.race(aws, monkeypatch, app, app.next_code())
        assert sorted(outcomes) == ["NotSignedIn"] * 19 + ["let in"]

    def race(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, app: App, code: str) -> list[str]:
        one_at_a_time(aws.dynamodb, monkeypatch)
        store, user, gate = identity.second_factors(), _user(app), threading.Barrier(20, timeout=30)
        real, looked = type(store).find, threading.local()

        def find(self: Any, user_id: str) -> Any:
            found = real(self, user_id)
            if not getattr(looked, "once", False):
                looked.once = True
                gate.wait()
            return found

        monkeypatch.setattr(type(store), "find", find)

        def once(_: int) -> str:
            try:
                identity.proving().use(user, code)
            except NotSignedIn as error:
                return type(error).__name__
            return "let in"

        with ThreadPoolExecutor(20) as pool:
            outcomes = list(pool.map(once, range(20)))
        monkeypatch.setattr(type(store), "find", real)
        return outcomes

    def test_recovery_codes_that_are_renewed_meanwhile_are_the_new_ones(
        self, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody logs in with an old code just before the new ones are stored: both count."""
        store, ann = identity.second_factors(), _user(app)
        real, old = type(store).save, app.codes[9]

        def save(self: Any, before: Any, after: Any, entries: Any) -> Any:
            monkeypatch.setattr(type(store), "save", real)
            identity.proving().use(ann, old)
            return real(self, before, after, entries)

        monkeypatch.setattr(type(store), "save", save)
        body = {"current_password": PASSWORD, "code": app.next_code()}
        renewed = app.person.api.post("/auth/mfa/recovery-codes", json=body).json()["recovery_codes"]
        assert state(app.person)["recovery_codes_left"] == 10
        problem(second_step(challenge(), old), 401, "unauthenticated")
        assert second_step(challenge(), renewed[0]).status_code == 200


class TestChanging:
    def test_other_recovery_codes_take_the_place_of_those_before(self, app: App) -> None:
        body = {"current_password": PASSWORD, "code": app.codes[0]}
        renewed = app.person.api.post("/auth/mfa/recovery-codes", json=body)
        assert renewed.headers["Cache-Control"] == "no-store"
        problem(second_step(challenge(), app.codes[1]), 401, "unauthenticated")
        assert second_step(challenge(), renewed.json()["recovery_codes"][1]).status_code == 200

    @pytest.mark.parametrize(("password", "is_right"), [(WRONG_PASSWORD, True), (PASSWORD, False)])
    def test_nothing_changes_without_password_and_code(self, app: App, password: str, is_right: bool) -> None:
        body = {"current_password": password, "code": app.next_code() if is_right else app.wrong()}
        problem(app.person.api.post("/auth/mfa/recovery-codes", json=body), 401, "unauthenticated")
        problem(app.person.api.post("/auth/mfa/disable", json=body), 401, "unauthenticated")
        assert state(app.person)["enabled"]
        assert second_step(challenge(), app.codes[0]).status_code == 200

    def test_a_wrong_password_uses_no_code_up(self, app: App) -> None:
        code = app.next_code()
        problem(disable(app, code, WRONG_PASSWORD), 401, "unauthenticated")
        assert disable(app, code).status_code == 204

    def test_without_it_the_password_is_enough_again(self, app: App) -> None:
        assert disable(app, app.next_code()).status_code == 204
        assert app.person.api.get("/auth/me").status_code == 200
        assert not state(app.person)["enabled"]
        log_in()
        problem(disable(app, app.next_code()), 401, "unauthenticated")

    def test_who_has_lost_the_phone_has_a_recovery_code(self, app: App) -> None:
        tokens = second_step(challenge(), app.codes[0]).json()
        with bearer(tokens["access_token"]) as ann:
            body = {"current_password": PASSWORD, "code": app.codes[1]}
            assert ann.post("/auth/mfa/disable", json=body).status_code == 204
        enable(log_in(), app.clock)

    def test_switched_off_and_on_again_nothing_of_the_first_time_works(self, app: App) -> None:
        assert disable(app, app.next_code()).status_code == 204
        app.clock.forward(30)
        enable(app.person, app.clock)
        problem(second_step(challenge(), app.codes[0]), 401, "unauthenticated")
        problem(second_step(challenge(), app.next_code()), 401, "unauthenticated")


class TestRemoval:
    def remove(self, email: str = EMAIL, **headers: str) -> httpx.Response:
        with visitor(**headers) as somebody:
            return somebody.post("/accounts/remove-second-factor", json={"account": email})

    def test_the_first_key_lets_somebody_in_who_has_lost_everything(
        self, app: App, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.remove(**{"X-API-Key": API_KEY}).status_code == 204
        assert "second_factor.removed_by_operator" in caplog.messages
        log_in()
        assert self.remove(**{"X-API-Key": API_KEY}).status_code == 204  # arrives twice

    def test_no_other_key_will_do_nor_any_owner(self, app: App, api: httpx.Client) -> None:
        key = api.post("/api-keys", json={"name": "k", "role": "owner"}).json()["key"]
        problem(self.remove(**{"X-API-Key": key}), 403, "forbidden")
        problem(self.remove(), 401, "unauthenticated")
        problem(self.remove(Authorization=f"Bearer {app.person.tokens['access_token']}"), 403, "forbidden")
        problem(first_step(), 401, "second_factor_required")

    def test_an_unknown_address_is_told(self, outbox: Outbox) -> None:
        problem(self.remove("nobody@example.com", **{"X-API-Key": API_KEY}), 404, "not_found")


class TestTexts:
    def test_a_code_that_was_sent_takes_the_place_of_the_apps(self, app: App, phone: Phone) -> None:
        first = first_step().json()
        assert first["methods"] == ["totp", "recovery", "sms"]
        assert send(first["challenge"]).status_code == 204
        assert phone.texts()[-1]["to"] == NUMBER
        assert second_step(first["challenge"], phone.code(), method="sms").status_code == 200
        problem(second_step(first["challenge"], phone.code(), method="sms"), 401, "unauthenticated")
        assert state(app.person)["phone"] == "…21"

    def test_it_is_good_for_five_minutes(self, app: App, phone: Phone, clock: Clock) -> None:
        send(challenge())
        clock.forward(minutes=5)
        problem(second_step(challenge(), phone.code(), method="sms"), 401, "unauthenticated")

    def test_another_one_makes_it_void(self, app: App, phone: Phone) -> None:
        asked = challenge()
        send(asked)
        first = phone.code()
        send(asked)
        if first != phone.code():  # one in a million
            problem(second_step(asked, first, method="sms"), 401, "unauthenticated")
        assert second_step(asked, phone.code(), method="sms").status_code == 200

    def test_it_is_counted_with_the_apps(self, app: App, phone: Phone, clock: Clock) -> None:
        _begin_a_minute(clock)
        asked = challenge()
        send(asked)
        wrong = "000000" if phone.code() != "000000" else "000001"
        methods = ("sms", "totp", "sms", "totp", "sms", "totp")
        answers = [second_step(asked, wrong, f"192.0.2.{n}", method=each).status_code for n, each in enumerate(methods)]
        assert answers == [401] * 5 + [429]

    def test_nobody_is_flooded(self, app: App, phone: Phone, clock: Clock) -> None:
        _begin_a_minute(clock)
        asked, before = challenge(), len(phone.texts())
        answers = [send(asked).status_code for _ in range(6)]
        assert answers == [204] * 5 + [429]
        assert len(phone.texts()) == before + 5

    def test_an_account_sends_ten_a_day(self, owner: Person, texts: Phone, clock: Clock) -> None:
        """To whatever numbers, and for whatever reason."""
        _begin_a_day(clock)
        app = enable(owner.again(), clock)

        def add(number: str) -> int:
            body = {"number": number, "current_password": PASSWORD, "code": app.next_code()}
            return app.person.api.post("/auth/mfa/phone", json=body).status_code

        assert [add(f"+55119876543{number}") for number in range(10, 20)] == [204] * 10
        assert app.person.api.post("/auth/mfa/phone/confirm", json={"code": texts.code()}).status_code == 200
        assert (add("+5511987654320"), send(challenge()).status_code) == (429, 429)
        assert len(texts.texts()) == 10

    def test_a_number_gets_ten_a_day_whoever_asks(
        self, owner: Person, texts: Phone, invite: Invite, clock: Clock
    ) -> None:
        people = [owner, invite("viewer")]
        _begin_a_day(clock)
        apps, answers = [enable(each.again(), clock) for each in people], []
        for turn in range(12):
            app = apps[turn % 2]
            body = {"number": NUMBER, "current_password": PASSWORD, "code": app.next_code()}
            answers.append(app.person.api.post("/auth/mfa/phone", json=body).status_code)
        assert answers == [204] * 10 + [429] * 2
        assert len(texts.texts()) == 10

    def test_a_number_counts_when_it_is_proven(self, app: App, texts: Phone) -> None:
        body = {"number": NUMBER, "current_password": PASSWORD, "code": app.next_code()}
        assert app.person.api.post("/auth/mfa/phone", json=body).status_code == 204
        assert first_step().json()["methods"] == ["totp", "recovery"]
        problem(send(challenge()), 409, "conflict")
        problem(second_step(challenge(), texts.code(), method="sms"), 401, "unauthenticated")
        assert app.person.api.post("/auth/mfa/phone/confirm", json={"code": texts.code()}).status_code == 200

    def test_it_takes_password_and_code_and_a_second_factor(self, owner: Person, texts: Phone, clock: Clock) -> None:
        body = {"number": NUMBER, "current_password": PASSWORD, "code": "123456"}
        problem(owner.api.post("/auth/mfa/phone", json=body), 401, "unauthenticated")
        problem(owner.api.post("/auth/mfa/phone/confirm", json={"code": "123456"}), 401, "unauthenticated")
        app = enable(owner, clock)
        problem(owner.api.post("/auth/mfa/phone", json={**body, "code": app.wrong()}), 401, "unauthenticated")
        code = {"code": app.next_code(), "current_password": WRONG_PASSWORD}
        problem(owner.api.post("/auth/mfa/phone", json={**body, **code}), 401, "unauthenticated")
        assert texts.texts() == []

    @pytest.mark.parametrize(
        "number", ["11987654321", "+0511987654321", "+55 11 98765-4321", "+55", "x", "+" + "1" * 16]
    )
    def test_a_number_is_e164(self, app: App, texts: Phone, number: str) -> None:
        body = {"number": number, "current_password": PASSWORD, "code": app.next_code()}
        refused = problem(app.person.api.post("/auth/mfa/phone", json=body), 422, "invalid")
        assert refused["errors"][0]["pointer"] == "/number"

    def test_where_they_are_switched_off_there_are_none(self, app: App) -> None:
        body = {"number": NUMBER, "current_password": PASSWORD, "code": app.next_code()}
        problem(app.person.api.post("/auth/mfa/phone", json=body), 409, "conflict")
        problem(send(challenge()), 409, "conflict")

    def test_a_number_from_when_they_were_on_is_no_way_in_afterwards(
        self, app: App, phone: Phone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = challenge()
        send(asked)
        monkeypatch.setenv("SPARK_SMS", "false")
        forget()
        assert first_step().json()["methods"] == ["totp", "recovery"]
        problem(second_step(asked, phone.code(), method="sms"), 401, "unauthenticated")

    def test_one_that_cannot_be_sent_is_told(self, app: App, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(*_: Any) -> None:
            raise Unavailable("x")

        monkeypatch.setattr(type(identity.texts()), "send", down)
        problem(send(challenge()), 503, "unavailable")

    def test_the_folder_is_for_its_owner_alone(self, app: App, phone: Phone) -> None:
        assert phone.file.stat().st_mode & 0o077 == 0


def test_nothing_of_it_is_in_the_table_or_in_a_log(
    app: App, phone: Phone, aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked, used = challenge(), app.next_code()
    send(asked)
    assert second_step(asked, phone.code(), method="sms").status_code == 200
    assert second_step(asked, used).status_code == 200
    assert second_step(asked, app.codes[0]).status_code == 200
    stored = str(aws.items())
    raw = base64.b32decode(app.secret)
    for secret in (app.secret, raw.hex(), base64.b64encode(raw).decode(), *app.codes, phone.code(), asked):
        assert secret not in stored
        assert secret not in caplog.text
    assert str(raw) not in stored
    assert "second_factor.used" in caplog.messages


def test_the_secret_is_encrypted_for_its_user_alone(app: App) -> None:
    factor = identity.second_factors().find(app.person.id)
    assert factor is not None
    cipher = identity.proving().cipher
    assert cipher.decrypt(app.person.id, factor.encrypted_secret) == app.secret
    for context in ({"user": app.person.id}, {"purpose": "second-factors"}, {"purpose": "second-factors", "user": "x"}):
        with pytest.raises(Exception, match="InvalidCiphertext"):
            wiring.client("kms").decrypt(
                CiphertextBlob=base64.b64decode(factor.encrypted_secret), EncryptionContext=context
            )


def test_who_has_none_imports_no_library_for_it(owner: Person) -> None:
    """Modules are forgotten, so that what a login needs is imported anew."""
    heavy = {"pyotp", "segno"}
    theirs = heavy | {"shared.services.totp", "shared.services.securing"}
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if {name, name.partition(".")[0]} & theirs}
    forget()
    try:
        log_in()
        assert state(owner)["enabled"] is False
        assert heavy & {name.partition(".")[0] for name in sys.modules} == set()
    finally:
        sys.modules.update(kept)


def test_sns_sends_to_the_phone_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.texts import Sns

    asked: list[Json] = []

    class Client:
        def publish(self, **arguments: Any) -> None:
            asked.append(arguments)

    client: Any = Client()
    Sns(client).send(NUMBER, "123456 is your code")
    assert asked[0].keys() == {"PhoneNumber", "Message", "MessageAttributes"}
    assert (asked[0]["PhoneNumber"], asked[0]["Message"]) == (NUMBER, "123456 is your code")


def test_it_is_what_was_said_that_is_wired(monkeypatch: pytest.MonkeyPatch, aws: Aws, tmp_path: Path) -> None:
    from shared.texts import NoTexts, Sns, TextOutbox

    found = []
    for sms, outbox in (("false", ""), ("false", str(tmp_path)), ("true", str(tmp_path)), ("true", "")):
        monkeypatch.setenv("SPARK_SMS", sms)
        monkeypatch.setenv("SPARK_OUTBOX", outbox)
        forget()
        monkeypatch.setattr(wiring, "client", lambda service: service)
        found.append(type(identity.texts()))
    assert found == [NoTexts, NoTexts, TextOutbox, Sns]


def send(asked: str) -> httpx.Response:
    with visitor() as anybody:
        return anybody.post("/auth/login/second-factor/sms", json={"challenge": asked})


def _user(app: App) -> Any:
    return identity.users().get(app.person.id)


def _begin_a_day(clock: Clock) -> None:
    clock.jump(clock.at.replace(hour=0, minute=0, second=1) + timedelta(days=1))


def _begin_a_minute(clock: Clock) -> None:
    """What follows is in one window of the limits."""
    clock.jump(clock.at.replace(second=1) + timedelta(minutes=1))
