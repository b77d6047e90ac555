"""Secrets are planted all over a deployment that works, and what it leaves behind is searched for them.

That is all that commands say, all logs, the emulator's log, and its state when it has stopped: every item of the table,
every message, every object, and what KMS keeps.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local.stack import Stack, down
from tests.e2e.test_local_stack import Shell
from tests.integration.api.people import TOKEN
from tests.integration.api.test_secrets_stay import forms
from tests.stub_langflow import ECHO, StubLangFlow

LANGFLOW_KEY, PASSWORD = "planted-secret-4711", "planted horse battery staple"
WRONG_PASSWORD, MISTAKEN = "planted horse battery stable", "planted-in-the-wrong-place"
ANN, BOB = "ann@example.com", "bob@example.com"


class Overheard(Shell):
    """Remembers all that commands say, to whichever stream."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.profiles = home / "config" / "spark"
        self.said: list[str] = []

    def run(self, *words: str, exit_code: int = 0, input: str | None = None) -> str:
        said = self.show(*words, exit_code=exit_code, input=input)
        self.said.append(said)
        return said

    def show(self, *words: str, exit_code: int = 0, input: str | None = None) -> str:
        """A command whose answer shows a secret, as it should."""
        command = [sys.executable, "-m", "cli.main", *words]
        done = subprocess.run(command, env=self._environment, input=input, capture_output=True, text=True)
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Overheard]:
    shell = Overheard(tmp_path)
    yield shell
    down(Stack(shell.port, shell.state_dir), wipe=True)


def test_no_secret_is_left_behind(shell: Overheard, stub: StubLangFlow) -> None:
    shell.local("up", "--port", str(shell.port))
    secrets = live(shell, stub)
    shell.run("run", "logs", "last")
    shell.local("logs")
    shell.local("status")
    outbox = list(shell.state_dir.rglob("outbox.jsonl"))
    shell.local("down")

    assert stub.calls()["headers"]["x-api-key"] == LANGFLOW_KEY
    found = {str(path): path.read_bytes() for path in shell.state_dir.rglob("*") if path.is_file()}
    places = {place: text for place, text in found.items() if Path(place) not in outbox}  # letters carry tokens
    places |= {f"what command {number} said": text.encode() for number, text in enumerate(shell.said)}
    assert any(b"ORGANIZATION#default" in text for text in places.values())  # the table is among it
    assert any(b"request.answered" in text for text in places.values())  # and the log
    assert holding(ANN, places)  # the search finds what is there
    leaks = [f"{name} is in {place}" for name, secret in secrets.items() for place in holding(secret, places)]
    assert leaks == []


def live(shell: Overheard, stub: StubLangFlow) -> dict[str, str]:
    """What a first day is like; the secrets that were used for it."""
    shell.run("source", "add", "lab", stub.url, "--api-key", "-", input=f"{LANGFLOW_KEY}\n")
    shell.run("source", "add", "bad", "no address", "--api-key", "-", input=f"{MISTAKEN}\n", exit_code=4)
    shell.run("workflow", "import", "lab", ECHO)
    shell.run("workflow", "run", "Stub 1", "x" * 5000, "--watch")
    stub.set("refuse_key")
    shell.run("workflow", "run", "Stub 1", "x", "--watch", exit_code=1)
    key = str(json.loads(shell.show("key", "create", "ci", "--role", "viewer", "--json"))["key"])
    shell.run(
        "account",
        "register",
        "--email",
        "x@example.com",
        "--name",
        "x",
        "--password",
        "-",
        "--invitation",
        MISTAKEN,
        input=f"{PASSWORD}\n",
        exit_code=4,
    )
    shell.run("admin", "create-owner", "--email", ANN, "--name", "Ann", "--password", "-", input=f"{PASSWORD}\n")
    shell.run("login", "--email", ANN, "--password", "-", input=f"{WRONG_PASSWORD}\n", exit_code=4)
    shell.run("login", "--email", ANN, "--password", "-", input=f"{PASSWORD}\n")
    shell.run("whoami")
    shell.run("invite", BOB, "--role", "operator")
    invitation = mailed(shell, BOB)
    words = ("--email", BOB, "--name", "Bob", "--password", "-", "--invitation", invitation)
    shell.run("account", "register", *words, input=f"{PASSWORD}\n")
    tokens = kept(shell)
    shell.run("logout")
    named = {"LangFlow's key": LANGFLOW_KEY, "a password": PASSWORD, "a wrong password": WRONG_PASSWORD}
    named |= {"what stands in the wrong place": MISTAKEN, "an API key": key.rpartition("_")[2]}
    return named | {"an invitation": invitation.rpartition("_")[2]} | tokens


def mailed(shell: Overheard, to: str) -> str:
    """The token in the last letter to that address."""
    (outbox,) = shell.state_dir.rglob("outbox.jsonl")
    letters = [json.loads(line) for line in outbox.read_text().splitlines()]
    found = TOKEN.search(next(letter["text"] for letter in reversed(letters) if letter["to"] == to))
    assert found
    return found[0]


def kept(shell: Overheard) -> dict[str, str]:
    """The tokens that the command line holds for Ann."""
    text = "".join(path.read_text() for path in shell.profiles.rglob("*.toml"))
    tokens = dict(re.findall(r'((?:access|refresh)_token) = "([^"]+)"', text))
    assert set(tokens) == {"access_token", "refresh_token"}
    signature = tokens["access_token"].rpartition(".")[2]  # the rest of it is no secret
    return {"an access token": signature, "a refresh token": tokens["refresh_token"].rpartition("_")[2]}


def holding(secret: str, places: dict[str, bytes]) -> list[str]:
    return [place for place, text in places.items() if any(form.encode() in text for form in forms(secret))]
