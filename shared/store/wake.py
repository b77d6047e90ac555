"""What needs attention by a time: enabled schedules, unfinished runs, running backfills; nothing else."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from shared.domain.record import instant_text
from shared.store import keys
from shared.store.keys import Owner
from shared.store.table import Item, Table, Value, key_of

PAGE = 100


class Wakeup(NamedTuple):
    """A record that wants attention, and since when, as `instant_text`."""

    owner: Owner
    wake_at: str


class WakeStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def due(self, shard: str, until: datetime) -> Iterator[list[Wakeup]]:
        """Pages of the records in `shard` whose `wake_at` is not after `until`, earliest first."""
        start: dict[str, Value] | None = None
        while True:
            page = self._table.page(
                keys.WAKE, shard, high=instant_text(until), limit=PAGE, start=start, newest_first=False
            )
            if page.items:
                yield [_wakeup(item) for item in page.items]
            if page.next is None:
                return
            start = page.next

    def oldest(self, until: datetime) -> datetime | None:
        """The earliest `wake_at` of all shards that is not after `until`; None: nothing is due."""
        pages = (
            self._table.page(keys.WAKE, shard, high=instant_text(until), limit=1, newest_first=False)
            for shard in keys.wake_shards()
        )
        due = [str(item["wake_at"]) for page in pages for item in page.items]
        return datetime.fromisoformat(min(due)) if due else None


def _wakeup(item: Item) -> Wakeup:
    return Wakeup(keys.owner(key_of(item)), str(item["wake_at"]))
