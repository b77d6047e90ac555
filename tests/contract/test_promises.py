"""Every test that `docs/promises.md` and the README name exists, and every benchmark."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import bench

PROJECT = Path(__file__).parents[2]
TEXTS = [PROJECT / "docs" / "promises.md", PROJECT / "README.md"]
NAMED = sorted({name for text in TEXTS for name in re.findall(r"tests/[\w/]+\.py(?:::\w+)?", text.read_text())})
BENCHES = sorted({name for text in TEXTS for name in re.findall(r"python -m bench (\w+)", text.read_text())})


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert not function or f"def {function}(" in (PROJECT / path).read_text()
    assert (PROJECT / path).is_file()


@pytest.mark.parametrize("name", BENCHES)
def test_a_named_benchmark_exists(name: str) -> None:
    assert name in bench.BENCHMARKS
    assert callable(import_module(f"bench.{name}").measure)
