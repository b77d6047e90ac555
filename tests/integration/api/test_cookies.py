"""The cookie mode: pages log in, and no script of theirs ever sees a token."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from functions.api import identity
from functions.api.cookies import csrf_token
from shared.domain.token import PATTERN
from tests.fakes import Clock
from tests.integration.api.factors import challenge, enable
from tests.integration.api.people import EMAIL, PASSWORD, Invite, Person, visitor
from tests.integration.api.sso import asked_for, begun, forging, trust
from tests.integration.api.wire import LambdaTransport, problem
from tests.integration.conftest import API_KEY, forget

Json = dict[str, Any]

ACCESS, REFRESH, CSRF = "__Host-spark-access", "__Host-spark-refresh", "__Host-spark-csrf"
MONTH = 30 * 24 * 3600
A_PROJECT = {"name": "from a page"}


@pytest.fixture
def page(owner: Person) -> Iterator[httpx.Client]:
    """A browser with a page of ours, whose owner has logged in. It holds the CSRF token as a script would."""
    with visitor() as browser:
        yield log_in(browser)


def attempt(browser: httpx.Client, email: str = EMAIL) -> httpx.Response:
    return browser.post("/auth/login", json={"email": email, "password": PASSWORD, "cookies": True})


def log_in(browser: httpx.Client, email: str = EMAIL) -> httpx.Client:
    answer = attempt(browser, email)
    assert answer.status_code == 200, answer.text
    return take(browser, answer)


def take(browser: httpx.Client, answer: httpx.Response) -> httpx.Client:
    """Do what a page does with the answer to a login or a refresh."""
    browser.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return browser


def cookies_of(answer: httpx.Response) -> dict[str, tuple[str, set[str]]]:
    """Value and attributes of each cookie that `answer` sets."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        found[name] = value.strip('"'), set(attributes)
    return found


