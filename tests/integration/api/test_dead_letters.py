"""Dead letters over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx

from shared import wiring
from shared.domain.dead_letter import NO_PROJECT, DeadLetter, DeadLetterReason
from tests.integration.api.conftest import made
from tests.integration.api.test_runs import finish
from tests.integration.api.wire import problem

Json = dict[str, Any]


def bury(run_id: str | None = None, project: str = "default") -> DeadLetter:
    letter = DeadLetter(
        project_id=project,
        id=wiring.new_id("dead"),
        reason=DeadLetterReason.too_many_attempts if run_id else DeadLetterReason.unreadable,
        body="{}",
        run_id=run_id,
        message="Nobody could finish it.",
        created_at=wiring.now(),
    )
    return wiring.dead_letters().save(None, letter)


def a_failed_run(api: httpx.Client, order: Callable[..., Json]) -> str:
    run = made(api.post("/runs", json=order()))
    finish(run["id"], failed=True)
    return str(run["id"])


def test_dead_letters_are_listed_and_shown(api: httpx.Client) -> None:
    first, second = bury("run_1"), bury("run_2")
    listed = api.get("/dead-letters").json()["items"]
    assert [letter["id"] for letter in listed] == [second.id, first.id]
    assert api.get(f"/dead-letters/{first.id}").json() == listed[1]
    problem(api.get("/dead-letters/dead_nobody"), 404, "not_found")


def test_a_dead_letter_is_redriven_once(api: httpx.Client, order: Callable[..., Json]) -> None:
    run = a_failed_run(api, order)
    letter = bury(run)
    again = made(api.post(f"/dead-letters/{letter.id}/redrive"))
    assert (again["retry_of"], again["status"]) == (run, "pending")
    assert api.get(f"/dead-letters/{letter.id}").json()["redriven_run_id"] == again["id"]
    assert again["id"] in problem(api.post(f"/dead-letters/{letter.id}/redrive"), 409, "conflict")["detail"]


def test_a_redrive_that_crashed_half_way_is_finished(api: httpx.Client, order: Callable[..., Json]) -> None:
    letter = bury(a_failed_run(api, order))
    promised = wiring.new_id("run")
    wiring.dead_letters().save(letter, letter.model_copy(update={"redriven_run_id": promised}))
    assert made(api.post(f"/dead-letters/{letter.id}/redrive"))["id"] == promised


def test_a_redrive_of_a_run_that_is_gone_is_a_conflict(api: httpx.Client) -> None:
    problem(api.post(f"/dead-letters/{bury('run_gone').id}/redrive"), 409, "conflict")


def test_unreadable_letters_stand_apart_and_cannot_be_redriven(api: httpx.Client) -> None:
    letter = bury(project=NO_PROJECT)
    assert api.get("/dead-letters").json()["items"] == []
    (listed,) = api.get("/dead-letters?unreadable=true").json()["items"]
    assert listed["id"] == letter.id
    assert api.get(f"/dead-letters/{letter.id}?unreadable=true").json()["body"] == "{}"
    problem(api.post(f"/dead-letters/{letter.id}/redrive?unreadable=true"), 409, "conflict")
