"""The door for mail: Amazon SES, or a folder where letters are kept instead of being sent."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.letter import Letter
from shared.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sesv2.type_defs import ContentTypeDef

FILE = "outbox.jsonl"
MODE = 0o600  # letters carry tokens


class Mail(Protocol):
    def require(self) -> None:
        """Raises Conflict where no letters are sent at all."""

    def send(self, letter: Letter) -> None:
        """Raises Unavailable when it cannot be sent just now; Conflict, as `require`."""


class Ses:
    """Sends letters as `sender`, an address or domain that SES has verified."""

    def __init__(self, client: "SESV2Client", sender: str) -> None:
        self._client = client
        self._sender = sender

    def require(self) -> None:
        """It can be tried."""

    def send(self, letter: Letter) -> None:
        subject: ContentTypeDef = {"Data": letter.subject, "Charset": "UTF-8"}
        text: ContentTypeDef = {"Data": letter.text, "Charset": "UTF-8"}
        try:
            self._client.send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": [letter.to]},
                Content={"Simple": {"Subject": subject, "Body": {"Text": text}}},
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("The mail could not be sent. Try again.") from error


class Outbox:
    """Keeps letters in a file of `folder`, one JSON object a line, for whoever owns the machine."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def require(self) -> None:
        """There is always a folder."""

    def send(self, letter: Letter) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch(MODE)
        line = json.dumps({"to": letter.to, "subject": letter.subject, "text": letter.text})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class NoMail:
    """A deployment that was given neither."""

    def require(self) -> None:
        raise Conflict("This deployment sends no mail: it was deployed without MailFrom.")

    def send(self, letter: Letter) -> None:  # noqa: ARG002  # there is nowhere to send it
        self.require()
