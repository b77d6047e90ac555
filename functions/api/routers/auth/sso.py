"""Coming in by an identity provider: to the organization that trusts it, and nowhere else."""

from dataclasses import replace
from typing import Annotated

from fastapi import Request, Response
from pydantic import BaseModel, Field

from functions.api import identity, limits, table
from functions.api.cookies import CookiesView, require_own_page
from functions.api.errors import responses
from functions.api.routers.auth.people import Fields, Stranger, TokensView, TokenText, WantsCookies, handed_over
from shared.domain.login import MAX_REDIRECT
from shared.settings import settings

router = table.router("auth")

FromProvider = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[\x20-\x7e]+$")]


class SsoStart(Fields):
    """By which provider, and where the browser comes back to: a path of its own, which ends with the provider's id."""

    provider_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    redirect_uri: Annotated[str, Field(max_length=MAX_REDIRECT)]


class SsoFinish(Fields):
    """What the browser brought back, and what shows that it is for whoever began."""

    attempt: TokenText = Field(repr=False)
    state: FromProvider = Field(repr=False)
    code: FromProvider = Field(repr=False)
    cookies: WantsCookies = False


class SsoView(BaseModel):
    """Where to send the browser. `attempt` is for who began alone; it finishes the login, once, within ten minutes."""

    authorization_url: str
    attempt: str


@router.post("/sso", responses=responses(502))
def start_sso(body: SsoStart, visitor: Stranger, response: Response) -> SsoView:  # noqa: ARG001  # counted
    """Begin to log in by an identity provider (OpenID Connect, authorization code with PKCE)."""
    origins = [*settings().allowed_origins, settings().public_url]
    begun = identity.vouching().begin(body.provider_id, body.redirect_uri, origins)
    response.headers["Cache-Control"] = "no-store"
    return SsoView(authorization_url=begun.url, attempt=begun.attempt)


@router.post("/sso/finish", responses=responses(409, 502))
def finish_sso(request: Request, body: SsoFinish, visitor: Stranger, response: Response) -> TokensView | CookiesView:
    """Open a session with what the browser brought back. It opens the provider's organization, not the account."""
    if body.cookies:
        require_own_page(request)
    provider, person = identity.vouching().finish(body.attempt, body.state, body.code)
    correlation_id = request.state.correlation_id
    welcoming = replace(identity.welcoming(), address=limits.address(request) or None, correlation_id=correlation_id)
    user = welcoming.admit(provider, person)
    tokens = identity.signing_in().open(user, visitor, provider)
    return handed_over(request, response, tokens, cookies=body.cookies)
