"""Another password, with the present one or without, and proving that an address is one's own."""

from fastapi import Request
from pydantic import Field

from functions.api import identity, limits, table
from functions.api.errors import responses
from functions.api.routers.auth.people import (
    A_SECRET_TAKES,
    Fields,
    MailedToken,
    PasswordText,
    Person,
    Stranger,
    TokenText,
    UserView,
    origin,
    wait_until,
)
from shared import wiring
from shared.domain.user import EmailText

router = table.router("auth")


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


@router.post("/change-password", status_code=204, responses=responses(409))
def change_password(request: Request, body: PasswordChange, person: Person) -> None:
    """Set another password. All other sessions end."""
    address = limits.address(request)
    identity.limiter().attempt(person.user.email, address)
    said = (body.current_password, body.password)
    identity.recovering().change(person.user, person.session, *said, origin(request))
    identity.limiter().forgive(person.user.email, address)


@router.post("/verification", status_code=204, responses=responses(409))
def ask_for_verification(person: Person) -> None:
    """Mail a token once more that proves one's address."""
    identity.limiter().letter(person.user.email, "verification")
    identity.recovering().ask_to_verify(person.user)


@router.post("/verify", responses=responses(409))
def verify_email(request: Request, body: MailedToken, visitor: Stranger) -> UserView:  # noqa: ARG001  # counted
    """Prove that an address is one's own, by what was mailed to it."""
    return UserView.of(identity.recovering().verify(body.token, origin(request)))


@router.post("/forgot-password", status_code=204)
def forget_password(body: Address, visitor: Stranger) -> None:  # noqa: ARG001  # counted
    """Mail a token that sets another password, once in half an hour at most; each is good for an hour. The answer is
    the same where there is no such account."""
    began = wiring.now()
    identity.recovering().forgotten(body.email)
    wait_until(began + A_SECRET_TAKES)


@router.post("/reset-password", status_code=204, responses=responses(409))
def reset_password(request: Request, body: PasswordReset, visitor: Stranger) -> None:  # noqa: ARG001  # counted
    """Set another password by what was mailed. All sessions end."""
    identity.recovering().reset(body.token, body.password, origin(request))
