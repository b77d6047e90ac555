"""What Spark costs on AWS: a million runs of the API, a million of schedules, an idle month.

Level: the counts of `calls_per_run`, `calls_per_scheduled_run` and `idle_cost`, on moto, never AWS, times list prices
(`bench/prices.py`); each is measured anew, in a process of its own. Figures are USD. Runs have inputs and outputs of
0.5 KB and flows of 1 s; `kept_for_a_month` is their storage. The idle month has 2,000 schedules that do not fire, and
what is paid for being there: alarms, the dashboard, a key, a secret. `--markdown` prints the README's table, too.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping

from bench.result import Result, measured_apart

COLUMNS = {  # what is paid for, whose benchmark's figures, and how those begin that are parts of its price
    "million_api_runs": ("calls_per_run", ("usd_",)),
    "million_scheduled_runs": ("calls_per_scheduled_run", ("usd_",)),
    "idle_month": ("idle_cost", ("requests_usd_", "fixed_usd_")),
}
PARTS = {"to_keep_a_month": "kept_for_a_month", "log_gb": "logs", "log_gb_kept": "logs_kept"}
SUM = "usd_per_million_runs"  # begins like a part, and so does that of larger inputs


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown, too")


def measure(options: argparse.Namespace) -> Result:
    columns = {name: dict(_parts(measured_apart(bench).figures, begins)) for name, (bench, begins) in COLUMNS.items()}
    if options.markdown:
        sys.stdout.write(_markdown(columns))
    figures = {f"{name}_{part}": usd for name, parts in columns.items() for part, usd in parts.items()}
    return Result("cost", {**figures, **{f"{name}_in_all": sum(parts.values()) for name, parts in columns.items()}}, {})


def _parts(figures: Mapping[str, float], begins: tuple[str, ...]) -> Iterable[tuple[str, float]]:
    """What a price is made of, and how much."""
    for begin in begins:
        for name, usd in figures.items():
            if name.startswith(begin) and not name.startswith(SUM):
                yield PARTS.get(part := name.removeprefix(begin), part), usd


def _markdown(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Parts as rows, USD to the cent."""
    parts = list(dict.fromkeys(part for column in columns.values() for part in column))
    rows = [[part, *(f"{column[part]:.2f}" if part in column else "" for column in columns.values())] for part in parts]
    total = ["in all", *(f"{sum(column.values()):.2f}" for column in columns.values())]
    table = [["USD", *columns], ["---", *["---:" for _ in columns]], *rows, total]
    return "".join("| " + " | ".join(cell.replace("_", " ") for cell in row) + " |\n" for row in table)
