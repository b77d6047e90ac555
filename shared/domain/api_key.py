"""An API key: `spk_<id>_<secret>`. Only hashes of its secret are stored; while it is being rotated there are two."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.record import Instant, Record
from shared.domain.role import BuiltIn
from shared.domain.workflow import Name
from shared.errors import Conflict

KEY_PATTERN = re.compile(r"spk_([A-Za-z0-9]{1,40})_([A-Za-z0-9]{32,128})")
PREFIX = "key_"
FIRST_KEY = "bootstrap"
NO_ROLE = ""  # of a key that acts for a service account, and has that one's
USE_NOTED_EVERY = timedelta(minutes=5)  # a write for each use would cost more than the use


class ApiKey(Record):
    """A key of a project. One that is `organization_wide` opens all others of its organization, too; `project_id` is
    the one it means when its caller names none."""

    id: str
    organization_id: str = DEFAULT_ORGANIZATION
    organization_wide: bool = False
    name: Name
    role: str = Field(BuiltIn.viewer, description="A role that every organization has, or the id of one of its own.")
    service_account_id: str | None = Field(None, description="Whom it acts for: with that one's role, in its place.")
    hash: str
    previous_hash: str | None = None
    previous_until: Instant | None = Field(None, description="So long does the secret before the last rotation work.")
    valid_until: Instant | None = None
    per_minute: int | None = Field(None, ge=0, description="Requests a minute; 0: no limit, null: the deployment's.")
    daily_quota: int | None = Field(None, ge=0, description="Requests a day; 0: no limit, null: the deployment's.")
    last_used_at: Instant | None = Field(None, description="Up to five minutes old.")
    created_by: str = FIRST_KEY
    created_at: Instant


@dataclass(frozen=True)
class PresentedKey:
    """A key as a caller presents it, taken apart."""

    id: str
    secret: str

    @property
    def hash(self) -> str:
        """SHA-256 is enough: the secret is random and long, so there is nothing to guess slowly."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    @property
    def key_id(self) -> str:
        """The id of the record."""
        return self.id if self.id == FIRST_KEY else PREFIX + self.id

    def opens(self, key: ApiKey, now: datetime) -> bool:
        if not is_open(key, now):
            return False
        is_current = hmac.compare_digest(self.hash, key.hash)
        is_previous = hmac.compare_digest(self.hash, key.previous_hash or "")
        return is_current or (is_previous and key.previous_until is not None and now < key.previous_until)


def read_key(text: str) -> PresentedKey | None:
    """The parts of `text`, or None when it is not in the form of a key."""
    match = KEY_PATTERN.fullmatch(text)
    return PresentedKey(*match.groups()) if match else None


def written(key_id: str, secret: str) -> str:
    """The key as its owner writes it."""
    return f"spk_{key_id.removeprefix(PREFIX)}_{secret}"


def is_open(key: ApiKey, now: datetime) -> bool:
    """Is it not over yet?"""
    return key.valid_until is None or now < key.valid_until


def predates_roles(key: ApiKey) -> bool:
    """Is it the first key as it was stored before there were roles? Since then, its uses are noted from the first."""
    return key.id == FIRST_KEY and key.last_used_at is None


def lasts(key: ApiKey) -> bool:
    """Is it one of those that keep an organization from being locked out?"""
    return key.organization_wide and key.role == BuiltIn.owner and key.valid_until is None


def end(key: ApiKey, now: datetime) -> ApiKey:
    """`key` as one that opens nothing from `now` on."""
    return key.model_copy(update={"valid_until": now}) if is_open(key, now) else key


def rotate(key: ApiKey, hash: str, now: datetime, overlap: timedelta) -> ApiKey:
    """`key` with another secret; the old one works for `overlap` more.

    Raises:
        Conflict: the one before that still works, and would be shut before its time. Without an overlap all are.
    """
    if overlap and key.previous_until is not None and now < key.previous_until:
        raise Conflict(
            f"{key.id} was rotated, and the secret before still works until {key.previous_until:%Y-%m-%dT%H:%M:%SZ}. "
            "Wait for that, make another key, or rotate with overlap_seconds 0, which shuts both at once."
        )
    return key.model_copy(update={"hash": hash, "previous_hash": key.hash, "previous_until": now + overlap})


def used(key: ApiKey, now: datetime) -> ApiKey | None:
    """`key` as used at `now`; None where that is not worth a write."""
    if key.last_used_at is not None and now - key.last_used_at < USE_NOTED_EVERY:
        return None
    return key.model_copy(update={"last_used_at": now})
