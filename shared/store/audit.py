"""The audit log: entries beside the records that they are about, and seals over all of an organization."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from shared.domain import audit as rules
from shared.domain.act import Act
from shared.domain.audit import AuditEntry, AuditSeal, Subject
from shared.domain.record import ENTROPY_BYTES, EPOCH, Stored, instant_text, new_id
from shared.errors import Conflict, SchemaTooNew, Unavailable
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import SCAN_CHUNK, Slice, sift
from shared.store.table import Change, Item, Table

ENTRIES = Codec(AuditEntry, names={"id": "record_id"}, json=frozenset({"detail"}))
SEALS = Codec(AuditSeal, json=frozenset({"heads"}))
ROUNDS = 5  # how often an entry is put again after somebody else was faster
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditFilter:
    """Which entries a list shows; both ends of the time are included."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    project_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_picky(self) -> bool:
        """Does it pass over entries of its time?"""
        return any((self.actor, self.action, self.subject, self.project_id))

    def admits(self, entry: AuditEntry) -> bool:
        """Does it, of those of its time?"""
        wanted = (self.actor, self.action, self.subject, self.project_id)
        found = (entry.actor, entry.action, entry.subject, entry.project_id)
        return all(want in (None, has) for want, has in zip(wanted, found, strict=True))


class AuditStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def following(self, act: Act, subject: Subject, pk: str) -> Change:
        """The entry that `append` would add, to be stored together with what it is about."""
        return _new(rules.entry_of(act, subject, last(self._table, pk)), pk)

    def append(self, act: Act, subject: Subject, pk: str) -> AuditEntry:
        """Add an entry to the chain in partition `pk`, of something that is no change of one record.

        Raises:
            Unavailable: others kept adding to it.
        """
        for _ in range(ROUNDS):
            entry = rules.entry_of(act, subject, last(self._table, pk))
            try:
                self._table.put(_new(entry, pk))
            except Conflict:
                continue
            return entry
        raise Unavailable("The audit log is too busy. Try again.")

    def list(
        self,
        organization: str,
        filter: AuditFilter,
        *,
        limit: int,
        after: str | None = None,
        newest_first: bool = True,
    ) -> Slice[AuditEntry]:
        """Entries that `filter` admits, from the one after id `after`."""

        def chunk(after: str | None) -> Slice[AuditEntry]:
            size = SCAN_CHUNK if filter.is_picky else limit
            return self._page(organization, filter, size, after, newest_first)

        return sift(chunk, filter.admits, limit=limit, after=after) if filter.is_picky else chunk(after)

    def seals(self, organization: str, *, limit: int, before: int | None = None) -> Slice[AuditSeal]:
        """Seals of an organization, newest first, older than number `before`."""
        pk, _ = keys.audit_seal(organization, 0)
        below = keys.audit_seal(organization, before).sk if before else None
        items = self._table.query(pk, keys.SEAL_PREFIX, below=below, limit=limit + 1, newest_first=True)
        found = [SEALS.decode(item) for item in items[:limit]]
        return Slice(found, str(found[-1].number) if len(items) > limit else None)

    def last_seal(self, organization: str) -> AuditSeal | None:
        """The newest seal, as it is now."""
        return next(iter(self.seals(organization, limit=1).items), None)

    def add_seal(self, seal: AuditSeal) -> None:
        """Raises Conflict when there is a seal of that number."""
        self._table.put(Change(None, SEALS.encode(seal, keys.audit_seal(seal.organization_id, seal.number), {})))

    def unsealed(self, found: Sequence[tuple[str, str]]) -> dict[Key, AuditEntry]:
        """The entries under these (pk, sk) that no seal is known to cover, as they are now; those that can be read."""
        items = self._table.get_many([Key(*key) for key in found], consistent=True)
        entries = {key: _decoded(item) for key, item in items.items() if "wake_at" in item}
        return {key: entry for key, entry in entries.items() if entry is not None}

    def sealed(self, entries: dict[Key, AuditEntry]) -> None:
        """Note that a seal covers `entries`. Where that fails, they are sealed once more."""
        self._table.put_many([_sealed(entry, key) for key, entry in entries.items()])

    def _page(
        self, organization: str, filter: AuditFilter, size: int, after: str | None, newest_first: bool
    ) -> Slice[AuditEntry]:
        low, high = _bound(filter.since, b"\x00"), _bound(filter.until, b"\xff")
        if after is not None:
            low, high = (low, after) if newest_first else (after, high)
        owner = keys.records_of_organization(organization, keys.AUDIT)
        page = self._table.page(
            keys.PROJECT_RECORDS, owner, low=low, high=high, limit=size + 1, newest_first=newest_first
        )
        places = [(str(item["record_id"]), Key(str(item["pk"]), str(item["sk"]))) for item in page.items]
        places = [place for place in places if place[0] != after]
        items = self._table.get_many([key for _, key in places[:size]])
        found = [ENTRIES.decode(items[key]) for _, key in places[:size] if key in items]
        more = len(places) > size or page.next is not None
        return Slice(found, places[:size][-1][0] if more and places else None)


def following(
    table: Table, key: Key, kind: str, act: Act, before: Stored | None, after: Stored | None
) -> Change | None:
    """The entry about the record under `key` becoming `after` (None: it is deleted), to be stored together with it.

    None where nothing changes but bookkeeping.
    """
    if before is not None and after is not None and rules.fingerprint(before) == rules.fingerprint(after):
        return None
    record = after or before
    subject = Subject(kind, str(getattr(record, "id")), getattr(record, "project_id", None))  # noqa: B009  # all have one
    return _new(rules.entry_of(act, subject, last(table, key.pk), before, after), key.pk)


def last(table: Table, pk: str) -> AuditEntry | None:
    """The newest entry in the chain of partition `pk`, as it is now."""
    items = table.query(pk, keys.AUDIT_PREFIX, limit=1, newest_first=True)
    return ENTRIES.decode(items[0]) if items else None


def _new(entry: AuditEntry, pk: str) -> Change:
    key = keys.audit_entry(pk, entry.number)
    return Change(None, ENTRIES.encode(entry, key, {**_listed(entry), **_waiting(entry)}))


def _sealed(entry: AuditEntry, key: Key) -> Change:
    before = ENTRIES.stored(entry, key, {**_listed(entry), **_waiting(entry)})
    return Change(before, ENTRIES.encode(entry, key, _listed(entry)))


def _listed(entry: AuditEntry) -> dict[str, str]:
    return {"records_of": keys.records_of_organization(entry.organization_id, keys.AUDIT)}


def _waiting(entry: AuditEntry) -> dict[str, str]:
    """All that an organization has to have sealed is on one shard, so that its seals are made one after the other."""
    return {"wake_shard": keys.wake_shard(entry.organization_id), "wake_at": instant_text(entry.at)}


def _decoded(item: Item) -> AuditEntry | None:
    try:
        return ENTRIES.decode(item)
    except (SchemaTooNew, ValidationError, ValueError, KeyError):
        LOG.exception("entry.unreadable", extra={"pk": item.get("pk"), "sk": item.get("sk")})
        return None


def _bound(at: datetime | None, fill: bytes) -> str | None:
    return new_id("aud", max(at, EPOCH), fill * ENTROPY_BYTES) if at is not None else None
