"""What every answer tells browsers and caches: trust nothing in here, keep nothing of it, come back by https."""

import base64
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Unless the endpoint says otherwise: a page needs scripts, and its assets may be kept."""

ONLY_HTTPS = {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
"""Browsers ignore it in answers that came in the clear."""

INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def harden(message: Message, scope: Scope) -> None:
    """Complete the headers of the answer that begins with `message`."""
    headers = MutableHeaders(scope=message)
    for name, value in hardening(scope).items():
        headers.setdefault(name, value)


def hardening(scope: Mapping[str, object]) -> dict[str, str]:
    """The headers of an answer that has none of its own."""
    return ALWAYS | (ONLY_HTTPS if scope.get("scheme") == "https" else {})


def page_policy(html: str) -> str:
    """What the documentation page `html` may do: its own scripts, by hash if they stand in it, and files of ours.

    Swagger UI and ReDoc write styles into the page as they go, hence 'unsafe-inline' for styles alone; ReDoc searches
    in a worker made of a blob; both have pictures in their code.
    """
    scripts = " ".join(["'self'", *map(_hash, INLINE_SCRIPT.findall(html))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src blob:; child-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
