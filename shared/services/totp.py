"""Codes of authenticator apps (RFC 6238). Imported only by what needs them: the library takes its time to load."""

import base64
from datetime import datetime

from pyotp import TOTP
from pyotp.utils import strings_equal

from shared.domain.second_factor import DIGITS, SECRET_BYTES, normal

WINDOW = 1  # steps of 30 s that a phone's clock may be off by, to either side


def secret(entropy: bytes) -> str:
    """The secret that the app and we share."""
    return base64.b32encode(entropy[:SECRET_BYTES]).decode()


def uri(secret: str, account: str, issuer: str) -> str:
    """What the QR code says to the app."""
    return TOTP(secret, digits=DIGITS).provisioning_uri(name=account, issuer_name=issuer)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code `code` is, the newest if it is that of two; None if it is that of none near `now`.

    It takes as long whichever it is.
    """
    totp, presented = TOTP(secret, digits=DIGITS), normal(code)
    present = totp.timecode(now)
    steps = range(max(0, present - WINDOW), present + WINDOW + 1)
    return max((step for step in steps if strings_equal(presented, totp.generate_otp(step))), default=None)
