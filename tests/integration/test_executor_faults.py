"""Every fault we know of, against the whole of executor, tick and submission, in memory and in virtual time.

Each protection has a test here that fails without it. The table and the queue keep the contract of the real ones
(`contract/`); what only the wire can show stands in `test_handlers.py` and `test_langflow_wire.py`.
"""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import message
from shared.domain.dead_letter import MAX_RETURNS
from shared.domain.leases import Leases
from shared.domain.message import Delivery
from shared.domain.outbound import AllowList
from shared.domain.retry import RetryPolicy
from shared.domain.run import LONGEST_DEFERRAL, Run, RunStatus
from shared.domain.workflow import WorkflowSettings
from shared.errors import Delivered, FlowFailure
from shared.langflow import FlowAnswer, FlowCall, LangFlow, Running, Stopper
from shared.langflow.connection import Network
from shared.services import watching
from shared.store import keys
from tests.fakes import NOON, Clock, Crash, Faults, ScriptedLangFlow, echo, refusal, until_stopped
from tests.stub_langflow import ECHO, StubLangFlow
from tests.world import BROKEN, BUSY, CUT_OFF, LEASE, WAKE_AFTER, World, a_message, a_run, a_source, a_workflow

ONCE = RetryPolicy(max_attempts=1)
JOB = {"timeout_seconds": 600}
DONE = FlowAnswer(text="done", output={})


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def states(world: World, run: Run) -> list[dict[str, Any]]:
    return world.table.history(keys.run(run.project_id, run.id))


def claims(world: World, run: Run) -> list[int]:
    """The turn after each claim that was ever stored."""
    return [int(state["turn"]) for state in states(world, run) if _is_claim(state, world, run)]


def _is_claim(state: dict[str, Any], world: World, run: Run) -> bool:
    history = states(world, run)
    place = history.index(state)
    before = history[place - 1] if place else {}
    return "lease_until" in state and state["turn"] != before.get("turn")


# ------------------------------------------------------------------------------------------------ deliveries


def test_a_message_delivered_twice_runs_the_flow_once() -> None:
    world = World()
    (run,) = world.submit()
    (sent,) = world.queue.sent

    world.deliver()
    world.queue.deliver_again(sent)
    world.deliver()

    assert len(world.langflow.calls) == 1
    assert world.run(run).status == "completed"
    assert len(world.queue) == 0


def test_a_message_twice_in_one_batch_runs_the_flow_once() -> None:
    world = World()
    (run,) = world.submit()

    world.execute([a_message(run), a_message(run), a_message(run)])

    assert len(world.langflow.calls) == 1
    assert world.run(run).attempt == 1


def test_a_message_that_two_executors_get_at_once_runs_the_flow_once() -> None:
    world = World()
    run = world.submit()[0]
    barrier = threading.Barrier(8)

    def one() -> None:
        executor = world.executor()
        barrier.wait()
        world.execute([a_message(run)], executor)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(one) for _ in range(8)]:
            future.result()

    assert len(world.langflow.calls) == 1
    assert claims(world, run) == [1]


def test_messages_of_old_turns_in_the_batch_of_the_present_one_do_no_harm() -> None:
    world = World()
    world.langflow.runs = [BUSY]
    (run,) = world.submit()
    world.deliver()
    world.clock.forward(60)

    world.execute([a_message(run, turn=0), a_message(run, turn=2), a_message(run, turn=1)])

    assert world.run(run).status == "completed"
    assert len(world.langflow.calls) == 2


