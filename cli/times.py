"""Times as people say them: "3 min ago", "1.2 s", and `--since 2h` read back."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cli.errors import CliError, usage

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"\d+(?:\.\d+)?|(?:\d+(?:\.\d+)?[smhdw])+")
PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
DAY = timedelta(days=1)
LEAST = timedelta(milliseconds=1)  # by which the API tells two instants apart
STEPS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def parse_instant(text: str) -> datetime:
    """An instant as the API writes it."""
    return datetime.fromisoformat(text)


def ago(text: str | None, now: datetime) -> str:
    """`text` seen from `now`: "3 min ago", "in 12 s", "just now"; nothing for nothing."""
    if text is None:
        return ""
    seconds = (now - parse_instant(text)).total_seconds()
    if abs(seconds) < 1:
        return "just now"
    return f"{rough(seconds)} ago" if seconds > 0 else f"in {rough(-seconds)}"


def until(text: str | None, now: datetime) -> str:
    """When something is due: "in 12 s", or "now" once it is."""
    said = ago(text, now)
    return said if said.startswith("in ") else "now"


def rough(seconds: float) -> str:
    """The one unit that matters: "45 s", "3 min", "2 h", "5 d"."""
    for size, unit in STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def span(seconds: float) -> str:
    """How long something took: "0.3 s", "12 s", "3:05", "1:02:03"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def between(start: str | None, end: str | None, now: datetime) -> str:
    """How long it took from `start` to `end`, or has taken until `now`; nothing before it starts."""
    if start is None:
        return ""
    until = parse_instant(end) if end else now
    return span(max((until - parse_instant(start)).total_seconds(), 0))


def seconds_of(text: str) -> float:
    """`90`, `90s`, `5m`, `2h`, `1d`, `1h30m`."""
    if DURATION.fullmatch(text.strip()) is None:
        raise usage(f"{text!r} is no length of time.", "Write 90, 90s, 5m, 2h, 1d or 1h30m.")
    return sum(float(number) * UNITS[unit or "s"] for number, unit in PART.findall(text))


def whole_seconds(text: str) -> int:
    seconds = seconds_of(text)
    if seconds != int(seconds):
        raise usage(f"{text!r} has a fraction of a second.", "Write whole seconds, such as 90s.")
    return int(seconds)


def instant_of(text: str, now: datetime) -> str:
    """A point in time for the API: `2h` is two hours ago; a date or time without a zone is local."""
    if DURATION.fullmatch(text.strip()):
        at = now - timedelta(seconds=seconds_of(text))
    else:
        try:
            at = datetime.fromisoformat(text.strip()).astimezone(UTC)
        except ValueError as error:
            raise usage(f"{text!r} is no time.", "Write 30m, 2h or 1d for ago, or 2030-01-31T12:00Z.") from error
    return instant_text(at)


def instant_text(at: datetime) -> str:
    """An instant as the API reads it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- in a time zone


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name. Raises CliError when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise usage(
            f"{name!r} is no time zone that this machine knows.", "Write UTC, or a place such as America/Sao_Paulo."
        ) from error


def zone_or_utc(name: str) -> ZoneInfo:
    """For showing times: better in UTC than not at all."""
    try:
        return zone_of(name)
    except CliError:
        return ZoneInfo("UTC")


def is_date(text: str) -> bool:
    return DATE.fullmatch(text.strip()) is not None


def moment_of(text: str, zone: str, now: datetime, *, ends: bool = False) -> str:
    """A point in time for the API: `now`, `in 2h`, a date or a time, in `zone` unless it says its offset.

    A date is its first instant, or its last one for what `ends` then.
    """
    text = text.strip()
    if text == "now":
        return instant_text(now)
    if text.startswith("in "):
        return instant_text(now + timedelta(seconds=seconds_of(text.removeprefix("in "))))
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise usage(
            f"{text!r} is no time.", "Write 2030-01-31, 2030-01-31T12:00, 2030-01-31T12:00Z or in 2h."
        ) from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone_of(zone))
    if ends and is_date(text):
        at = at + DAY - LEAST
    return instant_text(at)


def past_of(text: str, zone: str, now: datetime, *, ends: bool = False) -> str:
    """The same for what is over: `2h` is two hours ago, and what would end later ends now."""
    if DURATION.fullmatch(text.strip()):
        return instant_text(now - timedelta(seconds=seconds_of(text)))
    try:
        return min(moment_of(text, zone, now, ends=ends), instant_text(now))
    except CliError as error:
        raise usage(str(error), "Write 2030-01-31, 2030-01-31T12:00, 2030-01-31T12:00Z or 7d for ago.") from error


def offset(at: datetime) -> str:
    """How far from UTC: `-03`, `+0530`, `UTC`."""
    if not at.utcoffset():
        return "UTC"
    return f"{at:%z}".removesuffix("00")


def clock(at: datetime) -> str:
    """`09:00`; with seconds only where there are some."""
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def full(at: datetime) -> str:
    """All of it: `Thu 2030-01-31 09:00 -03`."""
    return f"{at:%a %Y-%m-%d} {clock(at)} {offset(at)}"


def brief(at: datetime, now: datetime) -> str:
    """`at` by its own clock, with as much of the date as it takes from `now`: `09:00 -03`, `Thu 09:00 -03`."""
    days = abs((at.date() - now.astimezone(at.tzinfo).date()).days)
    if days == 0:
        return f"{clock(at)} {offset(at)}"
    if days < 7:
        return f"{at:%a} {clock(at)} {offset(at)}"
    return f"{at.day} {at:%b} {clock(at)}" if days < 300 else f"{at:%Y-%m-%d}"


def coming(text: str | None, zone: str, now: datetime) -> str:
    """When something is due, from now and by the clock of `zone`: "in 4 min (09:00 -03)"."""
    if text is None:
        return ""
    return f"{until(text, now)} ({brief(parse_instant(text).astimezone(zone_or_utc(zone)), now)})"


def length(seconds: float) -> str:
    """How long something is, as short as it gets: `5m`, `1h30m`."""
    rest, parts = int(seconds), []
    for unit in "dhms":
        count, rest = divmod(rest, UNITS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
