"""Health, documentation, old spellings, origins."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.api import deprecated
from functions.api.app import create_app
from shared.settings import Settings
from shared.store.table import Table
from tests.integration.api.conftest import client, made
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
Order = Callable[..., Json]
JSON = {"Content-Type": "application/json"}


class TestHealth:
    def test_health_is_served_with_and_without_the_prefix(self, aws: Aws) -> None:
        with client(None) as anybody:
            for path in ("/health", "/health/live", "/health/ready"):
                assert anybody.get(path).json() == {"status": "healthy"}
                assert anybody.get(f"https://api.test{path}").json() == {"status": "healthy"}

    def test_not_ready_names_the_part_that_fails(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        down = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "x"}}, "GetItem")
        calls: list[int] = []

        def ping(table: Table) -> None:
            calls.append(1)
            raise down

        monkeypatch.setattr(Table, "ping", ping)
        with client(None) as anybody:
            for _ in range(3):
                assert "table" in problem(anybody.get("/health/ready"), 503, "unavailable")["detail"]
        assert len(calls) == 1


class TestDocumentation:
    def test_the_pages_need_nothing_from_elsewhere(self, aws: Aws) -> None:
        with client(None) as anybody:
            for page in ("/docs", "/redoc"):
                html = anybody.get(page).text
                assert "https://" not in html
                for asset in re.findall(r'(?:src|href)="([^"]+)"', html):
                    found = anybody.get("/" + asset)
                    assert found.status_code == 200, asset
                    assert found.content
            problem(anybody.get("/assets/nothing.js"), 404, "not_found")
            problem(anybody.get("/assets/%2e%2e%2fcore.py"), 404, "not_found")
            assert anybody.get("/openapi.json").json()["openapi"].startswith("3.1")


class TestOldSpellings:
    @pytest.mark.parametrize("prefix", ["/tasks", "/executions"])
    def test_runs_have_two_older_names(self, api: httpx.Client, order: Order, prefix: str) -> None:
        run = made(api.post(prefix, json=order()))
        assert api.get(f"{prefix}/{run['id']}").json() == api.get(f"/runs/{run['id']}").json()
        assert [one["id"] for one in api.get(prefix).json()["items"]] == [run["id"]]
        assert api.get(f"{prefix}/{run['id']}/logs").json() == {"items": []}
        assert api.post(f"{prefix}/{run['id']}/cancel").json()["status"] == "cancelled"

    def test_older_verbs_and_methods_work(self, api: httpx.Client, source: Json, workflow: Json) -> None:
        path = f"/workflows/{workflow['id']}"
        run = made(api.post(f"{path}/execute", json={"input": "Hello"}))
        assert [one["id"] for one in api.get(f"{path}/executions").json()["items"]] == [run["id"]]
        assert api.patch(f"/runs/{run['id']}/cancel").json()["status"] == "cancelled"
        assert api.put(path, json={"settings": {"name": "Put"}}).json()["settings"]["name"] == "Put"
        assert api.put(f"/sources/{source['id']}", json={"name": "Put"}).json()["name"] == "Put"

    def test_only_whole_names_are_old(self) -> None:
        assert deprecated.translate("GET", "/api/v1/tasksforce") == ("GET", "/api/v1/tasksforce")
        assert deprecated.translate("GET", "/api/v1/workflows/a/b/execute") == ("GET", "/api/v1/workflows/a/b/execute")


class TestOrigins:
    def test_pages_of_allowed_origins_may_call(self) -> None:
        allowed = [one.cls.__name__ for one in create_app(Settings(cors_origins="https://app.test")).user_middleware]
        assert "CORSMiddleware" in allowed
        assert "CORSMiddleware" not in [one.cls.__name__ for one in create_app(Settings()).user_middleware]
