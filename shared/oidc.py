"""OpenID Connect as far as a login needs it: what a provider publishes, a code for an ID token, and what that says.

A provider is not to be trusted with anything but its own people: addresses, sizes and times are bounded by `ask`,
which goes through the network that the deployment allows.
"""

import base64
import hmac
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote_plus

import httpx
import jwt

from shared.domain import source
from shared.domain.identity_provider import require_callable
from shared.domain.login import Proofs
from shared.domain.outbound import AllowList
from shared.errors import FlowFailure, Invalid, NotSignedIn, ProviderFailure

KEPT_FOR = timedelta(minutes=10)
MAX_KEPT = 100
SKEW = timedelta(minutes=1)  # so far may a provider's clock be from ours
MAX_SUBJECT = 255
BASIC, POST = "client_secret_basic", "client_secret_post"
# Signatures alone: what is verified by a shared secret, anybody who verifies could have made.
ALGORITHMS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
ALLOWED = frozenset({"EdDSA", *(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))})
REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nonce"]
WORD = re.compile(r"[a-z_]{1,40}")
QUERY = re.compile(r"[!$-\x7e]{1,1000}")  # neither a quote nor a fragment
LOG = logging.getLogger(__name__)
FAILED = "The identity provider cannot be used, or does not answer as it must. Spark's log says more."
UNTRUE = "The identity provider's answer is not valid. Log in again."
REASONS = {
    "upstream_unavailable": "it cannot be reached",
    "timeout": "it did not answer in time",
    "output_too_large": "its answer is too large",
}


class Reply(Protocol):
    @property
    def status(self) -> int: ...
    def json(self) -> Any: ...


Ask = Callable[[httpx.Request], Reply]
"""Sends a request, bounded in time and size. Raises FlowFailure."""


