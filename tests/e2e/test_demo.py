"""`make demo` as a newcomer sees it: it does what it says, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.demo import BATCH

PROJECT = Path(__file__).parents[2]
HOME = re.compile(r"spark-demo-\w+")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, under way, in the hands of a user with an empty home."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    # The first demo of a checkout installs the functions' requirements; what uv keeps of them for others is its own.
    environment = {"UV_CACHE_DIR": str(Path.home() / ".cache" / "uv"), **os.environ, **home}
    command = [sys.executable, "-m", "cli.demo"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        text=True,
        start_new_session=True,
        preexec_fn=listen_to_interrupts,
        **streams,
    ) as process:  # type: ignore[call-overload]
        yield process
        if process.poll() is None:
            process.terminate()


def listen_to_interrupts() -> None:
    """A test run in the background of a shell ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def left_behind(folder: Path) -> list[str]:
    """Processes that work in `folder`, and what lies there."""
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if str(folder) in command] + [str(path) for path in folder.iterdir()]


def test_the_demo_shows_what_it_promises_and_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    said, _ = demo.communicate()
    assert demo.returncode == 0, said
    for part in (
        "slept 5 s: Hello, Spark",
        f"{BATCH} of {BATCH} completed.",
        "attempt 1 fails on purpose: tea",
        "attempt 2 works: tea",
        "attempt 2 works: coffee",
        "make up",
    ):
        assert part in said
    assert said.index("input 1\n") < said.index(f"input {BATCH}\n")
    assert left_behind(tmp_path) == []


def test_an_interrupted_demo_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if "--watch" in line:  # all is up, and a run is under way
            break
    os.killpg(demo.pid, signal.SIGINT)
    said, _ = demo.communicate()
    assert demo.returncode == 130, said
    assert "everything is stopped" in said
    assert left_behind(tmp_path) == []
