"""Telling of runs never costs them anything."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from shared.domain.breaker import Breaker
from shared.domain.run import Run, RunStatus
from shared.domain.tracing import Span
from shared.errors import PAUSE_SECONDS, NotExported
from shared.services import exporting
from shared.services.attempts import Assignment, Carried, Handed
from shared.services.exporting import LONGEST_PAUSE_SECONDS, RESERVE, SHORTEST_SECONDS, Exporting
from tests.fakes import NOON, Clock
from tests.world import a_run, a_source, a_version, a_workflow

SOON = NOON + timedelta(minutes=5)


class Receiver:
    def __init__(self) -> None:
        self.got: list[Sequence[Span]] = []
        self.failure: Exception | None = None
        self.rejected = 0
        self.answers = Event()
        self.answers.set()

    def send(self, spans: Sequence[Span]) -> int:
        self.got.append(spans)
        self.answers.wait(10)
        if self.failure is not None:
            raise self.failure
        return self.rejected


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.answers.set()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def export(receiver: Receiver, clock: Clock) -> Exporting:
    return Exporting(receiver.send, content=False, now=clock)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    counts: dict[str, int] = {}
    monkeypatch.setattr(exporting, "count", lambda name, number: counts.update({name: counts.get(name, 0) + number}))
    return counts


def over(number: int) -> Run:
    return a_run(number, status=RunStatus.completed, attempt=1, finished_at=NOON)


def told(*runs: Run) -> list[Carried]:
    """What their attempts left, but for the pages."""
    context = (a_version(a_workflow()), a_source(), Breaker(project_id="default", source_id="src_1"))
    return [Carried(Assignment(run, *context, "worker", SOON), run, Handed("job-1"), None) for run in runs]


def test_a_batch_is_told_at_once(export: Exporting, receiver: Receiver, counted: dict[str, int]) -> None:
    export.export(told(over(1), over(2)), SOON)
    (spans,) = receiver.got
    assert len(spans) == 2
    assert counted == {}


def test_of_nothing_nobody_is_told(export: Exporting, receiver: Receiver, counted: dict[str, int]) -> None:
    export.export(told(a_run(status=RunStatus.running)), SOON)
    assert (receiver.got, counted) == ([], {})


def test_a_failure_is_counted_and_no_more(export: Exporting, receiver: Receiver, counted: dict[str, int]) -> None:
    receiver.failure = NotExported("The receiver answered 500.")
    export.export(told(over(1), over(2)), SOON)
    assert counted == {"TracesNotExported": 2}


def test_what_nobody_foresaw_is_the_callers_to_log(export: Exporting, receiver: Receiver) -> None:
    receiver.failure = RuntimeError("unforeseen")
    with pytest.raises(RuntimeError, match="unforeseen"):
        export.export(told(over(1)), SOON)


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, PAUSE_SECONDS), (5.0, 5.0), (float("inf"), LONGEST_PAUSE_SECONDS)]
)
def test_after_a_failure_nobody_waits_for_a_while(
    asked: float | None,
    seconds: float,
    export: Exporting,
    receiver: Receiver,
    clock: Clock,
    counted: dict[str, int],
) -> None:
    receiver.failure = NotExported("Busy.") if asked is None else NotExported("Busy.", asked)
    export.export(told(over(1)), SOON)
    receiver.failure = None

    clock.forward(seconds - 1)
    for number in (2, 3):
        export.export(told(over(number)), clock.at + timedelta(minutes=5))
    assert (len(receiver.got), counted) == (1, {"TracesNotExported": 3})

    clock.forward(1)
    export.export(told(over(4)), clock.at + timedelta(minutes=5))
    assert (len(receiver.got), counted) == (2, {"TracesNotExported": 3})


def test_after_spans_that_a_receiver_did_not_like_it_gets_the_next(
    export: Exporting, receiver: Receiver, counted: dict[str, int]
) -> None:
    receiver.failure = NotExported("The receiver answered 413.", pause_seconds=0)
    export.export(told(over(1)), SOON)
    receiver.failure = None
    export.export(told(over(2)), SOON)
    assert (len(receiver.got), counted) == (2, {"TracesNotExported": 1})


def test_spans_that_were_rejected_are_counted_and_the_others_were_taken(
    export: Exporting, receiver: Receiver, counted: dict[str, int]
) -> None:
    receiver.rejected = 1
    export.export(told(over(1), over(2)), SOON)
    export.export(told(over(3)), SOON)
    assert (len(receiver.got), counted) == (2, {"SpansRejected": 2})


def test_whoever_waits_for_ever_is_left_behind_and_nobody_follows(
    export: Exporting, receiver: Receiver, clock: Clock, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that does not answer: nothing interrupts that."""
    monkeypatch.setattr(exporting, "LONGEST_SECONDS", 1.0)
    receiver.answers.clear()
    export.export(told(over(1)), SOON)
    assert counted == {"TracesNotExported": 1}

    clock.forward(PAUSE_SECONDS)
    export.export(told(over(2)), SOON)
    assert (len(receiver.got), counted) == (1, {"TracesNotExported": 2})

    receiver.answers.set()
    assert export._sending is not None
    export._sending.result(10)
    export.export(told(over(3)), SOON)
    assert (len(receiver.got), counted) == (2, {"TracesNotExported": 2})


def test_it_never_takes_more_than_the_invocation_has(
    export: Exporting, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(exporting.Future, "result", lambda _, seconds: waited.append(seconds) or 0)
    export.export(told(over(1)), NOON + RESERVE + timedelta(seconds=2))
    export.export(told(over(2)), SOON)
    assert waited == [2.0, exporting.LONGEST_SECONDS]


def test_an_invocation_that_is_about_to_end_tells_nobody(
    export: Exporting, receiver: Receiver, counted: dict[str, int]
) -> None:
    enough = NOON + RESERVE + timedelta(seconds=SHORTEST_SECONDS)
    export.export(told(over(1)), enough - timedelta(milliseconds=1))
    assert (receiver.got, counted) == ([], {"TracesNotExported": 1})
    export.export(told(over(1)), enough)
    assert (len(receiver.got), counted) == (1, {"TracesNotExported": 1})


def test_what_the_batch_did_is_counted_before_anything_is_waited_for(
    export: Exporting, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(exporting, "report", lambda: order.append("counted"))
    export.send = lambda spans: order.append("sent") or 0  # type: ignore[func-returns-value]
    export.export(told(over(1)), SOON)
    assert order == ["counted", "sent"]


def test_who_was_not_told_of_stands_in_the_log(
    export: Exporting, receiver: Receiver, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(exporting.logger, "warning", lambda event, extra: lines.append((event, extra)))
    receiver.failure = NotExported("Busy.")
    runs = [over(1), over(2)]
    export.export(told(*runs), SOON)
    facts = {"runs": 2, "run_ids": [run.id for run in runs], "correlation_ids": ["c-1"], "reason": "Busy."}
    assert lines == [("traces.not_exported", facts)]


def test_a_run_that_somebody_else_had_taken_over_is_theirs_to_tell(
    export: Exporting, receiver: Receiver, counted: dict[str, int]
) -> None:
    (mine,) = told(over(1))
    export.export([mine._replace(run=None)], SOON)
    assert (receiver.got, counted) == ([], {})
