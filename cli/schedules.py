"""`spark schedule`: when workflows run by themselves."""

from enum import StrEnum
from typing import Annotated

import typer

from cli import backfills, calendar, completion, fires, ids, schedule_runs, tables, watch
from cli import runs as running
from cli import schedule_views as views
from cli.client import Json, given
from cli.errors import EXIT_STATUS, speaking_of, usage
from cli.inputs import parse_tweaks, said_input
from cli.options import spread
from cli.schedule_options import (
    ClearOption,
    Conduct,
    InputFileOption,
    InputOption,
    OverlapOption,
    PerhapsScheduleArgument,
    ScheduleArgument,
    SessionOption,
    TweakOption,
    cleared,
    options,
    path,
)
from cli.session import Noun, Session, YesOption
from cli.sweeps import sweep
from cli.timing_options import WITHOUT_ZONE, Rule, Timing, one_rule
from cli.workflows import retry_policy

app = Noun(help="When workflows run by themselves.")


class State(StrEnum):
    active = "active"
    paused = "paused"
    finished = "finished"


AllOption = Annotated[bool, typer.Option("--all", help="Every schedule.")]


@app.verb()
@spread
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    workflow: Annotated[
        str,
        typer.Option("--workflow", help="What it runs: name or id.", autocompletion=completion.names("workflows")),
    ],
    timing: Timing,
    conduct: Conduct,
    paused: Annotated[bool, typer.Option("--paused", help="It waits for `spark schedule resume`.")] = False,
) -> None:
    """Run a workflow by the clock: --cron, --every, --once or --in. Shows when it will fire."""
    rule = timing.rule
    if rule is None:
        raise one_rule("Say when it is to fire.")
    settings = {"name": name, **timing.fields(timing.tz or WITHOUT_ZONE, session.now), **conduct.fields}
    workflow_id = ids.resolve(session.api, "workflows", workflow)
    settings |= retry_policy(session, workflow_id, conduct.retry)
    body = {"workflow_id": workflow_id, "settings": settings, **given(enabled=False if paused else None)}
    with speaking_of(options(rule)):
        created = session.api.post("/schedules", body)
    views.show_timing(session, created)
    if timing.tz is None and rule.kind == "cron":
        session.note("Its times are in UTC. For another zone: spark schedule update … --tz America/Sao_Paulo", "dim")
    session.note(f"Try it now: spark schedule trigger {tables.short(created['id'])} --watch", "dim")


