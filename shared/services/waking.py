"""Waking: what the tick does each minute. Looks after every unfinished run that nobody has touched in time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain import run as run_rules
from shared.domain.retry import RetryPolicy
from shared.domain.run import Attempt, Resend, Run, WakeLater, WorkerLost
from shared.errors import SparkError
from shared.observability import about, logger
from shared.queue import RunQueue
from shared.services.submission import announce
from shared.store import keys
from shared.store.keys import Owner
from shared.store.runs import RunStore
from shared.store.wake import WakeStore
from shared.store.workflows import WorkflowStore

THREADS = 8


@dataclass(frozen=True)
class Woken:
    """What a tick did. `complete` is False when its time was up before everything due was looked at."""

    resent: int = 0
    postponed: int = 0
    lost: int = 0
    complete: bool = True

    def __add__(self, other: "Woken") -> "Woken":
        return Woken(
            self.resent + other.resent,
            self.postponed + other.postponed,
            self.lost + other.lost,
            self.complete and other.complete,
        )


@dataclass(frozen=True)
class Waker:
    wake: WakeStore
    runs: RunStore
    workflows: WorkflowStore
    queue: RunQueue
    now: Callable[[], datetime]
    chance: Callable[[], float]
    wake_after: timedelta

    def wake_due(self, deadline: datetime) -> Woken:
        """Look after everything on Wake that is due, all shards at the same time, until `deadline` at most.

        Raises:
            Unavailable, ClientError: some shard could not be read or written; the next tick tries again.
        """
        with ThreadPoolExecutor(THREADS, "wake") as pool:
            shards = [pool.submit(self._wake_shard, shard, deadline) for shard in keys.wake_shards()]
        woken = sum((shard.result() for shard in shards if shard.exception() is None), Woken())
        for error in filter(None, (shard.exception() for shard in shards)):
            logger.error("tick.shard_failed", exc_info=error)
            raise error  # the others are done; what is left here comes with the next tick, and an alarm sees it
        return woken

    def _wake_shard(self, shard: str, deadline: datetime) -> Woken:
        woken = Woken()
        for owners in self.wake.due(shard, self.now()):
            if self.now() >= deadline:
                return woken + Woken(complete=False)
            woken += self._wake_runs([owner for owner in owners if owner.kind == keys.RUN])
        return woken

    def _wake_runs(self, owners: Sequence[Owner]) -> Woken:
        now = self.now()
        found = self.runs.get_many([(owner.project, owner.id) for owner in owners], consistent=True)
        decisions = [(run, run_rules.on_wake(run, now, self.wake_after)) for run in found.values()]
        resent = self._save([(run, each.run) for run, each in decisions if isinstance(each, Resend)])
        postponed = self._save([(run, each.run) for run, each in decisions if isinstance(each, WakeLater)])
        announce(resent, self.queue, now)
        lost = [self._bring_back(run, each, now) for run, each in decisions if isinstance(each, WorkerLost)]
        return Woken(resent=len(resent), postponed=len(postponed), lost=sum(lost))

    def _save(self, moves: Sequence[tuple[Run, Run]]) -> list[Run]:
        """Those that held; a run that moved on meanwhile needs nobody."""
        return [run for run in self.runs.save_many(moves) if run is not None] if moves else []

    def _bring_back(self, run: Run, lost: WorkerLost, now: datetime) -> bool:
        """`_end_attempt`, so that one run that cannot be saved does not keep the others of its shard waiting."""
        try:
            return self._end_attempt(run, lost, now)
        except (SparkError, ClientError, BotoCoreError):
            logger.exception("attempt.not_ended", extra=about(run))
            return False

    def _end_attempt(self, run: Run, lost: WorkerLost, now: datetime) -> bool:
        """The attempt of a lost worker is over; the retry policy says what follows."""
        policy = self._policy(run)
        after = run_rules.after_failure(run, lost.failure, policy, now, self.chance(), self.wake_after)
        error = run_rules.attempt_error(run, lost.failure, policy)
        page = Attempt(
            project_id=run.project_id,
            run_id=run.id,
            number=run.attempt,
            started_at=run.started_at or run.created_at,
            ended_at=now,
            expires_at=run_rules.expiry(run, now),
            error=error,
        )
        saved = self.runs.save_with_page(run, after, page)
        if saved is None:
            return False
        logger.warning("attempt.worker_lost", extra={**about(run), "attempt": run.attempt, "status": saved.status})
        if not saved.is_final:
            announce([saved], self.queue, now)
        return True

    def _policy(self, run: Run) -> RetryPolicy:
        if run.retry is not None:
            return run.retry
        id = (run.project_id, run.workflow_id, run.workflow_version)
        version = self.workflows.get_versions([id]).get(id)
        return version.settings.retry if version is not None else RetryPolicy()
