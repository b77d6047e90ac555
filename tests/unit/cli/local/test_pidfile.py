import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cli.local import pidfile
from cli.local.pidfile import Record

PORT = 4566


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "stack"
    folder.mkdir()
    return folder / "emulator.json"


def test_our_own_process_is_found_again(path: Path) -> None:
    pidfile.write(path, pidfile.record(os.getpid(), PORT))
    found = pidfile.process(pidfile.read(path))
    assert found is not None
    assert found.pid == os.getpid()


def test_a_process_that_took_over_the_number_is_not_ours() -> None:
    now = pidfile.record(os.getpid(), PORT)
    assert pidfile.process(Record(now.pid, now.started - 3600, PORT)) is None


def test_a_process_that_is_gone_is_not_ours() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        entry = pidfile.record(child.pid, PORT)
        child.kill()
    assert pidfile.process(entry) is None


def test_a_zombie_is_not_ours() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    entry = pidfile.record(child.pid, PORT)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it ended, and nobody has taken note yet
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert pidfile.process(entry) is None
    child.communicate()


def test_no_record_is_no_process() -> None:
    assert pidfile.process(None) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "started": 2, "port": 3, "more": 4}'])
def test_a_file_that_makes_no_sense_is_no_record(path: Path, content: str) -> None:
    path.write_text(content)
    assert pidfile.read(path) is None


def test_a_missing_file_is_no_record(path: Path) -> None:
    assert pidfile.read(path) is None


def test_writing_leaves_nothing_else_behind(path: Path) -> None:
    pidfile.write(path, Record(1, 2.0, PORT))
    assert pidfile.read(path) == Record(1, 2.0, PORT)
    assert list(path.parent.iterdir()) == [path]