def test_a_run_redelivered_while_it_runs_is_left_alone() -> None:
    world = World()
    (run,) = world.submit()
    (sent,) = world.queue.sent

    def slow(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.execute([sent.message], world.executor())
        world.execute([a_message(world.run(run))], world.executor())
        return DONE

    world.langflow.runs = [slow]
    world.deliver()

    assert len(world.langflow.calls) == 1
    assert world.pages(run)[0].output == "done"


def test_a_duplicate_is_acknowledged_and_then_the_worker_dies_and_still_the_run_ends() -> None:
    world = World()
    (run,) = world.submit()
    (sent,) = world.queue.sent
    first = world.executor()

    def dies_after_the_duplicate_was_acknowledged(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.queue.deliver_again(sent)
        world.deliver()
        raise Crash

    world.langflow.runs = [dies_after_the_duplicate_was_acknowledged]
    batch = world.queue.receive()
    with pytest.raises(Crash):
        world.execute(list(batch.values()), first)
    world.queue.acknowledge(list(batch))
    assert len(world.queue) == 0
    assert world.run(run).status == "running"

    world.settle(timedelta(minutes=15))

    ended = world.run(run)
    assert (ended.status, ended.attempt, ended.may_have_run_before) == ("completed", 2, True)


# ------------------------------------------------------------------------------------------------ the queue fails


def test_a_run_whose_message_was_never_sent_runs_all_the_same() -> None:
    world = World()
    world.faults.refuse["send"] = 1
    (run,) = world.submit()
    assert len(world.queue) == 0

    world.settle(WAKE_AFTER + timedelta(minutes=2))

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 1)


@pytest.mark.parametrize("script", [{"runs": [BUSY]}, {"polls": [Running("queued"), DONE]}], ids=["retry", "poll"])
def test_a_next_turn_whose_message_was_never_sent_comes_all_the_same(script: dict[str, Any]) -> None:
    world = World(langflow=ScriptedLangFlow(**script))
    (run,) = world.submit(**(JOB if "polls" in script else {}))
    world.faults.refuse["send"] = 1

    world.settle(timedelta(minutes=10))

    assert world.run(run).status == "completed"


def test_an_early_message_that_cannot_be_sent_on_is_not_lost() -> None:
    world = World()
    (run,) = world.put(a_run(not_before=NOON + seconds(60)))
    world.queue.send([_delivery(run)])
    world.faults.refuse["send"] = 1

    world.deliver()

    assert len(world.queue) == 1  # the batch failed as a whole and comes again
    world.settle()
    assert world.run(run).status == "completed"


def _delivery(run: Run) -> Delivery:
    return message.announce(run)


# ------------------------------------------------------------------------------------------------ backoff


def test_the_backoff_holds_when_the_old_message_is_delivered_again() -> None:
    policy = RetryPolicy(initial_seconds=200, max_attempts=2)
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=policy)))
    world.langflow.runs = [BUSY]
    (run,) = world.submit()
    (first,) = world.queue.sent
    world.deliver()

    for _ in range(9):
        world.queue.deliver_again(first)
        world.clock.forward(10)
        world.deliver()
        assert world.run(run).status == "pending"
    assert len(world.langflow.calls) == 1
    assert [sent.message.turn for sent in world.queue.sent] == [0, 2]  # old messages are forgotten, not sent on

    world.clock.forward(10)
    world.deliver()
    assert world.run(run).status == "completed"


def test_the_backoff_holds_when_the_new_message_comes_early() -> None:
    policy = RetryPolicy(initial_seconds=3600, max_seconds=3600)
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=policy)))
    world.langflow.runs = [BUSY]
    (run,) = world.submit()
    world.deliver()
    assert world.run(run).not_before == NOON + seconds(1800)  # twice as long as SQS can delay a message

    while world.run(run).status == "pending":
        due = world.queue.next_due
        assert due is not None
        world.clock.jump(due)
        world.deliver()

    assert world.clock.at == NOON + seconds(1800)
    assert len(world.langflow.calls) == 2


def test_a_retry_after_is_waited_for() -> None:
    world = World()
    busy = FlowFailure("upstream_unavailable", "429", Delivered.no, retry_after_seconds=120, status=429)
    world.langflow.runs = [busy]
    (run,) = world.submit()

    world.settle()

    started = world.pages(run)[1].started_at
    assert NOON + seconds(120) <= started <= NOON + seconds(121)


# ------------------------------------------------------------------------------------------------ cancel


def test_a_run_cancelled_while_it_waits_for_its_retry_is_never_tried_again() -> None:
    world = World()
    world.langflow.runs = [BUSY]
    (run,) = world.submit()
    world.deliver()

    cancelled = world.cancel(run)
    world.clock.forward(hours=1)
    world.deliver()
    world.tick()

    assert (cancelled.status, world.run(run).status) == ("cancelled", "cancelled")
    assert len(world.langflow.calls) == 1


