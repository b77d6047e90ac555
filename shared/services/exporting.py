"""Telling a receiver of traces what became of runs: once they are saved, a batch at once, and never at their cost."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Thread

from shared.domain.tracing import Span, Told, spans
from shared.errors import NotExported
from shared.observability import count, logger, report, those
from shared.services.attempts import Carried

LONGEST_SECONDS = 5.0  # a batch waits for its receiver: reading the secret, finding the host, sending
SHORTEST_SECONDS = 1.0  # with less it is not worth to begin
RESERVE = timedelta(seconds=1)  # kept of the invocation for ending it
LONGEST_PAUSE_SECONDS = 3600.0  # whatever a receiver asks for

Send = Callable[[Sequence[Span]], int]


@dataclass
class Exporting:
    """One per environment. `send` is `Otlp.send`; `content` says whether inputs and outputs are told, too."""

    send: Send
    content: bool
    now: Callable[[], datetime]
    _paused_until: datetime | None = field(default=None)
    _sending: "Future[int] | None" = field(default=None)

    def export(self, carried: Sequence[Carried], lease_until: datetime) -> None:
        """Send what can be told of the runs that were saved. What fails is logged, counted and not tried again.

        Args:
            lease_until: when this invocation will be dead for certain.
        """
        told = _told(carried)
        found = [span for each in told for span in spans(each, content=self.content)]
        if not found:
            return
        now = self.now()
        seconds = min((lease_until - RESERVE - now).total_seconds(), LONGEST_SECONDS)
        try:
            _note_rejected(told, self._send(found, now, seconds))
        except NotExported as failure:
            if failure.pause_seconds:
                self._paused_until = self.now() + timedelta(seconds=min(failure.pause_seconds, LONGEST_PAUSE_SECONDS))
            _give_up(told, str(failure))

    def _send(self, found: Sequence[Span], now: datetime, seconds: float) -> int:
        """`send` within `seconds`, whatever it waits for: a name server cannot be interrupted, only left behind."""
        if self._paused_until is not None and now < self._paused_until:
            raise NotExported("paused after a failure", pause_seconds=0)
        if self._sending is not None and not self._sending.done():
            raise NotExported("the last ones are still being sent", pause_seconds=0)
        if seconds < SHORTEST_SECONDS:
            raise NotExported("no time left", pause_seconds=0)
        report()  # should the invocation end with this after all, what it did is counted
        self._sending = _begin(lambda: self.send(found))
        try:
            return self._sending.result(seconds)
        except TimeoutError:
            raise NotExported(f"It took longer than {seconds:.1f} s.") from None


def _begin(call: Callable[[], int]) -> "Future[int]":
    """`call` on a thread that nobody has to wait for. An environment that freezes takes it along."""
    future: Future[int] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # the other side of a thread: it is raised again where it is waited for
            future.set_exception(error)

    Thread(target=work, name="traces", daemon=True).start()
    return future


def _told(carried: Sequence[Carried]) -> list[Told]:
    saved = [(each, each.run) for each in carried if each.run is not None]
    return [Told(run, each.page, each.assignment.version, each.assignment.source) for each, run in saved]


def _note_rejected(told: Sequence[Told], rejected: int) -> None:
    """Its words on them are not repeated: they may quote the spans."""
    if rejected:
        count("SpansRejected", rejected)
        logger.warning("traces.rejected", extra={**those(each.run for each in told), "spans": rejected})


def _give_up(told: Sequence[Told], reason: str) -> None:
    count("TracesNotExported", len(told))
    logger.warning("traces.not_exported", extra={**those(each.run for each in told), "reason": reason})
