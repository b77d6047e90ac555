"""Sources, and beside each the state of its breaker and its leases."""

from collections.abc import Sequence

from shared.domain.breaker import Breaker
from shared.domain.leases import Leases
from shared.domain.source import Source
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import RecordStore
from shared.store.table import Change, Item

BREAKERS = Codec(Breaker)
LEASES = Codec(Leases, json=frozenset({"holders"}))


class SourceStore(RecordStore[Source]):
    noun = "source"
    kind = keys.SOURCE
    codec = Codec(Source, names={"id": "record_id"}, json=frozenset({"check"}))

    def with_breakers(
        self, ids: Sequence[tuple[str, str]], *, consistent: bool = False
    ) -> dict[tuple[str, str], tuple[Source, Breaker]]:
        """The sources that exist of these (project, id), each with its breaker: one request."""
        wanted = [key(*id) for id in ids for key in (self.key, keys.breaker)]
        found = self.table.get_many(wanted, consistent=consistent)
        return {
            id: (self.codec.decode(found[self.key(*id)]), _breaker(id, found.get(keys.breaker(*id))))
            for id in ids
            if self.key(*id) in found
        }

    def save_breaker(self, before: Breaker, after: Breaker) -> None:
        """Raises Conflict when somebody saved the breaker since `before` was read."""
        key = keys.breaker(after.project_id, after.source_id)
        self.table.put(Change(BREAKERS.stored(before, key, {}), BREAKERS.encode(after, key, {})))

    def get_breaker(self, project: str, source_id: str) -> Breaker:
        return _breaker((project, source_id), self.table.get(keys.breaker(project, source_id)))

    def save_leases(self, before: Leases, after: Leases) -> None:
        """Raises Conflict when somebody saved the leases since `before` was read."""
        key = keys.leases(after.project_id, after.source_id)
        self.table.put(Change(LEASES.stored(before, key, {}), LEASES.encode(after, key, {})))

    def get_leases(self, project: str, source_id: str) -> Leases:
        item = self.table.get(keys.leases(project, source_id))
        return LEASES.decode(item) if item else Leases(project_id=project, source_id=source_id)


def _breaker(id: tuple[str, str], item: Item | None) -> Breaker:
    return BREAKERS.decode(item) if item else Breaker(project_id=id[0], source_id=id[1])
