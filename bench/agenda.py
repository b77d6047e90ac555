"""The clock of a discrete-event simulation, and who waits for what time."""

import heapq
from collections.abc import Generator

Steps = Generator[float, None, None]


class Agenda:
    """Generators that yield how many seconds they wait, each resumed in its turn. Ties go by age."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._started = 0
        self._waiting: list[tuple[float, int, Steps]] = []

    def start(self, steps: Steps, after: float = 0.0) -> None:
        self._started += 1
        heapq.heappush(self._waiting, (self.now + after, self._started, steps))

    def run(self) -> None:
        """Until nobody waits any more."""
        while self._waiting:
            self.now, _, steps = heapq.heappop(self._waiting)
            wait = next(steps, None)
            if wait is not None:
                self.start(steps, wait)
