"""People: how they get an account, come in, find out who they are, and leave.

Whoever asks for something that needs no account yet counts against the limit of their address.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import dependencies, limits, table
from functions.api.auth import Caller
from functions.api.bearers import SignedIn
from functions.api.dependencies import Id, Token, may
from functions.api.errors import responses
from functions.api.pages import Page, Paged
from functions.api.routers.members import MemberView
from shared import wiring
from shared.domain.api_key import FIRST_KEY
from shared.domain.password import MAX_BYTES
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.session import Session, Visitor
from shared.domain.token import MAX_LENGTH
from shared.domain.user import Applicant, EmailText, User
from shared.domain.workflow import Name
from shared.errors import Forbidden, Invalid, NotSignedIn
from shared.settings import settings

if TYPE_CHECKING:  # argon2, jwt and cryptography, for those who come with a password or a token
    from shared.services.enrolling import Enrolling
    from shared.services.signing_in import Tokens

router = table.router("auth")

FORGETTING_TAKES = timedelta(seconds=1)  # whether a mail is sent or not
KEYS_KEPT_SECONDS = 60
USER_PREFIX = "usr_"

PasswordText = Annotated[str, Field(min_length=1, max_length=MAX_BYTES, description="12 characters or more.")]
TokenText = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, description="As it was mailed.")]


def signed_in(request: Request, token: Token) -> SignedIn:
    """The person who calls, whatever they are a member of.

    Raises:
        NotSignedIn; RateLimited: their address was refused too often.
    """
    limits.require_open(request)
    try:
        return dependencies.bearers().identify(token.credentials if token else "")
    except NotSignedIn:
        limits.count_stranger(request)
        raise


def stranger(request: Request) -> Visitor:
    """Somebody who need not be known. Raises RateLimited."""
    limits.require_open(request)
    limits.count_stranger(request)
    return Visitor(request.headers.get("user-agent", ""), limits.address(request))


def refuse_key(idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None) -> None:
    """Raises Invalid: to compare a second body with the first, a hash of the password would have to be kept."""
    if idempotency_key is not None:
        raise Invalid("This body holds a password: leave the header out.", "/header/idempotency-key")


Anybody = Annotated[Caller, may()]
Person = Annotated[SignedIn, Depends(signed_in)]
Stranger = Annotated[Visitor, Depends(stranger)]


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")


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


class MailedToken(Fields):
    token: TokenText = Field(repr=False)


class Address(Fields):
    email: EmailText


class PasswordReset(Fields):
    """Another password, and the token that was mailed."""

    token: TokenText = Field(repr=False)
    password: PasswordText = Field(repr=False)


class PasswordChange(Fields):
    """Another password, and the present one."""

    current_password: PasswordText = Field(repr=False)
    password: PasswordText = Field(repr=False)


class UserView(BaseModel):
    """A person, as they see themselves."""

    id: str
    email: str
    name: str
    email_verified_at: Instant | None
    created_at: Instant

    @classmethod
    def of(cls, user: User) -> "UserView":
        return cls(**user.model_dump(include=set(cls.model_fields)))


class TokensView(BaseModel):
    """What a login gives: an access token for requests, and a refresh token for the next pair, which works once."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the word of RFC 6750
    expires_in: int = Field(description="Seconds.")
    refresh_token: str
    session_id: str


class SessionView(BaseModel):
    """A login that is still open."""

    id: str
    is_current: bool
    user_agent: str
    address: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant

    @classmethod
    def of(cls, session: Session, current: str) -> "SessionView":
        fields = session.model_dump(include=set(cls.model_fields))
        return cls(**fields, is_current=session.id == current)


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
    answer = _tokens(response, wiring.signing_in().log_in(body.email, body.password, visitor))
    wiring.limiter().forgive(body.email, visitor.address)
    return answer


@router.post("/refresh", responses=responses(409))
def refresh(body: RefreshToken, visitor: Stranger, response: Response) -> TokensView:  # noqa: ARG001  # counted
    """The next pair of tokens. A refresh token works once; one that comes again later ends its session."""
    return _tokens(response, wiring.signing_in().refresh(body.refresh_token))


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


