import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from cli import config
from cli.client import Api
from tests.fake_api import KEY, URL, FakeApi, problem
from tests.unit.cli.conftest import Clock, Spark

EMAIL, PASSWORD = "ann@example.com", "a long and winding password"
USER = {"id": "usr_1", "email": EMAIL, "name": "Ann", "email_verified_at": None, "created_at": "2030-01-01T12:00:00Z"}
ME = {
    "id": "usr_1",
    "organization_id": "default",
    "project_id": "default",
    "role": "owner",
    "permissions": ["runs:read"],
    "user": USER,
}
Json = dict[str, Any]


class People:
    """The part of the API that deals with people: `access` and `refresh` are the tokens that work."""

    def __init__(self, api: FakeApi) -> None:
        self.api, self.number, self.refusal = api, 0, 401
        self.account: Json | None = USER
        self.requests: list[httpx.Request] = []
        self._others = api.answer
        api.handle = self.answer

    @property
    def access(self) -> str:
        return f"access-{self.number}"

    @property
    def refresh(self) -> str:
        return f"refresh-{self.number}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        )
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else {}
        return self._stranger(path, body) or self._person(request, path)

    def _stranger(self, path: str, body: Json) -> httpx.Response | None:
        match path:
            case "/auth/login":
                return self._next() if body["password"] == PASSWORD else unknown("wrong")
            case "/auth/refresh":
                return self._next() if body["refresh_token"] == self.refresh else self._refused()
            case "/auth/register" | "/auth/verify":
                return httpx.Response(200, json=self.account)
            case "/auth/forgot-password" | "/auth/reset-password":
                return httpx.Response(204)
        return None

    def _person(self, request: httpx.Request, path: str) -> httpx.Response:
        if "X-API-Key" not in request.headers and request.headers.get("Authorization") != f"Bearer {self.access}":
            return unknown("over")
        if path == "/auth/me":
            return httpx.Response(200, json=ME if "Authorization" in request.headers else {**ME, "user": None})
        if path == "/auth/change-password" and json.loads(request.content)["current_password"] != PASSWORD:
            return unknown("The present password is wrong.")
        if path.startswith("/auth/"):
            return httpx.Response(204)
        return httpx.Response(200, json={"items": [], "next_cursor": None})

    def asked(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == f"/api/v1{path}"]

    def _next(self) -> httpx.Response:
        self.number += 1
        tokens = {"access_token": self.access, "refresh_token": self.refresh, "expires_in": 900, "session_id": "ses_1"}
        return httpx.Response(200, json={**tokens, "token_type": "Bearer"})

    def _refused(self) -> httpx.Response:
        return problem(409, "conflict", "twice") if self.refusal == 409 else unknown("over")


def unknown(detail: str) -> httpx.Response:
    refused = problem(401, "unauthenticated", detail)
    refused.headers["WWW-Authenticate"] = "Bearer"
    return refused


@pytest.fixture
def people(api: FakeApi) -> People:
    return People(api)


@pytest.fixture
def logged_in(people: People, spark: Spark, monkeypatch: pytest.MonkeyPatch) -> People:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    assert spark("login", "--email", EMAIL, "--password", "env:PASSWORD").exit_code == 0
    return people


def profile() -> config.Profile:
    return config.load().profile("test")


