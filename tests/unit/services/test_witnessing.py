"""What people do with their accounts is told each of their organizations."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.domain.act import SPARK, Origin
from shared.domain.user import MAX_MEMBERSHIPS, User
from shared.errors import Conflict, Outrun, Unavailable
from shared.services.witnessing import ROUNDS, Deed, Operator, Witness, told_the_operator
from shared.store.audit import AuditFilter, AuditStore
from shared.store.table import Change, key_of
from tests.fakes import NOON, Clock, MemoryTable
from tests.world import id_of

RECORD = ("USER#1", "USER#1")
FROM = Origin("192.0.2.7", "trace-1")


@pytest.fixture
def table() -> Any:
    return MemoryTable(Clock())


@pytest.fixture
def audit(table: Any) -> AuditStore:
    return AuditStore(table)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def witness(audit: AuditStore, pauses: list[float]) -> Witness:
    return Witness(audit, lambda: NOON, lambda: 0.5, pauses.append)


def a_user(*places: tuple[str, str | None]) -> User:
    return User(id=id_of("usr", 1), email="a@example.com", name="A", password_hash="x", created_at=NOON, places=places)


def log(audit: AuditStore, organization: str) -> list[tuple[str, int, str]]:
    found = audit.list(organization, AuditFilter(), limit=100).items
    return [(entry.action, entry.number, entry.actor) for entry in found]


def test_each_organization_has_one_entry_however_many_projects(table: Any, audit: AuditStore, witness: Witness) -> None:
    user = a_user(("a", None), ("a", "prj_1"), ("b", "prj_2"))
    witness.store(Deed("session.opened", user, FROM, session="ses_1"), table.put_all)
    for organization in ("a", "b"):
        (entry,) = audit.list(organization, AuditFilter(), limit=9).items
        assert (entry.kind, entry.subject, entry.project_id) == ("user", user.id, None)
        assert (entry.address, entry.correlation_id, entry.detail) == ("192.0.2.7", "trace-1", {"session": "ses_1"})
    assert log(audit, "c") == []


def test_each_organization_has_a_chain_of_its_own(table: Any, audit: AuditStore, witness: Witness) -> None:
    witness.store(Deed("session.opened", a_user(("a", None))), table.put_all)
    witness.store(Deed("session.opened", a_user(("a", None), ("b", None)), actor=SPARK), table.put_all)
    assert log(audit, "a")[::-1] == [("session.opened", 1, id_of("usr", 1)), ("session.opened", 2, SPARK)]
    assert log(audit, "b") == [("session.opened", 1, SPARK)]


def test_as_many_as_anybody_can_belong_to_fit_a_transaction(table: Any, witness: Witness) -> None:
    user = a_user(*((f"org_{number}", None) for number in range(MAX_MEMBERSHIPS)))
    assert len(witness.entries(Deed("session.opened", user))) + 2 <= 100  # the user and their session


def test_who_belongs_to_nothing_does_it_all_the_same(witness: Witness) -> None:
    stored: list[Sequence[Change]] = []
    witness.store(Deed("session.opened", a_user()), stored.append)
    assert stored == [[]]


def test_what_somebody_else_added_meanwhile_comes_before(table: Any, audit: AuditStore, witness: Witness) -> None:
    user, rivals = a_user(("a", None)), ["one"]

    def late(entries: Sequence[Change]) -> None:
        if rivals:
            rivals.pop()
            table.put_all(witness.entries(Deed("email.verified", user)))
        table.put_all(entries)

    witness.store(Deed("password.changed", user), late)
    found = sorted((number, action) for action, number, _ in log(audit, "a"))
    assert found == [(1, "email.verified"), (2, "password.changed")]


@pytest.mark.parametrize("error", [Conflict("changed"), Outrun("changed", [RECORD])])
def test_a_change_that_lost_is_told_so_at_once(witness: Witness, error: Conflict) -> None:
    tried = []

    def lost(entries: Sequence[Change]) -> None:
        tried.append(entries)
        raise error

    with pytest.raises(Conflict):
        witness.store(Deed("password.changed", a_user(("a", None))), lost)
    assert len(tried) == 1


def test_one_that_lost_together_with_its_entry_is_told_so_too(witness: Witness) -> None:
    def late(entries: Sequence[Change]) -> None:
        raise Outrun("changed", [key_of(entries[0].after), RECORD])

    with pytest.raises(Outrun):
        witness.store(Deed("password.changed", a_user(("a", None))), late)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_log_that_stays_busy_is_no_conflict_of_the_change(
    witness: Witness, pauses: list[float], is_known: bool
) -> None:
    tried = []

    def busy(entries: Sequence[Change]) -> None:
        tried.append(entries)
        raise Outrun("changed", [key_of(entry.after) for entry in entries] if is_known else [])

    with pytest.raises(Unavailable):
        witness.store(Deed("session.opened", a_user(("a", None))), busy)
    assert len(tried) == ROUNDS
    assert pauses == [0.025, 0.05, 0.1, 0.2, 0.4] + [0.5] * (ROUNDS - 6)


def test_a_session_of_one_organization_is_told_that_one(table: Any, audit: AuditStore, witness: Witness) -> None:
    user = a_user(("a", None), ("b", None))
    witness.store(Deed("session.opened", user, organizations=["b"]), table.put_all)
    assert (log(audit, "a"), len(log(audit, "b"))) == ([], 1)


def test_what_the_operator_does_is_told_theirs_too() -> None:
    deed = told_the_operator("user.disabled", a_user(("a", None)), Operator("bootstrap", FROM))
    assert deed.told == ["default", "a"]
    assert told_the_operator("user.disabled", a_user(("default", None)), Operator("k", FROM)).told == ["default"]
