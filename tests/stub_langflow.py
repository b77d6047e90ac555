"""A LangFlow that runs no flows: fast, countable, and ill-behaved on demand. `python -m tests.stub_langflow --port 0`.

It answers as LangFlow 1.13.0 does (recordings in `tests/recordings/langflow/`): v2 sync runs and background jobs,
health, version, whoami, list and get of flows. A flow answers its own input. Prints `{"port": …}` as one JSON line
when it listens. In tests: `with StubLangFlow() as stub: stub.url, stub.set("fail"), stub.calls()`.

`GET /_stub/calls` counts what it ran; `POST /_stub/mode {"mode", "delay_ms"?, "flow_id"?}` changes it at run time, for
one flow if named; `POST /_stub/reset` forgets counts, jobs and modes.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import sys
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

FLOWS = {str(uuid.UUID(int=number, version=4)): f"Stub {number}" for number in range(1, 11)}
ECHO = next(iter(FLOWS))
RUN_PATH = "/api/v2/workflows"
HUGE_BYTES = 40 * 1024 * 1024
DRIP_SECONDS = 0.2
BACKLOG = 1024
LOOPBACK = "127.0.0.1"

Json = dict[str, Any]


class Mode(StrEnum):
    ok = "ok"
    fail = "fail"
    """The flow runs and fails: HTTP 200, status failed."""
    hang = "hang"
    """Never answers; ends when the caller hangs up."""
    garbage = "garbage"
    huge = "huge"
    """40 MB, of unannounced length."""
    bomb = "bomb"
    """40 MB, packed into 40 KB."""
    drip = "drip"
    """The head of an answer, then a byte every 0.2 s."""
    disconnect = "disconnect"
    """Reads the request, runs the flow, and closes the connection."""
    refuse_key = "refuse_key"
    unavailable = "unavailable"
    """503 with Retry-After: 1; nothing runs."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Json


@dataclass(frozen=True)
class Response:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Job:
    flow_id: str
    text: str
    session_id: str | None
    done_at: float
    fails: bool
    stopped: bool = False


