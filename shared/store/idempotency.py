"""Idempotency records; DynamoDB deletes them a day later."""

from shared.domain.idempotency import IdempotencyRecord
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

RECORDS = Codec(IdempotencyRecord, epoch=frozenset({"expires_at"}))


class IdempotencyStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, project: str, id: str) -> IdempotencyRecord | None:
        item = self._table.get(keys.idempotency(project, id))
        return RECORDS.decode(item) if item else None

    def save(self, before: IdempotencyRecord | None, after: IdempotencyRecord) -> IdempotencyRecord:
        """Raises Conflict when somebody saved it since `before` was read, or it exists though `before` is None."""
        key = keys.idempotency(after.project_id, after.id)
        stored = RECORDS.stored(before, key, {}) if before else None
        self._table.put(Change(stored, RECORDS.encode(after, key, {})))
        return after.model_copy(update={"revision": after.revision + 1})

    def delete(self, record: IdempotencyRecord) -> None:
        """Raises Conflict when somebody saved it since."""
        key = keys.idempotency(record.project_id, record.id)
        self._table.delete(RECORDS.encode(record, key, {}) | {"revision": record.revision})
