"""What AWS charges for: the rules by which a request becomes units, and what a unit costs. Pure arithmetic.

Rules, from the DynamoDB developer guide (read and write consumption; global secondary indexes) and the pricing pages:
- A write costs a unit for each started KB of the larger of the item before and after; so does each PartiQL statement.
  A failed condition costs the same, with the item that is there.
- An index whose entry comes, goes or gets another key is written, too: once to put, once to delete, both for a new key.
  An entry that stays as it is costs nothing. Ours hold keys only.
- A read costs a unit for each started 4 KB, half if eventually consistent: of each item for GetItem and BatchGetItem,
  of the sum for a Query. What is not there costs as if it were small.
- SQS counts every started 64 KB of a request. HTTP APIs count every started 512 KB.

Prices are list prices of us-east-1 as of 2026-11, first tier, no free tier. They were compared with public pages that
quote AWS (its white papers for Lambda and HTTP APIs; third parties of 2025 and 2026 for DynamoDB, SQS, S3 requests, KMS
and CloudWatch Logs), never with a bill. Not verified: Secrets Manager, storage and backup, metrics, alarms. Not
counted: data transfer out, X-Ray; polls of an idle queue and what is paid by the month, except by `idle_cost`.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shared.store.keys import INDEXES, Index

REGION = "us-east-1"
AS_OF = "2026-11"

WRITE_BYTES, READ_BYTES = 1024, 4096
SQS_BYTES, HTTP_API_BYTES = 64 * 1024, 512 * 1024
GB = 1024**3

Attribute = Mapping[str, Any]  # DynamoDB's own form: {"S": "text"}
WireItem = Mapping[str, Attribute]


@dataclass(frozen=True)
class Usage:
    """What was used; of what `PRICES` names, each in the unit that its price is for."""

    write_units: float = 0
    read_units: float = 0
    sqs_requests: float = 0
    s3_puts: float = 0
    s3_gets: float = 0
    kms_requests: float = 0
    secret_requests: float = 0
    http_api_requests: float = 0
    lambda_requests: float = 0
    lambda_gb_seconds: float = 0
    log_gb: float = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def each(self, count: int) -> "Usage":
        """The share of one of `count`."""
        return self.times(1 / count)

    def times(self, factor: float) -> "Usage":
        return Usage(**{each.name: getattr(self, each.name) * factor for each in fields(self)})


PRICES = Usage(
    write_units=0.625e-6,
    read_units=0.125e-6,
    sqs_requests=0.40e-6,
    s3_puts=5e-6,
    s3_gets=0.40e-6,
    kms_requests=3e-6,
    secret_requests=5e-6,
    http_api_requests=1.00e-6,
    lambda_requests=0.20e-6,
    lambda_gb_seconds=0.0000166667,  # x86; arm64 is a fifth less
    log_gb=0.50,
)


@dataclass(frozen=True)
class Fixed:
    """What is paid by the month for being there."""

    kms_keys: float = 0
    secrets: float = 0
    alarms: float = 0
    composite_alarms: float = 0
    dashboards: float = 0
    custom_metrics: float = 0
    log_gb_kept: float = 0


MONTHLY = Fixed(
    kms_keys=1.00,
    secrets=0.40,
    alarms=0.10,
    composite_alarms=0.50,
    dashboards=3.00,
    custom_metrics=0.30,
    log_gb_kept=0.03,
)
RESOURCES = {
    "AWS::KMS::Key": "kms_keys",
    "AWS::SecretsManager::Secret": "secrets",
    "AWS::CloudWatch::Alarm": "alarms",
    "AWS::CloudWatch::CompositeAlarm": "composite_alarms",
    "AWS::CloudWatch::Dashboard": "dashboards",
}

STORED_GB_MONTH = 0.25 + 0.20  # DynamoDB standard table, and its point-in-time recovery
ENTRY_OVERHEAD_BYTES = 100  # that storage, and only storage, is charged for per item and per index entry


def usd(usage: Usage) -> dict[str, float]:
    """What `usage` costs, by what it is for."""
    return {each.name: getattr(usage, each.name) * getattr(PRICES, each.name) for each in fields(usage)}


def fixed(template: Mapping[str, Any], **more: float) -> Fixed:
    """What a template has of these, and what it does not know. An alarm counts once for each metric it looks at."""
    counts = Counter[str]()
    for resource in template["Resources"].values():
        if resource["Type"] in RESOURCES:
            metrics = [each for each in resource.get("Properties", {}).get("Metrics", []) if "MetricStat" in each]
            counts[RESOURCES[resource["Type"]]] += max(len(metrics), 1)
    return Fixed(**counts, **more)


def monthly_usd(fixed: Fixed) -> dict[str, float]:
    return {each.name: getattr(fixed, each.name) * getattr(MONTHLY, each.name) for each in fields(fixed)}


def item_bytes(item: WireItem) -> int:
    return sum(len(name.encode()) + attribute_bytes(attribute) for name, attribute in item.items())


def attribute_bytes(attribute: Attribute) -> int:
    """The size of a value, of the kinds that `shared.store.table` writes."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "B":
        return len(value)
    if kind == "N":  # one byte per two significant digits, and one
        return math.ceil(len(value.lstrip("-").strip("0").replace(".", "")) / 2) + 1
    assert kind == "BOOL", f"no rule for {kind}"
    return 1


def base_write_units(before: WireItem | None, after: WireItem | None) -> int:
    """Of the table itself. Neither `before` nor `after` is what a failed condition on nothing costs."""
    largest = max(item_bytes(item) for item in (before or {}, after or {}))
    return _started(largest, WRITE_BYTES)


def index_write_units(before: WireItem | None, after: WireItem | None) -> dict[str, int]:
    """Of the indexes that had to be written."""
    units = {name: _entry_units(_entry(before, index), _entry(after, index)) for name, index in INDEXES.items()}
    return {name: count for name, count in units.items() if count}


def read_units(size: int, *, consistent: bool) -> float:
    """Of one item, or of all that a query read."""
    return _started(size, READ_BYTES) * (1.0 if consistent else 0.5)


def sqs_requests(size: int) -> int:
    return _started(size, SQS_BYTES)


def http_api_requests(size: int) -> int:
    return _started(size, HTTP_API_BYTES)


def stored_bytes(item: WireItem) -> int:
    """What storage is charged for: the item and its entries in the indexes."""
    entries = [_entry(item, index) for index in INDEXES.values()]
    return sum(item_bytes(each) + ENTRY_OVERHEAD_BYTES for each in [item, *entries] if each is not None)


def _entry(item: WireItem | None, index: Index) -> WireItem | None:
    """What `index` holds of `item`: its keys and the table's, if it has both of the index's."""
    if item is None or index.hash not in item or index.range not in item:
        return None
    return {name: item[name] for name in dict.fromkeys(("pk", "sk", index.hash, index.range))}


def _entry_units(before: WireItem | None, after: WireItem | None) -> int:
    if before == after:
        return 0
    return sum(_started(item_bytes(entry), WRITE_BYTES) for entry in (before, after) if entry is not None)


def _started(size: int, unit: int) -> int:
    return max(math.ceil(size / unit), 1)
