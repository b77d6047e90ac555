"""What was counted of requests, one item for each caller; DynamoDB deletes it when its day is over."""

from shared.domain.limit import Limits, Usage
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

USAGES = Codec(Usage, epoch=frozenset({"expires_at"}))


class LimitStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, id: str, minute: int, day: int, limits: Limits) -> tuple[bool, Usage | None]:
        """One more for `id` in these windows, if they are the current ones and `limits` allow it: one request.

        Answers whether it was counted, and how things stand now.
        """
        most = {"minute_count": limits.per_minute, "day_count": limits.per_day}
        counted, item = self._table.count(keys.limit(id), {"minute": minute, "day": day}, most)
        return counted, USAGES.decode(item) if item else None

    def save(self, before: Usage | None, after: Usage) -> None:
        """Open a window. Raises Conflict when somebody counted since `before` was read, or opened it."""
        key = keys.limit(after.id)
        stored = USAGES.stored(before, key, {}) if before else None
        self._table.put(Change(stored, USAGES.encode(after, key, {})))

    def forget(self, id: str) -> None:
        """Count from nothing. Raises Conflict when somebody counts at the same time."""
        item = self._table.get(keys.limit(id))
        if item is not None:
            self._table.delete(item)
