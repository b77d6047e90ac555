"""Roles: the table of the built-in ones, and what a change of a role is about."""

import pytest

from shared.domain import role as rules
from shared.domain.role import ALLOWED, BuiltIn, Grant, Permission, Role
from tests.fakes import NOON

P = Permission


def a_role(allow: str = "", deny: str = "") -> Role:
    named = {"allow": tuple(map(P, allow.split())), "deny": tuple(map(P, deny.split()))}
    return Role(id="rol_1", organization_id="o", name="r", created_by="key_1", created_at=NOON, **named)


def test_nobody_below_admin_gives_access() -> None:
    giving = {P.keys_write, P.roles_write, P.projects_write, P.organization_write}
    for role in (BuiltIn.viewer, BuiltIn.operator, BuiltIn.editor):
        assert giving.isdisjoint(ALLOWED[role])


def test_a_viewer_only_reads() -> None:
    assert {permission.partition(":")[2] for permission in ALLOWED[BuiltIn.viewer]} == {"read"}


def test_only_an_owner_does_everything() -> None:
    assert [role for role in BuiltIn if ALLOWED[role] == frozenset(P)] == [BuiltIn.owner]


def test_deny_wins_over_another_role() -> None:
    both = [rules.custom(a_role("runs:read runs:create")), rules.custom(a_role(deny="runs:create"))]
    assert rules.permissions(both) == rules.permissions(reversed(both)) == {P.runs_read}


def test_what_a_role_denies_is_no_matter_of_who_does_not_have_it() -> None:
    denying = Grant(frozenset({P.runs_read}), frozenset({P.runs_create}))
    assert rules.missing(denying, frozenset({P.runs_read})) == [P.runs_create]
    assert rules.missing(denying, frozenset({P.runs_read, P.runs_create})) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, a_role("runs:read"), "runs:read"),
        (a_role("runs:read"), None, "runs:read"),
        (a_role("runs:read"), a_role("runs:create"), "runs:read runs:create"),
        (None, a_role(deny="runs:read"), ""),
        (a_role(deny="runs:read"), a_role(deny="runs:read"), ""),
        (a_role(deny="runs:read runs:create"), a_role(deny="runs:read"), "runs:create"),
        (a_role(), a_role(deny="runs:read"), "runs:read"),
        (a_role(deny="runs:read"), None, "runs:read"),
    ],
)
def test_a_change_is_about_all_that_is_allowed_and_each_denial_that_changes(
    before: Role | None, after: Role | None, expected: str
) -> None:
    assert rules.touched(before, after) == set(expected.split())
