"""A LangFlow from before its second API: everything of a real server but `/api/v2`, passed on as it is."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
RUNS_WITHIN_SECONDS = 60


class OldServer:
    """Listens on loopback while it is entered. `asked` is every path it was asked for."""

    def __init__(self, url: str) -> None:
        self.asked: list[str] = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(url, self.asked))
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name="old-langflow", daemon=True)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(url: str, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/api/v2/"):
                self._answer(404, "application/json", json.dumps({"detail": "Not Found"}).encode())
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with httpx.Client(trust_env=False, timeout=RUNS_WITHIN_SECONDS) as client:
                answer = client.request(self.command, f"{url}{self.path}", headers=headers, content=body)
            self._answer(answer.status_code, answer.headers.get("content-type", ""), answer.content)

        def do_POST(self) -> None:
            self.do_GET()

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the tests read `asked`."""

    return Handler
