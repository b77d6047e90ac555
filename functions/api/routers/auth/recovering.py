"""Another password, with the present one or without, and proving that an address is one's own."""

from datetime import datetime, timedelta

from fastapi import Request
from pydantic import Field

from functions.api import dependencies, limits, table
from functions.api.errors import responses
from functions.api.routers.auth.people import (
    Fields,
    MailedToken,
    PasswordText,
    Person,
    Stranger,
    TokenText,
    UserView,
)
from shared import wiring
from shared.domain.user import EmailText

router = table.router("auth")

FORGETTING_TAKES = timedelta(seconds=1)  # whether a mail is sent or not


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
    wiring.limiter().attempt(person.user.email, address)
    wiring.recovering().change(person.user, person.session, body.current_password, body.password)
    wiring.limiter().forgive(person.user.email, address)


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


def _wait_until(at: datetime) -> None:
    dependencies.sleep(max(0.0, (at - wiring.now()).total_seconds()))
