"""API keys: `spk_<id>_<secret>`. The secret is shown once, when it is made; only a hash of it is kept.

Whoever was let in is remembered for a minute: so long may a key work on that was revoked, changed, or is over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, identity, table
from functions.api.auth import Caller
from functions.api.bodies import Patch, RecordId
from functions.api.dependencies import Id, IfMatch, deadline, grantor, may
from functions.api.errors import responses
from functions.api.idempotency import HoldsSecret
from functions.api.pages import Page, Paged
from shared import wiring
from shared.domain.api_key import NO_ROLE, ApiKey, PresentedKey, is_open, written
from shared.domain.record import Instant, Moment
from shared.domain.role import Permission
from shared.domain.service_account import ServiceAccount, is_good
from shared.domain.workflow import Name
from shared.errors import Invalid
from shared.services.issuing import Wanted

router = table.router("api-keys")

Reader = Annotated[Caller, may(Permission.keys_read)]
Issuer = Annotated[Caller, may(Permission.keys_write)]

MAX_OVERLAP_SECONDS = 30 * 86_400

RoleId = Annotated[RecordId, Field(description="`viewer`, `operator`, `editor`, `admin`, `owner`, or a role's id.")]
Until = Annotated[Moment, Field(description="When it ends; null: when it is revoked.")]
PerMinute = Annotated[int, Field(ge=0, strict=True, description="Requests; 0: no limit, null: the deployment's.")]
PerDay = Annotated[int, Field(ge=0, strict=True, description="Requests; 0: no limit, null: the deployment's.")]
OfProject = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Only the keys that belong to it.")
]
OfMaker = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Only those that this person or key made.")
]
OfAccount = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Only those that act for this service account.")
]


class ApiKeyFields(BaseModel):
    """What a user says of a key. Without `project_id` it is for the project that the request means. One that acts for a
    service account has that one's role and place: then both are left out."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: RoleId | None = Field(None, description="Needed, unless it acts for a service account.")
    service_account_id: RecordId | None = Field(None, description="Whom it acts for.")
    project_id: RecordId | None = None
    organization_wide: bool = Field(False, strict=True, description="Does it open all other projects, too?")
    valid_until: Until | None = None
    per_minute: PerMinute | None = None
    daily_quota: PerDay | None = None

    def settings(self, project: str) -> dict[str, Any]:
        """What the key is to be, in `project` if nothing else is said. Raises Invalid."""
        if self.service_account_id is None and self.role is None:
            raise Invalid("Say which role it has, or which service account it acts for.", "/role")
        own = {"role": self.role, "project_id": self.project_id, "organization_wide": self.organization_wide or None}
        twice = next((f"/{field}" for field, said in own.items() if said is not None), None)
        if self.service_account_id is not None and twice:
            raise Invalid("It is that of the service account: leave it out.", twice)
        return {**self.model_dump(), "role": self.role or NO_ROLE, "project_id": self.project_id or project}


class ApiKeyPatch(Patch):
    """What is to change; the rest stays."""

    name: Name = ""
    role: RoleId = ""
    valid_until: Until | None = None
    per_minute: PerMinute | None = None
    daily_quota: PerDay | None = None


