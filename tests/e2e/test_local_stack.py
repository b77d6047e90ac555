"""`spark local` and the CLI as a developer types them, each command a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local import ports
from cli.local.stack import Stack, down
from tests.stub_langflow import ECHO, StubLangFlow


class Shell:
    """A home of its own, so that nobody's profiles are touched, and one stack in it."""

    def __init__(self, home: Path) -> None:
        self.port = ports.free()
        self.state_dir = home / "stack"
        self._environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}

    def run(self, *words: str, exit_code: int = 0, input: str | None = None) -> str:
        command = [sys.executable, "-m", "cli.main", *words]
        done = subprocess.run(command, env=self._environment, input=input, capture_output=True, text=True)
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout if exit_code == 0 else done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def local(self, verb: str, *words: str, exit_code: int = 0) -> str:
        return self.run("local", verb, "--state-dir", str(self.state_dir), *words, exit_code=exit_code)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    down(Stack(shell.port, shell.state_dir), wipe=True)


def test_a_stack_keeps_its_state_and_its_profile_from_start_to_start(shell: Shell, stub: StubLangFlow) -> None:
    shell.local("up", "--port", str(shell.port))
    shell.run("source", "add", "lab", stub.url, "--api-key", "env:PLANTED_KEY", exit_code=2)
    shell.run("source", "add", "lab", stub.url)
    shell.run("workflow", "import", "lab", ECHO)
    output = shell.run("workflow", "run", "Stub 1", "hello", "--watch")
    shell.local("down")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{shell.port}/_ministack/health", trust_env=False)
    shell.local("up")

    (run,) = shell.json("run", "list")
    assert output == "hello\n"
    assert run["status"] == "completed"
    assert shell.json("run", "get", "last")["output"] == "hello"


def test_no_key_of_a_source_is_in_any_answer_log_or_file(shell: Shell, stub: StubLangFlow) -> None:
    secret = "planted-secret-4711"
    shell.local("up", "--port", str(shell.port))
    shell.run("source", "add", "lab", stub.url, "--api-key", "-", input=f"{secret}\n")
    shell.run("workflow", "import", "lab", ECHO)
    shell.run("workflow", "run", "Stub 1", "x", "--watch")
    stub.set("refuse_key")
    shell.run("workflow", "run", "Stub 1", "x", "--watch", exit_code=1)

    said = [shell.run("source", "get", "lab"), shell.run("run", "list"), shell.run("run", "logs", "last")]
    said += [shell.local("logs"), shell.local("status")]
    shell.local("down")
    kept = [path for path in shell.state_dir.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]

    assert stub.calls()["headers"]["x-api-key"] == secret
    assert not [text for text in said if secret in text]
    assert kept == []


def test_a_taken_port_is_named_with_what_to_do(shell: Shell, stub: StubLangFlow) -> None:
    taken = stub.url.rpartition(":")[2]

    said = shell.local("up", "--port", taken, exit_code=1)

    assert taken in said
    assert "--port" in said


def test_a_stack_that_does_not_run_says_how_to_start_it(shell: Shell) -> None:
    assert "spark local up" in shell.local("status", exit_code=1)
