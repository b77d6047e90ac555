"""What the endpoints about people have in common: who calls them, and how a person is shown."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import dependencies, limits
from functions.api.bearers import SignedIn
from functions.api.dependencies import Token
from shared import wiring
from shared.domain.password import MAX_BYTES
from shared.domain.record import Instant
from shared.domain.session import Visitor
from shared.domain.token import MAX_LENGTH
from shared.domain.user import User
from shared.errors import Invalid, NotSignedIn

if TYPE_CHECKING:  # argon2, jwt and cryptography, for those who come with a password or a token
    from shared.services.enrolling import Enrolling
    from shared.services.signing_in import Tokens

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


Person = Annotated[SignedIn, Depends(signed_in)]
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


def enrolling_from(request: Request) -> "Enrolling":
    """What makes members, and notes where the request came from."""
    correlation_id = request.state.correlation_id
    return replace(wiring.enrolling(), address=limits.address(request) or None, correlation_id=correlation_id)


def shown(response: Response, tokens: "Tokens") -> TokensView:
    """The tokens as an answer that nobody keeps."""
    response.headers["Cache-Control"] = "no-store"
    return TokensView(
        access_token=tokens.access,
        expires_in=tokens.seconds,
        refresh_token=tokens.refresh,
        session_id=tokens.session.id,
    )
