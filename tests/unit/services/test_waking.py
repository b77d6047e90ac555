"""The tick: looks after runs that nobody touched in time, and leaves all others alone."""

from datetime import timedelta

import pytest

from shared.domain.retry import RetryPolicy
from shared.domain.run import RunStatus
from shared.services.ticking import Ticked
from shared.services.waking import Woken
from shared.store import keys
from tests.fakes import NOON
from tests.world import WAKE_AFTER, World, a_run, id_of, unreadable


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_a_tick_with_nothing_due_does_nothing() -> None:
    world = World()
    world.put(a_run(1), a_run(2, status=RunStatus.completed, wake_at=None))
    world.clock.forward(minutes=4)

    assert world.tick().woken == Woken()
    assert world.queue.sent == []


def test_a_waiting_run_whose_message_was_lost_is_sent_again() -> None:
    world = World()
    (run,) = world.put(a_run())
    world.clock.forward(minutes=5)

    assert world.tick().woken == Woken(resent=1)

    assert [sent.message.turn for sent in world.queue.sent] == [0]
    assert world.run(run).wake_at == NOON + minutes(15)
    assert world.tick().woken == Woken()


def test_a_run_is_found_on_every_shard() -> None:
    world = World()
    world.put(*(a_run(number) for number in range(100)))
    world.clock.forward(minutes=5)

    assert world.tick().woken == Woken(resent=100)
    assert {sent.message.run_id for sent in world.queue.sent} == {id_of("run", number) for number in range(100)}


def test_more_runs_than_a_page_holds_are_all_woken_when_they_are_of_one_shard() -> None:
    world = World()
    mine = [n for n in range(6000) if keys.wake_shard(id_of("run", n)) == "00"][:250]
    world.put(*(a_run(number) for number in mine))
    world.clock.forward(minutes=5)

    assert world.tick().woken == Woken(resent=250)


def test_a_run_under_way_is_looked_at_again_after_its_lease() -> None:
    world = World()
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON + minutes(7)))
    world.clock.forward(minutes=5)

    assert world.tick().woken == Woken(postponed=1)

    assert world.run(run).wake_at == NOON + minutes(8)
    assert world.queue.sent == []


def test_the_attempt_of_a_lost_worker_is_over_and_the_run_is_tried_again() -> None:
    world = World()
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON + minutes(4)))
    world.clock.forward(minutes=5)

    assert world.tick().woken == Woken(lost=1)

    again = world.run(run)
    assert (again.status, again.turn, again.attempt) == ("pending", 2, 1)
    assert again.may_have_run_before is True
    (page,) = world.pages(run)
    assert page.error is not None
    assert (page.number, page.error.code) == (1, "worker_lost")
    world.settle()
    assert (world.run(run).status, world.run(run).attempt) == ("completed", 2)


def test_a_lost_worker_is_the_end_where_the_policy_wants_no_second_run() -> None:
    world = World()
    policy = RetryPolicy(unknown_outcome=False)
    (run,) = world.put(
        a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON, retry=policy, retention_days=7)
    )
    world.clock.forward(minutes=5)

    world.tick()

    over = world.run(run)
    assert over.status == "failed"
    assert over.error is not None
    assert over.error.code == "worker_lost"
    assert over.expires_at is not None
    assert world.pages(run)[0].expires_at is not None
    assert world.queue.sent == []


def test_the_policy_of_a_lost_run_is_that_of_its_workflow() -> None:
    world = World()
    settings = world.workflow.settings.model_copy(update={"retry": RetryPolicy(max_attempts=1)})
    version = world.workflows.get_version("default", world.workflow.id, 1)
    world.workflows.save_version(version.model_copy(update={"number": 2, "settings": settings, "revision": 0}))
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON, workflow_version=2))
    world.clock.forward(minutes=5)

    world.tick()

    assert world.run(run).status == "failed"


def test_a_lost_run_whose_workflow_is_gone_follows_the_usual_policy() -> None:
    world = World()
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON, workflow_version=9))
    world.clock.forward(minutes=5)

    world.tick()

    assert world.run(run).status == "pending"


def test_a_lost_run_that_was_to_be_cancelled_is() -> None:
    world = World()
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON, cancel_requested_at=NOON))
    world.clock.forward(minutes=5)

    world.tick()

    assert world.run(run).status == "cancelled"


def test_a_tick_ends_in_time_and_says_that_it_left_something() -> None:
    world = World()
    world.put(*(a_run(number) for number in range(50)))
    world.clock.forward(minutes=5)

    assert world.ticker().tick(world.clock.at, pytest.fail) == Ticked(complete=False)

    assert world.tick().woken == Woken(resent=50)


def test_two_ticks_at_once_send_a_run_once() -> None:
    world = World()
    (run,) = world.put(a_run())
    world.clock.forward(minutes=5)
    found = world.run(run)
    assert world.tick().woken == Woken(resent=1)

    late = world.ticker().waker

    assert late._save([(found, found.model_copy(update={"wake_at": NOON}))]) == []


def test_an_index_that_lags_behind_does_no_harm() -> None:
    world = World(lag=timedelta(seconds=3))
    (run,) = world.put(a_run())
    world.clock.forward(minutes=5)
    world.tick()
    assert world.run(run).wake_at == NOON + minutes(15) + world.lag

    assert world.tick().woken == Woken()  # the index still shows the old time


def test_a_queue_that_does_not_answer_costs_one_more_round() -> None:
    world = World()
    (run,) = world.put(a_run())
    world.clock.forward(minutes=5)
    world.faults.refuse["send"] = 1

    world.tick()
    assert len(world.queue) == 0

    world.clock.forward(minutes=10)
    world.tick()
    assert len(world.queue) == 1
    assert world.run(run).turn == 0


def test_every_unfinished_run_is_found_again_within_the_hour() -> None:
    world = World()
    (run,) = world.put(a_run())
    for _ in range(300):
        world.clock.forward(minutes=1)
        world.tick()
        world.queue.lose_all()
        wake_at = world.run(run).wake_at
        assert wake_at is not None
        assert wake_at - world.clock.at <= timedelta(hours=1)
    assert timedelta(hours=1) > WAKE_AFTER


def test_a_worker_that_ends_its_run_while_the_tick_looks_is_not_lost() -> None:
    world = World()
    (run,) = world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON))
    world.clock.forward(minutes=5)
    over = run.model_copy(update={"status": RunStatus.completed, "wake_at": None, "lease_until": None})
    world.faults.meanwhile["put_many"] = lambda: world.runs.save(run, over)

    assert world.tick().woken == Woken()

    assert world.run(run).status == "completed"
    assert world.queue.sent == []


def test_a_run_that_cannot_be_read_does_not_keep_its_shard_waiting() -> None:
    world = World()
    bad, fine = [n for n in range(100) if keys.wake_shard(id_of("run", n)) == "00"][:2]
    world.put(a_run(bad), a_run(fine))
    unreadable(world, a_run(bad))
    world.clock.forward(minutes=5)

    assert world.tick().woken == Woken(resent=1)
    assert [sent.message.run_id for sent in world.queue.sent] == [id_of("run", fine)]
