"""What chaos found, made small."""

from datetime import timedelta
from typing import Any

from tests.chaos.harness import TICK_LIFE, Deployment, deployed

HALF_A_MINUTE = timedelta(seconds=30)


def a_schedule(deployment: Deployment, **changes: Any) -> str:
    end = (deployment.simulation.now + timedelta(hours=3)).replace(microsecond=0)
    settings = {"kind": "interval", "expression": "7s", "end_at": end, "name": "found", "input": "input", **changes}
    deployment.simulation.join([deployment.create(settings)])
    return next(iter(deployment.watcher.schedules))


def ticks(deployment: Deployment, minutes: int) -> None:
    for _ in range(minutes):
        deployment.tick()
        deployment.simulation.sleep(60)


def test_a_resume_by_a_slow_clock_after_a_pause_by_a_fast_one_counts_nothing_twice() -> None:
    with deployed("clocks") as deployment:
        id = a_schedule(deployment)
        early = deployment.process("api", skew=HALF_A_MINUTE)
        late = deployment.process("api", skew=-HALF_A_MINUTE)

        deployment.simulation.join([deployment.edit(id, {}, False, early)])
        deployment.simulation.join([deployment.edit(id, {}, True, late)])
        ticks(deployment, 3)

        assert deployment.watcher.told == []


def test_runs_that_were_called_off_while_they_waited_do_not_hold_up_the_next() -> None:
    with deployed("ghosts") as deployment:
        id = a_schedule(deployment, overlap="queue_all", expression="20s")
        deployment.flows._seconds = lambda: 110.0  # type: ignore[method-assign]
        ticks(deployment, 3)  # one runs, the others wait
        deployment.simulation.join([deployment.edit(id, {}, False)])
        ticks(deployment, 30)  # the paused schedule's runs are called off
        assert not deployment.watcher.unfinished
        deployment.flows._seconds = lambda: 0.0  # type: ignore[method-assign]
        deployment.simulation.join([deployment.edit(id, {"expression": "1h"}, True)])
        deployment.simulation.join([deployment.trigger(id)])
        ticks(deployment, 2)

        (by_hand,) = [run for run in deployment.watcher.runs.values() if run.origin == "manual"]
        assert by_hand.status == "completed"


def test_what_was_missed_does_not_use_up_runs_while_a_tick_has_not_come_to_its_end() -> None:
    """Its runs are put and sent, its schedule is not advanced: to `admits` all that was missed is still to come."""
    with deployed("one too many") as deployment:
        a_schedule(deployment, expression="20s", max_runs=12)
        deployment.simulation.sleep(900)
        dying = deployment.process("tick", crash_at=5)  # before it advances
        deployment.simulation.join([deployment.tick(dying)])
        assert dying.crashed
        ticks(deployment, 3)

        assert deployment.watcher.told == []
        assert {run.status for run in deployment.watcher.runs.values()} == {"completed"}


def test_what_a_fast_clock_looks_at_during_a_pause_runs_after_the_resume() -> None:
    """Who fires and who executes are half a minute ahead; the user, who resumes before the time of a run, is not."""
    with deployed("early") as deployment:
        id = a_schedule(deployment, expression="60s")
        deployment._skews = [HALF_A_MINUTE] * len(deployment._skews)
        deployment.tick(deployment.process("tick", TICK_LIFE, skew=HALF_A_MINUTE))
        deployment.simulation.sleep(140)
        deployment.simulation.join([deployment.edit(id, {}, False)])
        deployment.simulation.sleep(20)  # the run of the third minute is looked at
        (early,) = deployment.watcher.unfinished.values()
        assert (early.turn, early.status) == (0, "pending")
        deployment.simulation.join([deployment.edit(id, {}, True)])
        ticks(deployment, 3)

        assert deployment.watcher.told == []
        assert early.status == "completed"
