"""Waits within their bounds, leases within their limit, a breaker that always lets somebody through in the end."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain import breaker as breaker_rules
from shared.domain.breaker import LONGEST_PAUSE, Breaker, Closed, Open, Probe
from shared.domain.leases import Leases, give_back, take
from shared.domain.retry import RetryAfter, RetryPolicy, decide
from shared.errors import Delivered, FlowFailure, cut
from tests.fakes import NOON

POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 20),
    initial_seconds=st.floats(0, 3600),
    multiplier=st.floats(1, 10),
    max_seconds=st.floats(0, 86_400),
)
AFTER = st.none() | st.floats(0, 1e9)


@given(policy=POLICIES, attempt=st.integers(1, 25), chance=st.floats(0, 1, exclude_max=True), after=AFTER)
def test_a_wait_is_never_negative_and_never_longer_than_the_policy_allows(
    policy: RetryPolicy, attempt: int, chance: float, after: float | None
) -> None:
    failure = FlowFailure("upstream_unavailable", "Busy.", Delivered.no, retry_after_seconds=after)

    decision = decide(policy, attempt, failure, chance)

    assert isinstance(decision, RetryAfter) == (attempt < policy.max_attempts)
    if isinstance(decision, RetryAfter):
        seconds = decision.wait.total_seconds()
        assert 0 <= seconds <= policy.max_seconds + 1e-6
        if after is not None:
            assert seconds >= min(after, policy.max_seconds) - 1e-6


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "give_back"]),
        st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=5),
        st.integers(0, 400),
    ),
    max_size=30,
)


@given(limit=st.integers(0, 4), operations=OPERATIONS)
def test_there_are_never_more_live_leases_than_the_limit(
    limit: int, operations: list[tuple[str, list[str], int]]
) -> None:
    leases, at = Leases(project_id="p", source_id="src_1"), NOON
    for verb, runs, seconds in operations:
        at += timedelta(seconds=seconds)
        before = _alive(leases, at)
        if verb == "give_back":
            leases = give_back(leases, runs, at)
            assert _alive(leases, at) == before - set(runs)
        else:
            leases, granted = take(leases, runs, limit, at, at + timedelta(minutes=5))
            assert set(granted) <= _alive(leases, at)
            assert before - set(runs) <= _alive(leases, at)
        assert len(_alive(leases, at)) <= limit


def _alive(leases: Leases, at: datetime) -> set[str]:
    return {run for run, end in leases.holders.items() if end > at}


EVENTS = st.lists(st.tuples(st.sampled_from(["failure", "success", "ask"]), st.integers(0, 3600)), max_size=60)


@given(events=EVENTS)
def test_a_breaker_never_holds_a_source_back_for_longer_than_a_pause_and_a_probe(events: list[tuple[str, int]]) -> None:
    breaker, at = Breaker(project_id="p", source_id="src_1"), NOON
    probe_for = timedelta(minutes=5)
    for event, seconds in events:
        at += timedelta(seconds=seconds)
        if event == "failure":
            breaker = breaker_rules.after_failure(breaker, at)
        elif event == "success":
            breaker = breaker_rules.after_success(breaker)
        verdict = breaker_rules.admit(breaker, at, probe_for)
        if isinstance(verdict, Open):
            assert at < verdict.until <= at + max(LONGEST_PAUSE, probe_for)
        if isinstance(verdict, Probe):
            breaker = verdict.breaker
            assert isinstance(breaker_rules.admit(breaker, at, probe_for), Open)
        if event == "success":
            assert verdict == Closed()


@given(text=st.text(), limit=st.integers(3, 50))
def test_a_text_is_cut_to_whole_characters_within_its_limit(text: str, limit: int) -> None:
    short = cut(text, limit)

    assert len(short.encode()) <= max(limit, 3)
    assert short == text or (short.endswith("…") and text.encode("utf-8", "replace").decode().startswith(short[:-1]))