def test_a_run_cancelled_while_it_blocks_in_langflow_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_SECONDS", 0.02)
    world = World()
    (run,) = world.submit()

    def cancelled_on_the_way(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.cancel(run)
        return until_stopped(call, stopper)

    world.langflow.runs = [cancelled_on_the_way]
    world.deliver()

    ended = world.run(run)
    assert (ended.status, ended.upstream_stopped) == ("cancelled", False)
    assert world.pages(run)[0].logs[-1].event == "run.cancelled"


@pytest.mark.timeout(30)
def test_a_run_that_hangs_in_a_real_langflow_is_over_within_ten_seconds_of_its_cancel() -> None:
    with StubLangFlow() as stub:
        stub.set("hang")
        world = World(workflow=a_workflow(flow_id=ECHO), clock=Clock())
        network = Network(AllowList.read("127.0.0.1"))
        world.langflow.connect = lambda source, correlation_id: LangFlow(stub.url, None, transport=network)  # type: ignore
        world.restart()
        (run,) = world.submit()
        worker = threading.Thread(target=world.deliver)
        worker.start()
        while world.run(run).status == "pending":
            time.sleep(0.01)

        asked = time.monotonic()
        world.cancel(run)
        worker.join(timeout=10)
        took = time.monotonic() - asked

    assert not worker.is_alive()
    assert took < 10
    assert (world.run(run).status, world.run(run).upstream_stopped) == ("cancelled", False)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("attempt", "watch"))] == []


def test_a_run_that_answers_although_it_was_cancelled_keeps_its_answer() -> None:
    world = World()
    (run,) = world.submit()
    world.langflow.runs = [lambda call, stopper: (world.cancel(run), DONE)[1]]

    world.deliver()

    assert world.run(run).status == "completed"
    assert world.pages(run)[0].output == "done"


