"""API keys of an organization."""

from shared.domain.api_key import ApiKey
from shared.domain.limit import UNLIMITED
from shared.domain.role import BuiltIn
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore
from shared.store.table import Item

BEFORE_ROLES: Item = {
    "role": BuiltIn.owner,
    "organization_wide": True,
    "per_minute": UNLIMITED,
    "daily_quota": UNLIMITED,
}


class ApiKeyCodec(Codec[ApiKey]):
    """Before there were roles, the only key was the deployment's first one, which may do everything."""

    def decode(self, item: Item) -> ApiKey:
        return super().decode(item if "role" in item else {**item, **BEFORE_ROLES})


class ApiKeyStore(OrganizationRecordStore[ApiKey]):
    noun = "API key"
    kind = keys.KEY
    codec = ApiKeyCodec(ApiKey, names={"id": "record_id"})

    def key(self, organization: str, id: str) -> Key:  # noqa: ARG002  # a key says who it is, not whose
        return keys.api_key(id)

    def by_id(self, id: str, *, consistent: bool = False) -> ApiKey | None:
        """The key of any organization: as it is now if `consistent`, else as it was a moment ago, for half as much."""
        item = self.table.get(keys.api_key(id), consistent=consistent)
        return self.codec.decode(item) if item else None