class TestLogin:
    def test_it_keeps_the_tokens_where_nobody_else_reads_them(self, logged_in: People) -> None:
        assert (profile().access_token, profile().refresh_token) == ("access-1", "refresh-1")
        assert profile().api_key == KEY
        assert stat.S_IMODE(config.path().stat().st_mode) == 0o600
        assert PASSWORD not in config.path().read_text()

    def test_it_asks_for_what_is_not_said_and_echoes_no_password(self, people: People, spark: Spark) -> None:
        result = spark("login", user=True, input=f"{EMAIL}\n{PASSWORD}\n")
        assert result.exit_code == 0
        assert PASSWORD not in result.output
        assert profile().access_token == "access-1"

    def test_a_wrong_password_changes_nothing(self, logged_in: People, spark: Spark) -> None:
        result = spark("login", "--email", EMAIL, "--password", "-", input="wrong\n")
        assert result.exit_code == 4
        assert "spark account forgot" in result.output
        assert profile().access_token == "access-1"
        assert len(logged_in.asked("/auth/login")) == 2  # and no refresh in between
        assert logged_in.asked("/auth/refresh") == []

    def test_nobody_to_ask_is_wrong_usage(self, people: People, spark: Spark) -> None:
        assert spark("login", "--email", EMAIL).exit_code == 2
        assert spark("login", "--password", "-", input="x\n").exit_code == 2
        assert people.requests == []

    def test_an_address_in_the_environment_keeps_no_login(self, people: People, spark: Spark) -> None:
        result = spark(
            "login", "--email", EMAIL, "--password", "-", input="x\n", env={"SPARK_URL": "http://other.test"}
        )
        assert result.exit_code == 2
        assert people.requests == []

    def test_commands_go_on_as_the_person(self, logged_in: People, spark: Spark) -> None:
        assert spark("source", "list").exit_code == 0
        (request,) = logged_in.asked("/sources")
        assert request.headers["Authorization"] == "Bearer access-1"
        assert "X-API-Key" not in request.headers

    def test_a_key_of_the_environment_counts_instead(self, logged_in: People, spark: Spark) -> None:
        spark("source", "list", env={"SPARK_API_KEY": KEY})
        (request,) = logged_in.asked("/sources")
        assert request.headers["X-API-Key"] == KEY
        assert "Authorization" not in request.headers

    def test_tokens_go_to_no_other_address(self, logged_in: People, spark: Spark) -> None:
        spark("source", "list", env={"SPARK_URL": "http://other.test"})
        assert all("access-1" not in str(request.headers) for request in logged_in.asked("/sources"))
        config.save_profile("test", "http://other.test", "")
        assert profile().access_token == ""


