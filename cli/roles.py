"""`spark role`: what keys may do. Five that every organization has, and those that it makes for itself."""

from typing import Annotated

import typer
from rich.text import Text

from cli import completion, ids, tables, times
from cli.client import Json, given
from cli.errors import speaking_of, usage
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="Roles: what keys may do.")

OPTIONS = {"allow": "--allow", "deny": "--deny", "name": "--name"}

RoleArgument = Annotated[
    str, typer.Argument(metavar="ROLE", help="Name or id.", autocompletion=completion.names("roles"))
]
AllowOption = Annotated[
    list[str] | None, typer.Option("--allow", metavar="NOUN:VERB", help="What it allows; repeat for more.")
]
DenyOption = Annotated[
    list[str] | None, typer.Option("--deny", metavar="NOUN:VERB", help="What it forbids, whatever others allow.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the roles: those that every organization has, then its own."""
    roles = list(session.organization.items("/roles", limit))
    if session.json:
        session.print_json(roles)
    else:
        tables.show_table(session.out, roles, COLUMNS)


@app.verb()
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    allow: AllowOption = None,
    deny: DenyOption = None,
) -> None:
    """Define a role. It may allow no more than your own. `spark role get owner` shows all there is to allow."""
    with speaking_of(OPTIONS):
        show(session, session.organization.post("/roles", given(name=name, allow=split(allow), deny=split(deny))))


@app.verb()
def get(session: Session, role: RoleArgument) -> None:
    """Show a role and all that it allows."""
    show(session, session.organization.get(path(session, role)))


@app.verb()
def update(
    session: Session,
    role: RoleArgument,
    name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    allow: AllowOption = None,
    deny: DenyOption = None,
) -> None:
    """Change a role, for all who have it. --allow and --deny replace what was there; an empty one clears it."""
    body = given(name=name, allow=split(allow), deny=split(deny))
    if not body:
        raise usage("Say what to change.", "See `spark role update --help`.")
    with speaking_of(OPTIONS):
        show(session, session.organization.patch(path(session, role), body))


@app.verb()
def delete(session: Session, role: RoleArgument, yes: YesOption = False) -> None:
    """Delete a role that no key has."""
    id = ids.resolve(session.organization, "roles", role)
    session.confirm(f"Delete role {role}?", yes=yes)
    session.organization.delete(f"/roles/{id}")
    session.note(f"Deleted {role}.")


def path(session: Session, role: str) -> str:
    return f"/roles/{ids.resolve(session.organization, 'roles', role)}"


def split(permissions: list[str] | None) -> list[str] | None:
    """`a,b` as well as one after the other."""
    if not permissions:
        return None
    return [one.strip() for several in permissions for one in several.split(",") if one.strip()]


COLUMNS = [
    Column("ID", lambda role: tables.short(role["id"]), style="cyan"),
    Column("NAME", lambda role: role["name"], style="bold", at_most=24),
    Column("ALLOWS", lambda role: " ".join(role["allow"]), flexible=True),
    Column("FORBIDS", lambda role: " ".join(role["deny"]), style="magenta", at_most=20),
]


def show(session: Session, role: Json) -> None:
    if session.json:
        session.print_json(role)
        return
    made = times.ago(role.get("created_at"), session.now)
    tables.show_card(
        session.out,
        {
            "role": Text(role["name"], "bold"),
            "id": role["id"],
            "allows": "\n".join(role["allow"]),
            "forbids": "\n".join(role["deny"]),
            "made": f"{made} by {role['created_by']}" if made else "every organization has it",
        },
    )
