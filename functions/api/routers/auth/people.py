"""What the endpoints about people have in common: who calls them, and how a person is shown."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import cookies as to_page
from functions.api import dependencies, identity, limits
from functions.api.bearers import SignedIn
from functions.api.cookies import CookiesView
from functions.api.dependencies import Token
from functions.api.errors import FORGETS_COOKIES
from shared import wiring
from shared.domain.act import Origin
from shared.domain.password import MAX_BYTES
from shared.domain.record import Instant
from shared.domain.session import Visitor
from shared.domain.token import MAX_LENGTH
from shared.domain.user import User
from shared.errors import Forbidden, NotSignedIn

if TYPE_CHECKING:  # argon2, jwt and cryptography, for those who come with a password or a token
    from shared.services.enrolling import Enrolling
    from shared.services.signing_in import Tokens

A_SECRET_TAKES = timedelta(seconds=1)
"""So long takes what nobody shall learn from: whether there is an account, hence a mail to be sent."""

PasswordText = Annotated[str, Field(min_length=1, max_length=MAX_BYTES, description="12 characters or more.")]
TokenText = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, description="As it was mailed.")]
WantsCookies = Annotated[
    bool, Field(description="For pages of this origin: the tokens in cookies that no script reads, not in the answer.")
]


def signed_in(request: Request, token: Token) -> SignedIn:
    """The person who calls, whatever they are a member of.

    Raises:
        NotSignedIn; Forged; RateLimited: their address was refused too often, or they ask too often.
    """
    text = dependencies.access_token(request, token)
    limits.require_open(request)
    try:
        person = dependencies.bearers().identify(text or "")
    except NotSignedIn:
        limits.count_stranger(request, refused=True)
        raise
    limits.count_person(request, person.user.id)
    return person


def stranger(request: Request) -> Visitor:
    """Somebody who need not be known. Raises RateLimited."""
    limits.require_open(request)
    limits.count_stranger(request)
    return Visitor(request.headers.get("user-agent", ""), limits.address(request), request.state.correlation_id)


def leaving(request: Request, token: Token) -> SignedIn:
    """The same, whoever vouches for them: to leave is always allowed. The cookies of a page go, whoever it was.

    Raises:
        NotSignedIn; Forged; RateLimited.
    """
    try:
        return signed_in(request, token)
    except NotSignedIn:
        if token is None:
            setattr(request.state, FORGETS_COOKIES, True)
        raise


def by_themselves(who: Annotated[SignedIn, Depends(signed_in)]) -> SignedIn:
    """The same, if they showed that the account is theirs.

    Raises:
        Forbidden: an identity provider vouches for it, which counts in its own organization and not for the account.
    """
    if who.provider is not None:
        raise Forbidden("An identity provider let you in: to your organization, not to your account. Log in yourself.")
    return who


def wait_until(at: datetime) -> None:
    """Hold the answer, so that it does not come sooner where there was less to do."""
    dependencies.sleep(max(0.0, (at - wiring.now()).total_seconds()))


Person = Annotated[SignedIn, Depends(by_themselves)]
Leaver = Annotated[SignedIn, Depends(leaving)]
Stranger = Annotated[Visitor, Depends(stranger)]


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MailedToken(Fields):
    token: TokenText = Field(repr=False)


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


def handed_over(request: Request, response: Response, tokens: "Tokens", *, cookies: bool) -> TokensView | CookiesView:
    """The tokens in the answer, or, for a page, in cookies. Raises Forged."""
    if not cookies:
        return shown(response, tokens)
    return to_page.hand_over(request, response, tokens)


def origin(request: Request) -> Origin:
    """Where `request` came from, for the audit log."""
    return Origin(limits.address(request) or None, request.state.correlation_id)


def enrolling_from(request: Request) -> "Enrolling":
    """What makes members, and notes where the request came from."""
    correlation_id = request.state.correlation_id
    return replace(identity.enrolling(), address=limits.address(request) or None, correlation_id=correlation_id)


def shown(response: Response, tokens: "Tokens") -> TokensView:
    """The tokens as an answer that nobody keeps."""
    response.headers["Cache-Control"] = "no-store"
    return TokensView(
        access_token=tokens.access,
        expires_in=tokens.seconds,
        refresh_token=tokens.refresh,
        session_id=tokens.session.id,
    )
