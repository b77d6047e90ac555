"""How schedules look: the list, the card, and what was just saved."""

from datetime import datetime
from typing import Any

from rich.text import Text

from cli import fires, ids, tables, times
from cli import runs as running
from cli.client import Json
from cli.session import Session
from cli.tables import Column

FIRES_SHOWN = 3
ROOMY = 100  # columns of a terminal that has room for what the colours and the next fire say already


def columns(session: Session) -> list[Column]:
    names = ids.names_in(session.api, "workflows")
    roomy = session.out.width >= ROOMY
    state = Column("STATE", lambda schedule: tables.state(schedule["state"]))
    return [
        Column("ID", lambda schedule: tables.short(schedule["id"]), style="cyan"),
        Column("NAME", ids.name_of, style="bold", flexible=True),
        Column("WHEN", in_short, at_most=None if roomy else 11),
        Column("NEXT", lambda schedule: next_or_state(schedule, session.now, roomy), at_most=24),
        *([state] if roomy else []),
        Column("FIRED", lambda schedule: str(schedule["fired"]), right=True),
        Column("WORKFLOW", lambda schedule: names.get(schedule["workflow_id"]) or running.gone(schedule), at_most=10),
    ]


def in_short(schedule: Json) -> str:
    settings = schedule["settings"]
    if settings["kind"] == "interval":
        return f"every {settings['expression']}"
    return "once" if settings["kind"] == "once" else str(settings["expression"])


def next_of(schedule: Json, now: datetime) -> str:
    """When it fires next, from now and by its own clock."""
    return times.coming(schedule.get("next_fire_at"), schedule["settings"]["timezone"], now)


def next_or_state(schedule: Json, now: datetime, roomy: bool) -> Text | str:
    """Why there is no next fire, unless a column of its own says it."""
    return next_of(schedule, now) or ("" if roomy else tables.state(schedule["state"]))


def show_timing(session: Session, schedule: Json) -> None:
    """What was just saved, in words, and its next fires: is it what was meant?"""
    if session.json:
        session.print_json(schedule)
        return
    coming = session.api.get(f"/schedules/{schedule['id']}/preview", count=FIRES_SHOWN)
    tables.show_card(session.out, {**heading(schedule), "next": upcoming(session, schedule, coming)})
    if coming.get("note"):
        session.note(coming["note"], "yellow")


def show(session: Session, schedule: Json) -> None:
    if session.json:
        session.print_json(schedule)
        return
    coming = session.api.get(f"/schedules/{schedule['id']}/preview", count=FIRES_SHOWN)
    names = ids.names_in(session.api, "workflows")  # it may be gone
    tables.show_card(
        session.out,
        {
            **heading(schedule),
            "workflow": f"{names.get(schedule['workflow_id']) or 'deleted'}  {schedule['workflow_id']}",
            "next": upcoming(session, schedule, coming),
            "last": last_fire(schedule, session.now),
            "fired": fired(schedule),
            "skipped": skipped(schedule),
            "in a row": failures(schedule),
            **bounds(schedule["settings"]),
            **conduct_of(schedule["settings"]),
            "updated": times.ago(schedule["updated_at"], session.now),
        },
    )
    if coming.get("note"):
        session.note(coming["note"], "yellow")


def heading(schedule: Json) -> dict[str, str | Text | None]:
    return {
        "schedule": Text(ids.name_of(schedule), "bold"),
        "id": schedule["id"],
        "when": schedule["description"],
        "state": state_of(schedule),
    }


def state_of(schedule: Json) -> Text:
    """Its state; if it is paused, since when and why."""
    state = tables.state(schedule["state"])
    if schedule["state"] != "paused" or not schedule.get("pause_reason"):
        return state
    return Text.assemble(state, f": {tables.first_line(schedule['pause_reason'])}")


def upcoming(session: Session, schedule: Json, coming: Json) -> Text:
    """The next fires; of a paused schedule there are none."""
    if schedule["state"] == "active":
        return fires.lines(coming, session.now)
    return Text("none while it is paused" if schedule["state"] == "paused" else "none", "dim")


def last_fire(schedule: Json, now: datetime) -> Text | None:
    last = schedule.get("last_fire")
    if last is None:
        return None
    at = times.parse_instant(last["scheduled_for"]).astimezone(times.zone_or_utc(schedule["settings"]["timezone"]))
    late = last.get("lateness_seconds")
    punctual = "not begun yet" if late is None else f"{times.span(late)} late"
    return Text.assemble(
        f"{times.ago(last['scheduled_for'], now)} ({times.brief(at, now)})  ",
        tables.sign(last["status"]),
        " ",
        tables.state(last["status"]),
        (f", {punctual}, run {tables.short(last['run_id'])}", "dim"),
    )


def fired(schedule: Json) -> str:
    most = schedule["settings"].get("max_runs")
    return f"{schedule['fired']} of {most}" if most else str(schedule["fired"])


def skipped(schedule: Json) -> str:
    reasons = {"missed": schedule["skipped_missed"], "because of overlap": schedule.get("skipped_overlap", 0)}
    return ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)


def failures(schedule: Json) -> Text | None:
    number, most = schedule.get("failed_in_a_row"), schedule["settings"].get("pause_after_failures")
    if not number and not most:
        return None
    limit = f", pauses after {most}" if most else ""
    return Text(f"{number or 'none'} failed{limit}", "red" if number else "")


def bounds(settings: Json) -> dict[str, str | Text | None]:
    """What limits its times."""
    zone, jitter = settings["timezone"], settings.get("jitter_seconds")
    return {
        "start": settings.get("start_at") and fires.full_in(zone, settings["start_at"]),
        "end": settings.get("end_at") and fires.full_in(zone, settings["end_at"]),
        "not on": ", ".join(settings.get("exclude") or []),
        "jitter": f"up to {times.length(jitter)}" if jitter else None,
    }


def conduct_of(settings: Json) -> dict[str, str | Text | None]:
    """What it runs, and how; only what is not as usual."""
    retry, timeout = settings.get("retry") or {}, settings.get("timeout_seconds")
    lateness = settings.get("max_lateness_seconds")
    return {
        "input": tables.first_line(settings.get("input")),
        "session": settings.get("session_id"),
        "tweaks": tweaks_of(settings.get("tweaks") or {}),
        "timeout": f"{timeout} s" if timeout else None,
        "attempts": f"{retry['max_attempts']}{', also when the flow fails' * retry['flow_failed']}" if retry else None,
        "overlap": unusual(settings.get("overlap"), "allow"),
        "catch up": unusual(settings.get("catch_up"), "last"),
        "lateness": f"at most {times.length(lateness)}" if lateness else None,
    }


def unusual(value: str | None, usual: str) -> str | None:
    return None if value in (None, usual) else str(value)


def tweaks_of(tweaks: dict[str, dict[str, Any]]) -> str:
    return ", ".join(
        f"{component}.{field}={value}" for component, fields in tweaks.items() for field, value in fields.items()
    )
