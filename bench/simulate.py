"""What becomes of 100,000 schedules that are all due at the top of an hour, by a simulation of AWS's published limits.

Level: computed, never AWS. `bench.burst` says what is modelled and what is left out, `bench.limits` where the limits
are from. Batch size, concurrency, memory and timeouts are those of template.yaml. Beside the burst, another project has
20 runs due in each second until the burst is over: how late they are shows for how long everybody waits. One tick comes
just too early to see the burst and the next `--tick-gap` later, by default as late as EventBridge's documentation lets
it: 31 s before the hour. Runs take the time that `--duration` says: an assumption, like the milliseconds of a request,
of a cold start and of handing on. CPU is what `fire_rate` and `executor_cpu` measured, at the function's share of one.

- `as_deployed`: the template's parameters, one project, a new table.
- `executors`: as many executors as the parameter takes.
- `spread`: that, runs of 40 projects, and a table that was warmed up to the quota of a table.
- `provisioned`: that, 200 provisioned pollers in place of the parameter, and an account quota of 3,000; not in the
  template.

`--local RUNS` simulates the local stack instead and holds it against a burst there: level, MiniStack on this machine.
`--plots FOLDER` draws `burst-backlog.svg` and `burst-lateness.svg` and writes `burst.json`, which the tables of
docs/scaling.md are made of; `--markdown FOLDER` prints them from there.
"""

import argparse
import json
import math
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from bench import capacity, limits, resources
from bench.burst import AHEAD, Duration, Outcome, Place, Run, Simulation, Work
from bench.lateness import spread
from bench.limits import Ramp, cpu_share
from bench.plots import Line, time_plot
from bench.result import Result
from cli.local import template
from cli.local.template import Template
from functions.tick.handler import MARGIN

PROJECT = Path(__file__).parents[1]
RUNS, STREAM = 100_000, 20
SMALL = 1_000  # of a simulation that a test has the time for
DURATION = "lognormal:2:0.5"
SEED = 0
TOO_EARLY = -AHEAD - 0.01  # for a tick to see the burst
TICK_CPU_MS = 0.84  # of a schedule, `fire_rate` on 2026-11-21
EXECUTOR_CPU_MS = 2.9  # of a run, `executor_cpu` on 2026-11-21
REQUEST_SECONDS = 0.01  # assumed: DynamoDB and SQS answer in single-digit milliseconds, and batches take longer
HAND_ON_SECONDS = 0.1  # assumed, of an invocation that nobody waits for
COLD_START_SECONDS = 1.0  # assumed
STEP_SECONDS = 5  # of the plots
HOUR = 3_600
FIGURES = "burst.json"
NAMES = {
    "as_deployed": "as deployed",
    "executors": "1,000 executors",
    "spread": "+ 40 projects",
    "provisioned": "+ provisioned",
}
COLUMNS = {
    "last_sent_seconds": "last sent",
    "p50_seconds": "half claimed",
    "drained_seconds": "all over",
    "left_after_an_hour": "runs left after an hour",
    "others_worst_seconds": "others late by, at worst",
    "most_executors": "at most busy",
    "runs_in_a_batch": "runs in a batch",
}


@dataclass(frozen=True)
class Speeds:
    """What was measured of our own code, and what is said of EventBridge."""

    tick_cpu: float  # seconds of a whole CPU, for each schedule
    executor_cpu: float  # the same for each run
    tick_gap: float = limits.LONGEST_BETWEEN_TICKS


USUAL = Speeds(TICK_CPU_MS / 1000, EXECUTOR_CPU_MS / 1000)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS, help="schedules due at the same time (100000)")
    parser.add_argument("--duration", default=DURATION, help="constant:S, exponential:MEAN or lognormal:MEDIAN:SIGMA")
    parser.add_argument("--seed", type=int, default=SEED, help="of chance (0)")
    parser.add_argument("--tick-gap", type=float, default=USUAL.tick_gap, help="seconds between two ticks (119)")
    parser.add_argument("--tick-cpu-ms", type=float, default=TICK_CPU_MS, help="of a schedule (0.84, from fire_rate)")
    parser.add_argument("--executor-cpu-ms", type=float, default=EXECUTOR_CPU_MS, help="of a run (2.9, executor_cpu)")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw backlog and lateness, and keep the figures")
    parser.add_argument("--markdown", type=Path, metavar="FOLDER", help="print tables of what --plots kept there")
    parser.add_argument("--local", type=int, metavar="RUNS", help="hold the simulation against a burst on MiniStack")


