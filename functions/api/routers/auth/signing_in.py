"""Coming in: an account, a session, its tokens, and out again."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel, Field

from functions.api import cookies as to_page
from functions.api import dependencies, identity, table
from functions.api.auth import Caller
from functions.api.cookies import CookiesView
from functions.api.dependencies import may
from functions.api.errors import responses
from functions.api.idempotency import HoldsSecret
from functions.api.routers.auth.people import (
    A_SECRET_TAKES,
    Fields,
    Leaver,
    MailedToken,
    PasswordText,
    Person,
    Stranger,
    TokensView,
    TokenText,
    UserView,
    WantsCookies,
    enrolling_from,
    handed_over,
    origin,
    wait_until,
)
from functions.api.routers.members import MemberView
from shared import wiring
from shared.domain.api_key import FIRST_KEY
from shared.domain.password import require_good
from shared.domain.role import Permission
from shared.domain.user import Applicant, EmailText
from shared.domain.workflow import Name
from shared.errors import Conflict, Forbidden
from shared.settings import settings

if TYPE_CHECKING:
    from shared.services.enrolling import Enrolling

router = table.router("auth")

KEYS_KEPT_SECONDS = 60
USER_PREFIX = "usr_"
A_LETTER = {
    "description": "A letter is on its way to the address.",
    "content": {"application/json": {"schema": {"type": "null"}}},
}

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
    cookies: WantsCookies = False


class RefreshToken(Fields):
    refresh_token: TokenText | None = Field(None, repr=False, description="A page leaves it out: it is in a cookie.")


IN_THE_COOKIE = RefreshToken()


class AccountBrief(BaseModel):
    """A service account, as the key that acts for it sees it."""

    id: str
    name: str


class MeView(BaseModel):
    """Who calls, and what they may do in the project that they mean."""

    id: str
    organization_id: str
    project_id: str
    role: str
    permissions: list[Permission]
    user: UserView | None = Field(description="null: it is an API key.")
    service_account: AccountBrief | None = Field(description="Whom the key acts for; null: for nobody.")


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


@router.post("/register", status_code=201, responses={202: A_LETTER, **responses(409)}, dependencies=[HoldsSecret])
def register(
    request: Request,
    response: Response,
    body: Registration,
    visitor: Stranger,  # noqa: ARG001  # counted
    x_api_key: Annotated[str | None, Header(description="The deployment's first key makes its first owner.")] = None,
) -> UserView | None:
    """Make an account: as the first owner, by an invitation, or, where registration is open, just so.

    Who comes just so is answered by a letter (202): only its reader learns whether there was an account already.
    """
    enrolling = enrolling_from(request)
    applicant = Applicant(body.email, body.name, body.password)
    if body.invitation is not None:
        user = enrolling.invited(applicant, body.invitation)
    elif x_api_key is not None:
        require_first_key(request, x_api_key)
        user = enrolling.first_owner(applicant)
    elif settings().open_registration:
        identity.limiter().letter(body.email, "registration")
        if settings().sends_mail:
            response.status_code = 202
            write_to(applicant, enrolling)
            return None
        user = enrolling.everybody(applicant)
    else:
        raise Forbidden("Accounts are made by invitation here.")
    identity.recovering().welcome(user)
    return UserView.of(user)


@router.post("/login")
def login(request: Request, body: Credentials, visitor: Stranger, response: Response) -> TokensView | CookiesView:
    """Open a session. A wrong password and an unknown address get the same answer in the same time."""
    if body.cookies:
        to_page.require_own_page(request)
    identity.limiter().attempt(body.email, visitor.address)
    tokens = identity.signing_in().log_in(body.email, body.password, visitor)
    answer = handed_over(request, response, tokens, cookies=body.cookies)
    identity.limiter().forgive(body.email, visitor.address)
    return answer


@router.post("/refresh", responses=responses(409))
def refresh(
    request: Request,
    visitor: Stranger,  # noqa: ARG001  # counted
    response: Response,
    body: RefreshToken = IN_THE_COOKIE,
) -> TokensView | CookiesView:
    """The next pair of tokens. A refresh token works once; one that comes again later ends its session.

    Without one in the body, that of the cookie is meant, and so the next pair is in cookies.
    """
    by_cookie = body.refresh_token is None
    text = to_page.refresh_token(request) if by_cookie else body.refresh_token
    return handed_over(request, response, identity.signing_in().refresh(text or "", origin(request)), cookies=by_cookie)


@router.post("/logout", status_code=204)
def logout(request: Request, response: Response, person: Leaver) -> None:
    """End this session. Its access tokens work for a minute more. A page loses its cookies in any case."""
    identity.signing_in().log_out(person.user.id, person.session.id, origin(request))
    to_page.clear(request, response)


@router.get("/me", responses=responses(404))
def get_me(caller: Anybody) -> MeView:
    """Who calls, and what they may do: people and keys alike."""
    user = identity.users().get(caller.id) if caller.id.startswith(USER_PREFIX) else None
    return MeView(
        id=caller.id,
        organization_id=caller.organization_id,
        project_id=caller.project_id,
        role=caller.role,
        permissions=sorted(caller.permissions),
        user=UserView.of(user) if user else None,
        service_account=_acting_for(caller),
    )


@router.post("/invitations/accept", responses=responses(409))
def accept_invitation(request: Request, body: MailedToken, person: Person) -> MemberView:
    """Join what one was invited to, with the account one has. It counts within a minute."""
    return MemberView.of(enrolling_from(request).join(person.user, body.token), person.user)


@router.get("/jwks")
def get_jwks(visitor: Stranger, response: Response) -> PublicKeys:  # noqa: ARG001  # counted
    """The keys that access tokens are signed with, for those who verify them elsewhere."""
    response.headers["Cache-Control"] = f"public, max-age={KEYS_KEPT_SECONDS}"
    return PublicKeys.model_validate({"keys": identity.signing().jwks()})


def _acting_for(caller: Caller) -> AccountBrief | None:
    """Raises NotFound: it was deleted this very moment."""
    if caller.service_account is None:
        return None
    account = identity.service_accounts().get(caller.organization_id, caller.service_account)
    return AccountBrief(id=account.id, name=account.name)


def write_to(applicant: Applicant, enrolling: "Enrolling") -> None:
    """Make an account that its owner gets by letter; or have the letter say that there is one.

    Raises:
        Invalid: the password, whether there is an account or not.
    """
    began = wiring.now()
    require_good(applicant.password, applicant.email, applicant.email.partition("@")[0], applicant.name)
    try:
        identity.recovering().welcome(enrolling.everybody(applicant, awaits_proof=True))
    except Conflict:
        identity.recovering().remind(applicant.email)
    wait_until(began + A_SECRET_TAKES)


def require_first_key(request: Request, key: str) -> None:
    """Raises Unauthenticated; Forbidden: it is another key."""
    if dependencies.admit(request, key, None, fresh=True).id != FIRST_KEY:
        raise Forbidden("It takes the deployment's first key, or an invitation.")
