"""EventBridge, every minute → `services.ticking`. Also its own successor, for a shard with more than a page of work."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from functions import entry_point
from shared import wiring
from shared.observability import count, counted, logger, measure, traced
from shared.services.ticking import Ticked, Ticker
from shared.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MARGIN = timedelta(seconds=5)  # of the invocation's time, kept for the work in hand


@entry_point
@traced
@logger.inject_lambda_context
@counted
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Look after all shards, or after the one that the event names. Answers what was done, for whoever asks by hand.

    On a local stack the event may say `{"as_of": instant}`: schedules fire as if it were then.
    """
    ticked = _tick(event, context)
    count("ShardTicks" if "shard" in event else "Ticks")  # apart: shards would cover for a tick that is gone
    _measure(ticked)
    return _answer(ticked)


def _tick(event: dict[str, Any], context: "LambdaContext") -> Ticked:
    ticker: Ticker = wiring.ticker()
    if "as_of" in event and settings().is_local:
        return Ticked(fired=ticker.fire_as_of(datetime.fromisoformat(event["as_of"])))
    deadline = wiring.now() + timedelta(milliseconds=context.get_remaining_time_in_millis()) - MARGIN
    if "shard" in event:
        return ticker.tick_shard(event["shard"], deadline)
    return ticker.tick(deadline, lambda shard: _hand_on(shard, context.invoked_function_arn))


def _hand_on(shard: str, function: str) -> None:
    """Invoke this function for `shard` and do not wait ("Event")."""
    payload = json.dumps({"shard": shard}).encode()
    wiring.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=payload)


def _measure(ticked: Ticked) -> None:
    count("SchedulesDue", ticked.fired.due)
    count("OccurrencesFired", ticked.fired.runs)
    count("SchedulesRemaining", ticked.fired.left)
    count("RunsResent", ticked.woken.resent)
    count("WorkersLost", ticked.woken.lost)
    measure("TickLateness", ticked.fired.lateness_seconds)
    logger.info("tick.done", extra=_answer(ticked))


def _answer(ticked: Ticked) -> dict[str, Any]:
    return {
        "due": ticked.fired.due,
        "fired": ticked.fired.runs,
        "remaining": ticked.fired.left,
        "lateness_seconds": ticked.fired.lateness_seconds,
        "backfilled": ticked.backfilled,
        "sealed": ticked.sealed,
        "resent": ticked.woken.resent,
        "postponed": ticked.woken.postponed,
        "lost": ticked.woken.lost,
        "handed_on": ticked.handed_on,
        "complete": ticked.complete,
    }
