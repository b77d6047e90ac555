"""The places where the stores' contract holds: in memory, on moto, and on a MiniStack process of our own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.store.keys import INDEXES
from tests.moto_partiql import partiql

MINISTACK = Path(__file__).parents[2] / ".environments" / "emulator" / "bin" / "ministack"
STARTS_WITHIN_SECONDS = 30
ACCESS = {"region_name": "us-east-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


@dataclass(frozen=True)
class Aws:
    """Clients of one place."""

    dynamodb: Any
    sqs: Any


@pytest.fixture(scope="module")
def moto_aws() -> Iterator[Aws]:
    with mock_aws(), partiql():
        yield Aws(boto3.client("dynamodb", **ACCESS), boto3.client("sqs", **ACCESS))


@pytest.fixture(scope="session")
def ministack_aws() -> Iterator[Aws]:
    """A MiniStack that lives as long as the tests. Without its environment: a failure in CI, elsewhere a skip."""
    if not MINISTACK.exists():
        reason = f"No emulator at {MINISTACK.relative_to(Path.cwd())}: `make setup` installs it."
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    folder, port = tempfile.mkdtemp(prefix="spark-ministack-"), _free_port()
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": folder,
        "PATH": os.environ["PATH"],
        "HOME": folder,
    }
    with (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen([MINISTACK], env=settings, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(process, port, Path(folder) / "log")
        access = {**ACCESS, "endpoint_url": f"http://127.0.0.1:{port}"}
        yield Aws(boto3.client("dynamodb", **access), boto3.client("sqs", **access))
    finally:
        process.terminate()
        process.wait(timeout=STARTS_WITHIN_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


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


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"MiniStack did not start; it said:\n{log.read_text()[-2000:]}")
