"""The run queue: SQS, standard, in batches."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.message import Delivery
from shared.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef, SendMessageBatchRequestEntryTypeDef

MAX_BATCH = 10  # SendMessageBatch
MAX_DELAY = timedelta(seconds=900)  # DelaySeconds; a message that must wait longer is sent again when it arrives


class RunQueue:
    """Announces turns of runs to the executor."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Send all of `deliveries`, ten a request.

        Raises:
            Unavailable: some may not have been sent. Their runs are on Wake, so the tick sends them later.
        """
        refused: list[BatchResultErrorEntryTypeDef] = []
        for start in range(0, len(deliveries), MAX_BATCH):
            refused += self._send_batch(deliveries[start : start + MAX_BATCH])
        if refused:
            raise Unavailable(f"The run queue refused {len(refused)} messages: {refused[0]['Code']}.")

    def ping(self) -> None:
        """Raises botocore's ClientError or BotoCoreError when the queue cannot be used."""
        self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])

    def _send_batch(self, deliveries: Sequence[Delivery]) -> list["BatchResultErrorEntryTypeDef"]:
        """The entries that SQS refused; one refusal is no reason to keep the others back."""
        entries = [_entry(number, delivery) for number, delivery in enumerate(deliveries)]
        try:
            return self._client.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", [])
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("The run queue did not take the message.") from error


def _entry(number: int, delivery: Delivery) -> "SendMessageBatchRequestEntryTypeDef":
    """One message. Its project is its group, by which SQS tells tenants apart: a project with a backlog then keeps no
    other project waiting. On a standard queue a group orders nothing and limits nothing.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html, read 2026-11-21
    """
    delay = min(max(delivery.delay, timedelta(0)), MAX_DELAY)
    return {
        "Id": str(number),
        "MessageGroupId": delivery.message.project_id,
        "MessageBody": delivery.message.model_dump_json(exclude_defaults=True),
        "DelaySeconds": math.ceil(delay.total_seconds()),
    }
