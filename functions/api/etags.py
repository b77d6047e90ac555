"""ETags: a hash of what a user may edit, so that it changes when somebody else edited, and only then."""

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from fastapi import Response

from shared.errors import Stale

if TYPE_CHECKING:  # a cold start pays for the one that it was made for
    from shared.domain.api_key import ApiKey
    from shared.domain.identity_provider import IdentityProvider
    from shared.domain.member import Member
    from shared.domain.organization import Organization
    from shared.domain.project import Project
    from shared.domain.record import Stored
    from shared.domain.role import Role
    from shared.domain.schedule import Schedule
    from shared.domain.service_account import ServiceAccount
    from shared.domain.source import Source
    from shared.domain.workflow import Workflow

R = TypeVar(
    "R",
    "Source",
    "Workflow",
    "Schedule",
    "ApiKey",
    "Project",
    "Role",
    "Organization",
    "Member",
    "ServiceAccount",
    "IdentityProvider",
)

EDITABLE = {
    "Source": {"name", "url", "status", "encrypted_key", "max_concurrency"},
    "Workflow": {"settings", "enabled"},
    "Schedule": {"settings", "input_key", "enabled"},
    "ApiKey": {"name", "role", "valid_until", "per_minute", "daily_quota"},
    "Project": {"name", "retention_days"},
    "Role": {"name", "allow", "deny"},
    "Organization": {"name"},
    "Member": {"role"},
    "IdentityProvider": {
        "name",
        "secret_changes",
        "scopes",
        "groups_claim",
        "mapping",
        "default_role",
        "domains",
        "enabled",
        "trusts_addresses",
        "ceiling",
    },
    "ServiceAccount": {"name", "role", "disabled_at"},
}


def etag(record: "Stored") -> str:
    """The ETag of `record`, in its quotes."""
    editable = record.model_dump(mode="json", include=EDITABLE[type(record).__name__])
    return f'"{hashlib.sha256(json.dumps(editable, sort_keys=True).encode()).hexdigest()[:32]}"'


def stamp(response: Response, record: R) -> R:
    """`record`, with its ETag in the headers of `response`."""
    response.headers["ETag"] = etag(record)
    return record


def guard(if_match: str | None) -> Callable[["Stored"], None]:
    """Raises Stale for a record that the If-Match header does not name."""

    def check(record: "Stored") -> None:
        if if_match is not None and not _names(if_match, etag(record)):
            raise Stale("The resource has changed since; read it again.")

    return check


def _names(if_match: str, current: str) -> bool:
    """Strong comparison: a weak tag never matches."""
    return any(tag.strip() in ("*", current) for tag in if_match.split(","))
