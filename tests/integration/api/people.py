"""People as the API meets them: with accounts, tokens, and mail in a folder."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.integration.api.wire import LambdaTransport
from tests.integration.conftest import API_KEY

Json = dict[str, Any]
PASSWORD = "a long and winding password"
EMAIL = "ann@example.com"
OTHER = "bob@example.com"
TOKEN = re.compile(r"sp[a-z]_[0-9A-Z]{26}_[A-Za-z0-9]{43}")


@dataclass(frozen=True)
class Outbox:
    """What was mailed."""

    file: Path

    def letters(self) -> list[Json]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def token(self, to: str) -> str:
        """The one in the last letter to that address."""
        letter = next(letter for letter in reversed(self.letters()) if letter["to"] == to)
        found = TOKEN.search(letter["text"])
        assert found
        return found[0]


@dataclass
class Person:
    """Somebody with an account, and with a client that carries their access token."""

    email: str
    tokens: Json
    api: httpx.Client

    @property
    def id(self) -> str:
        return str(self.api.get("/auth/me").json()["id"])

    def again(self) -> "Person":
        """The same person, logged in once more."""
        return log_in(self.email)


def register(**fields: Any) -> httpx.Response:
    """An attempt, with the deployment's first key."""
    body = {"email": EMAIL, "name": "Ann", "password": PASSWORD, **fields}
    with visitor() if "invitation" in fields else visitor(**{"X-API-Key": API_KEY}) as anybody:
        return anybody.post("/auth/register", json=body)


def log_in(email: str = EMAIL, password: str = PASSWORD) -> Person:
    with visitor() as anybody:
        answer = anybody.post("/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    return Person(email, tokens, bearer(tokens["access_token"]))


def settle(email: str, outbox: Outbox, name: str = "Bob") -> Person:
    """Somebody who comes by themselves, where registration is open, and answers the letter."""
    with visitor() as anybody:
        answer = anybody.post("/auth/register", json={"email": email, "name": name, "password": PASSWORD})
        assert answer.status_code == 202, answer.text
        assert anybody.post("/auth/verify", json={"token": outbox.token(email)}).status_code == 200
    return log_in(email)


def bearer(token: str, **headers: str) -> httpx.Client:
    return visitor(Authorization=f"Bearer {token}", **headers)


def visitor(**headers: str) -> httpx.Client:
    return httpx.Client(transport=LambdaTransport(), base_url="https://api.test/api/v1", headers=headers)


Invite = Callable[..., Person]
