"""The keys that access tokens are signed with; DynamoDB deletes them when nothing that they signed is valid."""

from shared.domain.signing_key import SigningKey
from shared.errors import Conflict, Unavailable
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

CODEC = Codec(SigningKey, epoch=frozenset({"expires_at"}))


class SigningKeyStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def list(self) -> list[SigningKey]:
        """All that something valid may be signed with, the oldest first."""
        found = self._table.query(keys.signing_key(0).pk, keys.SIGNING_PREFIX)
        return [CODEC.decode(item) for item in found]

    def find(self, period: int) -> SigningKey | None:
        item = self._table.get(keys.signing_key(period))
        return CODEC.decode(item) if item else None

    def ensure(self, key: SigningKey) -> SigningKey:
        """`key`, or the one of its period that somebody else stored first."""
        try:
            self._table.put(Change(None, CODEC.encode(key, keys.signing_key(key.period), {})))
        except Conflict:
            if (first := self.find(key.period)) is None:
                raise Unavailable("The signing key went away just now. Try again.") from None
            return first
        return key
