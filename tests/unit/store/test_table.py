"""What `Table` makes of a DynamoDB in trouble. What it does with a healthy one stands in the store's contract."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from shared.errors import Unavailable
from shared.store.keys import Key
from shared.store.table import MAX_ROUNDS, Change, Item, Table, to_wire
from tests.fakes import Clock

HELD: dict[str, Any] = {"TableName": "spark"}
FAILED = {"Error": {"Code": "ConditionalCheckFailed", "Message": "no"}}
THROTTLED = {"Error": {"Code": "ThrottlingError", "Message": "slow down"}}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def dynamodb(pauses: list[float]) -> Iterator[tuple[Table, Stubber]]:
    client = boto3.client("dynamodb", region_name="us-east-1")
    with Stubber(client) as stub:
        yield Table(client, "spark", Clock(), pauses.append), stub
        stub.assert_no_pending_responses()


def an_item(name: str) -> Item:
    return {"pk": name, "sk": "s", "revision": 1}


def changes(names: str) -> list[Change]:
    return [Change(None, an_item(name)) for name in names]


def answer(stub: Stubber, *responses: dict[str, Any]) -> None:
    stub.add_response("batch_execute_statement", {"Responses": list(responses)})


def found(stub: Stubber, names: str, left: str = "") -> None:
    keys = [{"pk": {"S": name}, "sk": {"S": "s"}} for name in left]
    unprocessed = {"spark": {"Keys": keys}} if left else {}
    stub.add_response(
        "batch_get_item",
        {"Responses": {"spark": [to_wire(an_item(name)) for name in names]}, "UnprocessedKeys": unprocessed},
    )


def test_statements_that_were_throttled_are_asked_again_and_keep_their_place(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    answer(stub, HELD, THROTTLED, FAILED, THROTTLED)
    answer(stub, FAILED, THROTTLED)
    answer(stub, HELD)

    assert table.put_many(changes("abcd")) == [True, False, False, True]


def test_a_table_that_stays_too_busy_to_write_to_is_unavailable_after_growing_pauses(
    dynamodb: tuple[Table, Stubber], pauses: list[float]
) -> None:
    table, stub = dynamodb
    for _ in range(MAX_ROUNDS):
        answer(stub, THROTTLED)

    with pytest.raises(Unavailable, match="too busy"):
        table.put_many(changes("a"))

    assert len(pauses) == MAX_ROUNDS - 1
    assert pauses == sorted(pauses)
    assert pauses[0] > 0


def test_a_statement_that_is_refused_for_another_reason_says_which(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    answer(stub, {"Error": {"Code": "ValidationError", "Message": "Item size has exceeded"}})

    with pytest.raises(Unavailable, match="ValidationError Item size has exceeded"):
        table.put_many(changes("a"))


def test_keys_that_were_not_processed_are_asked_for_again(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    found(stub, "a", left="bc")
    found(stub, "b", left="c")
    found(stub, "")

    assert list(table.get_many([Key(name, "s") for name in "abc"])) == [Key("a", "s"), Key("b", "s")]


def test_a_table_that_stays_too_busy_to_read_from_is_unavailable(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    for _ in range(MAX_ROUNDS):
        found(stub, "", left="a")

    with pytest.raises(Unavailable, match="too busy"):
        table.get_many([Key("a", "s")])
