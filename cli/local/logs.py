"""What the functions logged, read from the emulator's CloudWatch.

An invocation's lines appear when it has ended, all with the time of its end. Lambda's own START, END and REPORT lines
are left out.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from cli.local.clients import Clients

FUNCTIONS = ("api", "tick", "executor", "dead_letters")
POLL_SECONDS = 0.5
PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")


@dataclass(frozen=True)
class Line:
    """One line of one function."""

    at: datetime
    function: str
    text: str


def lines(clients: Clients, groups: dict[str, str], since: datetime) -> list[Line]:
    """The lines of functions (name → log group) since an instant, oldest first."""
    found = [line for name, group in groups.items() for line in _lines(clients, name, group, since)]
    return sorted(found, key=lambda line: line.at)  # stable: lines of one invocation stay in order


def follow(clients: Clients, groups: dict[str, str], since: datetime) -> Iterator[Line]:
    """The same, and then each new line, until the reader stops."""
    seen: set[tuple[datetime, str, str]] = set()
    while True:
        new = [line for line in lines(clients, groups, since) if (line.at, line.function, line.text) not in seen]
        yield from new
        if new:
            since = new[-1].at
            seen = {key for key in seen if key[0] >= since}
            seen |= {(line.at, line.function, line.text) for line in new if line.at >= since}
        time.sleep(POLL_SECONDS)


def log_groups(functions: dict[str, str], only: Sequence[str] = ()) -> dict[str, str]:
    """Name → log group, of all functions or some."""
    return {name: f"/aws/lambda/{function}" for name, function in functions.items() if not only or name in only}


def _lines(clients: Clients, name: str, group: str, since: datetime) -> Iterator[Line]:
    try:
        answer = clients.logs.filter_log_events(logGroupName=group, startTime=int(since.timestamp() * 1000))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":  # it never ran
            return
        raise
    for event in answer["events"]:
        if not event["message"].startswith(PLATFORM):
            yield Line(datetime.fromtimestamp(event["timestamp"] / 1000, UTC), name, event["message"])
