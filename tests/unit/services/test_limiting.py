"""Counting requests, and refusing from memory."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.limit import Limits
from shared.errors import RateLimited, Unavailable
from shared.services.limiting import ATTEMPTS, MAX_REMEMBERED, TEXTS, Limiter
from shared.store import keys
from shared.store.limits import LimitStore
from tests.fakes import Clock, Faults, MemoryTable

THREE = Limits(per_minute=3, per_day=5)


class Here:
    """One table, and environments that count in it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.faults = Faults()
        self.table: Any = MemoryTable(self.clock, faults=self.faults)

    def limiter(self) -> Limiter:
        return Limiter(LimitStore(self.table), self.clock, strangers=Limits(per_minute=2))

    def requests(self) -> list[str]:
        """What was asked of the table since the last look."""
        steps, self.faults.steps = self.faults.steps, []
        return [step.removeprefix("before ") for step in steps if step.startswith("before")]


@pytest.fixture
def here() -> Here:
    return Here()


def test_a_request_costs_one_write_and_the_first_of_a_minute_two(here: Here) -> None:
    limiter = here.limiter()
    assert limiter.request("k", THREE).is_allowed
    assert here.requests() == ["count", "put"]
    assert limiter.request("k", THREE).is_allowed
    assert here.requests() == ["count"]
    here.clock.forward(60)
    assert limiter.request("k", THREE).is_allowed
    assert here.requests() == ["count", "put"]


def test_texts_of_somebody_are_ten_a_day_and_keep_back_nothing_else(here: Here) -> None:
    limiter = here.limiter()
    for _ in range(TEXTS.per_day or 0):
        here.clock.forward(60)
        limiter.text("+5511987654321")
    here.clock.forward(60)
    with pytest.raises(RateLimited):
        limiter.text("+5511987654321")
    limiter.text("+5511987654322")
    limiter.letter("ann@example.com")
    assert "5511987654321" not in str(here.table.items)


def test_who_has_no_limit_costs_nothing(here: Here) -> None:
    assert here.limiter().request("k", Limits()).is_allowed
    assert here.requests() == []


def test_who_was_refused_is_refused_from_memory_until_the_window_ends(here: Here) -> None:
    limiter = here.limiter()
    assert [limiter.request("k", THREE).is_allowed for _ in range(4)] == [True] * 3 + [False]
    here.requests()
    here.clock.forward(20)
    refused = limiter.request("k", THREE)
    assert refused.hit is not None
    assert refused.hit.reset_seconds == 40
    assert here.requests() == []
    here.clock.forward(40)
    assert limiter.request("k", THREE).is_allowed
    assert [limiter.request("k", THREE).is_allowed for _ in range(2)] == [True, False]  # the day has five
    here.clock.forward(hours=3)
    here.requests()
    assert limiter.request("k", THREE).hit == limiter.request("k", THREE).hit
    assert here.requests() == []
    here.clock.forward(hours=9)
    assert limiter.request("k", THREE).is_allowed


def test_a_higher_limit_counts_at_once(here: Here) -> None:
    limiter = here.limiter()
    for _ in range(4):
        limiter.request("k", Limits(per_minute=3))
    assert limiter.request("k", Limits(per_minute=4)).is_allowed
    assert limiter.request("k", Limits()).is_allowed


def test_environments_count_together(here: Here) -> None:
    first, second = here.limiter(), here.limiter()
    assert [one.request("k", THREE).is_allowed for one in (first, second, first, second)] == [True] * 3 + [False]


def test_what_an_environment_remembers_is_bounded(here: Here) -> None:
    limiter = here.limiter()
    for number in range(MAX_REMEMBERED + 10):
        limiter._remember(rules_usage(limiter, f"k{number}"))
    assert len(limiter._refused) <= MAX_REMEMBERED


def rules_usage(limiter: Limiter, id: str) -> Any:
    from shared.domain.limit import counted

    return counted(None, id, limiter.now())


