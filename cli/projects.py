"""`spark project`: parts of an organization, and which of them commands work in."""

from typing import Annotated

import typer
from rich.text import Text

from cli import completion, config, ids, tables, times
from cli.client import Json, given
from cli.errors import speaking_of, usage
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="Projects: what is in one, nobody sees from another.")

OPTIONS = {"retention_days": "--retention-days"}

ProjectArgument = Annotated[
    str, typer.Argument(metavar="PROJECT", help="Name or id.", autocompletion=completion.names("projects"))
]
RetentionOption = Annotated[
    int | None,
    typer.Option("--retention-days", help="How long runs are kept: 7, 30, 90, 365; 0: for good."),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the projects that your key opens. The one that was chosen has a *."""
    projects = list(session.organization.items("/projects", limit))
    if session.json:
        session.print_json(projects)
    else:
        tables.show_table(session.out, projects, columns(session))


@app.verb()
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    retention_days: RetentionOption = None,
) -> None:
    """Found a project."""
    with speaking_of(OPTIONS):
        project = session.organization.post("/projects", given(name=name, retention_days=retention_days))
    show(session, project)
    session.note(f"Next: spark project use {tables.short(project['id'])}", "dim")


@app.verb()
def get(session: Session, which: ProjectArgument) -> None:
    """Show a project."""
    show(session, session.organization.get(path(session, which)))


@app.verb()
def update(
    session: Session,
    which: ProjectArgument,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    retention_days: RetentionOption = None,
) -> None:
    """Change a project: only what is named. Another retention counts for new runs."""
    body = given(name=name, retention_days=retention_days)
    if not body:
        raise usage("Say what to change.", "See `spark project update --help`.")
    with speaking_of(OPTIONS):
        show(session, session.organization.patch(path(session, which), body))


@app.verb()
def delete(session: Session, which: ProjectArgument, yes: YesOption = False) -> None:
    """Delete a project that is empty. Its runs stay until they expire, out of reach."""
    id = ids.resolve(session.organization, "projects", which)
    session.confirm(f"Delete project {which}?", yes=yes)
    session.organization.delete(f"/projects/{id}")
    session.note(f"Deleted {which}.")


@app.verb()
def use(
    session: Session,
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROJECT]",
            help="Name or id; without it, your key's own.",
            autocompletion=completion.names("projects"),
        ),
    ] = None,
) -> None:
    """Have all commands work in a project. --project chooses one for once, SPARK_PROJECT for a shell."""
    profile = session.profile
    if profile.name not in config.names():
        raise usage("The address comes from SPARK_URL, so there is no profile to keep it in.", "Set SPARK_PROJECT.")
    id = "" if which is None else opened(session, which)
    config.use_project(profile.name, id)
    session.note(f"Commands work in {which or 'the project of your key'} now.")


def opened(session: Session, which: str) -> str:
    """The id of a project that can be worked in. It is asked for from within: who has several may have no other way."""
    api = session.within(which)
    return str(api.get(f"/projects/{api.profile.project}")["id"])


def path(session: Session, which: str) -> str:
    return f"/projects/{ids.resolve(session.organization, 'projects', which)}"


def is_chosen(session: Session, project: Json) -> bool:
    return session.profile.project in (project["id"], project["name"])


def columns(session: Session) -> list[Column]:
    return [
        Column("", lambda project: "*" if is_chosen(session, project) else "", style="green"),
        Column("ID", lambda project: tables.short(project["id"]), style="cyan"),
        Column("NAME", lambda project: project["name"], style="bold", flexible=True),
        Column("RUNS KEPT", lambda project: kept(project["retention_days"])),
        Column("MADE", lambda project: times.ago(project["created_at"], session.now), style="dim"),
    ]


def kept(days: int) -> str:
    return f"{days} d" if days else "for good"


def show(session: Session, project: Json) -> None:
    if session.json:
        session.print_json(project)
        return
    tables.show_card(
        session.out,
        {
            "project": Text(project["name"], "bold"),
            "id": project["id"],
            "organization": project["organization_id"],
            "runs kept": kept(project["retention_days"]),
            "made": times.ago(project["created_at"], session.now),
        },
    )
