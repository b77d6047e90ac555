"""Admission to a source: its circuit breaker and its concurrency leases, asked once for a whole batch.

A source without limits and without failures costs nothing here.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain import breaker as breaker_rules
from shared.domain import leases as lease_rules
from shared.domain.breaker import Breaker, Closed, Open, Probe
from shared.domain.run import Run
from shared.domain.source import Source, SourceStatus
from shared.errors import Conflict, Unavailable
from shared.observability import logger
from shared.store.sources import SourceStore

ROUNDS = 10  # a write of leases is tried this often; many executors may want the same item
MIN_WAIT, MAX_WAIT = timedelta(seconds=2), timedelta(seconds=60)


@dataclass
class Admission:
    """Which runs may go to their source now, and until when each of the others is put off."""

    go: list[Run] = field(default_factory=list)
    wait: list[tuple[Run, datetime]] = field(default_factory=list)

    def put_off(self, now: datetime) -> None:
        """Nobody goes after all."""
        self.wait += [(run, now + MIN_WAIT) for run in self.go]
        self.go = []


class Gate:
    """The limits of sources, as one executor environment asks and reports them."""

    def __init__(self, sources: SourceStore) -> None:
        self._sources = sources
        self._lock = threading.Lock()  # reports of one environment do not race each other

    def admit(
        self, source: Source, breaker: Breaker, runs: Sequence[Run], now: datetime, lease_until: datetime
    ) -> Admission:
        """Sort `runs` of one source. A run whose job LangFlow already works on always goes: it only asks."""
        polls = [run for run in runs if run.awaits_job]
        fresh = [run for run in runs if not run.awaits_job]
        if source.status is not SourceStatus.active:
            return Admission(go=polls, wait=[(run, now + MAX_WAIT) for run in fresh])
        verdict = breaker_rules.admit(breaker, now, lease_until - now)
        admission = _pass(verdict, fresh, now)
        if source.max_concurrency is not None:
            self._take_leases(source, source.max_concurrency, admission, polls, now, lease_until)
        if isinstance(verdict, Probe) and admission.go and not self._save_breaker(breaker, verdict.breaker):
            admission.put_off(now)  # another executor probes
        admission.go += polls
        return admission

    def report_failure(self, source: Source, now: datetime) -> None:
        """Count one more failure in a row. Losing a race means that somebody else counted: enough."""
        with self._lock:
            breaker = self._sources.get_breaker(source.project_id, source.id)
            self._save_breaker(breaker, breaker_rules.after_failure(breaker, now))

    def report_success(self, source: Source, seen: Breaker) -> None:
        """Close the breaker, if there was anything to close when the batch began."""
        if seen.failures == 0:
            return
        with self._lock:
            breaker = self._sources.get_breaker(source.project_id, source.id)
            if breaker.failures:
                self._save_breaker(breaker, breaker_rules.after_success(breaker))

    def report_nothing(self, source: Source, seen: Breaker) -> None:
        """A probe may have ended without telling anything of its source: let another one try."""
        if seen.open_until is None:
            return
        with self._lock:
            breaker = self._sources.get_breaker(source.project_id, source.id)
            if breaker.probe_until is not None:
                self._save_breaker(breaker, breaker_rules.without_probe(breaker))

    def release(self, source: Source, ended: Sequence[str], held: dict[str, datetime], now: datetime) -> None:
        """Give back the leases of `ended` runs; those of runs that wait for a job go on until the given times."""
        if source.max_concurrency is None:
            return
        for _ in range(ROUNDS):
            leases = self._sources.get_leases(source.project_id, source.id)
            after = lease_rules.give_back(leases, list(ended), now)
            after = after.model_copy(update={"holders": after.holders | held})
            if self._save_leases(leases, after):
                return
        logger.warning("leases.not_released", extra={"source": source.id, "runs": list(ended)})

    def _take_leases(
        self,
        source: Source,
        limit: int,
        admission: Admission,
        polls: list[Run],
        now: datetime,
        lease_until: datetime,
    ) -> None:
        """Keep in `admission.go` the runs that got a lease, and put off the others."""
        asked = [run.id for run in admission.go]
        granted = self._grant(source, limit, asked, [run.id for run in polls], now, lease_until) if asked else []
        admission.wait += [(run, now + _patience(run, now)) for run in admission.go if run.id not in granted]
        admission.go = [run for run in admission.go if run.id in granted]

    def _grant(
        self, source: Source, limit: int, asked: list[str], polls: list[str], now: datetime, lease_until: datetime
    ) -> list[str]:
        for _ in range(ROUNDS):
            leases = self._sources.get_leases(source.project_id, source.id)
            after, granted = lease_rules.take(leases, [*polls, *asked], limit, now, lease_until)
            if not granted or self._save_leases(leases, after):
                return granted
        raise Unavailable(f"The leases of source {source.id} keep changing.")

    def _save_breaker(self, before: Breaker, after: Breaker) -> bool:
        try:
            self._sources.save_breaker(before, after)
        except Conflict:
            return False
        return True

    def _save_leases(self, before: lease_rules.Leases, after: lease_rules.Leases) -> bool:
        try:
            self._sources.save_leases(before, after)
        except Conflict:
            return False
        return True


def _pass(verdict: Closed | Open | Probe, runs: list[Run], now: datetime) -> Admission:
    """All, none or one of `runs`. While one probes, the others ask again soon: it may be back in a moment."""
    match verdict:
        case Closed():
            return Admission(go=list(runs))
        case Open(until):
            return Admission(wait=[(run, min(until, now + MAX_WAIT)) for run in runs])
        case Probe():
            return Admission(go=runs[:1], wait=[(run, now + _patience(run, now)) for run in runs[1:]])


def _patience(run: Run, now: datetime) -> timedelta:
    """A tenth of the time waited so far: a lease that comes free is taken soon, and a day of waiting stays cheap."""
    waited = now - (run.deferred_since or now)
    return min(max(waited / 10, MIN_WAIT), MAX_WAIT)
