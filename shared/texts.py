"""The door for text messages: Amazon SNS, or a file where they are kept instead of being sent."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

FILE = "texts.jsonl"
MODE = 0o600  # they carry codes


class Texts(Protocol):
    @property
    def is_on(self) -> bool:
        """Does this deployment send any?"""

    def send(self, number: str, text: str) -> None:
        """Raises Unavailable when it cannot be sent just now; Conflict where none are sent at all."""


class Sns:
    """Sends to phones directly. AWS lets new accounts do so to numbers that they verified alone."""

    is_on = True

    def __init__(self, client: "SNSClient") -> None:
        self._client = client

    def send(self, number: str, text: str) -> None:
        kind: MessageAttributeValueTypeDef = {"DataType": "String", "StringValue": "Transactional"}
        try:
            self._client.publish(PhoneNumber=number, Message=text, MessageAttributes={"AWS.SNS.SMS.SMSType": kind})
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("The text message could not be sent. Try again.") from error


class TextOutbox:
    """Keeps them in a file of `folder`, one JSON object a line, for whoever owns the machine."""

    is_on = True

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def send(self, number: str, text: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch(MODE)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"to": number, "text": text}) + "\n")


class NoTexts:
    """A deployment where they are switched off."""

    is_on = False

    def send(self, number: str, text: str) -> None:  # noqa: ARG002  # there is nowhere to send it
        raise Conflict("This deployment sends no text messages: it was deployed with Sms off.")
