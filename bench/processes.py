"""What a process and its children use, watched from outside while something else goes on."""

import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import psutil

LOOK_EVERY_SECONDS = 0.2  # a look costs some milliseconds of the CPU that is being measured
MB = 1024 * 1024
QUIET = 0.15  # of one core; an idle emulator and its functions stay below


def wait_for_quiet(patience_seconds: float) -> None:
    """Return when the machine has been idle for a second, or after `patience_seconds` as it is."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        before = _machine_seconds()
        time.sleep(1)
        if _machine_seconds() - before < QUIET:
            return


class Family:
    """Context manager: watches process `pid` and all below it.

    `peak_mb` is the sum of their resident memory; pages that processes share count in each. `parent_seconds` and
    `children_seconds` are the CPU used meanwhile, by those that live to the end. `others_seconds` is what neither they
    nor `friends`, nor we, used: on a machine that others work on, a rate means little without it.
    """

    def __init__(self, pid: int, friends: Sequence[int] = ()) -> None:
        self._parent = psutil.Process(pid)
        self._friends = [psutil.Process(friend) for friend in (*friends, os.getpid())]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self.peak_mb = self.parent_seconds = self.children_seconds = self.others_seconds = 0.0
        self.most_processes = 0

    def __enter__(self) -> Self:
        self._before, self._machine_before = self._seconds(), _machine_seconds()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        after, machine = self._seconds(), _machine_seconds() - self._machine_before
        spent = {pid: seconds - self._before.get(pid, 0.0) for pid, seconds in after.items()}
        self.others_seconds = max(machine - sum(spent.values()), 0.0)
        self.parent_seconds = spent.pop(self._parent.pid)
        self.children_seconds = sum(spent.values()) - sum(spent[friend.pid] for friend in self._friends)

    def _members(self) -> list[psutil.Process]:
        return [self._parent, *self._parent.children(recursive=True)]

    def _look_on(self) -> None:
        while not self._done.wait(LOOK_EVERY_SECONDS):
            memory = [_memory(member) for member in self._members()]
            self.peak_mb = max(self.peak_mb, sum(memory) / MB)
            self.most_processes = max(self.most_processes, len(memory))

    def _seconds(self) -> dict[int, float]:
        return {member.pid: _cpu(member) for member in [*self._members(), *self._friends]}


def _machine_seconds() -> float:
    """CPU used by everybody on this machine so far."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0))


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
