"""BatchExecuteStatement for moto, whose own (5.2.5) reads no parameters in an INSERT and checks no condition.

It knows the two statements that `shared.store.table` writes, and no others. What DynamoDB makes of their text is shown
where the store contract runs on an emulator with a PartiQL of its own.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.dynamodb.models import DynamoDBBackend

INSERT = re.compile(r'INSERT INTO "(?P<table>[^"]+)" VALUE \{(?P<names>.*)\}')
UPDATE = re.compile(r'UPDATE "(?P<table>[^"]+)"(?P<actions>.*) WHERE "pk" = \? AND "sk" = \? AND "revision" = \?')
FAILED = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
DUPLICATE = {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}


def batch_execute_statement(self: DynamoDBBackend, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_execute(self, entry["Statement"], list(entry["Parameters"])) for entry in statements]


def _execute(backend: DynamoDBBackend, text: str, parameters: list[Any]) -> dict[str, Any]:
    if insert := INSERT.fullmatch(text):
        names = re.findall(r"'(\w+)': \?", insert["names"])
        return _insert(backend, insert["table"], dict(zip(names, parameters, strict=True)))
    update = UPDATE.fullmatch(text)
    assert update, f"not a statement of shared.store.table: {text}"
    *values, pk, sk, revision = parameters
    sets = dict(zip(re.findall(r'SET "(\w+)" = \?', update["actions"]), values, strict=True))
    removes = re.findall(r'REMOVE "(\w+)"', update["actions"])
    return _update(backend, update["table"], {"pk": pk, "sk": sk}, revision, sets, removes)


def _stored(backend: DynamoDBBackend, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
    item = backend.get_item(table, key)
    return item.to_json()["Attributes"] if item else None


def _insert(backend: DynamoDBBackend, table: str, item: dict[str, Any]) -> dict[str, Any]:
    if _stored(backend, table, {"pk": item["pk"], "sk": item["sk"]}) is not None:
        return {"Error": DUPLICATE}
    backend.put_item(table, item)
    return {"TableName": table}


def _update(
    backend: DynamoDBBackend, table: str, key: dict[str, Any], revision: Any, sets: dict[str, Any], removes: list[str]
) -> dict[str, Any]:
    item = _stored(backend, table, key)
    if item is None or item["revision"] != revision:
        return {"Error": FAILED}
    backend.put_item(table, {name: value for name, value in {**item, **sets}.items() if name not in removes})
    return {"TableName": table}


@contextmanager
def partiql() -> Iterator[None]:
    """Enter beside `mock_aws()`."""
    with patch.object(DynamoDBBackend, "batch_execute_statement", batch_execute_statement):
        yield
