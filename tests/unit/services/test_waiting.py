"""Waiting for the end of a run."""

from datetime import timedelta
from typing import Any

from shared.domain import run as run_rules
from shared.services.waiting import wait_for_end
from tests.fakes import Clock
from tests.world import NOON, a_run


class Looks:
    """Shows a run that ends at the n-th look."""

    def __init__(self, ends_at: int) -> None:
        self.left = ends_at

    def get(self, project: str, id: str) -> Any:
        self.left -= 1
        return run_rules.cancel(a_run(), NOON) if self.left <= 0 else a_run()


def waited(ends_at: int, seconds: float) -> tuple[Any, list[float]]:
    clock, pauses = Clock(), list[float]()

    def sleep(pause: float) -> None:
        pauses.append(pause)
        clock.forward(pause)

    looks: Any = Looks(ends_at)
    return wait_for_end(a_run(), NOON + timedelta(seconds=seconds), runs=looks, now=clock, sleep=sleep), pauses


def test_the_pauses_grow_up_to_a_second() -> None:
    run, pauses = waited(ends_at=10, seconds=60)
    assert run.is_final
    assert pauses[0] == 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0


def test_the_time_ends_the_waiting_to_the_second() -> None:
    run, pauses = waited(ends_at=1000, seconds=3)
    assert not run.is_final
    assert abs(sum(pauses) - 3) < 0.001


def test_without_time_nobody_looks() -> None:
    assert waited(ends_at=1, seconds=0)[1] == []
