"""Burial: what becomes of messages that could not be worked on. Nothing vanishes."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain import run as run_rules
from shared.domain.dead_letter import MAX_RETURNS, NO_PROJECT, DeadLetter, DeadLetterReason
from shared.domain.message import RunMessage
from shared.domain.record import derived_id
from shared.domain.run import Run
from shared.errors import Conflict, NotFound, Unavailable, cut
from shared.observability import about, count, logger
from shared.store.dead_letters import DeadLetterStore
from shared.store.runs import RunStore

ROUNDS = 5
MAX_BODY_BYTES = 64 * 1024  # of an unreadable body, kept for a look


def bury_unreadable(body: str, message_id: str, sent_at: datetime, *, dead_letters: DeadLetterStore) -> None:
    """Keep a body that is no run message. Burying it twice makes one dead letter."""
    letter = DeadLetter(
        project_id=NO_PROJECT,
        id=derived_id("dead", sent_at, message_id),
        reason=DeadLetterReason.unreadable,
        body=cut(body, MAX_BODY_BYTES),
        message="The body is no run message.",
        created_at=sent_at,
    )
    _keep(letter, dead_letters)


def bury(
    read: RunMessage,
    now: datetime,
    wake_after: timedelta,
    *,
    runs: RunStore,
    dead_letters: DeadLetterStore,
    ended: Callable[[Run], None],
) -> None:
    """Deal with a run's message from the dead-letter queue.

    A run that is over needs no message. Another goes back to Wake, so that the tick sends it again; when its message
    has come back too often, it is failed and a dead letter is kept. `ended` is told of a schedule's run that is failed.
    """
    for _ in range(ROUNDS):
        try:
            failed = _return(read, now, wake_after, runs, dead_letters)
        except Conflict:
            continue  # the run moved on while we decided: look again
        except NotFound:
            return logger.warning("dead_letter.unknown_run", extra={"run_id": read.run_id})
        if failed is not None and failed.schedule_id is not None:
            ended(failed)
        return None
    raise Unavailable(f"Run {read.run_id} keeps changing.")


def _return(
    read: RunMessage, now: datetime, wake_after: timedelta, runs: RunStore, dead_letters: DeadLetterStore
) -> Run | None:
    """The run, if it had to be failed."""
    run = runs.get(read.project_id, read.run_id)
    if run.is_final or read.turn < run.turn:
        return None
    if run.returns < MAX_RETURNS:
        runs.save(run, run_rules.give_back(run, now, wake_after))
        logger.warning("dead_letter.returned", extra={**about(run), "returns": run.returns + 1})
        return None
    return _give_up(run, read, now, runs, dead_letters)


def _give_up(run: Run, read: RunMessage, now: datetime, runs: RunStore, dead_letters: DeadLetterStore) -> Run:
    """The letter first: after a crash between the two, the message comes again and finds the run as it was."""
    reason = f"No executor could finish it: its message came back {run.returns + 1} times from the dead-letter queue."
    letter = DeadLetter(
        project_id=run.project_id,
        id=derived_id("dead", run.created_at, run.id),
        reason=DeadLetterReason.too_many_attempts,
        body=read.model_dump_json(),
        run_id=run.id,
        message=reason,
        created_at=now,
    )
    _keep(letter, dead_letters)
    failed = runs.save(run, run_rules.fail(run, run_rules.error_of("too_many_attempts", reason, run.attempt), now))
    count("RunsDeadLettered")
    logger.error("run.dead_lettered", extra=about(run))
    return failed


def _keep(letter: DeadLetter, dead_letters: DeadLetterStore) -> None:
    try:
        dead_letters.save(None, letter)
    except Conflict:
        logger.info("dead_letter.kept_before", extra={"dead_letter": letter.id})
