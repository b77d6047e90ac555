import json

import pytest

from tests.fake_api import FakeApi, asked, bodies
from tests.unit.cli.conftest import Spark


def test_one_is_made_and_shown_with_what_comes_next(api: FakeApi, spark: Spark) -> None:
    result = spark("service-account", "create", "deployer", "--role", "operator", "--organization-wide")
    assert result.exit_code == 0
    assert bodies(api, "POST", "/service-accounts$") == [
        {"name": "deployer", "role": "operator", "organization_wide": True}
    ]
    assert "spark key create NAME --service-account" in result.output


def test_they_are_listed(api: FakeApi, spark: Spark) -> None:
    api.add_service_account("deployer", role="operator")
    api.add_service_account("reader", disabled_at="2030-01-01T11:00:00.000Z", organization_wide=True)
    lines = spark("service-account", "list").output.splitlines()
    assert lines[1].split()[1:] == ["reader", "viewer", "(all)", "1", "h", "ago"]
    assert lines[2].split()[1:] == ["deployer", "operator", "default"]
    assert len(json.loads(spark("service-account", "list", "--json").output)) == 2


def test_one_is_changed_by_name(api: FakeApi, spark: Spark) -> None:
    id = api.add_service_account()["id"]
    assert spark("service-account", "update", "deployer", "--role", "editor").exit_code == 0
    assert bodies(api, "PATCH", f"/service-accounts/{id}$") == [{"role": "editor"}]
    assert "editor" in spark("service-account", "get", "deployer").output
    assert spark("service-account", "update", "deployer").exit_code == 2


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_one_is_switched(api: FakeApi, spark: Spark, verb: str) -> None:
    id = api.add_service_account()["id"]
    assert spark("service-account", verb, "deployer").exit_code == 0
    assert len(asked(api, "POST", f"/service-accounts/{id}/{verb}$")) == 1


def test_deleting_asks_first(api: FakeApi, spark: Spark) -> None:
    api.add_service_account()
    assert spark("service-account", "delete", "deployer").exit_code == 2
    assert spark("service-account", "delete", "deployer", user=True, input="n\n").exit_code == 1
    assert api.kept["service-accounts"]
    assert spark("service-account", "delete", "deployer", "--yes").exit_code == 0
    assert not api.kept["service-accounts"]


def test_a_key_acts_for_one(api: FakeApi, spark: Spark) -> None:
    id = api.add_service_account()["id"]
    assert spark("key", "create", "ci", "--service-account", "deployer").exit_code == 0
    assert bodies(api, "POST", "/api-keys$") == [{"name": "ci", "service_account_id": id}]


def test_a_key_whose_account_is_disabled_or_gone_is_shown_as_shut(api: FakeApi, spark: Spark) -> None:
    id = api.add_service_account()["id"]
    api.add_key("ci", service_account_id=id, active=False)
    assert spark("key", "list").output.splitlines()[1].split()[-1] == "shut"
    assert id in spark("key", "get", "ci").output


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_the_operator_switches_accounts_of_people(api: FakeApi, spark: Spark, verb: str) -> None:
    import httpx

    account = {"id": "usr_1", "name": "Bob", "email": "bob@example.com", "disabled_at": None}
    api.answers = [httpx.Response(200, json=account)]
    answer = ["--yes"] if verb == "disable" else []
    result = spark("admin", f"{verb}-account", "bob@example.com", *answer)
    assert result.exit_code == 0, result.output
    assert bodies(api, "POST", f"/accounts/{verb}$") == [{"account": "bob@example.com"}]
    assert "Bob <bob@example.com>" in result.output
