"""`spark account mfa`: the second factor of one's account. An app has its secret, a phone may be added."""

from io import StringIO
from typing import Annotated, Any

import typer
from rich.text import Text

from cli import account, tables, times
from cli.client import Json
from cli.errors import speaking_of
from cli.session import Noun, Session

app = Noun(help="A second factor for your account: codes of an app, besides the password.")

FIELDS = {"current_password": "--current", "code": "--code", "number": "NUMBER"}  # nosec B105

CurrentOption = Annotated[
    str | None, typer.Option("--current", metavar="-|env:NAME", help="Your password: - asks or reads stdin.")
]
CodeOption = Annotated[
    str | None, typer.Option("--code", metavar="CODE|-|env:NAME", help="Of your app, or a recovery code.")
]


@app.verb()
def status(session: Session) -> None:
    """Show whether there is a second factor, and how many recovery codes are left."""
    show(session, session.api.get("/auth/mfa"))


@app.verb()
def enable(session: Session, current: CurrentOption = None) -> None:
    """Switch it on: a picture for your authenticator app, which you confirm by a code of it."""
    begun = prove(session, "/auth/mfa/totp", {"current_password": password(session, current)})
    if not session.has_user:
        session.print_json({"secret": begun["secret"], "uri": begun["uri"]})
        session.note("It counts when a code of it has come: spark account mfa confirm --code -")
        return
    session.notes.print(Text(picture(begun["uri"])), soft_wrap=True)
    session.notes.print(Text(f"Or by hand: {begun['secret']}"), soft_wrap=True)
    finish(session, account.ask(session, None, "Code of your app"))


@app.verb()
def confirm(session: Session, code: CodeOption = None) -> None:
    """Switch on what `enable` has begun, by a code of the app. Shows the recovery codes, once."""
    finish(session, account.read_code(session, code, "Code of your app"))


@app.verb("recovery-codes")
def recovery_codes(session: Session, current: CurrentOption = None, code: CodeOption = None) -> None:
    """Get other recovery codes. Those before are void."""
    show_codes(session, prove(session, "/auth/mfa/recovery-codes", proof(session, current, code)))


@app.verb()
def phone(
    session: Session,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Like +5511987654321.")],
    current: CurrentOption = None,
    code: CodeOption = None,
) -> None:
    """Have codes sent to a phone, where this deployment sends text messages."""
    prove(session, "/auth/mfa/phone", {**proof(session, current, code), "number": number})
    if not session.has_user:
        session.note("It counts when the code that was sent has come: spark account mfa confirm-phone --code -")
        return
    finish_phone(session, account.ask(session, None, f"Code that was sent to {number}"))


@app.verb("confirm-phone")
def confirm_phone(
    session: Session,
    code: Annotated[str | None, typer.Option("--code", metavar="CODE|-|env:NAME", help="That was sent to it.")] = None,
) -> None:
    """Take the phone that `phone` has named, by the code that was sent to it."""
    finish_phone(session, account.read_code(session, code, "Code that was sent"))


@app.verb()
def disable(session: Session, current: CurrentOption = None, code: CodeOption = None) -> None:
    """Switch it off. If the phone is lost, a recovery code will do."""
    prove(session, "/auth/mfa/disable", proof(session, current, code))
    session.note("Your password alone is enough again.")


def finish(session: Session, code: str) -> None:
    show_codes(session, prove(session, "/auth/mfa/totp/confirm", {"code": code}))


def finish_phone(session: Session, code: str) -> None:
    show(session, prove(session, "/auth/mfa/phone/confirm", {"code": code}))


def prove(session: Session, path: str, body: Json) -> Any:
    """A request that shows who one is. It is sent once: each counts as an attempt, and uses its code up."""
    session.api.get("/auth/me")  # renews a token that is over
    with speaking_of(FIELDS):
        return session.api.reveal(path, body, renew=False)


def proof(session: Session, current: str | None, code: str | None) -> Json:
    return {"current_password": password(session, current), "code": account.read_code(session, code, account.A_CODE)}


def password(session: Session, current: str | None) -> str:
    return account.secret(session, current, "Present password")


def picture(uri: str) -> str:
    """`uri` as a QR code of block characters."""
    import segno  # for those who switch it on

    drawn = StringIO()
    segno.make(uri, micro=False).terminal(out=drawn, compact=True)
    return drawn.getvalue()


def show_codes(session: Session, answer: Json) -> None:
    if session.json:
        session.print_json(answer)
        return
    for code in answer["recovery_codes"]:
        typer.echo(code)
    session.note("Keep these recovery codes: each lets you in once, without the app. Nobody sees them again.", "yellow")


def show(session: Session, state: Json) -> None:
    if session.json:
        session.print_json(state)
        return
    tables.show_card(
        session.out,
        {
            "second factor": Text("on" if state["enabled"] else "off", "bold"),
            "ways": " ".join(state["methods"]),
            "recovery codes left": str(state["recovery_codes_left"]),
            "phone": state["phone"] or "",
            "since": times.ago(state["confirmed_at"], session.now) if state["confirmed_at"] else "",
        },
    )
