"""Identity providers of an organization, and whom they mean by a subject."""

from collections.abc import Sequence

from shared.domain.act import Act
from shared.domain.identity_provider import Identity, IdentityProvider
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore, audit_entry
from shared.store.table import Change, Table

IDENTITIES = Codec(Identity)


class IdentityProviderStore(OrganizationRecordStore[IdentityProvider]):
    noun = "identity provider"
    kind = keys.IDENTITY_PROVIDER
    codec = Codec(
        IdentityProvider, names={"id": "record_id"}, json=frozenset({"scopes", "mapping", "domains", "ceiling"})
    )

    def key(self, organization: str, id: str) -> Key:  # noqa: ARG002  # who logs in says which it is, not whose
        return keys.identity_provider(id)

    def by_id(self, id: str, *, consistent: bool = True) -> IdentityProvider | None:
        """The provider, of whatever organization."""
        item = self.table.get(keys.identity_provider(id), consistent=consistent)
        return self.codec.decode(item) if item else None


class IdentityStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, provider_id: str, subject: str) -> Identity | None:
        """Whom a provider means by the subject with this hash, as it is now."""
        item = self._table.get(keys.identity(provider_id, subject))
        return IDENTITIES.decode(item) if item else None

    def of_user(self, provider_id: str, user_id: str) -> Identity | None:
        """By which subject a provider means a user, as it is now."""
        item = self._table.get(keys.identity_of_user(provider_id, user_id))
        return IDENTITIES.decode(item) if item else None

    def claim(self, identity: Identity, act: Act) -> Sequence[Change]:
        """What it takes to store it, with its entry in the audit log: for one person, once, who has no other one."""
        key = keys.identity(identity.provider_id, identity.subject)
        places = (key, keys.identity_of_user(identity.provider_id, identity.user_id))
        entry = audit_entry(self._table, key, "identity", act, None, identity)
        claimed = [Change(None, IDENTITIES.encode(identity, place, {})) for place in places]
        return [*claimed, *([entry] if entry else [])]