class TestLogin:
    def test_each_cookie_is_for_as_few_as_can_be(self, owner: Person, clock: Clock) -> None:
        with visitor() as browser:
            answer = attempt(browser)
        found = cookies_of(answer)
        age = next(one for one in found[ACCESS][1] if one.startswith("Max-Age="))
        assert MONTH - 2 <= int(age.removeprefix("Max-Age=")) <= MONTH
        assert {name: attributes for name, (_, attributes) in found.items()} == {
            ACCESS: {"HttpOnly", "Secure", "SameSite=strict", "Path=/", age},
            REFRESH: {"HttpOnly", "Secure", "SameSite=strict", "Path=/", age},
            CSRF: {"Secure", "SameSite=strict", "Path=/", age},
        }

    def test_no_script_sees_a_token(self, owner: Person) -> None:
        with visitor() as browser:
            answers = [attempt(browser)]
            take(browser, answers[0])
            answers += [browser.post("/auth/refresh"), browser.get("/auth/me"), browser.get("/auth/sessions")]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert answers[0].json().keys() == answers[1].json().keys() == {"expires_in", "session_id", "csrf_token"}
        secrets = [cookies_of(answer)[name][0] for answer in answers[:2] for name in (ACCESS, REFRESH)]
        for answer in answers:
            assert answer.headers["Cache-Control"] == "no-store"
            assert not PATTERN.search(answer.text)
            assert "eyJ" not in answer.text  # how every JWT begins
            assert not any(secret in answer.text for secret in secrets)
        for answer in answers[:2]:
            assert cookies_of(answer)[CSRF][0] == answer.json()["csrf_token"]

    def test_over_plain_http_on_ones_own_machine_they_have_no_prefix_and_are_not_secure(self, owner: Person) -> None:
        with httpx.Client(transport=LambdaTransport(), base_url="http://127.0.0.1:4566/api/v1") as browser:
            answer = attempt(browser)
            found = cookies_of(answer)
            assert set(found) == {"spark-access", "spark-refresh", "spark-csrf"}
            assert not any("Secure" in attributes for _, attributes in found.values())
            assert all({"SameSite=strict", "Path=/"} <= attributes for _, attributes in found.values())
            assert [name for name, (_, attributes) in found.items() if "HttpOnly" not in attributes] == ["spark-csrf"]
            take(browser, answer)
            assert browser.post("/projects", json=A_PROJECT).status_code == 201
            assert browser.post("/auth/refresh").status_code == 200

    def test_over_https_no_cookie_without_the_prefix_counts(self, page: httpx.Client, owner: Person) -> None:
        with visitor(Cookie=f"spark-access={owner.tokens['access_token']}") as neighbour:
            problem(neighbour.get("/auth/me"), 401, "unauthenticated")

    def test_who_asks_for_none_gets_none(self, owner: Person) -> None:
        with visitor() as browser:
            answer = browser.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
        assert cookies_of(answer) == {}
        assert {"access_token", "refresh_token"} < answer.json().keys()

    @pytest.mark.parametrize("said", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
    def test_a_page_of_somebody_else_logs_nobody_in(self, owner: Person, said: dict[str, str]) -> None:
        with visitor(**said) as browser:
            answer = attempt(browser)
            problem(answer, 403, "csrf")
        assert cookies_of(answer) == {}
        assert len(owner.api.get("/auth/sessions").json()["items"]) == 1  # the owner's own

    def test_nor_does_it_use_up_their_second_factor(self, owner: Person, clock: Clock) -> None:
        app = enable(owner, clock)
        body = {"challenge": challenge(), "code": app.next_code(), "cookies": True}
        with visitor(Origin="https://evil.example") as browser:
            problem(browser.post("/auth/login/second-factor", json=body), 403, "csrf")
        with visitor() as browser:
            assert browser.post("/auth/login/second-factor", json=body).status_code == 200

    def test_nor_their_login_by_an_identity_provider(self, owner: Person) -> None:
        with forging() as forger:
            start = begun(trust(owner.api, forger.issuer)["id"])
            said = asked_for(start["authorization_url"])
            forger.nonce = said["nonce"]
            back = {"attempt": start["attempt"], "state": said["state"], "code": "a-code", "cookies": True}
            with visitor(Origin="https://evil.example") as browser:
                problem(browser.post("/auth/sso/finish", json=back), 403, "csrf")
            with visitor() as browser:
                assert browser.post("/auth/sso/finish", json=back).status_code == 200


class TestRequests:
    def test_the_cookie_is_who_they_are_and_changes_take_the_token(self, page: httpx.Client) -> None:
        assert page.get("/auth/me").json()["user"]["email"] == EMAIL
        assert page.post("/projects", json=A_PROJECT).status_code == 201
        del page.headers["X-CSRF-Token"]
        assert page.get("/auth/me").status_code == 200
        refused = problem(page.post("/projects", json={"name": "forged"}), 403, "csrf")
        assert "X-CSRF-Token" in refused["detail"]
        assert "forged" not in page.get("/projects").text

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/auth/logout"),
            ("POST", "/auth/change-password"),
            ("DELETE", "/auth/sessions/ses_1"),
            ("PATCH", "/projects/default"),
            ("PUT", "/schedules/sch_1"),
            ("DELETE", "/api-keys/bootstrap"),
        ],
    )
    def test_nothing_changes_without_it(self, page: httpx.Client, method: str, path: str) -> None:
        del page.headers["X-CSRF-Token"]
        problem(page.request(method, path, json={"current_password": "x", "password": "y"}), 403, "csrf")
        assert page.get("/auth/me").status_code == 200

    def test_the_token_of_another_session_is_refused(self, page: httpx.Client, invite: Invite) -> None:
        for email in (EMAIL, invite("owner").email):
            with visitor() as other:
                mine = page.headers["X-CSRF-Token"]
                page.headers["X-CSRF-Token"] = log_in(other, email).headers["X-CSRF-Token"]
                problem(page.post("/projects", json=A_PROJECT), 403, "csrf")
                page.headers["X-CSRF-Token"] = mine
        assert page.post("/projects", json=A_PROJECT).status_code == 201

    def test_a_forged_one_is_refused_also_if_the_cookie_says_the_same(self, page: httpx.Client) -> None:
        for forged in ("", "0" * 64, page.headers["X-CSRF-Token"][:-1]):
            page.cookies.set(CSRF, forged, domain="api.test", path="/")
            page.headers["X-CSRF-Token"] = forged
            problem(page.post("/projects", json=A_PROJECT), 403, "csrf")

    @pytest.mark.parametrize(
        "said",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "http://api.test"},
            {"Origin": "https://api.test.evil.example"},
            {"Origin": "null"},
        ],
    )
    def test_a_page_of_somebody_else_is_refused_even_with_it(self, page: httpx.Client, said: dict[str, str]) -> None:
        problem(page.post("/projects", json=A_PROJECT, headers=said), 403, "csrf")
        problem(page.get("/projects", headers=said), 403, "csrf")
        problem(page.post("/auth/logout", headers=said), 403, "csrf")
        problem(page.post("/auth/refresh", headers=said), 403, "csrf")
        assert page.get("/auth/me").status_code == 200

    def test_a_page_of_ours_is_let_in(self, page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = {"Origin": "https://api.test", "Sec-Fetch-Site": "same-origin"}
        assert page.post("/projects", json=A_PROJECT, headers=ours).status_code == 201
        monkeypatch.setenv("SPARK_PUBLIC_URL", "https://spark.example.com")
        forget()
        log_in(page)
        public = {"Origin": "https://spark.example.com"}
        assert page.post("/projects", json={"name": "behind a proxy"}, headers=public).status_code == 201

    def test_a_key_or_a_token_in_a_header_wins_and_needs_no_other(self, page: httpx.Client, owner: Person) -> None:
        del page.headers["X-CSRF-Token"]
        abroad = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
        key = {"X-API-Key": API_KEY, **abroad}
        assert page.post("/projects", json=A_PROJECT, headers=key).status_code == 201
        assert page.get("/auth/me", headers=key).json()["id"] == "bootstrap"
        bearer = {"Authorization": f"Bearer {owner.tokens['access_token']}", **abroad}
        assert page.post("/projects", json={"name": "by token"}, headers=bearer).status_code == 201
        for wrong in ({"X-API-Key": "spk_x"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}):
            problem(page.get("/auth/me", headers=wrong), 401, "unauthenticated")

    def test_an_access_token_that_is_over_is_not_let_in(self, page: httpx.Client, clock: Clock) -> None:
        clock.forward(minutes=15)
        problem(page.get("/auth/me"), 401, "unauthenticated")


class TestRefresh:
    def test_it_turns_both_cookies_and_the_token(self, page: httpx.Client, clock: Clock) -> None:
        before, csrf = dict(page.cookies), page.headers["X-CSRF-Token"]
        clock.forward(minutes=16)
        answer = page.post("/auth/refresh")
        assert answer.status_code == 200, answer.text
        assert set(cookies_of(answer)) == {ACCESS, REFRESH, CSRF}
        after = dict(page.cookies)
        assert all(after[name] != before[name] for name in (ACCESS, REFRESH, CSRF))
        problem(page.post("/projects", json=A_PROJECT), 403, "csrf")  # with the token from before
        take(page, answer)
        assert page.headers["X-CSRF-Token"] != csrf
        assert page.post("/projects", json=A_PROJECT).status_code == 201

    def test_it_takes_the_token_also_when_the_access_token_is_over(self, page: httpx.Client, clock: Clock) -> None:
        clock.forward(minutes=16)
        csrf = page.headers.pop("X-CSRF-Token")
        problem(page.post("/auth/refresh"), 403, "csrf")
        assert page.post("/auth/refresh", headers={"X-CSRF-Token": csrf}).status_code == 200

    def test_a_late_replay_ends_the_session(self, page: httpx.Client, clock: Clock) -> None:
        stolen, csrf = dict(page.cookies), page.headers["X-CSRF-Token"]
        take(page, page.post("/auth/refresh"))
        clock.forward(11)
        header = "; ".join(f"{name}={value}" for name, value in stolen.items())
        with visitor(Cookie=header, **{"X-CSRF-Token": csrf}) as thief:
            problem(thief.post("/auth/refresh"), 401, "unauthenticated")
        problem(page.post("/auth/refresh"), 401, "unauthenticated")

    @pytest.mark.parametrize("minutes", [0, 16])
    def test_a_refresh_token_of_another_session_beside_ones_own_access_token_is_refused(
        self, page: httpx.Client, invite: Invite, clock: Clock, minutes: int
    ) -> None:
        """As a neighbour under the same domain might put it there, so that the page goes on as somebody else."""
        csrf, access = page.headers["X-CSRF-Token"], page.cookies[ACCESS]
        for email in (invite("viewer").email, EMAIL):
            with visitor() as mallory:
                foreign = log_in(mallory, email).cookies[REFRESH]
            clock.forward(minutes=minutes)
            tossed = f"{ACCESS}={access}; {REFRESH}={foreign}"
            with visitor(Cookie=tossed, **{"X-CSRF-Token": csrf}) as browser:
                answer = browser.post("/auth/refresh")
            problem(answer, 403, "csrf")
            assert cookies_of(answer) == {}
        assert page.post("/auth/refresh").status_code == 200

    def test_an_access_cookie_that_is_no_token_vouches_for_nothing(self, page: httpx.Client) -> None:
        for forged in ("x", "e30.e30.x"):
            tossed = f"{ACCESS}={forged}; {REFRESH}={page.cookies[REFRESH]}"
            with visitor(Cookie=tossed, **{"X-CSRF-Token": csrf_token(forged)}) as browser:
                problem(browser.post("/auth/refresh"), 403, "csrf")

    def test_a_token_in_the_body_is_answered_in_the_body(self, page: httpx.Client, owner: Person) -> None:
        answer = page.post("/auth/refresh", json={"refresh_token": owner.tokens["refresh_token"]})
        assert answer.json()["session_id"] == owner.tokens["session_id"]
        assert {"access_token", "refresh_token"} < answer.json().keys()
        assert cookies_of(answer) == {}

    def test_without_either_it_is_refused(self, owner: Person) -> None:
        with visitor() as nobody:
            problem(nobody.post("/auth/refresh"), 401, "unauthenticated")
            problem(nobody.post("/auth/refresh", json={}), 401, "unauthenticated")


class TestLogout:
    def test_it_ends_the_session_and_clears_the_cookies(self, page: httpx.Client) -> None:
        kept = dict(page.cookies)
        answer = page.post("/auth/logout")
        assert answer.status_code == 204
        found = cookies_of(answer)
        assert {name: value for name, (value, _) in found.items()} == {ACCESS: "", REFRESH: "", CSRF: ""}
        assert all("Max-Age=0" in attributes and "Secure" in attributes for _, attributes in found.values())
        assert all("Path=/" in attributes for _, attributes in found.values())
        assert dict(page.cookies) == {}
        with visitor(Cookie=f"{ACCESS}={kept[ACCESS]}") as again:
            problem(again.get("/auth/sessions"), 401, "unauthenticated")

    def test_the_cookies_go_also_when_the_access_token_is_over(self, page: httpx.Client, clock: Clock) -> None:
        clock.forward(minutes=16)
        answer = page.post("/auth/logout")
        problem(answer, 401, "unauthenticated")
        assert {name: value for name, (value, _) in cookies_of(answer).items()} == {ACCESS: "", REFRESH: "", CSRF: ""}
        assert dict(page.cookies) == {}

    def test_and_when_the_session_is(self, page: httpx.Client, owner: Person) -> None:
        for session in owner.api.get("/auth/sessions").json()["items"]:
            owner.api.delete(f"/auth/sessions/{session['id']}")
        problem(page.post("/auth/logout"), 401, "unauthenticated")
        assert dict(page.cookies) == {}

    def test_and_when_only_the_refresh_token_is_left(self, page: httpx.Client) -> None:
        page.cookies.delete(ACCESS)
        problem(page.post("/auth/logout"), 401, "unauthenticated")
        assert dict(page.cookies) == {}

    def test_nobody_elses_page_takes_them_away(self, page: httpx.Client, clock: Clock) -> None:
        clock.forward(minutes=16)
        answer = page.post("/auth/logout", headers={"Origin": "https://evil.example"})
        problem(answer, 403, "csrf")
        assert cookies_of(answer) == {}

    def test_another_refusal_leaves_them(self, page: httpx.Client, clock: Clock) -> None:
        clock.forward(minutes=16)
        assert cookies_of(page.get("/auth/sessions")) == {}
        by_header = page.post("/auth/logout", headers={"Authorization": "Bearer x"})
        problem(by_header, 401, "unauthenticated")
        assert cookies_of(by_header) == {}

    def test_who_has_no_cookies_is_sent_none(self, owner: Person) -> None:
        assert cookies_of(owner.api.post("/auth/logout")) == {}
        with visitor() as nobody:
            assert cookies_of(nobody.post("/auth/logout")) == {}


def test_a_page_is_counted_as_the_person_it_belongs_to(page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    real = type(identity.limiter()).request

    def record(limiter: Any, caller: str, *limits: Any) -> Any:
        counted.append(caller)
        return real(limiter, caller, *limits)

    monkeypatch.setattr(type(identity.limiter()), "request", record)
    page.get("/runs")
    assert [caller.partition("_")[0] for caller in counted] == ["usr"]
