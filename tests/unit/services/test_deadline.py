"""The time that a request has."""

from datetime import timedelta

import pytest

from shared.errors import OutOfTime
from shared.services.deadline import Deadline
from tests.fakes import Clock


def test_what_is_begun_has_the_time_that_is_left() -> None:
    clock = Clock()
    deadline = Deadline(clock() + timedelta(seconds=10), clock)
    clock.forward(4)
    assert deadline.require() == 6
    assert deadline.require(timedelta(seconds=5)) == 6
    assert not deadline.is_over


def test_nothing_is_begun_that_has_too_little() -> None:
    clock = Clock()
    deadline = Deadline(clock() + timedelta(seconds=10), clock)
    clock.forward(5)
    with pytest.raises(OutOfTime):
        deadline.require(timedelta(seconds=5))
    clock.forward(5)
    assert deadline.is_over
    with pytest.raises(OutOfTime):
        deadline.require()
