"""`spark workflow`: flows of a source, ready to run, with their settings and versions."""

from typing import Annotated

import typer
from rich.text import Text

from cli import batches, completion, flows, ids, tables, times, watch
from cli.client import Json, given
from cli.errors import EXIT_STATUS, usage
from cli.inputs import choose_input, parse_tweaks, read_lines, value_of
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="Flows imported from a source, ready to run.")

WorkflowArgument = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="Name or id.", autocompletion=completion.names("workflows"))
]
SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Name or id of the source.", autocompletion=completion.names("sources"))
]
NameOption = Annotated[str | None, typer.Option("--name", help="What to call it.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="What it is for.")]
InputOption = Annotated[str | None, typer.Option("--input-component", help="Component that gets the input.")]
OutputOption = Annotated[str | None, typer.Option("--output-component", help="Component whose output counts.")]
TimeoutOption = Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="Longest run: 90s, 10m.")]
AttemptsOption = Annotated[int | None, typer.Option("--max-attempts", help="Attempts in all, the first included.")]
RetryOption = Annotated[
    bool | None, typer.Option("--retry-failures/--no-retry-failures", help="Also when the flow itself failed?")
]
TagOption = Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeat for more.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("import")
def import_(
    session: Session,
    source: SourceArgument,
    flow: Annotated[str | None, typer.Argument(help="Name or id of a flow; see `spark source flows`.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every flow of the source.")] = False,
    name: NameOption = None,
    input_component: InputOption = None,
    output_component: OutputOption = None,
    again: Annotated[bool, typer.Option("--again", help="Even if there is a workflow of it already.")] = False,
) -> None:
    """Import a flow of a source, or all of them that are not workflows yet."""
    if all == (flow is not None):
        raise usage("Name one flow, or say --all.", f"See `spark source flows {source}`.")
    source_id = ids.resolve(session.api, "sources", source)
    wishes = given(name=name, input_component=input_component, output_component=output_component)
    wishes |= {"source_id": source_id}
    found = flows.ids_of(session, source_id, flow)
    imported = [one for id in found if (one := flows.import_one(session, {**wishes, "flow_id": id}, again, skip=all))]
    show_list(session, imported) if all else show(session, imported[0])
    if imported:
        session.note(f'Next: spark workflow run {tables.short(imported[-1]["id"])} "Hello" --watch', "dim")


@app.verb()
def create(
    session: Session,
    source: SourceArgument,
    flow_id: Annotated[str, typer.Argument(metavar="FLOW_ID", help="LangFlow's id of the flow.")],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    description: DescriptionOption = None,
    input_component: InputOption = None,
    output_component: OutputOption = None,
    timeout: TimeoutOption = None,
    max_attempts: AttemptsOption = None,
    retry_failures: RetryOption = None,
    tag: TagOption = None,
) -> None:
    """Make a workflow by hand, without asking the source about the flow."""
    settings = given(
        name=name,
        description=description,
        input_component=input_component,
        output_component=output_component,
        timeout_seconds=value_of("--timeout", timeout, times.whole_seconds),
        retry=given(max_attempts=max_attempts, flow_failed=retry_failures) or None,
        tags=tag,
    )
    source_id = ids.resolve(session.api, "sources", source)
    show(session, session.api.post("/workflows", {"source_id": source_id, "flow_id": flow_id, "settings": settings}))


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the workflows."""
    show_list(session, list(session.api.items("/workflows", limit)))


@app.verb()
def get(session: Session, workflow: WorkflowArgument) -> None:
    """Show a workflow and its settings."""
    show(session, session.api.get(path(session, workflow)))


@app.verb()
def update(
    session: Session,
    workflow: WorkflowArgument,
    name: NameOption = None,
    description: DescriptionOption = None,
    input_component: InputOption = None,
    output_component: OutputOption = None,
    timeout: TimeoutOption = None,
    max_attempts: AttemptsOption = None,
    retry_failures: RetryOption = None,
    tag: TagOption = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="May it run?")] = None,
) -> None:
    """Change a workflow: only what is named. New settings are a new version."""
    settings = given(
        name=name,
        description=description,
        input_component=input_component,
        output_component=output_component,
        timeout_seconds=value_of("--timeout", timeout, times.whole_seconds),
        retry=given(max_attempts=max_attempts, flow_failed=retry_failures) or None,
        tags=tag,
    )
    body = given(settings=settings or None, enabled=enabled)
    if not body:
        raise usage("Say what to change.", "See `spark workflow update --help`.")
    show(session, session.api.patch(path(session, workflow), body))


@app.verb()
def sync(session: Session, workflow: WorkflowArgument) -> None:
    """Fetch the flow again from its source. Makes a new version if it changed."""
    show(session, session.api.post(f"{path(session, workflow)}/sync"))


@app.verb()
def versions(session: Session, workflow: WorkflowArgument, limit: LimitOption = 50) -> None:
    """List the versions of a workflow, newest first."""
    found = list(session.api.items(f"{path(session, workflow)}/versions", limit))
    if session.json:
        session.print_json(found)
    else:
        tables.show_table(session.out, found, version_columns(session))


@app.verb()
def rollback(
    session: Session, workflow: WorkflowArgument, version: Annotated[int, typer.Argument(help="Its number.")]
) -> None:
    """Bring back the settings of an old version, as a new version. The flow itself stays as LangFlow has it."""
    done = session.api.post(f"{path(session, workflow)}/rollback", {"version": version})
    if session.json:
        session.print_json(done)
        return
    for title, table in (("changed", done["changes"]), ("still different", done["differences"])):
        for setting, (before, after) in table.items():
            session.note(f"{title}: {setting}  {before} → {after}")
    show(session, done["workflow"])


@app.verb(epilog=EXIT_STATUS)
def run(
    session: Session,
    workflow: WorkflowArgument,
    input: Annotated[str | None, typer.Argument(help="The input; - reads standard input.")] = None,
    input_file: Annotated[
        str | None, typer.Option("--input-file", "-f", metavar="FILE", help="The input; - is stdin.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", metavar="FILE", help="One input per line; - is stdin.")
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Show its progress, then its output.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Like --watch, without showing progress.")] = False,
    tweak: Annotated[list[str] | None, typer.Option(metavar="ID.FIELD=X", help="Set a field of a component.")] = None,
    session_id: Annotated[str | None, typer.Option("--session", help="LangFlow session, such as one chat.")] = None,
    timeout: TimeoutOption = None,
    max_attempts: AttemptsOption = None,
    retry_failures: RetryOption = None,
) -> None:
    """Run a workflow. Only the output goes to stdout; progress goes to stderr."""
    if batch is not None and (input is not None or input_file is not None):
        raise usage("Give either --batch or one input.")
    inputs = [choose_input(input, input_file)] if batch is None else read_lines(batch)
    wishes = given(
        session_id=session_id,
        tweaks=parse_tweaks(tweak or []) or None,
        timeout_seconds=value_of("--timeout", timeout, times.whole_seconds),
    )
    id = ids.resolve(session.api, "workflows", workflow)
    wishes |= retry_policy(session, id, given(max_attempts=max_attempts, flow_failed=retry_failures))
    if batch is None:
        started = session.api.post(f"/workflows/{id}/runs", {"input": inputs[0], **wishes})
        watch.settle(session, started, follow=follow or wait, quiet=wait)
    else:
        batches.run(session, id, inputs, wishes, follow=follow or wait, quiet=wait)


@app.verb()
def delete(
    session: Session,
    workflow: WorkflowArgument,
    cascade: Annotated[bool, typer.Option(help="Even if schedules use it: they stay, paused.")] = False,
    yes: YesOption = False,
) -> None:
    """Delete a workflow. Its runs stay until they expire."""
    id = ids.resolve(session.api, "workflows", workflow)
    session.confirm(f"Delete workflow {workflow}?", yes=yes)
    session.api.delete(f"/workflows/{id}", cascade="true" if cascade else None)
    session.note(f"Deleted {workflow}.")


def path(session: Session, workflow: str) -> str:
    return f"/workflows/{ids.resolve(session.api, 'workflows', workflow)}"


def retry_policy(session: Session, workflow_id: str, wishes: Json) -> Json:
    """The workflow's policy with `wishes`: a run takes a policy as a whole."""
    if not wishes:
        return {}
    own = session.api.get(f"/workflows/{workflow_id}")["settings"]["retry"]
    return {"retry": {**own, **wishes}}


