"""Second factors, each beside its user."""

from collections.abc import Sequence

from shared.domain.second_factor import SecondFactor
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

CODEC = Codec(SecondFactor, json=frozenset({"recovery_hashes"}))


class SecondFactorStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, user_id: str) -> SecondFactor | None:
        """That of a user, as it is now."""
        item = self._table.get(keys.second_factor(user_id))
        return CODEC.decode(item) if item else None

    def save(self, before: SecondFactor | None, after: SecondFactor, others: Sequence[Change] = ()) -> SecondFactor:
        """Store `after`, and `others` in the same transaction. Raises Conflict."""
        change = self._change(before, after)
        if others:
            self._table.put_all([change, *others])
        else:
            self._table.put(change)
        return after.model_copy(update={"revision": after.revision + 1})

    def delete(self, factor: SecondFactor, others: Sequence[Change]) -> None:
        """Remove it, and store `others`: all or nothing. Raises Conflict when it changed since it was read."""
        item = CODEC.encode(factor, self._key(factor), {}) | {"revision": factor.revision}
        self._table.put_all(others, removed=[item])

    def _change(self, before: SecondFactor | None, after: SecondFactor) -> Change:
        key = self._key(after)
        return Change(CODEC.stored(before, key, {}) if before else None, CODEC.encode(after, key, {}))

    def _key(self, factor: SecondFactor) -> keys.Key:
        return keys.second_factor(factor.user_id)
