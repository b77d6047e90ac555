"""The cookie mode, for pages: tokens in cookies that no script can read, and a CSRF token that scripts have to.

A browser sends cookies by itself, also when a page of somebody else makes it ask for something. So a request that is
known by its cookie and may change anything carries, in a header, what only a page of ours knows: an HMAC of the access
token in the cookie (OWASP calls it a signed double submit). It belongs to this session and to no other, nobody makes
it who cannot read that cookie, and there is nothing to store, to look up, or to keep secret for it.

A key or a token in a header wins over cookies: no page of somebody else can set those.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from fastapi import Request, Response
from pydantic import BaseModel, Field

from shared import wiring
from shared.domain.session import PREFIX
from shared.domain.token import TokenKind, read_token
from shared.errors import Forged
from shared.settings import settings

if TYPE_CHECKING:
    from shared.services.signing_in import Tokens

HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
BETTER_WAYS = ("authorization", "x-api-key")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Names(NamedTuple):
    """What the cookies are called."""

    access: str
    refresh: str
    csrf: str


# Browsers take this prefix over HTTPS alone, for all paths, and from this very host: no neighbour under the same domain
# can put its own in their place, nor beside them for a longer path.
SECURE = Names("__Host-spark-access", "__Host-spark-refresh", "__Host-spark-csrf")
PLAIN = Names("spark-access", "spark-refresh", "spark-csrf")


class CookiesView(BaseModel):
    """What a login in the cookie mode gives a page. The tokens are in cookies, where no script reads them."""

    expires_in: int = Field(description="Seconds until the page has to refresh.")
    session_id: str
    csrf_token: str = Field(
        description="For the header X-CSRF-Token of every request but GET and HEAD. Another one comes with each "
        "refresh; the present one is also in the cookie __Host-spark-csrf."
    )


def access_token(request: Request) -> str | None:
    """The access token that `request` carries in a cookie, if it is known by nothing better.

    Raises:
        Forged: it may come from a page of somebody else.
    """
    token = _cookie(request, names(request).access)
    if token is not None:
        _require_ours(request, token)
    return token


def refresh_token(request: Request) -> str | None:
    """The same for the refresh token. The access token beside it, which may be over, vouches for the page, and so for
    its own session alone.

    Raises:
        Forged.
    """
    token = _cookie(request, names(request).refresh)
    if token is not None:
        access = _cookie(request, names(request).access) or ""
        _require_ours(request, access)
        _require_one_session(access, token)
    return token


def hand_over(request: Request, response: Response, tokens: "Tokens") -> CookiesView:
    """Put `tokens` into cookies of the answer.

    Raises:
        Forged: a page of somebody else wants its visitor to go on as another person.
    """
    require_own_page(request)
    called, csrf = names(request), csrf_token(tokens.access)
    seconds = max(0, int((tokens.session.expires_at - wiring.now()).total_seconds()))
    _set(request, response, called.access, tokens.access, seconds)
    _set(request, response, called.refresh, tokens.refresh, seconds)
    _set(request, response, called.csrf, csrf, seconds, for_scripts=True)
    return CookiesView(expires_in=tokens.seconds, session_id=tokens.session.id, csrf_token=csrf)


def clear(request: Request, response: Response) -> None:
    """Have the browser forget the cookies, if it has them."""
    called = names(request)
    if called.access in request.cookies or called.refresh in request.cookies:
        _set(request, response, called.access, "", 0)
        _set(request, response, called.refresh, "", 0)
        _set(request, response, called.csrf, "", 0, for_scripts=True)


def names(request: Request) -> Names:
    return SECURE if is_https(request) else PLAIN


def is_https(request: Request) -> bool:
    """API Gateway says how it was asked. Where nobody does, this is a stack on somebody's own machine, or a test."""
    said = request.headers.get("x-forwarded-proto")
    return said == "https" if said else request.url.hostname not in LOOPBACK


def csrf_token(access: str) -> str:
    """The one that belongs to an access token: who knows it cannot tell the token from it."""
    return hmac.new(access.encode(), b"csrf", hashlib.sha256).hexdigest()


def require_own_page(request: Request) -> None:
    """Raises Forged: the browser says that a page of another origin asks."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site") == "cross-site" or (origin and origin not in _own_origins(request)):
        raise Forged("Cookies are for pages of this very origin. From elsewhere send an API key or an access token.")


def _require_ours(request: Request, access: str) -> None:
    require_own_page(request)
    if request.method in SAFE:
        return
    shown = request.headers.get(HEADER, "")
    if not access or not hmac.compare_digest(shown.encode(), csrf_token(access).encode()):
        raise Forged(
            f"Whoever is known by cookie sends the header {HEADER}: the csrf_token of the login or of the last "
            "refresh, which is in the csrf cookie, too."
        )


def _require_one_session(access: str, refresh: str) -> None:
    """Raises Forged: somebody put the refresh token of another session beside `access`.

    The signature of `access` says nothing here, and its key may be gone: what makes it the page's own is the CSRF
    token, which belongs to these very letters.
    """
    from shared.services.signing import unverified_session  # which refreshing needs anyway

    token = read_token(TokenKind.refresh, refresh)
    if token is not None and f"{PREFIX}_{token.ulid}" != unverified_session(access):
        raise Forged("The cookies are of two sessions. Log in again.")


def _own_origins(request: Request) -> set[str]:
    """Whose pages these are. A page cannot choose which Host its browser names."""
    scheme = "https" if is_https(request) else "http"
    public = urlsplit(settings().public_url)
    return {f"{scheme}://{request.headers.get('host', '')}", f"{public.scheme}://{public.netloc}"}


def _cookie(request: Request, name: str) -> str | None:
    if any(header in request.headers for header in BETTER_WAYS):
        return None
    return request.cookies.get(name) or None


def _set(
    request: Request, response: Response, name: str, value: str, seconds: int, *, for_scripts: bool = False
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        secure=is_https(request),
        httponly=not for_scripts,
        samesite="strict",
    )
