"""`spark service-account`: somebody in the organization who is no person, and for whom API keys act."""

from typing import Annotated, Any

import typer
from rich.text import Text

from cli import completion, ids, tables, times
from cli.api_keys import EVERY_PROJECT, project_of, role_id
from cli.client import Json, given
from cli.errors import speaking_of, usage
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="Service accounts: what acts for the organization and is no person.")

NOUN = "service-accounts"
OPTIONS = {"role": "--role", "project_id": "--project"}

AccountArgument = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Name or id.", autocompletion=completion.names(NOUN))
]
RoleOption = Annotated[
    str | None,
    typer.Option("--role", help="What it may do: see `spark role list`.", autocompletion=completion.names("roles")),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb()
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    role: RoleOption = "viewer",
    organization_wide: Annotated[
        bool, typer.Option("--organization-wide", help="Its keys open every project, not only this one.")
    ] = False,
) -> None:
    """Make a service account of the project in use."""
    body = given(name=name, role=role_id(session, role), organization_wide=organization_wide or None)
    with speaking_of(OPTIONS):
        made = session.api.post(f"/{NOUN}", body)
    show(session, made)
    session.note(f"Make it a key: spark key create NAME --service-account {tables.short(made['id'])}", "dim")


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the service accounts, newest first."""
    accounts = list(session.organization.items(f"/{NOUN}", limit))
    if session.json:
        session.print_json(accounts)
    else:
        tables.show_table(session.out, accounts, columns(session))


@app.verb()
def get(session: Session, account: AccountArgument) -> None:
    """Show a service account."""
    show(session, session.api.get(path(session, account)))


@app.verb()
def update(
    session: Session,
    account: AccountArgument,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    role: RoleOption = None,
) -> None:
    """Change a service account: only what is named. Another role counts for all its keys, within a minute."""
    body = given(name=name, role=role_id(session, role))
    if not body:
        raise usage("Say what to change.", "See `spark service-account update --help`.")
    with speaking_of(OPTIONS):
        show(session, session.api.patch(path(session, account), body))


@app.verb()
def disable(session: Session, account: AccountArgument) -> None:
    """Shut all its keys, until it is enabled."""
    show(session, session.api.post(f"{path(session, account)}/disable"))
    session.note(f"The keys of {account} open nothing any more, within a minute.")


@app.verb()
def enable(session: Session, account: AccountArgument) -> None:
    """Let its keys in again."""
    show(session, session.api.post(f"{path(session, account)}/enable"))


@app.verb()
def delete(session: Session, account: AccountArgument, yes: YesOption = False) -> None:
    """Remove a service account, for good. Its keys open nothing any more."""
    id = ids.resolve(session.organization, NOUN, account)
    session.confirm(f"Delete service account {account}? Whoever uses a key of it is shut out.", yes=yes)
    session.api.delete(f"/{NOUN}/{id}")
    session.note(f"Deleted {account}. A key that was just used may work for up to a minute more.")


def path(session: Session, account: str) -> str:
    return f"/{NOUN}/{ids.resolve(session.organization, NOUN, account)}"


def columns(session: Session) -> list[Column]:
    return [
        Column("ID", lambda account: tables.short(account["id"]), style="cyan"),
        Column("NAME", lambda account: account["name"], style="bold", flexible=True),
        Column("ROLE", lambda account: tables.short(account["role"])),
        Column("PROJECT", project_of),
        Column("DISABLED", lambda account: times.ago(account["disabled_at"], session.now), style="red"),
    ]


def card(session: Session, account: Json) -> dict[str, Any]:
    return {
        "service account": Text(account["name"], "bold"),
        "id": account["id"],
        "role": account["role"],
        "project": EVERY_PROJECT if account["organization_wide"] else account["project_id"],
        "disabled": times.ago(account["disabled_at"], session.now),
        "made": f"{times.ago(account['created_at'], session.now)} by {account['created_by']}",
    }


def show(session: Session, account: Json) -> None:
    if session.json:
        session.print_json(account)
    else:
        tables.show_card(session.out, card(session, account))
