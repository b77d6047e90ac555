"""`spark run`: executions of workflows, what came out of them, and what to do about them."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from cli import completion, ids, tables, times, watch
from cli.client import Json, given
from cli.errors import EXIT_STATUS
from cli.inputs import value_of
from cli.session import Noun, Session, YesOption
from cli.sweeps import sweep
from cli.tables import Column

app = Noun(help="Executions of workflows.")


class Status(StrEnum):
    pending = "pending"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"
    skipped = "skipped"


StatusOption = Annotated[Status | None, typer.Option("--status", help="Only in this state.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id, the end of one, or `last`.", autocompletion=completion.runs)
]
FollowOption = Annotated[bool, typer.Option("--watch", "-w", help="Watch the new run to its end.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Like --watch, without showing progress.")]
WorkflowOption = Annotated[
    str | None,
    typer.Option("--workflow", help="Only of this workflow.", autocompletion=completion.names("workflows")),
]
ScheduleOption = Annotated[
    str | None,
    typer.Option("--schedule", help="Only of this schedule.", autocompletion=completion.names("schedules")),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Not before 30m, 2h, 1d ago or a date.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Not after.")]
AheadOption = Annotated[
    bool, typer.Option("--ahead", help="Also those of the next minutes, which schedules have made ahead of their time.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(
    session: Session,
    workflow: WorkflowOption = None,
    schedule: ScheduleOption = None,
    status: StatusOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    ahead: AheadOption = False,
    limit: LimitOption = 20,
) -> None:
    """List runs, newest first."""
    wanted = filters(session, workflow, schedule, status, since, until)
    runs = list(session.api.items("/runs", limit, **wanted, due=is_due(ahead)))
    if session.json:
        session.print_json(runs)
    elif not runs:
        session.note("No runs. Start one: spark workflow run WORKFLOW INPUT --watch")
    else:
        tables.show_table(session.out, runs, columns(session))


@app.verb("view", hidden=True)  # as AutoMagik Spark calls it
@app.verb()
def get(session: Session, run: RunArgument) -> None:
    """Show a run: its state, input, output or error."""
    show(session, session.api.get(path(session, run)))


@app.verb("watch", epilog=EXIT_STATUS)
def watch_(session: Session, run: RunArgument = ids.LATEST) -> None:
    """Watch a run to its end, then print its output. Without an id: the newest run."""
    watch.settle(session, session.api.get(path(session, run)), follow=True)


@app.verb()
def logs(session: Session, run: RunArgument = ids.LATEST) -> None:
    """Print what happened to a run, line by line."""
    attempts = session.api.get(f"{path(session, run)}/logs")["items"]
    if session.json:
        session.print_json(attempts)
        return
    for attempt in attempts:
        session.note(f"attempt {attempt['attempt']}", "bold")
        for line in attempt["lines"]:
            session.out.print(log_line(line), soft_wrap=True)


@app.verb()
def steps(session: Session, run: RunArgument = ids.LATEST) -> None:
    """Show the attempts of a run and how the components of the flow fared."""
    attempts = session.api.get(f"{path(session, run)}/steps")["items"]
    if session.json:
        session.print_json(attempts)
        return
    rows = [
        {**step, "attempt": attempt["attempt"]} for attempt in attempts for step in (*attempt["steps"], whole(attempt))
    ]
    tables.show_table(session.out, rows, step_columns(session))


@app.verb(epilog=EXIT_STATUS)
def retry(session: Session, run: RunArgument, follow: FollowOption = False, wait: WaitOption = False) -> None:
    """Run a finished run again: a new run with the same input."""
    again = session.api.post(f"{path(session, run)}/retry")
    watch.settle(session, again, follow=follow or wait, quiet=wait)


@app.verb()
def cancel(session: Session, run: RunArgument) -> None:
    """Stop a run. One that is being worked on stops within seconds."""
    cancelled = session.api.post(f"{path(session, run)}/cancel")
    if session.json:
        session.print_json(cancelled)
        return
    done = cancelled["status"] == "cancelled"
    session.note(f"{tables.short(cancelled['id'])} is {'cancelled' if done else 'being cancelled'}.")


@app.verb("cancel-all")
def cancel_all(
    session: Session,
    workflow: WorkflowOption = None,
    schedule: ScheduleOption = None,
    status: StatusOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    yes: YesOption = False,
) -> None:
    """Stop all unfinished runs that the filters find."""
    session.confirm("Cancel all unfinished runs that fit?", yes=yes)
    sweep(session, "/runs/cancel", filters(session, workflow, schedule, status, since, until), "cancelled")


@app.verb("retry-all")
def retry_all(
    session: Session,
    workflow: WorkflowOption = None,
    schedule: ScheduleOption = None,
    status: StatusOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    yes: YesOption = False,
) -> None:
    """Run again all that the filters find: by default the failed ones."""
    session.confirm("Run all of them again?", yes=yes)
    sweep(session, "/runs/retry", filters(session, workflow, schedule, status, since, until), "run again")


def path(session: Session, run: str) -> str:
    return f"/runs/{ids.resolve(session.api, 'runs', run)}"


def filters(
    session: Session,
    workflow: str | None,
    schedule: str | None,
    status: Status | None,
    since: str | None,
    until: str | None,
) -> Json:
    """The filters that were said, as the API wants them."""
    return given(
        workflow_id=workflow and ids.resolve(session.api, "workflows", workflow),
        schedule_id=schedule and ids.resolve(session.api, "schedules", schedule),
        status=status,
        since=value_of("--since", since, lambda text: times.instant_of(text, session.now)),
        until=value_of("--until", until, lambda text: times.instant_of(text, session.now)),
    )


def is_due(ahead: bool) -> str | None:
    """The filter of lists that leaves out runs whose time has not come."""
    return None if ahead else "true"


def columns(session: Session) -> list[Column]:
    names = ids.names_in(session.api, "workflows")
    return [
        Column("ID", lambda run: tables.short(run["id"]), style="cyan"),
        Column("WORKFLOW", lambda run: names.get(run["workflow_id"]) or gone(run), style="bold", at_most=20),
        Column("STATUS", lambda run: tables.state(run["status"])),
        Column("TRY", lambda run: str(run["attempt"]), right=True),
        Column("CREATED", lambda run: times.ago(run["created_at"], session.now), style="dim"),
        Column("TOOK", lambda run: took(run, session), right=True),
        Column("", lambda run: detail(run, session), flexible=True, style="dim"),
    ]


def gone(run: Json) -> str:
    """For a run whose workflow was deleted."""
    return f"({tables.short(run['workflow_id'])})"


def step_columns(session: Session) -> list[Column]:
    return [
        Column("TRY", lambda step: str(step["attempt"]), right=True, style="cyan"),
        Column("STEP", lambda step: step["name"], style="bold"),
        Column("STATUS", lambda step: tables.state(step["status"])),
        Column("TOOK", lambda step: step_took(step, session), right=True),
        Column("ERROR", lambda step: tables.first_line(step.get("error")), flexible=True, style="red"),
    ]


def whole(attempt: Json) -> Json:
    """The attempt itself as the last of its steps."""
    error = attempt.get("error")
    status = "failed" if error else "completed" if attempt.get("ended_at") else "running"
    return {**attempt, "name": "(attempt)", "status": status, "error": error and f"{error['code']}: {error['message']}"}


def took(run: Json, session: Session) -> str:
    return times.between(run.get("started_at"), run.get("finished_at"), session.now)


def step_took(step: Json, session: Session) -> str:
    if step.get("duration_seconds") is not None:
        return times.span(step["duration_seconds"])
    return times.between(step.get("started_at"), step.get("ended_at"), session.now)


def detail(run: Json, session: Session) -> Text | str:
    """The one thing worth knowing: why it failed, when it begins or goes on, or what it was asked."""
    if run["status"] == "pending" and run.get("not_before"):
        what = "again" if run["attempt"] else "due"
        return Text(f"{what} {times.until(run['not_before'], session.now)}", "yellow")
    if run.get("error") and run["status"] != "completed":
        return Text(tables.first_line(f"{run['error']['code']}: {run['error']['message']}"), "red")
    return tables.first_line(run.get("input"))


def log_line(line: Json) -> Text:
    at = times.parse_instant(line["at"]).astimezone()
    style = {"ERROR": "red", "WARNING": "yellow"}.get(line["level"], "")
    said = tables.first_line(" ".join(filter(None, [line["event"], line.get("message")])))
    return Text.assemble((f"{at:%H:%M:%S}", "dim"), " ", (f"{line['level']:<7}", style), " ", said)


def show(session: Session, run: Json) -> None:
    if session.json:
        session.print_json(run)
        return
    error = run.get("error") or {}
    tables.show_card(
        session.out,
        {
            "run": Text(run["id"], "bold"),
            "status": Text.assemble(tables.sign(run["status"]), " ", tables.state(run["status"])),
            "workflow": run["workflow_id"],
            "schedule": run.get("schedule_id"),
            "for": run.get("scheduled_for"),
            "attempts": str(run["attempt"]),
            "created": times.ago(run["created_at"], session.now),
            "took": took(run, session),
            "next try": times.until(run["not_before"], session.now) if run.get("not_before") else None,
            "retry of": run.get("retry_of"),
            "session": run.get("session_id"),
            "input": run.get("input"),
            "error": Text(f"{error['code']}: {error['message']}", "red") if error else None,
            "output": tables.first_line(run.get("output")) or run.get("output_url"),
            "correlation": run.get("correlation_id"),
        },
    )
