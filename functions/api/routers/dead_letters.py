"""Dead letters: messages that nobody could work on, and the runs behind them.

What nobody can read names no project, so every project is shown it: the operator's whole, which is the default one, and
the others' only where it begins. It may hold anything that somebody sent to the queue.
"""

from typing import Annotated

from fastapi import Query, Response

from functions.api import table
from functions.api.dependencies import Caller, Id, orders
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, existing
from functions.api.pages import Page, Paged
from functions.api.starting import started
from functions.api.views import DeadLetterView, RunView, dead_letter_view
from shared import wiring
from shared.domain.dead_letter import NO_PROJECT

router = table.router("dead-letters")

Unreadable = Annotated[bool, Query(description="Those that name no run and no project, because nobody can read them.")]


@router.get("", responses=responses(400))
def list_dead_letters(caller: Caller, paged: Paged, unreadable: Unreadable = False) -> Page[DeadLetterView]:
    """Dead letters, newest first."""
    project = NO_PROJECT if unreadable else caller.project_id
    found = wiring.dead_letters().list(project, limit=paged.limit, after=paged.after(project))
    return paged.answer(project, [dead_letter_view(letter, caller.project_id) for letter in found.items], found.next)


@router.get("/{dead_letter_id}", responses=responses(404))
def get_dead_letter(dead_letter_id: Id, caller: Caller, unreadable: Unreadable = False) -> DeadLetterView:
    """One dead letter, with the message as it was. Of an unreadable one only the operator's project sees all."""
    letter = wiring.dead_letters().get(NO_PROJECT if unreadable else caller.project_id, dead_letter_id)
    return dead_letter_view(letter, caller.project_id)


@router.post("/{dead_letter_id}/redrive", status_code=202, responses=responses(404, 409))
def redrive_dead_letter(
    dead_letter_id: Id,
    caller: Caller,
    once: OnlyOnce,
    response: Response,
    unreadable: Unreadable = False,
) -> RunView:
    """Run again what the letter is about: a new run, which names the old one in `retry_of`."""
    project, ordering, dead_letters = caller.project_id, orders(caller), wiring.dead_letters()
    letter = dead_letters.get(NO_PROJECT if unreadable else project, dead_letter_id)
    run = once.do(
        caller,
        None,
        lambda work: existing(ordering.runs.get, project, work.id("run")),
        lambda work: ordering.redrive(letter, work.id("run"), dead_letters=dead_letters),
    )
    return started(run, ordering, response)
