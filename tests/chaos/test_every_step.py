"""A process dies before and after each of its writes in turn, or others act just then: whoever comes next heals it."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from tests.chaos.harness import LIFE, TICK_LIFE, Climate, Deployment, deployed
from tests.chaos.simulation import Process, Task

MINUTES = 6
HELD = 3  # messages that the executor gets; others get the rest
SOON = timedelta(seconds=2)
Act = Callable[[Deployment, Process], Task]
SCENARIOS: dict[str, tuple[Callable[[Deployment], None], Act, timedelta, Climate]] = {}


def settings(deployment: Deployment, **changes: Any) -> dict[str, Any]:
    end = (deployment.simulation.now + timedelta(minutes=MINUTES)).replace(microsecond=0)
    return {"kind": "interval", "expression": "20s", "end_at": end, "name": "chaos", "input": "input", **changes}


def have(deployment: Deployment, *kinds: dict[str, Any]) -> None:
    """Schedules that were created a moment ago, in peace."""
    for changes in kinds:
        deployment.simulation.join([deployment.create(settings(deployment, **changes))])


def the_schedule(deployment: Deployment) -> str:
    return next(iter(deployment.watcher.schedules))


def scenario(
    *kinds: dict[str, Any], wait: float = 0, then: Callable[[Deployment], None] = lambda deployment: None
) -> Callable[[Act], Act]:
    """Schedules of these `kinds`, `wait` seconds in which nobody ticks, `then`, and then what the function does."""

    def prepare(deployment: Deployment) -> None:
        have(deployment, *kinds)
        deployment.simulation.sleep(wait)
        then(deployment)

    def add(act: Act) -> Act:
        SCENARIOS[act.__name__] = (prepare, act, TICK_LIFE, Climate())
        return act

    return add


MANY = ({"expression": "20s"}, {"kind": "cron", "expression": "* * * * *"}, {"jitter_seconds": 30}, {"max_runs": 2})


@scenario(*MANY, wait=170)
def a_tick_fires(deployment: Deployment, process: Process) -> Task:
    return deployment.tick(process)


@scenario(*({"catch_up": policy} for policy in ("last", "all", "none")), wait=650)
def a_tick_catches_up(deployment: Deployment, process: Process) -> Task:
    return deployment.tick(process)


def receive(deployment: Deployment) -> dict[int, Any]:
    batch = deployment.queue.receive(HELD)
    assert batch
    return batch


def hold_messages(deployment: Deployment, process: Process) -> Task:
    """The batch that is due is handed to `process`."""
    return deployment.deliver(receive(deployment), process)


def execution(*kinds: dict[str, Any], **climate: Any) -> None:
    """An executor with all messages of some schedules, whose runs are all due at once."""

    def prepare(deployment: Deployment) -> None:
        deployment.pump_soon = lambda: None  # type: ignore[method-assign]
        have(deployment, *kinds)
        deployment.simulation.sleep(130)

    def act(deployment: Deployment, process: Process) -> Task:
        task = hold_messages(deployment, process)
        del deployment.pump_soon
        return task

    what = "_".join(str(value) for changes in kinds for value in changes.values())
    SCENARIOS[f"an_executor_{what}" + "".join(f"_{key}" for key in climate)] = (prepare, act, LIFE, Climate(**climate))


for overlap in ("allow", "skip", "queue_one", "queue_all", "cancel_previous"):
    execution({"overlap": overlap})
    execution({"overlap": overlap}, slow=1.0, slow_seconds=40)
execution({"overlap": "queue_all", "pause_after_failures": 1}, failing=1.0)
execution({"timeout_seconds": 600}, slow=0.5)


def an_executor_dies(deployment: Deployment) -> None:
    """In the middle of its calls; and its lease ends."""
    deployment.simulation.join([deployment.tick()])
    deployment.simulation.sleep(5)
    deployment.flows.slow, deployment.flows.slow_seconds = 1.0, 1000
    deployment.simulation.sleep(400)
    assert any(run.status == "running" for run in deployment.watcher.unfinished.values())
    deployment.flows.slow = 0.0


@scenario(
    {}, {"overlap": "queue_all"}, {"overlap": "skip", "retry": {"max_attempts": 1}}, wait=60, then=an_executor_dies
)
def a_tick_finds_what_dead_executors_left(deployment: Deployment, process: Process) -> Task:
    return deployment.tick(process)


def nothing_is_sent(deployment: Deployment) -> None:
    """Runs are put, and their messages are lost."""
    deployment.simulation.join([deployment.tick()])
    deployment.queue.lose_all()
    deployment.simulation.sleep(500)


@scenario(*MANY, wait=60, then=nothing_is_sent)
def a_tick_sends_again(deployment: Deployment, process: Process) -> Task:
    return deployment.tick(process)


@scenario()
def a_user_creates(deployment: Deployment, process: Process) -> Task:
    return deployment.create(settings(deployment, expression="10s"), process=process)


@scenario()
def a_user_creates_for_once(deployment: Deployment, process: Process) -> Task:
    at = (deployment.simulation.now + timedelta(seconds=10)).isoformat(timespec="seconds")
    return deployment.create(settings(deployment, kind="once", expression=at), process=process)


@scenario({}, wait=60)
def a_user_edits_the_time(deployment: Deployment, process: Process) -> Task:
    return deployment.edit(the_schedule(deployment), {"expression": "25s"}, process=process)


@scenario({}, wait=400)
def a_user_edits_the_time_late(deployment: Deployment, process: Process) -> Task:
    return deployment.edit(the_schedule(deployment), {"kind": "cron", "expression": "* * * * *"}, process=process)


@scenario({}, wait=60)
def a_user_edits_the_input(deployment: Deployment, process: Process) -> Task:
    return deployment.edit(the_schedule(deployment), {"input": "another"}, process=process)


@scenario({}, wait=60)
def a_user_pauses(deployment: Deployment, process: Process) -> Task:
    return deployment.edit(the_schedule(deployment), {}, False, process)


@scenario({}, wait=400)
def a_user_stops(deployment: Deployment, process: Process) -> Task:
    return deployment.pause(the_schedule(deployment), process)


def a_pause(deployment: Deployment) -> None:
    deployment.simulation.join([deployment.edit(the_schedule(deployment), {}, False)])
    deployment.simulation.sleep(100)


@scenario({}, wait=60, then=a_pause)
def a_user_resumes(deployment: Deployment, process: Process) -> Task:
    return deployment.edit(the_schedule(deployment), {}, True, process)


@scenario({"overlap": "queue_all"}, wait=60)
def a_user_deletes(deployment: Deployment, process: Process) -> Task:
    return deployment.delete(the_schedule(deployment), process)


@scenario({"overlap": "skip"}, wait=60)
def a_user_triggers(deployment: Deployment, process: Process) -> Task:
    return deployment.trigger(the_schedule(deployment), process)


@scenario({"expression": "5s", "end_at": None, "max_runs": 3, "start_at": None}, wait=900)
def a_user_backfills(deployment: Deployment, process: Process) -> Task:
    now = deployment.simulation.now
    return deployment.backfill(the_schedule(deployment), now - timedelta(minutes=12), now, process)


@scenario({"expression": "5s", "end_at": None, "max_runs": 3, "start_at": None}, wait=900)
def a_tick_goes_on_with_a_backfill(deployment: Deployment, process: Process) -> Task:
    now = deployment.simulation.now
    task = deployment.backfill(the_schedule(deployment), now - timedelta(minutes=12), now)
    deployment.simulation.join([task])
    return deployment.tick(process)


def play(name: str, step: int, disturb: Callable[[Deployment, Process], None]) -> tuple[Process, Deployment]:
    """The scenario, in which its process is disturbed at `step`; and then everything comes to its end."""
    prepare, act, lives, climate = SCENARIOS[name]
    with deployed(f"{name} {step}", climate) as deployment:
        prepare(deployment)
        process = deployment.process("victim", lives)
        disturb(deployment, process)
        task = act(deployment, process)
        deployment.simulation.join([task])
        deployment.settle()
        assert not deployment.watcher.found, f"{name}, step {step}: {deployment.watcher.told}"
    return process, deployment


def crash_at(step: int) -> Callable[[Deployment, Process], None]:
    def disturb(_: Deployment, process: Process) -> None:
        process.crash_at = step

    return disturb


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_a_crash_at_any_step_is_healed(name: str) -> None:
    for step in count(1):
        process, _ = play(name, step, crash_at(step))
        if not process.crashed:
            break

    assert step > 2


def others_act(deployment: Deployment) -> None:
    """A whole tick, and executors for every message that is due."""
    tasks = [deployment.tick()]
    while batch := deployment.queue.receive(HELD):
        tasks.append(deployment.deliver(batch))
    deployment.simulation.join(tasks)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_others_may_come_between_any_two_steps(name: str) -> None:
    for step in count(1):

        def disturb(deployment: Deployment, process: Process) -> None:
            process.meanwhile = (step, lambda: others_act(deployment))  # noqa: B023

        process, _ = play(name, step, disturb)
        if process.steps < step:
            break


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_a_table_that_is_too_busy_loses_nothing(name: str) -> None:
    def disturb(_: Deployment, process: Process) -> None:
        process.always_busy = True

    play(name, 0, disturb)


def is_in_time(process: Process, deployment: Deployment) -> None:
    """The next tick comes a minute after the one of `process`; no run waits for Wake to find it."""
    for told in deployment.watcher.runs.values():
        assert told.started is not None
        assert told.at is not None
        kept = deployment.watcher.schedules[str(told.schedule)]
        due = max(kept.fires_at(told.at), process.began + timedelta(seconds=60))
        assert told.started <= due + SOON, f"step {process.crash_at}: {told}"


def test_a_tick_that_dies_costs_no_lateness() -> None:
    for step in count(1):
        process, deployment = play("a_tick_fires", step, crash_at(step))
        if not process.crashed:
            break
        is_in_time(process, deployment)


def test_a_tick_whose_messages_are_refused_costs_no_lateness() -> None:
    def refuse(_: Deployment, process: Process) -> None:
        process.refuses = frozenset({"send"})

    is_in_time(*play("a_tick_fires", 0, refuse))
