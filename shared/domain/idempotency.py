"""The promise behind the Idempotency-Key header: the same request again gets the same answer and does no new work.

The record holds no answer. It holds the time the work began; every id the work makes follows from that time and the
key, so whoever repeats the work, after a crash or by a second request, makes the same records again, which is nothing.
"""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.record import Instant, Record, derived_id

LIFETIME = timedelta(hours=24)
LEASE = timedelta(seconds=30)  # longer than any request may take


class IdempotencyRecord(Record):
    """One use of an Idempotency-Key by one principal on one route."""

    id: str
    body_hash: str
    began_at: Instant
    lease_until: Instant
    expires_at: Instant


def record_id(principal: str, method: str, path: str, key: str) -> str:
    return hashlib.sha256("\0".join((principal, method, path, key)).encode()).hexdigest()


class Repeat(StrEnum):
    """What to do when the key is known."""

    replay = "replay"
    resume = "resume"
    in_flight = "in_flight"
    reused = "reused"


def on_repeat(record: IdempotencyRecord, body_hash: str, now: datetime, *, done: bool) -> Repeat:
    """`done` says whether the records this key makes exist."""
    if record.body_hash != body_hash:
        return Repeat.reused
    if done:
        return Repeat.replay
    return Repeat.in_flight if record.lease_until > now else Repeat.resume


def id_for(record: IdempotencyRecord, prefix: str, part: int | str = 0) -> str:
    """The id of the record that this request makes for its `part`: a position, or an id it works on."""
    return derived_id(prefix, record.began_at, record.project_id, record.id, str(part))
