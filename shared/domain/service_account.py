"""A service account: somebody in an organization who is no person, with a role and a place. API keys act for it."""

from pydantic import Field

from shared.domain.api_key import ApiKey
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.record import Instant, Record
from shared.domain.workflow import Name

PREFIX = "svc"


class ServiceAccount(Record):
    """One of a project, or `organization_wide`: then `project_id` is the one that its keys mean when their caller names
    none."""

    id: str
    organization_id: str = DEFAULT_ORGANIZATION
    organization_wide: bool = False
    name: Name
    role: str = Field(description="A role that every organization has, or the id of one of its own.")
    disabled_at: Instant | None = None
    created_by: str
    created_at: Instant


def is_good(account: ServiceAccount | None) -> bool:
    """Do its keys open anything? None: it is gone."""
    return account is not None and account.disabled_at is None


def acting(key: ApiKey, account: ServiceAccount) -> ApiKey:
    """`key` with the role and the place of the account that it acts for. Not to be stored."""
    place = {"project_id": account.project_id, "organization_wide": account.organization_wide}
    return key.model_copy(update={"role": account.role, **place})
