"""Backfills of schedules."""

from collections.abc import Sequence

from shared.domain.backfill import Backfill
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import RecordStore, Slice


class BackfillStore(RecordStore[Backfill]):
    noun = "backfill"
    kind = keys.BACKFILL
    codec = Codec(Backfill, names={"id": "record_id"})

    def find(self, ids: Sequence[tuple[str, str]]) -> list[Backfill]:
        """The backfills that exist of these (project, id)."""
        found = self.table.get_many([keys.record(p, keys.BACKFILL, id) for p, id in ids], consistent=True)
        return [self.codec.decode(item) for item in found.values()]

    def of_schedule(self, project: str, schedule_id: str, *, limit: int, after: str | None = None) -> Slice[Backfill]:
        """The backfills of a schedule, newest first, from the one after id `after`."""
        return self._page(project, keys.backfills_of(project, schedule_id), limit=limit, after=after)

    def _index(self, record: Backfill) -> dict[str, str]:
        shard = {"wake_shard": keys.wake_shard(record.id)} if record.wake_at is not None else {}
        return {"records_of": keys.backfills_of(record.project_id, record.schedule_id), **shard}
