"""A login by an identity provider, from where it begins until somebody comes back from there (RFC 6749, 7636, 8252).

All that it needs is made of one secret, which whoever began it keeps: the table holds nothing that would help anybody.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pydantic import Field

from shared.domain.record import Instant, Stored
from shared.domain.token import PresentedToken, hashed
from shared.errors import Invalid

PREFIX = "sso"
LIFETIME = timedelta(minutes=10)
LOOPBACK = ("127.0.0.1", "::1")  # not `localhost`, which is a name: RFC 8252, section 8.3
MAX_REDIRECT = 500
REDIRECT = "/redirect_uri"


class Login(Stored):
    """One that has begun. It is finished once."""

    id: str
    provider_id: str
    redirect_uri: str
    hash: str = Field(repr=False)
    created_at: Instant
    expires_at: Instant


@dataclass(frozen=True)
class Proofs:
    """What ties the ways there and back together.

    Args:
        state: comes back with the browser: this answer is to this login.
        nonce: comes back in the ID token: it was issued for this login.
        verifier: goes with the code: whoever redeems it is who began.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> "Proofs":
        return cls(*(_derived(secret, name) for name in ("state", "nonce", "verifier")))

    @property
    def challenge(self) -> str:
        """What the provider is told first of the verifier (S256)."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


def begun(id: str, provider_id: str, redirect_uri: str, secret: str, now: datetime) -> Login:
    """A new login; in whole seconds, as the table keeps its end."""
    ends = now.replace(microsecond=0) + LIFETIME
    return Login(
        id=id,
        provider_id=provider_id,
        redirect_uri=redirect_uri,
        hash=hashed(secret),
        created_at=now,
        expires_at=ends,
    )


def is_good(login: Login, token: PresentedToken, state: str, now: datetime) -> bool:
    """Is it they who began it, and the answer to it, in time?"""
    is_answer = hmac.compare_digest(Proofs.of(token.secret).state.encode(), state.encode())
    return token.opens(login.hash, login.expires_at, now) and is_answer


def require_redirect(uri: str, provider_id: str, origins: Sequence[str]) -> None:
    """May the browser be sent there with a code: to a program on its own machine, or to a page of ours?

    Each provider has a path of its own. One that sends the browser on to another provider gets nothing for it: the code
    arrives where nobody waits for it (RFC 9700, section 4.4).

    Raises:
        Invalid.
    """
    ours = {_origin(each) for each in origins} - {""}
    if not _is_plain(uri) or not (_is_loopback(uri) or _origin(uri) in ours):
        raise Invalid("It must be http://127.0.0.1:PORT/… or a page of an origin of this deployment.", REDIRECT)
    if urlsplit(uri).path.rpartition("/")[2] != provider_id or urlsplit(uri).query:
        raise Invalid("Its path must end with the id of the provider, and nothing after that.", REDIRECT)


def _is_plain(uri: str) -> bool:
    """No fragment, no credentials, and nothing that browsers read in another way than we do."""
    if not uri.isascii() or not uri.isprintable() or any(sign in uri for sign in ' \\#@"<>'):
        return False
    try:
        return urlsplit(uri).port != 0
    except ValueError:
        return False


def _is_loopback(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port is not None


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else ""


def _derived(secret: str, name: str) -> str:
    return _text(hmac.new(secret.encode(), name.encode(), hashlib.sha256).digest())


def _text(digest: bytes) -> str:
    """43 letters, digits, dashes and underscores."""
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
