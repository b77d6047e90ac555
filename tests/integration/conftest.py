"""AWS on moto: what `template.yaml` makes, for each test anew, and `shared.wiring` pointed at it."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from argon2 import PasswordHasher
from moto import mock_aws

from functions.api import dependencies, identity
from functions.api.routers import health
from shared import wiring
from shared.services import hashing
from shared.settings import settings
from shared.store.keys import INDEXES
from tests.moto_partiql import partiql

REGION = "us-east-1"
BUCKET = "spark-payloads"
KEY_ID, SECRET = "bootstrap", "s" * 43
API_KEY = f"spk_{KEY_ID}_{SECRET}"
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Aws:
    """Low-level clients, for looking behind the stores."""

    dynamodb: Any
    sqs: Any
    s3: Any
    secrets: Any
    table: str
    queue_url: str
    secret_id: str

    def messages(self) -> list[dict[str, Any]]:
        """The bodies waiting in the run queue."""
        bodies: list[dict[str, Any]] = []
        while found := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in found]
        return bodies

    def items(self) -> list[dict[str, Any]]:
        """Everything in the table."""
        items: list[dict[str, Any]] = self.dynamodb.scan(TableName=self.table)["Items"]
        return items


@pytest.fixture(scope="module")
def moto_clients() -> Iterator[dict[str, Any]]:
    """Clients are slow to make, so tests of a module share them."""
    with mock_aws(), partiql():
        names = ("dynamodb", "sqs", "s3", "kms", "secretsmanager", "sesv2")
        yield {name: boto3.client(name, region_name=REGION) for name in names}


@pytest.fixture
def event_loop() -> Iterator[None]:
    """Mangum runs requests in the thread's loop; every `asyncio.run` before it, in whatever test, takes that away."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def aws(moto_clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch, event_loop: None) -> Iterator[Aws]:
    number = next(NUMBERS)
    table, queue = f"spark-{number}", f"runs-{number}"
    create_table(moto_clients["dynamodb"], table)
    queue_url = moto_clients["sqs"].create_queue(QueueName=queue)["QueueUrl"]
    moto_clients["s3"].create_bucket(Bucket=f"{BUCKET}-{number}")
    kms_key = moto_clients["kms"].create_key()["KeyMetadata"]["KeyId"]
    secret = moto_clients["secretsmanager"].create_secret(
        Name=f"first-key-{number}", SecretString=json.dumps({"key_id": KEY_ID, "secret": SECRET})
    )["ARN"]
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "SPARK_TABLE": table,
        "SPARK_RUN_QUEUE_URL": queue_url,
        "SPARK_PAYLOAD_BUCKET": f"{BUCKET}-{number}",
        "SPARK_KMS_KEY_ID": kms_key,
        "SPARK_BOOTSTRAP_SECRET_ID": secret,
        "SPARK_OUTBOUND_ALLOW": "127.0.0.0/8",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget()
    monkeypatch.setattr(wiring, "client", lambda service: moto_clients[service])
    yield Aws(
        moto_clients["dynamodb"],
        moto_clients["sqs"],
        moto_clients["s3"],
        moto_clients["secretsmanager"],
        table,
        queue_url,
        secret,
    )
    forget()


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 is slow on purpose, and these tests log in two thousand times. `test_hashing.py` holds it to its price."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(hashing, "HASHER", cheap)
    monkeypatch.setattr(hashing, "NOBODYS", cheap.hash("nobody's"))


def forget() -> None:
    """What a Lambda environment remembers."""
    for built in [
        settings,
        *vars(wiring).values(),
        *vars(identity).values(),
        dependencies.doorkeeper,
        dependencies.bearers,
    ]:
        if hasattr(built, "cache_clear"):
            built.cache_clear()
    health.readiness = health.Readiness()


def create_table(client: Any, name: str) -> None:
    """The table of `template.yaml` (`test_template.py` holds that against `keys.INDEXES`)."""
    attributes = {"pk", "sk", *(part for index in INDEXES.values() for part in index)}
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in sorted(attributes)],
        KeySchema=_keys("pk", "sk"),
        GlobalSecondaryIndexes=[
            {"IndexName": index, "KeySchema": _keys(*parts), "Projection": {"ProjectionType": "KEYS_ONLY"}}
            for index, parts in INDEXES.items()
        ],
    )


def _keys(hash: str, range: str) -> list[dict[str, str]]:
    return [{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]
