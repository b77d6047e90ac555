"""AWS's Lambda runtime API for one process of a function: here it fetches events and hands in answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, read 2026-11-21.
"""

import time
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Event:
    """One invocation. `timeout` is in seconds."""

    request_id: str
    function_arn: str
    trace_id: str
    payload: bytes
    timeout: float


@dataclass(frozen=True)
class Answer:
    """What a function returned, or why it could not."""

    payload: bytes
    is_error: bool


class RuntimeApi(ThreadingHTTPServer):
    """Listens on a port of its own. `started` is done with the first fetch, `answer` with the end of an invocation."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.started: Future[Answer | None] = Future()
        self.events = SimpleQueue[Event]()
        self.answer: Future[Answer] = Future()
        Thread(target=self.serve_forever, name="lambda-runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port, as in AWS_LAMBDA_RUNTIME_API."""
        return f"{LOOPBACK}:{self.server_port}"

    def send(self, event: Event) -> Future[Answer]:
        """Hand an event to the process; at most one at a time."""
        self.answer = Future()
        self.events.put(event)
        return self.answer

    def settle(self, answer: Answer) -> None:
        """Give this answer to whoever waits: for the process to start, or for an invocation to end."""
        for waiting in (self.started, self.answer):
            if not waiting.done():
                waiting.set_result(answer)

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: RuntimeApi

    def do_GET(self) -> None:
        if not self.server.started.done():
            self.server.started.set_result(None)
        event = self.server.events.get()
        deadline = time.time() + event.timeout  # the API speaks of milliseconds since 1970
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(event.payload)))
        self.send_header("Lambda-Runtime-Aws-Request-Id", event.request_id)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", event.function_arn)
        self.send_header("Lambda-Runtime-Trace-Id", event.trace_id)
        self.end_headers()
        self.wfile.write(event.payload)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.settle(Answer(body, is_error=self.path.endswith("/error")))

    def log_message(self, format: str, *args: object) -> None:
        """Requests of functions are no news."""
