"""Tokens that people carry: `<kind>_<ULID of the record it opens>_<secret>`. Of a secret only a hash is stored."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# 43 letters and digits are 256 bits: there is nothing to guess slowly, so SHA-256 is enough to keep them.
SECRET_LENGTH = 43
PATTERN = re.compile(r"(sp[a-z])_([0-9A-HJKMNP-TV-Z]{26})_((?:[A-Za-z0-9]{43}){1,2})")
MAX_LENGTH = 200

ACCESS_LIFETIME = timedelta(minutes=15)
AUDIENCE = "spark"
CHALLENGE_LIFETIME = timedelta(minutes=5)
CHALLENGE_AUDIENCE = "spark:second-factor"  # no access token is a challenge, nor the other way round


class TokenKind(StrEnum):
    refresh = "spr"
    invitation = "spi"
    verification = "spv"
    reset = "spw"
    login = "sps"


@dataclass(frozen=True)
class PresentedToken:
    """A token as it is presented, taken apart."""

    ulid: str
    secret: str = field(repr=False)

    @property
    def hash(self) -> str:
        return hashed(self.secret)

    def opens(self, hash: str | None, until: datetime | None, now: datetime) -> bool:
        """Is `hash` that of the secret, and is it still good?"""
        return hmac.compare_digest(self.hash, hash or "") and until is not None and now < until


class AccessClaims(BaseModel):
    """What an access token says: who, by which session, until when."""

    model_config = ConfigDict(frozen=True)

    iss: str
    aud: str
    sub: str
    sid: str
    iat: int
    exp: int
    jti: str


class ChallengeClaims(BaseModel):
    """What a challenge says: who has shown the password of which generation, and until when the rest is awaited."""

    model_config = ConfigDict(frozen=True)

    iss: str
    aud: str
    sub: str
    gen: int
    iat: int
    exp: int
    jti: str


def challenge_claims(issuer: str, user_id: str, generation: int, id: str, now: datetime) -> ChallengeClaims:
    begins, ends = int(now.timestamp()), int((now + CHALLENGE_LIFETIME).timestamp())
    return ChallengeClaims(
        iss=issuer, aud=CHALLENGE_AUDIENCE, sub=user_id, gen=generation, iat=begins, exp=ends, jti=id
    )


def access_claims(issuer: str, user_id: str, session_id: str, id: str, now: datetime) -> AccessClaims:
    begins, ends = int(now.timestamp()), int((now + ACCESS_LIFETIME).timestamp())
    return AccessClaims(iss=issuer, aud=AUDIENCE, sub=user_id, sid=session_id, iat=begins, exp=ends, jti=id)


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def read_token(kind: TokenKind, text: str) -> PresentedToken | None:
    """The parts of `text`, or None when it is no token of this kind."""
    match = PATTERN.fullmatch(text)
    return PresentedToken(match[2], match[3]) if match and match[1] == kind else None


def written(kind: TokenKind, record_id: str, secret: str) -> str:
    """The token as its owner gets it."""
    return f"{kind}_{record_id.rpartition('_')[2]}_{secret}"
