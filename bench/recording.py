"""Counts what is truly sent to AWS: hooks into boto3's clients, which see every request and its answer.

An emulator's own ConsumedCapacity is not trusted: each write is charged by `bench.prices`, from the item as it was
before and as it is after, read by a client that nobody listens to.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.prices import (
    Usage,
    WireItem,
    base_write_units,
    index_write_units,
    item_bytes,
    read_units,
    sqs_requests,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Key = tuple[str, str]


@dataclass
class Tally:
    """What was sent: requests by `service.Operation`, units, and the largest form of each item written.

    `items_read` are those that were found; looking for one that is not there counts in the units alone.
    """

    calls: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    base_units: Counter[str] = field(default_factory=Counter)
    index_units: Counter[str] = field(default_factory=Counter)
    largest: dict[Key, WireItem] = field(default_factory=dict)
    items_read: int = 0

    def calls_to(self, service: str) -> int:
        return sum(count for name, count in self.calls.items() if name.startswith(f"{service}."))


class Recorder:
    """Listens to clients. `quiet` reads the table without being heard."""

    def __init__(self, quiet: "DynamoDBClient", table: str) -> None:
        self._quiet = quiet
        self._table = table
        self._lock = threading.Lock()  # the executor's threads share a client
        self.tally = Tally()

    def listen(self, client: Any) -> None:
        """Count all requests of `client` from now on."""
        client.meta.events.register("before-parameter-build", self._before)
        client.meta.events.register("after-call", self._after)

    def _before(self, params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context["bench_params"] = params
        context["bench_before"] = {key: self._read(key) for key in _written(model.name, params)}

    def _after(self, parsed: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        with self._lock:
            self._count(parsed, model, context)

    def _count(self, parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any]) -> None:
        params, service = context["bench_params"], model.service_model.service_name
        attempts = 1 + parsed.get("ResponseMetadata", {}).get("RetryAttempts", 0)
        self.tally.calls[f"{service}.{model.name}"] += attempts
        if service == "dynamodb":
            factor = 2 if model.name.startswith("Transact") else 1
            units = sum(factor * self._charge(key, before) for key, before in context["bench_before"].items())
            self.tally.usage += Usage(write_units=units, read_units=_read_units(model.name, params, parsed))
            self.tally.items_read += _items_read(model.name, parsed)
        else:
            self.tally.usage += other_usage(service, model.name, params)

    def _charge(self, key: Key, before: WireItem | None) -> int:
        after = self._read(key)
        base, indexes = base_write_units(before, after), index_write_units(before, after)
        self.tally.base_units[kind(key)] += base
        self.tally.index_units.update(indexes)
        if after and item_bytes(after) > item_bytes(self.tally.largest.get(key, {})):
            self.tally.largest[key] = after
        return base + sum(indexes.values())

    def _read(self, key: Key) -> WireItem | None:
        answer = self._quiet.get_item(TableName=self._table, Key={"pk": {"S": key[0]}, "sk": {"S": key[1]}})
        return answer.get("Item")


def other_usage(service: str, operation: str, params: Mapping[str, Any]) -> Usage:
    """What a request to any service but DynamoDB counts as."""
    match service, operation:
        case "sqs", _:
            return Usage(sqs_requests=sqs_requests(len(json.dumps(params.get("Entries", []), default=str).encode())))
        case "s3", "PutObject":
            return Usage(s3_puts=1)
        case "s3", "GetObject":
            return Usage(s3_gets=1)
        case "kms", _:
            return Usage(kms_requests=1)
        case "secretsmanager", _:
            return Usage(secret_requests=1)
    raise ValueError(f"no price for {service}.{operation}")


def _written(operation: str, params: Mapping[str, Any]) -> list[Key]:
    """The keys of the items that a request may write."""
    match operation:
        case "PutItem":
            return [_key(params["Item"])]
        case "DeleteItem" | "UpdateItem":
            return [_key(params["Key"])]
        case "TransactWriteItems":
            return [_key(each["Put"]["Item"]) for each in params["TransactItems"]]
        case "BatchExecuteStatement":
            return [_statement_key(each) for each in params["Statements"]]
    return []


def _statement_key(statement: Mapping[str, Any]) -> Key:
    """Where the statements of `shared.store.table` have their key: an INSERT begins with it, an UPDATE ends with it."""
    parameters = statement["Parameters"]
    if statement["Statement"].startswith("INSERT"):
        return parameters[0]["S"], parameters[1]["S"]
    return parameters[-3]["S"], parameters[-2]["S"]


def _read_units(operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    match operation:
        case "GetItem":
            return read_units(item_bytes(parsed.get("Item", {})), consistent=params.get("ConsistentRead", False))
        case "BatchGetItem":
            return sum(_batch_units(table, asked, parsed) for table, asked in params["RequestItems"].items())
        case "Query":
            size = sum(map(item_bytes, parsed.get("Items", [])))
            return read_units(size, consistent=params.get("ConsistentRead", False))
    return 0


def _items_read(operation: str, parsed: Mapping[str, Any]) -> int:
    match operation:
        case "GetItem":
            return int("Item" in parsed)
        case "BatchGetItem":
            return sum(map(len, parsed["Responses"].values()))
        case "Query":
            return int(parsed["ScannedCount"])
    return 0


def _batch_units(table: str, asked: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    found: Iterable[WireItem] = parsed["Responses"].get(table, [])
    sizes = [item_bytes(item) for item in found]
    absent = len(asked["Keys"]) - len(sizes)
    return sum(read_units(size, consistent=asked.get("ConsistentRead", False)) for size in [*sizes, *[0] * absent])


def _key(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def kind(key: Key) -> str:
    """`RUN RECORD`, `RUN ATTEMPT` …: of what kind an item is."""
    parts = key[0].split("#")
    return f"{parts[2] if len(parts) > 2 else parts[0]} {key[1].split('#')[0]}"
