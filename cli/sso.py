"""`spark login --sso`: by way of a browser, which comes back to a port of this machine (RFC 8252)."""

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cli.client import Api, Json
from cli.errors import CliError, usage
from cli.session import Session

HOST = "127.0.0.1"
WAITS_SECONDS = 300.0  # for somebody to type a password and look for their phone
SILENT_SECONDS = 10.0  # browsers connect ahead, and then say nothing
PAGE = (
    b"<!doctype html><meta charset=utf-8><title>Spark</title>"
    b"<p>Spark's command line has what it needs. You can close this page.</p>"
)


def tokens(session: Session, anybody: Api, provider_id: str, *, browser: bool) -> Json:
    """What a login by the identity provider `provider_id` gives. Raises CliError."""
    with listening(provider_id) as landing:
        begun = anybody.reveal("/auth/sso", {"provider_id": provider_id, "redirect_uri": landing.uri})
        url = begun["authorization_url"]
        landing.state = _state(url)
        session.notes.print("Log in here, with a browser on this machine:", style="dim")
        session.notes.print(url, soft_wrap=True, markup=False)
        if browser:
            session.surroundings.open_browser(url)
        code = landing.code()
    return dict(anybody.reveal("/auth/sso/finish", {"attempt": begun["attempt"], "state": landing.state, "code": code}))


@dataclass
class Landing:
    """Where the browser comes back to. What does not bring the right state is not it, and changes nothing."""

    uri: str
    path: str
    state: str = ""
    brought: dict[str, str] = field(default_factory=dict)
    is_back: threading.Event = field(default_factory=threading.Event)

    def takes(self, target: str) -> bool:
        """Is `target`, path and query, the answer to our login? The first one counts."""
        parts = urlsplit(target)
        said = {name: values[0] for name, values in parse_qs(parts.query).items()}
        is_answer = hmac.compare_digest(said.get("state", "").encode(), self.state.encode())
        if parts.path != self.path or not self.state or not is_answer or self.is_back.is_set():
            return False
        self.brought = said
        self.is_back.set()
        return True

    def code(self, seconds: float = WAITS_SECONDS) -> str:
        """What the browser brings back. Raises CliError: nothing, or a refusal."""
        if not self.is_back.wait(seconds):
            raise CliError("Nobody came back from the browser in time.", hint="Try again: spark login --sso PROVIDER")
        if "code" not in self.brought:
            reason = self.brought.get("error_description") or self.brought.get("error") or "no code"
            raise CliError(f"The identity provider let nobody in: {_plain(reason)}.")
        return self.brought["code"]


@contextmanager
def listening(provider_id: str) -> Iterator[Landing]:
    """Listens on a port of this machine that nobody else uses."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENT_SECONDS

        def do_GET(self) -> None:
            is_it = landing.takes(self.path)
            self.send_response(200 if is_it else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", "default-src 'none'")
            self.send_header("Referrer-Policy", "no-referrer")  # the address of this page holds the code
            self.end_headers()
            self.wfile.write(PAGE if is_it else b"")

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests hold the code: nobody writes them down."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    path = f"/{provider_id}"
    landing = Landing(f"http://{HOST}:{server.server_port}{path}", path)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield landing
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _state(url: str) -> str:
    """What the browser has to bring back. Raises CliError for an address that no browser should be sent to."""
    parts = urlsplit(url)
    state = parse_qs(parts.query).get("state", [""])[0]
    if parts.scheme not in ("http", "https") or not state:
        raise usage("The deployment answered with no address to log in at.")
    return state


def _plain(text: str) -> str:
    """What a provider says, without what a terminal could take for a command."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:200]).rstrip(". ")
