"""Invitations into an organization; DynamoDB deletes them when they are over."""

from shared.domain.invitation import PREFIX, Invitation
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore


class InvitationStore(OrganizationRecordStore[Invitation]):
    noun = "invitation"
    kind = keys.INVITATION
    codec = Codec(Invitation, names={"id": "record_id"}, epoch=frozenset({"expires_at"}))

    def key(self, organization: str, id: str) -> Key:  # noqa: ARG002  # its token says which it is, not whose
        return keys.invitation(id)

    def by_ulid(self, ulid: str) -> Invitation | None:
        """The invitation that a token names, of any organization."""
        item = self.table.get(keys.invitation(f"{PREFIX}_{ulid}"))
        return self.codec.decode(item) if item else None
