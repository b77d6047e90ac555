"""A second factor: the second step of a login, and switching it on and off.

All these bodies hold passwords, codes or challenges, and a code works once: nothing here is answered a second time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Request, Response
from pydantic import BaseModel, Field

from functions.api import identity, limits, table
from functions.api.cookies import CookiesView, require_own_page
from functions.api.errors import responses
from functions.api.idempotency import HoldsSecret
from functions.api.routers.auth.people import (
    Fields,
    PasswordText,
    Person,
    Stranger,
    TokensView,
    WantsCookies,
    handed_over,
    origin,
)
from shared.domain import second_factor as rules
from shared.domain.record import Instant
from shared.domain.second_factor import MAX_CODE, Method, PhoneNumber, SecondFactor
from shared.domain.user import User

router = table.router("auth")

MAX_CHALLENGE = 2000
UNSTORED = [HoldsSecret]

CodeText = Annotated[
    str, Field(min_length=1, max_length=MAX_CODE, description="Six digits, or a recovery code; blanks do not matter.")
]
ChallengeText = Annotated[str, Field(min_length=1, max_length=MAX_CHALLENGE, description="What the login answered.")]


class Challenged(Fields):
    challenge: ChallengeText = Field(repr=False)


class SecondStep(Challenged):
    """What the login asked for besides the password."""

    code: CodeText = Field(repr=False)
    method: Method | None = Field(None, description="Without it, six digits are those of the app.")
    cookies: WantsCookies = False


class Password(Fields):
    current_password: PasswordText = Field(repr=False)


class Code(Fields):
    code: CodeText = Field(repr=False)


class Proof(Fields):
    """The password, and a code of the second factor: the app's, or a recovery code."""

    current_password: PasswordText = Field(repr=False)
    code: CodeText = Field(repr=False)


class Phone(Proof):
    number: PhoneNumber = Field(description="In the form of E.164, like +5511987654321.")


class SecondFactorView(BaseModel):
    """How one's account is secured besides the password."""

    enabled: bool
    methods: list[Method]
    recovery_codes_left: int
    phone: str | None = Field(description="Its last digits.")
    confirmed_at: Instant | None

    @classmethod
    def of(cls, factor: SecondFactor | None) -> "SecondFactorView":
        if factor is None or not factor.is_confirmed:
            return cls(enabled=False, methods=[], recovery_codes_left=0, phone=None, confirmed_at=None)
        return cls(
            enabled=True,
            methods=rules.methods(factor, with_texts=identity.texts().is_on),
            recovery_codes_left=len(factor.recovery_hashes),
            phone=f"…{factor.phone[-2:]}" if factor.phone else None,
            confirmed_at=factor.confirmed_at,
        )


class EnrolmentView(BaseModel):
    """What an authenticator app is told, once: by its camera, by a link, or by hand."""

    secret: str
    uri: str = Field(description="otpauth://…")
    qr: str = Field(description="The same as a picture: a data: URI of SVG.")


class RecoveryCodesView(BaseModel):
    """Each lets its owner in once, without the app. They are shown this one time."""

    recovery_codes: list[str]


@router.post("/login/second-factor", dependencies=UNSTORED)
def log_in_with_second_factor(
    request: Request, body: SecondStep, visitor: Stranger, response: Response
) -> TokensView | CookiesView:
    """The second step of a login, where the first was answered `second_factor_required`. A code works once."""
    if body.cookies:
        require_own_page(request)
    user = identity.proving().challenged(body.challenge)
    with counted(user, visitor.address, body.code, body.method):
        identity.proving().use(user, body.code, body.method)
    return handed_over(request, response, identity.signing_in().open(user, visitor), cookies=body.cookies)


