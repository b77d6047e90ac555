"""The audit log: entries in a chain per record, and seals over the ends of the chains.

An entry holds the hash of the one before it, so nothing in a chain can be changed or taken out unseen, but for its end;
a seal names the ends, and holds the hash of the seal before it, so no chain can lose its end, or be lost. Hashes are of
canonical JSON: UTF-8, names sorted, no blanks, neither what is null nor `hash` itself. `docs/audit.md` says it for
those who verify; `spark audit verify` does it without this file.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.act import Act, Detail
from shared.domain.record import Instant, Stored, new_id

# What Spark notes in a record while nobody changes how it is set up. A change of nothing else is no entry.
BOOKKEEPING = frozenset(
    {
        "check",
        "checked_at",
        "fired",
        "last_used_at",
        "skipped_missed",
        "synced_at",
        "updated_at",
        "wake_at",
        "watermark",
    }
)


class AuditEntry(Stored):
    """One change of one record, or one thing refused. The hashes of the record leave bookkeeping out; they hold what is
    encrypted or hashed itself, so that another secret is another hash."""

    id: str
    organization_id: str
    project_id: str | None = None
    at: Instant
    actor: str = Field(description="The caller's id; `spark` for what Spark did by itself.")
    action: str = Field(description="Such as `source.updated`.")
    kind: str = Field(description="What it was done to: `source`, `schedule`, `key` …")
    subject: str = Field(description="The id of what it was done to.")
    number: int = Field(description="Its place among the entries of this kind and subject, from 1.")
    address: str | None = None
    correlation_id: str | None = None
    detail: Detail | None = None
    before_hash: str | None = Field(None, description="Of the record as it was; null: it was not there.")
    after_hash: str | None = Field(None, description="Of the record as it is since; null: it was deleted.")
    previous: str | None = Field(None, description="The hash of the entry before it.")
    hash: str = Field("", description="Of this entry.")

    @property
    def chain(self) -> str:
        return f"{self.kind}/{self.subject}"


class Head(BaseModel):
    """The end of a chain as a seal found it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain: str = Field(description="`kind/subject` of its entries.")
    number: int
    hash: str


class AuditSeal(Stored):
    """What the chains of an organization had come to."""

    organization_id: str
    number: int = Field(description="From 1, without gaps.")
    at: Instant
    heads: tuple[Head, ...] = Field(description="The ends of the chains that had grown since the seal before.")
    previous: str | None = Field(None, description="The hash of the seal before it.")
    hash: str = Field("", description="Of this seal.")


@dataclass(frozen=True)
class Subject:
    """What an entry is about."""

    kind: str
    id: str
    project_id: str | None = None


def entry_of(
    act: Act, subject: Subject, last: AuditEntry | None, before: Stored | None = None, after: Stored | None = None
) -> AuditEntry:
    """The entry that follows `last` in the chain of `subject`."""
    number = last.number + 1 if last else 1
    entry = AuditEntry(
        id=new_id("aud", act.at, _entropy(act.organization_id, subject, number)),
        organization_id=act.organization_id,
        project_id=subject.project_id,
        at=act.at,
        actor=act.actor,
        action=act.action,
        kind=subject.kind,
        subject=subject.id,
        number=number,
        address=act.address,
        correlation_id=act.correlation_id,
        detail=act.detail,
        before_hash=fingerprint(before) if before else None,
        after_hash=fingerprint(after) if after else None,
        previous=last.hash if last else None,
    )
    return entry.model_copy(update={"hash": digest(entry.model_dump(mode="json"))})


def _entropy(organization: str, subject: Subject, number: int) -> bytes:
    """Entries of one chain sort by number within a millisecond, too."""
    name = "\0".join([organization, subject.kind, subject.id])
    return number.to_bytes(4, "big") + hashlib.sha256(name.encode()).digest()


def seal_of(entries: Iterable[AuditEntry], last: AuditSeal | None, now: datetime) -> AuditSeal:
    """The seal that follows `last`, over `entries` of one organization, of which there is at least one."""
    newest = {entry.chain: entry for entry in sorted(entries, key=lambda entry: entry.number)}
    heads = tuple(Head(chain=chain, number=newest[chain].number, hash=newest[chain].hash) for chain in sorted(newest))
    seal = AuditSeal(
        organization_id=next(iter(newest.values())).organization_id,
        number=last.number + 1 if last else 1,
        at=now,
        heads=heads,
        previous=last.hash if last else None,
    )
    return seal.model_copy(update={"hash": digest(seal.model_dump(mode="json"))})


def fingerprint(record: Stored) -> str:
    """The hash of `record` without bookkeeping."""
    return _sha256(record.model_dump(mode="json", exclude_none=True, exclude=set(BOOKKEEPING)))


def digest(said: Mapping[str, Any]) -> str:
    """The hash that an entry or a seal which says this must have."""
    return _sha256({name: value for name, value in said.items() if value is not None and name != "hash"})


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
