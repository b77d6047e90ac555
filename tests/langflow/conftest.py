"""The real servers, each started once for all tests, with the flows of `cli/local/flows/` on them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local import engines
from cli.local.engines import Engine

KEY = "key-of-the-test"


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines.build_flows(tmp_path_factory.mktemp("flows"))


@pytest.fixture(scope="session")
def lfx(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = engines.start_lfx(exports, tmp_path_factory.mktemp("lfx"), api_key=KEY)
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def langflow(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = engines.start_langflow(exports, tmp_path_factory.mktemp("langflow"), api_key=KEY)
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def ids(exports: Path) -> dict[str, str]:
    """Flow ids by short name: they are the same on both servers."""
    definitions = [json.loads(path.read_text(encoding="utf-8")) for path in exports.glob("*.json")]
    return {each["endpoint_name"].removeprefix("spark-"): each["id"] for each in definitions}
