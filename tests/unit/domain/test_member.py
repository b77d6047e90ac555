"""Who belongs where, and who owns it."""

from typing import Any

import pytest

from shared.domain import user as users
from shared.domain.member import Member, Owners, owners_after, roles_in
from shared.domain.user import User
from shared.errors import Conflict
from tests.fakes import NOON

USER = User(id="usr_1", email="ann@example.com", name="Ann", password_hash="x", created_at=NOON)
BOTH = Owners(organization_id="default", user_ids=("usr_1", "usr_2"))
ONE = Owners(organization_id="default", user_ids=("usr_1",))


def a_member(**changes: Any) -> Member:
    said = {"organization_id": "default", "user_id": "usr_1", "role": "owner", "created_by": "x", "created_at": NOON}
    return Member.model_validate({**said, **changes})


def test_roles_of_the_organization_count_everywhere_and_those_of_a_project_there() -> None:
    mine = [
        a_member(role="viewer"),
        a_member(role="admin", project_id="prj_1"),
        a_member(role="owner", organization_id="org_2"),
    ]
    assert roles_in(mine, "default", "prj_1") == ["viewer", "admin"]
    assert roles_in(mine, "default", "prj_2") == ["viewer"]
    assert roles_in(mine, "default", None) == ["viewer"]
    assert roles_in(mine, "org_3", "prj_1") == []


@pytest.mark.parametrize(
    ("owners", "before", "after", "left"),
    [
        (Owners(organization_id="default"), None, a_member(), ("usr_1",)),
        (BOTH, a_member(), a_member(role="admin"), ("usr_2",)),
        (ONE, a_member(), a_member(), ("usr_1",)),
        (ONE, None, a_member(user_id="usr_0"), ("usr_0", "usr_1")),
        (ONE, a_member(project_id="prj_1"), a_member(project_id="prj_1", role="viewer"), ("usr_1",)),
    ],
)
def test_owners_follow_what_becomes_of_members(
    owners: Owners, before: Member | None, after: Member | None, left: tuple[str, ...]
) -> None:
    assert owners_after(owners, before, after).user_ids == left


@pytest.mark.parametrize("after", [None, a_member(role="admin"), a_member(user_id="usr_1", role="viewer")])
def test_there_is_always_an_owner(after: Member | None) -> None:
    with pytest.raises(Conflict):
        owners_after(ONE, a_member(), after)


def test_a_user_knows_where_to_look_for_memberships() -> None:
    joined = users.joined(users.joined(USER, a_member()), a_member(project_id="prj_1"))
    assert users.joined(joined, a_member()).places == (("default", "prj_1"), ("default", None))
    assert users.left(joined, a_member()).places == (("default", "prj_1"),)


def test_nobody_is_a_member_of_everything() -> None:
    user = USER
    for number in range(users.MAX_MEMBERSHIPS):
        user = users.joined(user, a_member(organization_id=f"org_{number}"))
    assert users.joined(user, a_member(organization_id="org_1"))
    with pytest.raises(Conflict):
        users.joined(user, a_member())
