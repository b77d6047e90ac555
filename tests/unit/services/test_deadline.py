"""The time that a request has."""

from datetime import timedelta

import pytest

from shared.errors import OutOfTime
from shared.services.deadline import Deadline
from shared.store.records import Slice
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


def test_a_list_is_read_as_long_as_there_is_time() -> None:
    clock = Clock()
    deadline = Deadline(clock() + timedelta(seconds=10), clock)

    def page(after: str | None) -> Slice[int]:
        clock.forward(4)
        first = int(after or 0)
        return Slice([first, first + 1], str(first + 2) if first < 8 else None)

    found = deadline.all_of(page)
    assert [next(found) for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(OutOfTime):
        next(found)
    assert list(Deadline(clock() + timedelta(minutes=1), clock).all_of(page)) == list(range(10))
