"""The keys that access tokens are signed with: a new one every 30 days, made by the first that needs it."""

from datetime import datetime, timedelta

from pydantic import Field

from shared.domain.record import EPOCH, Instant, Stored
from shared.domain.token import ACCESS_LIFETIME

ALGORITHM = "ES256"
PERIOD = timedelta(days=30)
# The last token is signed in the last moment of the period, perhaps by a clock that is a little behind.
RETIRES_AFTER = ACCESS_LIFETIME + timedelta(minutes=5)


class SigningKey(Stored):
    """One per period: it is stored under the period's number, so there cannot be two.

    The private half is encrypted by KMS; `public_key` is its other half as a JWK (RFC 7517), in JSON.
    """

    kid: str
    period: int
    public_key: str
    encrypted_key: str = Field(repr=False)
    created_at: Instant
    expires_at: Instant = Field(description="Nothing that it signed is valid any more.")


def period_of(now: datetime) -> int:
    return (now - EPOCH) // PERIOD


def retires_at(period: int) -> datetime:
    return EPOCH + (period + 1) * PERIOD + RETIRES_AFTER
