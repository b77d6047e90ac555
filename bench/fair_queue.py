"""A standard SQS queue with message groups: one tenant's backlog waits behind everybody else's messages.

Rules, from AWS's description, which calls the thresholds approximate; its second measure, the share of processing time,
is left out. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html and
sqs-fair-queues-detailed.html beside it, read on 2026-11-21.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

NOISY_SHARE, NOISY_COUNT = 0.1, 30  # of the messages in flight


class FairQueue(Generic[T]):
    """Messages of tenants, oldest first, those of quiet tenants before all others.

    A tenant is noisy with more than a tenth of all messages in flight and at least 30 of its own, until it has none
    left to be received. Of noisy ones, who has least in flight comes first.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[tuple[int, T]]] = {}
        self._in_flight = Counter[int]()
        self._noisy: set[int] = set()
        self._sent = self._received = 0

    def __len__(self) -> int:
        return self._sent - self._received

    def send(self, messages: Iterable[tuple[int, T]]) -> None:
        """Each with its tenant."""
        for tenant, message in messages:
            self._waiting.setdefault(tenant, deque()).append((self._sent, message))
            self._sent += 1

    def receive(self, most: int) -> list[T]:
        """The next messages, `most` of them or all. They are in flight until they are deleted."""
        return [self._next() for _ in range(min(most, len(self)))]

    def delete(self, tenant: int) -> None:
        """One message of `tenant` is done with."""
        self._in_flight[tenant] -= 1

    def _next(self) -> T:
        tenant = min(self._waiting, key=self._turn)
        _, message = self._waiting[tenant].popleft()
        self._received += 1
        self._in_flight[tenant] += 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]
            self._noisy.discard(tenant)
        elif self._in_flight[tenant] >= max(NOISY_COUNT, NOISY_SHARE * self._in_flight.total()):
            self._noisy.add(tenant)
        return message

    def _turn(self, tenant: int) -> tuple[bool, int]:
        is_noisy = tenant in self._noisy
        return is_noisy, self._in_flight[tenant] if is_noisy else self._waiting[tenant][0][0]