@router.post("/change-password", status_code=204, responses=responses(409))
def change_password(request: Request, body: PasswordChange, person: Person) -> None:
    """Set another password. All other sessions end."""
    address = limits.address(request)
    wiring.limiter().attempt(person.user.email, address)
    wiring.recovering().change(person.user, person.session, body.current_password, body.password)
    wiring.limiter().forgive(person.user.email, address)


@router.get("/sessions", responses=responses(400))
def list_sessions(person: Person, paged: Paged) -> Page[SessionView]:
    """The sessions that are open, newest first."""
    mine = person.user.id
    found = wiring.signing_in().list(person.user, limit=paged.limit, after=paged.after(mine))
    return paged.answer(mine, [SessionView.of(each, person.session.id) for each in found.items], found.next)


@router.delete("/sessions/{session_id}", status_code=204, responses=responses(404))
def revoke_session(session_id: Id, person: Person) -> None:
    """End a session, wherever it was opened. Its access tokens work for a minute more."""
    wiring.signing_in().log_out(person.user.id, session_id)


@router.post("/verification", status_code=204, responses=responses(409))
def ask_for_verification(person: Person) -> None:
    """Mail a token once more that proves one's address."""
    wiring.count_letter(person.user.email)
    wiring.recovering().ask_to_verify(person.user)


@router.post("/verify", responses=responses(409))
def verify_email(body: MailedToken, visitor: Stranger) -> UserView:  # noqa: ARG001  # counted
    """Prove that an address is one's own, by what was mailed to it."""
    return UserView.of(wiring.recovering().verify(body.token))


@router.post("/forgot-password", status_code=204)
def forget_password(body: Address, visitor: Stranger) -> None:  # noqa: ARG001  # counted
    """Mail a token that sets another password. The answer is the same where there is no such account."""
    began = wiring.now()
    wiring.count_letter(body.email)
    wiring.recovering().forgotten(body.email)
    _wait_until(began + FORGETTING_TAKES)


@router.post("/reset-password", status_code=204, responses=responses(409))
def reset_password(body: PasswordReset, visitor: Stranger) -> None:  # noqa: ARG001  # counted
    """Set another password by what was mailed. All sessions end."""
    wiring.recovering().reset(body.token, body.password)


@router.post("/invitations/accept", responses=responses(409))
def accept_invitation(request: Request, body: MailedToken, person: Person) -> MemberView:
    """Join what one was invited to, with the account one has. It counts within a minute."""
    return MemberView.of(enrolling_from(request).join(person.user, body.token), person.user)


@router.get("/jwks")
def get_jwks(response: Response) -> PublicKeys:
    """The keys that access tokens are signed with, for those who verify them elsewhere."""
    response.headers["Cache-Control"] = f"public, max-age={KEYS_KEPT_SECONDS}"
    return PublicKeys.model_validate({"keys": wiring.signing().jwks()})


def enrolling_from(request: Request) -> "Enrolling":
    """What makes members, and notes where the request came from."""
    correlation_id = request.state.correlation_id
    return replace(wiring.enrolling(), address=limits.address(request) or None, correlation_id=correlation_id)


def require_first_key(request: Request, key: str) -> None:
    """Raises Unauthenticated; Forbidden: it is another key."""
    if dependencies.admit(request, key, None, fresh=True).id != FIRST_KEY:
        raise Forbidden("It takes the deployment's first key, or an invitation.")


def _tokens(response: Response, tokens: "Tokens") -> TokensView:
    response.headers["Cache-Control"] = "no-store"
    return TokensView(
        access_token=tokens.access,
        expires_in=tokens.seconds,
        refresh_token=tokens.refresh,
        session_id=tokens.session.id,
    )


def _wait_until(at: datetime) -> None:
    dependencies.sleep(max(0.0, (at - wiring.now()).total_seconds()))
