"""`spark admin`: what a fresh deployment needs, and what its operator does once in a while."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli import account, tables, times
from cli.client import Api, Json, given
from cli.errors import ExitCode, usage
from cli.inputs import read_text
from cli.session import Noun, Session, YesOption
from cli.sweeps import SWEPT_AT_ONCE
from cli.tables import Column

if TYPE_CHECKING:  # what reads the file takes long to import, and one command reads it
    from cli.seeding import Planted

app = Noun(help="What a fresh deployment needs, and its keys from time to time.")

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="E-mail address or id.")]
FileArgument = Annotated[str | None, typer.Argument(metavar="FILE", help="YAML; - is standard input.")]


@app.verb("create-owner")
def create_owner(
    session: Session,
    email: account.EmailOption = None,
    name: Annotated[str | None, typer.Option("--name", help="What you are called.")] = None,
    password: account.PasswordOption = None,
) -> None:
    """Make the first account of a deployment, its owner. The profile has the deployment's first key."""
    account.enrol(session, email, name, password)


@app.verb()
def seed(
    session: Session,
    file: FileArgument = None,
    example: Annotated[bool, typer.Option("--example", help="Print a file to begin with.")] = False,
) -> None:
    """Make sure that projects, roles, members and sources are there as FILE says. Running it again changes nothing."""
    from cli import seed_file, seeding

    if example:
        typer.echo(seed_file.EXAMPLE, nl=False)
        return
    if file is None:
        raise usage("Say which file.", "`spark admin seed --example` prints one.")
    done: list[Planted] = []
    try:
        for planted in seeding.plant(session, seed_file.read_seed(read_text(file))):
            session.note(f"{planted.kind} {planted.name}: {planted.result}", "dim")
            done.append(planted)
    finally:
        show_planted(session, done)


@app.verb("disable-account")
def disable_account(session: Session, account: AccountArgument, yes: YesOption = False) -> None:
    """Let somebody in no more, whatever they are a member of. The profile has the deployment's first key."""
    session.confirm(f"Disable the account of {account}? All their sessions end.", yes=yes)
    show_account(session, operator(session).post("/accounts/disable", {"account": account}))
    session.note("They are shut out within a minute. API keys that they made go on: see `spark key list`.")


@app.verb("enable-account")
def enable_account(session: Session, account: AccountArgument) -> None:
    """Let somebody log in again. The profile has the deployment's first key."""
    show_account(session, operator(session).post("/accounts/enable", {"account": account}))


@app.verb("remove-second-factor")
def remove_second_factor(session: Session, account: AccountArgument, yes: YesOption = False) -> None:
    """Let somebody in who has lost phone and recovery codes. The profile has the deployment's first key."""
    session.confirm(f"Is it really {account} who asks? Their password alone will be enough.", yes=yes)
    operator(session).post("/accounts/remove-second-factor", {"account": account})
    session.note(f"{account} has no second factor any more.")


@app.verb("rotate-encryption")
def rotate_encryption(session: Session) -> None:
    """Encrypt all secrets of the organization with the deployment's present KMS key. It takes an owner."""
    matched, changed, left = 0, 0, list[str]()
    with progress_bar(session) as bar:
        task, cursor = bar.add_task("encrypting", total=None, done=0), None
        while True:
            answer = session.organization.post("/encryption/rotation", given(limit=SWEPT_AT_ONCE, cursor=cursor))
            matched, changed = matched + answer["matched"], changed + answer["changed"]
            left += answer["left"]
            bar.update(task, done=changed)
            if (cursor := answer["next_cursor"]) is None:
                break
        bar.update(task, total=1, completed=1)
    conclude(session, {"matched": matched, "changed": changed, "left": left})


def operator(session: Session) -> Api:
    """A client with the profile's key, whoever is logged in."""
    return account.stranger(session)


def show_account(session: Session, account: Json) -> None:
    if session.json:
        session.print_json(account)
        return
    disabled = times.ago(account["disabled_at"], session.now)
    said = {"account": f"{account['name']} <{account['email']}>", "id": account["id"], "disabled": disabled}
    tables.show_card(session.out, said)


def progress_bar(session: Session) -> Progress:
    """How many there are, nobody knows before the end."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
        console=session.notes,
        disable=session.json or not session.notes.is_terminal,
    )


def conclude(session: Session, total: Json) -> None:
    if session.json:
        session.print_json(total)
    session.note(f"{total['changed']} of {total['matched']} encrypted with the present key; nothing is left to do.")
    if total["left"]:
        session.note(f"KMS does not open what {', '.join(total['left'])} keep: set it again.", "red")
        raise typer.Exit(ExitCode.failed)


def show_planted(session: Session, done: "list[Planted]") -> None:
    rows: list[Json] = [{"kind": one.kind, "name": one.name, "result": one.result} for one in done]
    if session.json:
        session.print_json(rows)
    else:
        tables.show_table(session.out, rows, PLANTED)


PLANTED = [
    Column("KIND", lambda row: row["kind"]),
    Column("NAME", lambda row: row["name"], style="bold", flexible=True),
    Column("RESULT", lambda row: row["result"]),
]
