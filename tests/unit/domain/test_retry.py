"""Retry policy: what is tried again, how often, and after how long."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.retry import GiveUp, RetryAfter, RetryPolicy, decide, is_retryable
from shared.errors import Delivered, FlowFailure


def a_failure(delivered: Delivered, code: str = "x", after: float | None = None) -> FlowFailure:
    return FlowFailure(code, "It failed.", delivered, retry_after_seconds=after)


REFUSED = a_failure(Delivered.no, "upstream_unavailable")
CUT_OFF = a_failure(Delivered.unknown, "disconnected")


@pytest.mark.parametrize(
    ("failure", "policy", "retryable"),
    [
        (REFUSED, RetryPolicy(), True),
        (REFUSED, RetryPolicy(unknown_outcome=False), True),
        (CUT_OFF, RetryPolicy(), True),
        (CUT_OFF, RetryPolicy(unknown_outcome=False), False),
        (a_failure(Delivered.yes, "flow_failed"), RetryPolicy(), False),
        (a_failure(Delivered.yes, "flow_failed"), RetryPolicy(flow_failed=True), True),
        (a_failure(Delivered.yes, "upstream_refused"), RetryPolicy(flow_failed=True), False),
        (a_failure(Delivered.yes, "output_too_large"), RetryPolicy(flow_failed=True), False),
    ],
)
def test_what_is_tried_again_follows_from_whether_langflow_ran_the_flow(
    failure: FlowFailure, policy: RetryPolicy, retryable: bool
) -> None:
    assert is_retryable(policy, failure) is retryable
    assert isinstance(decide(policy, 1, failure, 0.5), RetryAfter if retryable else GiveUp)


def test_waits_grow_by_the_multiplier_up_to_the_maximum() -> None:
    policy = RetryPolicy(max_attempts=6, initial_seconds=2, multiplier=3, max_seconds=30)

    longest = [decide(policy, attempt, REFUSED, 1.0) for attempt in range(1, 6)]

    assert longest == [RetryAfter(timedelta(seconds=seconds)) for seconds in (2, 6, 18, 30, 30)]


def test_chance_spreads_a_wait_over_its_whole_length() -> None:
    waits = [decide(RetryPolicy(initial_seconds=10), 1, REFUSED, chance) for chance in (0.0, 0.25, 0.5)]

    assert waits == [RetryAfter(timedelta(seconds=seconds)) for seconds in (0, 2.5, 5)]


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy(max_attempts=3)

    assert isinstance(decide(policy, 2, REFUSED, 0.5), RetryAfter)
    assert isinstance(decide(policy, 3, REFUSED, 0.5), GiveUp)
    assert isinstance(decide(policy, 4, REFUSED, 0.5), GiveUp)


def test_retry_after_is_the_shortest_wait_but_not_longer_than_the_policy_allows() -> None:
    policy = RetryPolicy(initial_seconds=2, max_seconds=60)

    assert decide(policy, 1, a_failure(Delivered.no, after=20), 1.0) == RetryAfter(timedelta(seconds=20))
    assert decide(policy, 1, a_failure(Delivered.no, after=1), 1.0) == RetryAfter(timedelta(seconds=2))
    assert decide(policy, 1, a_failure(Delivered.no, after=3600), 1.0) == RetryAfter(timedelta(seconds=60))


@pytest.mark.parametrize(
    "fields",
    [
        {"max_attempts": 0},
        {"max_attempts": 21},
        {"initial_seconds": -1},
        {"initial_seconds": float("nan")},
        {"initial_seconds": float("inf")},
        {"multiplier": 0.5},
        {"multiplier": float("nan")},
        {"max_seconds": float("nan")},
        {"max_seconds": 86_401},
        {"forever": True},
    ],
)
def test_a_policy_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy(**fields)
