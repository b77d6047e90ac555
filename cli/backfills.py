"""Backfills: what a schedule would have run in a range of the past, run now."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from cli import ids, tables, times
from cli.batches import POLL_SECONDS, failures_in, progress_bar
from cli.client import Json, given
from cli.errors import CliError, ExitCode, speaking_of, usage
from cli.fires import full_in
from cli.inputs import value_of
from cli.schedule_options import OverlapOption, ScheduleArgument, path
from cli.session import Session, YesOption
from cli.tables import Column
from cli.watch import FINAL

SEARCHED = 500  # newest backfills of a schedule


class Reprocess(StrEnum):
    none = "none"
    failed = "failed"
    all = "all"


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
        "start_at": value_of("--from", since, lambda text: times.past_of(text, zone, session.now)),
        **given(
            end_at=value_of("--to", until, lambda text: times.past_of(text, zone, session.now, ends=True)),
            overlap=overlap,
            reprocess=None if reprocess is Reprocess.none else reprocess,
        ),
    }
    with speaking_of({"start_at": "--from", "end_at": "--to", "overlap": "--overlap"}):
        plan = session.api.post(place, {**wish, "dry_run": True})
    if dry_run:
        show_plan(session, found, plan)
        return
    announce(session, found, plan)
    if plan["total"]:
        session.confirm(f"Start {count(plan['total'], 'run')}?", yes=yes)
        settle(session, session.api.post(place, wish), follow=follow)
    elif session.json:
        session.print_json(plan)


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
        show_list(session, found, list(session.api.items(place, limit)))
        return
    meant = resolve(session, found["id"], cancel)
    cancelled = session.api.post(f"{place}/{meant['id']}/cancel")
    if session.json:
        session.print_json(cancelled)
    session.note(f"{tables.short(meant['id'])} is {cancelled['status']}: {progress(cancelled)}.")


def show_plan(session: Session, schedule: Json, plan: Json) -> None:
    """What a backfill would run."""
    if session.json:
        session.print_json(plan)
        return
    announce(session, schedule, plan)
    if plan["items"]:
        tables.show_table(session.out, plan["items"], plan_columns(session, schedule))
    if len(plan["items"]) < plan["total"]:
        session.note(f"The first {len(plan['items'])} of {plan['total']}.", "dim")


def announce(session: Session, schedule: Json, plan: Json) -> None:
    """How much it is."""
    name, zone = ids.name_of(schedule), schedule["settings"]["timezone"]
    if not plan["items"]:
        session.note(f"{name} has nothing to run in this range.")
        return
    first, last = (full_in(zone, plan["items"][index]["scheduled_for"]) for index in (0, -1))
    upto = f" from {first} to {last}" if len(plan["items"]) == plan["total"] > 1 else f" from {first}"
    session.note(f"{name}: {count(plan['total'], 'run')}{upto}", "bold")


def show_list(session: Session, schedule: Json, found: list[Json]) -> None:
    if session.json:
        session.print_json(found)
    elif not found:
        session.note(f"No backfills of {ids.name_of(schedule)}.")
    else:
        tables.show_table(session.out, found, columns(session, schedule))


def resolve(session: Session, schedule_id: str, text: str) -> Json:
    """The backfill that is meant: an id, a piece of one, or `last`."""
    found = list(session.api.items(f"/schedules/{schedule_id}/backfills", 1 if text == ids.LATEST else SEARCHED))
    fitting = found if text == ids.LATEST else ids.pick(found, text)
    if not fitting:
        raise CliError(f"The schedule has no backfill {text!r}.", hint="See `spark schedule backfills`.")
    if len(fitting) > 1:
        raise usage(f"{text!r} fits {len(fitting)} backfills.", "Say more of the id.")
    return fitting[0]


def settle(session: Session, backfill: Json, *, follow: bool) -> None:
    """Say its id, or stay until all its runs are over and exit as they ended."""
    if not follow:
        if session.json:
            session.print_json(backfill)
            return
        session.out.print(backfill["id"])
        session.note(f"{progress(backfill)}. See them: spark schedule runs {tables.short(backfill['schedule_id'])}")
        return
    backfill, runs = stay_with(session, backfill)
    failed = [run for run in runs if run["status"] != "completed"]
    if session.json:
        session.print_json({**backfill, "runs": runs})
    session.note(f"{len(runs) - len(failed)} of {len(runs)} runs completed.")
    if failed:
        raise typer.Exit(ExitCode.failed)


def stay_with(session: Session, backfill: Json) -> tuple[Json, list[Json]]:
    """The backfill and its runs when all of it is over. Ctrl-C ends the watching, not the runs."""
    path = f"/schedules/{backfill['schedule_id']}/backfills/{backfill['id']}"
    runs: list[Json] = []
    with progress_bar(session, quiet=session.json) as bar:
        task = bar.add_task("running", total=None, failed="")
        try:
            while True:
                runs = runs_of(session, backfill) if backfill["started"] else []
                over = {run["id"]: run for run in runs if run["status"] in FINAL}
                bar.update(task, total=backfill["total"] - backfill["left_out"], completed=len(over))
                bar.update(task, failed=failures_in(over))
                if backfill["status"] != "running" and len(over) >= backfill["started"]:
                    return backfill, runs
                session.sleep(POLL_SECONDS)
                backfill = session.api.get(path) if backfill["status"] == "running" else backfill
        except KeyboardInterrupt:
            session.note("The backfill goes on. Stop it: spark schedule backfills SCHEDULE --cancel last", "yellow")
            raise


def runs_of(session: Session, backfill: Json) -> list[Json]:
    """Its runs, oldest first."""
    found = session.api.items(
        f"/schedules/{backfill['schedule_id']}/runs",
        ids.EVERYTHING,
        since=backfill["start_at"],
        until=backfill["end_at"],
    )
    return [run for run in found if run["backfill_id"] == backfill["id"]][::-1]


def progress(backfill: Json) -> str:
    made = f"{backfill['started']} of {count(backfill['total'] - backfill['left_out'], 'run')} started"
    return f"{made}, {backfill['left_out']} left out" if backfill["left_out"] else made


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def columns(session: Session, schedule: Json) -> list[Column]:
    zone = schedule["settings"]["timezone"]
    return [
        Column("ID", lambda backfill: tables.short(backfill["id"]), style="cyan"),
        Column("FROM", lambda backfill: day_in(zone, backfill["start_at"])),
        Column("TO", lambda backfill: day_in(zone, backfill["end_at"])),
        Column("STATUS", lambda backfill: tables.state(backfill["status"])),
        Column("RUNS", lambda backfill: f"{backfill['started']}/{backfill['total']}", right=True),
        Column("CREATED", lambda backfill: times.ago(backfill["created_at"], session.now), style="dim", flexible=True),
    ]


def day_in(zone: str, text: str) -> str:
    return f"{times.parse_instant(text).astimezone(times.zone_or_utc(zone)):%Y-%m-%d %H:%M}"


def plan_columns(session: Session, schedule: Json) -> list[Column]:
    zone = schedule["settings"]["timezone"]
    return [
        Column("WHEN", lambda item: full_in(zone, item["scheduled_for"]), style="bold"),
        Column("", lambda item: times.ago(item["scheduled_for"], session.now), style="dim"),
        Column("RAN THEN", lambda item: tables.short(item.get("run_id")) or "-", style="cyan"),
        Column("STATUS", lambda item: tables.state(item["status"]) if item.get("status") else Text("")),
    ]
