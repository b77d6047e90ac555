"""Whatever is done to schedules and whoever dies over it, in whatever order: `chaos.observer` has nothing to say.

What random worlds find once in a million occurrences, Hypothesis looks for on purpose, and makes small.
"""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.chaos.harness import TICK_LIFE, Climate, Deployment, deployed
from tests.chaos.simulation import Process

HOUR = timedelta(hours=1)
SKEWS = st.integers(-30_000, 30_000).map(lambda number: timedelta(milliseconds=number)) | st.just(timedelta(0))
CRASHES = st.none() | st.none() | st.integers(1, 12)  # writes, and what comes after each
SECONDS = st.integers(0, 90) | st.integers(0, 1200) | st.just(60)
TIMINGS = st.one_of(
    st.builds(lambda seconds: {"kind": "interval", "expression": f"{seconds}s"}, st.sampled_from([7, 20, 60, 300])),
    st.just({"kind": "cron", "expression": "* * * * *"}),
    st.just({"kind": "cron", "expression": "*/15 * * * * *"}),
).flatmap(
    lambda timing: st.fixed_dictionaries(
        {name: st.just(value) for name, value in timing.items()},
        optional={"jitter_seconds": st.sampled_from([3, 200]), "max_runs": st.integers(1, 9)},
    )
)
POLICIES = st.fixed_dictionaries(
    {
        "overlap": st.sampled_from(["allow", "skip", "queue_one", "queue_all", "cancel_previous"]),
        "catch_up": st.sampled_from(["last", "all", "none"]),
    },
    optional={"max_lateness_seconds": st.just(400), "pause_after_failures": st.just(2)},
)
CLIMATES = st.builds(
    Climate,
    lag=st.sampled_from([timedelta(0), timedelta(seconds=3)]),
    failing=st.sampled_from([0.0, 0.5]),
    slow=st.sampled_from([0.0, 0.5]),
)


class Schedules(RuleBasedStateMachine):
    """A few schedules, their users, ticks and executors. Messages are delivered whenever time goes by."""

    @initialize(climate=CLIMATES)
    def begin(self, climate: Climate) -> None:
        self.stack = ExitStack()
        self.deployment: Deployment = self.stack.enter_context(deployed("machine", climate))
        self.end = (self.deployment.simulation.now + HOUR).replace(microsecond=0)

    def process(self, name: str, skew: timedelta, crash: int | None) -> Process:
        lives = TICK_LIFE if name == "tick" else None
        return self.deployment.process(name, lives, skew=skew, crash_at=crash)

    @property
    def ids(self) -> list[str]:
        return [id for id, kept in self.deployment.watcher.schedules.items() if not kept.deleted]

    def pick(self, number: int) -> str:
        return self.ids[number % len(self.ids)]

    @precondition(lambda self: len(self.ids) < 3)
    @rule(timing=TIMINGS, policies=POLICIES, skew=SKEWS, crash=CRASHES)
    def somebody_creates(
        self, timing: dict[str, Any], policies: dict[str, Any], skew: timedelta, crash: int | None
    ) -> None:
        made = {"name": "machine", "input": "first", "end_at": self.end, **timing, **policies}
        self.join(self.deployment.create(made, process=self.process("api", skew, crash)))

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 2), timing=TIMINGS, skew=SKEWS, crash=CRASHES)
    def somebody_edits_the_time(self, number: int, timing: dict[str, Any], skew: timedelta, crash: int | None) -> None:
        changes = {"jitter_seconds": 0, "max_runs": None, **timing}
        self.join(self.deployment.edit(self.pick(number), changes, process=self.process("api", skew, crash)))

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 2), input=st.sampled_from("abc"), skew=SKEWS, crash=CRASHES)
    def somebody_edits_the_input(self, number: int, input: str, skew: timedelta, crash: int | None) -> None:
        process = self.process("api", skew, crash)
        self.join(self.deployment.edit(self.pick(number), {"input": input}, process=process))

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 2), enabled=st.booleans(), skew=SKEWS, crash=CRASHES)
    def somebody_pauses_or_resumes(self, number: int, enabled: bool, skew: timedelta, crash: int | None) -> None:
        self.join(self.deployment.edit(self.pick(number), {}, enabled, self.process("api", skew, crash)))

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 2), skew=SKEWS, crash=CRASHES)
    def somebody_stops(self, number: int, skew: timedelta, crash: int | None) -> None:
        self.join(self.deployment.pause(self.pick(number), self.process("api", skew, crash)))

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 2), skew=SKEWS, crash=CRASHES)
    def somebody_triggers(self, number: int, skew: timedelta, crash: int | None) -> None:
        self.join(self.deployment.trigger(self.pick(number), self.process("api", skew, crash)))

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 2), crash=CRASHES)
    def somebody_deletes(self, number: int, crash: int | None) -> None:
        self.join(self.deployment.delete(self.pick(number), self.process("api", timedelta(0), crash)))

    @rule(skew=SKEWS, crash=CRASHES)
    def a_tick(self, skew: timedelta, crash: int | None) -> None:
        self.join(self.deployment.tick(self.process("tick", skew, crash)))

    @rule(first=SKEWS, second=SKEWS)
    def two_ticks_at_once(self, first: timedelta, second: timedelta) -> None:
        ticks = [self.deployment.tick(self.process("tick", skew, None)) for skew in (first, second)]
        self.deployment.simulation.join(ticks)

    @rule(seconds=SECONDS)
    def time_goes_by(self, seconds: int) -> None:
        self.deployment.simulation.sleep(seconds)

    @rule(minutes=st.integers(1, 5))
    def time_goes_by_with_ticks(self, minutes: int) -> None:
        for _ in range(minutes):
            self.a_tick(timedelta(0), None)
            self.deployment.simulation.sleep(60)

    @rule()
    def messages_are_lost(self) -> None:
        self.deployment.queue.lose_all()

    def join(self, task: Any) -> None:
        self.deployment.simulation.join([task])

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "deployment"):
            assert not self.deployment.watcher.found, self.deployment.watcher.told

    def teardown(self) -> None:
        """Left alone, with a tick each minute, everything comes to its end."""
        if not hasattr(self, "stack"):
            return
        with self.stack:
            self.deployment.settle()
            self.nothing_is_wrong()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    max_examples=150, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
)
