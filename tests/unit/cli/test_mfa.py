"""`spark account mfa`, and logging in where there is a second factor."""

import json
from typing import Any

import httpx
import pytest

from tests.fake_api import KEY, FakeApi, problem
from tests.unit.cli.conftest import Spark
from tests.unit.cli.test_account import EMAIL, PASSWORD, People, profile, unknown

Json = dict[str, Any]
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
URI = f"otpauth://totp/Spark:ann?secret={SECRET}&issuer=Spark"
NUMBER, CODE, SENT = "+5511987654321", "123456", "654321"
CODES = [f"AAAA-BBBB-CCCC-000{n}" for n in range(10)]
STATE = {
    "enabled": True,
    "methods": ["totp", "recovery"],
    "recovery_codes_left": 9,
    "phone": "…21",
    "confirmed_at": "2030-01-01T11:00:00.000Z",
}


class Guarded(People):
    """The part of the API that deals with people who have a second factor."""

    def __init__(self, api: FakeApi) -> None:
        super().__init__(api)
        self.methods = ["totp", "recovery"]
        self.is_on = True

    def _stranger(self, path: str, body: Json) -> httpx.Response | None:
        match path:
            case "/auth/login" if body["password"] == PASSWORD and self.is_on:
                refused = problem(401, "second_factor_required", "A code.", challenge="asked", methods=self.methods)
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
            case "/auth/login/second-factor":
                right = SENT if body.get("method") == "sms" else CODE
                return self._next() if (body["challenge"], body["code"]) == ("asked", right) else unknown("wrong")
            case "/auth/login/second-factor/sms":
                return httpx.Response(204)
        return super()._stranger(path, body)

    def _person(self, request: httpx.Request, path: str) -> httpx.Response:
        body = json.loads(request.content) if request.content else {}
        if path.startswith("/auth/mfa") and (body.get("current_password", PASSWORD), body.get("code", CODE)) not in (
            (PASSWORD, CODE),
            (PASSWORD, SENT),
        ):
            return unknown("wrong")
        match path, request.method:
            case "/auth/mfa/totp", "POST":
                return httpx.Response(200, json={"secret": SECRET, "uri": URI, "qr": "data:"})
            case (("/auth/mfa/totp/confirm" | "/auth/mfa/recovery-codes"), "POST"):
                return httpx.Response(200, json={"recovery_codes": CODES})
            case ("/auth/mfa", "GET") | ("/auth/mfa/phone/confirm", "POST"):
                return httpx.Response(200, json=STATE)
        return super()._person(request, path)


