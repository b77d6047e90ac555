"""An API key: `spk_<id>_<secret>`. Only its hash is stored."""

import hashlib
import hmac
import re
from dataclasses import dataclass

from shared.domain.record import Instant, Record

KEY_PATTERN = re.compile(r"spk_([A-Za-z0-9]{1,40})_([A-Za-z0-9]{32,128})")


class ApiKey(Record):
    id: str
    name: str
    hash: str
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

    def opens(self, key: ApiKey) -> bool:
        return hmac.compare_digest(self.hash, key.hash)


def read_key(text: str) -> PresentedKey | None:
    """The parts of `text`, or None when it is not in the form of a key."""
    match = KEY_PATTERN.fullmatch(text)
    return PresentedKey(*match.groups()) if match else None
