"""What `Table` makes of a DynamoDB in trouble. What it does with a healthy one stands in the store's contract."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from shared.errors import Conflict, Unavailable
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
    access = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.client("dynamodb", region_name="us-east-1", **access)
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


def test_what_a_busy_table_never_took_is_unknown_after_growing_pauses(
    dynamodb: tuple[Table, Stubber], pauses: list[float]
) -> None:
    table, stub = dynamodb
    answer(stub, HELD, THROTTLED, FAILED)
    for _ in range(MAX_ROUNDS - 1):
        answer(stub, THROTTLED)

    assert table.put_many(changes("abc")) == [True, None, False]
    assert len(pauses) == MAX_ROUNDS - 1
    assert pauses == sorted(pauses)
    assert pauses[0] > 0


def test_a_statement_that_is_refused_for_another_reason_is_logged_and_takes_no_other_with_it(
    dynamodb: tuple[Table, Stubber], caplog: pytest.LogCaptureFixture
) -> None:
    table, stub = dynamodb
    invalid = {"Error": {"Code": "ValidationError", "Message": "Item size has exceeded"}}
    answer(stub, HELD, invalid)
    for _ in range(MAX_ROUNDS - 1):
        answer(stub, invalid)

    assert table.put_many(changes("ab")) == [True, None]
    assert caplog.records[-1].__dict__["code"] == "ValidationError"


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


def test_a_save_that_meets_a_transaction_on_the_same_item_is_a_conflict(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    stub.add_client_error("put_item", "TransactionConflictException")
    stub.add_client_error("delete_item", "TransactionConflictException")

    with pytest.raises(Conflict):
        table.put(Change(None, an_item("a")))
    with pytest.raises(Conflict):
        table.delete(an_item("a"))


def test_a_statement_that_meets_a_transaction_is_asked_again(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    answer(stub, {"Error": {"Code": "TransactionConflict", "Message": "ongoing"}})
    answer(stub, HELD)

    assert table.put_many(changes("a")) == [True]


@pytest.mark.parametrize(
    ("reason", "error"),
    [("ConditionalCheckFailed", Conflict), ("TransactionConflict", Conflict), ("ThrottlingError", Unavailable)],
)
def test_a_transaction_is_cancelled_for_a_reason(
    dynamodb: tuple[Table, Stubber], reason: str, error: type[Exception]
) -> None:
    table, stub = dynamodb
    reasons = {"CancellationReasons": [{"Code": "None"}, {"Code": reason}]}
    stub.add_client_error("transact_write_items", "TransactionCanceledException", modeled_fields=reasons)

    with pytest.raises(error):
        table.put_all(changes("ab"))


def test_another_error_of_a_transaction_is_no_conflict(dynamodb: tuple[Table, Stubber]) -> None:
    table, stub = dynamodb
    stub.add_client_error("transact_write_items", "AccessDeniedException")

    with pytest.raises(ClientError, match="AccessDenied"):
        table.put_all(changes("ab"))
