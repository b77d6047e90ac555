"""API keys."""

from shared.domain.api_key import ApiKey
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

KEYS = Codec(ApiKey)


class ApiKeyStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, id: str) -> ApiKey | None:
        item = self._table.get(keys.api_key(id), consistent=False)
        return KEYS.decode(item) if item else None

    def add(self, key: ApiKey) -> None:
        """Store a new key.

        Raises:
            Conflict: there is a key of that id.
        """
        self._table.put(Change(None, KEYS.encode(key, keys.api_key(key.id), {})))

    def replace(self, before: ApiKey, after: ApiKey) -> None:
        """Raises Conflict when the key changed since `before` was read."""
        key = keys.api_key(after.id)
        self._table.put(Change(KEYS.stored(before, key, {}), KEYS.encode(after, key, {})))