@dataclass(frozen=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    auth_methods: tuple[str, ...]


@dataclass(frozen=True)
class Client:
    """Who we are to a provider."""

    id: str
    secret: str | None = field(repr=False)


@dataclass
class OpenId:
    """Asks providers. One per environment; it remembers for ten minutes what they publish.

    Args:
        ask: see `Ask`.
        allowed: what may be called besides public addresses, and in the clear.
    """

    ask: Ask
    allowed: AllowList
    now: Callable[[], datetime]
    _kept: dict[str, tuple[datetime, Any]] = field(default_factory=dict)

    def metadata(self, issuer: str) -> Metadata:
        """Raises ProviderFailure."""
        said = self._published(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if said.get("issuer") != issuer:
            raise _failure(f"Who answers at {issuer} says that it is another issuer.")
        methods = said.get("token_endpoint_auth_methods_supported")
        return Metadata(
            issuer=issuer,
            authorization_endpoint=self._endpoint(said, "authorization_endpoint"),
            token_endpoint=self._endpoint(said, "token_endpoint"),
            jwks_uri=self._endpoint(said, "jwks_uri"),
            auth_methods=tuple(methods) if isinstance(methods, list) else (BASIC,),
        )

    def redeem(self, metadata: Metadata, client: Client, code: str, proofs: Proofs, redirect_uri: str) -> str:
        """The ID token that `code` is good for, as it is.

        Raises:
            NotSignedIn: it is good for none; ProviderFailure.
        """
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        headers = {"Accept": "application/json"}
        if client.secret is not None and BASIC in metadata.auth_methods:
            pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client.id} | ({"client_secret": client.secret} if client.secret else {})
        form["code_verifier"] = proofs.verifier
        reply = self._send(httpx.Request("POST", metadata.token_endpoint, data=form, headers=headers))
        said = _mapping(reply.json())
        if reply.status != httpx.codes.OK or not isinstance(said.get("id_token"), str):
            raise _refusal(said)
        return str(said["id_token"])

    def claims(
        self, metadata: Metadata, token: str, client: Client, proofs: Proofs, since: datetime
    ) -> Mapping[str, Any]:
        """What the ID token `token` says, once it is sure that it was made by this provider, for us, and for the login
        that began at `since`.

        Raises:
            NotSignedIn: it was not; ProviderFailure: its keys cannot be had.
        """
        try:
            key = self._key(metadata, jwt.get_unverified_header(token))
            options: Any = {"require": REQUIRED, "enforce_minimum_key_length": True}
            options |= dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf"), False)  # by our own clock, below
            said = jwt.decode(
                token, key, [key.algorithm_name], audience=client.id, issuer=metadata.issuer, options=options
            )
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise NotSignedIn(UNTRUE) from error
        if not (_is_for(said, client) and _is_of(said, proofs) and self._is_in_time(said, since)):
            raise NotSignedIn(UNTRUE)
        return said

    def _key(self, metadata: Metadata, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The published key that the header of a token names. One that is not among those kept is looked for once.

        Raises:
            InvalidTokenError.
        """
        algorithm = header.get("alg")
        if algorithm not in ALLOWED:
            raise jwt.InvalidAlgorithmError("Not one of those that are allowed.")
        for fresh in (False, True):
            keys = self._published(metadata.jwks_uri, fresh=fresh).get("keys")
            found = [key for key in keys if _fits(key, header)] if isinstance(keys, list) else []
            if len(found) == 1:
                return jwt.PyJWK.from_dict(found[0], algorithm)
        raise jwt.InvalidTokenError("No such key.")

    def _is_in_time(self, said: Mapping[str, Any], since: datetime) -> bool:
        """Is it still good, and was it made after the login began?"""
        now, skew = self.now().timestamp(), SKEW.total_seconds()
        times = [said["exp"], said["iat"], said.get("nbf", 0)]
        if any(isinstance(each, bool) or not isinstance(each, int | float) for each in times):
            return False
        ends, made, begins = times
        return bool(now < ends + skew and since.timestamp() - skew <= made <= now + skew and begins <= now + skew)

    def _published(self, url: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """The JSON object at `url`. Raises ProviderFailure."""
        kept = self._kept.get(url)
        if kept is not None and kept[0] > self.now() and not fresh:
            return _mapping(kept[1])
        reply = self._send(httpx.Request("GET", url, headers={"Accept": "application/json"}))
        said = _mapping(reply.json())
        if reply.status != httpx.codes.OK or not said:
            place = httpx.URL(url).copy_with(query=None)
            raise _failure(f"{place} answers {reply.status}, and not as an OpenID provider does.")
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[url] = (self.now() + KEPT_FOR, said)
        return said

    def _endpoint(self, said: Mapping[str, Any], name: str) -> str:
        """Where the provider wants us, or a browser, to go. Raises ProviderFailure."""
        url = said.get(name)
        try:
            place = source.read_url(str(url).partition("?")[0])  # the endpoint where people log in may have a query
            require_callable(place, self.allowed, "")
        except (ValueError, Invalid) as error:
            raise _failure(f"The identity provider's {name} cannot be used: {error}") from error
        if not QUERY.fullmatch(str(url)):
            raise _failure(f"The identity provider's {name} cannot be used: it must be visible ASCII.")
        return str(url)

    def _send(self, request: httpx.Request) -> Reply:
        try:
            return self.ask(request)
        except FlowFailure as error:
            reason = error.message if error.code == "address_refused" else REASONS.get(error.code, error.code)
            raise _failure(f"{request.url.copy_with(query=None)} of the identity provider: {reason}.") from error


def address_of_login(metadata: Metadata, client_id: str, scopes: tuple[str, ...], uri: str, proofs: Proofs) -> str:
    """Where the browser goes to log in, and comes back from to `uri`."""
    said = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": uri,
        "scope": " ".join(scopes),
        "state": proofs.state,
        "nonce": proofs.nonce,
        "code_challenge": proofs.challenge,
        "code_challenge_method": "S256",
    }
    return str(httpx.URL(metadata.authorization_endpoint).copy_merge_params(said))


def _fits(key: Any, header: Mapping[str, Any]) -> bool:
    """May `key` have signed what has this header?"""
    algorithm, kid = str(header["alg"]), header.get("kid")
    return (
        isinstance(key, dict)
        and key.get("kty") == ALGORITHMS[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    )


def _is_for(said: Mapping[str, Any], client: Client) -> bool:
    """We are the audience, as was verified: the only one, or the party that it was issued to."""
    audience = said["aud"] if isinstance(said["aud"], list) else [said["aud"]]
    return bool(said.get("azp", client.id if len(audience) == 1 else None) == client.id)


def _is_of(said: Mapping[str, Any], proofs: Proofs) -> bool:
    nonce, subject = said["nonce"], said["sub"]
    return (
        isinstance(nonce, str)
        and hmac.compare_digest(nonce.encode(), proofs.nonce.encode())
        and isinstance(subject, str)
        and 0 < len(subject) <= MAX_SUBJECT
    )


def _refusal(said: Mapping[str, Any]) -> Exception:
    """What a token endpoint that gave nothing means. Of its own words only the one of RFC 6749 is noted."""
    word = str(said.get("error"))
    if word == "invalid_grant":
        return NotSignedIn("The identity provider does not take the code. Log in again.")
    known = word if WORD.fullmatch(word) else "no ID token"
    return _failure(f"The identity provider did not exchange the code: {known}.")


def _failure(reason: str) -> ProviderFailure:
    """`reason` is for the log: a stranger who begins a login shall not learn by it what our network reaches."""
    LOG.warning("identity_provider.failed", extra={"reason": reason})
    return ProviderFailure(FAILED)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