def test_a_run_that_fails_after_its_cancel_is_cancelled_and_not_tried_again() -> None:
    world = World()
    (run,) = world.submit()

    def fails(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.cancel(run)
        raise BUSY

    world.langflow.runs = [fails]
    world.deliver()

    ended = world.run(run)
    assert ended.status == "cancelled"
    assert ended.error is not None
    assert world.queue.sent[1:] == []


def test_a_run_cancelled_under_a_dead_worker_is_cancelled_by_the_tick() -> None:
    world = World()
    (run,) = world.submit()
    _die_in(world, run)
    world.cancel(run)

    world.settle(timedelta(minutes=15))

    assert world.run(run).status == "cancelled"
    assert len(world.langflow.calls) == 1


# ------------------------------------------------------------------------------------------------ lost workers


def _die_in(world: World, run: Run) -> None:
    """An executor takes `run`, calls LangFlow and is gone; its message was acknowledged."""

    def dies(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.faults.dead = True
        raise Crash

    world.langflow.runs.insert(0, dies)
    with pytest.raises(Crash):
        world.execute([a_message(world.run(run))])
    world.queue.lose_all()
    world.restart()


def test_a_lost_worker_costs_an_attempt_and_the_lease_is_waited_for() -> None:
    world = World()
    (run,) = world.submit()
    _die_in(world, run)

    while world.clock.at < NOON + LEASE - seconds(1):
        world.clock.forward(30)
        world.tick()
        world.deliver()
        assert len(world.langflow.calls) == 1
    world.settle(timedelta(minutes=5))

    ended = world.run(run)
    assert (ended.status, ended.attempt, ended.may_have_run_before) == ("completed", 2, True)
    lost, done = world.pages(run)
    assert lost.error is not None
    assert lost.error.code == "worker_lost"
    assert done.output == "Hello"


def test_a_worker_that_comes_back_after_its_lease_changes_nothing() -> None:
    world = World()
    (run,) = world.submit()

    def sleeps_too_long(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.clock.forward(minutes=7)
        world.tick()
        return FlowAnswer(text="too late", output={})

    world.langflow.runs = [sleeps_too_long]
    world.deliver()
    assert world.run(run).status == "pending"
    world.settle()

    assert world.run(run).attempt == 2
    assert world.pages(run)[-1].output == "Hello"
    assert claims(world, run) == [1, 3]


def test_a_worker_that_comes_back_while_another_has_its_run_changes_nothing() -> None:
    world = World()
    (run,) = world.submit()
    back = threading.Event()

    def sleeps_too_long(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        back.wait(10)
        return FlowAnswer(text="too late", output={})

    first = threading.Thread(target=world.deliver, args=(10, world.executor()))
    world.langflow.runs = [sleeps_too_long]
    first.start()
    while not world.langflow.calls:
        time.sleep(0.001)
    world.clock.forward(minutes=7)
    assert world.tick().woken.lost == 1

    def first_comes_back_meanwhile(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        back.set()
        first.join()
        assert world.run(run).status == "running"
        return DONE

    world.langflow.runs = [first_comes_back_meanwhile]
    world.clock.forward(minutes=1)
    world.deliver()

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 2)
    assert world.pages(run)[-1].output == "done"


def test_a_worker_lost_with_a_job_in_langflow_is_replaced_and_the_job_is_not_started_again() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.deliver()
    assert world.run(run).awaits_job

    def dies() -> None:
        world.faults.dead = True
        raise Crash

    world.langflow.polls = [dies, Running("in_progress"), DONE]
    world.clock.forward(2)
    with pytest.raises(Crash):
        world.execute([a_message(world.run(run))])
    world.queue.lose_all()
    world.restart()
    world.settle(timedelta(minutes=20))

    ended = world.run(run)
    assert (ended.status, ended.attempt) == ("completed", 1)
    assert len(world.langflow.submitted) == 1
    assert len(world.langflow.polled) == 3
    assert world.pages(run)[0].output == "done"


def test_a_worker_lost_between_submission_and_saving_finds_the_same_job() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.faults.crash_at = len(world.faults.steps) + 9  # runs, versions, sources, the claim; then the save of the job

    assert world.deliver_and_die()
    assert world.langflow.submitted
    assert world.run(run).job_id is None
    world.langflow.polls = [DONE]
    world.settle()

    assert len(world.langflow.submitted) == 2
    assert len({call.idempotency_key for call in world.langflow.submitted}) == 1
    assert (world.run(run).status, world.run(run).may_have_run_before) == ("completed", True)


def test_a_batch_whose_workers_die_again_and_again_ends_as_a_dead_letter() -> None:
    world = World()
    (run,) = world.put(a_run())
    for _ in range(MAX_RETURNS + 1):
        world.bury(a_message(run))

    assert world.run(run).status == "failed"
    assert world.run(run).error.code == "too_many_attempts"  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------------ crashes everywhere


def a_busy_world(faults: Faults) -> World:
    """Runs that need every kind of step: an answer, a large one, a retry, a job, a full source, a lost message."""
    retry = RetryPolicy(max_attempts=20, initial_seconds=1)
    world = World(
        faults=faults,
        source=a_source(max_concurrency=2),
        workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=retry)),
    )
    world.put(
        a_run(1),
        a_run(2, input="x" * 3000),
        a_run(3, timeout_seconds=600),
        a_run(4, wake_at=NOON),
    )

    def large(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        return FlowAnswer(text=call.input_value * 3, output={})

    world.langflow.runs = [BUSY, large, CUT_OFF, large, large, large, large, large]
    world.langflow.polls = [Running("queued"), BUSY, DONE, DONE, DONE, DONE]
    world.queue.send([_delivery(a_run(number)) for number in (1, 2, 3)])
    faults.steps.clear()
    return world


def _steps_without_crash() -> int:
    faults = Faults()
    a_busy_world(faults).settle(timedelta(hours=1))
    return len(faults.steps)


@pytest.mark.parametrize("part", range(4))
def test_a_crash_after_any_step_leaves_a_world_in_which_every_run_ends(part: int) -> None:
    steps = _steps_without_crash()
    assert steps > 100

    for crash_at in range(1 + part, steps + 1, 4):
        world = a_busy_world(Faults())
        world.faults.crash_at = crash_at

        _settle_with_crashes(world)

        for run in world.all_runs():
            assert run.status == "completed", (crash_at, run)
            _assert_no_turn_was_taken_twice(world, run, crash_at)


def _settle_with_crashes(world: World) -> None:
    for _ in range(5):
        try:
            world.settle(timedelta(hours=6))
        except Crash:
            world.restart()
        else:
            return
    raise AssertionError("It crashes again and again.")


def _assert_no_turn_was_taken_twice(world: World, run: Run, crash_at: int) -> None:
    taken = claims(world, run)
    assert len(taken) == len(set(taken)), (crash_at, taken)
    history = states(world, run)
    turns = [int(state["turn"]) if "turn" in state else 0 for state in history]
    assert turns == sorted(turns), (crash_at, turns)
    attempts = [int(state.get("attempt", 0)) for state in history]
    assert all(later - before in (0, 1) for before, later in itertools.pairwise(attempts)), crash_at
    assert ["wake_at" in state for state in history[:-1]] == [True] * (len(history) - 1), crash_at
    assert "wake_at" not in history[-1], crash_at


# ------------------------------------------------------------------------------------- answers that were lost


@pytest.mark.parametrize(("failure", "status"), [(None, "completed"), (BUSY, "pending"), (BROKEN, "failed")])
def test_an_end_that_was_saved_although_its_answer_was_lost_is_recognised(
    failure: FlowFailure | None, status: str
) -> None:
    world = World(clock=Clock(NOON + timedelta(microseconds=123_456)))
    (run,) = world.submit()

    def answer(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        world.faults.repeat["put_many"] = 1
        if failure is not None:
            raise failure
        return DONE

    world.langflow.runs = [answer]
    world.deliver()

    ended = world.run(run)
    assert ended.status == status
    assert len(world.pages(run)) == 1
    if ended.status == "pending":
        assert [sent.message.turn for sent in world.queue.sent] == [0, 2]  # announced all the same


def test_a_job_that_was_saved_although_the_answer_was_lost_is_asked_for_at_once() -> None:
    world = World(clock=Clock(NOON + timedelta(microseconds=123_456)))
    (run,) = world.submit(**JOB)
    submit = world.langflow.submit

    def submit_and_lose(call: FlowCall) -> str:
        world.faults.repeat["put_many"] = 1
        return submit(call)

    world.langflow.submit = submit_and_lose  # type: ignore[method-assign]
    world.deliver()

    assert world.run(run).awaits_job
    assert [sent.message.turn for sent in world.queue.sent] == [0, 2]


def test_a_claim_whose_answer_was_lost_is_known_as_our_own() -> None:
    world = World()
    (run,) = world.submit()
    world.faults.repeat["put_many"] = 1

    world.deliver()

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 1)
    assert len(world.langflow.calls) == 1


def test_an_end_is_saved_although_the_tick_moved_the_run_meanwhile() -> None:
    world = World()
    (run,) = world.submit()

    def slow(call: FlowCall, stopper: Stopper) -> FlowAnswer:
        before = world.run(run)
        world.clock.forward(minutes=4, seconds=59)
        world.runs.save(before, before.model_copy(update={"wake_at": world.clock.at}))
        assert world.tick().woken.postponed == 1
        return DONE

    world.langflow.runs = [slow]
    world.deliver()

    assert world.run(run).status == "completed"
    assert world.pages(run)[0].output == "done"


# ------------------------------------------------------------------------------------------------ LangFlow is down


def test_fifty_runs_survive_a_langflow_that_is_down_for_a_minute() -> None:
    world = World()
    world.langflow.down = lambda: BUSY if world.clock.at < NOON + seconds(60) else None
    runs = world.submit(50)
    while world.deliver():
        pass

    sent = len(world.langflow.calls)
    assert sent == 10  # the first batch found out for all
    waiting = [run for run in world.all_runs() if run.attempt == 0]
    assert len(waiting) == 40
    assert {run.status for run in waiting} == {RunStatus.pending}

    world.settle(timedelta(minutes=30))

    assert [world.run(run).status for run in runs] == ["completed"] * 50
    outage = [page for run in runs for page in world.pages(run) if page.error is not None]
    assert len(outage) <= 10 + 3  # then probes alone knocked
    never_sent = [world.run(run) for run in waiting if len(world.pages(run)) == 1]
    assert len(never_sent) >= 37
    assert {run.attempt for run in never_sent} == {1}


def test_a_source_that_comes_back_gets_its_runs_within_minutes() -> None:
    world = World()
    world.langflow.down = lambda: BUSY if world.clock.at < NOON + seconds(60) else None
    world.submit(50)

    world.settle(timedelta(minutes=6))

    assert world.clock.at - NOON < timedelta(minutes=6)


def test_a_source_that_is_down_for_a_day_is_knocked_at_every_few_minutes_only() -> None:
    policy = RetryPolicy(max_attempts=20)
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=policy)))
    world.langflow.down = lambda: BUSY if world.clock.at < NOON + timedelta(hours=12) else None
    world.submit(20)

    world.settle()

    assert len(world.langflow.calls) < 20 + 10 + 12 * 12
    assert {run.status for run in world.all_runs()} <= {RunStatus.completed, RunStatus.failed}


