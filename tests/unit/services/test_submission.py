"""Submitting and cancelling: what is stored, what is sent, and what survives a queue that does not answer."""

from datetime import timedelta

import pytest

from shared.domain.message import Delivery
from shared.domain.project import Retention
from shared.domain.run import Origin, RunStatus
from shared.errors import Conflict, NotFound, Unavailable
from shared.services import submission
from shared.services.submission import Order, Submission
from tests.fakes import NOON
from tests.world import WAKE_AFTER, World, a_message, a_run, id_of


def test_a_run_is_stored_and_announced() -> None:
    world = World()

    (run,) = world.submit(input="Hello", session_id="s-1")

    assert world.run(run) == run
    assert (run.status, run.turn, run.attempt, run.input) == (RunStatus.pending, 0, 0, "Hello")
    assert (run.wake_at, run.created_at) == (NOON + WAKE_AFTER, NOON)
    assert (run.workflow_id, run.workflow_version) == (world.workflow.id, 1)
    assert (run.timeout_seconds, run.retention_days) == (120, 90)
    assert world.queue.sent == [Delivery(a_message(run))]


def test_a_batch_of_runs_is_stored_and_announced_in_order() -> None:
    world = World()

    runs = world.submit(60)

    assert [run.id for run in runs] == [id_of("run", number) for number in range(1, 61)]
    assert [sent.message.run_id for sent in world.queue.sent] == [run.id for run in runs]


def test_submitting_again_makes_nothing_new_and_announces_what_still_waits() -> None:
    world = World()
    first = world.submit(3)
    world.queue.lose_all()
    world.execute([a_message(first[0])])
    world.queue.sent.clear()

    again = world.submit(3, input="another")

    assert [run.input for run in again] == ["Hello"] * 3
    assert [run.status for run in again] == ["completed", "pending", "pending"]
    assert [sent.message.run_id for sent in world.queue.sent] == [run.id for run in first[1:]]


def test_a_queue_that_does_not_answer_loses_no_run() -> None:
    world = World()
    world.faults.refuse["send"] = 1

    (run,) = world.submit()

    assert world.run(run).status == RunStatus.pending
    assert not world.queue.sent
    world.settle()
    assert world.run(run).status == RunStatus.completed


def test_a_large_input_is_kept_in_the_bucket_and_comes_back_whole() -> None:
    world, text = World(), "ü" * 5000

    (run,) = world.submit(input=text)
    world.settle()

    assert run.input is None
    assert run.input_key is not None
    assert run.input_key.startswith(f"expire-{Retention.quarter}/default/runs/{run.id}/")
    assert world.langflow.calls[0].input_value == text


def test_the_largest_small_input_stays_in_the_table() -> None:
    world = World()

    small, large = world.submit(input="x" * 4096)[0], World().submit(input="x" * 4097)[0]

    assert (small.input_key, large.input) == (None, None)


def test_a_finished_run_is_run_again_as_a_new_one() -> None:
    world = World()
    old = world.submit(input="x" * 5000, session_id="s", tweaks={"a": {}})[0]
    world.settle()
    again = Submission(world.project, "key_2", "c-2", NOON, WAKE_AFTER, Origin.retry, old.id)

    new = submission.resubmit(
        again, world.workflow, world.run(old), id_of("run", 9), runs=world.runs, queue=world.queue, bucket=world.bucket
    )
    world.settle()

    assert (new.origin, new.retry_of, new.created_by) == (Origin.retry, old.id, "key_2")
    assert (new.session_id, new.tweaks) == ("s", {"a": {}})
    assert [call.input_value for call in world.langflow.calls] == ["x" * 5000] * 2


def test_a_run_under_way_is_not_run_again() -> None:
    world = World()
    (old,) = world.submit()
    again = Submission(world.project, "key_2", "c-2", NOON, WAKE_AFTER, Origin.retry, old.id)

    with pytest.raises(Conflict):
        submission.resubmit(
            again, world.workflow, old, id_of("run", 9), runs=world.runs, queue=world.queue, bucket=world.bucket
        )


def test_a_waiting_run_is_cancelled_at_once_and_its_message_does_nothing() -> None:
    world = World()
    (run,) = world.submit()

    cancelled = world.cancel(run)
    world.settle()
    world.deliver()

    assert cancelled.status == world.run(run).status == RunStatus.cancelled
    assert world.langflow.calls == []


def test_a_running_run_is_marked_and_nobody_is_called() -> None:
    world = World()
    world.put(a_run(status=RunStatus.running, turn=1, attempt=1, lease_until=NOON + timedelta(minutes=5)))

    marked = world.cancel(a_run())

    assert (marked.status, marked.cancel_requested_at) == (RunStatus.running, NOON)
    assert world.queue.sent == []


def test_a_run_that_waits_for_its_job_is_announced_at_once() -> None:
    world = World()
    later = NOON + timedelta(minutes=1)
    world.put(a_run(status=RunStatus.running, turn=2, attempt=1, job_id="job-1", not_before=later))

    marked = world.cancel(a_run())

    assert world.queue.sent == [Delivery(a_message(marked))]
    assert marked.turn == 3


def test_a_finished_or_unknown_run_cannot_be_cancelled() -> None:
    world = World()
    world.put(a_run(status=RunStatus.completed, wake_at=None))

    with pytest.raises(Conflict):
        world.cancel(a_run())
    with pytest.raises(NotFound):
        world.cancel(a_run(2))


def test_an_order_may_say_how_long_and_how_often() -> None:
    world = World()
    made = Submission(world.project, "key_test", "c-1", NOON, WAKE_AFTER)
    policy = world.workflow.settings.retry.model_copy(update={"max_attempts": 1})

    (run,) = submission.submit(
        made,
        world.workflow,
        [Order("Hello", timeout_seconds=600, retry=policy)],
        [id_of("run", 1)],
        runs=world.runs,
        queue=world.queue,
        bucket=world.bucket,
    )

    assert (run.timeout_seconds, run.retry) == (600, policy)


def test_a_cancel_that_meets_a_claim_marks_the_run_for_its_new_holder() -> None:
    world = World()
    (run,) = world.put(a_run())
    held = {"status": RunStatus.running, "turn": 1, "attempt": 1, "lease_until": NOON + timedelta(minutes=5)}
    world.faults.meanwhile["put"] = lambda: world.runs.save(run, run.model_copy(update=held))

    marked = world.cancel(run)

    assert (marked.status, marked.turn, marked.cancel_requested_at) == (RunStatus.running, 1, NOON)


def test_a_cancel_of_a_run_that_keeps_changing_says_to_try_again() -> None:
    world = World()
    (run,) = world.put(a_run())

    def again() -> None:
        now = world.run(run)
        world.runs.save(now, now.model_copy(update={"turn": now.turn + 1}))
        world.faults.meanwhile["put"] = again

    world.faults.meanwhile["put"] = again
    with pytest.raises(Unavailable):
        world.cancel(run)
