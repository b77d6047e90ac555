"""The runs of a schedule, and how late they began."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from cli import ids, tables, times
from cli import runs as running
from cli.client import Json
from cli.fires import PAGE
from cli.schedule_options import ScheduleArgument
from cli.session import Session
from cli.tables import Column

Fires = Mapping[str, str]
"""Nominal time → when it fired, jitter included."""


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
        settings = session.api.get(f"/schedules/{id}")["settings"]
        fires = fires_of(session, id, found) if settings.get("jitter_seconds") else None
        tables.show_table(session.out, found, columns(session, settings["timezone"], fires))


def columns(session: Session, zone: str, fires: Fires | None) -> list[Column]:
    return [
        Column("ID", lambda run: tables.short(run["id"]), style="cyan"),
        Column("FOR", lambda run: occurrence(run, zone, session.now), style="bold"),
        Column("STATUS", lambda run: tables.state(run["status"])),
        Column("LATE", lambda run: lateness(run, fires), right=True),
        Column("TOOK", lambda run: running.took(run, session), right=True),
        Column("", lambda run: running.detail(run, session), flexible=True, style="dim"),
    ]


def occurrence(run: Json, zone: str, now: datetime) -> str:
    """The time that it is the run of; how it came about if that was not the clock."""
    at = run.get("scheduled_for")
    when = times.brief(times.parse_instant(at).astimezone(times.zone_or_utc(zone)), now) if at else ""
    origin = run.get("origin", "schedule")
    return when if origin == "schedule" else " ".join(filter(None, [when, origin]))


def lateness(run: Json, fires: Fires | None) -> str:
    """How long after its time the clock's run began. Others have no time to keep.

    With jitter its time is when it fired; where that is not known, it is no later than this.
    """
    if not is_clocked(run) or not run.get("started_at"):
        return ""
    nominal = run["scheduled_for"]
    due = nominal if fires is None else fires.get(nominal, nominal)
    seconds = (times.parse_instant(run["started_at"]) - times.parse_instant(due)).total_seconds()
    late = times.span(max(seconds, 0))
    return late if fires is None or nominal in fires else f"≤ {late}"


def fires_of(session: Session, schedule_id: str, runs: Sequence[Json]) -> Fires:
    """When `runs` fired, jitter included. The API knows it since the last edit; of a page, which is one question."""
    nominal = [run["scheduled_for"] for run in runs if is_clocked(run)]
    if not nominal:
        return {}
    after = times.instant_text(times.parse_instant(min(nominal)) - times.LEAST)
    answer = session.api.get(f"/schedules/{schedule_id}/preview", count=PAGE, after=after)
    return {fire["scheduled_for"]: fire["fires_at"] for fire in answer["items"]}


def is_clocked(run: Json) -> bool:
    return run.get("origin") == "schedule" and bool(run.get("scheduled_for"))
