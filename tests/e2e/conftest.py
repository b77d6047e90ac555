"""One stack for all e2e tests, with a short executor timeout so that lost workers heal while one watches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment, deployment
from tests.stub_langflow import ECHO, StubLangFlow

SHORT = {
    "ExecutorTimeoutSeconds": "20",
    "RunVisibilitySeconds": "30",
    "ExecutorConcurrency": "8",
    "WakeAfterSeconds": "10",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder: Path = tmp_path_factory.mktemp("stack")
    with deployment(folder, SHORT) as running:
        yield running
        running.api.close()


@pytest.fixture
def stub() -> Iterator[StubLangFlow]:
    with StubLangFlow() as running:
        yield running


@pytest.fixture
def echo(spark: Deployment, stub: StubLangFlow) -> str:
    """A workflow of a flow that answers its input, on a LangFlow that misbehaves when told to."""
    source = spark.add_source("stub", stub.url, "a-key")
    return spark.import_flow(source, ECHO)
