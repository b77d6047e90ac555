"""Backfills of schedules."""

from shared.domain.backfill import Backfill
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import RecordStore, Slice


class BackfillStore(RecordStore[Backfill]):
    noun = "backfill"
    kind = keys.BACKFILL
    codec = Codec(Backfill, names={"id": "record_id"})

    def of_schedule(self, project: str, schedule_id: str, *, limit: int, after: str | None = None) -> Slice[Backfill]:
        """The backfills of a schedule, newest first, from the one after id `after`."""
        return self._page(project, keys.backfills_of(project, schedule_id), limit=limit, after=after)

    def _index(self, record: Backfill) -> dict[str, str]:
        shard = {"wake_shard": keys.wake_shard(record.id)} if record.wake_at is not None else {}
        return {"records_of": keys.backfills_of(record.project_id, record.schedule_id), **shard}