def test_a_job_that_langflow_takes_closes_the_breaker() -> None:
    world = World()
    down = True
    world.langflow.down = lambda: BUSY if down else None
    world.submit(5)
    world.deliver()
    assert world.sources.get_breaker("default", world.source.id).open_until is not None
    down = False
    world.put(a_run(9, **JOB))
    world.queue.lose_all()
    world.clock.forward(30)

    world.execute([a_message(a_run(9))])

    assert world.run(a_run(9)).awaits_job
    assert world.sources.get_breaker("default", world.source.id).failures == 0


def test_a_run_that_waited_a_day_for_its_source_fails_and_says_so() -> None:
    world = World(source=a_source(max_concurrency=1))
    full = Leases(project_id="default", source_id=world.source.id, holders={"run_other": NOON + timedelta(days=9)})
    world.sources.save_leases(Leases(project_id="default", source_id=world.source.id), full)
    (run,) = world.submit()

    world.settle(LONGEST_DEFERRAL + timedelta(minutes=5))

    ended = world.run(run)
    assert (ended.status, ended.attempt) == ("failed", 0)
    assert ended.error is not None
    assert ended.error.code == "deferred_too_long"
    assert ended.finished_at is not None
    assert ended.finished_at > NOON + LONGEST_DEFERRAL
    assert world.langflow.calls == []
    assert len(world.queue.sent) < 2000  # once a minute, not more


