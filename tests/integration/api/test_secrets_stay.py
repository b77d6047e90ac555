"""Secrets stay where they belong: a day in the life of a deployment, and then a search in all that it left.

Searched are every answer but those that show a secret once, every line of every log, every item, message and object,
and the OpenAPI document: for each secret as it is, in base64 and in hexadecimal. Packed attributes are unpacked.
"""

import base64
import io
import json
import logging
import re
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pyotp
import pytest

from functions.executor.handler import handler as executor
from shared import wiring
from shared.observability import logger
from tests.integration.api import people
from tests.integration.api.conftest import client, made
from tests.integration.api.people import Outbox
from tests.integration.api.wire import CONTEXT, LambdaTransport
from tests.integration.conftest import API_KEY, SECRET, Aws
from tests.integration.test_handlers import due
from tests.stub_langflow import ECHO, StubLangFlow

Json = dict[str, Any]
LANGFLOW_KEY = "lf-planted-0123456789abcdef"
NEW_LANGFLOW_KEY = "lf-planted-fedcba9876543210"
GUESS = "planted" + "g" * 36
MISTAKEN = "planted-in-the-wrong-place"
PASSWORD = "planted horse battery staple"
WRONG_PASSWORD = "planted horse battery stable"
UNTIL_LOGGED_IN = "/auth/"  # whose answers hand out tokens, as they should
SECURED = "/auth/mfa/totp"  # where a second factor is shown once


class Overheard(httpx.BaseTransport):
    """The API, and whatever it answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str]] = []
        self._wire = LambdaTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._wire.handle_request(request)
        self.answers.append((f"{request.method} {request.url.path}", f"{answer.headers} {answer.content.decode()}"))
        return answer


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What Powertools writes, and all libraries do, as CloudWatch would get it from a deployment at LogLevel=DEBUG."""
    lines = io.StringIO()
    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", lines)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(lines)])
    monkeypatch.setattr(logging.getLogger(logger.name), "propagate", False)  # or each line came twice
    level = root.level
    root.setLevel(logging.DEBUG)  # as Lambda's runtime does
    yield lines
    root.setLevel(level)


@pytest.fixture
def overheard(monkeypatch: pytest.MonkeyPatch) -> Overheard:
    """Every answer of the API, whoever asked."""
    transport = Overheard()
    monkeypatch.setattr("tests.integration.api.conftest.LambdaTransport", lambda: transport)
    return transport


@pytest.fixture
def server() -> Iterator[StubLangFlow]:
    with StubLangFlow() as stub:
        yield stub


def test_secrets_stay_where_they_belong(
    aws: Aws,
    outbox: Outbox,
    overheard: Overheard,
    log: io.StringIO,
    server: StubLangFlow,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secrets = live(aws, server)
    shown = keys_made(overheard)
    secrets |= {f"key {number}": secret for number, secret in enumerate(shown.values())}
    tokens = tokens_handed_out(overheard)
    assert len(shown) == 3
    assert len(tokens) >= 2
    answers = [text for what, text in overheard.answers if text not in shown and UNTIL_LOGGED_IN not in what]
    rest = [(what, text) for what, text in overheard.answers if UNTIL_LOGGED_IN in what and SECURED not in what]
    answers += [without(tokens, text) for _, text in rest]
    printed = capsys.readouterr()
    everything = {
        "an answer": "\n".join(answers),
        "the log": log.getvalue() + printed.out + printed.err,
        "the table": stored(aws),
        "the bucket": objects(aws),
        "the queue": json.dumps(aws.messages()),
    }

    assert log.getvalue().count("request.answered") >= len(overheard.answers) > 20
    assert "run.saved" in log.getvalue()
    for name, secret in (secrets | {f"token {number}": token for number, token in enumerate(tokens)}).items():
        for form in forms(secret):
            for place, text in everything.items():
                assert form not in text, f"{name} is in {place}"


def live(aws: Aws, server: StubLangFlow) -> dict[str, str]:
    """What users, operators, strangers and LangFlow do in a day; the secrets that they use for it."""
    with client(API_KEY) as api, client(f"spk_bootstrap_{GUESS}") as stranger:
        assert stranger.get("/runs").status_code == 401
        workflow = a_workflow(api, server)
        for mode in ("ok", "fail", "garbage", "refuse_key", "disconnect", "unavailable"):
            server.set(mode)
            run = made(api.post("/runs", json={"workflow_id": workflow["id"], "input": "x" * 5000}))
            executor(due(aws), CONTEXT)
            for part in ("", "/logs", "/steps"):
                assert api.get(f"/runs/{run['id']}{part}").status_code == 200
        server.set("ok")
        keys(api)
        mistakes(api)
        somebody(api)
        secured = a_second_factor()
        api.get("/openapi.json")
    return secured | {
        "the first key": SECRET,
        "LangFlow's key": LANGFLOW_KEY,
        "LangFlow's new key": NEW_LANGFLOW_KEY,
        "a guessed key": GUESS,
        "what stands in the wrong place": MISTAKEN,
        "a password": PASSWORD,
        "a wrong password": WRONG_PASSWORD,
    }


def a_workflow(api: httpx.Client, server: StubLangFlow) -> Json:
    body = {"name": "lab", "url": server.url, "api_key": LANGFLOW_KEY}
    source = made(api.post("/sources", json=body))
    workflow = made(api.post("/workflows/import", json={"source_id": source["id"], "flow_id": ECHO}))
    for changes in ({"api_key": NEW_LANGFLOW_KEY}, {"name": "laboratory"}):
        assert api.patch(f"/sources/{source['id']}", json=changes).status_code == 200
    api.post(f"/sources/{source['id']}/check")
    api.get(f"/sources/{source['id']}/flows")
    api.get("/sources")
    return workflow


def keys(api: httpx.Client) -> None:
    """Two keys, of which one is used and rotated, and used no more."""
    for role in ("viewer", "operator"):
        key = made(api.post("/api-keys", json={"name": role, "role": role}))
    with client(key["key"]) as holder:
        assert holder.get("/runs").status_code == 200
        assert holder.post("/api-keys", json={"name": "more", "role": "owner"}).status_code == 403
    assert api.post(f"/api-keys/{key['id']}/rotate", json={"overlap_seconds": 0}).status_code == 200
    assert api.get("/api-keys").status_code == 200
    assert api.delete(f"/api-keys/{key['id']}").status_code == 204


def mistakes(api: httpx.Client) -> None:
    """Requests that cannot be answered, with a secret in them."""
    wrong = {"name": "x", "url": "http://127.0.0.1:1", "api_key": [MISTAKEN]}
    assert api.post("/sources", json=wrong).status_code == 422
    assert api.post("/sources", json={**wrong, "api_key": f"{MISTAKEN} with blanks"}).status_code == 422
    assert api.post("/sources", json={**wrong, "api_key": MISTAKEN}).status_code == 422  # nobody answers there
    assert api.post("/sources", content=f'{{"api_key": "{MISTAKEN}"').status_code in (400, 422)
    assert api.post("/api-keys", json={"name": "x", "role": MISTAKEN * 10}).status_code == 422


def somebody(api: httpx.Client) -> None:
    """Somebody who registers, mistypes, and logs in."""
    assert people.register(password=PASSWORD).status_code == 201
    with client(None) as anybody:
        body = {"email": people.EMAIL, "password": WRONG_PASSWORD}
        assert anybody.post("/auth/login", json=body).status_code == 401
        answer = anybody.post("/auth/login", json={**body, "password": PASSWORD})
        assert answer.status_code == 200
        renewed = anybody.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]})
        assert renewed.status_code == 200
    person = people.bearer(renewed.json()["access_token"])
    assert person.get("/auth/me").status_code == 200
    assert person.get("/runs").status_code == 200


