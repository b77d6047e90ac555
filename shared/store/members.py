"""Members of an organization, and who of them owns it."""

from collections.abc import Sequence

from shared.domain.member import Member, Owners, member_id, owners_after
from shared.domain.user import User
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore
from shared.store.table import Change

OWNERS = Codec(Owners, json=frozenset({"user_ids"}))


class MemberStore(OrganizationRecordStore[Member]):
    noun = "member"
    kind = keys.MEMBER
    codec = Codec(Member)

    def key(self, organization: str, id: str) -> Key:
        return keys.member(organization, id)

    def of(self, user: User, *, consistent: bool = False) -> list[Member]:
        """The memberships of `user`: as they are now if `consistent`, else as they were a moment ago."""
        places = [keys.member(organization, member_id(user.id, project)) for organization, project in user.places]
        found = self.table.get_many(places, consistent=consistent)
        return [self.codec.decode(item) for item in found.values()]

    def changes(self, organization: str, before: Member | None, after: Member) -> list[Change]:
        """What it takes to store `after` over `before`, the organization's list of owners included.

        Raises:
            Conflict: it would have no owner.
        """
        change = self.change(before, after)
        return [change, *self._owners(organization, before, after)]

    def save_all(self, changes: Sequence[Change]) -> None:
        """All or nothing. Raises Conflict."""
        self.table.put_all(changes)

    def _owners(self, organization: str, before: Member | None, after: Member) -> list[Change]:
        if not after.is_owner and (before is None or not before.is_owner):
            return []
        key = keys.owners(organization)
        item = self.table.get(key)
        stored = OWNERS.decode(item) if item else None
        now = owners_after(stored or Owners(organization_id=organization), before, after)
        return [Change(OWNERS.stored(stored, key, {}) if stored else None, OWNERS.encode(now, key, {}))]

    def _index(self, record: Member) -> dict[str, str]:
        return {**super()._index(record), "record_id": record.id}
