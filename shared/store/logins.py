"""Logins by an identity provider that have begun; DynamoDB deletes those that nobody finishes."""

from shared.domain.login import PREFIX, Login
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

CODEC = Codec(Login, epoch=frozenset({"expires_at"}))


class LoginStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, login: Login) -> None:
        self._table.put(Change(None, CODEC.encode(login, keys.login(login.id), {})))

    def by_ulid(self, ulid: str) -> Login | None:
        """The login that a token names, as it is now."""
        item = self._table.get(keys.login(f"{PREFIX}_{ulid}"))
        return CODEC.decode(item) if item else None

    def spend(self, login: Login) -> None:
        """Of those who finish it, one gets past here. Raises Conflict for the others."""
        self._table.delete(CODEC.encode(login, keys.login(login.id), {}) | {"revision": login.revision})
