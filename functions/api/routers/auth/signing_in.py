"""Coming in: an account, a session, its tokens, and out again."""

from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, Field

from functions.api import dependencies, table
from functions.api.auth import Caller
from functions.api.dependencies import may
from functions.api.errors import responses
from functions.api.routers.auth.people import (
    Fields,
    MailedToken,
    PasswordText,
    Person,
    Stranger,
    TokensView,
    TokenText,
    UserView,
    enrolling_from,
    refuse_key,
    shown,
)
from functions.api.routers.members import MemberView
from shared import wiring
from shared.domain.api_key import FIRST_KEY
from shared.domain.role import Permission
from shared.domain.user import Applicant, EmailText
from shared.domain.workflow import Name
from shared.errors import Forbidden
from shared.settings import settings

router = table.router("auth")

KEYS_KEPT_SECONDS = 60
USER_PREFIX = "usr_"

Anybody = Annotated[Caller, may()]


class Registration(Fields):
    """Who wants an account, and what lets them in."""

    email: EmailText
    name: Name
    password: PasswordText = Field(repr=False)
    invitation: TokenText | None = Field(None, repr=False)


class Credentials(Fields):
    email: EmailText
    password: PasswordText = Field(repr=False)


class RefreshToken(Fields):
    refresh_token: TokenText = Field(repr=False)


class MeView(BaseModel):
    """Who calls, and what they may do in the project that they mean."""

    id: str
    organization_id: str
    project_id: str
    role: str
    permissions: list[Permission]
    user: UserView | None = Field(description="null: it is an API key.")


class PublicKey(BaseModel):
    """One of the keys that access tokens are signed with (RFC 7517)."""

    kid: str
    kty: str
    crv: str
    alg: str
    use: str
    x: str
    y: str


class PublicKeys(BaseModel):
    keys: list[PublicKey]


@router.post("/register", status_code=201, responses=responses(409), dependencies=[Depends(refuse_key)])
def register(
    request: Request,
    body: Registration,
    visitor: Stranger,  # noqa: ARG001  # counted
    x_api_key: Annotated[str | None, Header(description="The deployment's first key makes its first owner.")] = None,
) -> UserView:
    """Make an account: as the first owner, by an invitation, or, where registration is open, just so."""
    enrolling = enrolling_from(request)
    applicant = Applicant(body.email, body.name, body.password)
    if body.invitation is not None:
        user = enrolling.invited(applicant, body.invitation)
    elif x_api_key is not None:
        require_first_key(request, x_api_key)
        user = enrolling.first_owner(applicant)
    elif settings().open_registration:
        wiring.count_letter(body.email)
        user = enrolling.everybody(applicant)
    else:
        raise Forbidden("Accounts are made by invitation here.")
    wiring.recovering().welcome(user)
    return UserView.of(user)


@router.post("/login")
def login(body: Credentials, visitor: Stranger, response: Response) -> TokensView:
    """Open a session. A wrong password and an unknown address get the same answer in the same time."""
    wiring.limiter().attempt(body.email, visitor.address)
    answer = shown(response, wiring.signing_in().log_in(body.email, body.password, visitor))
    wiring.limiter().forgive(body.email, visitor.address)
    return answer


@router.post("/refresh", responses=responses(409))
def refresh(body: RefreshToken, visitor: Stranger, response: Response) -> TokensView:  # noqa: ARG001  # counted
    """The next pair of tokens. A refresh token works once; one that comes again later ends its session."""
    return shown(response, wiring.signing_in().refresh(body.refresh_token))


@router.post("/logout", status_code=204)
def logout(person: Person) -> None:
    """End this session. Its access tokens work for a minute more."""
    wiring.signing_in().log_out(person.user.id, person.session.id)


@router.get("/me", responses=responses(404))
def get_me(caller: Anybody) -> MeView:
    """Who calls, and what they may do: people and keys alike."""
    user = wiring.users().get(caller.id) if caller.id.startswith(USER_PREFIX) else None
    return MeView(
        id=caller.id,
        organization_id=caller.organization_id,
        project_id=caller.project_id,
        role=caller.role,
        permissions=sorted(caller.permissions),
        user=UserView.of(user) if user else None,
    )


@router.post("/invitations/accept", responses=responses(409))
def accept_invitation(request: Request, body: MailedToken, person: Person) -> MemberView:
    """Join what one was invited to, with the account one has. It counts within a minute."""
    return MemberView.of(enrolling_from(request).join(person.user, body.token), person.user)


@router.get("/jwks")
def get_jwks(response: Response) -> PublicKeys:
    """The keys that access tokens are signed with, for those who verify them elsewhere."""
    response.headers["Cache-Control"] = f"public, max-age={KEYS_KEPT_SECONDS}"
    return PublicKeys.model_validate({"keys": wiring.signing().jwks()})


def require_first_key(request: Request, key: str) -> None:
    """Raises Unauthenticated; Forbidden: it is another key."""
    if dependencies.admit(request, key, None, fresh=True).id != FIRST_KEY:
        raise Forbidden("It takes the deployment's first key, or an invitation.")
