"""Whatever happens to a run, in whatever order: no turn is claimed twice, nothing is forgotten, everything ends."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.domain import run as rules
from shared.domain.retry import RetryPolicy
from shared.domain.run import Claim, Resend, Run, WakeLater, WorkerLost
from shared.errors import Delivered, FlowFailure
from shared.store.runs import RunStore
from tests.fakes import Clock, MemoryTable
from tests.world import LEASE, WAKE_AFTER, a_run

MICROSECONDS = st.integers(0, 3 * 3600 * 10**6).map(lambda number: timedelta(microseconds=number))
FAILURES = st.sampled_from(
    [FlowFailure(code, "It failed.", delivered) for code in ("flow_failed", "timeout") for delivered in Delivered]
)
CHANCES = st.floats(0, 1, exclude_max=True)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 5),
    max_seconds=st.floats(0, 3600),
    unknown_outcome=st.booleans(),
    flow_failed=st.booleans(),
)
TURNS = st.integers(0, 60)


class Life(RuleBasedStateMachine):
    """One run, everything that can be done to it, and a store that keeps it as the table would."""

    @initialize(policy=POLICIES, timeout=st.sampled_from([1, 240, 241, 86_400]))
    def begin(self, policy: RetryPolicy, timeout: int) -> None:
        self.clock = Clock()
        self.store = RunStore(MemoryTable(self.clock))  # type: ignore[arg-type]
        self.policy = policy
        run = a_run(timeout_seconds=timeout, retry=policy, retention_days=7)
        assert self.store.add([run]) == [True]
        self.run = rules.saved(run)
        self.claimed: set[int] = set()
        self.attempts: list[int] = []

    def keep(self, after: Run, *, planned: bool) -> None:
        """Save `after`; a planned step raises the turn, nothing ever lowers it."""
        assert after.turn > self.run.turn if planned else after.turn >= self.run.turn
        (saved,) = self.store.save_many([(self.run, after)])
        assert saved is not None
        assert self.store.get(saved.project_id, saved.id) == saved
        self.run = saved

    @property
    def held(self) -> bool:
        """An executor holds it and is alive."""
        return self.run.lease_until is not None and self.clock.at < self.run.lease_until

    @rule(time=MICROSECONDS)
    def time_goes_by(self, time: timedelta) -> None:
        self.clock.forward(time.total_seconds())

    @rule(turn=TURNS)
    def any_message_arrives(self, turn: int) -> None:
        self.deliver(turn)

    @rule()
    def its_message_arrives(self) -> None:
        self.deliver(self.run.turn)

    def deliver(self, turn: int) -> None:
        decision = rules.on_message(self.run, turn, self.clock.at)
        if isinstance(decision, Claim):
            assert turn not in self.claimed
            assert not self.held
            self.claimed.add(turn)
            polling = self.run.awaits_job
            self.keep(rules.claim(decision.run, self.clock.at, self.clock.at + LEASE, "me"), planned=True)
            if not polling:
                self.attempts.append(self.run.attempt)

    @rule(wait=MICROSECONDS)
    def its_source_is_busy(self, wait: timedelta) -> None:
        decision = rules.on_message(self.run, self.run.turn, self.clock.at)
        if isinstance(decision, Claim) and not self.run.awaits_job:
            attempt = self.run.attempt
            self.keep(rules.defer(self.run, self.clock.at, self.clock.at + wait, WAKE_AFTER), planned=True)
            assert self.run.attempt == attempt

    @precondition(lambda self: self.held)
    @rule()
    def it_completes(self) -> None:
        self.keep(rules.complete(self.run, self.clock.at), planned=False)

    @precondition(lambda self: self.held)
    @rule(failure=FAILURES, chance=CHANCES)
    def its_attempt_fails(self, failure: FlowFailure, chance: float) -> None:
        after = rules.after_failure(self.run, failure, self.policy, self.clock.at, chance, WAKE_AFTER)
        self.keep(after, planned=not after.is_final)

    @precondition(lambda self: self.held and self.run.needs_job)
    @rule()
    def langflow_works_on_it(self) -> None:
        after = rules.await_job(self.run, self.run.job_id or "job-1", self.clock.at, WAKE_AFTER)
        self.keep(after, planned=True)

    @precondition(lambda self: not self.run.is_final)
    @rule()
    def its_user_cancels(self) -> None:
        planned = self.run.awaits_job
        self.keep(rules.request_cancel(self.run, self.clock.at), planned=planned)

    @precondition(lambda self: not self.run.is_final)
    @rule()
    def its_message_comes_back_from_the_dead(self) -> None:
        self.keep(rules.give_back(self.run, self.clock.at, WAKE_AFTER), planned=False)

    @rule(chance=CHANCES)
    def the_tick_meets_it(self, chance: float = 0.5) -> None:
        decision = rules.on_wake(self.run, self.clock.at, WAKE_AFTER)
        if isinstance(decision, Resend | WakeLater):
            assert decision.run.wake_at is not None
            assert decision.run.wake_at > self.clock.at
            self.keep(decision.run, planned=False)
        elif isinstance(decision, WorkerLost):
            assert not self.held
            after = rules.after_failure(self.run, decision.failure, self.policy, self.clock.at, chance, WAKE_AFTER)
            self.keep(after, planned=not after.is_final)

    @invariant()
    def an_unfinished_run_is_on_wake_and_a_finished_one_is_nowhere(self) -> None:
        if self.run.is_final:
            assert (self.run.wake_at, self.run.lease_until, self.run.not_before) == (None, None, None)
            assert self.run.finished_at is not None
            assert self.run.expires_at is not None
        else:
            assert self.run.wake_at is not None
            assert self.run.finished_at is None

    @invariant()
    def attempts_are_counted_one_by_one_and_never_exceed_the_policy(self) -> None:
        assert self.attempts == list(range(1, self.run.attempt + 1))
        assert self.run.attempt <= self.policy.max_attempts

    @invariant()
    def a_pending_run_has_no_lease_and_no_job(self) -> None:
        if self.run.status == "pending":
            assert self.run.lease_until is None
            assert self.run.job_id is None

    def teardown(self) -> None:
        """Left to the tick and an executor that works, it ends; whatever messages were lost before."""
        if not hasattr(self, "run"):
            return
        for _ in range(200):
            if self.run.is_final:
                return
            assert self.run.wake_at is not None
            self.clock.jump(max(self.run.wake_at, self.run.not_before or self.run.wake_at))
            self.the_tick_meets_it()
            self.its_message_arrives()
            if self.held:
                self.it_completes()
        raise AssertionError(f"It never ends: {self.run}")


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=120, stateful_step_count=40)
