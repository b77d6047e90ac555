"""An organization: who pays, and whose people, roles, keys and projects these are."""

from shared.domain.record import Instant, Stored
from shared.domain.workflow import Name

DEFAULT_ORGANIZATION = "default"


class Organization(Stored):
    id: str
    name: Name
    created_by: str
    created_at: Instant
