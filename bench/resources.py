"""What a benchmark without CloudFormation needs of template.yaml, made in an emulator: table, queue …"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.local import template

PROJECT = Path(__file__).parents[1]
TABLE, QUEUE, BUCKET, SECRET = "spark-bench", "spark-bench", "spark-bench", "spark-bench"
REGION = "us-east-1"
API_KEY = f"spk_{'0' * 26}_{'s' * 43}"  # the id as long as a ULID, the secret as template.yaml asks for it
TABLE_FIELDS = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
# boto3's own variables, for any emulator; without them it would look for real credentials.
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def create(client: Callable[[str], Any]) -> dict[str, str]:
    """Make everything with the clients of an emulator; answers the environment of a function that uses it."""
    client("dynamodb").create_table(TableName=TABLE, **table_design())
    client("s3").create_bucket(Bucket=BUCKET)
    queue = client("sqs").create_queue(QueueName=QUEUE)["QueueUrl"]
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    _, key_id, secret = API_KEY.split("_")
    value = json.dumps({"key_id": key_id, "secret": secret})
    client("secretsmanager").create_secret(Name=SECRET, SecretString=value)
    return environment(queue, key)


def table_design() -> dict[str, Any]:
    """Keys and indexes as template.yaml has them."""
    design = template.load(PROJECT)["Resources"]["Table"]["Properties"]
    return {name: design[name] for name in TABLE_FIELDS}


def memory_gb(logical_id: str) -> float:
    """The memory that template.yaml gives a function."""
    loaded = template.load(PROJECT)
    own = loaded["Resources"][logical_id]["Properties"]
    return float(own.get("MemorySize", loaded["Globals"]["Function"].get("MemorySize"))) / 1024


def environment(queue: str, key: str) -> dict[str, str]:
    return {
        **AWS,
        "SPARK_STAGE": "bench",
        "SPARK_TABLE": TABLE,
        "SPARK_RUN_QUEUE_URL": queue,
        "SPARK_PAYLOAD_BUCKET": BUCKET,
        "SPARK_KMS_KEY_ID": key,
        "SPARK_BOOTSTRAP_SECRET_ID": SECRET,
        "SPARK_OUTBOUND_ALLOW": "127.0.0.0/8",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_METRICS_NAMESPACE": "Spark",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
