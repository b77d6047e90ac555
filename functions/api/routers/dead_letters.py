"""Dead letters: messages that nobody could work on, and the runs behind them.

What nobody can read names no project, so every project is shown it: the operator's whole, which is the default one, and
the others' only where it begins. It may hold anything that somebody sent to the queue.
"""

from typing import Annotated

from fastapi import Query, Response

from functions.api import table
from functions.api.auth import Caller
from functions.api.dependencies import Id, may, orders
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, existing
from functions.api.pages import Page, Paged
from functions.api.starting import started
from functions.api.views import DeadLetterView, RunView, dead_letter_view
from shared import wiring
from shared.domain.dead_letter import NO_PROJECT
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.role import Permission
from shared.errors import Forbidden

router = table.router("dead-letters")

Reader = Annotated[Caller, may(Permission.dead_letters_read)]
Redriver = Annotated[Caller, may(Permission.dead_letters_redrive)]

Unreadable = Annotated[bool, Query(description="Those that name no run and no project, because nobody can read them.")]


@router.get("", responses=responses(400))
def list_dead_letters(caller: Reader, paged: Paged, unreadable: Unreadable = False) -> Page[DeadLetterView]:
    """Dead letters, newest first."""
    project = _project(caller, unreadable)
    found = wiring.dead_letters().list(project, limit=paged.limit, after=paged.after(project))
    return paged.answer(project, [dead_letter_view(letter, caller.project_id) for letter in found.items], found.next)


@router.get("/{dead_letter_id}", responses=responses(404))
def get_dead_letter(dead_letter_id: Id, caller: Reader, unreadable: Unreadable = False) -> DeadLetterView:
    """One dead letter, with the message as it was."""
    letter = wiring.dead_letters().get(_project(caller, unreadable), dead_letter_id)
    return dead_letter_view(letter, caller.project_id)


@router.post("/{dead_letter_id}/redrive", status_code=202, responses=responses(404, 409))
def redrive_dead_letter(
    dead_letter_id: Id,
    caller: Redriver,
    once: OnlyOnce,
    response: Response,
    unreadable: Unreadable = False,
) -> RunView:
    """Run again what the letter is about: a new run, which names the old one in `retry_of`."""
    project, ordering, dead_letters = caller.project_id, orders(caller), wiring.dead_letters()
    letter = dead_letters.get(_project(caller, unreadable), dead_letter_id)
    run = once.do(
        caller,
        None,
        lambda work: existing(ordering.runs.get, project, work.id("run")),
        lambda work: ordering.redrive(letter, work.id("run"), dead_letters=dead_letters),
    )
    return started(run, ordering, response)


def _project(caller: Caller, unreadable: bool) -> str:
    """Where to look. What nobody can read may be anybody's: it is for those alone who own the first organization."""
    if not unreadable:
        return caller.project_id
    caller.require(Permission.organization_write)
    if caller.organization_id != DEFAULT_ORGANIZATION:
        raise Forbidden("Unreadable letters are for the first organization of the deployment.")
    return NO_PROJECT
