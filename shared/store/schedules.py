"""Schedules, and the slots of those whose runs may not overlap."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from shared.domain.overlap import Slot
from shared.domain.record import id_time, instant_text
from shared.domain.run import Run
from shared.domain.schedule import Schedule
from shared.errors import Conflict
from shared.store import keys, runs
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import RecordStore
from shared.store.table import Change, Item, Outcome, key_of

if TYPE_CHECKING:
    from shared.domain.act import Act

AS_CREATED = ("effective_at", "updated_at")  # not stored while they equal the time of creation, which the id tells
NAMES = {"id": "record_id", "workflow_id": "workflow", "skipped_missed": "missed", "created_by": "by"}
PROGRESS = frozenset({"watermark", "wake_at", "fired", "skipped_missed"})
SLOTS = Codec(Slot, json=frozenset({"queue"}))


class ScheduleCodec(Codec[Schedule]):
    """Leaves out what the key and the id tell: a schedule with half a kilobyte of input must fit one write unit."""

    def encode(self, record: Schedule, key: Key, index: dict[str, str]) -> Item:  # type: ignore[override]
        item = super().encode(record, key, index)
        created = _created_at(item)
        left_out = {"project_id", *(name for name in ("created_at", *AS_CREATED) if item[name] == created)}
        return {name: value for name, value in item.items() if name not in left_out}

    def decode(self, item: Item) -> Schedule:
        told = dict.fromkeys(("created_at", *AS_CREATED), _created_at(item))
        return super().decode({**told, "project_id": keys.owner(key_of(item)).project, **item})


class ScheduleStore(RecordStore[Schedule]):
    noun = "schedule"
    kind = keys.SCHEDULE
    codec = ScheduleCodec(Schedule, names=NAMES, lean=frozenset({"settings"}))

    def save_many(self, moves: Sequence[tuple[Schedule, Schedule]]) -> list[Outcome]:
        """Store each second over each first; False where it changed meanwhile, None where nobody can tell."""
        return self.table.put_many([self._step(before, after) for before, after in moves])

    def get_slot(self, project: str, schedule_id: str) -> Slot:
        """The slot as it is now; an empty one where nobody has asked for it yet."""
        item = self.table.get(keys.slot(project, schedule_id))
        return SLOTS.decode(item) if item else Slot(project_id=project, schedule_id=schedule_id)

    def save_slot(self, before: Slot, after: Slot) -> None:
        """Raises Conflict when the slot is no longer as it was read."""
        self.table.put(_slot_change(before, after))

    def save_slot_and_run(self, before: Slot, after: Slot, run: Run, skipped: Run) -> None:
        """Store a slot and a run in one transaction.

        Raises:
            Conflict: one of them is no longer as it was read.
        """
        self.table.put_all([_slot_change(before, after), runs.change(run, skipped)])

    def delete(self, record: Schedule, act: "Act | None" = None, others: Sequence[Change] = ()) -> None:
        super().delete(record, act, others)
        slot = self.table.get(keys.slot(record.project_id, record.id))
        if slot is not None:
            with suppress(Conflict):  # a run of it is just entering or leaving: the schedule is gone all the same
                self.table.delete(slot)

    def _step(self, before: Schedule, after: Schedule) -> Change:
        """`change`, at a third of its cost where a schedule has only fired: a tick saves thousands."""
        old, new = before.__dict__, after.__dict__
        changed = {name for name, value in old.items() if value is not new[name] and value != new[name]}
        if not changed <= PROGRESS or (before.wake_at is None) != (after.wake_at is None):
            return self.change(before, after)
        return self.codec.step(before, after, self._key(after), changed)

    def _index(self, record: Schedule) -> dict[str, str]:
        shard = {"wake_shard": keys.wake_shard(record.id)} if record.wake_at is not None else {}
        return {**super()._index(record), **shard}


def _slot_change(before: Slot, after: Slot) -> Change:
    key = keys.slot(after.project_id, after.schedule_id)
    return Change(SLOTS.stored(before, key, {}), SLOTS.encode(after, key, {}))


def _created_at(item: Item) -> str:
    return instant_text(id_time(str(item["record_id"])))