# ------------------------------------------------------------------------------------------------ concurrency


def slowly(call: FlowCall, stopper: Stopper) -> FlowAnswer:
    threading.Event().wait(0.005)
    return echo(call, stopper)


def test_a_source_never_has_more_runs_than_its_limit_however_many_executors_there_are() -> None:
    world = World(source=a_source(max_concurrency=3))
    world.langflow.runs = [slowly] * 200
    runs = world.submit(40)
    executors = [world.executor() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        while (due := world.queue.next_due) is not None:
            world.clock.jump(due)
            while any(pool.map(lambda executor: world.deliver(10, executor), executors)):
                pass

    assert world.langflow.peak <= 3
    assert [world.run(run).attempt for run in runs] == [1] * 40
    assert world.sources.get_leases("default", world.source.id).holders == {}


def test_leases_of_a_dead_executor_are_free_again_after_its_time() -> None:
    """Its run is not tried again, so nobody gives the lease back."""
    world = World(source=a_source(max_concurrency=1))
    first, second = world.put(a_run(1, retry=ONCE), a_run(2))
    _die_in(world, first)

    world.execute([a_message(second)])
    assert (world.run(second).status, world.run(second).attempt) == ("pending", 0)

    world.settle(timedelta(minutes=15))
    assert [world.run(run).status for run in (first, second)] == ["failed", "completed"]


def test_a_job_holds_its_lease_until_it_ends() -> None:
    world = World(source=a_source(max_concurrency=1))
    job, other = world.put(a_run(1, **JOB), a_run(2))
    world.execute([a_message(job)])
    world.langflow.polls = [Running("in_progress")] * 5 + [DONE]
    world.queue.send([_delivery(other)])

    while world.run(job).status == "running":
        assert world.run(other).attempt == 0
        due = world.queue.next_due
        assert due is not None
        world.clock.jump(due)
        world.deliver()
    world.settle()

    assert world.run(other).status == "completed"


# ------------------------------------------------------------------------------------------------ background jobs


def test_the_life_of_a_background_job() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.langflow.polls = [Running("queued"), Running("in_progress"), Running("in_progress"), DONE]

    world.settle(timedelta(minutes=2))

    ended = world.run(run)
    assert (ended.status, ended.attempt, ended.turn) == ("completed", 1, 9)
    assert len(world.langflow.submitted) == 1
    assert world.langflow.calls == []
    (page,) = world.pages(run)
    assert page.output == "done"
    assert page.ended_at is not None
    assert [line.event for line in page.logs] == ["attempt.started", "job.submitted", "flow.completed"]


def test_a_langflow_that_is_away_for_a_while_loses_no_job() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    error = FlowFailure("upstream_error", "502", Delivered.unknown, status=502)
    late = FlowFailure("timeout", "No answer.", Delivered.unknown)
    refused = FlowFailure("upstream_refused", "403", Delivered.yes, status=403)
    world.langflow.polls = [BUSY, CUT_OFF, error, late, refused, DONE]

    world.settle(timedelta(minutes=5))

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 1)
    assert len(world.langflow.submitted) == 1


