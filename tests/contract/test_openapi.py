"""The API's document: the committed one is the one that is served, and it says what clients rely on."""

import json
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from functions.api import app as api
from functions.api import errors, openapi, table
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "docs" / "openapi.json"
COMMAND = "python -m functions.api.openapi > docs/openapi.json"
ROUTERS = "functions.api.routers."
# What those need who have no account yet, or cannot get into it; and what tells others how to verify its tokens.
WAYS_IN = {
    f"/api/v1/auth/{way}"
    for way in (
        "register",
        "login",
        "login/second-factor",
        "login/second-factor/sms",
        "refresh",
        "verify",
        "forgot-password",
        "reset-password",
        "sso",
        "sso/finish",
        "jwks",
    )
}
HOLD_PASSWORDS = {"/api/v1/auth/register"}  # nothing of the body is kept that a second one could be compared with
SHOWN_ONCE = {"/api/v1/api-keys"}  # the answer holds a secret, so it cannot be given again

Operation = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return api.create_app(Settings()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_the_committed_document_is_the_present_one(document: dict[str, Any]) -> None:
    assert SNAPSHOT.read_text() == openapi.text(document), f"The API changed. If it should: {COMMAND}"


def test_operations_are_called_as_their_functions(document: dict[str, Any]) -> None:
    modules = [import_module(module) for noun, module in table.CONTENTS.items() if module.startswith(ROUTERS)]
    functions = {route.endpoint.__name__ for module in modules for route in module.router.routes}
    today = {one["operationId"] for _, _, one in operations(document) if not one.get("deprecated")}
    assert today == functions


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_operation_says_in_a_line_what_it_does(document: dict[str, Any]) -> None:
    assert [one["operationId"] for _, _, one in operations(document) if not one.get("description")] == []


def test_everything_but_health_and_the_ways_in_needs_a_key(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        is_open = path.startswith("/api/v1/health") or path in WAYS_IN
        assert bool(operation.get("security")) is not is_open, path


def test_every_operation_with_a_key_documents_its_problems(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        answers = operation["responses"]
        needed = {"401", "422", "503"} if operation.get("security") else set()
        needed |= {"404"} if "{" in path else set()
        needed |= {"412"} if "If-Match" in str(operation.get("parameters")) else set()
        assert needed <= set(answers), f"{method} {path}"
        for status, answer in answers.items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], f"{method} {path} {status}"


def test_every_post_that_creates_may_be_sent_again(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        creates = method == "post" and {"201", "202"} & set(operation["responses"])
        if creates and path not in SHOWN_ONCE | HOLD_PASSWORDS:
            names = [parameter["name"] for parameter in operation["parameters"]]
            assert "idempotency-key" in names, path


def test_old_spellings_are_deprecated_and_the_others_are_not(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        old = path.startswith(("/api/v1/tasks", "/api/v1/executions")) or path.endswith(("/execute", "/executions"))
        old = old or method == "put" or (method == "patch" and path.endswith("/cancel"))
        assert operation.get("deprecated", False) is old, f"{method} {path}"


def test_bodies_refuse_unknown_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for method, path, operation in operations(document):
        if body := operation.get("requestBody"):
            name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert schemas[name]["additionalProperties"] is False, f"{method} {path}"


def test_no_schema_shows_a_key(document: dict[str, Any]) -> None:
    view = document["components"]["schemas"]["SourceView"]["properties"]
    assert {"api_key", "encrypted_key"}.isdisjoint(view)


def test_no_answer_but_the_first_shows_what_opens_a_door(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"key", "hash", "previous_hash"}.isdisjoint(schemas["ApiKeyView"]["properties"])
    assert {"hash", "previous_hash"}.isdisjoint(schemas["NewSecret"]["properties"])
    shown = [path for _, path, one in operations(document) if "/NewSecret" in str(one["responses"])]
    assert sorted(shown) == ["/api/v1/api-keys", "/api/v1/api-keys/{key_id}/rotate"]


def test_every_error_has_a_status() -> None:
    def below(cls: type[Any]) -> Iterator[type[Any]]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    from shared.errors import SparkError

    known = tuple(errors.STATUS)
    assert [cls.__name__ for cls in below(SparkError) if not issubclass(cls, known)] == []


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == api.VERSION


def test_the_snapshot_is_json_for_people() -> None:
    assert json.loads(SNAPSHOT.read_text())["info"]["title"] == "Spark"
