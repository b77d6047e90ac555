import json
from typing import Any

import pytest

from tests.fake_api import FakeApi, asked, bodies, id_of
from tests.unit.cli.conftest import Spark

BOB, LAB = id_of("usr", 2), id_of("prj", 1)
Json = dict[str, Any]


def a_member(email: str, user: str, **fields: Any) -> Json:
    return {"user_id": user, "email": email, "name": "B", "role": "viewer", "project_id": None, **fields}


@pytest.fixture(autouse=True)
def members(api: FakeApi) -> list[Json]:
    """Bob is in the organization and, as something else, in one project."""
    api.add_project("Lab")
    api.kept["members"] = [
        {"id": BOB, **a_member("bob@example.com", BOB)},
        {"id": id_of("usr", 3), **a_member("carol@example.com", id_of("usr", 3), role="admin", project_id=LAB)},
    ]
    api.kept["invitations"] = []
    return api.kept["members"]


def test_they_are_listed(spark: Spark) -> None:
    lines = spark("member", "list").output.splitlines()
    assert lines[1].split() == ["bob@example.com", "B", "viewer", "all", "projects"]
    assert lines[2].split() == ["carol@example.com", "B", "admin", LAB]
    assert len(json.loads(spark("member", "list", "--json").output)) == 2


@pytest.mark.parametrize("who", ["bob@example.com", "Bob@Example.com", BOB])
def test_somebody_gets_another_role(api: FakeApi, spark: Spark, who: str) -> None:
    assert spark("member", "update", who, "--role", "editor").exit_code == 0
    assert bodies(api, "PATCH", f"/members/{BOB}$") == [{"role": "editor"}]


def test_a_role_of_the_organization_is_named_by_name(api: FakeApi, spark: Spark) -> None:
    role = api.add_role("on call")["id"]
    spark("member", "update", BOB, "--role", "on call")
    assert bodies(api, "PATCH", f"/members/{BOB}$") == [{"role": role}]


def test_the_membership_in_a_project_is_one_of_its_own(api: FakeApi, spark: Spark) -> None:
    assert spark("member", "remove", "carol@example.com", "--yes").exit_code == 4
    assert spark("member", "remove", "carol@example.com", "--in", "Lab", "--yes").exit_code == 0
    (request,) = asked(api, "DELETE", "/members/")
    assert request.url.params["project_id"] == LAB


def test_removing_asks_first(api: FakeApi, spark: Spark) -> None:
    assert spark("member", "remove", BOB).exit_code == 2
    assert spark("member", "remove", BOB, user=True, input="n\n").exit_code == 1
    assert asked(api, "DELETE", "/members/") == []


@pytest.mark.parametrize("words", [["invite"], ["member", "invite"]])
def test_somebody_is_invited(api: FakeApi, spark: Spark, words: list[str]) -> None:
    result = spark(*words, "dave@example.com", "--role", "operator", "--in", "Lab")
    assert result.exit_code == 0, result.output
    assert bodies(api, "POST", "/invitations$") == [
        {"email": "dave@example.com", "role": "operator", "project_id": LAB}
    ]
