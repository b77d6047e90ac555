"""`tests/e2e/grants.py` against template.yaml: every grant has its row, every row its grant and a test that exists."""

import importlib
import re

import pytest

from cli.local.layout import PROJECT
from cli.local.template import load
from tests.e2e.grants import NEEDED_BY, NOT_ASKED, PASSING, granted

FUNCTIONS = ["ApiFunction", "TickFunction", "ExecutorFunction", "DeadLettersFunction"]
RESOURCES = load(PROJECT)["Resources"]
NAMED = {test for tests in [*(rows.values() for rows in NEEDED_BY.values()), *PASSING.values()] for test in tests}


def rows_of(function: str) -> list[str]:
    policies = RESOURCES[function]["Properties"]["Policies"]
    return [row for policy in policies for statement in policy["Statement"] for row in granted(statement)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_grant_has_a_row_and_every_row_is_granted(function: str) -> None:
    rows = rows_of(function)
    assert sorted(rows) == sorted([*NEEDED_BY[function], *NOT_ASKED[function]])
    assert len(rows) == len(set(rows))


def test_every_function_has_rows() -> None:
    roles = [name for name, block in RESOURCES.items() if "Policies" in block.get("Properties", {})]
    assert sorted(roles) == sorted(FUNCTIONS)
    assert NEEDED_BY.keys() == NOT_ASKED.keys() == PASSING.keys() == set(FUNCTIONS)


@pytest.mark.parametrize("test", sorted(NAMED))
def test_the_named_test_is_there(test: str) -> None:
    module, _, name = test.partition("::")
    assert callable(getattr(importlib.import_module(f"tests.e2e.{module}"), re.sub(r"\[.*", "", name)))
