"""What every request passes through, as plain ASGI: its correlation id and log line, and the limit of its body."""

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api.errors import problem
from shared import wiring
from shared.observability import logger

CORRELATION_HEADER = "X-Correlation-Id"
CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")
MAX_BODY_BYTES = 1024 * 1024


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
                log(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, send_with_id)


class BodyLimit:
    """Refuses bodies above 1 MiB, whatever their Content-Length says, before the app is called."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        too_large = declared.isdecimal() and int(declared) > MAX_BODY_BYTES
        body = None if too_large else await read_body(receive)
        if body is None:
            detail, id = f"A body may have {MAX_BODY_BYTES} bytes.", scope["state"]["correlation_id"]
            refusal = problem(413, "body_too_large", detail, scope["path"], correlation_id=id)
            await refusal(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)


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


def log(scope: Scope, status: int, seconds: float) -> None:
    """One line per request. The path holds ids only: whatever is secret travels in bodies and headers."""
    facts = {"method": scope["method"], "path": scope["path"], "status": status, "milliseconds": round(seconds * 1000)}
    logger.info("request.answered", extra=facts)
