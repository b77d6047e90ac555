"""Sessions of users; DynamoDB deletes them when they are over."""

from typing import Any

from shared.domain.session import PREFIX, Session
from shared.domain.user import User
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import RecordStore
from shared.store.users import USERS


class SessionStore(RecordStore[Session]):
    """Where the others say project, these mean the user."""

    noun = "session"
    where = "account"
    kind = keys.SESSION
    codec = Codec(Session, names={"id": "record_id"}, epoch=frozenset({"expires_at"}))

    def key(self, user: str, id: str) -> Key:  # noqa: ARG002  # a refresh token says which session, not whose
        return keys.session(id)

    def by_ulid(self, ulid: str) -> Session | None:
        """The session that a refresh token names, as it is now."""
        item = self.table.get(keys.session(f"{PREFIX}_{ulid}"))
        return self.codec.decode(item) if item else None

    def with_user(self, id: str, user: str, *, consistent: bool) -> tuple[Session, User] | None:
        """A session and its user in one request: one read unit, twice that if `consistent`."""
        wanted = (keys.session(id), keys.user(user))
        found = self.table.get_many(wanted, consistent=consistent)
        if len(found) < len(wanted):
            return None
        return self.codec.decode(found[wanted[0]]), USERS.decode(found[wanted[1]])

    def _owner(self, record: Any) -> str:
        return str(record.user_id)

    def _records_of(self, owner: str) -> str:
        return keys.records_of_user(owner, self.kind)
