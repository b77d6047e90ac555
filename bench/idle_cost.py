"""What a deployment costs that does nothing: 1,000 paused schedules, 1,000 that fire next year, and a tick each minute.

Level: an exact count of one warm tick in one process, on moto, never AWS, times the minutes of a month. The tick goes
through the real handler; hooks in boto3's clients count what it sends, and `bench.prices` says what that costs.
`requests_usd` is everything that is paid by use: what the tick reads, its invocations, time and log lines, what
DynamoDB asks KMS for the table's key, and what Lambda itself asks two idle queues. `fixed_usd` is what is paid for
being there: what template.yaml has of such, the metrics that an idle tick writes, and the logs that are kept.

USD: list prices (`bench/prices.py`), no free tier. What a count cannot know is assumed: a tick takes --tick-seconds of
billed time; Lambda keeps five long polls of 20 s open at an idle queue; DynamoDB asks KMS once in five minutes for the
one function that calls it. Events of EventBridge's own schedules and CloudFormation cost nothing.
"""

import argparse
from datetime import timedelta

from bench import prices, resources
from bench.deployment import Deployment, on_moto
from bench.events import Context
from bench.prices import Usage
from bench.recording import Tally
from bench.result import Result
from bench.schedules import Clock, daily, kept_by, once, schedule, store
from bench.servers import stub_langflow
from cli.local import template

PAUSED, FAR_AWAY = 1000, 1000
INPUT = "x" * 512
TICKS = 5  # in a row; all alike, or the product would mean nothing
MINUTES_A_DAY = 24 * 60
DAYS_A_MONTH = 365 / 12
SECONDS_A_MONTH = DAYS_A_MONTH * MINUTES_A_DAY * 60
POLLS_AT_ONCE, POLL_SECONDS = 5, 20
TABLE_KEY_SECONDS = 300
PLATFORM_LOG_BYTES = 1200  # START, END and REPORT of an invocation, as JSON
MAPPING = "AWS::Lambda::EventSourceMapping"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tick-seconds", type=float, default=0.3, help="billed time of an idle tick (0.3)")


def measure(options: argparse.Namespace) -> Result:
    clock = Clock()
    with stub_langflow() as stub, kept_by(clock), on_moto() as here:
        _prepare(here, here.spark.prepare(stub.url), clock)
        _tick(here, clock)  # the first makes clients
        since = here.logs.tell()
        ticks = [_tick(here, clock) for _ in range(TICKS)]
        metrics = here.metrics_logged(since)
    assert all(tick.calls == ticks[0].calls for tick in ticks), "ticks differ: their product would mean nothing"
    tick = ticks[0]
    deployed = template.load(resources.PROJECT)
    monthly = _by_ticks(tick, options.tick_seconds) + _by_time(deployed)
    kept = monthly.log_gb * float(deployed["Parameters"]["LogRetentionDays"]["Default"]) / DAYS_A_MONTH
    costs = {name: cost for name, cost in prices.usd(monthly).items() if cost}
    fixed = prices.fixed(deployed, custom_metrics=len(metrics), log_gb_kept=kept)
    figures = {
        "requests_usd": sum(costs.values()),
        "fixed_usd": sum(prices.monthly_usd(fixed).values()),
        "requests_per_day": tick.calls.total() * MINUTES_A_DAY,
        "requests_per_tick": tick.calls.total(),
        "read_units_per_tick": tick.usage.read_units,
        "write_units_per_tick": tick.usage.write_units,
        "items_read_per_tick": tick.items_read,
        "log_bytes_per_tick": tick.usage.log_gb * prices.GB,
        "polls_per_day": monthly.sqs_requests / DAYS_A_MONTH,
        **{f"requests_usd_{name}": cost for name, cost in costs.items()},
        **{f"fixed_usd_{name}": cost for name, cost in prices.monthly_usd(fixed).items() if cost},
        **{f"fixed_{name}": count for name, count in vars(fixed).items() if count},
    }
    return Result("idle_cost", figures, {"requests_usd": "<=1"})


def _prepare(here: Deployment, workflow: str, clock: Clock) -> None:
    """All made long ago, so that nothing of them falls into the next minutes."""
    made, year = clock.at, clock.at + timedelta(days=365)
    paused = [
        schedule(number, workflow, daily(made, "x" * 512), made, enabled=False, paused_at=made)
        for number in range(PAUSED)
    ]
    waiting = [schedule(PAUSED + number, workflow, once(year, "x" * 512), made) for number in range(FAR_AWAY)]
    assert all(each.wake_at is None for each in paused)
    assert all(each.wake_at == year for each in waiting)
    store(here.quiet, [*paused, *waiting])
    clock.forward(days=1)


def _tick(here: Deployment, clock: Clock) -> Tally:
    clock.forward(minutes=1)
    with here.overheard() as tally:
        ticked = here.tick({}, Context(function_name="spark-tick"))
    assert (ticked["due"], ticked["complete"]) == (0, True), ticked
    return tally


def _by_ticks(tick: Tally, seconds: float) -> Usage:
    """What the ticks of a month use."""
    around = Usage(
        lambda_requests=1,
        lambda_gb_seconds=resources.memory_gb("TickFunction") * seconds,
        log_gb=PLATFORM_LOG_BYTES / prices.GB,
    )
    return (tick.usage + around).times(MINUTES_A_DAY * DAYS_A_MONTH)


def _by_time(deployed: template.Template) -> Usage:
    """What AWS itself asks in a month, as long as anything is deployed and anybody reads the table."""
    queues = sum(each["Type"] == MAPPING for each in deployed["Resources"].values())
    return Usage(
        sqs_requests=queues * POLLS_AT_ONCE * SECONDS_A_MONTH / POLL_SECONDS,
        kms_requests=SECONDS_A_MONTH / TABLE_KEY_SECONDS,
    )
