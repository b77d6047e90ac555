"""`python -m bench [NAME] [--json] [--check] [options of NAME]`.

Exit code 0 when all was measured, whatever the figures; with `--check` 1 when a target is missed. 2: of
all, some could not be measured; a single one ends with its traceback.
"""

import argparse
import importlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from rich.console import Console
from rich.table import Table

from bench import BENCHMARKS
from bench.result import Result, measured_apart

VERDICTS = {True: "[green]yes", False: "[red]NO", None: ""}
NOT_MEASURED = 2


class Benchmark(Protocol):
    """A module of this package."""

    __doc__: str | None

    def add_options(self, parser: argparse.ArgumentParser) -> None: ...

    def measure(self, options: argparse.Namespace) -> Result: ...


def main(arguments: Sequence[str]) -> int:
    name = arguments[0] if arguments and arguments[0] in BENCHMARKS else None
    benchmark = _benchmark(name) if name else None
    options = _parser(name, benchmark).parse_args(arguments[1:] if name else arguments)
    if benchmark is not None:
        results, complete = [benchmark.measure(options)], True
    else:
        results, complete = _measure_all(Console(stderr=True))
    _show(results, as_json=options.json)
    if not complete:
        return NOT_MEASURED
    return int(options.check and any(result.missed for result in results))


def _benchmark(name: str) -> Benchmark:
    """Imported only when it is run: some of them load half of Spark."""
    return cast(Benchmark, importlib.import_module(f"bench.{name}"))


def _parser(name: str | None, benchmark: Benchmark | None) -> argparse.ArgumentParser:
    described = benchmark.__doc__ if benchmark else __doc__ + "\nNAME is one of " + ", ".join(BENCHMARKS) + "."
    parser = argparse.ArgumentParser(
        prog="python -m bench" + (f" {name}" if name else ""),
        description=described,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per benchmark; the last line, if NAME")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    if benchmark:
        benchmark.add_options(parser)
    return parser


def _measure_all(console: Console) -> tuple[list[Result], bool]:
    """One after the other."""
    results = []
    for name in BENCHMARKS:
        console.print(f"[dim]measuring {name}")
        try:
            results.append(measured_apart(name))
        except subprocess.CalledProcessError:
            console.print(f"[red]{name} could not be measured")
    return results, len(results) == len(BENCHMARKS)


def _show(results: Sequence[Result], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write("".join(result.to_json() + "\n" for result in results))
    else:
        Console().print(_table(results))


def _table(results: Sequence[Result]) -> Table:
    table = Table("benchmark", "figure", "value", "target", "met?")
    table.columns[2].justify = "right"
    for result in results:
        for key, figure in result.figures.items():
            table.add_row(
                result.name, key, f"{figure:,.4g}", result.targets.get(key, ""), VERDICTS[result.verdict(key)]
            )
        table.add_section()
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
