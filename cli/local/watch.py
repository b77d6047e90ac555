"""Waits until a source file changes. Looks instead of subscribing: it works on every file system, and twice a second is
soon enough for a person."""

import time
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.5
WATCHED = ("functions", "shared", "infra/emulator", "requirements", "template.yaml", "samconfig.toml", "build.mk")

Picture = dict[Path, tuple[int, int]]


def picture(project: Path) -> Picture:
    """Time and size of every file that a deployment depends on."""
    stats = {path: path.stat() for path in _files(project)}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


def changed(before: Picture, after: Picture) -> list[Path]:
    """Files added, removed or written."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def changes(project: Path) -> Iterator[list[Path]]:
    """The changed files, each time there are any and nothing has changed for half a second."""
    deployed = picture(project)
    while True:
        time.sleep(POLL_SECONDS)
        now = picture(project)
        if now == deployed:
            continue
        while (later := _after_a_moment(project)) != now:
            now = later
        yield changed(deployed, now)
        deployed = now


def _after_a_moment(project: Path) -> Picture:
    time.sleep(POLL_SECONDS)
    return picture(project)


def _files(project: Path) -> Iterator[Path]:
    for name in WATCHED:
        path = project / name
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (file for file in found if "__pycache__" not in file.parts and file.is_file())
