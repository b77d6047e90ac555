"""Service accounts of an organization."""

from shared.domain.service_account import ServiceAccount
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore


class ServiceAccountStore(OrganizationRecordStore[ServiceAccount]):
    noun = "service account"
    kind = keys.SERVICE_ACCOUNT
    codec = Codec(ServiceAccount, names={"id": "record_id"})

    def key(self, organization: str, id: str) -> Key:
        return keys.service_account(organization, id)
