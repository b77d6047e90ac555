"""SQS batch from RunQueue → `services.execution`, its messages at the same time, with partial batch failures."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from functions import entry_point
from shared import wiring
from shared.domain import message
from shared.domain.message import RunMessage
from shared.observability import count, count_of_version, counted, logger, traced
from shared.services.burial import bury_unreadable
from shared.services.execution import Executor

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@entry_point
@traced
@logger.inject_lambda_context
@counted
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answers which messages are to be delivered again (AWS: "Reporting batch item failures").

    That is only for the unforeseen, and then for the whole batch: those that were worked on are recognised by their
    turn and do nothing the second time.
    """
    records = event["Records"]
    lease_until = wiring.now() + timedelta(milliseconds=context.get_remaining_time_in_millis())
    worker = context.log_stream_name or context.aws_request_id
    try:
        executor: Executor = wiring.executor()
        executor.execute(_read(records), lease_until, worker, context.aws_request_id[:8])
    except Exception:  # noqa: BLE001  # the last place that can say what happened; SQS keeps the messages
        logger.exception("batch.failed")
        count("BatchesFailed")  # to Lambda this is a success, so its own Errors would not tell
        count_of_version("FailuresOfVersion", context)
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}
    return {"batchItemFailures": []}


def _read(records: list[dict[str, Any]]) -> list[RunMessage]:
    """The run messages; anything else is buried on the spot, so that it harms no other."""
    messages = []
    for record in records:
        read = message.read(record["body"])
        if read is None:
            sent_at = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
            bury_unreadable(record["body"], record["messageId"], sent_at, dead_letters=wiring.dead_letters())
        else:
            messages.append(read)
    return messages
