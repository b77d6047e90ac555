"""Watching: who is cut off while it blocks in LangFlow."""

import time
from datetime import timedelta

import pytest

from shared.domain.run import RunStatus
from shared.langflow import Stopper
from shared.services import watching
from shared.services.watching import Watch, Watched
from tests.fakes import NOON
from tests.world import World, a_run

HELD = {"status": RunStatus.running, "turn": 1, "attempt": 1, "lease_until": NOON + timedelta(minutes=5)}


def test_cancelled_and_superseded_runs_are_stopped_and_no_others() -> None:
    world = World()
    runs = world.put(a_run(1, **HELD), a_run(2, **HELD), a_run(3, **HELD), a_run(4, **HELD))
    watched = [Watched(run, Stopper()) for run in runs]
    watched[3].over = True
    world.cancel(runs[1])
    world.runs.save(runs[2], runs[2].model_copy(update={"turn": 2}))
    world.cancel(runs[3])

    Watch(watched, world.runs).look()

    assert [each.stopper.reason for each in watched] == [None, "cancelled", "cancelled", None]


def test_a_batch_that_ends_at_once_is_not_looked_at() -> None:
    world = World()
    (run,) = world.put(a_run(**HELD))
    world.faults.steps.clear()

    with Watch([Watched(run, Stopper())], world.runs):
        pass

    assert world.faults.steps == []


def test_a_look_that_fails_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_SECONDS", 0.001)
    world = World()
    (run,) = world.put(a_run(**HELD))
    world.cancel(run)
    world.faults.refuse["get_many"] = 2
    watched = Watched(run, Stopper())

    with Watch([watched], world.runs):
        for _ in range(5000):
            if watched.stopper.reason:
                break
            time.sleep(0.001)

    assert watched.stopper.reason == "cancelled"
