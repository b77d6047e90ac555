"""The time that a request has: who waits for its answer waits so long, and what is not begun by then is not begun."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from shared.errors import OutOfTime
from shared.store.records import Slice

T = TypeVar("T")


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

    def all_of(self, page: Callable[[str | None], Slice[T]]) -> Iterator[T]:
        """All of a list, whose `page` after some id is read as long as there is time.

        Raises:
            OutOfTime: it is too long.
        """
        after: str | None = None
        while True:
            self.require()
            found = page(after)
            yield from found.items
            if found.next is None:
                return
            after = found.next
