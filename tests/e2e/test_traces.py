"""A deployed executor tells a receiver of its runs, with no more than the template grants it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cli.local import ports
from cli.local.clients import clients
from cli.local.stack import Stack, down, up
from tests.e2e.conftest import SHORT
from tests.e2e.deployment import Deployment, connect
from tests.otlp_receiver import Receiver, receiver

KEY = "lw-key-of-the-receiver"
WITHIN_SECONDS = 15
LONGER = {**SHORT, "ExecutorTimeoutSeconds": "60", "RunVisibilitySeconds": "90"}  # what is left is time for sending


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture(scope="module")
def spark(traces: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A stack of its own that enforces IAM. It is deployed twice, since only an emulator that runs has secrets."""
    stack = Stack(ports.free(), tmp_path_factory.mktemp("traced"), parameters=LONGER, enforce_iam=True)
    try:
        up(stack)
        headers = json.dumps({"Authorization": f"Bearer {KEY}"})
        arn = clients(stack.port).secrets.create_secret(Name="traces", SecretString=headers)["ARN"]
        told = {**LONGER, "OtlpEndpoint": traces.url, "OtlpSecretArn": arn}
        running = up(replace(stack, parameters=told))
        deployed = connect(running.endpoint_url, running.api_url, None)
        yield deployed
        deployed.api.close()
    finally:
        down(stack, wipe=True)


def test_a_run_becomes_a_trace(spark: Deployment, echo: str, traces: Receiver) -> None:
    run = spark.ended(spark.submit(echo, "my secret question")["id"])
    assert run["status"] == "completed"

    deadline = spark.deadline(WITHIN_SECONDS)  # the run is over before its trace is sent
    while not (spans := traces.spans()):
        assert time.monotonic() < deadline, "no trace came"
        time.sleep(0.2)

    attempt, whole = spans
    assert whole["attributes"]["spark.run.id"] == run["id"]
    assert attempt["parent_span_id"] == whole["span_id"]
    (request,) = traces.requests()
    assert request["headers"]["Authorization"] == f"Bearer {KEY}"
    assert b"my secret question" not in request["body"]
