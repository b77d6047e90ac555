"""Whose turn it is among the runs of a schedule that may not overlap: one slot, and a queue before it."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from shared.domain.record import Record

MAX_QUEUE = 100


class Overlap(StrEnum):
    """What to do when an occurrence is due and the run of an earlier one is not over."""

    allow = "allow"
    skip = "skip"
    queue_one = "queue_one"
    queue_all = "queue_all"
    cancel_previous = "cancel_previous"


class Slot(Record):
    """The slot of a schedule. A holder that waits for its retry still holds it; one that is over is to leave it."""

    schedule_id: str
    holder: str | None = Field(None, description="The run that has it.")
    queue: tuple[str, ...] = ()
    skipped: int = Field(0, description="Runs that were left out, ever.")


@dataclass(frozen=True)
class Enter:
    """The run has the slot, once `slot` is saved."""

    slot: Slot


@dataclass(frozen=True)
class Wait:
    """The run waits, once `slot` is saved, until somebody leaves."""

    slot: Slot


@dataclass(frozen=True)
class Skip:
    """`run` is left out, in one transaction with `slot`, which counts it. Is it not the one that asked? Ask again."""

    slot: Slot
    run: str


@dataclass(frozen=True)
class Oust:
    """`holder` is to be cancelled; then the run has the slot, once `slot` is saved."""

    slot: Slot
    holder: str


def enter(slot: Slot, run: str, policy: Overlap) -> Enter | Wait | Skip | Oust:
    """What `run` may do that wants the slot, in which is nobody who is over."""
    if slot.holder == run:
        return Enter(slot)
    waiting = tuple(other for other in slot.queue if other != run)
    if slot.holder is None:
        return Enter(slot.model_copy(update={"holder": run, "queue": waiting}))
    if policy is Overlap.cancel_previous and slot.holder < run:
        return Oust(slot.model_copy(update={"holder": run, "queue": waiting}), slot.holder)
    if policy is Overlap.queue_all and (run in slot.queue or len(waiting) < MAX_QUEUE):
        return Wait(slot if run in slot.queue else slot.model_copy(update={"queue": (*waiting, run)}))
    if policy is Overlap.queue_one:
        return _queue_one(slot, run)
    return _skip(slot, run)


def leave(slot: Slot, run: str | None) -> Slot:
    """`slot` without `run`; if `run` had it, the first who waits has it now."""
    if slot.holder != run:
        return slot.model_copy(update={"queue": tuple(other for other in slot.queue if other != run)})
    return slot.model_copy(update={"holder": slot.queue[0] if slot.queue else None, "queue": slot.queue[1:]})


def _queue_one(slot: Slot, run: str) -> Wait | Skip:
    """Only the newest waits: ids sort by the time for which they were scheduled."""
    oldest, *newer = sorted({*slot.queue, run})
    if not newer:
        return Wait(slot.model_copy(update={"queue": (run,)}))
    return Skip(slot.model_copy(update={"queue": tuple(newer), "skipped": slot.skipped + 1}), oldest)


def _skip(slot: Slot, run: str) -> Skip:
    waiting = tuple(other for other in slot.queue if other != run)
    return Skip(slot.model_copy(update={"queue": waiting, "skipped": slot.skipped + 1}), run)
