"""When a schedule fires next, in words and tables: what `preview` of the API tells."""

from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from cli import completion, tables, times
from cli.client import Json
from cli.errors import speaking_of, usage
from cli.options import spread
from cli.schedule_options import options, path
from cli.session import Session
from cli.tables import Column
from cli.timing_options import WITHOUT_ZONE, Timing, rule_in

PAGE = 100  # fires in one answer of the API
MARKS = {
    "moved": "clocks skip it: fires after",
    "first_pass": "clocks go back: first pass",  # nosec B105
    "second_pass": "clocks go back: second pass",  # nosec B105
}


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
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=PAGE, help="How many fires.")] = 10,
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
        show(session, session.api.post("/schedules/preview", {**fields, "count": count}))


def of_saved(session: Session, schedule: str, timing: Timing, count: int) -> None:
    """The fires of a schedule that exists."""
    if timing != Timing():
        raise usage(
            f"{schedule!r} is taken for a schedule, which has its own times.",
            "For an expression say --cron, --every, --once or --in.",
        )
    show(session, session.api.get(f"{path(session, schedule)}/preview", count=count))


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
    return Text("\n").join(line(fire, now) for fire in preview["items"])


def line(fire: Json, now: datetime) -> Text:
    soon = "; ".join(filter(None, [times.until(fire["fires_at"], now), remark(fire)]))
    return Text.assemble(times.full(local(fire)), "  ", (soon, "dim"))


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
