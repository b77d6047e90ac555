"""Times as people say them: "3 min ago", "1.2 s", and `--since 2h` read back."""

import re
from datetime import UTC, datetime, timedelta

from cli.errors import usage

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
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
    """`90`, `90s`, `5m`, `2h`, `1d`."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise usage(f"{text!r} is no length of time.", "Write 90, 90s, 5m, 2h or 1d.")
    return float(match[1]) * UNITS[match[2] or "s"]


def instant_of(text: str, now: datetime) -> str:
    """A point in time for the API: `2h` is two hours ago; a date or time without a zone is local."""
    if DURATION.fullmatch(text.strip()):
        at = now - timedelta(seconds=seconds_of(text))
    else:
        try:
            at = datetime.fromisoformat(text.strip()).astimezone(UTC)
        except ValueError as error:
            raise usage(f"{text!r} is no time.", "Write 30m, 2h or 1d for ago, or 2030-01-31T12:00Z.") from error
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
