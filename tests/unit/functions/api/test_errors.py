"""From error to status, from location to pointer."""

import pytest

from functions.api.errors import STATUS, TITLES, pointer, refusal, status_of
from shared import errors
from shared.errors import Delivered, FlowFailure, SparkError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("run", "run_1"), 404),
        (errors.InUse("x", []), 409),
        (errors.WorkflowDisabled("x"), 409),
        (errors.NotVerified("x"), 422),
        (errors.KeyReused("x"), 422),
        (errors.Stale("x"), 412),
        (FlowFailure("upstream_unavailable", "x", Delivered.no), 503),
        (FlowFailure("timeout", "x", Delivered.unknown), 502),
        (FlowFailure("flow_not_found", "x", Delivered.yes), 502),
    ],
)
def test_the_nearest_ancestor_decides(error: SparkError, status: int) -> None:
    assert status_of(error) == status
    assert refusal(error).status == status
    assert refusal(error).code == error.code


def test_every_code_has_a_title() -> None:
    codes = {cls.code for cls in STATUS if cls is not FlowFailure}
    assert codes <= set(TITLES)


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        (("body", "settings", "tags", 3), "/settings/tags/3"),
        (("body",), ""),
        (("query", "limit"), "/query/limit"),
        (("body", "a/b", "c~d"), "/a~1b/c~0d"),
    ],
)
def test_locations_become_json_pointers(loc: tuple[str | int, ...], expected: str) -> None:
    assert pointer(loc) == expected
