"""The tick: each minute, look after everything on Wake that is due. Schedules fire, backfills go on, runs are woken,
audit entries sealed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.record import instant_text
from shared.domain.schedule import LOOK_AHEAD
from shared.observability import logger
from shared.services.backfilling import Backfilling
from shared.services.firing import Fired, Firing
from shared.services.sealing import Sealing
from shared.services.waking import Waker, Woken
from shared.store import keys
from shared.store.schedules import ScheduleStore
from shared.store.wake import WakeStore, Wakeup

THREADS = keys.WAKE_SHARDS  # so that none waits for another
CATCHING_UP = timedelta(seconds=10)  # of a page, in one tick: others want their turn, too
A_MINUTE = timedelta(minutes=1)
NOTHING_FIRED, NOBODY_WOKEN = Fired(), Woken()


@dataclass(frozen=True)
class Ticked:
    """What a tick did. `complete` is False when its time was up before everything due was looked at; `handed_on` are
    shards with more than a page, left to an invocation of their own."""

    fired: Fired = NOTHING_FIRED
    woken: Woken = NOBODY_WOKEN
    backfilled: int = 0
    sealed: int = 0
    handed_on: int = 0
    complete: bool = True

    def __add__(self, other: "Ticked") -> "Ticked":
        return Ticked(
            self.fired + other.fired,
            self.woken + other.woken,
            self.backfilled + other.backfilled,
            self.sealed + other.sealed,
            self.handed_on + other.handed_on,
            self.complete and other.complete,
        )


@dataclass(frozen=True)
class Ticker:
    wake: WakeStore
    schedules: ScheduleStore
    firing: Firing
    backfilling: Backfilling
    waker: Waker
    sealing: Sealing
    now: Callable[[], datetime]

    def tick(self, deadline: datetime, hand_on: Callable[[str], None]) -> Ticked:
        """Look after all shards at the same time, until `deadline` at most.

        Args:
            hand_on: starts `tick_shard` for a shard with more than a page, elsewhere and at once.

        Raises:
            Unavailable, ClientError: some shard could not be read or written; the next tick tries again.
        """
        with ThreadPoolExecutor(THREADS, "tick") as pool:
            shards = [pool.submit(self._first_page, shard, deadline, hand_on) for shard in keys.wake_shards()]
        ticked = sum((shard.result() for shard in shards if shard.exception() is None), Ticked())
        for error in filter(None, (shard.exception() for shard in shards)):
            logger.error("tick.shard_failed", exc_info=error)
            raise error  # the others are done; what is left here comes with the next tick, and an alarm sees it
        return ticked

    def tick_shard(self, shard: str, deadline: datetime) -> Ticked:
        """Look after all of one shard, page after page, until `deadline` at most."""
        ticked, hurried = Ticked(), replace(self.firing, sleep=None)  # with so much to do, no second is waited for
        for page in self.wake.due(shard, self.now() + LOOK_AHEAD):
            if self.now() >= deadline:
                return ticked + Ticked(complete=False)
            ticked += self._look_after(page, deadline, hurried)
        return ticked

    def fire_as_of(self, at: datetime) -> Fired:
        """Fire all schedules as if it were `at`, which may lie in the future, and nothing beyond.

        Runs are left alone: to them, the leases of all that are under way would be over.
        """
        firing = replace(self.firing, now=lambda: at, ahead=timedelta(0), sleep=None)
        fired = Fired()
        for shard in keys.wake_shards():
            for page in self.wake.due(shard, at):
                fired += firing.fire(self.schedules.readable(_of(keys.SCHEDULE, page)), at + A_MINUTE)
        return fired

    def _first_page(self, shard: str, deadline: datetime, hand_on: Callable[[str], None]) -> Ticked:
        ticked = Ticked()
        for number, page in enumerate(self.wake.due(shard, self.now() + LOOK_AHEAD)):
            if number == 1 and _is_handed_on(shard, hand_on):
                return ticked + Ticked(handed_on=1)
            if self.now() >= deadline:
                return ticked + Ticked(complete=False)
            ticked += self._look_after(page, deadline, self.firing)
        return ticked

    def _look_after(self, page: Sequence[Wakeup], deadline: datetime, firing: Firing) -> Ticked:
        """Schedules first: they are the ones with a time to keep."""
        now = instant_text(self.now())
        schedules = self.schedules.readable(_of(keys.SCHEDULE, page))
        fired = firing.fire(schedules, min(deadline, self.now() + CATCHING_UP)) if schedules else Fired()
        woken = self.waker.wake(_of(keys.RUN, [each for each in page if each.wake_at <= now]))
        backfilled = self.backfilling.go_on(_of(keys.BACKFILL, page), deadline)
        sealed = self.sealing.seal(_of(keys.AUDIT, page))
        return Ticked(fired, woken, backfilled, sealed, complete=not fired.left)


def _is_handed_on(shard: str, hand_on: Callable[[str], None]) -> bool:
    """Whether somebody else looks after the rest of `shard`; if nobody can be asked, we do."""
    try:
        hand_on(shard)
    except (ClientError, BotoCoreError):
        logger.warning("shard.not_handed_on", extra={"shard": shard}, exc_info=True)
        return False
    return True


def _of(kind: str, page: Sequence[Wakeup]) -> list[tuple[str, str]]:
    return [(each.owner.project, each.owner.id) for each in page if each.owner.kind == kind]
