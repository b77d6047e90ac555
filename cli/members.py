"""`spark member`: the people of an organization, and those who are asked to join."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from cli import ids, tables, times
from cli.client import Json, given
from cli.errors import CliError, speaking_of, usage
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="The people of your organization.")

OPTIONS = {"email": "EMAIL", "role": "--role", "project_id": "--in"}

MemberArgument = Annotated[str, typer.Argument(metavar="MEMBER", help="E-mail address or id.")]
RoleOption = Annotated[
    str, typer.Option("--role", help="viewer, operator, editor, admin, owner, or one of the organization's own.")
]
WhereOption = Annotated[
    str | None, typer.Option("--in", metavar="PROJECT", help="Only in this project, by name or id, not in all.")
]


class Keys(StrEnum):
    """What becomes of the API keys that somebody made who is removed."""

    keep = "keep"
    revoke = "revoke"


KeysOption = Annotated[
    Keys | None, typer.Option("--keys", help="The API keys that they made; keep, if nobody is there to ask.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the people of the organization and their roles."""
    show_list(session, list(session.api.items("/members", limit)), MEMBERS)


@app.verb()
def update(session: Session, member: MemberArgument, role: RoleOption, where: WhereOption = None) -> None:
    """Give somebody another role. It counts within a minute."""
    project = project_id(session, where)
    user = user_id(session, member, project)
    with speaking_of(OPTIONS):
        changed = session.api.patch(f"/members/{user}", {"role": role_id(session, role)}, project_id=project)
    if session.json:
        session.print_json(changed)
    session.note(f"{member} is {changed['role']} now.")


@app.verb()
def remove(
    session: Session,
    member: MemberArgument,
    where: WhereOption = None,
    keys: KeysOption = None,
    yes: YesOption = False,
) -> None:
    """End a membership. It counts within a minute. You are asked what becomes of the API keys that they made."""
    project = project_id(session, where)
    user = user_id(session, member, project)
    made = keys_made_by(session, user, project) if keys is None else []
    session.confirm(f"Remove {member}?", yes=yes)
    chosen = keys or what_becomes_of(session, made, yes=yes)
    session.api.delete(f"/members/{user}", project_id=project, keys=chosen)
    session.note(f"Removed {member}.")
    if made and chosen is Keys.keep:
        session.note(f"They know {count(made)}, which still work: {', '.join(key['name'] for key in made)}.", "yellow")


def keys_made_by(session: Session, user: str, project: str | None) -> list[Json]:
    """The keys that would go with them; none, where one may not see keys and could not revoke them."""
    try:
        return list(session.api.items("/api-keys", ids.EVERYTHING, created_by=user, project_id=project))
    except CliError as error:
        if (error.problem or {}).get("code") != "forbidden":
            raise
        return []


def what_becomes_of(session: Session, made: list[Json], *, yes: bool) -> Keys:
    """Nobody is asked about no keys, nor where nobody wants to be asked: then they stay."""
    if not made or yes or not session.has_user:
        return Keys.keep
    question = f"They made {count(made)}: {', '.join(key['name'] for key in made)}. Revoke, too?"
    return Keys.revoke if typer.confirm(question, err=True) else Keys.keep


def count(keys: list[Json]) -> str:
    return "1 API key" if len(keys) == 1 else f"{len(keys)} API keys"


@app.verb()
def invite(
    session: Session,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Whom to ask.")],
    role: RoleOption = "viewer",
    where: WhereOption = None,
) -> None:
    """Mail somebody an invitation, good for seven days."""
    body = given(email=email, role=role_id(session, role), project_id=project_id(session, where))
    with speaking_of(OPTIONS):
        sent = session.api.post("/invitations", body)
    if session.json:
        session.print_json(sent)
    session.note(f"There is a letter to {email} on its way.")


@app.verb()
def invitations(session: Session, limit: LimitOption = 50) -> None:
    """List the invitations that nobody has accepted yet."""
    show_list(session, list(session.api.items("/invitations", limit)), invitation_columns(session))


@app.verb()
def uninvite(session: Session, id: Annotated[str, typer.Argument(metavar="INVITATION", help="Its id.")]) -> None:
    """Take an invitation back."""
    session.api.delete(f"/invitations/{id}")
    session.note(f"Took {id} back.")


def user_id(session: Session, text: str, project: str | None) -> str:
    """Whose address or id `text` is, among the members of the organization, or of one project. Raises CliError."""
    if ids.is_id(text):
        return text
    for member in session.api.items("/members", ids.EVERYTHING):
        if member["email"] == text.lower() and member["project_id"] == project:
            return str(member["user_id"])
    raise CliError(f"There is no member {text!r}.", hint="See `spark member list`. Of one project only: --in PROJECT.")


def role_id(session: Session, text: str) -> str:
    """A role by name: its own id where the organization made it."""
    if not text:
        raise usage("Say which role.", "See `spark role list`.")
    built_in = {"viewer", "operator", "editor", "admin", "owner"}
    return text if text in built_in else ids.resolve(session.api, "roles", text)


def project_id(session: Session, text: str | None) -> str | None:
    if text is None:
        return None
    return text if ids.is_id(text) else ids.resolve(session.api, "projects", text)


def show_list(session: Session, rows: list[Json], columns: list[Column]) -> None:
    if session.json:
        session.print_json(rows)
    else:
        tables.show_table(session.out, rows, columns)


MEMBERS = [
    Column("E-MAIL", lambda member: member["email"], style="bold"),
    Column("NAME", lambda member: member["name"], flexible=True),
    Column("ROLE", lambda member: member["role"]),
    Column("IN", lambda member: member["project_id"] or Text("all projects", "dim")),
]


def invitation_columns(session: Session) -> list[Column]:
    return [
        Column("ID", lambda one: one["id"], style="cyan"),
        Column("E-MAIL", lambda one: one["email"], flexible=True),
        Column("ROLE", lambda one: one["role"]),
        Column("SENT", lambda one: times.ago(one["sent_at"], session.now) or Text("not yet", "yellow")),
    ]
