"""When a schedule fires next, in words and tables: what `preview` of the API tells."""

from datetime import datetime

from rich.text import Text

from cli import tables, times
from cli.client import Json
from cli.session import Session
from cli.tables import Column

MARKS = {
    "moved": "clocks skip it: fires after",
    "first_pass": "clocks go back: first pass",
    "second_pass": "clocks go back: second pass",
}


def show(session: Session, preview: Json) -> None:
    """The sentence, the fires, and what daylight saving does to them."""
    if session.json:
        session.print_json(preview)
        return
    session.note(preview["description"], "bold")
    if preview["items"]:
        tables.show_table(session.out, preview["items"], columns(session))
    else:
        session.note("It will not fire.", "yellow")
    if preview.get("note"):
        session.note(preview["note"], "yellow")


def columns(session: Session) -> list[Column]:
    return [
        Column("LOCAL", lambda fire: times.full(local(fire)), style="bold"),
        Column("UTC", lambda fire: utc(fire), style="dim"),
        Column("", lambda fire: times.until(fire["fires_at"], session.now)),
        Column("", remark, flexible=True, style="yellow"),
    ]


def lines(preview: Json, now: datetime) -> Text:
    """The fires, one below the other, for a card."""
    said = (
        Text.assemble(times.full(local(fire)), "  ", (times.until(fire["fires_at"], now), "dim"))
        for fire in preview["items"]
    )
    return Text("\n").join(said)


def local(fire: Json) -> datetime:
    return times.parse_instant(fire["local"])


def utc(fire: Json) -> str:
    at = times.parse_instant(fire["scheduled_for"])
    return f"{at:%m-%d} {times.clock(at)}Z"


def remark(fire: Json) -> str:
    """What makes it unlike the others: the clocks changed, or jitter delays it."""
    late = times.parse_instant(fire["fires_at"]) - times.parse_instant(fire["scheduled_for"])
    jitter = f"{times.length(late.total_seconds())} later, by jitter" if late else ""
    return "; ".join(filter(None, [MARKS.get(fire["mark"] or "", ""), jitter]))


def full_in(zone: str, text: str) -> str:
    """An instant by the clock of `zone`, all of it."""
    return times.full(times.parse_instant(text).astimezone(times.zone_or_utc(zone)))
