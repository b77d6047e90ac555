import json

import pytest
from rich.text import Text

from tests.fake_api import FakeApi, bodies, id_of
from tests.unit.cli.conftest import Spark


def test_the_list_begins_with_those_that_everybody_has(api: FakeApi, spark: Spark) -> None:
    api.add_role("on call", deny=["runs:create"])
    lines = spark("role", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["viewer", "operator", "editor", "admin", "owner", "00000001"]
    assert lines[6].split()[1:] == ["on", "call", "runs:read", "runs:create"]
    assert len(json.loads(spark("roles", "list", "--json").stdout)) == 6


def test_the_list_fits_eighty_columns(api: FakeApi, spark: Spark) -> None:
    api.add_role("long " * 40, allow=["runs:read"] * 20, deny=["runs:create"] * 20)
    shown = Text.from_ansi(spark("role", "list", env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout).plain.splitlines()
    assert max(map(len, shown)) <= 80
    assert len(shown) == 8


@pytest.mark.parametrize(
    "words", [["--allow", "runs:read", "--allow", "runs:cancel"], ["--allow", "runs:read, runs:cancel"]]
)
def test_permissions_may_be_said_one_by_one_or_together(api: FakeApi, spark: Spark, words: list[str]) -> None:
    spark("role", "create", "on call", *words, "--deny", "runs:create")
    (body,) = bodies(api, "POST", "/roles$")
    assert body == {"name": "on call", "allow": ["runs:read", "runs:cancel"], "deny": ["runs:create"]}


def test_update_changes_only_what_is_named(api: FakeApi, spark: Spark) -> None:
    api.add_role()
    spark("role", "update", "on call", "--deny", "")
    spark("role", "update", id_of("rol", 1), "--name", "night")
    assert bodies(api, "PATCH", "/roles/") == [{"deny": []}, {"name": "night"}]
    assert spark("role", "update", "night").exit_code == 2


def test_a_role_is_shown(api: FakeApi, spark: Spark) -> None:
    api.add_role(allow=["runs:cancel", "runs:read"])
    shown = " ".join(spark("role", "get", "on call").stdout.split())
    assert "allows runs:cancel runs:read" in shown
    assert "just now by bootstrap" in shown


def test_delete_asks(api: FakeApi, spark: Spark) -> None:
    api.add_role()
    assert spark("role", "delete", "on call").exit_code == 2
    assert spark("role", "delete", "on call", "--yes").exit_code == 0
    assert api.kept["roles"] == []