def measure(options: argparse.Namespace) -> Result:
    if options.local:
        from bench.rehearsal import rehearse

        return rehearse(options.local)
    if options.markdown:
        kept = json.loads(options.markdown.joinpath(FIGURES).read_text(encoding="utf-8"))
        sys.stdout.write("\n".join(tables(kept)))
        return Result("simulate", kept["figures"], {})
    speeds = Speeds(options.tick_cpu_ms / 1000, options.executor_cpu_ms / 1000, options.tick_gap)
    outcomes = simulate(options.runs, options.duration, options.seed, speeds)
    figures = figures_of(outcomes)
    if options.plots:
        _draw(outcomes, options.plots, options.runs, options.duration)
        _keep(figures, options.plots)
    return Result("simulate", figures, {})


def simulate(runs: int, duration: str = DURATION, seed: int = SEED, speeds: Speeds = USUAL) -> dict[str, Outcome]:
    """Each scenario, by its name."""
    cases = scenarios(template.load(PROJECT), runs, speeds)
    return {name: Simulation(*case, read_duration(duration), seed).run() for name, case in cases.items()}


def figures_of(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    return {f"{name}_{key}": value for name, each in outcomes.items() for key, value in _figures(each).items()}


def read_duration(text: str) -> Duration:
    """How long a run takes: `constant:2`, `exponential:2`, `lognormal:2:0.5`, in seconds.

    Raises:
        ValueError: it is none of these.
    """
    kind, *numbers = text.split(":")
    match kind, [float(number) for number in numbers]:
        case "constant", [seconds]:
            return lambda _: seconds
        case "exponential", [average]:
            return lambda chance: chance.expovariate(1 / average)
        case "lognormal", [median, sigma]:
            return lambda chance: chance.lognormvariate(math.log(median), sigma)
    raise ValueError(f"not a duration: {text!r}")


def scenarios(deployed: Template, runs: int, speeds: Speeds = USUAL) -> dict[str, tuple[Work, Place]]:
    """What is simulated, by name; each turns one more thing than the one before."""
    here = place(deployed, int(deployed["Parameters"]["ExecutorConcurrency"]["Default"]), speeds)
    more = place(deployed, int(deployed["Parameters"]["ExecutorConcurrency"]["MaxValue"]), speeds)
    warm = more.but(warm_writes=limits.TABLE_WRITES)
    pollers = Ramp(200 * limits.POLLER_INVOKES, limits.POLLERS_PER_MINUTE, limits.PROVISIONED_MOST)
    one, many = Work(runs, STREAM), Work(runs, STREAM, projects=40)
    return {
        "as_deployed": (one, here),
        "executors": (one, more),
        "spread": (many, warm),
        "provisioned": (many, warm.but(mapping=pollers, account_concurrency=3_000)),
    }


def place(deployed: Template, concurrency: int, speeds: Speeds = USUAL) -> Place:
    """AWS with a new table, as `deployed` says but for the executors' concurrency."""
    resources, common = deployed["Resources"], deployed["Globals"]["Function"]
    tick = common | resources["TickFunction"]["Properties"]
    executor = common | resources["ExecutorFunction"]["Properties"]
    batch = resources["ExecutorTrigger"]["Properties"]["BatchSize"]
    return Place(
        partition_writes=limits.PARTITION_WRITES,
        warm_writes=limits.NEW_TABLE_WRITES,
        mapping=Ramp(limits.MAPPING_START, limits.MAPPING_PER_MINUTE, min(concurrency, limits.MAPPING_MOST)),
        batch_size=batch,
        environments_at_once=limits.ENVIRONMENTS_AT_ONCE,
        environments_per_second=limits.ENVIRONMENTS_PER_SECOND,
        account_concurrency=limits.ACCOUNT_CONCURRENCY,
        tick_at=TOO_EARLY + speeds.tick_gap,
        tick_gap=speeds.tick_gap,
        tick_seconds=tick["Timeout"] - MARGIN.total_seconds(),
        hand_on_seconds=HAND_ON_SECONDS,
        fire_seconds=speeds.tick_cpu / cpu_share(tick["MemorySize"]),
        request_seconds=REQUEST_SECONDS,
        claim_seconds=2 * REQUEST_SECONDS + batch * speeds.executor_cpu / cpu_share(executor["MemorySize"]),
        cold_start_seconds=COLD_START_SECONDS,
    )


def _figures(outcome: Outcome) -> dict[str, float]:
    stream = max(run.project for run in outcome.runs)
    burst = [run for run in outcome.runs if run.project != stream]
    others = [lateness(run) for run in outcome.runs if run.project == stream]
    late = spread([lateness(run) for run in burst])
    return {
        "last_sent_seconds": max(run.sent for run in burst if run.sent is not None),
        "drained_seconds": max(run.ended for run in burst if run.ended is not None),
        **{key: late[key] for key in ("p50_seconds", "p99_seconds")},
        "left_after_an_hour": sum(run.ended is None or run.ended > HOUR for run in burst),
        "others_worst_seconds": max(others),
        "most_waiting": max(waiting for _, waiting in backlog(outcome.runs)),
        "most_executors": outcome.most_executors,
        "runs_in_a_batch": len(outcome.runs) / outcome.batches,
        "puts_left_to_the_next_tick": outcome.put_off,
        **{f"writes_refused_by_{name}": count for name, count in sorted(outcome.refused.items())},
    }


def lateness(run: Run) -> float:
    """As `bench.lateness` has it: when it was claimed, less when it was due."""
    assert run.claimed is not None  # the simulation is over
    return run.claimed - run.due


def backlog(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """How many runs were due and not claimed, every five seconds from the hour on, until none is."""
    dues = sorted(run.due for run in runs)
    claims = sorted(run.claimed for run in runs if run.claimed is not None)
    times = range(0, math.ceil(claims[-1]) + STEP_SECONDS, STEP_SECONDS)
    return [(float(at), float(bisect_right(dues, at) - bisect_right(claims, at))) for at in times]


def lateness_of_others(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """How late, on average, the runs were that were due in the five seconds from each time on, without the burst."""
    by_time: dict[int, list[float]] = {}
    for run in runs:
        if run.due > 0:
            by_time.setdefault(int(run.due // STEP_SECONDS) * STEP_SECONDS, []).append(lateness(run))
    return [(float(at), mean(late)) for at, late in sorted(by_time.items())]


def _draw(outcomes: Mapping[str, Outcome], folder: Path, runs: int, duration: str) -> None:
    source = f"python -m bench simulate --plots; computed from published limits, flows {duration}; nothing ran on AWS"
    hour = "seconds after the hour"
    waiting = [Line(NAMES[name], backlog(each.runs)) for name, each in outcomes.items()]
    late = [Line(NAMES[name], lateness_of_others(each.runs)) for name, each in outcomes.items()]
    title = f"Runs that wait, of {runs:,} due at once"
    folder.joinpath("burst-backlog.svg").write_text(time_plot(title, hour, "runs", waiting, source), encoding="utf-8")
    title = f"Lateness of {STREAM} other runs a second, by when they were due"
    folder.joinpath("burst-lateness.svg").write_text(time_plot(title, hour, "seconds", late, source), encoding="utf-8")


def _keep(figures: Mapping[str, float], folder: Path) -> None:
    """Beside the figures, what a test needs to see that they are still what comes out."""
    kept = {
        "figures": figures,
        "small": figures_of(simulate(SMALL)),
        "usd_per_million_runs": asdict(capacity.measured_price()),
    }
    folder.joinpath(FIGURES).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def tables(kept: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Those of docs/scaling.md, in Markdown: what is carried, due together, paid for, and the burst."""
    (_, here), (_, more), *_ = scenarios(template.load(PROJECT), RUNS).values()
    flows = capacity.flows(read_duration(DURATION), here.batch_size)
    rates = capacity.rates(here, more, flows.slowest)
    price = capacity.Price(**kept["usd_per_million_runs"])
    price = price.of(flows, resources.memory_gb("ExecutorFunction"), here.batch_size)
    rows = [[NAMES[name], *(_cell(key, kept["figures"][f"{name}_{key}"]) for key in COLUMNS)] for name in NAMES]
    burst = capacity.table(["", *COLUMNS.values()], rows)
    return [capacity.carried(rates), capacity.together(rates, flows.slowest), capacity.months(price), burst]


def _cell(key: str, value: float) -> str:
    if key == "runs_in_a_batch":
        return f"{value:.1f}"
    return f"{value:,.0f} s" if key.endswith("_seconds") else f"{value:,.0f}"
