"""The one door to DynamoDB: whole items, saved only over the revision that was read.

An item here is a flat dictionary of text, whole numbers, bytes and truth values. Nothing else of DynamoDB's types, and
none of its expressions, is seen beyond this file.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import Conflict, Outrun, Unavailable
from shared.store.keys import INDEXES, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Value = str | int | bytes | bool
Item = dict[str, Value]

MAX_STATEMENTS = 25  # BatchExecuteStatement
MAX_KEYS = 100  # BatchGetItem
FIRST, LAST = "\0", "\U0010ffff"  # text below and above every other
MAX_ROUNDS = 5  # how often unprocessed keys or throttled statements are asked for again
CONDITION_FAILED = frozenset({"ConditionalCheckFailed", "DuplicateItem"})
LOST_TO_SOMEBODY = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})  # who saved it, or is
CHANGED_MEANWHILE = "ConditionalCheckFailed"
BEING_CHANGED = "TransactionConflict"
CHANGED = "The record was changed by somebody else at the same time."
LOG = logging.getLogger(__name__)


# What became of one change of a batch: stored; refused, since its condition did not hold; or, None, nobody can tell.
Outcome = bool | None


class Change(NamedTuple):
    """`after` replaces `before` if that is still what is stored; `before` None means it must be new."""

    before: Item | None
    after: Item


class Counted(NamedTuple):
    """Whether one more was counted, and the item after it; if it was not, the item as it is. None: there is none."""

    is_counted: bool
    item: Item | None


@dataclass(frozen=True)
class Page:
    """Keys in index order; `next` starts the following page and is None on the last."""

    items: list[Item]
    next: dict[str, Value] | None


class Table:
    """DynamoDB table `name`. `now` decides which items have expired: TTL deletes late."""

    def __init__(
        self, client: "DynamoDBClient", name: str, now: Callable[[], datetime], sleep: Callable[[float], None] = sleep
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._name = name
        self._now = now

    def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        answer = self._client.get_item(TableName=self._name, Key=to_wire(key._asdict()), ConsistentRead=consistent)
        return self._alive(from_wire(answer["Item"])) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key], *, consistent: bool = False) -> dict[Key, Item]:
        """Those of `keys` that exist. Any number of keys; 100 a request."""
        found: dict[Key, Item] = {}
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), MAX_KEYS):
            for item in self._get_chunk(unique[start : start + MAX_KEYS], consistent):
                if self._is_alive(item):
                    found[key_of(item)] = item
        return found

    def put(self, change: Change) -> None:
        """Store `change.after`. A new item may take the place of an expired one that is not deleted yet.

        Raises:
            Conflict: somebody saved the item since `change.before` was read.
        """
        self._conditionally(self._client.put_item, **self._conditional_put(change))

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Store each of `changes` on its own condition. Not one transaction; 25 a request.

        A table that is too busy raises nothing: nobody shall forget what was stored because of what was not.
        """
        outcomes: list[Outcome] = []
        for start in range(0, len(changes), MAX_STATEMENTS):
            chunk = changes[start : start + MAX_STATEMENTS]
            outcomes += self._execute([statement(self._name, change) for change in chunk])
        return outcomes

    def put_all(self, changes: Sequence[Change], *, removed: Sequence[Item] = ()) -> None:
        """Store all of `changes` and delete all of `removed`, up to 100 together, or nothing: one transaction, at twice
        the write units.

        Raises:
            Outrun: somebody saved one of the items since it was read, or is just doing so.
            Unavailable: the table is too busy.
        """
        puts: list[Any] = [{"Put": self._conditional_put(each)} for each in changes]
        deletes: list[Any] = [{"Delete": self._conditional_delete(each)} for each in removed]
        try:
            self._client.transact_write_items(TransactItems=puts + deletes)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            reasons = _reasons(error)
            if not {CHANGED_MEANWHILE, BEING_CHANGED}.isdisjoint(reasons):
                written = [key_of(item) for item in (*(each.after for each in changes), *removed)]
                changed = [key for key, reason in zip(written, reasons, strict=True) if reason == CHANGED_MEANWHILE]
                raise Outrun(CHANGED, changed) from error
            raise Unavailable("The table is too busy to write to. Try again.") from error

    def count(self, key: Key, same: Item, limits: Mapping[str, int | None]) -> Counted:
        """One more in each attribute that `limits` names, if the item has what is in `same` and none is at its limit.

        One request that asks and counts at once: however many do so together, no attribute gets beyond its limit. A
        request that boto3 repeats, since its answer was lost, counts twice.
        """
        try:
            answer = self._client.update_item(
                TableName=self._name, Key=to_wire(key._asdict()), ReturnValues="ALL_NEW", **_counting(same, limits)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            found: Any = error.response.get("Item")  # an emulator may leave it out
            return Counted(False, self._alive(from_wire(found)) if found else self.get(key))
        return Counted(True, from_wire(answer["Attributes"]))

    def delete(self, before: Item) -> None:
        """Remove the item as it was read.

        Raises:
            Conflict: somebody saved it since.
        """
        self._conditionally(self._client.delete_item, **self._conditional_delete(before))

    def query(
        self, pk: str, prefix: str, *, below: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> list[Item]:
        """Up to `limit` items of one partition whose sort key begins with `prefix` and comes before `below`.

        Consistent. An answer of DynamoDB ends at 1 MB, so there may be several.
        """
        found: list[Item] = []
        more: dict[str, Any] = {}
        while True:
            answer = self._client.query(
                TableName=self._name,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                ExpressionAttributeValues=to_wire({":pk": pk, ":low": prefix, ":high": _high(prefix, below)}),
                ScanIndexForward=not newest_first,
                ConsistentRead=True,
                Limit=limit,
                **more,
            )
            items = map(from_wire, answer["Items"])
            found += [item for item in items if item["sk"] != below and self._is_alive(item)]
            last = answer.get("LastEvaluatedKey")
            if last is None or len(found) >= limit:
                return found[:limit]
            more = {"ExclusiveStartKey": last}

    def page(
        self,
        index: str,
        hash: str,
        *,
        low: str | None = None,
        high: str | None = None,
        limit: int,
        start: dict[str, Value] | None = None,
        newest_first: bool = True,
    ) -> Page:
        """Keys on `index` under `hash`, range between `low` and `high` (both included)."""
        if low is not None and high is not None and low > high:
            return Page([], None)  # DynamoDB would call it an error
        names = INDEXES[index]
        values: Item = {":hash": hash, ":low": low or FIRST, ":high": high or LAST}
        more: dict[str, Any] = {"ExclusiveStartKey": to_wire(start)} if start else {}
        answer = self._client.query(
            TableName=self._name,
            IndexName=index,
            KeyConditionExpression=f"{names.hash} = :hash AND {names.range} BETWEEN :low AND :high",
            ExpressionAttributeValues=to_wire(values),
            ScanIndexForward=not newest_first,
            Limit=limit,
            **more,
        )
        last = answer.get("LastEvaluatedKey")
        return Page([from_wire(item) for item in answer["Items"]], from_wire(last) if last else None)

    def ping(self) -> None:
        """Raises botocore's ClientError or BotoCoreError when the table cannot be used."""
        self.get(Key("PING", "PING"), consistent=False)  # DescribeTable allows ten a second, for the whole account

    def _pause(self, round: int) -> None:
        """Before asking again for what a busy table left over: 50, 100, 200 … ms."""
        if round:
            self._sleep(0.05 * 2 ** (round - 1))

    def _alive(self, item: Item) -> Item | None:
        return item if self._is_alive(item) else None

    def _is_alive(self, item: Item) -> bool:
        expires = item.get("expires_at")
        return not isinstance(expires, int) or expires > self._now().timestamp()

    def _get_chunk(self, keys: list[Key], consistent: bool) -> list[Item]:
        wanted: Any = {self._name: {"Keys": [to_wire(key._asdict()) for key in keys], "ConsistentRead": consistent}}
        items: list[Item] = []
        for number in range(MAX_ROUNDS):
            self._pause(number)
            answer = self._client.batch_get_item(RequestItems=wanted)
            items += [from_wire(item) for item in answer["Responses"].get(self._name, [])]
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                return items
        raise Unavailable("The table is too busy to read from. Try again.")

    def _execute(self, statements: list[dict[str, Any]]) -> list[Outcome]:
        outcomes: list[Outcome] = [None] * len(statements)
        for round in range(MAX_ROUNDS):
            waiting = [number for number, outcome in enumerate(outcomes) if outcome is None]
            if not waiting:
                break
            self._pause(round)
            for number, response in zip(waiting, self._send([statements[n] for n in waiting]), strict=True):
                outcomes[number] = _outcome(response.get("Error"))
        return outcomes

    def _send(self, statements: list[dict[str, Any]]) -> list[Any]:
        """A response for each of `statements`; a request that failed as a whole is a failure of each."""
        try:
            return list(self._client.batch_execute_statement(Statements=statements)["Responses"])  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            return [{"Error": {"Code": type(error).__name__, "Message": str(error)}}] * len(statements)

    def _conditional_put(self, change: Change) -> Any:
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
            "ExpressionAttributeValues": to_wire({":now": int(self._now().timestamp())}),
        }
        if change.before is not None:
            condition = {
                "ConditionExpression": "revision = :revision",
                "ExpressionAttributeValues": to_wire({":revision": change.before["revision"]}),
            }
        return {"TableName": self._name, "Item": to_wire(change.after), **condition}

    def _conditional_delete(self, before: Item) -> Any:
        return {
            "TableName": self._name,
            "Key": to_wire(key_of(before)._asdict()),
            "ConditionExpression": "revision = :revision",
            "ExpressionAttributeValues": to_wire({":revision": before["revision"]}),
        }

    def _conditionally(self, call: Callable[..., Any], **arguments: Any) -> None:
        try:
            call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST_TO_SOMEBODY:
                raise
            raise Conflict(CHANGED) from error


def _counting(same: Item, limits: Mapping[str, int | None]) -> Any:
    """The expressions of `Table.count`. Names are given apart, since many of ours are reserved words."""
    named = {name: f"#{number}" for number, name in enumerate([*same, *limits])}
    conditions = [f"{named[name]} = :{number}" for number, name in enumerate(same)]
    conditions += [f"{named[name]} < :{name}" for name, limit in limits.items() if limit is not None]
    values: Item = {":one": 1, **{f":{number}": value for number, value in enumerate(same.values())}}
    values |= {f":{name}": limit for name, limit in limits.items() if limit is not None}
    return {
        "UpdateExpression": "ADD revision :one, " + ", ".join(f"{named[name]} :one" for name in limits),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {short: name for name, short in named.items()},
        "ExpressionAttributeValues": to_wire(values),
    }


def _reasons(error: ClientError) -> list[str]:
    """Why a transaction was cancelled: a code for each of its items, in their order."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return [str(reason.get("Code")) for reason in reasons]


def _high(prefix: str, below: str | None) -> str:
    return below or prefix + LAST


def _outcome(error: Any) -> Outcome:
    if error is None:
        return True
    if error["Code"] in CONDITION_FAILED:
        return False
    LOG.warning("table.statement_failed", extra={"code": error["Code"], "reason": error.get("Message")})
    return None


def statement(table: str, change: Change) -> dict[str, Any]:
    """`change` as PartiQL: what BatchExecuteStatement takes, since BatchWriteItem knows no conditions."""
    if change.before is None:
        names = ", ".join(f"'{name}': ?" for name in change.after)
        return _statement(f'INSERT INTO "{table}" VALUE {{{names}}}', change.after.values())
    key = key_of(change.before)
    changed = {name: value for name, value in change.after.items() if change.before.get(name) != value}
    sets = "".join(f' SET "{name}" = ?' for name in changed)  # quoted: many of our names are reserved words
    removes = "".join(f' REMOVE "{name}"' for name in change.before if name not in change.after)
    where = 'WHERE "pk" = ? AND "sk" = ? AND "revision" = ?'
    return _statement(f'UPDATE "{table}"{sets}{removes} {where}', [*changed.values(), *key, change.before["revision"]])


def _statement(text: str, values: Iterable[Value]) -> dict[str, Any]:
    return {"Statement": text, "Parameters": [to_attribute(value) for value in values]}


def key_of(item: Item) -> Key:
    return Key(str(item["pk"]), str(item["sk"]))


def to_attribute(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)}


def to_wire(item: dict[str, Value]) -> dict[str, Any]:
    return {name: to_attribute(value) for name, value in item.items()}


def from_wire(item: Any) -> Item:
    return {name: _value(attribute) for name, attribute in item.items()}


def _value(attribute: dict[str, Any]) -> Value:
    ((kind, value),) = attribute.items()
    return int(value) if kind == "N" else value
