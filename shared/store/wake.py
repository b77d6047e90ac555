"""What needs attention by a time: unfinished runs, and nothing else yet."""

from collections.abc import Iterator
from datetime import datetime

from shared.domain.record import instant_text
from shared.store import keys
from shared.store.keys import Key, Owner
from shared.store.table import Table, Value

PAGE = 100


class WakeStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def due(self, shard: str, until: datetime) -> Iterator[list[Owner]]:
        """Pages of the records in `shard` whose `wake_at` is not after `until`, earliest first."""
        start: dict[str, Value] | None = None
        while True:
            page = self._table.page(
                keys.WAKE, shard, high=instant_text(until), limit=PAGE, start=start, newest_first=False
            )
            if page.items:
                yield [keys.owner(Key(str(item["pk"]), str(item["sk"]))) for item in page.items]
            if page.next is None:
                return
            start = page.next