@pytest.fixture
def people(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    monkeypatch.setenv("CODE", CODE)
    return Guarded(api)


@pytest.fixture
def logged_in(people: Guarded, spark: Spark) -> Guarded:
    assert log_in(spark, "--code", CODE).exit_code == 0
    return people


def log_in(spark: Spark, *more: str, **settings: Any) -> Any:
    return spark("login", "--email", EMAIL, "--password", "env:PASSWORD", *more, **settings)


def sent(people: Guarded, path: str) -> Json:
    (request,) = people.asked(path)
    body: Json = json.loads(request.content)
    return body


class TestLogin:
    @pytest.mark.parametrize("code", [CODE, "env:CODE"])
    def test_a_code_is_asked_for_besides_the_password(self, people: Guarded, spark: Spark, code: str) -> None:
        assert log_in(spark, "--code", code).exit_code == 0
        assert sent(people, "/auth/login/second-factor") == {"challenge": "asked", "code": CODE}
        assert profile().access_token == "access-1"

    def test_it_comes_from_standard_input_too_after_the_password(self, people: Guarded, spark: Spark) -> None:
        result = spark("login", "--email", EMAIL, "--password", "-", "--code", "-", input=f"{PASSWORD}\n{CODE}\n")
        assert result.exit_code == 0
        assert profile().access_token == "access-1"

    def test_whoever_is_there_is_asked(self, people: Guarded, spark: Spark) -> None:
        result = log_in(spark, user=True, input=f"{CODE}\n")
        assert result.exit_code == 0
        assert "sms" not in result.output
        assert profile().access_token == "access-1"

    def test_nobody_there_to_ask_is_wrong_usage(self, people: Guarded, spark: Spark) -> None:
        assert log_in(spark).exit_code == 2
        assert people.asked("/auth/login/second-factor") == []

    def test_a_wrong_code_logs_nobody_in_and_is_sent_once(self, people: Guarded, spark: Spark) -> None:
        assert log_in(spark, "--code", "000000").exit_code == 4
        assert len(people.asked("/auth/login/second-factor")) == 1
        assert profile().access_token == ""

    def test_a_code_can_be_sent_to_the_phone(self, people: Guarded, spark: Spark) -> None:
        people.methods = ["totp", "recovery", "sms"]
        result = log_in(spark, user=True, input=f"sms\n{SENT}\n")
        assert result.exit_code == 0
        assert sent(people, "/auth/login/second-factor/sms") == {"challenge": "asked"}
        assert sent(people, "/auth/login/second-factor") == {"challenge": "asked", "code": SENT, "method": "sms"}

    def test_who_has_none_is_not_asked(self, people: Guarded, spark: Spark) -> None:
        people.is_on = False
        assert log_in(spark).exit_code == 0


class TestEnable:
    def test_it_draws_a_picture_asks_for_a_code_and_prints_recovery_codes(
        self, logged_in: Guarded, spark: Spark
    ) -> None:
        result = spark("account", "mfa", "enable", user=True, input=f"{PASSWORD}\n{CODE}\n")
        assert result.exit_code == 0
        assert "█" in result.stderr
        assert SECRET in result.stderr
        assert result.stdout.split()[-10:] == CODES
        assert PASSWORD not in result.output
        assert sent(logged_in, "/auth/mfa/totp") == {"current_password": PASSWORD}

    def test_without_a_terminal_it_is_in_two_commands(self, logged_in: Guarded, spark: Spark) -> None:
        begun = spark("account", "mfa", "enable", "--current", "env:PASSWORD")
        assert json.loads(begun.stdout) == {"secret": SECRET, "uri": URI}
        assert logged_in.asked("/auth/mfa/totp/confirm") == []
        done = spark("account", "mfa", "confirm", "--code", "-", "--json", input=f"{CODE}\n")
        assert json.loads(done.stdout) == {"recovery_codes": CODES}

    def test_a_wrong_password_is_sent_once(self, logged_in: Guarded, spark: Spark) -> None:
        result = spark("account", "mfa", "enable", "--current", "-", input="wrong\n")
        assert result.exit_code == 4
        assert len(logged_in.asked("/auth/mfa/totp")) == 1
        assert logged_in.asked("/auth/refresh") == []


class TestChanging:
    def test_status(self, logged_in: Guarded, spark: Spark) -> None:
        shown = spark("account", "mfa", "status").output
        assert all(word in shown for word in ("on", "totp recovery", "9", "…21"))
        assert json.loads(spark("account", "mfa", "status", "--json").stdout) == STATE

    def test_recovery_codes(self, logged_in: Guarded, spark: Spark) -> None:
        result = spark("account", "mfa", "recovery-codes", "--current", "env:PASSWORD", "--code", CODE)
        assert result.stdout.split() == CODES
        assert sent(logged_in, "/auth/mfa/recovery-codes") == {"current_password": PASSWORD, "code": CODE}

    def test_disable(self, logged_in: Guarded, spark: Spark) -> None:
        assert spark("account", "mfa", "disable", "--current", "env:PASSWORD", "--code", CODE).exit_code == 0
        assert sent(logged_in, "/auth/mfa/disable") == {"current_password": PASSWORD, "code": CODE}

    def test_phone(self, logged_in: Guarded, spark: Spark) -> None:
        arguments = ("account", "mfa", "phone", NUMBER, "--current", "env:PASSWORD", "--code", CODE)
        assert spark(*arguments, user=True, input=f"{SENT}\n").exit_code == 0
        assert sent(logged_in, "/auth/mfa/phone")["number"] == NUMBER
        assert sent(logged_in, "/auth/mfa/phone/confirm") == {"code": SENT}

    def test_without_a_terminal_a_phone_is_in_two_commands(self, logged_in: Guarded, spark: Spark) -> None:
        begun = spark("account", "mfa", "phone", NUMBER, "--current", "env:PASSWORD", "--code", CODE)
        assert begun.exit_code == 0
        assert "spark account mfa confirm-phone" in begun.stderr
        assert logged_in.asked("/auth/mfa/phone/confirm") == []
        done = spark("account", "mfa", "confirm-phone", "--code", "-", "--json", input=f"{SENT}\n")
        assert json.loads(done.stdout) == STATE
        assert sent(logged_in, "/auth/mfa/phone/confirm") == {"code": SENT}


class TestRemoval:
    def test_it_takes_the_key_of_the_profile_whoever_is_logged_in(self, logged_in: Guarded, spark: Spark) -> None:
        assert spark("admin", "remove-second-factor", EMAIL, "--yes").exit_code == 0
        (request,) = logged_in.asked("/accounts/remove-second-factor")
        assert request.headers["X-API-Key"] == KEY
        assert "Authorization" not in request.headers
        assert json.loads(request.content) == {"account": EMAIL}

    def test_nobody_does_it_by_accident(self, logged_in: Guarded, spark: Spark) -> None:
        assert spark("admin", "remove-second-factor", EMAIL).exit_code == 2
        assert logged_in.asked("/accounts/remove-second-factor") == []
