"""What is sent is counted, on moto: see `bench.recording`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bench import resources
from bench.recording import Recorder, other_usage
from shared.errors import Conflict
from shared.store.keys import Key
from shared.store.table import Change, Item, Table
from tests.moto_partiql import partiql

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in resources.AWS.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), partiql():
        yield boto3.client


@pytest.fixture
def recorder(client: Any) -> Recorder:
    resources.create(client)
    return Recorder(client("dynamodb"), resources.TABLE)


@pytest.fixture
def table(client: Any, recorder: Recorder) -> Table:
    overheard = client("dynamodb")
    recorder.listen(overheard)
    return Table(overheard, resources.TABLE, lambda: NOON)


def item(number: int, size: int = 0, **more: str) -> Item:
    return {"pk": f"PROJECT#p#RUN#{number}", "sk": "RECORD", "revision": 1, "input": "x" * size, **more}


def test_a_put_is_charged_for_its_kilobytes_and_its_indexes(table: Table, recorder: Recorder) -> None:
    table.put(Change(None, item(1, 1500, runs_of_project="p", run_id="1")))
    assert recorder.tally.usage.write_units == 2 + 1
    assert recorder.tally.index_units == {"ProjectRuns": 1}
    assert recorder.tally.calls == {"dynamodb.PutItem": 1}


def test_a_put_that_is_refused_is_charged_as_well(table: Table, recorder: Recorder) -> None:
    table.put(Change(None, item(1)))
    with pytest.raises(Conflict):
        table.put(Change(None, item(1)))
    assert recorder.tally.usage.write_units == 2


def test_each_statement_of_a_batch_is_charged(table: Table, recorder: Recorder) -> None:
    first = [Change(None, item(number)) for number in range(10)]
    assert all(table.put_many(first))
    assert all(table.put_many([Change(each.after, {**each.after, "revision": 2, "turn": 1}) for each in first]))
    assert recorder.tally.usage.write_units == 20
    assert recorder.tally.calls == {"dynamodb.BatchExecuteStatement": 2}


def test_the_items_of_a_batch_are_read_one_by_one_even_if_they_are_not_there(table: Table, recorder: Recorder) -> None:
    table.put(Change(None, item(1, 5000)))
    table.get_many([Key("PROJECT#p#RUN#1", "RECORD"), Key("PROJECT#p#RUN#2", "RECORD")])
    assert recorder.tally.usage.read_units == 1.0 + 0.5


def test_a_query_is_charged_for_the_sum(table: Table, recorder: Recorder) -> None:
    for number in range(5):
        table.put(Change(None, {**item(1, 900), "sk": f"ATTEMPT#{number}"}))
    table.query("PROJECT#p#RUN#1", "ATTEMPT#")
    assert recorder.tally.usage.read_units == 2


def test_a_transaction_costs_twice(table: Table, recorder: Recorder) -> None:
    table.put_all([Change(None, item(1)), Change(None, item(2, 1500))])
    assert recorder.tally.usage.write_units == 2 * (1 + 2)
    assert recorder.tally.calls == {"dynamodb.TransactWriteItems": 1}


def test_items_that_were_found_are_counted_as_read(table: Table, recorder: Recorder) -> None:
    table.put(Change(None, item(1, runs_of_project="p", run_id="1")))
    table.get(Key("PROJECT#p#RUN#1", "RECORD"))
    table.get_many([Key("PROJECT#p#RUN#1", "RECORD"), Key("PROJECT#p#RUN#2", "RECORD")])
    table.page("ProjectRuns", "p", limit=10)
    table.page("ProjectRuns", "q", limit=10)
    assert recorder.tally.items_read == 3


def test_the_largest_form_of_each_item_is_kept(table: Table, recorder: Recorder) -> None:
    table.put(Change(None, item(1, 10)))
    table.put(Change(item(1, 10), {**item(1, 100), "revision": 2}))
    table.put(Change({**item(1, 100), "revision": 2}, {**item(1, 5), "revision": 3}))
    (largest,) = recorder.tally.largest.values()
    assert largest["input"] == {"S": "x" * 100}


def test_a_send_is_charged_by_what_it_carries() -> None:
    assert other_usage("sqs", "SendMessageBatch", {"Entries": [{"MessageBody": "x" * 100}]}).sqs_requests == 1
    assert other_usage("sqs", "SendMessageBatch", {"Entries": [{"MessageBody": "x" * 70_000}]}).sqs_requests == 2


def test_a_service_without_a_price_is_not_overlooked() -> None:
    with pytest.raises(ValueError, match=r"sns\.Publish"):
        other_usage("sns", "Publish", {})
