"""Roles that an organization made for itself."""

from shared.domain.role import Role
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore


class RoleStore(OrganizationRecordStore[Role]):
    noun = "role"
    kind = keys.ROLE
    codec = Codec(Role, names={"id": "record_id"}, json=frozenset({"allow", "deny"}))

    def key(self, organization: str, id: str) -> Key:
        return keys.role(organization, id)
