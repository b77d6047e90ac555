"""Organizations."""

from collections.abc import Sequence

from shared.domain.act import Act
from shared.domain.organization import Organization
from shared.errors import Conflict, NotFound
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import audit_entry
from shared.store.table import Change, Table

ORGANIZATIONS = Codec(Organization)


class OrganizationStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, id: str) -> Organization:
        """Raises NotFound."""
        item = self._table.get(keys.organization(id))
        if item is None:
            raise NotFound("organization", id, "deployment")
        return ORGANIZATIONS.decode(item)

    def save(self, before: Organization | None, after: Organization, act: Act | None = None) -> Organization:
        """Store `after` over `before`, or as new; in one transaction with the entry of `act`. Raises Conflict."""
        key = keys.organization(after.id)
        stored = ORGANIZATIONS.stored(before, key, {}) if before else None
        change = Change(stored, ORGANIZATIONS.encode(after, key, {}))
        entry = audit_entry(self._table, key, "organization", act, before, after)
        if entry is None:
            self._table.put(change)
        else:
            self._table.put_all([change, entry])
        return after.model_copy(update={"revision": after.revision + 1})

    def change(self, before: Organization | None, after: Organization) -> Change:
        """What it takes to store `after` over `before`, together with other changes."""
        key = keys.organization(after.id)
        stored = ORGANIZATIONS.stored(before, key, {}) if before else None
        return Change(stored, ORGANIZATIONS.encode(after, key, {}))

    def entry(self, act: Act, before: Organization | None, after: Organization) -> Sequence[Change]:
        """The entry in the audit log, if it takes one: for those who store the change in a transaction of their own."""
        entry = audit_entry(self._table, keys.organization(after.id), "organization", act, before, after)
        return [entry] if entry else []

    def ensure(self, organization: Organization) -> Organization:
        """`organization`, stored now if it was not yet."""
        try:
            return self.save(None, organization)
        except Conflict:
            return self.get(organization.id)
