"""Identity providers as the API meets them: a real one in a process of its own, and one that says what a test wants."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from cli.local.layout import PROJECT
from tests.integration.api.conftest import made
from tests.integration.api.people import Person, bearer, visitor

Json = dict[str, Any]
CLIENT_ID, CLIENT_SECRET = "spark-client", "a secret / of: the client".replace(" ", "_")


@dataclass(frozen=True)
class Provider:
    """The process; it knows its people by what is put into it."""

    issuer: str

    def knows(self, subject: str, **claims: Any) -> None:
        said = {"email_verified": True, **claims}
        httpx.put(f"{self.issuer}/users/{subject}", json=said).raise_for_status()

    def visit(self, url: str, subject: str) -> Json:
        """What the browser brings back when `subject` logs in at `url`."""
        answer = httpx.post(url, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return brought_back(answer.headers["location"])


@contextmanager
def running() -> Iterator[Provider]:
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.oidc_provider"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=quiet) as process:
        assert process.stdout is not None
        try:
            yield Provider(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


def trust(api: httpx.Client, issuer: str, **fields: Any) -> Json:
    """A provider that everybody comes in by, as a viewer; or what `fields` say."""
    body = {"name": "Okta", "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return made(api.post("/identity-providers", json={**body, "default_role": "viewer", **fields}))


def begin(provider_id: str, **fields: Any) -> httpx.Response:
    body = {"provider_id": provider_id, "redirect_uri": f"http://127.0.0.1:7777/{provider_id}", **fields}
    with visitor() as anybody:
        return anybody.post("/auth/sso", json=body)


def begun(provider_id: str) -> Json:
    answer = begin(provider_id)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def finish(attempt: str, back: Json) -> httpx.Response:
    with visitor() as anybody:
        return anybody.post("/auth/sso/finish", json={"attempt": attempt, **back})


def come(provider: Provider, provider_id: str, subject: str = "ann") -> httpx.Response:
    """All of a login."""
    start = begun(provider_id)
    return finish(start["attempt"], provider.visit(start["authorization_url"], subject))


def let_in(answer: httpx.Response) -> Person:
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    api = bearer(tokens["access_token"])
    return Person(api.get("/auth/me").json()["user"]["email"], tokens, api)


def brought_back(location: str) -> Json:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items() if name in ("state", "code")}


def asked_for(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class Forger:
    """A provider that says whatever a test wants; `tokens` makes the ID token out of what would have been right."""

    issuer: str = ""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    kid: str = "one"
    tokens: Callable[[Json], str] | None = None
    answers: dict[str, tuple[int, Json]] = field(default_factory=dict)
    """By path, instead of the right ones."""
    requests: list[tuple[str, Json, Json]] = field(default_factory=list)
    """Path, headers and form."""
    nonce: str = ""
    metadata: Json = field(default_factory=dict)

    def right(self, **changes: Any) -> Json:
        from shared import wiring

        now = int(wiring.now().timestamp())
        said = {"iss": self.issuer, "aud": CLIENT_ID, "sub": "ann", "nonce": self.nonce, "email": "ann@sso.test"}
        return {**said, "email_verified": True, "iat": now, "exp": now + 600, **changes}

    def signed(self, said: Json, **headers: Any) -> str:
        return jwt.encode(said, self.key, "RS256", headers={"kid": self.kid, **headers})

    def answer(self, path: str) -> tuple[int, Json]:
        if path in self.answers:
            return self.answers[path]
        if path == "/jwks":
            public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            return 200, {"keys": [{**public, "kid": self.kid, "use": "sig"}]}
        if path == "/token":
            right = self.right()
            return 200, {"id_token": self.tokens(right) if self.tokens else self.signed(right)}
        names = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        said = {name: f"{self.issuer}{place}" for name, place in names.items()}
        return 200, {"issuer": self.issuer, **said, **self.metadata}

    def login(self, provider_id: str) -> httpx.Response:
        """All of a login, with whatever it says."""
        start = begun(provider_id)
        said = asked_for(start["authorization_url"])
        self.nonce = said["nonce"]
        return finish(start["attempt"], {"state": said["state"], "code": "a-code"})


@contextmanager
def forging() -> Iterator[Forger]:
    forger = Forger()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            self._reply({name: values[0] for name, values in parse_qs(text).items()})

        def _reply(self, form: Json) -> None:
            forger.requests.append((self.path, dict(self.headers), form))
            status, document = forger.answer(self.path)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Tests read its requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    forger.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield forger
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
