"""The time that a request has: who waits for its answer waits so long, and what is not begun by then is not begun."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import OutOfTime


@dataclass(frozen=True)
class Deadline:
    """Until when something that takes long may be begun."""

    until: datetime
    now: Callable[[], datetime]

    @property
    def is_over(self) -> bool:
        return self.now() >= self.until

    def require(self, least: timedelta = timedelta(0)) -> float:
        """The seconds that are left.

        Raises:
            OutOfTime: no more than `least`.
        """
        left = self.until - self.now()
        if left <= least:
            raise OutOfTime("This took too long, so the rest was not begun. What was done stays done: send it again.")
        return left.total_seconds()
