"""Leases of a source: never more than its limit at once, expired ones are free."""

from datetime import timedelta

from shared.domain.leases import Leases, give_back, take
from tests.fakes import NOON

UNTIL = NOON + timedelta(minutes=5)
NONE = Leases(project_id="p", source_id="src_1")


def held_by(*runs: str) -> Leases:
    return NONE.model_copy(update={"holders": dict.fromkeys(runs, UNTIL)})


def test_as_many_runs_get_a_lease_as_are_free() -> None:
    after, granted = take(held_by("a"), ["b", "c", "d"], 3, NOON, UNTIL)

    assert granted == ["b", "c"]
    assert sorted(after.holders) == ["a", "b", "c"]


def test_a_full_source_grants_nothing_even_when_its_limit_was_lowered() -> None:
    assert take(held_by("a", "b", "c"), ["d"], 2, NOON, UNTIL)[1] == []


def test_an_expired_lease_is_free() -> None:
    after, granted = take(held_by("a", "b"), ["c"], 2, UNTIL, UNTIL + timedelta(minutes=5))

    assert granted == ["c"]
    assert list(after.holders) == ["c"]


def test_a_run_that_holds_a_lease_keeps_it_and_takes_no_second() -> None:
    later = UNTIL + timedelta(minutes=5)

    after, granted = take(held_by("a", "b"), ["b", "c"], 2, NOON, later)

    assert granted == ["b"]
    assert after.holders == {"a": UNTIL, "b": later}


def test_leases_given_back_are_free_at_once() -> None:
    after = give_back(held_by("a", "b"), ["a", "unknown"], NOON)

    assert list(after.holders) == ["b"]
    assert take(after, ["c"], 2, NOON, UNTIL)[1] == ["c"]