@router.post("/login/second-factor/sms", status_code=204, responses=responses(409), dependencies=UNSTORED)
def text_second_factor(body: Challenged, visitor: Stranger) -> None:  # noqa: ARG001  # counted
    """Send a code to the phone of whoever is logging in. It is good for five minutes; the one before is void."""
    user = identity.proving().challenged(body.challenge)
    identity.limiter().text(user.id)
    identity.proving().text(user)


@router.get("/mfa")
def get_second_factor(person: Person) -> SecondFactorView:
    """Is a second factor switched on, and which ways does it know?"""
    return SecondFactorView.of(identity.second_factors().find(person.user.id))


@router.post("/mfa/totp", responses=responses(409), dependencies=UNSTORED)
def begin_second_factor(request: Request, body: Password, person: Person, response: Response) -> EnrolmentView:
    """Begin to switch on a second factor: a secret for an authenticator app. It counts once a code confirms it."""
    with counted(person.user, limits.address(request)):
        enrolment = identity.securing().begin(person.user, body.current_password)
    response.headers["Cache-Control"] = "no-store"
    return EnrolmentView(secret=enrolment.secret, uri=enrolment.uri, qr=qr(enrolment.uri))


@router.post("/mfa/totp/confirm", responses=responses(409), dependencies=UNSTORED)
def confirm_second_factor(request: Request, body: Code, person: Person, response: Response) -> RecoveryCodesView:
    """Switch the second factor on, by a code of the app. Sessions that are open go on."""
    with counted(person.user, limits.address(request), body.code, Method.totp):
        codes = identity.securing().confirm(person.user, body.code, origin(request))
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodesView(recovery_codes=codes)


@router.post("/mfa/recovery-codes", dependencies=UNSTORED)
def renew_recovery_codes(request: Request, body: Proof, person: Person, response: Response) -> RecoveryCodesView:
    """Get other recovery codes. Those before are void."""
    with counted(person.user, limits.address(request), body.code):
        said = (body.current_password, body.code)
        codes = identity.securing().renew_recovery_codes(person.user, *said, origin(request))
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodesView(recovery_codes=codes)


@router.post("/mfa/disable", status_code=204, responses=responses(409), dependencies=UNSTORED)
def disable_second_factor(request: Request, body: Proof, person: Person) -> None:
    """Switch the second factor off. Whoever has lost their phone has a recovery code for it."""
    with counted(person.user, limits.address(request), body.code):
        identity.securing().disable(person.user, body.current_password, body.code, origin(request))


@router.post("/mfa/phone", status_code=204, responses=responses(409), dependencies=UNSTORED)
def add_phone(request: Request, body: Phone, person: Person) -> None:
    """Send a code to a phone number, which makes it another way in besides the app."""
    identity.limiter().text(person.user.id)
    with counted(person.user, limits.address(request), body.code):
        identity.securing().add_phone(person.user, body.current_password, body.code, body.number)


@router.post("/mfa/phone/confirm", responses=responses(409), dependencies=UNSTORED)
def confirm_phone(request: Request, body: Code, person: Person) -> SecondFactorView:
    """Prove that the number is one's own, by what was sent to it."""
    with counted(person.user, limits.address(request), body.code, Method.sms):
        return SecondFactorView.of(identity.securing().confirm_phone(person.user, body.code, origin(request)))


@contextmanager
def counted(user: User, address: str, code: str | None = None, method: Method | None = None) -> Iterator[None]:
    """Count an attempt to prove who one is before anything is looked at, and forgive it if it was right.

    Raises:
        RateLimited: there were too many.
    """
    limiter = identity.limiter()
    is_guess = code is not None and (method or rules.method_of(code)).is_guessable
    limiter.attempt(user.email, address)
    if is_guess:
        limiter.guess(user.id)
    yield
    limiter.forgive(user.email, address)
    if is_guess:
        limiter.forgive_guesses(user.id)


def qr(uri: str) -> str:
    """`uri` as a picture."""
    import segno  # for those who switch it on

    return str(segno.make(uri, micro=False).svg_data_uri(scale=4))
