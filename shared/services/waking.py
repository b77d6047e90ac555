"""Waking: looks after every unfinished run that nobody has touched in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain import run as run_rules
from shared.domain.attempt import Attempt
from shared.domain.retry import RetryPolicy
from shared.domain.run import Resend, Run, WakeLater, WorkerLost
from shared.errors import SparkError
from shared.observability import about, logger, those
from shared.queue import RunQueue
from shared.services.endings import Endings
from shared.services.submission import announce
from shared.store.runs import RunStore
from shared.store.workflows import WorkflowStore


@dataclass(frozen=True)
class Woken:
    """How many runs were announced again, found well, and found without their worker."""

    resent: int = 0
    postponed: int = 0
    lost: int = 0

    def __add__(self, other: "Woken") -> "Woken":
        return Woken(self.resent + other.resent, self.postponed + other.postponed, self.lost + other.lost)


@dataclass(frozen=True)
class Waker:
    runs: RunStore
    workflows: WorkflowStore
    queue: RunQueue
    endings: Endings
    now: Callable[[], datetime]
    chance: Callable[[], float]
    wake_after: timedelta

    def wake(self, ids: Sequence[tuple[str, str]]) -> Woken:
        """Look after the runs of these (project, id), whose `wake_at` has come."""
        if not ids:
            return Woken()
        now = self.now()
        found = self.runs.get_many(ids, consistent=True)
        decisions = [(run, run_rules.on_wake(run, now, self.wake_after)) for run in found.values()]
        resent = self._save([(run, each.run) for run, each in decisions if isinstance(each, Resend)])
        postponed = self._save([(run, each.run) for run, each in decisions if isinstance(each, WakeLater)])
        announce(resent, self.queue, now)
        if resent:
            logger.info("runs.resent", extra=those(resent))
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
        if saved.is_final:
            self.endings.ended(saved)
        else:
            announce([saved], self.queue, now)
        return True

    def _policy(self, run: Run) -> RetryPolicy:
        if run.retry is not None:
            return run.retry
        id = (run.project_id, run.workflow_id, run.workflow_version)
        version = self.workflows.get_versions([id]).get(id)
        return version.settings.retry if version is not None else RetryPolicy()