@pytest.mark.parametrize("trouble", [CUT_OFF, FlowFailure("timeout", "No answer.", Delivered.unknown)])
def test_a_submission_of_unknown_outcome_is_repeated_under_the_same_key_whatever_the_policy(
    trouble: FlowFailure,
) -> None:
    policy = RetryPolicy(unknown_outcome=False)
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=policy)))
    (run,) = world.submit(**JOB)
    world.langflow.submissions = [trouble, "job-1"]
    world.langflow.polls = [DONE]

    world.settle()

    ended = world.run(run)
    assert (ended.status, ended.attempt, ended.may_have_run_before) == ("completed", 2, True)
    assert len({call.idempotency_key for call in world.langflow.submitted}) == 1


def test_a_fault_of_our_own_while_a_job_runs_does_not_lose_the_job() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.deliver()
    world.langflow.polls = [refusal("KMSInternalException", "Try again.", "Decrypt"), ZeroDivisionError("oops"), DONE]

    world.settle(timedelta(minutes=5))

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 1)
    assert len(world.langflow.submitted) == 1


def test_a_fault_of_our_own_that_does_not_pass_ends_a_job_at_its_deadline() -> None:
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=ONCE)))
    (run,) = world.submit(**JOB)
    world.langflow.polls = [ZeroDivisionError("oops")] * 500

    world.settle(timedelta(minutes=15))

    assert world.run(run).status == "failed"


def test_a_job_that_failed_fails_the_run_with_the_flows_own_words() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.langflow.polls = [BROKEN]

    world.settle()

    ended = world.run(run)
    assert ended.status == "failed"
    assert ended.error is not None
    assert (ended.error.code, ended.error.message) == ("flow_failed", "The prompt is empty.")
    assert world.pages(run)[0].error == ended.error


def test_a_job_that_failed_is_started_anew_where_the_policy_says_so() -> None:
    policy = RetryPolicy(flow_failed=True)
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=policy)))
    (run,) = world.submit(**JOB)
    world.langflow.polls = [BROKEN, DONE]

    world.settle()

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 2)
    assert len({call.idempotency_key for call in world.langflow.submitted}) == 2
    assert len(world.pages(run)) == 2


@pytest.mark.parametrize("stopped", [True, False])
def test_a_job_past_its_deadline_is_stopped_and_fails_as_late(stopped: bool) -> None:
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=ONCE)))
    world.langflow.stops = [stopped]
    (run,) = world.submit(**JOB)

    world.settle(timedelta(minutes=15))

    ended = world.run(run)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.code == "timeout"
    assert ended.finished_at is not None
    assert seconds(600) <= ended.finished_at - NOON <= seconds(700)
    assert len(world.langflow.stopped) == 1


def test_a_job_that_ended_in_time_while_nobody_asked_is_not_thrown_away() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.deliver()
    world.queue.lose_all()
    world.langflow.polls = [DONE]
    world.clock.forward(hours=2)  # an outage of ours

    world.settle()

    assert world.run(run).status == "completed"
    assert world.langflow.stopped == []


def test_a_langflow_that_never_comes_back_ends_its_jobs_at_their_deadline() -> None:
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=ONCE)))
    (run,) = world.submit(**JOB)
    world.deliver()
    world.langflow.down = lambda: BUSY
    world.langflow.stops = [False]

    world.settle(timedelta(minutes=15))

    assert world.run(run).status == "failed"
    assert world.run(run).error.code == "timeout"  # type: ignore[union-attr]


