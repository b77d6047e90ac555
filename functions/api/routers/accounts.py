"""Accounts of people, as the operator of the deployment has to do with them: whoever has its first key."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from functions.api import identity, table
from functions.api.auth import Caller
from functions.api.bodies import RecordId
from functions.api.dependencies import may
from functions.api.errors import responses
from shared.domain.act import Origin
from shared.domain.api_key import FIRST_KEY
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.user import EmailText, User
from shared.errors import Forbidden
from shared.services.witnessing import Operator

router = table.router("accounts")

Owner = Annotated[Caller, may(Permission.organization_write)]


class Account(BaseModel):
    """Whose it is: an e-mail address or an id."""

    model_config = ConfigDict(extra="forbid")

    account: EmailText | RecordId = Field(description="An e-mail address or an id.")


class AccountView(BaseModel):
    """An account, without what is secret about it."""

    id: str
    email: str
    name: str
    email_verified_at: Instant | None
    disabled_at: Instant | None = Field(description="Since when it lets nobody in; null: it does.")
    created_at: Instant

    @classmethod
    def of(cls, user: User) -> "AccountView":
        return cls(**user.model_dump(include=set(cls.model_fields)))


@router.post("/disable", responses=responses(404))
def disable_account(body: Account, caller: Owner) -> AccountView:
    """Let somebody in no more, whatever they are a member of: all their sessions end, within a minute. API keys that
    they made are their organizations', and go on. It takes the deployment's first key."""
    return AccountView.of(identity.barring().disable(operator(caller), body.account))


@router.post("/enable", responses=responses(404))
def enable_account(body: Account, caller: Owner) -> AccountView:
    """Let somebody log in again. It takes the deployment's first key."""
    return AccountView.of(identity.barring().enable(operator(caller), body.account))


@router.post("/remove-second-factor", status_code=204, responses=responses(404, 409))
def remove_second_factor(body: Account, caller: Owner) -> None:
    """Take the second factor from somebody who has lost phone and recovery codes: their password alone is enough then.
    It takes the deployment's first key."""
    by = operator(caller)
    identity.securing().remove(identity.barring().find(body.account), by)


def operator(caller: Caller) -> Operator:
    """Raises Forbidden: an account may belong to many organizations, so no owner of one bars it."""
    if caller.id != FIRST_KEY:
        raise Forbidden("It takes the deployment's first key: an account belongs to no organization.")
    return Operator(caller.id, Origin(caller.address or None, caller.correlation_id or None))