class TestRefresh:
    def test_an_access_token_that_is_over_is_followed_by_the_next(self, logged_in: People, spark: Spark) -> None:
        config.keep_tokens("test", "stale", logged_in.refresh)
        result = spark("source", "list")
        assert result.exit_code == 0
        assert (profile().access_token, profile().refresh_token) == ("access-2", "refresh-2")
        assert [one.headers["Authorization"] for one in logged_in.asked("/sources")] == [
            "Bearer stale",
            "Bearer access-2",
        ]

    def test_who_was_slower_goes_on_with_what_the_other_got(
        self, logged_in: People, spark: Spark, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config.keep_tokens("test", "stale", "refresh-0")
        logged_in.refusal = 409
        sleep = clock.sleep

        def meanwhile(seconds: float) -> None:
            config.keep_tokens("test", logged_in.access, logged_in.refresh)
            sleep(seconds)

        monkeypatch.setattr(clock, "sleep", meanwhile)
        assert spark("source", "list").exit_code == 0
        assert len(logged_in.asked("/auth/refresh")) == 1
        assert profile().refresh_token == "refresh-1"

    def test_of_commands_at_once_one_asks_and_all_go_on(self, logged_in: People) -> None:
        config.keep_tokens("test", "stale", logged_in.refresh)

        def slowly(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/auth/refresh"):
                time.sleep(0.1)  # as long as it takes the others to find their tokens over
            return logged_in.answer(request)

        apis = [Api(profile(), transport=httpx.MockTransport(slowly)) for _ in range(8)]
        with ThreadPoolExecutor(len(apis)) as pool:
            answers = list(pool.map(lambda api: api.get("/sources"), apis))
        assert len(answers) == 8
        assert len(logged_in.asked("/auth/refresh")) == 1
        assert profile().refresh_token == "refresh-2"

    def test_a_session_that_is_over_asks_for_a_login(self, logged_in: People, spark: Spark) -> None:
        config.keep_tokens("test", "stale", "refresh-0")
        result = spark("source", "list")
        assert result.exit_code == 4
        assert "spark login" in result.output


class TestPassword:
    COMMAND = ("account", "password", "--password", "env:PASSWORD", "--current")

    def test_a_wrong_present_one_is_sent_once(self, logged_in: People, spark: Spark) -> None:
        result = spark(*self.COMMAND, "-", input="wrong\n")
        assert result.exit_code == 4
        assert "The present password is wrong." in result.output
        assert len(logged_in.asked("/auth/change-password")) == 1
        assert logged_in.asked("/auth/refresh") == []

    def test_a_token_that_is_over_is_in_nobodys_way(self, logged_in: People, spark: Spark) -> None:
        config.keep_tokens("test", "stale", logged_in.refresh)
        assert spark(*self.COMMAND, "env:PASSWORD").exit_code == 0
        (request,) = logged_in.asked("/auth/change-password")
        assert request.headers["Authorization"] == "Bearer access-2"


class TestLogout:
    def test_it_ends_the_session_and_the_key_counts_again(self, logged_in: People, spark: Spark) -> None:
        assert spark("logout").exit_code == 0
        (request,) = logged_in.asked("/auth/logout")
        assert request.headers["Authorization"] == "Bearer access-1"
        assert (profile().access_token, profile().refresh_token, profile().api_key) == ("", "", KEY)

    def test_a_session_that_is_over_is_forgotten_too(self, logged_in: People, spark: Spark) -> None:
        config.keep_tokens("test", "stale", "refresh-0")
        assert spark("logout").exit_code == 0
        assert profile().refresh_token == ""

    def test_while_nobody_answers_nothing_is_forgotten(self, logged_in: People, spark: Spark, api: FakeApi) -> None:
        def gone(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("x")

        api.handle = gone
        assert spark("logout").exit_code == 4
        assert profile().access_token == "access-1"

    def test_without_a_login_there_is_nothing_to_end(self, people: People, spark: Spark) -> None:
        assert spark("logout").exit_code == 0
        assert people.requests == []


def test_whoami_says_who_and_what(logged_in: People, spark: Spark) -> None:
    assert "Ann <ann@example.com>" in spark("whoami").output
    assert json.loads(spark("whoami", "--json").output) == ME
    spark("logout")
    assert "an API key" in spark("whoami").output


def test_create_owner_goes_with_the_first_key(logged_in: People, spark: Spark) -> None:
    result = spark("admin", "create-owner", "--email", EMAIL, "--name", "Ann", "--password", "-", input=PASSWORD + "\n")
    assert result.exit_code == 0
    (request,) = logged_in.asked("/auth/register")
    assert request.headers["X-API-Key"] == KEY
    assert "Authorization" not in request.headers
    assert "Idempotency-Key" not in request.headers
    assert json.loads(request.content) == {"email": EMAIL, "name": "Ann", "password": PASSWORD}


def test_who_types_a_new_password_types_it_twice(people: People, spark: Spark) -> None:
    words = ("account", "register", "--email", EMAIL, "--name", "Ann", "--invitation", "spi_x")
    assert spark(*words, user=True, input=f"{PASSWORD}\nanother\n").exit_code == 2
    assert people.requests == []
    assert spark(*words, user=True, input=f"{PASSWORD}\n{PASSWORD}\n").exit_code == 0
    assert json.loads(people.requests[0].content)["invitation"] == "spi_x"


def test_who_comes_by_themselves_is_told_to_look_for_a_letter(people: People, spark: Spark) -> None:
    people.account = None
    words = ("account", "register", "--email", EMAIL, "--name", "Ann", "--password", "-")
    result = spark(*words, input=PASSWORD + "\n")
    assert (result.exit_code, f"A letter is on its way to {EMAIL}" in result.output) == (0, True)
    assert json.loads(spark(*words, "--json", input=PASSWORD + "\n").output) is None


def test_letters_are_answered(people: People, spark: Spark) -> None:
    assert "is yours" in spark("account", "verify", "spv_x").output
    assert "letter" in spark("account", "forgot", "--email", EMAIL).output
    assert spark("account", "reset", "spw_x", "--password", "-", input=PASSWORD + "\n").exit_code == 0
    assert json.loads(people.asked("/auth/reset-password")[0].content) == {"token": "spw_x", "password": PASSWORD}


def test_the_url_of_the_profile_stays(logged_in: People) -> None:
    assert profile().url == URL
