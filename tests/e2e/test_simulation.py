"""The simulation of `bench.burst` foretells what a burst does on the local stack."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.result import read_result
from cli.local.layout import PROJECT

RUNS = 240
DOWN_WITHIN = 60.0  # seconds for a stack to be taken down


@pytest.mark.timeout(300)
@pytest.mark.skipif("AWS_ENDPOINT_URL" in os.environ, reason="it foretells MiniStack, on a stack of its own")
def test_two_bursts_take_as_long_as_the_simulation_says_within_half_as_much_again() -> None:
    """In a process of its own, as benchmarks are: they leave their connections to the end of it."""
    with ended([sys.executable, "-m", "bench", "simulate", "--local", str(RUNS), "--json"]) as bench:
        out, _ = bench.communicate()
    assert bench.returncode == 0
    result = read_result(out.splitlines()[-1])
    assert result.figures["runs"] == RUNS
    assert len(result.targets) == 3
    assert not result.missed, result.to_json()


@contextmanager
def ended(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """A process that is asked to end when we do, by a time-out, say: killed at once it would leave its stack there."""
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True) as bench:
        try:
            yield bench
        finally:
            _end(bench)


def _end(bench: "subprocess.Popen[str]") -> None:
    bench.terminate()
    try:
        bench.wait(DOWN_WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(bench.pid, signal.SIGKILL)
        bench.wait()