def a_second_factor() -> dict[str, str]:
    """Somebody who has an account switches a second factor on, and uses it; what they alone know of it."""
    with client(None) as ann:
        credentials = {"email": people.EMAIL, "password": PASSWORD}
        ann.headers["Authorization"] = f"Bearer {ann.post('/auth/login', json=credentials).json()['access_token']}"
        secret = ann.post("/auth/mfa/totp", json={"current_password": PASSWORD}).json()["secret"]
        app = pyotp.TOTP(secret)
        assert ann.post("/auth/mfa/totp/confirm", json={"code": "planted"}).status_code == 401
        codes = ann.post("/auth/mfa/totp/confirm", json={"code": app.at(wiring.now())}).json()["recovery_codes"]
        challenge = ann.post("/auth/login", json=credentials).json()["challenge"]
        body = {"challenge": challenge, "code": app.at(wiring.now(), counter_offset=1)}
        assert ann.post("/auth/login/second-factor", json=body).status_code == 200
        assert ann.post("/auth/login/second-factor", json={**body, "code": codes[0]}).status_code == 200
        assert ann.get("/auth/mfa").json()["recovery_codes_left"] == 9
    return {"the secret of an app": secret, "a recovery code": codes[0], "another one": codes[1]}


def keys_made(overheard: Overheard) -> dict[str, str]:
    """The answers that show a key, and the secret in each."""
    pattern = re.compile(r'"key":"spk_[0-9A-Za-z]+_([0-9A-Za-z]+)"')
    made = ((text, pattern.search(text)) for what, text in overheard.answers if "/api-keys" in what)
    return {text: found[1] for text, found in made if found}


def tokens_handed_out(overheard: Overheard) -> list[str]:
    texts = (text for what, text in overheard.answers if UNTIL_LOGGED_IN in what)
    return [token for text in texts for token in re.findall(r'"(?:access|refresh)_token":"([^"]+)"', text)]


def without(tokens: list[str], text: str) -> str:
    for token in tokens:
        text = text.replace(token, "")
    return text


def forms(secret: str) -> set[str]:
    raw = secret.encode()
    middle = {base64.b64encode(raw[start:]).decode().rstrip("=")[1:-1] for start in range(3)}
    return {secret, raw.hex(), json.dumps(secret)[1:-1]} | middle


def stored(aws: Aws) -> str:
    """Every item, as text."""
    return "\n".join(
        text_of(value) for item in aws.items() for attribute in item.values() for value in attribute.values()
    )


def text_of(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return zlib.decompress(value).decode("utf-8", "replace")
    except zlib.error:
        return value.decode("utf-8", "replace")


def objects(aws: Aws) -> str:
    bucket = wiring.settings().payload_bucket
    found = aws.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return "\n".join(aws.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in found)


def test_the_search_finds_what_is_there(aws: Aws, log: io.StringIO) -> None:
    """A search that finds nothing proves nothing."""
    logger.info("a careless line", extra={"key": LANGFLOW_KEY})
    assert LANGFLOW_KEY in log.getvalue()
    assert any(form in base64.b64encode(b"x" + LANGFLOW_KEY.encode()).decode() for form in forms(LANGFLOW_KEY))
    assert any(form in LANGFLOW_KEY.encode().hex() for form in forms(LANGFLOW_KEY))
    assert LANGFLOW_KEY in text_of(zlib.compress(LANGFLOW_KEY.encode()))
