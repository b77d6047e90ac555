"""A receiver of traces as a process: the test agent of ddtrace (`ddapm-test-agent`), which nobody of us wrote.

It reads OTLP over HTTP with OpenTelemetry's official messages, refuses what is none with 400, and shows what it read.
"""

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local import ports

PROGRAM = Path(__file__).parents[1] / ".environments" / "receiver" / "bin" / "ddapm-test-agent"
STARTS_WITHIN_SECONDS = 30
IDS = ("trace_id", "span_id", "parent_span_id")
Json = dict[str, Any]


@dataclass
class Receiver:
    """What came in since the last `clear`."""

    url: str

    def spans(self) -> list[Json]:
        """Every span in the order they came: attributes as a plain mapping, ids in hex, and those of its resource."""
        told = reversed(self._get("/test/session/traces").json())
        parts = [(part, scope) for each in told for part in each["resource_spans"] for scope in part["scope_spans"]]
        return [_plain(span, part["resource"]) for part, scope in parts for span in scope["spans"]]

    def requests(self) -> list[Json]:
        """Method, URL and headers of each request; its body as it came."""
        found: list[Json] = self._get("/test/session/requests").json()
        return [{**each, "body": base64.b64decode(each["body"])} for each in found]

    def clear(self) -> None:
        self._get("/test/session/clear")

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False).raise_for_status()


@contextmanager
def receiver(folder: Path) -> Iterator[Receiver]:
    """One of our own. Without its environment: a failure in CI, elsewhere a skip."""
    if not PROGRAM.exists():
        reason = "No receiver of traces is installed: `make setup` installs it."
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    own, http, grpc = ports.free(), ports.free(), ports.free()
    command = [PROGRAM, f"--port={own}", f"--otlp-http-port={http}", f"--otlp-grpc-port={grpc}"]
    with (folder / "receiver.log").open("wb") as log:
        environment = {"PATH": os.defpath, "HOME": str(folder)}
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        running = Receiver(f"http://127.0.0.1:{http}")
        _wait(running, process, folder / "receiver.log")
        yield running
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(running: Receiver, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            return running.clear()
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def _plain(span: Json, resource: Json) -> Json:
    ids = {name: base64.b64decode(span[name]).hex() for name in IDS if name in span}
    return {**span, **ids, "attributes": _values(span), "resource": _values(resource)}


def _values(holder: Json) -> Json:
    """Numbers come as text, as Protobuf's JSON has them."""
    found = {}
    for each in holder.get("attributes", []):
        ((kind, value),) = each["value"].items()
        found[each["key"]] = int(value) if kind == "int_value" else value
    return found
