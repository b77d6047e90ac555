"""What the stores of a project's records share: find, add, save, delete, list."""

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from shared.domain.dead_letter import DeadLetter
from shared.domain.source import Source
from shared.domain.workflow import Workflow
from shared.errors import NotFound
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.table import Change, Table, Value

R = TypeVar("R", Source, Workflow, DeadLetter)
T = TypeVar("T")


@dataclass(frozen=True)
class Slice(Generic[T]):
    """Some of a list, newest first. `next` is the id after which the list goes on; None at its end."""

    items: list[T]
    next: str | None


class RecordStore(Generic[R]):
    """Records of one kind, each in a partition of its own and listed by `ProjectRecords`."""

    noun: ClassVar[str]
    kind: ClassVar[str]
    codec: Codec[R]

    def __init__(self, table: Table) -> None:
        self.table = table

    def get(self, project: str, id: str) -> R:
        """The record as it is now.

        Raises:
            NotFound: this project has no such record.
        """
        item = self.table.get(self.key(project, id))
        if item is None:
            raise NotFound(self.noun, id)
        return self.codec.decode(item)

    def get_many(self, project: str, ids: list[str]) -> dict[str, R]:
        """Those of `ids` that exist, as they were a moment ago."""
        found = self.table.get_many([self.key(project, id) for id in ids])
        return {record.id: record for record in map(self.codec.decode, found.values())}

    def save(self, before: R | None, after: R) -> R:
        """Store `after` over `before`, or as new.

        Raises:
            Conflict: `before` is no longer what is stored.
        """
        self.table.put(self.change(before, after))
        return after.model_copy(update={"revision": after.revision + 1})

    def delete(self, record: R) -> None:
        """Remove `record`.

        Raises:
            Conflict: it changed since it was read.
        """
        self.table.delete(self.codec.encode(record, self._key(record), {}) | {"revision": record.revision})

    def list(self, project: str, *, limit: int, after: str | None = None) -> Slice[R]:
        """The project's records, newest first, from the one after id `after`."""
        start = self._start(project, after) if after else None
        page = self.table.page(keys.PROJECT_RECORDS, keys.records_of(project, self.kind), limit=limit, start=start)
        ids = [str(item["record_id"]) for item in page.items]
        found = self.get_many(project, ids)
        return Slice([found[id] for id in ids if id in found], ids[-1] if page.next else None)

    def change(self, before: R | None, after: R) -> Change:
        key, index = self._key(after), self._index(after)
        return Change(self.codec.stored(before, key, index) if before else None, self.codec.encode(after, key, index))

    def key(self, project: str, id: str) -> Key:
        return keys.record(project, self.kind, id)

    def _key(self, record: R) -> Key:
        return self.key(record.project_id, record.id)

    def _index(self, record: R) -> dict[str, str]:
        return {"records_of": keys.records_of(record.project_id, self.kind)}

    def _start(self, project: str, id: str) -> dict[str, Value]:
        key = self.key(project, id)
        return {"pk": key.pk, "sk": key.sk, "records_of": keys.records_of(project, self.kind), "record_id": id}
