"""Owning: an organization keeps a key without an end that may do everything everywhere, or nobody could repair it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.domain import api_key as rules
from shared.errors import Conflict
from shared.services.deadline import Deadline
from shared.store.api_keys import ApiKeyStore
from shared.store.organizations import OrganizationStore
from shared.store.table import Change

PAGE = 100


@dataclass(frozen=True)
class Owning:
    keys: ApiKeyStore
    organizations: OrganizationStore

    def leave_one(self, organization: str, taken: Collection[str], deadline: Deadline) -> Sequence[Change]:
        """What to store along with a change that takes away the owner keys `taken`: their ids.

        It is the organization as it is, over the revision that was read before anybody looked for other keys. Of two
        who take away each other's key at the same time, the second finds another revision, looks again, and finds none.

        Raises:
            Conflict: nobody else could open everything for good.
            OutOfTime: there are too many keys to look for another.
        """
        before = self.organizations.get(organization)
        self.require_another(organization, taken, deadline)
        return [self.organizations.change(before, before)]

    def require_another(self, organization: str, taken: Collection[str], deadline: Deadline) -> None:
        """Raises Conflict, OutOfTime, as `leave_one`."""
        listed = deadline.all_of(lambda after: self.keys.list(organization, limit=PAGE, after=after))
        others = [(organization, key.id) for key in listed if rules.lasts(key) and key.id not in taken]
        now = self.keys.readable(others, consistent=True)  # lists may show a key that is just gone, or was an owner's
        if not any(rules.lasts(key) for key in now):
            raise Conflict(
                "It is the last key without an end that owns the whole organization: make another first. "
                "If its secret is known to somebody, rotate it."
            )
