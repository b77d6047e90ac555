"""A hundred thousand occurrences under every trouble we know. `python -m bench chaos` does the same with more."""

import time
from itertools import count

import pytest

from tests.chaos.harness import Report, run_world

OCCURRENCES = 10_000  # for each seed
SECONDS = 14.0  # at most; a slow machine tries less
WORLDS = 3  # at least


@pytest.mark.parametrize("seed", range(1, 11))
def test_every_occurrence_has_one_run_whatever_happens(seed: int) -> None:
    began, total = time.monotonic(), Report()
    for number in count():
        report = run_world(f"{seed}/{number}")
        assert report.is_clean, explain(report, seed, number)
        total += report
        late = time.monotonic() - began > SECONDS
        if total.occurrences >= OCCURRENCES or (late and total.worlds >= WORLDS):
            break
    assert total.done["crashes"] > 0
    assert total.done["duplicates"] > 0


def test_a_world_repeats_itself() -> None:
    first, second = (run_world("again", 300) for _ in range(2))

    assert first == second


def explain(report: Report, seed: int, number: int) -> str:
    told = "\n".join(report.told)
    return f"{dict(report.found)}; reproduce: python -m bench chaos --seed {seed} --world {number}\n{told}"
