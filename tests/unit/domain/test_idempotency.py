"""What a known Idempotency-Key means."""

from datetime import timedelta

import pytest

from shared.domain.idempotency import LEASE, LIFETIME, IdempotencyRecord, Repeat, id_for, on_repeat, record_id
from tests.fakes import NOON

RECORD = IdempotencyRecord(
    project_id="p",
    id=record_id("key_1", "POST", "/runs", "k"),
    body_hash="h",
    began_at=NOON,
    lease_until=NOON + LEASE,
    expires_at=NOON + LIFETIME,
)


@pytest.mark.parametrize(
    ("body_hash", "after", "done", "expected"),
    [
        ("other", 0, False, Repeat.reused),
        ("other", 0, True, Repeat.reused),
        ("h", 0, True, Repeat.replay),
        ("h", 3600, True, Repeat.replay),
        ("h", 29, False, Repeat.in_flight),
        ("h", 30, False, Repeat.resume),
    ],
)
def test_a_repeated_key_is_replayed_resumed_awaited_or_refused(
    body_hash: str, after: float, done: bool, expected: Repeat
) -> None:
    assert on_repeat(RECORD, body_hash, NOON + timedelta(seconds=after), done=done) is expected


def test_the_same_key_of_another_caller_or_route_is_another_key() -> None:
    calls = [
        ("key_1", "POST", "/runs", "k"),
        ("key_2", "POST", "/runs", "k"),
        ("key_1", "PUT", "/runs", "k"),
        ("key_1", "POST", "/sources", "k"),
        ("key_1", "POST", "/runs", "l"),
        ("key_1P", "OST", "/runs", "k"),
    ]

    assert len({record_id(*call) for call in calls}) == len(calls)


def test_ids_of_a_request_are_the_same_each_time_and_differ_from_each_other() -> None:
    assert [id_for(RECORD, "run", n) for n in range(3)] == [id_for(RECORD, "run", n) for n in range(3)]
    assert len({id_for(RECORD, "run", number) for number in range(100)}) == 100
    assert id_for(RECORD, "run").startswith("run_")
