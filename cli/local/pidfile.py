"""Which process is ours. A process id alone lies: after a crash or a reboot the same number is somebody else's.

So the file also keeps when that process started, and the port it was started for.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

# The start time is computed from ticks since boot; two readings differ by less than this.
CLOCK_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class Record:
    """A process we started."""

    pid: int
    started: float
    port: int


def record(pid: int, port: int) -> Record:
    """The record of a process that runs now."""
    return Record(pid, psutil.Process(pid).create_time(), port)


def write(path: Path, entry: Record) -> None:
    """Replace the file in one step, so that nobody reads half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(entry)), encoding="utf-8")
    draft.replace(path)


def read(path: Path) -> Record | None:
    """The record, if there is a readable one."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def process(entry: Record | None) -> psutil.Process | None:
    """The process of a record, if it still is that process."""
    if entry is None:
        return None
    try:
        found = psutil.Process(entry.pid)
        same = abs(found.create_time() - entry.started) < CLOCK_TOLERANCE_SECONDS
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
