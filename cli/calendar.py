"""The next week as a terminal shows it: a row for each schedule, a column for each day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from rich import box
from rich.table import Table
from rich.text import Text

from cli import ids, tables, times
from cli.client import Json
from cli.fires import PAGE
from cli.inputs import value_of
from cli.session import Session
from cli.tables import Column

DAYS = 7
TIMES = "\N{MULTIPLICATION SIGN}"
SHOWN = 4  # fires of a day that are told one by one


@dataclass(frozen=True)
class Day:
    """What one schedule does on one day, from `begins` to `ends`. If `gaps`, some of its fires are not known."""

    begins: datetime
    ends: datetime
    fires: tuple[datetime, ...]
    gaps: bool = False


@dataclass(frozen=True)
class Row:
    schedule: Json
    days: tuple[Day, ...]


def show(session: Session, schedules: Sequence[Json], zone_name: str | None) -> None:
    """The week of `schedules`, in one time zone: the one that was said, or theirs if they have the same, or UTC."""
    zone = value_of("--tz", zone_name, times.zone_of) or common_zone(schedules)
    today = session.now.astimezone(zone).date()
    dates = [today + timedelta(days=number) for number in range(DAYS)]
    titles = ["NAME", *(day.isoformat() for day in dates)]
    rows = [Row(each, week(session, each, dates, zone)) for each in sorted(schedules, key=due)]
    if session.json:
        session.print_json([document(row, dates, zone) for row in rows])
    elif session.out.is_terminal:
        session.out.print(grid(rows, dates, zone))
    else:
        tables.show_table(session.out, plain(rows, dates, zone), [column(title) for title in titles])
        session.note(f"Times in {zone.key}.")


def common_zone(schedules: Sequence[Json]) -> ZoneInfo:
    names = {schedule["settings"]["timezone"] for schedule in schedules}
    return times.zone_or_utc(names.pop()) if len(names) == 1 else ZoneInfo("UTC")


def due(schedule: Json) -> tuple[bool, str, str]:
    """Who fires first comes first."""
    next = schedule.get("next_fire_at")
    return (next is None, next or "", ids.name_of(schedule))


# ---------------------------------------------------------------- what fires when


def week(session: Session, schedule: Json, dates: Sequence[date], zone: ZoneInfo) -> tuple[Day, ...]:
    """What `schedule` does on `dates`, with few questions: one, if it fires less than fifteen times a day.

    A day with more fires than an answer holds is known by its beginning, and, if it is regular, by its end.
    """
    known: list[datetime] = []
    reach: datetime | None = session.now  # what comes up to here is known; None: everything
    days = []
    for day in dates:
        begins, ends = max(session.now, times.midnight(day, zone)), times.midnight(day + timedelta(days=1), zone)
        if reach is not None and reach < ends:
            fires, reach = look(session, schedule, max(reach, begins - times.LEAST))
            known += fires
        gaps = reach is not None and reach < ends
        step = regular_step(among(known, begins, ends), gaps=False)
        if reach is not None and gaps and step is not None:
            fires, reach = look(session, schedule, max(reach, ends - step - times.LEAST))
            known += fires
        days.append(Day(begins, ends, tuple(among(known, begins, ends)), gaps))
    return tuple(days)


def look(session: Session, schedule: Json, after: datetime) -> tuple[list[datetime], datetime | None]:
    """Some fires after that moment, and up to where these are all, jitter included; None: there are no more."""
    answer = session.api.get(f"/schedules/{schedule['id']}/preview", count=PAGE, after=times.instant_text(after))
    fires = [times.parse_instant(fire["scheduled_for"]) for fire in answer["items"]]
    return fires, times.parse_instant(answer["items"][-1]["fires_at"]) if len(fires) == PAGE else None


def among(fires: Sequence[datetime], begins: datetime, ends: datetime) -> list[datetime]:
    return [at for at in fires if begins <= at < ends]


def regular_step(fires: Sequence[datetime], *, gaps: bool) -> timedelta | None:
    """The distance between `fires` if it is always the same; where there are `gaps`, a multiple of it will do."""
    steps = {later - earlier for earlier, later in pairwise(fires)}
    least = min(steps, default=None)
    if least is None or any(step % least if gaps else step != least for step in steps):
        return None
    return least


def summary(day: Day, zone: ZoneInfo) -> list[str]:
    """A few words, each at most eight characters long if the schedule lets it."""
    local = [times.clock(at.astimezone(zone)) for at in day.fires]
    if len(day.fires) <= SHOWN and not day.gaps:
        return local
    step = regular_step(day.fires, gaps=day.gaps)
    if step is None:
        return (
            [local[0], f"{TIMES}{len(local)}+"] if day.gaps else [local[0], f"to {local[-1]}", f"{TIMES}{len(local)}"]
        )
    every = f"every {times.length(step.total_seconds())}"
    if day.fires[0] - day.begins <= step and day.ends - day.fires[-1] <= step:
        return [every]
    return [local[0], every] if day.gaps else [local[0], f"to {local[-1]}", every]


# ---------------------------------------------------------------- how it looks


def grid(rows: Sequence[Row], dates: Sequence[date], zone: ZoneInfo) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column(Text(zone.key, "dim"), style="bold")
    for number, day in enumerate(dates):
        style = "bold cyan" if number == 0 else "bold" if day.weekday() < 5 else "dim"
        table.add_column(Text(f"{day:%a}\n{day.day} {day:%b}", style), no_wrap=True)
    cells = [[summary(day, zone) for day in row.days] for row in rows]
    tall = any(len(cell) > 1 for line in cells for cell in line)
    for row, line in zip(rows, cells, strict=True):
        name = Text(ids.name_of(row.schedule), no_wrap=True, overflow="ellipsis")
        table.add_row(name, *("\n".join(cell) for cell in line))
        if tall and row is not rows[-1]:
            table.add_row()
    return table


def plain(rows: Sequence[Row], dates: Sequence[date], zone: ZoneInfo) -> list[Json]:
    """A line for each schedule, for pipes."""
    told = [{day.isoformat(): said(each, zone) for day, each in zip(dates, row.days, strict=True)} for row in rows]
    return [{"NAME": ids.name_of(row.schedule), **days} for row, days in zip(rows, told, strict=True)]


def column(title: str) -> Column:
    return Column(title, lambda line: line[title])


def said(day: Day, zone: ZoneInfo) -> str:
    return ", ".join(summary(day, zone)) or "-"


def document(row: Row, dates: Sequence[date], zone: ZoneInfo) -> Json:
    """`gaps`: there are more fires than are listed."""
    days = [
        {
            "date": day.isoformat(),
            "summary": summary(each, zone),
            "fires": [times.instant_text(at) for at in each.fires],
            "gaps": each.gaps,
        }
        for day, each in zip(dates, row.days, strict=True)
    ]
    return {"id": row.schedule["id"], "name": ids.name_of(row.schedule), "timezone": zone.key, "days": days}
