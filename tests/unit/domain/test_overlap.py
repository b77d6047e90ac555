"""Whose turn it is: each policy against a slot that is free, held, held by oneself, or wanted by others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.overlap import MAX_QUEUE, Enter, Oust, Skip, Slot, Wait, enter, leave
from shared.domain.schedule import Overlap
from tests.world import id_of

A, B, C, D = sorted(id_of("run", number) for number in range(4))
EXCLUSIVE = [policy for policy in Overlap if policy is not Overlap.allow]


def a_slot(holder: str | None = None, *queue: str, skipped: int = 0) -> Slot:
    return Slot(project_id="default", schedule_id="sch_1", holder=holder, queue=queue, skipped=skipped)


@pytest.mark.parametrize("policy", EXCLUSIVE)
def test_a_free_slot_is_taken_under_every_policy(policy: Overlap) -> None:
    assert enter(a_slot(), A, policy) == Enter(a_slot(A))


@pytest.mark.parametrize("policy", EXCLUSIVE)
def test_the_holder_holds_it_still(policy: Overlap) -> None:
    assert enter(a_slot(A, B), A, policy) == Enter(a_slot(A, B))


def test_skip_leaves_out_whoever_comes_while_it_is_held_and_counts() -> None:
    assert enter(a_slot(A, skipped=2), B, Overlap.skip) == Skip(a_slot(A, skipped=3), B)


def test_cancel_previous_takes_the_slot_from_its_holder() -> None:
    assert enter(a_slot(A), B, Overlap.cancel_previous) == Oust(a_slot(B), A)


def test_queue_all_waits_behind_those_who_wait() -> None:
    assert enter(a_slot(A, B), C, Overlap.queue_all) == Wait(a_slot(A, B, C))


def test_who_waits_already_keeps_its_place() -> None:
    assert enter(a_slot(A, B, C), B, Overlap.queue_all) == Wait(a_slot(A, B, C))
    assert enter(a_slot(A, B), B, Overlap.queue_one) == Wait(a_slot(A, B))


def test_the_hundredth_waits_and_the_next_is_left_out_and_counted() -> None:
    waiting = tuple(f"run_{number:03}" for number in range(MAX_QUEUE))
    last_but_one, full = a_slot(A, *waiting[:-1]), a_slot(A, *waiting)

    assert enter(last_but_one, waiting[-1], Overlap.queue_all) == Wait(full)
    assert enter(full, B, Overlap.queue_all) == Skip(a_slot(A, *waiting, skipped=1), B)
    assert enter(full, waiting[50], Overlap.queue_all) == Wait(full)


@pytest.mark.parametrize(("waits", "comes"), [(B, C), (C, B)])
def test_queue_one_keeps_the_newest_in_whichever_order_they_come(waits: str, comes: str) -> None:
    assert enter(a_slot(A, waits), comes, Overlap.queue_one) == Skip(a_slot(A, C, skipped=1), B)


def test_queue_one_after_queue_all_leaves_out_the_oldest_first() -> None:
    assert enter(a_slot(A, B, C), D, Overlap.queue_one) == Skip(a_slot(A, C, D, skipped=1), B)


def test_leaving_gives_the_slot_to_the_first_who_waits() -> None:
    assert leave(a_slot(A, B, C), A) == a_slot(B, C)
    assert leave(a_slot(A), A) == a_slot()


def test_leaving_a_queue_leaves_the_holder_alone() -> None:
    assert leave(a_slot(A, B, C), B) == a_slot(A, C)


def test_leaving_what_one_never_had_changes_nothing() -> None:
    assert leave(a_slot(A, B), C) == a_slot(A, B)


RUNS = [A, B, C, D]


@given(
    holder=st.sampled_from([None, *RUNS]),
    queue=st.lists(st.sampled_from(RUNS), unique=True),
    run=st.sampled_from(RUNS),
    policy=st.sampled_from(EXCLUSIVE),
)
def test_nobody_gets_lost_and_nobody_is_there_twice(
    holder: str | None, queue: list[str], run: str, policy: Overlap
) -> None:
    before = a_slot(holder, *(other for other in queue if other != holder))

    decision = enter(before, run, policy)

    after = decision.slot
    there = [*after.queue, *([after.holder] if after.holder else [])]
    gone = {decision.run} if isinstance(decision, Skip) else {decision.holder} if isinstance(decision, Oust) else set()
    assert len(there) == len(set(there))
    assert {holder, run, *queue} - {None} - set(there) <= gone
    assert (run == after.holder) == isinstance(decision, Enter | Oust)
    assert isinstance(decision, Skip) == (after.skipped == before.skipped + 1)


def test_an_older_run_that_comes_late_takes_nothing_from_a_newer_one() -> None:
    decision = enter(Slot(project_id="p", schedule_id="s", holder="run_2"), "run_1", Overlap.cancel_previous)

    assert isinstance(decision, Skip)
    assert decision.run == "run_1"
