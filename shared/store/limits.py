"""What was counted of requests, one item for each caller; DynamoDB deletes it when its day is over.

Of somebody nobody knows there is an item for each minute. One that says of refusals stays for a week, and is listed.
"""

from datetime import datetime

from shared.domain import limit as rules
from shared.domain.limit import Limits, Usage
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import Slice
from shared.store.table import LAST, Change, Table

USAGES = Codec(Usage, epoch=frozenset({"expires_at"}))


class LimitStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def count(
        self, id: str, minute: int, day: int, limits: Limits, *, refused: bool = False
    ) -> tuple[bool, Usage | None]:
        """One more for `id` in these windows, if they are the current ones and `limits` allow it: one request.

        One more that was `refused` counts only where there was one before: with the first the item has to be listed.

        Answers whether it was counted, and how things stand now.
        """
        same: dict[str, str | int | bytes | bool] = {"minute": minute, "day": day}
        most = {"minute_count": limits.per_minute, "day_count": limits.per_day}
        if refused:
            same["records_of"], most["refused"] = keys.REFUSALS, None
        counted, item = self._table.count(keys.limit(id), same, most)
        return counted, USAGES.decode(item) if item else None

    def save(self, before: Usage | None, after: Usage) -> None:
        """Open a window. Raises Conflict when somebody counted since `before` was read, or opened it."""
        key = keys.limit(after.id)
        stored = USAGES.stored(before, key, _index(before)) if before else None
        self._table.put(Change(stored, USAGES.encode(after, key, _index(after))))

    def forget(self, id: str) -> None:
        """Count from nothing. Raises Conflict when somebody counts at the same time."""
        item = self._table.get(keys.limit(id))
        if item is not None:
            self._table.delete(item)

    def refusals(
        self, since: datetime | None, until: datetime | None, *, limit: int, after: str | None = None
    ) -> Slice[Usage]:
        """The minutes in which an address was refused, newest first, from the one after the place `after` in the list.

        A minute that `since` or `until` lies in is among them.
        """
        low = f"{rules.minute_of(since):010d}" if since else None
        high = f"{rules.minute_of(until):010d}{LAST}" if until else None
        page = self._table.page(keys.PROJECT_RECORDS, keys.REFUSALS, low=low, high=after or high, limit=limit + 1)
        places = {str(item["record_id"]): Key(str(item["pk"]), str(item["sk"])) for item in page.items}
        places.pop(after or "", None)
        wanted = list(places)[:limit]
        found = self._table.get_many([places[place] for place in wanted])
        items = [found[places[place]] for place in wanted if places[place] in found]
        more = len(places) > limit or page.next is not None
        return Slice([USAGES.decode(item) for item in items], wanted[-1] if more and wanted else None)


def _index(usage: Usage) -> dict[str, str]:
    return keys.refusals(usage.minute, keys.address_of(usage.id)) if usage.refused else {}