@app.verb("list")
def list_(
    session: Session,
    workflow: running.WorkflowOption = None,
    state: Annotated[State | None, typer.Option("--state", help="Only those that are so.")] = None,
    week: Annotated[bool, typer.Option("--calendar", help="The next seven days, of active ones.")] = False,
    tz: Annotated[
        str | None,
        typer.Option(
            "--tz", metavar="ZONE", help="Of the calendar; unless said, theirs.", autocompletion=completion.zones
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")] = 50,
) -> None:
    """List the schedules and when they fire next, each by the clock of its own time zone."""
    if tz is not None and not week:
        raise usage("--tz is for --calendar: the list shows each schedule's own time zone.")
    wanted = given(workflow_id=workflow and ids.resolve(session.api, "workflows", workflow), state=state)
    if week:
        wanted.setdefault("state", State.active)
    found = list(session.api.items("/schedules", limit, **wanted))
    if week and (found or session.json):
        calendar.show(session, found, tz)
    elif session.json:
        session.print_json(found)
    elif not found:
        nothing = "No schedules fit." if wanted else "No schedules yet."
        session.note(f'{nothing} Make one: spark schedule create NAME --workflow WORKFLOW --cron "0 9 * * 1-5"')
    else:
        tables.show_table(session.out, found, views.columns(session))


@app.verb()
def get(session: Session, schedule: ScheduleArgument) -> None:
    """Show a schedule: when it fires next, how it fired last, and its settings."""
    views.show(session, session.api.get(path(session, schedule)))


@app.verb()
@spread
def update(
    session: Session,
    schedule: ScheduleArgument,
    timing: Timing,
    conduct: Conduct,
    name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    clear: ClearOption = None,
) -> None:
    """Change a schedule: only what is named. --cron, --every, --once or --in take the place of what it had."""
    current = session.api.get(path(session, schedule))
    zone = timing.tz or current["settings"]["timezone"]
    settings = {**given(name=name), **timing.fields(zone, session.now), **conduct.fields}
    settings |= retry_with(session, current, conduct.retry)
    if twice := settings.keys() & cleared(clear or []):
        raise usage(f"{', '.join(sorted(twice))} cannot be set and cleared at once.")
    settings |= cleared(clear or [])
    if not settings:
        raise usage("Say what to change.", "See `spark schedule update --help`.")
    with speaking_of(options(timing.rule or rule_of(current), name="--name")):
        changed = session.api.patch(f"/schedules/{current['id']}", {"settings": settings})
    views.show_timing(session, changed)


@app.verb()
def delete(session: Session, schedule: ScheduleArgument, yes: YesOption = False) -> None:
    """Delete a schedule. Its runs stay until they expire."""
    id = ids.resolve(session.api, "schedules", schedule)
    session.confirm(f"Delete schedule {schedule}?", yes=yes)
    session.api.delete(f"/schedules/{id}")
    session.note(f"Deleted {schedule}.")


@app.verb()
def pause(
    session: Session,
    schedule: PerhapsScheduleArgument = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; `spark schedule get` tells it.")] = None,
    all: AllOption = False,
    workflow: running.WorkflowOption = None,
    yes: YesOption = False,
) -> None:
    """Stop a schedule from firing; with --all or --workflow, many. Runs that have started go on."""
    if is_for_many(schedule, all, workflow):
        if reason is not None:
            raise usage("--reason is for one schedule.")
        change_all(session, "pause", workflow, yes=yes)
        return
    paused = session.api.post(f"{path(session, str(schedule))}/pause", given(reason=reason))
    if session.json:
        session.print_json(paused)
    session.note(f"{ids.name_of(paused)} is {paused['state']}.")


@app.verb()
def resume(
    session: Session,
    schedule: PerhapsScheduleArgument = None,
    all: AllOption = False,
    workflow: running.WorkflowOption = None,
    yes: YesOption = False,
) -> None:
    """Let a schedule fire again from now on; with --all or --workflow, many. What a pause left out stays out."""
    if is_for_many(schedule, all, workflow):
        change_all(session, "resume", workflow, yes=yes)
        return
    resumed = session.api.post(f"{path(session, str(schedule))}/resume")
    if session.json:
        session.print_json(resumed)
    next = views.next_of(resumed, session.now)
    session.note(f"{ids.name_of(resumed)} is {resumed['state']}, {f'next {next}' if next else 'and fires no more'}.")


@app.verb(epilog=EXIT_STATUS)
def trigger(
    session: Session,
    schedule: ScheduleArgument,
    input: InputOption = None,
    input_file: InputFileOption = None,
    session_id: SessionOption = None,
    tweak: TweakOption = None,
    overlap: OverlapOption = None,
    follow: running.FollowOption = False,
    wait: running.WaitOption = False,
) -> None:
    """Run it now, paused or not, with its input unless another is given. Its next fires stay as they are."""
    wishes = given(
        input=said_input(input, input_file),
        session_id=session_id,
        tweaks=parse_tweaks(tweak or []) or None,
        overlap=overlap,
    )
    started = session.api.post(f"{path(session, schedule)}/trigger", wishes)
    watch.settle(session, started, follow=follow or wait, quiet=wait)


app.verb()(fires.preview)
app.verb(epilog=EXIT_STATUS)(backfills.backfill)
app.verb()(backfills.backfills)
app.verb()(schedule_runs.runs)


def retry_with(session: Session, schedule: Json, wishes: Json) -> Json:
    """Its own policy, or its workflow's, with `wishes`."""
    own = schedule["settings"].get("retry")
    if wishes and own:
        return {"retry": {**own, **wishes}}
    return retry_policy(session, schedule["workflow_id"], wishes)


def rule_of(schedule: Json) -> Rule:
    """What it was made with."""
    option = {"cron": "--cron", "interval": "--every", "once": "--once"}[schedule["settings"]["kind"]]
    return Rule(option, schedule["settings"]["kind"], schedule["settings"]["expression"])


def is_for_many(schedule: str | None, all: bool, workflow: str | None) -> bool:
    """Raises CliError unless either one or many are named."""
    many = all or workflow is not None
    if many == (schedule is not None):
        raise usage("Name one schedule, or say --all or --workflow.")
    return many


def change_all(session: Session, verb: str, workflow: str | None, *, yes: bool) -> None:
    """Pause or resume all schedules, or those of a workflow."""
    whose = f" of {workflow}" if workflow else ""
    session.confirm(f"{verb.capitalize()} all schedules{whose}?", yes=yes)
    wanted = given(workflow_id=workflow and ids.resolve(session.api, "workflows", workflow))
    sweep(session, f"/schedules/{verb}", wanted, f"{verb}d")
