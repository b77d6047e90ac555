"""SQS batch from RunDeadLetterQueue → `services.burial`: the run says why it died, or gets another chance."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from functions import entry_point
from shared import wiring
from shared.domain import message
from shared.observability import count, counted, logger, traced
from shared.services.burial import bury, bury_unreadable
from shared.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@entry_point
@traced
@logger.inject_lambda_context
@counted
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:  # noqa: ARG001  # Lambda's signature
    """Answers which messages are to be delivered again."""
    failed = [record["messageId"] for record in event["Records"] if not _bury(record)]
    return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}


def _bury(record: dict[str, Any]) -> bool:
    try:
        read = message.read(record["body"])
        if read is None:
            sent_at = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
            bury_unreadable(record["body"], record["messageId"], sent_at, dead_letters=wiring.dead_letters())
        else:
            stores: dict[str, Any] = {"runs": wiring.runs(), "dead_letters": wiring.dead_letters()}
            bury(read, wiring.now(), settings().wake_after, **stores, ended=wiring.ended)
    except Exception:  # noqa: BLE001  # one bad message must not hold up the others; SQS delivers it again
        logger.exception("dead_letter.not_buried", extra={"message_id": record["messageId"]})
        count("MessagesNotBuried")  # to Lambda this is a success, so its own Errors would not tell
        return False
    return True
