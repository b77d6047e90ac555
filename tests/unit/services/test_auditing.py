"""Entries that are no change of one record."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.act import Act
from shared.domain.audit import AuditEntry, Subject
from shared.errors import Unavailable
from shared.services.auditing import Denials, Denied, note_bulk
from shared.services.versioning import Author
from shared.store import keys
from shared.store.audit import ROUNDS, AuditFilter
from tests.world import World

DENIED = Denied(
    caller="key_1",
    organization="org_1",
    project="prj_1",
    permission="sources:write",
    endpoint="DELETE /api/v1/sources/{id}",
    request="DELETE /api/v1/sources/src_1",
    address="192.0.2.7",
    correlation_id="trace-1",
)


def log(world: World) -> list[AuditEntry]:
    """Oldest first."""
    return world.audit.list("org_1", AuditFilter(), limit=100).items[::-1]


def test_a_storm_of_denials_is_one_entry_a_minute_for_each_caller_and_permission() -> None:
    world = World()
    denials = Denials(world.audit, world.clock)
    for _ in range(3):
        for _ in range(100):
            denials.note(DENIED)
            denials.note(replace(DENIED, permission="keys:write"))
            denials.note(replace(DENIED, request="DELETE /api/v1/sources/src_2"))
            denials.note(replace(DENIED, endpoint="POST /api/v1/sources"))
            denials.note(replace(DENIED, caller="key_2"))
            world.clock.forward(0.1)
        world.clock.forward(50)
    entries = log(world)
    assert len(entries) == 12
    assert [entry.number for entry in entries if entry.chain == "caller/key_1"] == list(range(1, 10))
    assert [entry.number for entry in entries if entry.chain == "caller/key_2"] == [1, 2, 3]


def test_a_denial_says_what_was_asked_for() -> None:
    world = World()
    denials = Denials(world.audit, world.clock)
    denials.note(DENIED)
    denials.note(replace(DENIED, permission="", caller="key_2"))
    by_caller = {entry.actor: entry for entry in log(world)}
    assert by_caller["key_1"].detail == {"request": DENIED.request, "permission": "sources:write"}
    assert by_caller["key_2"].detail == {"request": DENIED.request}
    assert (by_caller["key_1"].address, by_caller["key_1"].correlation_id) == ("192.0.2.7", "trace-1")


def test_a_denial_that_cannot_be_noted_harms_nobody() -> None:
    world = World()
    world.faults.refuse["put"] = 1
    Denials(world.audit, world.clock).note(DENIED)
    assert log(world) == []


def test_whoever_is_overtaken_adds_behind_the_other() -> None:
    world, act = World(), Act("request.denied", "key_1", "org_1", World().clock.at)
    pk, subject = keys.denials("org_1", "key_1"), Subject("caller", "key_1")
    world.faults.meanwhile["put"] = lambda: world.audit.append(replace(act, actor="other"), subject, pk)
    assert world.audit.append(act, subject, pk).number == 2
    first, second = sorted(log(world), key=lambda entry: entry.number)
    assert (first.actor, second.previous) == ("other", first.hash)


def test_whoever_is_always_overtaken_says_to_try_again() -> None:
    world, act = World(), Act("request.denied", "key_1", "org_1", World().clock.at)
    pk, subject = keys.denials("org_1", "key_1"), Subject("caller", "key_1")
    quiet = type(world.audit)(world.table.quietly())

    def overtake() -> None:
        quiet.append(act, subject, pk)
        world.faults.meanwhile["put"] = overtake

    world.faults.meanwhile["put"] = overtake
    with pytest.raises(Unavailable):
        world.audit.append(act, subject, pk)
    assert len(log(world)) == ROUNDS


def test_a_bulk_is_an_entry_of_its_project() -> None:
    world = World()
    author = Author("prj_1", "key_1", world.clock.at, "org_1", "192.0.2.7", "trace-1")
    detail: dict[str, Any] = {"matched": 3}
    note_bulk(author, "schedules.paused", detail, world.audit)
    world.clock.forward(1)
    note_bulk(replace(author, now=world.clock.at + timedelta(seconds=1)), "schedules.resumed", detail, world.audit)
    paused, resumed = log(world)
    assert (paused.chain, paused.detail, paused.project_id) == ("project/prj_1", detail, "prj_1")
    assert resumed.previous == paused.hash
    assert author.does("x") is not None
    assert replace(author, in_bulk=True).does("x") is None
