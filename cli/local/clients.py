"""boto3 clients for the emulator. boto3 is imported when the first one is made: other commands need not wait for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.local.emulator import endpoint

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
# The emulator's own account owner: it may do everything, also when IAM is enforced for functions.
ACCESS_KEY = "test"
ANSWERS_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Clients:
    """What the local stack is operated with."""

    cloudformation: "CloudFormationClient"
    dynamodb: "DynamoDBClient"
    functions: "LambdaClient"
    logs: Any  # there are no stubs for it among our requirements
    s3: "S3Client"
    secrets: "SecretsManagerClient"
    sqs: "SQSClient"


def clients(port: int) -> Clients:
    """Clients of the emulator on that port, past any proxy."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(ACCESS_KEY, ACCESS_KEY, region_name=REGION)
    config = Config(proxies={}, read_timeout=ANSWERS_WITHIN_SECONDS, retries={"total_max_attempts": 2})
    options: dict[str, Any] = {"endpoint_url": endpoint(port), "config": config}
    return Clients(
        cloudformation=session.client("cloudformation", **options),
        dynamodb=session.client("dynamodb", **options),
        functions=session.client("lambda", **options),
        logs=session.client("logs", **options),
        s3=session.client("s3", **options),
        secrets=session.client("secretsmanager", **options),
        sqs=session.client("sqs", **options),
    )
