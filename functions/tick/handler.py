"""EventBridge, every minute → `services.waking`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions import entry_point
from shared import wiring
from shared.observability import count, counted, logger, traced
from shared.services.waking import Waker

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MARGIN = timedelta(seconds=5)  # of the invocation's time, kept for the work in hand


@entry_point
@traced
@logger.inject_lambda_context
@counted
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:  # noqa: ARG001  # the schedule says nothing
    """Answers what was done, for whoever invokes it by hand."""
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    waker: Waker = wiring.waker()
    woken = waker.wake_due(wiring.now() + left - MARGIN)
    count("Ticks")
    count("RunsResent", woken.resent)
    count("WorkersLost", woken.lost)
    logger.info("tick.done", extra={"resent": woken.resent, "lost": woken.lost, "complete": woken.complete})
    return {
        "resent": woken.resent,
        "postponed": woken.postponed,
        "lost": woken.lost,
        "complete": woken.complete,
    }