class Server:
    """The stub's state and its answers; lives in one event loop."""

    def __init__(self, mode: Mode, delay_seconds: float) -> None:
        self._initially = (mode, delay_seconds)
        self.reset()

    def reset(self) -> None:
        self.mode, self.delay_seconds = self._initially
        self.modes: dict[str, Mode] = {}
        self.ran: Counter[tuple[str, str]] = Counter()
        self.jobs: dict[str, Job] = {}
        self.job_of_key: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.refused = self.hung_up = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: requests one after the other until either side closes it."""
        try:
            while (request := await _read(reader)) is not None:
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up += 1
        finally:
            writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        if request.path.startswith("/_stub/"):
            return await _write(writer, self._control(request))
        mode = self.modes.get(str(request.body.get("flow_id")), self.mode)
        if (refusal := self._refusal(mode)) is not None and request.path not in ("/health", "/api/v1/version"):
            return await _write(writer, refusal)
        if (request.method, request.path) != ("POST", RUN_PATH) or request.body.get("mode") == "background":
            return await _write(writer, self._reply(request))
        self.headers = request.headers
        flow_id, text = str(request.body.get("flow_id")), str(request.body.get("input_value", ""))
        if flow_id not in FLOWS:
            return await _write(writer, _flow_not_found(flow_id))
        self.ran[flow_id, text] += 1
        await asyncio.sleep(self.delay_seconds)
        return await self._run(mode, request, reader, writer)

    def _refusal(self, mode: Mode) -> Response | None:
        if mode is Mode.refuse_key:
            self.refused += 1
            return Response(403, {"detail": "Invalid API key"})
        if mode is Mode.unavailable:
            self.refused += 1
            return Response(503, {"detail": {"code": "SERVICE_BUSY", "message": "busy"}}, {"retry-after": "1"})
        return None

    async def _run(
        self, mode: Mode, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        flow_id, text = request.body["flow_id"], str(request.body.get("input_value", ""))
        session_id = request.body.get("session_id")
        match mode:
            case Mode.hang:
                if not await reader.read(1):
                    self.hung_up += 1
                return False
            case Mode.disconnect:
                return False
            case Mode.garbage:
                return await _write(writer, Response(200, b"<html>this is not JSON \xff\x00</html>"))
            case Mode.huge | Mode.bomb | Mode.drip:
                return await _stream(writer, mode)
            case Mode.fail:
                return await _write(writer, Response(200, failed(flow_id, text)))
        return await _write(writer, Response(200, completed(flow_id, text, session_id)))

    def _control(self, request: Request) -> Response:
        match request.path:
            case "/_stub/mode":
                mode = Mode(request.body["mode"])
                if (flow_id := request.body.get("flow_id")) is not None:
                    self.modes[flow_id] = mode
                else:
                    self.mode = mode
                self.delay_seconds = request.body.get("delay_ms", self.delay_seconds * 1000) / 1000
            case "/_stub/reset":
                self.reset()
        return Response(200, self.counts())

    def counts(self) -> Json:
        """`{total, refused, hung_up, jobs, calls: {flow_id: {input_value: times}}, headers of the last run}`."""
        calls: dict[str, dict[str, int]] = {}
        for (flow_id, text), times in self.ran.items():
            calls.setdefault(flow_id, {})[text] = times
        return {
            "total": self.ran.total(),
            "refused": self.refused,
            "hung_up": self.hung_up,
            "jobs": len(self.jobs),
            "calls": calls,
            "headers": self.headers,
        }

    def _reply(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/api/v2/workflows":
                return self._submit(request.body)
            case "GET", "/api/v2/workflows":
                return self._status(request.query["job_id"][0])
            case "POST", "/api/v2/workflows/stop":
                return self._stop(request.body["job_id"])
            case "GET", path if path.endswith("/events"):
                return Response(200, self._events(path.split("/")[-2]), {"content-type": "text/event-stream"})
            case "GET", path:
                return _page(path)
        return Response(405, {"detail": "Method Not Allowed"})

    def _submit(self, body: Json) -> Response:
        flow_id, key = str(body.get("flow_id")), body.get("idempotency_key")
        if flow_id not in FLOWS:
            return _flow_not_found(flow_id)
        known = self.job_of_key.get(key) if key else None
        if known is None or self.jobs[known].fails or self.jobs[known].stopped:
            known = str(uuid.uuid4())
            text = str(body.get("input_value", ""))
            fails = self.modes.get(flow_id, self.mode) is Mode.fail
            done_at = asyncio.get_running_loop().time() + self.delay_seconds
            self.jobs[known] = Job(flow_id, text, body.get("session_id"), done_at, fails)
            self.ran[flow_id, text] += 1
            if key:
                self.job_of_key[key] = known
        return Response(200, _job(known, flow_id, "queued"))

    def _status(self, job_id: str) -> Response:
        job = self.jobs.get(job_id)
        if job is None:
            return _job_not_found(job_id)
        if job.stopped:
            return Response(200, _job(job_id, job.flow_id, "cancelled"))
        if asyncio.get_running_loop().time() < job.done_at:
            return Response(200, _job(job_id, job.flow_id, "in_progress"))
        if job.fails:
            said = {"text": f"the stub fails: {job.text}"}
            detail = {"code": "JOB_FAILED", "message": f"Job {job_id} has failed execution.", "error_detail": said}
            return Response(500, {"detail": detail})
        return Response(200, completed(job.flow_id, job.text, job.session_id))

    def _stop(self, job_id: str) -> Response:
        if (job := self.jobs.get(job_id)) is None:
            return _job_not_found(job_id)
        if asyncio.get_running_loop().time() < job.done_at:
            job.stopped = True
        return Response(200, {"job_id": job_id, "message": f"Job {job_id} cancelled successfully."})

    def _events(self, job_id: str) -> bytes:
        parts = [("ChatInput-in001", True), ("ChatOutput-out01", not self.jobs[job_id].fails)]
        events = (
            {"event": "end_vertex", "data": {"build_data": {"id": id, "valid": valid, "data": {"timedelta": 0.01}}}}
            for id, valid in parts
        )
        return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()


def completed(flow_id: str, text: str, session_id: str | None = None) -> Json:
    """What v2 answers after a run of an echo flow."""
    output = {"type": "message", "status": "completed", "display_name": "Chat Output", "content": text}
    return {
        "flow_id": flow_id,
        "session_id": session_id or flow_id,
        "status": "completed",
        "output": {"reason": "single", "text": text, "source": "ChatOutput-out01"},
        "errors": [],
        "outputs": {"ChatOutput-out01": {**output, "metadata": {"component_type": "ChatOutput"}}},
    }


def failed(flow_id: str, text: str) -> Json:
    """What v2 answers after a run that failed."""
    error = f"Error running graph: Error building Component Stub: \n\nthe stub fails: {text}"
    errors = [{"error": error, "code": "EXECUTION_ERROR", "details": {"error_type": "ValueError"}}]
    return {"flow_id": flow_id, "session_id": None, "status": "failed", "errors": errors, "outputs": {}}


def definition(flow_id: str) -> Json:
    """An echo flow as `GET /api/v1/flows/{id}` shows it."""
    nodes = [
        {"id": "ChatInput-in001", "data": {"type": "ChatInput", "node": {"display_name": "Chat Input"}}},
        {"id": "ChatOutput-out01", "data": {"type": "ChatOutput", "node": {"display_name": "Chat Output"}}},
    ]
    edges = [{"id": "edge", "source": "ChatInput-in001", "target": "ChatOutput-out01"}]
    return {**_head(flow_id), "data": {"nodes": nodes, "edges": edges}}


def _head(flow_id: str) -> Json:
    return {
        "id": flow_id,
        "name": FLOWS[flow_id],
        "description": "Answers its input.",
        "folder_id": str(uuid.UUID(int=99, version=4)),
        "is_component": False,
        "endpoint_name": None,
        "tags": ["stub"],
        "data": None,
        "updated_at": "2030-01-01T00:00:00+00:00",
    }


def _page(path: str) -> Response:
    match path:
        case "/health":
            return Response(200, {"status": "ok"})
        case "/api/v1/version":
            return Response(200, {"version": "1.13.0", "main_version": "1.13.0", "package": "Langflow"})
        case "/api/v1/users/whoami":
            return Response(200, {"id": str(uuid.UUID(int=1)), "username": "stub"})
        case "/api/v1/flows/":
            return Response(200, [_head(flow_id) for flow_id in FLOWS])
    flow_id = path.removeprefix("/api/v1/flows/")
    return Response(200, definition(flow_id)) if flow_id in FLOWS else Response(404, {"detail": "Flow not found"})


def _flow_not_found(flow_id: str) -> Response:
    return Response(404, {"code": "FLOW_NOT_FOUND", "message": f"Flow '{flow_id}' does not exist."})


def _job_not_found(job_id: str) -> Response:
    return Response(404, {"code": "JOB_NOT_FOUND", "message": f"Job {job_id} not found"})


def _job(job_id: str, flow_id: str, status: str) -> Json:
    return {"job_id": job_id, "flow_id": flow_id, "object": "job", "status": status, "errors": []}


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the connection is closed between requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    return Request(method, url.path, parse_qs(url.query), headers, json.loads(raw) if raw else {})


async def _write(writer: asyncio.StreamWriter, response: Response) -> bool:
    body = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **response.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {response.status} Stub\r\n{lines}\r\n".encode() + body)
    await writer.drain()
    return True


async def _stream(writer: asyncio.StreamWriter, mode: Mode) -> bool:
    encoding = "content-encoding: gzip\r\n" if mode is Mode.bomb else ""
    writer.write(f"HTTP/1.1 200 Stub\r\ncontent-type: application/json\r\n{encoding}connection: close\r\n\r\n".encode())
    async for chunk in _chunks(mode):
        writer.write(chunk)
        await writer.drain()
    return False


async def _chunks(mode: Mode) -> AsyncIterator[bytes]:
    if mode is Mode.bomb:
        yield gzip.compress(b'{"a": "' + b"x" * HUGE_BYTES)
    while mode is Mode.drip:
        yield b" "
        await asyncio.sleep(DRIP_SECONDS)
    if mode is Mode.huge:
        yield b'{"a": "'
        for _ in range(HUGE_BYTES // 65536):
            yield b"x" * 65536


async def listen(server: Server, port: int, announce: Callable[[int], None], host: str = LOOPBACK) -> None:
    """Serve until cancelled; `announce` gets the port."""
    listener = await asyncio.start_server(server.serve, host, port, backlog=BACKLOG)
    async with listener:
        announce(listener.sockets[0].getsockname()[1])
        await listener.serve_forever()


class StubLangFlow:
    """The stub in a thread of this process. `host` is an address of this machine that others reach, too."""

    def __init__(self, mode: str = "ok", delay_ms: float = 0, host: str = LOOPBACK) -> None:
        self._host = host
        self._server = Server(Mode(mode), delay_ms / 1000)
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="stub-langflow", daemon=True)
        self._end: Callable[[], object] = self._listening.clear
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._thread.join()

    def set(self, mode: str, *, delay_ms: float | None = None, flow_id: str | None = None) -> None:
        """Behave like this from now on."""
        body = {"mode": mode, "delay_ms": delay_ms, "flow_id": flow_id}
        self._post("/_stub/mode", {key: value for key, value in body.items() if value is not None})

    def calls(self) -> Json:
        return self._post("/_stub/calls", {})

    def reset(self) -> None:
        self._post("/_stub/reset", {})

    def _post(self, path: str, body: Json) -> Json:
        answer: Json = httpx.post(f"{self.url}{path}", json=body, trust_env=False).json()
        return answer

    def _announce(self, port: int) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # called by the coroutine that listens
        self._end = lambda: loop.call_soon_threadsafe(task.cancel)
        self.url = f"http://{self._host}:{port}"
        self._listening.set()

    def _serve(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(listen(self._server, 0, self._announce, self._host))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="A LangFlow that runs no flows.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--mode", choices=list(Mode), default=Mode.ok)
    options = parser.parse_args(arguments)
    server = Server(Mode(options.mode), options.delay_ms / 1000)
    asyncio.run(listen(server, options.port, lambda port: _print(json.dumps({"port": port}))))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(0)
