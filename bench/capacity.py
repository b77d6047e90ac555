"""What a deployment carries, how long many runs take that are due together, and what they cost: arithmetic, as tables.

Level: computed from template.yaml, AWS's limits (`bench.limits`), the write units of a run (`bench.partitions`) and
what `calls_per_scheduled_run` counted; nothing ran. `python -m bench simulate --markdown` prints it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean
from typing import NamedTuple

from bench import limits, prices
from bench.burst import Duration, Place
from bench.partitions import TABLE, Writes, advance_of, claim_of, finish_of, put_of
from bench.result import measured_apart
from shared.queue import MAX_BATCH
from shared.store.keys import PROJECT_RUNS, WAKE, WAKE_SHARDS
from shared.store.table import MAX_STATEMENTS
from shared.store.wake import PAGE

SIZES = (10, 1_000, 1_000_000)
BATCHES = 20_000  # to know the average of, within a hundredth
HOURS, MONTH_SECONDS = 730, 730 * 3600
PRICED_FLOW_SECONDS = 1.0  # that `calls_per_scheduled_run` has flows take, unless it is told otherwise


@dataclass(frozen=True)
class Price:
    """USD of a million scheduled runs, flows of a second: of 200 due in a minute, and of one that is alone in it."""

    full: float
    alone: float

    def of(self, flows: "Flows", memory_gb: float, batch: int) -> "Price":
        """The same with other flows: an executor is paid for until the slowest of its batch is over."""
        second = memory_gb * prices.PRICES.lambda_gb_seconds * 1e6
        full = self.full + (flows.slowest - PRICED_FLOW_SECONDS) * second / batch
        return Price(full, self.alone + (flows.average - PRICED_FLOW_SECONDS) * second)


@dataclass(frozen=True)
class Flows:
    """Seconds that flows take: one of them on average, and the slowest of a batch."""

    average: float
    slowest: float


def measured_price() -> Price:
    """Counted anew on moto, in a process of its own."""
    figures = measured_apart("calls_per_scheduled_run").figures
    return Price(figures["usd_per_million_runs"], figures["usd_per_million_runs_alone"])


def flows(duration: Duration, batch: int) -> Flows:
    chance = Random(0)
    drawn = [[duration(chance) for _ in range(batch)] for _ in range(BATCHES)]
    return Flows(mean(map(mean, drawn)), mean(map(max, drawn)))


def units() -> Counter[str]:
    """Write units of a scheduled run, from its put to its end, by table and index."""
    steps: Iterable[Writes] = (put_of(0, 0, 0), advance_of(0, 0), claim_of(0), finish_of(0, 0))
    return sum((Counter({name: count}) for step in steps for name, _, count in step), Counter[str]())


class Rate(NamedTuple):
    """Runs a second that some part carries, and how that was computed."""

    part: str
    runs: float
    computed: str


def rates(here: Place, more: Place, slowest: float) -> list[Rate]:
    """Of a deployment as it is, and with as many executors as may be."""
    run, place = units(), slowest + here.claim_seconds
    return [
        _executors("executors as deployed", here, place),
        _executors("executors at their most", more, place),
        _writes("a new table", limits.NEW_TABLE_WRITES, run[TABLE]),
        _writes("the lists of one project and workflow", limits.PARTITION_WRITES, run[PROJECT_RUNS]),
        _writes(f"Wake, {WAKE_SHARDS} shards", WAKE_SHARDS * limits.PARTITION_WRITES, run[WAKE]),
        _tick(here),
        _writes("a table at its default quota", limits.TABLE_WRITES, run[TABLE]),
        Rate("messages in flight", limits.IN_FLIGHT / place, f"{limits.IN_FLIGHT:,} / {place:.1f} s"),
    ]


def _executors(name: str, there: Place, place: float) -> Rate:
    count, batch = there.mapping.most, there.batch_size
    return Rate(f"{name}, {count:,}", count * batch / place, f"{count:,} batches of {batch} / {place:.1f} s")


def _writes(name: str, units: int, each: int) -> Rate:
    return Rate(name, units / each, f"{units:,} units / {each}")


def _tick(here: Place) -> Rate:
    page = _page_seconds(here)
    computed = f"{WAKE_SHARDS} shards, {here.tick_seconds:.0f} s of each minute, {PAGE} in {page:.2f} s"
    return Rate("the tick", WAKE_SHARDS * here.tick_seconds / 60 * PAGE / page, computed)


def _page_seconds(here: Place) -> float:
    """Of a page of a tick that has a CPU of its own: two reads, then puts, messages and advances."""
    requests = 2 + 2 * math.ceil(PAGE / MAX_STATEMENTS) + math.ceil(PAGE / MAX_BATCH)
    return PAGE * here.fire_seconds + requests * here.request_seconds


def carried(rates: Sequence[Rate]) -> str:
    return table(["what", "runs a second", "computed as"], [[part, short(runs), how] for part, runs, how in rates])


def together(rates: Sequence[Rate], slowest: float) -> str:
    """How long each part takes for what is due at once; no batch is over before its slowest run."""
    rows = []
    for part, runs, _ in rates:
        least = slowest if part.startswith("executors") else 0.0
        rows.append([part, *(_time(max(count / runs, least)) for count in SIZES)])
    return table(["due at once", *(f"{count:,}" for count in SIZES)], rows)


def months(price: Price) -> str:
    """USD of requests and Lambda, in full batches and each run alone."""
    hourly = [_range(price, count * HOURS) for count in SIZES]
    always = [_range(price, count * MONTH_SECONDS) for count in SIZES]
    head = ["USD a month, in full batches to each run alone", *(f"{count:,}" for count in SIZES)]
    return table(head, [["schedules, hourly", *hourly], ["runs a second, all day", *always]])


def _range(price: Price, runs: int) -> str:
    return f"{short(price.full * runs / 1e6)} to {short(price.alone * runs / 1e6)}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown; the first column is text, the others are figures."""
    lines = [head, ["---", *["---:" for _ in head[1:]]], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def short(value: float) -> str:
    """Two digits that matter."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _time(seconds: float) -> str:
    if seconds < 1:
        return "< 1 s"
    unit, size = next((unit, size) for unit, size in (("s", 1), ("min", 60), ("h", 3600)) if seconds < 100 * size)
    return f"{short(seconds / size)} {unit}"
