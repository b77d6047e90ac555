"""Service accounts: somebody in the organization who is no person, and for whom API keys act."""

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, identity, table
from functions.api.auth import Caller
from functions.api.bodies import Patch, RecordId
from functions.api.dependencies import Id, IfMatch, grantor, may
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work, undeleted
from functions.api.pages import Page, Paged
from functions.api.routers.api_keys import RoleId
from shared import wiring
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.service_account import PREFIX, ServiceAccount
from shared.domain.workflow import Name

router = table.router("service-accounts")

# Without keys an account is nothing: who has to do with keys has to do with accounts.
Reader = Annotated[Caller, may(Permission.keys_read)]
Editor = Annotated[Caller, may(Permission.keys_write)]


class ServiceAccountFields(BaseModel):
    """What a user says of an account. Without `project_id` it is one of the project that the request means."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: RoleId
    project_id: RecordId | None = None
    organization_wide: bool = Field(False, strict=True, description="Do its keys open all other projects, too?")


class ServiceAccountPatch(Patch):
    """What is to change; the rest stays."""

    name: Name = ""
    role: RoleId = ""


class ServiceAccountView(BaseModel):
    """A service account."""

    id: str
    organization_id: str
    project_id: str
    organization_wide: bool
    name: str
    role: str
    disabled_at: Instant | None = Field(description="Since when its keys open nothing; null: they do.")
    created_by: str
    created_at: Instant

    @classmethod
    def of(cls, account: ServiceAccount) -> "ServiceAccountView":
        return cls(**account.model_dump(include=set(cls.model_fields)))


@router.post("", status_code=201, responses=responses(404, 409))
def create_service_account(
    body: ServiceAccountFields, caller: Editor, once: OnlyOnce, response: Response
) -> ServiceAccountView:
    """Make a service account, which may do no more than its maker. Then make it a key: `POST /api-keys`."""
    owner, accounts = caller.organization_id, identity.service_accounts()

    def employ(work: Work) -> ServiceAccount:
        account = ServiceAccount(
            id=work.id(PREFIX),
            organization_id=owner,
            created_by=caller.id,
            created_at=work.at,
            **{**body.model_dump(), "project_id": body.project_id or caller.project_id},
        )
        return identity.employing().employ(grantor(caller), account)

    account = once.do(caller, body, lambda work: undeleted(accounts, owner, work.id(PREFIX)), employ)
    response.headers["Location"] = f"{BASE}/service-accounts/{account.id}"
    return ServiceAccountView.of(etags.stamp(response, account))


@router.get("", responses=responses(400))
def list_service_accounts(caller: Reader, paged: Paged) -> Page[ServiceAccountView]:
    """The organization's service accounts, newest first; to a key of one project only those of that."""
    owner = caller.organization_id
    found = identity.employing().list(grantor(caller), limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, [ServiceAccountView.of(account) for account in found.items], found.next)


@router.get("/{service_account_id}", responses=responses(404))
def get_service_account(service_account_id: Id, caller: Reader, response: Response) -> ServiceAccountView:
    """One service account."""
    return _view(response, identity.employing().get(grantor(caller), service_account_id))


@router.patch("/{service_account_id}", responses=responses(404, 409, 412))
def update_service_account(
    service_account_id: Id,
    body: ServiceAccountPatch,
    caller: Editor,
    response: Response,
    if_match: IfMatch = None,
) -> ServiceAccountView:
    """Change what the body names. Another role counts for all its keys, within a minute."""
    said = body.model_dump(exclude_unset=True)
    guard = etags.guard(if_match)
    return _view(response, identity.employing().change(grantor(caller), service_account_id, said, guard))


@router.post("/{service_account_id}/disable", responses=responses(404))
def disable_service_account(service_account_id: Id, caller: Editor, response: Response) -> ServiceAccountView:
    """Shut all its keys, until it is enabled. Where one was used a moment ago it may work for up to 60 seconds more."""
    return _view(response, identity.employing().disable(grantor(caller), service_account_id, wiring.now()))


@router.post("/{service_account_id}/enable", responses=responses(404))
def enable_service_account(service_account_id: Id, caller: Editor, response: Response) -> ServiceAccountView:
    """Let its keys in again."""
    return _view(response, identity.employing().enable(grantor(caller), service_account_id))


@router.delete("/{service_account_id}", status_code=204, responses=responses(404, 412))
def delete_service_account(service_account_id: Id, caller: Editor, if_match: IfMatch = None) -> None:
    """Remove a service account, for good. Its keys open nothing any more, within a minute; revoke them to have them out
    of the list.
    """
    identity.employing().delete(grantor(caller), service_account_id, etags.guard(if_match))


def _view(response: Response, account: ServiceAccount) -> ServiceAccountView:
    return ServiceAccountView.of(etags.stamp(response, account))
