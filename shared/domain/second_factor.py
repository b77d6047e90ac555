"""A second factor: what somebody has to show besides their password.

Codes of an authenticator app (TOTP, RFC 6238), recovery codes for who has lost it, and, where the deployment sends text
messages, codes that are sent to a phone. Each code works once.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.domain.record import Instant, Stored
from shared.domain.token import hashed
from shared.errors import Conflict

RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits: there is nothing to guess slowly, so SHA-256 is enough to keep them
SECRET_BYTES = 20  # what RFC 4226 recommends
DIGITS = 6
TEXT_ENTROPY = 8  # bytes that a sent code is taken from: beyond what six digits show of an uneven share
TEXT_LIFETIME = timedelta(minutes=5)
MAX_CODE = 40  # characters, with all the blanks and dashes that people type

PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""In the form of E.164: +5511987654321."""


class Method(StrEnum):
    """How somebody shows that it is they."""

    totp = "totp"
    recovery = "recovery"
    sms = "sms"

    @property
    def is_guessable(self) -> bool:
        """Six digits are, for who may try often enough."""
        return self is not Method.recovery


class SecondFactor(Stored):
    """That of one user; it counts from when it is confirmed: by a code, which shows that the app has the secret."""

    user_id: str
    encrypted_secret: str = Field(repr=False)
    last_step: int = Field(0, description="The newest time step whose code was used. Older ones are over.")
    recovery_hashes: tuple[str, ...] = Field((), repr=False)
    phone: PhoneNumber | None = Field(None, repr=False)
    text_to: PhoneNumber | None = Field(None, repr=False, description="Where the code was sent that works now.")
    text_hash: str | None = Field(None, repr=False)
    text_until: Instant | None = None
    created_at: Instant
    confirmed_at: Instant | None = None

    @property
    def is_confirmed(self) -> bool:
        return self.confirmed_at is not None


def begun(before: SecondFactor | None, user_id: str, encrypted_secret: str, now: datetime) -> SecondFactor:
    """A new one, which is to be confirmed; it takes the place of another such one.

    Raises:
        Conflict: there is one that counts. Whoever has another phone switches that off first, which takes a code.
    """
    if before is not None and before.is_confirmed:
        raise Conflict("A second factor is switched on already. Switch it off to have another one.")
    revision = before.revision if before else 0
    return SecondFactor(user_id=user_id, encrypted_secret=encrypted_secret, created_at=now, revision=revision)


def confirmed(factor: SecondFactor, step: int, codes: Sequence[str], now: datetime) -> SecondFactor:
    """`factor`, which counts from now on; the code of time step `step` is used."""
    return with_recovery(_with(factor, confirmed_at=now, last_step=step), codes)


def methods(factor: SecondFactor, *, with_texts: bool) -> list[Method]:
    """How its owner may show that it is they. `with_texts`: does the deployment send any?"""
    ways = [Method.totp]
    ways += [Method.recovery] if factor.recovery_hashes else []
    return ways + ([Method.sms] if with_texts and factor.phone is not None else [])


def method_of(code: str) -> Method:
    """What `code` looks like: six digits are taken for the app's."""
    plain = normal(code)
    return Method.totp if len(plain) == DIGITS and plain.isdecimal() else Method.recovery


def normal(code: str) -> str:
    """`code` without what people type to read it better."""
    return "".join(code.split()).replace("-", "").upper()


def used_step(factor: SecondFactor, step: int | None) -> SecondFactor | None:
    """`factor` once the code of time step `step` is used. None: it was, or a later one; or it is of no step."""
    return _with(factor, last_step=step) if step is not None and step > factor.last_step else None


def recovery_code(entropy: bytes) -> str:
    """Like `ABCD-EFGH-IJKL-MNOP`."""
    text = base64.b32encode(entropy[:RECOVERY_BYTES]).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def with_recovery(factor: SecondFactor, codes: Sequence[str]) -> SecondFactor:
    """`factor` with these recovery codes and no others."""
    return _with(factor, recovery_hashes=tuple(hashed(normal(code)) for code in codes))


def used_recovery(factor: SecondFactor, code: str) -> SecondFactor | None:
    """`factor` without the recovery code `code`. None: it is none of them, or was used."""
    presented = hashed(normal(code))
    left = tuple(hash for hash in factor.recovery_hashes if not hmac.compare_digest(hash, presented))
    return _with(factor, recovery_hashes=left) if len(left) < len(factor.recovery_hashes) else None


def text_code(entropy: bytes) -> str:
    """Six digits, to be sent to a phone."""
    return f"{int.from_bytes(entropy[:TEXT_ENTROPY]) % 10**DIGITS:0{DIGITS}d}"


def texted(factor: SecondFactor, secret: str, number: str, code: str, now: datetime) -> SecondFactor:
    """`factor` when `code` is sent to `number`; one that was sent before is void."""
    hash = _text_hash(secret, number, code)
    return _with(factor, text_to=number, text_hash=hash, text_until=now + TEXT_LIFETIME)


def used_text(factor: SecondFactor, secret: str, code: str, now: datetime) -> SecondFactor | None:
    """`factor` once `code` is used, which was sent to its phone. None: it was not, or is over."""
    is_mine = factor.text_to is not None and factor.text_to == factor.phone
    return _without_text(factor) if is_mine and _is_good(factor, secret, code, now) else None


def with_phone(factor: SecondFactor, secret: str, code: str, now: datetime) -> SecondFactor | None:
    """`factor` with the number that `code` was sent to. None: it was not, or is over."""
    found = _is_good(factor, secret, code, now)
    return _without_text(_with(factor, phone=factor.text_to)) if found else None


def _is_good(factor: SecondFactor, secret: str, code: str, now: datetime) -> bool:
    is_right = hmac.compare_digest(_text_hash(secret, factor.text_to or "", code), factor.text_hash or "")
    return is_right and factor.text_until is not None and now < factor.text_until


def _text_hash(secret: str, number: str, code: str) -> str:
    """Keyed with what KMS keeps: of six digits alone, whoever reads the table would find the right ones at once."""
    return hmac.new(secret.encode(), f"{number} {normal(code)}".encode(), sha256).hexdigest()


def _without_text(factor: SecondFactor) -> SecondFactor:
    return _with(factor, text_to=None, text_hash=None, text_until=None)


def _with(factor: SecondFactor, **changes: object) -> SecondFactor:
    return factor.model_copy(update=changes)