def test_a_job_cancelled_by_its_user_is_stopped_in_langflow_at_once() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.deliver()

    world.cancel(run)
    world.deliver()

    ended = world.run(run)
    assert (ended.status, ended.upstream_stopped) == ("cancelled", True)
    assert world.langflow.stopped == [f"job-{world.langflow.submitted[0].idempotency_key}"]


def test_a_job_that_cannot_be_stopped_is_cancelled_and_says_so() -> None:
    world = World()
    world.langflow.stops = [False]
    (run,) = world.submit(**JOB)
    world.deliver()

    world.cancel(run)
    world.deliver()

    assert (world.run(run).status, world.run(run).upstream_stopped) == ("cancelled", False)


@pytest.mark.parametrize("moment", ["submit", "poll"])
def test_a_job_cancelled_in_the_middle_of_a_call_is_stopped_within_ten_seconds(moment: str) -> None:
    world = World()
    (run,) = world.submit(timeout_seconds=7200)
    submit = world.langflow.submit

    def submit_while_cancelled(call: FlowCall) -> str:
        world.cancel(run)
        return submit(call)

    if moment == "submit":
        world.langflow.submit = submit_while_cancelled  # type: ignore[method-assign]
        world.deliver()
    else:
        world.deliver()
        world.queue.lose_all()
        world.clock.forward(minutes=50)
        world.langflow.polls = [lambda: (world.cancel(run), Running("in_progress"))[1]]
        world.execute([a_message(world.run(run))])
    asked = world.clock.at

    world.settle(timedelta(minutes=10))

    ended = world.run(run)
    assert (ended.status, ended.upstream_stopped) == ("cancelled", True)
    assert ended.finished_at is not None
    assert ended.finished_at - asked <= seconds(10)


def test_a_job_that_langflow_itself_cancelled_is_cancelled() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.langflow.polls = [FlowFailure("cancelled", "LangFlow cancelled the job.", Delivered.yes)]

    world.settle()

    assert (world.run(run).status, world.run(run).upstream_stopped) == ("cancelled", True)


def test_a_job_is_asked_for_less_and_less_often() -> None:
    world = World(workflow=a_workflow(settings=WorkflowSettings(name="Echo", retry=ONCE)))
    (run,) = world.submit(timeout_seconds=86_400)

    world.settle()

    assert world.run(run).status == "failed"
    assert 1440 < len(world.langflow.polled) < 1600  # a day of minutes, and more at its beginning


# ------------------------------------------------------------------------------------------------ outputs


def test_an_output_that_cannot_be_kept_does_not_wait_for_the_lease_to_end() -> None:
    world = World()
    world.langflow.runs = [FlowAnswer(text="x" * 5000, output={})] * 2
    (run,) = world.submit()
    world.faults.refuse["put_json"] = 1

    world.deliver()
    assert world.run(run).status == "pending"
    world.settle()

    ended = world.run(run)
    assert (ended.status, ended.attempt, ended.may_have_run_before) == ("completed", 2, True)
    assert world.pages(run)[-1].output_key in world.bucket.texts


def test_the_output_of_a_job_that_cannot_be_kept_is_asked_for_again() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    large = FlowAnswer(text="x" * 5000, output={})
    world.langflow.polls = [large, large]
    world.faults.refuse["put_json"] = 1

    world.settle(timedelta(minutes=2))

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 1)
    assert len(world.langflow.submitted) == 1


# ------------------------------------------------------------------------------------------------ what was deleted


@pytest.mark.parametrize("what", ["source", "workflow"])
def test_a_run_whose_source_or_workflow_was_deleted_while_it_waited_ends_and_says_so(what: str) -> None:
    world = World()
    (run,) = world.submit()
    if what == "source":
        world.sources.delete(world.source)
    else:
        version = keys.workflow_version("default", world.workflow.id, 1)
        world.workflows.delete(world.workflow)
        world.table.delete(world.table.items[version])

    world.deliver()

    ended = world.run(run)
    assert (ended.status, ended.attempt) == ("failed", 0)
    assert ended.error is not None
    assert ended.error.code.startswith("source_")
    assert len(world.queue) == 0


def test_a_run_that_waits_for_its_job_ends_when_its_source_is_gone() -> None:
    world = World()
    (run,) = world.submit(**JOB)
    world.deliver()
    world.sources.delete(world.source)

    world.settle()

    assert world.run(run).status == "failed"
