"""What every request passes through, as plain ASGI: its correlation id and log line, the headers that every answer
has, and the limits of its body."""

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api import limits
from functions.api.errors import problem
from functions.api.headers import harden
from shared import wiring
from shared.observability import logger

CORRELATION_HEADER = "X-Correlation-Id"
CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")
MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 64
# A text, whole, so that the brackets in it are not seen; or a bracket. A text without an end goes on to the last byte:
# looking for another one inside it, at each quote, would take the square of the body's length.
BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
DEEPER = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


class Correlation:
    """Gives each request an id, the caller's or a new one, into `scope["state"]`, the logs and the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        id = correlation_id(Headers(scope=scope).get(CORRELATION_HEADER))
        scope.setdefault("state", {})["correlation_id"] = id
        logger.set_correlation_id(id)
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[CORRELATION_HEADER] = id
                harden(message, scope)
                MutableHeaders(scope=message).update(standing(scope))
                log(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, send_with_id)


class BodyLimit:
    """Refuses bodies above 1 MiB, whatever their Content-Length says, and those that no parser shall meet: nested more
    than 64 deep, or not in UTF-8. All before the app is called."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        too_large = declared.isdecimal() and int(declared) > MAX_BODY_BYTES
        body = None if too_large else await read_body(receive)
        if refused := refusal(body):
            answer = problem(*refused, scope["path"], correlation_id=scope["state"]["correlation_id"])
            await answer(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)


def refusal(body: bytes | None) -> tuple[int, str, str] | None:
    """Status, code and words for a body that nobody shall read; None is one that was too large to be read at all."""
    if body is None:
        return 413, "body_too_large", f"A body may have {MAX_BODY_BYTES} bytes."
    if b"\0" in body:  # no JSON in UTF-8 has one, all in UTF-16 does, and what hides there is not seen below
        return 400, "malformed", "A body is JSON in UTF-8."
    if is_deep(body):
        return 400, "malformed", f"Arrays and objects may be nested {MAX_DEPTH} deep."
    return None


def is_deep(body: bytes) -> bool:
    """Is the JSON in `body` nested deeper than `MAX_DEPTH`? Parsers recurse, and so does who walks what they made."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in BRACKETS.finditer(body):
        depth += DEEPER.get(match[0], 0)
        if depth > MAX_DEPTH:
            return True
    return False


async def read_body(receive: Receive) -> bytes | None:
    """The whole body, or None when it is too large or its sender left."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES or message["type"] == "http.disconnect":
            return None
        if not message.get("more_body", False):
            return bytes(body)


def correlation_id(wanted: str | None) -> str:
    """`wanted` if it may stand in headers and logs; else a new one."""
    return wanted if wanted and CORRELATION_ID.fullmatch(wanted) else wiring.new_id("req")


def standing(scope: Scope) -> dict[str, str]:
    """How the limits stand that the request counted against, as headers."""
    verdict = scope["state"].get(limits.STATE)
    return limits.headers(verdict) if verdict is not None else {}


def log(scope: Scope, status: int, seconds: float) -> None:
    """One line per request. The path holds ids only: whatever is secret travels in bodies and headers."""
    facts = {"method": scope["method"], "path": scope["path"], "status": status, "milliseconds": round(seconds * 1000)}
    logger.info("request.answered", extra=facts)
