"""What a tick costs that finds ten schedules due among a thousand, ten thousand, a hundred thousand of them.

Level: an exact count in one process, on moto, never AWS. The others are spread evenly over the next year; all are
enabled, and none but the ten is due within the tick's look-ahead. The tick goes through the real handler; hooks in
boto3's clients count requests, items and units (`bench.prices`). What is not counted is time: moto walks through all
items for each query, DynamoDB does not. `growth` is the largest of the read units over the smallest.

`--plot FILE` draws the figures. `docs/tick-scaling.svg` was made so.
"""

import argparse
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from bench import resources
from bench.deployment import Deployment, on_moto
from bench.events import Context, sqs_batch
from bench.plots import Line, log_plot
from bench.recording import Tally
from bench.result import Result
from bench.schedules import NOON, Clock, daily, id_of, kept_by, once, schedule, store
from bench.servers import stub_langflow
from shared.domain.record import instant_text
from shared.store import keys
from shared.store.schedules import ScheduleStore
from shared.store.table import Item, to_wire

DUE = 10
THE_TEN = range(1_000_000_000, 1_000_000_000 + DUE)  # always the same ids, hence the same shards
INPUT = "x" * 512
TOTALS = (1_000, 10_000, 100_000)
YEAR = timedelta(days=365)
ACCOUNT = "123456789012"  # moto's
LINES = {"items_read": "items read", "requests": "requests", "read_units": "read units", "write_units": "write units"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--totals", type=int, nargs="+", default=TOTALS, help="schedules in all, in rising order")
    parser.add_argument("--plot", type=Path, help="draw the figures into this file (SVG)")


def measure(options: argparse.Namespace) -> Result:
    clock = Clock(NOON)
    tallies: dict[int, Tally] = {}
    with stub_langflow() as stub, kept_by(clock), on_moto() as here:
        workflow, there = here.spark.prepare(stub.url), 0
        _tick(here, due=0)  # the first makes clients
        for total in options.totals:
            _fill(here, workflow, clock, range(there, total - DUE))
            there = total - DUE
            tallies[total] = _ten_due(here, workflow, clock, NOON)
    rows = {total: _figures(tally) for total, tally in tallies.items()}
    if options.plot:
        options.plot.write_text(_plot(rows), encoding="utf-8")
    figures = {f"{name}_{total}": figure for total, row in rows.items() for name, figure in row.items()}
    growth = {f"growth_{name}": _growth([row[name] for row in rows.values()]) for name in LINES}
    return Result("tick_scaling", {**growth, **figures}, {"growth_items_read": "<=1.1", "growth_read_units": "<=1.1"})


def _ten_due(here: Deployment, workflow: str, clock: Clock, made: datetime) -> Tally:
    """A tick, two minutes before ten schedules are due; afterwards their runs are over, and they are gone."""
    due = clock.forward(hours=1) + timedelta(minutes=2)
    ten = [schedule(number, workflow, daily(due, INPUT), made) for number in THE_TEN]
    store(here.quiet, ten)
    tally = _tick(here, due=DUE)
    clock.at = due
    here.execute(sqs_batch(here.sent), Context())
    here.sent.clear()
    schedules = ScheduleStore(here.quiet)
    for each in ten:
        schedules.delete(schedules.get(each.project_id, each.id))
    return tally


def _tick(here: Deployment, *, due: int) -> Tally:
    with here.overheard() as tally:
        ticked = here.tick({}, Context(function_name="spark-tick"))
    assert (ticked["due"], ticked["fired"], ticked["complete"]) == (due, due, True), ticked
    return tally


def _fill(here: Deployment, workflow: str, clock: Clock, numbers: range) -> None:
    """Schedules that fire once, some time in the coming year but not in its first days.

    Past boto3 and past our own models, which would take minutes: all are one item with other ids and times.
    """
    backend: Any = dynamodb_backends[ACCOUNT][resources.REGION]
    table = backend.tables[resources.TABLE]
    first = schedule(0, workflow, once(clock.at + YEAR, INPUT), clock.at)
    template = ScheduleStore(here.quiet).change(None, first).after
    for number in numbers:
        table.put_item(to_wire(alike(template, number, clock.at)))


def alike(template: Item, number: int, made: datetime) -> Item:
    """The item of another schedule, made at that time, which fires on some day of the year."""
    id = id_of(number, made)
    at = made + timedelta(days=5) + timedelta(seconds=number * 7919 % (350 * 86_400))
    key = keys.record("default", keys.SCHEDULE, id)
    return {**template, "pk": key.pk, "record_id": id, "wake_shard": keys.wake_shard(id), "wake_at": instant_text(at)}


def _figures(tally: Tally) -> dict[str, float]:
    return {
        "items_read": tally.items_read,
        "requests": tally.calls.total(),
        "read_units": tally.usage.read_units,
        "write_units": tally.usage.write_units,
    }


def _growth(figures: list[float]) -> float:
    return max(figures) / min(figures)


def _plot(rows: dict[int, dict[str, float]]) -> str:
    lines = [Line(label, [(total, row[name]) for total, row in rows.items()]) for name, label in LINES.items()]
    return log_plot(
        "One tick that fires ten schedules",
        "enabled schedules in all (log scale)",
        "of one tick",
        lines,
        "python -m bench tick_scaling --plot; an exact count on moto, no measurement on AWS",
    )