class Rotation(BaseModel):
    """How to change a secret."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(
        86_400, ge=0, le=MAX_OVERLAP_SECONDS, strict=True, description="So long does the old secret work on."
    )


class ApiKeyView(BaseModel):
    """A key as callers see it. There is no field for its hashes."""

    id: str
    organization_id: str
    project_id: str
    organization_wide: bool
    name: str
    role: str = Field(description="Of a key that acts for a service account: that one's. Empty where it is gone.")
    service_account_id: str | None
    active: bool = Field(description="False: it is over, or its service account is disabled or gone.")
    prefix: str = Field(description="How it begins, to tell it from others.")
    valid_until: Instant | None
    previous_until: Instant | None = Field(description="So long does the secret before the last rotation work.")
    per_minute: int | None
    daily_quota: int | None
    last_used_at: Instant | None = Field(description="Up to five minutes old.")
    created_by: str
    created_at: Instant

    @classmethod
    def of(cls, key: ApiKey, account: ServiceAccount | None, now: datetime) -> "ApiKeyView":
        said = key.model_dump(include=set(cls.model_fields))
        active = is_open(key, now) and (key.service_account_id is None or is_good(account))
        role = account.role if account else key.role
        return cls(**{**said, "role": role}, active=active, prefix=written(key.id, ""))


class NewSecret(ApiKeyView):
    """A key with its text, which no other answer shows."""

    key: str = Field(description="Keep it: it is shown this once.")

    @classmethod
    def made(cls, key: ApiKey, secret: str) -> "NewSecret":
        return cls(**_view(key).model_dump(), key=written(key.id, secret))


@router.post("", status_code=201, responses=responses(404), dependencies=[HoldsSecret])
def create_api_key(body: ApiKeyFields, caller: Issuer, response: Response) -> NewSecret:
    """Make a key. This answer is the only one that shows it, so it takes no `Idempotency-Key`."""
    id, secret = wiring.new_id("key"), wiring.new_secret()
    key = ApiKey(
        id=id,
        organization_id=caller.organization_id,
        hash=PresentedKey(id, secret).hash,
        created_by=caller.id,
        created_at=wiring.now(),
        **body.settings(caller.project_id),
    )
    issued = identity.issuing().issue(grantor(caller), key)
    response.headers["Location"] = f"{BASE}/api-keys/{id}"
    return NewSecret.made(etags.stamp(response, issued), secret)


@router.get("", responses=responses(400))
def list_api_keys(
    caller: Reader,
    paged: Paged,
    project_id: OfProject = None,
    created_by: OfMaker = None,
    service_account_id: OfAccount = None,
) -> Page[ApiKeyView]:
    """The organization's keys, newest first; to a key of one project only those of that."""
    owner, wanted = caller.organization_id, Wanted(project_id, created_by, service_account_id)
    found = identity.issuing().list(grantor(caller), wanted, limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, _views(found.items), found.next)


@router.get("/{key_id}", responses=responses(404))
def get_api_key(key_id: Id, caller: Reader, response: Response) -> ApiKeyView:
    """One key, without its secret."""
    return _view(etags.stamp(response, identity.issuing().get(grantor(caller), key_id)))


@router.patch("/{key_id}", responses=responses(404, 409, 412))
def update_api_key(
    key_id: Id, body: ApiKeyPatch, caller: Issuer, response: Response, if_match: IfMatch = None
) -> ApiKeyView:
    """Change what the body names. It counts within a minute."""
    said = {field: getattr(body, field) for field in body.model_fields_set}  # dumped, instants would be texts
    key = identity.issuing().change(grantor(caller), key_id, said, etags.guard(if_match), deadline())
    return _view(etags.stamp(response, key))


@router.delete("/{key_id}", status_code=204, responses=responses(404, 409, 412))
def revoke_api_key(key_id: Id, caller: Issuer, if_match: IfMatch = None) -> None:
    """Revoke a key, for good. Where it was used a moment ago it may work for up to 60 seconds more.

    The deployment's first key is only ended, and opens again when its secret is changed in Secrets Manager.
    """
    identity.issuing().revoke(grantor(caller), key_id, etags.guard(if_match), deadline())


@router.post("/{key_id}/rotate", responses=responses(404, 409), dependencies=[HoldsSecret])
def rotate_api_key(key_id: Id, body: Rotation, caller: Issuer, response: Response) -> NewSecret:
    """Give a key another secret, which only this answer shows. The old one works for the overlap, and up to 60 s more.

    While it does, only an overlap of 0 is taken: that shuts every secret but the new one.
    """
    secret = wiring.new_secret()
    overlap = timedelta(seconds=body.overlap_seconds)
    return NewSecret.made(
        etags.stamp(response, identity.issuing().rotate(grantor(caller), key_id, secret, overlap)), secret
    )


def _view(key: ApiKey) -> ApiKeyView:
    return _views([key])[0]


def _views(keys: Sequence[ApiKey]) -> list[ApiKeyView]:
    """`keys` with what their service accounts give them, which are read in one request."""
    accounts, now = identity.granting().accounts_of(keys), wiring.now()
    return [ApiKeyView.of(key, accounts.get(key.service_account_id or ""), now) for key in keys]