def show_list(session: Session, workflows: list[Json]) -> None:
    if session.json:
        session.print_json(workflows)
    elif not workflows:
        session.note("No workflows yet. Import one: spark workflow import SOURCE FLOW")
    else:
        tables.show_table(session.out, workflows, columns(session))


def columns(session: Session) -> list[Column]:
    return [
        Column("ID", lambda workflow: tables.short(workflow["id"]), style="cyan"),
        Column("NAME", ids.name_of, style="bold", flexible=True),
        Column("VERSION", lambda workflow: str(workflow["version"]), right=True),
        Column("TIMEOUT", lambda workflow: f"{workflow['settings']['timeout_seconds']} s", right=True),
        Column("SOURCE", lambda workflow: tables.short(workflow["source_id"]), style="dim"),
        Column("", lambda workflow: "" if workflow.get("enabled", True) else "disabled", style="magenta"),
        Column("UPDATED", lambda workflow: times.ago(workflow["updated_at"], session.now), style="dim"),
    ]


def version_columns(session: Session) -> list[Column]:
    return [
        Column("VERSION", lambda version: str(version["number"]), right=True, style="cyan"),
        Column("WHY", lambda version: version["reason"]),
        Column("NAME", ids.name_of, flexible=True),
        Column("FLOW", lambda version: (version["facts"].get("definition_hash") or "")[: tables.SHORT_ID], style="dim"),
        Column("BY", lambda version: version["created_by"], style="dim"),
        Column("WHEN", lambda version: times.ago(version["created_at"], session.now), style="dim"),
    ]


def show(session: Session, workflow: Json) -> None:
    if session.json:
        session.print_json(workflow)
        return
    settings, facts = workflow["settings"], workflow.get("facts") or {}
    retry = settings["retry"]
    tables.show_card(
        session.out,
        {
            "workflow": Text(ids.name_of(workflow), "bold"),
            "id": workflow["id"],
            "description": settings.get("description"),
            "flow": " ".join(filter(None, [facts.get("flow_name"), workflow["flow_id"]])),
            "source": workflow["source_id"],
            "version": str(workflow["version"]),
            "enabled": None if workflow.get("enabled", True) else Text("no", "magenta"),
            "input to": settings.get("input_component"),
            "output of": settings.get("output_component"),
            "timeout": f"{settings['timeout_seconds']} s",
            "attempts": f"{retry['max_attempts']}{', also when the flow fails' * retry['flow_failed']}",
            "tags": ", ".join(settings.get("tags") or []),
            "updated": times.ago(workflow["updated_at"], session.now),
            "synced": times.ago(workflow.get("synced_at"), session.now),
        },
    )
