"""Keys of sources, encrypted by KMS, and the deployment's own first key, kept by Secrets Manager."""

import base64
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from shared.domain.api_key import PresentedKey

CACHED_FOR = timedelta(minutes=5)
MAX_CACHED = 256
MAX_PLAINTEXT_BYTES = 4096  # KMS Encrypt
# What KMS says of a key or a ciphertext that will not open next time either.
CLOSED = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "KMSInvalidStateException",
        "NotFoundException",
    }
)
LOG = logging.getLogger(__name__)


class Cipher:
    """Encrypts the keys of sources. The project is part of the encryption context: no other project can decrypt.

    `context` names what the context holds: what is encrypted for a purpose of Spark's own is no project's. `purpose`
    is part of it as well, where there is one.
    """

    def __init__(
        self,
        client: "KMSClient",
        key_id: str,
        now: Callable[[], datetime],
        context: str = "project",
        purpose: str | None = None,
    ) -> None:
        self._client = client
        self._key_id = key_id
        self._now = now
        self._context = context
        self._purpose = {"purpose": purpose} if purpose else {}
        self._cache: dict[tuple[str, str], tuple[datetime, str]] = {}

    def encrypt(self, project: str, text: str) -> str:
        """`text` (at most 4 KB) encrypted for `project`, as base64."""
        answer = self._client.encrypt(
            KeyId=self._key_id, Plaintext=text.encode(), EncryptionContext=self._context_of(project)
        )
        return base64.b64encode(answer["CiphertextBlob"]).decode()

    def decrypt(self, project: str, text: str) -> str:
        """What was encrypted for `project`; kept in memory for five minutes."""
        cached = self._cache.get((project, text))
        if cached is not None and cached[0] > self._now():
            return cached[1]
        # With which key, KMS tells: until all is encrypted anew, it may be the one before. Which may be used,
        # the role of the function says.
        answer = self._client.decrypt(
            CiphertextBlob=base64.b64decode(text), EncryptionContext=self._context_of(project)
        )
        plain = answer["Plaintext"].decode()
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[project, text] = (self._now() + CACHED_FOR, plain)
        return plain

    def reencrypt(self, project: str, text: str) -> str | None:
        """What was encrypted for `project`, with today's key instead of whichever it was. It never leaves KMS.

        None, and a line in the log, where KMS does not open it any more: the key is gone or switched off, or it is
        damaged.
        """
        context = self._context_of(project)
        try:
            answer = self._client.re_encrypt(
                CiphertextBlob=base64.b64decode(text),
                SourceEncryptionContext=context,
                DestinationKeyId=self._key_id,
                DestinationEncryptionContext=context,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in CLOSED:
                raise
            LOG.warning("secret.closed", extra={self._context: project}, exc_info=True)
            return None
        return base64.b64encode(answer["CiphertextBlob"]).decode()

    def _context_of(self, project: str) -> dict[str, str]:
        return {**self._purpose, self._context: project}


class DeploymentSecret:
    """The key that every deployment is born with: `{"key_id": …, "secret": …}` in Secrets Manager."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str) -> None:
        self._client = client
        self._secret_id = secret_id

    def key(self) -> "PresentedKey":
        from shared.domain.api_key import PresentedKey  # only the API asks for keys, and each model costs a cold start

        value = json.loads(self._client.get_secret_value(SecretId=self._secret_id)["SecretString"])
        return PresentedKey(id=value["key_id"], secret=value["secret"])
