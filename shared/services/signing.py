"""Signing access tokens, and telling ours from others."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm
from pydantic import BaseModel, ValidationError

from shared.domain import signing_key as rules
from shared.domain.signing_key import ALGORITHM, SigningKey
from shared.domain.token import (
    AUDIENCE,
    CHALLENGE_AUDIENCE,
    AccessClaims,
    ChallengeClaims,
    access_claims,
    challenge_claims,
)
from shared.errors import NotSignedIn
from shared.secrets import Cipher
from shared.store.signing_keys import SigningKeyStore

CONTEXT = "access-tokens"
LOOKED_UP_EVERY = timedelta(seconds=1)  # so often may tokens with unknown keys make us read ours again
REFUSAL = "The access token is not valid."
NO_CHALLENGE = "The challenge is not valid, or over. Log in again."
C = TypeVar("C", bound=BaseModel)


def unverified_session(text: str) -> str | None:
    """The session that the access token `text` names, whoever wrote it and whenever. None: it is no such token."""
    try:
        said = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None
    session = said.get("sid")
    return session if isinstance(session, str) else None


@dataclass
class Signing:
    """Remembers keys for as long as the process lives. `cipher` keeps the private halves."""

    keys: SigningKeyStore
    cipher: Cipher
    issuer: str
    new_id: Callable[[str], str]
    now: Callable[[], datetime]
    _known: dict[str, SigningKey] = field(default_factory=dict)
    _private: dict[str, Any] = field(default_factory=dict)
    _read_at: datetime | None = None

    def issue(self, user_id: str, session_id: str) -> str:
        """An access token for the next 15 minutes."""
        return self._signed(access_claims(self.issuer, user_id, session_id, self.new_id("tok"), self.now()))

    def challenge(self, user_id: str, generation: int) -> str:
        """What somebody gets for their password alone: for five minutes they may add a second factor to it."""
        return self._signed(challenge_claims(self.issuer, user_id, generation, self.new_id("tok"), self.now()))

    def read(self, text: str) -> AccessClaims:
        """What the token `text` says.

        Raises:
            NotSignedIn: it is none of ours, or its time is over.
        """
        claims = self._verified(text, AUDIENCE, AccessClaims, REFUSAL)
        if claims.exp <= self.now().timestamp():
            raise NotSignedIn("The access token is over. Refresh it.")
        return claims

    def read_challenge(self, text: str) -> ChallengeClaims:
        """What the challenge `text` says.

        Raises:
            NotSignedIn: it is none of ours, or its time is over.
        """
        claims = self._verified(text, CHALLENGE_AUDIENCE, ChallengeClaims, NO_CHALLENGE)
        if claims.exp <= self.now().timestamp():
            raise NotSignedIn(NO_CHALLENGE)
        return claims

    def jwks(self) -> list[dict[str, str]]:
        """The public halves, for others who want to verify (RFC 7517)."""
        self._current()
        return [json.loads(key.public_key) for key in self.keys.list() if key.expires_at > self.now()]

    def _signed(self, claims: AccessClaims | ChallengeClaims) -> str:
        key = self._current()
        return jwt.encode(claims.model_dump(), self._private_of(key), ALGORITHM, headers={"kid": key.kid})

    def _verified(self, text: str, audience: str, claims: type[C], refusal: str) -> C:
        """What `text` says to `audience`, whenever. Raises NotSignedIn."""
        options: Any = {"require": [*claims.model_fields], "verify_exp": False, "verify_iat": False}  # by our own clock
        try:
            key = self._key_of(str(jwt.get_unverified_header(text).get("kid")), refusal)
            public: Any = ECAlgorithm.from_jwk(key.public_key)
            said = jwt.decode(
                text, public, algorithms=[ALGORITHM], audience=audience, issuer=self.issuer, options=options
            )
            return claims.model_validate(said)
        except (jwt.InvalidTokenError, ValidationError) as error:
            raise NotSignedIn(refusal) from error

    def _key_of(self, kid: str, refusal: str) -> SigningKey:
        if kid not in self._known:
            self._look_up()
        key = self._known.get(kid)
        if key is None or key.expires_at <= self.now():
            raise NotSignedIn(refusal)
        return key

    def _look_up(self) -> None:
        if self._read_at is None or self.now() - self._read_at >= LOOKED_UP_EVERY:
            self._read_at = self.now()
            self._known = {key.kid: key for key in self.keys.list()}

    def _current(self) -> SigningKey:
        """The key of this period, made now if nobody has made it yet."""
        period = rules.period_of(self.now())
        known = next((key for key in self._known.values() if key.period == period), None)
        key = known or self.keys.find(period) or self.keys.ensure(self._new(period))
        self._known[key.kid] = key
        return key

    def _new(self, period: int) -> SigningKey:
        private, kid = ec.generate_private_key(ec.SECP256R1()), self.new_id("sig")
        public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return SigningKey(
            kid=kid,
            period=period,
            public_key=json.dumps({**public, "kid": kid, "use": "sig", "alg": ALGORITHM}, sort_keys=True),
            encrypted_key=self.cipher.encrypt(CONTEXT, pem),
            created_at=self.now(),
            expires_at=rules.retires_at(period),
        )

    def _private_of(self, key: SigningKey) -> Any:
        if key.kid not in self._private:
            pem = self.cipher.decrypt(CONTEXT, key.encrypted_key)
            self._private = {key.kid: load_pem_private_key(pem.encode(), None)}
        return self._private[key.kid]
