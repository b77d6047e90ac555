"""What every answer has, whatever it is the answer to; and bodies that are meant to break something."""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.api.app import create_app
from functions.api.handler import TEXT_TYPES
from functions.api.middleware import MAX_BODY_BYTES, MAX_DEPTH
from functions.api.routers import health
from shared.domain.record import instant_text
from shared.settings import Settings
from shared.store.table import Table
from tests.fakes import Clock
from tests.integration.api import wire
from tests.integration.api.conftest import client
from tests.integration.api.keys import a_key
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
JSON = {"Content-Type": "application/json"}
NOTHING = "default-src 'none'; frame-ancestors 'none'"
KINDS = {
    "an answer": ("GET", "/runs", b"", 200),
    "health": ("GET", "/health", b"", 200),
    "no such path": ("GET", "/nothing", b"", 404),
    "no such run": ("GET", "/runs/nobody", b"", 404),
    "no JSON": ("POST", "/sources", b"{", 400),
    "a body too large": ("POST", "/sources", b"x" * (MAX_BODY_BYTES + 1), 413),
    "a body too deep": ("POST", "/sources", b"[" * 1000, 400),
    "a rule broken": ("POST", "/sources", b"{}", 422),
    "a method that is not": ("DELETE", "/runs", b"", 405),
}


class TestHeaders:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_answer_trusts_nothing_and_is_kept_by_nobody(self, api: httpx.Client, kind: str) -> None:
        method, path, body, status = KINDS[kind]
        answer = api.request(method, path, content=body, headers=JSON)
        assert answer.status_code == status
        require_hygiene(answer)

    def test_strangers_get_the_same(self, aws: Aws) -> None:
        with client(None) as stranger:
            require_hygiene(stranger.get("/runs"))

    def test_so_does_an_answer_to_what_nobody_expected(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def explode(*_: Any) -> None:
            raise RuntimeError("boom")

        monkeypatch.setattr(health.readiness, "missing", explode)
        answer = api.get("/health/ready")
        problem(answer, 500, "internal")
        require_hygiene(answer)

    def test_https_is_asked_for_where_there_is_https(self, api: httpx.Client) -> None:
        over_tls = api.get("/health", headers={"X-Forwarded-Proto": "https"})
        assert over_tls.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
        in_the_clear = api.get("/health", headers={"X-Forwarded-Proto": "http"})
        assert "Strict-Transport-Security" not in in_the_clear.headers

    def test_assets_may_be_kept(self, aws: Aws) -> None:
        with client(None) as anybody:
            asset = anybody.get("/assets/swagger-ui.css")
        assert asset.headers["Cache-Control"] == "public, max-age=86400"
        assert asset.headers["X-Content-Type-Options"] == "nosniff"


class TestStrangers:
    def test_an_unknown_key_and_a_wrong_one_get_the_same_answer_for_the_same_work(
        self, clock: Clock, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known, ended = a_key(api)["key"], a_key(api, valid_until=instant_text(clock.at + timedelta(seconds=9)))["key"]
        clock.forward(10)
        reads: list[str] = []
        get = Table.get
        monkeypatch.setattr(Table, "get", lambda table, key, **rest: reads.append(key.pk) or get(table, key, **rest))
        answers = []
        for key in (f"spk_unknown_{'x' * 43}", known[:-1] + ("y" if known.endswith("x") else "x"), ended):
            with client(key) as stranger:
                answers.append(stranger.get("/runs"))
        problems = [problem(answer, 401, "unauthenticated") | {"correlation_id": ""} for answer in answers]
        assert problems[0] == problems[1] == problems[2]
        assert len({tuple(answer.headers) for answer in answers}) == 1
        assert sum(pk.startswith("KEY#") for pk in reads) == len([pk for pk in reads if "LIMIT" not in pk]) == 3


class TestPages:
    @pytest.mark.parametrize("page", ["/docs", "/redoc"])
    def test_a_page_may_run_what_it_came_with_and_nothing_else(self, aws: Aws, page: str) -> None:
        with client(None) as anybody:
            answer = anybody.get(page)
        policy = directives(answer.headers["Content-Security-Policy"])
        inline = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
        allowed = {f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in inline}
        assert set(policy["script-src"]) == {"'self'", *allowed}
        assert policy["default-src"] == ["'none'"]
        assert policy["connect-src"] == ["'self'"]
        assert policy["frame-ancestors"] == ["'none'"]
        assert not re.search(r"\son\w+=|javascript:", answer.text)  # no hash allows those
        assert answer.headers["Cache-Control"] == "no-cache"

    def test_swagger_ui_begins_with_a_script_in_the_page(self, aws: Aws) -> None:
        with client(None) as anybody:
            policy = anybody.get("/docs").headers["Content-Security-Policy"]
        assert policy.count("'sha256-") == 1


class TestBodies:
    @pytest.mark.parametrize("bracket", [b"[", b'{"a":', b"[{", b'[{"a":'])
    def test_a_mebibyte_of_nesting_is_refused_by_name(self, api: httpx.Client, bracket: bytes) -> None:
        body = bracket * (MAX_BODY_BYTES // len(bracket))
        refused = api.post("/runs", content=body, headers=JSON)
        assert str(MAX_DEPTH) in problem(refused, 400, "malformed")["detail"]

    def test_what_is_nested_that_deep_and_no_deeper_is_read(
        self, api: httpx.Client, order: Callable[..., Json]
    ) -> None:
        tweaks: Any = {"x": "y"}
        for _ in range(MAX_DEPTH - 3):
            tweaks = {"x": tweaks}
        assert api.post("/runs", json=order(tweaks={"ChatInput-aaaaa": tweaks})).status_code == 202
        refused = api.post("/runs", json=order(tweaks={"ChatInput-aaaaa": {"x": tweaks}}))
        assert str(MAX_DEPTH) in problem(refused, 400, "malformed")["detail"]

    def test_brackets_inside_texts_are_texts(self, api: httpx.Client, order: Callable[..., Json]) -> None:
        assert api.post("/runs", json=order(input='[{"' * 1000 + "\\")).status_code == 202

    def test_nesting_cannot_hide_in_another_encoding(self, api: httpx.Client) -> None:
        hidden = '{"嬢": ' + "[" * 500 + "]" * 500 + "}"  # in UTF-16 that sign is a quote and a bracket
        refused = api.post("/runs", content=hidden.encode("utf-16-le"), headers=JSON)
        problem(refused, 400, "malformed")


class TestOrigins:
    def test_pages_of_allowed_origins_may_read_how_limits_stand(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mangum import Mangum

        app = create_app(Settings(cors_origins="https://app.test"))
        handler = Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES)
        monkeypatch.setattr(wire, "handler", handler)
        with client(None) as anybody:
            allowed = anybody.get("/health", headers={"Origin": "https://app.test"})
            other = anybody.get("/health", headers={"Origin": "https://evil.test"})
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.test"
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(
            allowed.headers["Access-Control-Expose-Headers"].split(", ")
        )
        assert "Access-Control-Allow-Credentials" not in allowed.headers
        assert "Access-Control-Allow-Origin" not in other.headers
        require_hygiene(allowed)


def require_hygiene(answer: httpx.Response) -> None:
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == NOTHING
    assert answer.headers["X-Correlation-Id"]
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers


def directives(policy: str) -> dict[str, list[str]]:
    parts = (part.split() for part in policy.split(";"))
    return {name: values for name, *values in parts}
