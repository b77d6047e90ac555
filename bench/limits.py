"""What AWS publishes about how fast its services let anybody grow, and the shapes that such limits have.

Each figure is from the page named beside it, read on 2026-11-21; it may have changed since. None was met or measured.
"""

from dataclasses import dataclass, field

# "Each partition on the table can serve up to 3,000 read request units or 1,000 write request units": indexes likewise.
# Burst capacity "can't alleviate partition-level throttling", so no more than a second's worth is ever at hand.
# https://repost.aws/knowledge-center/on-demand-table-throttling-dynamodb
# https://repost.aws/knowledge-center/dynamodb-spiky-workloads-short-intervals
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/throttling-key-range-limit-exceeded-mitigation.html
PARTITION_WRITES = 1_000

# What a new on-demand table takes at once; afterwards, twice the peak that it had until half an hour ago.
# https://repost.aws/knowledge-center/on-demand-table-throttling-dynamodb
NEW_TABLE_WRITES = 4_000

# The default quota of a table, to be raised on request.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
TABLE_WRITES = 40_000

# "Five batches at a time with five concurrent invocations", then, "if messages are still available", "up to 300 more
# concurrent invokes per minute", 1,250 at most; "when traffic is low", back to five. How fast back is not said. Older
# copies of the page say 1,000, and a page of 2023 says 60 a minute.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
MAPPING_START, MAPPING_PER_MINUTE, MAPPING_MOST = 5, 300, 1_250

# Provisioned mode, in place of a maximum concurrency: a poller is "10 concurrent invokes", 1,000 invokes more a minute.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
# https://aws.amazon.com/blogs/aws/aws-lambda-enhances-sqs-processing-with-new-provisioned-mode-3x-faster-scaling-16x-higher-capacity
POLLER_INVOKES, POLLERS_PER_MINUTE, PROVISIONED_MOST = 10, 1_000, 20_000

# "1,000 execution environment instances every 10 seconds", of each function, refilled continuously, not accumulated.
# https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
ENVIRONMENTS_AT_ONCE, ENVIRONMENTS_PER_SECOND = 1_000, 100

# The default quota of an account in a region. New accounts have less, and AWS raises it by their use.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ACCOUNT_CONCURRENCY = 1_000

# A standard queue: about so many messages received and not yet deleted.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
IN_FLIGHT = 120_000

# A rule runs once a minute, "within that minute, but not on the precise 0th second": two ticks lie up to two minutes
# apart, less the second that one of them takes. It says nothing of delays beyond that minute.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
LONGEST_BETWEEN_TICKS = 119

# "At 1,769 MB, a function has the equivalent of one vCPU", and in proportion.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_OF_A_CPU = 1_769


@dataclass
class Bucket:
    """A limit on a rate: tokens come at `rate` a second, at most `size` lie ready, and all of these at first."""

    rate: float
    size: float
    _tokens: float = field(init=False)
    _since: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._tokens = self.size

    def has(self, now: float, count: float) -> bool:
        """Whether `count` tokens lie ready. `now` never goes back."""
        if now > self._since:
            self._tokens = min(self.size, self._tokens + self.rate * (now - self._since))
            self._since = now
        return self._tokens >= count

    def take(self, now: float, count: float) -> bool:
        """Take `count` tokens, all or none; whether they were there."""
        if not self.has(now, count):
            return False
        self._tokens -= count
        return True


@dataclass(frozen=True)
class Ramp:
    """A limit on how many, which grows with time: `start` at once, `per_minute` more, evenly, and `most` at last."""

    start: int
    per_minute: float
    most: int


@dataclass
class Pollers:
    """How many batches a mapping takes at a time: more as long as messages wait, else only as many as are busy.

    When nothing waits, what is idle is gone at once, down to the first of `ramp`. AWS does not say how soon it is.
    """

    ramp: Ramp
    _held: float = field(init=False)
    _waiting_since: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._held = self.ramp.start

    def allowed(self, now: float) -> int:
        return min(int(self._level(now) + 1e-9), self.ramp.most)

    def observe(self, now: float, busy: int, *, is_waiting: bool) -> None:
        """Whether messages still wait `now` that all were taken that may be. `now` never goes back."""
        level = min(self._level(now), self.ramp.most)
        self._held = level if is_waiting else max(min(level, busy), self.ramp.start)
        self._waiting_since = now if is_waiting else None

    def _level(self, now: float) -> float:
        earned = 0.0 if self._waiting_since is None else self.ramp.per_minute * (now - self._waiting_since) / 60
        return self._held + earned


@dataclass
class Environments:
    """Of a function: one for each invocation, kept for the next."""

    busy: int = 0
    most: int = 0  # that were ever busy, hence there

    @property
    def has_idle(self) -> bool:
        return self.busy < self.most

    def begin(self) -> bool:
        """Another invocation; whether it starts cold."""
        is_cold = not self.has_idle
        self.busy += 1
        self.most = max(self.most, self.busy)
        return is_cold

    def end(self) -> None:
        self.busy -= 1


def cpu_share(memory_mb: float) -> float:
    """The part of one CPU that a function of so much memory has; more than one helps no single thread."""
    return min(memory_mb / MB_OF_A_CPU, 1.0)
