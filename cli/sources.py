"""`spark source`: the LangFlow instances that flows come from and run on."""

from typing import Annotated

import typer
from rich.text import Text

from cli import completion, ids, tables, times
from cli.client import Json, given
from cli.errors import ExitCode, usage
from cli.inputs import read_secret
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="LangFlow instances that flows come from and run on.")

ALL = 100_000  # pages are read until there are no more

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Name or id.", autocompletion=completion.names("sources"))
]
KeyOption = Annotated[
    str | None,
    typer.Option("--api-key", metavar="-|env:NAME", help="LangFlow's key: - asks or reads stdin, env:NAME a variable."),
]
ConcurrencyOption = Annotated[
    int | None, typer.Option("--max-concurrency", min=0, help="Runs at once, 1 to 100; without it there is no limit.")
]
VerifyOption = Annotated[bool, typer.Option("--verify/--no-verify", help="Look at it before saving.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("create", hidden=True)  # as AutoMagik Spark calls it
@app.verb()
def add(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    url: Annotated[str, typer.Argument(help="Where it answers, such as http://localhost:7860")],
    api_key: KeyOption = None,
    max_concurrency: ConcurrencyOption = None,
    verify: VerifyOption = True,
) -> None:
    """Add a LangFlow instance. It has to answer and to take the key."""
    key = read_secret(session, api_key, f"LangFlow API key of {name} (empty for none)")
    body = given(name=name, url=url, api_key=key, max_concurrency=max_concurrency)
    source = session.api.post("/sources", body, **unless(verify))
    show(session, source)
    session.note(f"Next: spark source flows {tables.short(source['id'])}", "dim")


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the sources."""
    sources = list(session.api.items("/sources", limit))
    if session.json:
        session.print_json(sources)
    elif not sources:
        session.note("No sources yet. Add one: spark source add NAME URL")
    else:
        tables.show_table(session.out, sources, columns(session))


@app.verb()
def get(session: Session, source: SourceArgument) -> None:
    """Show a source. Its key is never shown."""
    show(session, session.api.get(path(session, source)))


@app.verb()
def update(
    session: Session,
    source: SourceArgument,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    url: Annotated[str | None, typer.Option(help="New address.")] = None,
    api_key: KeyOption = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="May its workflows run?")] = None,
    max_concurrency: ConcurrencyOption = None,
    verify: VerifyOption = True,
) -> None:
    """Change a source: only what is named. An empty key takes the key away, --max-concurrency 0 the limit."""
    status = None if active is None else "active" if active else "inactive"
    body = given(name=name, url=url, status=status, max_concurrency=max_concurrency)
    if max_concurrency == 0:
        body["max_concurrency"] = None
    if api_key is not None:
        body["api_key"] = read_secret(session, api_key, "New LangFlow API key (empty for none)")
    if not body:
        raise usage("Say what to change.", "See `spark source update --help`.")
    show(session, session.api.patch(path(session, source), body, **unless(verify)))


@app.verb()
def check(session: Session, source: SourceArgument) -> None:
    """Ask the source whether it is there, which version it is, and whether the key is right."""
    checked = session.api.post(f"{path(session, source)}/check")
    show(session, checked)
    if health(checked).plain != "active":
        raise typer.Exit(ExitCode.failed)


@app.verb()
def flows(session: Session, source: SourceArgument, limit: LimitOption = 100) -> None:
    """List the flows of a source that can be imported."""
    found = list(session.api.items(f"{path(session, source)}/flows", limit))
    if session.json:
        session.print_json(found)
        return
    tables.show_table(session.out, found, FLOW_COLUMNS)
    session.note(f"Import one: spark workflow import {source} FLOW", "dim")


@app.verb()
def sync(session: Session, source: SourceArgument) -> None:
    """Refresh every imported flow of a source."""
    results = list(session.api.items(f"{path(session, source)}/sync", ALL, method="POST"))
    if session.json:
        session.print_json(results)
    elif not results:
        session.note("No workflow uses a flow of this source yet.")
    else:
        tables.show_table(session.out, results, SYNC_COLUMNS)
    if any(result["status"] == "failed" for result in results):
        raise typer.Exit(ExitCode.failed)


@app.verb()
def delete(
    session: Session,
    source: SourceArgument,
    yes: YesOption = False,
    cascade: Annotated[bool, typer.Option(help="Even if workflows use it: they stay and cannot run.")] = False,
) -> None:
    """Delete a source."""
    id = ids.resolve(session.api, "sources", source)
    session.confirm(f"Delete source {source}?", yes=yes)
    session.api.delete(f"/sources/{id}", cascade="true" if cascade else None)
    session.note(f"Deleted {source}.")


def path(session: Session, source: str) -> str:
    return f"/sources/{ids.resolve(session.api, 'sources', source)}"


def unless(verify: bool) -> dict[str, str]:
    return {} if verify else {"verify": "false"}


def health(source: Json) -> Text:
    """In a word: switched off, not there, key refused, or active."""
    check = source.get("check") or {}
    if source.get("status") == "inactive":
        return tables.state("inactive")
    if check.get("reachable") is False:
        return tables.state("unreachable")
    if check.get("key_valid") is False:
        return tables.state("key refused")
    return tables.state("active")


def columns(session: Session) -> list[Column]:
    return [
        Column("ID", lambda source: tables.short(source["id"]), style="cyan"),
        Column("NAME", lambda source: source["name"], style="bold", at_most=20),
        Column("STATUS", health),
        Column("LANGFLOW", lambda source: engine(source)),
        Column("URL", lambda source: source["url"], flexible=True),
        Column("CHECKED", lambda source: times.ago(source.get("checked_at"), session.now) or "never", style="dim"),
    ]


FLOW_COLUMNS = [
    Column("FLOW", lambda flow: flow["id"][: tables.SHORT_ID], style="cyan"),
    Column("NAME", lambda flow: flow["name"], style="bold", at_most=30),
    Column("ENDPOINT", lambda flow: flow.get("endpoint_name"), at_most=20),
    Column("DESCRIPTION", lambda flow: tables.first_line(flow.get("description")), flexible=True, style="dim"),
]
SYNC_COLUMNS = [
    Column("WORKFLOW", lambda result: tables.short(result["workflow_id"]), style="cyan"),
    Column("RESULT", lambda result: tables.state(result["status"])),
    Column("VERSION", lambda result: str(result["version"]), right=True),
    Column("", lambda result: (result.get("error") or {}).get("detail"), flexible=True, style="red"),
]


def engine(source: Json) -> str:
    check = source.get("check") or {}
    return " ".join(filter(None, [str(check.get("dialect") or "").split("_")[0], check.get("version")]))


def show(session: Session, source: Json) -> None:
    if session.json:
        session.print_json(source)
        return
    check = source.get("check") or {}
    tables.show_card(
        session.out,
        {
            "source": Text(source["name"], "bold"),
            "id": source["id"],
            "url": source["url"],
            "status": health(source),
            "langflow": engine(source),
            "background": "yes" if check.get("supports_background") else None,
            "limit": f"{source['max_concurrency']} runs at once" if source.get("max_concurrency") else None,
            "message": check.get("message"),
            "checked": times.ago(source.get("checked_at"), session.now) or "never",
        },
    )
