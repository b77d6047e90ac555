import json
from typing import Any

import pytest

from tests.fake_api import FakeApi, asked, bodies, id_of, problem
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


class TestTheirKeys:
    @pytest.fixture(autouse=True)
    def keys(self, api: FakeApi) -> None:
        """Bob made two, somebody else one."""
        api.add_key("ci", created_by=BOB)
        api.add_key("deploy", created_by=BOB)
        api.add_key("mine")

    def chosen(self, api: FakeApi) -> list[str]:
        return [request.url.params["keys"] for request in asked(api, "DELETE", "/members/")]

    @pytest.mark.parametrize(("answer", "chosen"), [("y", "revoke"), ("n", "keep")])
    def test_it_asks_what_becomes_of_them(self, api: FakeApi, spark: Spark, answer: str, chosen: str) -> None:
        result = spark("member", "remove", "bob@example.com", user=True, input=f"y\n{answer}\n")
        assert result.exit_code == 0
        assert "They made 2 API keys: deploy, ci. Revoke, too?" in result.output
        assert self.chosen(api) == [chosen]
        assert ("still work" in result.output) is (chosen == "keep")

    @pytest.mark.parametrize("choice", ["keep", "revoke"])
    def test_a_script_says_it(self, api: FakeApi, spark: Spark, choice: str) -> None:
        assert spark("member", "remove", BOB, "--keys", choice, "--yes").exit_code == 0
        assert self.chosen(api) == [choice]
        assert asked(api, "GET", "/api-keys") == []

    def test_a_script_that_does_not_keeps_them_and_is_told(self, api: FakeApi, spark: Spark) -> None:
        result = spark("member", "remove", BOB, "--yes")
        assert self.chosen(api) == ["keep"]
        assert "They know 2 API keys, which still work: deploy, ci." in result.output

    def test_who_may_not_see_keys_is_asked_nothing(self, api: FakeApi, spark: Spark) -> None:
        api.answers = [problem(403, "forbidden", "This needs keys:read.")]
        assert spark("member", "remove", BOB, user=True, input="y\n").exit_code == 0
        assert self.chosen(api) == ["keep"]

    def test_who_made_none_is_removed_without_a_word_of_keys(self, api: FakeApi, spark: Spark) -> None:
        api.kept["api-keys"].clear()
        result = spark("member", "remove", BOB, user=True, input="y\n")
        assert "key" not in result.output
        assert self.chosen(api) == ["keep"]
