"""The command: what it prints and what it answers. Nothing is measured here."""

import argparse
import json
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from bench import BENCHMARKS, __main__
from bench.result import Result

MISSED = Result("cold_start", {"ratio": 1.5}, {"ratio": "<=1.25"})
MET = Result("cold_start", {"ratio": 1.2}, {"ratio": "<=1.25"})

Measured = Callable[[Result], None]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Stands in for the measuring of `cold_start`."""

    def stand_in(result: Result) -> None:
        module = ModuleType("bench.cold_start", "Nothing.")
        vars(module).update(add_options=_add_options, measure=lambda options: result)
        monkeypatch.setitem(sys.modules, "bench.cold_start", module)

    return stand_in


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int)


def test_json_is_the_last_line(measured: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    measured(MISSED)
    assert __main__.main(["cold_start", "--json"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"name": "cold_start", "figures": {"ratio": 1.5}, "targets": {"ratio": "<=1.25"}}


def test_a_missed_target_is_shown_and_is_no_failure(measured: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    measured(MISSED)
    assert __main__.main(["cold_start"]) == 0
    assert "NO" in capsys.readouterr().out


@pytest.mark.parametrize(("result", "code"), [(MISSED, 1), (MET, 0)])
def test_with_check_a_missed_target_is_a_failure(measured: Measured, result: Result, code: int) -> None:
    measured(result)
    assert __main__.main(["cold_start", "--check", "--rounds", "1"]) == code


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_it_measures_and_on_which_level(name: str) -> None:
    benchmark = __main__._benchmark(name)
    assert "Level:" in (benchmark.__doc__ or "")
    assert callable(benchmark.measure)
    benchmark.add_options(argparse.ArgumentParser())
