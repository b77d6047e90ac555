"""Large texts: inputs, outputs and flow definitions above 4 KB live in S3, named so that lifecycle rules apply."""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.domain.project import Retention
from shared.errors import PayloadGone

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_INLINE_BYTES = 4096
LINK_SECONDS = 900
NO_SUCH_KEY = "NoSuchKey"  # S3 says AccessDenied instead to who may not list the bucket


class Payloads:
    """The payload bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put_json(self, key: str, value: Any) -> int:
        """Store `value` as JSON; answers its size in bytes."""
        body = json.dumps(value, ensure_ascii=False).encode()
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
        return len(body)

    def get_json(self, key: str) -> Any:
        """What is stored under `key`.

        Raises:
            PayloadGone: nothing, any more.
        """
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] == NO_SUCH_KEY:
                raise PayloadGone(f"The payload {key} is no longer there: it expired or was deleted.") from error
            raise
        return json.loads(body.read())

    def delete_below(self, prefix: str) -> None:
        """Remove everything whose key begins with `prefix`.

        Raises:
            ClientError: something is still there.
        """
        after = prefix
        while keys := self._keys(prefix, after):
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
            for error in answer.get("Errors", []):  # it is a 200 all the same
                raise ClientError({"Error": {"Code": error["Code"], "Message": error["Message"]}}, "DeleteObjects")
            after = keys[-1]

    def link(self, key: str) -> str:
        """A URL that anybody may fetch the payload from for 15 minutes."""
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    def _keys(self, prefix: str, after: str) -> list[str]:
        """Up to 1,000 keys that begin with `prefix`, from the one that follows `after`."""
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after)
        return [each["Key"] for each in found.get("Contents", [])]


def run_key(retention: Retention, project: str, run_id: str, name: str) -> str:
    """Where a payload of a run lives; gone with the run."""
    prefix = f"expire-{retention}" if retention else "keep"
    return f"{prefix}/{project}/runs/{run_id}/{name}.json"


def schedule_key(project: str, schedule_id: str, digest: str) -> str:
    """Where a large input of a schedule lives, named by its content."""
    return f"{schedule_prefix(project, schedule_id)}{digest}.json"


def schedule_prefix(project: str, schedule_id: str) -> str:
    """Where all large inputs live that a schedule ever had."""
    return f"keep/{project}/schedules/{schedule_id}/"


def definition_key(project: str, digest: str) -> str:
    """Where a flow definition lives. Named by its content, so an unchanged flow is stored once."""
    return f"keep/{project}/definitions/{digest}.json"


def is_large(text: str) -> bool:
    return len(text) > MAX_INLINE_BYTES or len(text.encode()) > MAX_INLINE_BYTES
