"""Schedules under every trouble we know, a million occurrences of them: how many were lost, doubled, or never ended.

Level: the whole of tick, executor and scheduling in memory and in virtual time, nothing of AWS. Concurrent ticks,
crashes at any step, duplicate and late messages, late indexes, wrong clocks, minutes without a tick, users who change
their minds. `tests/chaos/` is what it runs and judges by. A world's seed is `SEED/NUMBER`: `--world NUMBER` runs that
one alone, and stderr tells what was wrong in it. `wrong` is all that is neither lost, doubled nor stuck: counters,
order, two runs at once that may not be.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context

from bench.result import Result
from tests.chaos.harness import Report, run_world
from tests.chaos.observer import KINDS

EVERY_SECONDS = 15.0  # a line of progress
COUNTED = ("ticks", "deliveries", "duplicates", "crashes", "schedules", "calls", "steps", "inconsistent", "revived")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--occurrences", type=int, default=100_000, help="at least so many (100000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same events (1)")
    parser.add_argument("--processes", type=int, default=2, help="worlds at the same time (2)")
    parser.add_argument("--world", type=int, help="only the world of this number")


def measure(options: argparse.Namespace) -> Result:
    began = time.monotonic()
    total, told_at = Report(), began
    for report in _worlds(options):
        total += report
        for text in report.told:
            sys.stderr.write(f"{text}\n")
        if time.monotonic() - told_at >= EVERY_SECONDS:
            told_at = time.monotonic()
            found = ", ".join(f"{total.found[kind]} {kind}" for kind in KINDS)
            rate = total.occurrences / (told_at - began)
            sys.stderr.write(f"{total.occurrences:,} occurrences, {rate:,.0f} a second: {found}\n")
    seconds = time.monotonic() - began
    figures = {
        **{kind: total.found[kind] for kind in KINDS},
        "occurrences": total.occurrences,
        "worlds": total.worlds,
        "seconds": seconds,
        "occurrences_per_second": total.occurrences / seconds,
        **{name: total.done[name] for name in COUNTED},
    }
    return Result("chaos", figures, dict.fromkeys(KINDS, "==0"))


def _worlds(options: argparse.Namespace) -> Iterator[Report]:
    """Reports of one world after the other, until there were enough occurrences."""
    if options.world is not None:
        yield run_world(f"{options.seed}/{options.world}")
        return
    done, numbers = 0, count()
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        running: set[Future[Report]] = set()
        while done < options.occurrences or running:
            while done < options.occurrences and len(running) < options.processes:
                running.add(pool.submit(run_world, f"{options.seed}/{next(numbers)}"))
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                report = future.result()
                done += report.occurrences
                yield report
