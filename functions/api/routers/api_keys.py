"""API keys: `spk_<id>_<secret>`. The secret is shown once, when it is made; only a hash of it is kept.

Whoever was let in is remembered for a minute: so long may a key work on that was revoked, changed, or is over.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, table
from functions.api.auth import Caller
from functions.api.bodies import Patch, RecordId
from functions.api.dependencies import Id, IfMatch, deadline, grantor, may
from functions.api.errors import responses
from functions.api.idempotency import RevealsSecret
from functions.api.pages import Page, Paged
from shared import wiring
from shared.domain.api_key import ApiKey, PresentedKey, written
from shared.domain.record import Instant, Moment
from shared.domain.role import Permission
from shared.domain.workflow import Name

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


class ApiKeyFields(BaseModel):
    """What a user says of a key. Without `project_id` it is for the project that the request means."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: RoleId
    project_id: RecordId | None = None
    organization_wide: bool = Field(False, strict=True, description="Does it open all other projects, too?")
    valid_until: Until | None = None
    per_minute: PerMinute | None = None
    daily_quota: PerDay | None = None


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
    role: str
    prefix: str = Field(description="How it begins, to tell it from others.")
    valid_until: Instant | None
    previous_until: Instant | None = Field(description="So long does the secret before the last rotation work.")
    per_minute: int | None
    daily_quota: int | None
    last_used_at: Instant | None = Field(description="Up to five minutes old.")
    created_by: str
    created_at: Instant

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyView":
        return cls(**key.model_dump(include=set(cls.model_fields)), prefix=written(key.id, ""))


class NewSecret(ApiKeyView):
    """A key with its text, which no other answer shows."""

    key: str = Field(description="Keep it: it is shown this once.")

    @classmethod
    def made(cls, key: ApiKey, secret: str) -> "NewSecret":
        return cls(**ApiKeyView.of(key).model_dump(), key=written(key.id, secret))


@router.post("", status_code=201, responses=responses(404), dependencies=[RevealsSecret])
def create_api_key(body: ApiKeyFields, caller: Issuer, response: Response) -> NewSecret:
    """Make a key. This answer is the only one that shows it, so it takes no `Idempotency-Key`."""
    id, secret = wiring.new_id("key"), wiring.new_secret()
    key = ApiKey(
        id=id,
        organization_id=caller.organization_id,
        hash=PresentedKey(id, secret).hash,
        created_by=caller.id,
        created_at=wiring.now(),
        **{**body.model_dump(), "project_id": body.project_id or caller.project_id},
    )
    issued = wiring.issuing().issue(grantor(caller), key)
    response.headers["Location"] = f"{BASE}/api-keys/{id}"
    return NewSecret.made(etags.stamp(response, issued), secret)


@router.get("", responses=responses(400))
def list_api_keys(caller: Reader, paged: Paged, project_id: OfProject = None) -> Page[ApiKeyView]:
    """The organization's keys, newest first; to a key of one project only those of that."""
    owner = caller.organization_id
    found = wiring.issuing().list(grantor(caller), project_id, limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, [ApiKeyView.of(key) for key in found.items], found.next)


@router.get("/{key_id}", responses=responses(404))
def get_api_key(key_id: Id, caller: Reader, response: Response) -> ApiKeyView:
    """One key, without its secret."""
    return ApiKeyView.of(etags.stamp(response, wiring.issuing().get(grantor(caller), key_id)))


@router.patch("/{key_id}", responses=responses(404, 409, 412))
def update_api_key(
    key_id: Id, body: ApiKeyPatch, caller: Issuer, response: Response, if_match: IfMatch = None
) -> ApiKeyView:
    """Change what the body names. It counts within a minute."""
    said = {field: getattr(body, field) for field in body.model_fields_set}  # dumped, instants would be texts
    key = wiring.issuing().change(grantor(caller), key_id, said, etags.guard(if_match), deadline())
    return ApiKeyView.of(etags.stamp(response, key))


@router.delete("/{key_id}", status_code=204, responses=responses(404, 409, 412))
def revoke_api_key(key_id: Id, caller: Issuer, if_match: IfMatch = None) -> None:
    """Revoke a key, for good. Where it was used a moment ago it may work for up to 60 seconds more.

    The deployment's first key is only ended, and opens again when its secret is changed in Secrets Manager.
    """
    wiring.issuing().revoke(grantor(caller), key_id, etags.guard(if_match), deadline())


@router.post("/{key_id}/rotate", responses=responses(404, 409), dependencies=[RevealsSecret])
def rotate_api_key(key_id: Id, body: Rotation, caller: Issuer, response: Response) -> NewSecret:
    """Give a key another secret, which only this answer shows. The old one works for the overlap, and up to 60 s more.

    While it does, only an overlap of 0 is taken: that shuts every secret but the new one.
    """
    secret = wiring.new_secret()
    overlap = timedelta(seconds=body.overlap_seconds)
    return NewSecret.made(
        etags.stamp(response, wiring.issuing().rotate(grantor(caller), key_id, secret, overlap)), secret
    )
