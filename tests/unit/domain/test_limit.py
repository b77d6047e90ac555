"""How many requests are too many."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.limit import Limits, Usage, Verdict, attempt_id, counted, is_within, judge, limits, place

AT = datetime(2030, 1, 1, 12, 0, 20, tzinfo=UTC)
TWO_A_MINUTE = Limits(per_minute=2)


def after(count: int, rule: Limits, at: datetime = AT) -> tuple[Usage, Verdict]:
    """What `count` requests come to, of which none is counted that is refused."""
    usage: Usage | None = None
    for _ in range(count):
        wanted = counted(usage, "k", at)
        verdict = judge(wanted, rule, at)
        usage = wanted if verdict.is_allowed else usage
    assert usage is not None
    return usage, verdict


def test_requests_are_allowed_until_the_quota_is_spent() -> None:
    assert [after(count, TWO_A_MINUTE)[1].is_allowed for count in (1, 2, 3, 4)] == [True, True, False, False]


def test_what_remains_is_said_and_a_refusal_takes_nothing_of_it() -> None:
    rule = Limits(per_minute=2, per_day=10)
    assert [[each.remaining for each in after(count, rule)[1].standings] for count in (1, 2, 3, 4)] == [
        [1, 9],
        [0, 8],
        [0, 8],
        [0, 8],
    ]


def test_a_limit_begins_anew_with_the_next_minute() -> None:
    usage, verdict = after(3, TWO_A_MINUTE)
    assert verdict.hit is not None
    assert verdict.hit.reset_seconds == 40
    assert not judge(counted(usage, "k", AT + timedelta(seconds=39)), TWO_A_MINUTE, AT).is_allowed
    assert judge(counted(usage, "k", AT + timedelta(seconds=40)), TWO_A_MINUTE, AT).is_allowed


def test_a_day_is_counted_across_its_minutes() -> None:
    rule = Limits(per_day=2)
    usage, _ = after(2, rule)
    later = AT + timedelta(hours=11, minutes=59)
    verdict = judge(counted(usage, "k", later), rule, later)
    assert verdict.hit is not None
    assert (verdict.hit.name, verdict.hit.reset_seconds) == ("day", 40)
    tomorrow = later + timedelta(seconds=40)
    assert judge(counted(usage, "k", tomorrow), rule, tomorrow).is_allowed


def test_of_two_limits_that_are_spent_the_one_that_lasts_longer_says_how_long() -> None:
    _, verdict = after(3, Limits(per_minute=2, per_day=2))
    assert verdict.hit is not None
    assert verdict.hit.name == "day"
    assert "2 requests a day" in verdict.words


def test_a_clock_that_is_behind_counts_in_the_window_that_has_begun() -> None:
    usage, _ = after(2, TWO_A_MINUTE)
    behind = AT - timedelta(minutes=1)
    assert not judge(counted(usage, "k", behind), TWO_A_MINUTE, behind).is_allowed


def test_an_item_outlives_the_day_that_it_counts() -> None:
    usage, _ = after(1, TWO_A_MINUTE)
    assert usage.expires_at == datetime(2030, 1, 2, 1, tzinfo=UTC)


@given(
    per_minute=st.none() | st.integers(1, 5),
    per_day=st.none() | st.integers(1, 20),
    seconds=st.lists(st.integers(0, 3 * 86400), min_size=1, max_size=80),
)
def test_never_more_than_the_limits_and_never_fewer_than_fit(
    per_minute: int | None, per_day: int | None, seconds: list[int]
) -> None:
    """Against lists of the instants that were allowed, counted by hand."""
    rule, usage = Limits(per_minute, per_day), None
    allowed: list[datetime] = []
    for at in (datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=second) for second in sorted(seconds)):
        this_minute = sum(one.replace(second=0) == at.replace(second=0) for one in allowed)
        today = sum(one.date() == at.date() for one in allowed)
        fits = (per_minute is None or this_minute < per_minute) and (per_day is None or today < per_day)
        wanted = counted(usage, "k", at)
        assert is_within(wanted, rule) == fits == judge(wanted, rule, at).is_allowed
        if fits:
            allowed.append(at)
            usage = wanted


@pytest.mark.parametrize(
    ("per_minute", "per_day", "expected"),
    [
        (None, None, Limits(600, 1000)),
        (0, None, Limits(None, 1000)),
        (0, 0, Limits()),
        (5, 0, Limits(5, None)),
        (None, 7, Limits(600, 7)),
    ],
)
def test_a_key_has_its_own_limits_or_the_usual_ones(
    per_minute: int | None, per_day: int | None, expected: Limits
) -> None:
    assert limits(per_minute, per_day, Limits(600, 1000)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", "unknown"),
        ("a#b", "unknown"),
    ],
)
def test_an_address_stands_for_whoever_has_it(address: str, expected: str) -> None:
    assert place(address) == expected


def test_attempts_are_counted_for_an_account_and_an_address() -> None:
    id = attempt_id("ada@example.com", "203.0.113.7")
    assert id == attempt_id(" Ada@Example.com", "203.0.113.7")
    assert len({id, attempt_id("bob@example.com", "203.0.113.7"), attempt_id("ada@example.com", "203.0.113.8")}) == 3
    assert "ada" not in id
