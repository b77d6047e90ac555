"""Second factors as the API meets them: an app with its secret, recovery codes, and text messages in a folder."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyotp

from functions.api.handler import handler
from tests.fakes import Clock
from tests.integration.api.people import EMAIL, PASSWORD, Person
from tests.integration.api.wire import CONTEXT, event_of

Json = dict[str, Any]
STEP = 30


@dataclass
class App:
    """An authenticator app; `codes` are the recovery codes beside it."""

    person: Person
    clock: Clock
    secret: str = field(repr=False)
    codes: list[str] = field(default_factory=list, repr=False)

    def code(self) -> str:
        """The code of now."""
        return pyotp.TOTP(self.secret).at(self.clock.at)

    def next_code(self) -> str:
        """A code that was not used yet."""
        self.clock.forward(STEP)
        return self.code()

    def wrong(self) -> str:
        """Six digits that are none of the codes of now."""
        good = {pyotp.TOTP(self.secret).at(self.clock.at, counter_offset=offset) for offset in (-1, 0, 1, 2)}
        return next(text for text in (f"{number:06d}" for number in range(9)) if text not in good)


def enable(person: Person, clock: Clock, password: str = PASSWORD) -> App:
    """Switch a second factor on."""
    begun = person.api.post("/auth/mfa/totp", json={"current_password": password})
    assert begun.status_code == 200, begun.text
    app = App(person, clock, begun.json()["secret"])
    confirmed = person.api.post("/auth/mfa/totp/confirm", json={"code": app.code()})
    assert confirmed.status_code == 200, confirmed.text
    app.codes = confirmed.json()["recovery_codes"]
    return app


def first_step(email: str = EMAIL, password: str = PASSWORD, source: str = "127.0.0.1") -> httpx.Response:
    with at(source) as anybody:
        return anybody.post("/auth/login", json={"email": email, "password": password})


def second_step(challenge: str, code: str, source: str = "127.0.0.1", **more: Any) -> httpx.Response:
    with at(source) as anybody:
        return anybody.post("/auth/login/second-factor", json={"challenge": challenge, "code": code, **more})


def challenge(**who: Any) -> str:
    return str(first_step(**who).json()["challenge"])


def at(source: str) -> httpx.Client:
    """A visitor from the address `source`."""
    return httpx.Client(transport=From(source), base_url="https://api.test/api/v1")


class From(httpx.BaseTransport):
    """The wire of somebody at another address."""

    def __init__(self, source: str) -> None:
        self._source = source

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        event = event_of(request)
        event["requestContext"]["http"]["sourceIp"] = self._source
        answer = handler(event, CONTEXT)
        return httpx.Response(answer["statusCode"], headers=answer.get("headers"), content=answer.get("body", ""))


@dataclass(frozen=True)
class Phone:
    """What was sent to phones."""

    file: Path

    def texts(self) -> list[Json]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def code(self) -> str:
        found = re.search(r"\b\d{6}\b", self.texts()[-1]["text"])
        assert found
        return found[0]
