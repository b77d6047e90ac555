"""The processes a benchmark needs: a stub LangFlow and the emulator, each on a free loopback port, ended by its pid."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.local import emulator, layout, ports

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    """A process of ours and where it answers."""

    url: str
    pid: int


class Stub(Server):
    """A stub LangFlow."""

    def answer_after(self, delay_ms: float) -> None:
        """Take so long for each run from now on, and forget how many there were."""
        for path, body in (("reset", {}), ("mode", {"mode": "ok", "delay_ms": delay_ms})):
            httpx.post(f"{self.url}/_stub/{path}", json=body, trust_env=False).raise_for_status()

    def ran(self) -> int:
        """How many runs it was asked for."""
        return int(httpx.get(f"{self.url}/_stub/calls", trust_env=False).json()["total"])


@contextmanager
def stub_langflow(delay_ms: float = 0) -> Iterator[Stub]:
    """A LangFlow that answers every run with its input after `delay_ms`."""
    command = [sys.executable, "-m", "tests.stub_langflow", "--port", "0", "--delay-ms", str(delay_ms)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # it is piped
            port = json.loads(process.stdout.readline())["port"]
            yield Stub(f"http://{ports.HOST}:{port}", process.pid)
        finally:
            process.kill()


@contextmanager
def ministack() -> Iterator[Server]:
    """The emulator, empty, with its state in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder:
        here, port = layout.layout(Path(folder)), ports.free()
        emulator.start(here, port)
        try:
            emulator.wait(here, port)
            process = emulator.running(here)
            assert process is not None  # it has just answered
            yield Server(emulator.endpoint(port), process.pid)
        finally:
            emulator.stop(here)
