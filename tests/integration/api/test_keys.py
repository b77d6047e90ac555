"""The key in `X-API-Key`."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.api import dependencies, identity
from shared import wiring
from shared.domain.api_key import read_key
from shared.store.api_keys import ApiKeyStore
from tests.integration.api.conftest import client
from tests.integration.api.wire import problem
from tests.integration.conftest import API_KEY, Aws, forget

Json = dict[str, Any]
Order = Callable[..., Json]
JSON = {"Content-Type": "application/json"}


class TestKeys:
    @pytest.mark.parametrize("key", [None, "", "nonsense", "spk_bootstrap_" + "x" * 43, "spk_other_" + "s" * 43])
    def test_without_a_valid_key_nothing_opens(self, aws: Aws, key: str | None) -> None:
        with client(key) as stranger:
            refused = stranger.get("/runs")
            problem(refused, 401, "unauthenticated")
            assert refused.headers["WWW-Authenticate"] == "ApiKey"
            assert stranger.get("/health").status_code == 200

    def test_the_first_key_becomes_a_key_like_others(self, api: httpx.Client, aws: Aws) -> None:
        assert api.get("/runs").status_code == 200
        key = identity.api_keys().by_id("bootstrap")
        presented = read_key(API_KEY)
        assert key is not None
        assert presented is not None
        assert presented.opens(key, wiring.now())
        assert wiring.projects().by_id("default").name == "Default"
        assert API_KEY.rpartition("_")[2] not in str(aws.items())

    @pytest.mark.parametrize("secret_changed", [False, True])
    def test_a_table_from_before_there_were_roles_is_brought_up_to_date(
        self, api: httpx.Client, aws: Aws, secret_changed: bool
    ) -> None:
        """Its first key opens at once, but there is no organization, and no list names its project or its key."""
        presented = read_key(API_KEY)
        assert presented is not None
        common = {"sk": "RECORD", "schema": "1", "revision": "1", "created_at": "2030-01-01T12:00:00.000Z"}
        hash = "0" * 64 if secret_changed else presented.hash
        old_items = [
            {"pk": "PROJECT#default", "project_id": "default", "name": "Mine", "retention_days": "7"},
            {"pk": "KEY#bootstrap", "id": "bootstrap", "project_id": "default", "name": "first", "hash": hash},
        ]
        numbers = {"schema", "revision", "retention_days"}
        for item in old_items:
            wire = {name: {"N" if name in numbers else "S": value} for name, value in {**common, **item}.items()}
            aws.dynamodb.put_item(TableName=aws.table, Item=wire)
        assert api.get("/auth/me").json()["role"] == "owner"
        forget()
        assert [one["id"] for one in api.get("/organizations").json()["items"]] == ["default"]
        projects = api.get("/projects").json()["items"]
        assert [(one["id"], one["name"], one["retention_days"]) for one in projects] == [("default", "Mine", 7)]
        assert [one["id"] for one in api.get("/api-keys").json()["items"]] == ["bootstrap"]
        assert wiring.projects().by_id("default").revision == 2, "once is enough"

    def test_a_known_key_is_not_looked_up_for_a_minute(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lookups: list[str] = []
        find = ApiKeyStore.by_id
        monkeypatch.setattr(ApiKeyStore, "by_id", lambda store, key, **_: lookups.append(key) or find(store, key))
        for _ in range(3):
            api.get("/runs")
        assert len(lookups) == 1
        later = wiring.now() + timedelta(seconds=61)
        monkeypatch.setattr(wiring, "now", lambda: later)
        monkeypatch.setattr(dependencies.doorkeeper(), "_now", lambda: later)
        api.get("/runs")
        assert len(lookups) == 2

    def test_strangers_cost_one_call_to_secrets_manager_a_minute(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[int] = []
        secret = wiring.deployment_secret()
        key = secret.key
        monkeypatch.setattr(secret, "key", lambda: calls.append(1) or key())
        with client("spk_stranger_" + "x" * 43) as stranger:
            for _ in range(5):
                problem(stranger.get("/runs"), 401, "unauthenticated")
        assert len(calls) == 1

    def test_a_secret_that_cannot_be_read_is_asked_for_once_a_minute(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[int] = []

        def down() -> None:
            calls.append(1)
            raise ClientError({"Error": {"Code": "InternalServiceError", "Message": "x"}}, "GetSecretValue")

        monkeypatch.setattr(wiring.deployment_secret(), "key", down)
        with client(API_KEY) as somebody:
            for _ in range(3):
                problem(somebody.get("/runs"), 503, "unavailable")
        assert len(calls) == 1

    def test_a_changed_secret_replaces_the_first_key(self, api: httpx.Client, aws: Aws) -> None:
        assert api.get("/runs").status_code == 200
        new = "n" * 43
        aws.secrets.update_secret(
            SecretId=aws.secret_id, SecretString=json.dumps({"key_id": "bootstrap", "secret": new})
        )
        dependencies.doorkeeper.cache_clear()
        with client(f"spk_bootstrap_{new}") as renewed:
            assert renewed.get("/runs").status_code == 200
        dependencies.doorkeeper.cache_clear()
        problem(api.get("/runs"), 401, "unauthenticated")
