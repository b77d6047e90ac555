"""The states of a run: what each message, failure, cancel and tick makes of it."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain import run as rules
from shared.domain.retry import RetryPolicy
from shared.domain.run import (
    Acknowledge,
    Claim,
    Leave,
    Origin,
    Resend,
    Run,
    RunStatus,
    SendAgain,
    WakeLater,
    WorkerLost,
)
from shared.errors import Conflict, Delivered, FlowFailure
from tests.fakes import NOON
from tests.world import BROKEN, BUSY, CUT_OFF, WAKE_AFTER, a_run

LEASE_UNTIL = NOON + timedelta(minutes=5)
FINAL = sorted(rules.FINAL)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def running(**changes: Any) -> Run:
    return rules.claim(a_run(**changes), NOON, LEASE_UNTIL, "me")


def waiting_for_job(**changes: Any) -> Run:
    return rules.await_job(running(timeout_seconds=600, **changes), "job-1", NOON, WAKE_AFTER)


def failed(run: Run, failure: FlowFailure, policy: RetryPolicy | None = None) -> Run:
    return rules.after_failure(run, failure, policy or RetryPolicy(), NOON, 0.5, WAKE_AFTER)


# ------------------------------------------------------------------------------------------------ moves


def test_every_status_says_what_may_follow() -> None:
    assert set(rules.MOVES) == set(RunStatus)
    assert {"completed", "failed", "cancelled", "skipped"} == rules.FINAL


@pytest.mark.parametrize("status", FINAL)
def test_a_run_that_is_over_stays_as_it_is(status: RunStatus) -> None:
    over = a_run(status=status)

    for following in RunStatus:
        with pytest.raises(Conflict):
            over.move(following)
    with pytest.raises(Conflict):
        rules.request_cancel(over, NOON)


def test_a_pending_run_cannot_complete_without_running() -> None:
    with pytest.raises(Conflict):
        rules.complete(a_run(), NOON)


def test_a_move_keeps_instants_as_precisely_as_the_store_does() -> None:
    moved = a_run().move(RunStatus.pending, wake_at=NOON.replace(microsecond=123_456))

    assert moved.wake_at == NOON.replace(microsecond=123_000)


# ------------------------------------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("run", "turn", "reason"),
    [
        (None, 0, "unknown_run"),
        (a_run(status=RunStatus.completed, turn=3), 3, "final"),
        (a_run(turn=3), 2, "old_turn"),
        (a_run(turn=3), 4, "old_turn"),
        (running(), 1, "claimed"),
        (running(), 0, "old_turn"),
        (running(job_id="job-1", timeout_seconds=600), 1, "claimed"),
    ],
)
def test_a_message_that_says_nothing_new_is_acknowledged(run: Run | None, turn: int, reason: str) -> None:
    assert rules.on_message(run, turn, NOON) == Acknowledge(reason)


def test_a_message_of_the_present_turn_is_claimed() -> None:
    assert rules.on_message(a_run(turn=3), 3, NOON) == Claim(a_run(turn=3))
    poll = waiting_for_job()
    assert rules.on_message(poll, 2, NOON + minutes(1)) == Claim(poll)


def test_a_message_more_than_a_second_early_is_sent_again_with_what_is_left() -> None:
    run = a_run(turn=3, not_before=NOON + seconds(10))

    assert rules.on_message(run, 3, NOON) == SendAgain(seconds(10))
    assert rules.on_message(run, 3, NOON + seconds(8.9)) == SendAgain(seconds(1.1))
    assert rules.on_message(run, 3, NOON + seconds(9)) == Claim(run)


# ------------------------------------------------------------------------------------------------ claims


def test_a_claim_is_an_attempt_with_a_lease_and_leaves_wake_alone() -> None:
    run = a_run(turn=4, attempt=1, not_before=NOON, deferred_since=NOON)

    claimed = rules.claim(run, NOON, LEASE_UNTIL, "me")

    assert (claimed.status, claimed.turn, claimed.attempt) == ("running", 5, 2)
    assert claimed.lease_until == LEASE_UNTIL
    assert (claimed.not_before, claimed.deferred_since) == (None, None)
    assert claimed.wake_at == run.wake_at
    assert claimed.started_at == NOON


def test_the_start_of_a_run_is_its_first_attempt() -> None:
    again = failed(running(), BUSY)

    assert rules.claim(again, NOON + minutes(1), LEASE_UNTIL, "me").started_at == NOON


def test_asking_for_a_job_is_no_new_attempt() -> None:
    polled = rules.claim(waiting_for_job(), NOON, LEASE_UNTIL, "me")

    assert (polled.attempt, polled.turn) == (1, 3)
    assert polled.job_id == "job-1"


# ------------------------------------------------------------------------------------------------ ends


def test_a_run_that_is_over_is_on_no_list_of_things_to_do() -> None:
    error = rules.error_of("timeout", "Late.", 1)
    ends = [
        rules.complete(running(), NOON),
        rules.fail(running(), error, NOON),
        rules.cancel(running(), NOON),
        failed(running(), BROKEN),
    ]

    for run in ends:
        assert (run.wake_at, run.lease_until, run.not_before) == (None, None, None)
        assert run.finished_at == NOON


@pytest.mark.parametrize(("days", "after"), [(7, timedelta(days=7)), (365, timedelta(days=365)), (0, None)])
def test_a_run_is_kept_as_long_as_its_project_keeps_runs_however_it_ended(days: int, after: timedelta | None) -> None:
    run = running(retention_days=days)
    expected = None if after is None else NOON + after
    error = rules.error_of("timeout", "Late.", 1)

    ends = [
        rules.complete(run, NOON),
        rules.fail(run, error, NOON),
        rules.cancel(run, NOON),
        rules.request_cancel(a_run(retention_days=days), NOON),
        failed(run, BROKEN),
    ]

    assert [end.expires_at for end in ends] == [expected] * len(ends)


def test_a_completed_run_forgets_the_error_of_an_earlier_attempt() -> None:
    again = rules.claim(failed(running(), BUSY), NOON, LEASE_UNTIL, "me")
    assert again.error is not None

    assert rules.complete(again, NOON).error is None


# ------------------------------------------------------------------------------------------------ failures


def test_a_failure_that_may_pass_waits_for_its_next_attempt() -> None:
    again = failed(running(), BUSY, RetryPolicy(initial_seconds=10))

    assert (again.status, again.turn, again.attempt) == ("pending", 2, 1)
    assert again.not_before == NOON + seconds(5)
    assert again.wake_at == NOON + seconds(5) + WAKE_AFTER
    assert again.lease_until is None
    assert again.error is not None
    assert (again.error.code, again.error.retryable, again.error.attempt) == ("upstream_unavailable", True, 1)


def test_the_last_attempt_fails_the_run_with_its_reason() -> None:
    over = failed(running(), BUSY, RetryPolicy(max_attempts=1))

    assert over.status == "failed"
    assert over.error is not None
    assert over.error.code == "upstream_unavailable"


@pytest.mark.parametrize(
    ("failure", "policy", "may_have"),
    [
        (BUSY, RetryPolicy(), False),
        (CUT_OFF, RetryPolicy(), True),
        (BROKEN, RetryPolicy(flow_failed=True), True),
    ],
)
def test_a_run_says_when_the_flow_may_have_run_before(
    failure: FlowFailure, policy: RetryPolicy, may_have: bool
) -> None:
    again = failed(running(), failure, policy)

    assert again.may_have_run_before is may_have
    assert failed(rules.claim(again, NOON, LEASE_UNTIL, "me"), BUSY, policy).may_have_run_before is may_have


def test_only_a_job_that_is_known_to_have_ended_gets_a_new_idempotency_key() -> None:
    lost = FlowFailure("worker_lost", "gone", Delivered.no)
    asked = rules.claim(waiting_for_job(), NOON, LEASE_UNTIL, "me")

    assert failed(asked, lost).job_key == asked.job_key
    assert failed(asked, BROKEN, RetryPolicy(flow_failed=True)).job_key != asked.job_key


def test_a_new_attempt_forgets_the_job_of_the_old_one() -> None:
    asked = rules.claim(waiting_for_job(), NOON, LEASE_UNTIL, "me")

    again = failed(asked, BROKEN, RetryPolicy(flow_failed=True))

    assert (again.job_id, again.job_deadline) == (None, None)


def test_a_run_that_was_to_be_cancelled_is_not_tried_again() -> None:
    marked = rules.request_cancel(running(), NOON)

    over = failed(marked, BUSY)

    assert over.status == "cancelled"
    assert over.error is not None


# ------------------------------------------------------------------------------------------------ cancel


def test_a_pending_run_is_cancelled_at_once() -> None:
    over = rules.request_cancel(a_run(), NOON)

    assert (over.status, over.finished_at, over.upstream_stopped) == ("cancelled", NOON, None)


def test_a_running_run_is_marked_for_its_executor() -> None:
    marked = rules.request_cancel(running(), NOON)

    assert (marked.status, marked.cancel_requested_at, marked.turn) == ("running", NOON, 1)
    assert rules.request_cancel(marked, NOON + minutes(1)).cancel_requested_at == NOON


def test_a_run_that_waits_for_its_job_gets_a_turn_at_once_to_stop_it() -> None:
    waiting = waiting_for_job()

    marked = rules.request_cancel(waiting, NOON)

    assert marked.turn == waiting.turn + 1
    assert marked.not_before is None
    assert isinstance(rules.on_message(marked, marked.turn, NOON), Claim)


# ------------------------------------------------------------------------------------------------ called off


@pytest.mark.parametrize(("late", "status"), [(-61, "cancelled"), (60, "cancelled"), (59, "cancelled")])
def test_a_run_that_cannot_be_wanted_again_is_cancelled(late: float, status: str) -> None:
    over = rules.call_off(a_run(scheduled_for=NOON), NOON + seconds(late))

    assert (over.status, over.finished_at, over.is_unwanted) == (status, NOON + seconds(late), False)
    assert over.error == rules.error_of("schedule_changed", over.error.message, 0)  # type: ignore[union-attr]


@pytest.mark.parametrize("late", [-58, 0, 58])
def test_around_its_time_a_run_that_is_unwanted_waits_for_what_its_schedule_says_then(late: float) -> None:
    run = a_run(scheduled_for=NOON, turn=1)

    waits = rules.call_off(run, NOON + seconds(late))

    assert (waits.status, waits.turn, waits.wake_at) == ("pending", 1, run.wake_at)
    assert (waits.is_unwanted, waits.not_before) == (True, NOON + minutes(1))
    assert rules.call_off(waits, NOON + minutes(1)).status == "cancelled"


def test_a_run_that_starts_after_all_is_no_longer_called_unwanted() -> None:
    waits = rules.call_off(a_run(scheduled_for=NOON), NOON)
    retried = failed(running(), BUSY)

    assert rules.claim(waits, NOON, LEASE_UNTIL, "me").error is None
    assert rules.claim(retried, NOON, LEASE_UNTIL, "me").error == retried.error
    assert retried.is_unwanted is False


# ------------------------------------------------------------------------------------------------ deferral and jobs


def test_a_deferral_costs_a_turn_and_no_attempt() -> None:
    put_off = rules.defer(a_run(), NOON, NOON + seconds(30), WAKE_AFTER)

    assert (put_off.status, put_off.turn, put_off.attempt) == ("pending", 1, 0)
    assert put_off.not_before == NOON + seconds(30)
    assert put_off.deferred_since == NOON


def test_a_deferral_moves_wake_only_when_it_must() -> None:
    assert rules.defer(a_run(), NOON, NOON + minutes(1), WAKE_AFTER).wake_at == NOON + minutes(5)
    assert rules.defer(a_run(), NOON, NOON + minutes(5), WAKE_AFTER).wake_at == NOON + minutes(10)
    assert rules.defer(a_run(), NOON, NOON + minutes(8), WAKE_AFTER).wake_at == NOON + minutes(13)


def test_a_run_is_deferred_for_a_day_at_most() -> None:
    first = rules.defer(a_run(), NOON, NOON + minutes(1), WAKE_AFTER)
    again = rules.defer(first, NOON + minutes(1), NOON + minutes(2), WAKE_AFTER)

    assert not rules.deferred_too_long(again, NOON + timedelta(hours=24))
    assert rules.deferred_too_long(again, NOON + timedelta(hours=24, seconds=1))
    assert not rules.deferred_too_long(a_run(), NOON + timedelta(days=9))


def test_a_run_in_the_hands_of_a_job_is_asked_about_again_and_again_until_its_deadline() -> None:
    waiting = waiting_for_job()

    assert waiting.awaits_job
    assert (waiting.turn, waiting.lease_until) == (2, None)
    assert waiting.not_before == NOON + seconds(2)
    assert waiting.job_deadline == NOON + seconds(600)

    later = rules.await_job(rules.claim(waiting, NOON, LEASE_UNTIL, "me"), "job-1", NOON + seconds(100), WAKE_AFTER)
    assert later.not_before == NOON + seconds(110)
    assert later.job_deadline == NOON + seconds(600)

    last = rules.await_job(rules.claim(later, NOON, LEASE_UNTIL, "me"), "job-1", NOON + seconds(9999), WAKE_AFTER)
    assert last.not_before == NOON + seconds(9999 + 60)


@pytest.mark.parametrize(("timeout", "job"), [(1, False), (240, False), (241, True)])
def test_a_run_too_long_for_an_invocation_needs_a_job(timeout: int, job: bool) -> None:
    assert a_run(timeout_seconds=timeout).needs_job is job


# ------------------------------------------------------------------------------------------------ waking


@pytest.mark.parametrize("status", FINAL)
def test_the_tick_leaves_a_run_that_is_over(status: RunStatus) -> None:
    assert rules.on_wake(a_run(status=status, wake_at=None), NOON + minutes(9), WAKE_AFTER) == Leave()


def test_the_tick_leaves_a_run_that_is_not_due() -> None:
    assert rules.on_wake(a_run(), NOON + minutes(5) - seconds(0.001), WAKE_AFTER) == Leave()


def test_the_tick_sends_a_waiting_run_again_at_growing_distances() -> None:
    run, at, distances = a_run(), NOON + minutes(5), []
    for _ in range(6):
        woken = rules.on_wake(run, at, WAKE_AFTER)
        assert isinstance(woken, Resend)
        assert woken.run.turn == run.turn
        assert woken.run.wake_at is not None
        distances.append((woken.run.wake_at - at).total_seconds() / 60)
        run, at = woken.run, woken.run.wake_at

    assert distances == [10, 20, 40, 60, 60, 60]


def test_the_tick_looks_again_after_a_lease_that_still_runs() -> None:
    run = running(wake_at=NOON + minutes(2))

    woken = rules.on_wake(run, NOON + minutes(3), WAKE_AFTER)

    assert woken == WakeLater(run.move(RunStatus.running, wake_at=LEASE_UNTIL + minutes(1)))


def test_the_tick_ends_the_attempt_of_a_lost_worker() -> None:
    woken = rules.on_wake(running(), LEASE_UNTIL + rules.CLOCK_SKEW, WAKE_AFTER)

    assert isinstance(woken, WorkerLost)
    assert (woken.failure.code, woken.failure.delivered) == ("worker_lost", Delivered.unknown)


def test_a_worker_whose_clock_is_half_a_minute_behind_is_not_lost() -> None:
    woken = rules.on_wake(running(), LEASE_UNTIL + seconds(29), WAKE_AFTER)

    assert isinstance(woken, WakeLater)


def test_a_worker_lost_before_it_knew_its_job_is_replaced_whatever_the_policy() -> None:
    """The submission carries an idempotency key: sent again, it finds the same job, unless that has failed by then."""
    run, never = running(timeout_seconds=600), RetryPolicy(unknown_outcome=False)
    woken = rules.on_wake(run, LEASE_UNTIL + rules.CLOCK_SKEW, WAKE_AFTER)

    assert isinstance(woken, WorkerLost)
    after = rules.after_failure(run, woken.failure, never, LEASE_UNTIL, 0.5, WAKE_AFTER)
    assert (after.status, after.may_have_run_before) == ("pending", True)


def test_a_worker_lost_while_it_asked_for_a_job_is_replaced_by_another_that_asks() -> None:
    asked = rules.claim(waiting_for_job(), NOON, LEASE_UNTIL, "me")

    woken = rules.on_wake(asked, NOON + minutes(6), WAKE_AFTER)

    assert isinstance(woken, Resend)
    assert (woken.run.job_id, woken.run.attempt) == ("job-1", 1)
    assert woken.run.turn == asked.turn + 1
    assert woken.run.awaits_job


def test_the_tick_sends_a_run_that_waits_for_its_job_again() -> None:
    waiting = waiting_for_job()

    woken = rules.on_wake(waiting, NOON + minutes(6), WAKE_AFTER)

    assert isinstance(woken, Resend)
    assert woken.run.turn == waiting.turn
    assert woken.run.awaits_job


def test_a_message_waits_as_long_as_its_run() -> None:
    assert rules.wait(a_run(), NOON) == timedelta(0)
    assert rules.wait(a_run(not_before=NOON + seconds(5)), NOON) == seconds(5)
    assert rules.wait(a_run(not_before=NOON - seconds(5)), NOON) == timedelta(0)


def test_a_user_who_cancels_what_its_schedule_may_not_want_is_the_reason_and_not_the_schedule() -> None:
    run = a_run(origin=Origin.schedule, scheduled_for=NOON)
    put_off = rules.call_off(run, NOON)
    assert put_off.is_unwanted

    assert rules.request_cancel(put_off, NOON).error is None
    assert rules.call_off(put_off, NOON + 2 * rules.UNDECIDED).error == put_off.error
