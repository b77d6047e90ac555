"""Users, and whose an e-mail address is."""

from collections.abc import Sequence

from shared.domain.user import EmailClaim, User
from shared.errors import Conflict, NotFound
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

USERS = Codec(User, json=frozenset({"places", "unasked"}))
CLAIMS = Codec(EmailClaim)
NOBODY = "usr_nobody"


class UserStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, id: str) -> User:
        """Raises NotFound."""
        item = self._table.get(keys.user(id))
        if item is None:
            raise NotFound("user", id, "deployment")
        return USERS.decode(item)

    def get_many(self, ids: Sequence[str]) -> dict[str, User]:
        """Those of `ids` that exist, as they were a moment ago."""
        found = self._table.get_many([keys.user(id) for id in ids])
        return {user.id: user for user in map(USERS.decode, found.values())}

    def by_email(self, address: str) -> User | None:
        """Whose `address` is. As many reads for an unknown one: who asks shall not learn it from the time it takes."""
        item = self._table.get(keys.email(address))
        found = self._table.get(keys.user(CLAIMS.decode(item).user_id if item else NOBODY))
        return USERS.decode(found) if found else None

    def add(self, user: User, others: Sequence[Change]) -> User:
        """Store a new user together with `others`: all or nothing.

        Raises:
            Conflict: the address is somebody's already, or one of `others` is not what it was.
        """
        claim = EmailClaim(email=user.email, user_id=user.id)
        claimed = Change(None, CLAIMS.encode(claim, keys.email(user.email), {}))
        self._table.put_all([self.change(None, user), claimed, *others])
        return user.model_copy(update={"revision": 1})

    def save(self, before: User, after: User) -> User:
        """Raises Conflict."""
        self._table.put(self.change(before, after))
        return after.model_copy(update={"revision": after.revision + 1})

    def save_with(self, before: User, after: User, others: Sequence[Change]) -> None:
        """Store `after` and `others`: all or nothing. Raises Conflict."""
        self._table.put_all([self.change(before, after), *others])

    def change(self, before: User | None, after: User) -> Change:
        key = keys.user(after.id)
        return Change(USERS.stored(before, key, {}) if before else None, USERS.encode(after, key, {}))

    def first_owner(self, user: User) -> Change:
        """That `user` is the one who got the deployment: there can be only one."""
        key = keys.first_owner()
        return Change(None, CLAIMS.encode(EmailClaim(email=user.email, user_id=user.id), key, {}))

    def has_first_owner(self) -> bool:
        return self._table.get(keys.first_owner()) is not None

    def is_taken(self, address: str) -> bool:
        return self._table.get(keys.email(address)) is not None


def require_free(users: UserStore, address: str) -> None:
    """Raises Conflict."""
    if users.is_taken(address):
        raise Conflict("There is an account with this address. Log in, or ask for a new password.")
