"""`spark schedule`: when workflows run by themselves."""

from enum import StrEnum
from typing import Annotated

import typer

from cli import backfills as filling
from cli import calendar, completion, fires, ids, tables, times, watch
from cli import runs as running
from cli import schedule_views as views
from cli.client import Json, given
from cli.errors import EXIT_STATUS, speaking_of, usage
from cli.inputs import parse_tweaks, said_input
from cli.options import spread
from cli.schedule_options import (
    WITHOUT_ZONE,
    ClearOption,
    Conduct,
    InputFileOption,
    InputOption,
    OverlapOption,
    Rule,
    SessionOption,
    Timing,
    TweakOption,
    cleared,
    one_rule,
    options,
    rule_in,
)
from cli.session import Noun, Session, YesOption
from cli.workflows import retry_policy

app = Noun(help="When workflows run by themselves.")

SWEPT_AT_ONCE = 500  # the API's limit


class State(StrEnum):
    active = "active"
    paused = "paused"
    finished = "finished"


class Reprocess(StrEnum):
    none = "none"
    failed = "failed"
    all = "all"


ScheduleArgument = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="Name or id.", autocompletion=completion.names("schedules"))
]
PerhapsScheduleArgument = Annotated[
    str | None, typer.Argument(metavar="SCHEDULE", help="Name or id.", autocompletion=completion.names("schedules"))
]
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
        sweep(session, "pause", workflow, yes=yes)
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
        sweep(session, "resume", workflow, yes=yes)
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


@app.verb()
@spread
def preview(
    session: Session,
    timing: Timing,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPRESSION|SCHEDULE]",
            help='"0 9 * * 1-5", @daily, 30m, "in 10m", 2030-12-24T09:00; or the name or id of a schedule.',
            autocompletion=completion.names("schedules"),
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option("--schedule", help="A schedule, by name or id.", autocompletion=completion.names("schedules")),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100, help="How many fires.")] = 10,
) -> None:
    """Say in words what an expression means, and when it, or a schedule, will fire."""
    rule = timing.rule
    if [what, schedule, rule].count(None) != 2:
        raise usage("Name one thing: an expression or a schedule.", 'Such as spark schedule preview "0 9 * * 1-5"')
    if what is not None:
        rule, schedule = (rule_in(what), None) if rule_in(what) else (None, what)
    if rule is None:
        of_saved(session, str(schedule), timing, count)
        return
    fields = {**timing.fields(timing.tz or WITHOUT_ZONE, session.now), **rule.fields}
    with speaking_of(options(rule)):
        fires.show(session, session.api.post("/schedules/preview", {**fields, "count": count}))


@app.verb(epilog=EXIT_STATUS)
def backfill(
    session: Session,
    schedule: ScheduleArgument,
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="A date or time in the schedule's zone, or 7d for ago.")
    ],
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="The same; of a date the whole day.", show_default="now"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would run.")] = False,
    overlap: OverlapOption = None,
    reprocess: Annotated[
        Reprocess, typer.Option("--reprocess", help="Also those that ran at their time?")
    ] = Reprocess.none,
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Stay until all runs are over.")] = False,
    yes: YesOption = False,
) -> None:
    """Run now what a schedule would have run in a range of the past, oldest first."""
    found = session.api.get(path(session, schedule))
    zone, place = found["settings"]["timezone"], f"/schedules/{found['id']}/backfills"
    wish = {
        "start_at": times.past_of(since, zone, session.now),
        **given(
            end_at=until and times.past_of(until, zone, session.now, ends=True),
            overlap=overlap,
            reprocess=None if reprocess is Reprocess.none else reprocess,
        ),
    }
    with speaking_of({"start_at": "--from", "end_at": "--to", "overlap": "--overlap"}):
        plan = session.api.post(place, {**wish, "dry_run": True})
    if dry_run:
        filling.show_plan(session, found, plan)
        return
    filling.announce(session, found, plan)
    if plan["total"]:
        session.confirm(f"Start {filling.count(plan['total'], 'run')}?", yes=yes)
        filling.settle(session, session.api.post(place, wish), follow=follow)
    elif session.json:
        session.print_json(plan)


@app.verb()
def backfills(
    session: Session,
    schedule: ScheduleArgument,
    cancel: Annotated[
        str | None,
        typer.Option("--cancel", metavar="ID", help="Let this one, or `last`, start no more runs."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")] = 20,
) -> None:
    """List the backfills of a schedule, newest first, or cancel one."""
    found = session.api.get(path(session, schedule))
    place = f"/schedules/{found['id']}/backfills"
    if cancel is None:
        filling.show_list(session, found, list(session.api.items(place, limit)))
        return
    meant = filling.resolve(session, found["id"], cancel)
    cancelled = session.api.post(f"{place}/{meant['id']}/cancel")
    if session.json:
        session.print_json(cancelled)
    session.note(f"{tables.short(meant['id'])} is {cancelled['status']}: {filling.progress(cancelled)}.")


@app.verb()
def runs(
    session: Session,
    schedule: ScheduleArgument,
    status: running.StatusOption = None,
    since: running.SinceOption = None,
    until: running.UntilOption = None,
    ahead: running.AheadOption = False,
    limit: running.LimitOption = 20,
) -> None:
    """List the runs of a schedule, newest first, and how late they began."""
    id = ids.resolve(session.api, "schedules", schedule)
    wanted = running.filters(session, None, None, status, since, until)
    found = list(session.api.items(f"/schedules/{id}/runs", limit, **wanted, due=running.is_due(ahead)))
    if session.json:
        session.print_json(found)
    elif not found:
        session.note(f"No runs. Start one: spark schedule trigger {tables.short(id)} --watch")
    else:
        zone = session.api.get(f"/schedules/{id}")["settings"]["timezone"]
        tables.show_table(session.out, found, views.run_columns(session, zone))


def path(session: Session, schedule: str) -> str:
    return f"/schedules/{ids.resolve(session.api, 'schedules', schedule)}"


def of_saved(session: Session, schedule: str, timing: Timing, count: int) -> None:
    """The fires of a schedule that exists."""
    if timing != Timing():
        raise usage(
            f"{schedule!r} is taken for a schedule, which has its own times.",
            "For an expression say --cron, --every, --once or --in.",
        )
    fires.show(session, session.api.get(f"{path(session, schedule)}/preview", count=count))


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


def sweep(session: Session, verb: str, workflow: str | None, *, yes: bool) -> None:
    """Pause or resume all schedules, or those of a workflow, as many calls as it takes."""
    whose = f" of {workflow}" if workflow else ""
    session.confirm(f"{verb.capitalize()} all schedules{whose}?", yes=yes)
    wanted = given(workflow_id=workflow and ids.resolve(session.api, "workflows", workflow), limit=SWEPT_AT_ONCE)
    total, cursor = {"matched": 0, "changed": 0}, None
    while True:
        answer = session.api.post(f"/schedules/{verb}", given(**wanted, cursor=cursor))
        total = {key: total[key] + answer[key] for key in total}
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        session.note(f"{total['changed']} {verb}d so far …", "dim")
    if session.json:
        session.print_json(total)
    session.note(f"{total['changed']} of {total['matched']} {verb}d.")
