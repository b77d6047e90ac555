"""A backfill: what its range holds, what of that it runs, and how it moves on."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.backfill import (
    MAX_OCCURRENCES,
    PASS,
    Backfill,
    BackfillStatus,
    Reprocess,
    cancel,
    following,
    in_range,
    passed,
    require_room,
    wants,
)
from shared.domain.overlap import Overlap
from shared.domain.run import RunStatus
from shared.domain.timing import TICK_OF_TIME
from shared.errors import Conflict, Invalid
from tests.fakes import NOON
from tests.world import a_run, a_schedule, id_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = NOON - DAY


def a_backfill(start_at: datetime = START, end_at: datetime = NOON, **changes: Any) -> Backfill:
    return Backfill(
        **{
            "project_id": "default",
            "id": id_of("bkf", 1),
            "schedule_id": a_schedule().id,
            "start_at": start_at,
            "end_at": end_at,
            "total": 1441,
            "cursor": start_at - TICK_OF_TIME,
            "wake_at": NOON,
            "created_by": "key_test",
            "created_at": NOON,
            **changes,
        }
    )


def test_both_ends_of_a_range_are_included() -> None:
    assert in_range(a_schedule(), NOON - 3 * MINUTE, NOON, NOON) == [NOON - n * MINUTE for n in (3, 2, 1, 0)]


def test_a_range_of_one_instant_may_hold_its_occurrence() -> None:
    assert in_range(a_schedule(), NOON, NOON, NOON) == [NOON]
    assert in_range(a_schedule(), NOON - TICK_OF_TIME, NOON - TICK_OF_TIME, NOON) == []


def test_a_range_reaches_before_the_schedule_was_made_but_not_beyond_its_bounds() -> None:
    schedule = a_schedule(start_at=NOON - 2 * MINUTE, end_at=NOON - MINUTE, exclude=("2029-12-31",))

    assert in_range(schedule, NOON - DAY, NOON, NOON) == [NOON - 2 * MINUTE, NOON - MINUTE]


@pytest.mark.parametrize(
    ("start_at", "end_at"), [(NOON, NOON - MINUTE), (NOON, NOON + TICK_OF_TIME)], ids=["upside down", "the future"]
)
def test_a_range_that_is_none_names_its_end(start_at: datetime, end_at: datetime) -> None:
    with pytest.raises(Invalid) as error:
        in_range(a_schedule(), start_at, end_at, NOON)
    assert error.value.pointer == "/end_at"


def test_ten_thousand_occurrences_are_the_most() -> None:
    start = NOON - (MAX_OCCURRENCES - 1) * MINUTE

    assert len(in_range(a_schedule(), start, NOON, NOON)) == MAX_OCCURRENCES
    with pytest.raises(Invalid, match="has 10,001 occurrences") as error:
        in_range(a_schedule(), start - MINUTE, NOON, NOON)
    assert error.value.pointer == "/start_at"


@pytest.mark.parametrize("timing", [{}, {"kind": "interval", "expression": "1m", "start_at": NOON - 30 * DAY}])
def test_the_count_of_a_range_that_is_too_large_leaves_out_what_never_fires(timing: dict[str, Any]) -> None:
    schedule = a_schedule(**timing, exclude=("2029-12-31",), end_at=NOON - HOUR)

    with pytest.raises(Invalid, match=f"has {11 * 1440 - 60 + 1:,} occurrences"):
        in_range(schedule, NOON - 12 * DAY, NOON, NOON)


def test_a_pass_takes_the_next_hundred_after_the_cursor_up_to_the_end() -> None:
    first = following(a_backfill(), a_schedule())
    last = following(a_backfill(cursor=NOON - 2 * MINUTE), a_schedule())

    assert (len(first), first[0], first[-1]) == (PASS, START, START + (PASS - 1) * MINUTE)
    assert last == [NOON - MINUTE, NOON]


def test_a_full_pass_goes_on_at_once_and_another_one_is_the_last() -> None:
    seen = following(a_backfill(), a_schedule())

    more = passed(a_backfill(), seen, 90, NOON)
    over = passed(more, seen[:99], 99, NOON + MINUTE)

    assert (more.status, more.cursor, more.wake_at) == ("running", seen[-1], NOON)
    assert (more.started, more.left_out) == (90, 10)
    assert (over.status, over.cursor, over.wake_at, over.finished_at) == ("completed", NOON, None, NOON + MINUTE)
    assert (over.started, over.left_out) == (189, 10)


def test_an_empty_pass_completes_it() -> None:
    assert passed(a_backfill(), [], 0, NOON).status is BackfillStatus.completed


@pytest.mark.parametrize(
    ("reprocess", "status", "expected"),
    [
        *((mode, None, True) for mode in Reprocess),
        *(("all", status, True) for status in RunStatus),
        *(("none", status, False) for status in RunStatus),
        *(("failed", status, status is RunStatus.failed) for status in RunStatus),
    ],
)
def test_what_was_run_at_its_time_is_run_again_only_if_that_is_wanted(
    reprocess: str, status: RunStatus | None, expected: bool
) -> None:
    run = a_run(status=status, attempt=1) if status else None

    assert wants(a_backfill(reprocess=reprocess), run) is expected


@pytest.mark.parametrize("status", ["cancelled", "skipped"])
def test_what_was_called_off_before_it_began_was_not_run(status: RunStatus) -> None:
    assert wants(a_backfill(reprocess="none"), a_run(status=status))


def test_a_cancel_ends_it_and_a_second_one_is_a_conflict() -> None:
    cancelled = cancel(a_backfill(), NOON + MINUTE)

    assert (cancelled.status, cancelled.wake_at, cancelled.finished_at) == ("cancelled", None, NOON + MINUTE)
    with pytest.raises(Conflict, match="cancelled already"):
        cancel(cancelled, NOON)


def test_what_the_clock_still_owes_is_not_filled_in() -> None:
    schedule = a_schedule(kind="interval", expression="1m", created_at=NOON - 10 * MINUTE)
    behind = schedule.model_copy(update={"watermark": NOON - 3 * MINUTE, "wake_at": NOON - 2 * MINUTE})

    assert in_range(behind, NOON - 5 * MINUTE, NOON, NOON)[-1] == NOON - 3 * MINUTE
    assert in_range(behind.model_copy(update={"wake_at": None}), NOON - 5 * MINUTE, NOON, NOON)[-1] == NOON


def test_a_queue_has_room_for_a_hundred() -> None:
    require_room(Overlap.queue_all, 100)
    require_room(Overlap.allow, 10_000)
    with pytest.raises(Invalid, match="100 places, and the range 101"):
        require_room(Overlap.queue_all, 101)