def test_a_window_that_somebody_else_opens_meanwhile_is_counted_in(here: Here) -> None:
    limiter, other = here.limiter(), here.limiter()
    here.faults.meanwhile["put"] = lambda: other.request("k", THREE)
    standings = limiter.request("k", THREE).standings
    assert [standing.remaining for standing in standings] == [1, 3]


def test_a_clock_ahead_opens_the_window_for_all(here: Here) -> None:
    ahead = Limiter(LimitStore(here.table), lambda: here.clock.at + timedelta(minutes=1), strangers=Limits())
    for _ in range(3):
        ahead.request("k", THREE)
    assert not here.limiter().request("k", THREE).is_allowed


def test_who_never_gets_through_is_told_so(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = here.limiter()
    monkeypatch.setattr(limiter, "_opens", lambda before, after: False)
    with pytest.raises(Unavailable):
        limiter.request("k", THREE)


def test_an_address_is_shut_where_it_was_refused(here: Here) -> None:
    limiter = here.limiter()
    assert [limiter.stranger("203.0.113.7").is_allowed for _ in range(3)] == [True, True, False]
    here.requests()
    assert limiter.is_shut("203.0.113.7") is not None
    assert limiter.is_shut("203.0.113.8") is None
    assert here.limiter().is_shut("203.0.113.7") is None  # another environment asks the table
    assert here.requests() == []
    here.clock.forward(60)
    assert limiter.is_shut("203.0.113.7") is None


def test_all_addresses_of_an_ipv6_network_are_one(here: Here) -> None:
    limiter = here.limiter()
    assert [limiter.stranger(f"2001:db8::{number}").is_allowed for number in (1, 2, 3)] == [True, True, False]


def test_too_many_attempts_lock_an_account_for_one_address(here: Here) -> None:
    limiter = here.limiter()
    for _ in range(ATTEMPTS.per_minute or 0):
        limiter.attempt("ada@example.com", "203.0.113.7")
    with pytest.raises(RateLimited) as locked:
        limiter.attempt("ADA@example.com", "203.0.113.7")
    assert 0 < locked.value.retry_after_seconds <= 60
    limiter.attempt("ada@example.com", "203.0.113.8")
    limiter.attempt("bob@example.com", "203.0.113.7")
    assert "ada" not in str(here.table.items)


def test_a_right_password_forgives_the_slips_before_it(here: Here) -> None:
    limiter = here.limiter()
    for _ in range(3):
        for _ in range(ATTEMPTS.per_minute or 0):
            limiter.attempt("ada@example.com", "203.0.113.7")
        limiter.forgive("ada@example.com", "203.0.113.7")
    limiter.forgive("nobody@example.com", "203.0.113.7")


def test_an_item_that_expired_and_is_still_there_counts_no_more(here: Here) -> None:
    limiter = here.limiter()
    for _ in range(3):
        limiter.request("k", THREE)
    here.clock.forward(days=3)
    assert here.table.get(keys.limit(keys.limited_key("k"))) is None
    assert [standing.remaining for standing in limiter.request("k", THREE).standings] == [2, 4]


def test_codes_of_one_account_are_counted_wherever_they_come_from(here: Here) -> None:
    limiter, another = here.limiter(), here.limiter()
    for environment in (limiter, another, limiter, another, limiter):
        environment.guess("usr_1")
    for environment in (limiter, another):
        with pytest.raises(RateLimited):
            environment.guess("usr_1")
    limiter.guess("usr_2")
    limiter.attempt("ann@example.com", "192.0.2.7")  # which says nothing of that


def test_twenty_codes_a_day_are_all_whatever_the_minute(here: Here) -> None:
    limiter = here.limiter()
    for number in range(20):
        limiter.guess("usr_1")
        if number % 5 == 4:
            here.clock.forward(60)
    with pytest.raises(RateLimited):
        limiter.guess("usr_1")
    here.clock.forward(hours=12)
    limiter.guess("usr_1")


def test_a_right_code_makes_up_for_those_before(here: Here) -> None:
    limiter = here.limiter()
    for _ in range(5):
        limiter.guess("usr_1")
    limiter.forgive_guesses("usr_1")
    limiter.guess("usr_1")
