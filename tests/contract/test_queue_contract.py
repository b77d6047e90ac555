"""What every run queue promises: the one in memory, SQS as moto plays it, and SQS as MiniStack plays it."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from shared.domain import message
from shared.domain.message import Delivery, RunMessage
from shared.errors import Unavailable
from shared.queue import RunQueue
from tests.contract.conftest import ACCESS
from tests.fakes import Clock, MemoryQueue

NUMBERS = itertools.count()
TAKE = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}


@dataclass(frozen=True)
class Ends:
    """Both ends of a queue, and how to let seconds go by."""

    queue: Any
    receive: Callable[[], list[RunMessage]]
    wait: Callable[[float], object]


@pytest.fixture(params=["memory", "moto", "ministack"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    if request.param == "memory":
        clock = Clock()
        queue = MemoryQueue(clock)
        yield Ends(queue, lambda: list(queue.receive(1000).values()), clock.forward)
        return
    client = request.getfixturevalue(f"{request.param}_aws").sqs
    url = client.create_queue(QueueName=f"contract-{next(NUMBERS)}")["QueueUrl"]
    yield Ends(RunQueue(client, url), lambda: _drain(client, url), time.sleep)
    client.delete_queue(QueueUrl=url)


def _drain(client: Any, url: str) -> list[RunMessage]:
    found: list[RunMessage | None] = []
    while batch := client.receive_message(QueueUrl=url, **TAKE).get("Messages"):
        found += [message.read(each["Body"]) for each in batch]
    assert None not in found
    return [each for each in found if each is not None]


def a_delivery(number: int, delay: float = 0, **changes: Any) -> Delivery:
    read = RunMessage(project_id="default", run_id=f"run_{number}", turn=number, correlation_id="c-ü")
    return Delivery(read.model_copy(update=changes), timedelta(seconds=delay))


def test_a_message_arrives_as_it_was_sent(ends: Ends) -> None:
    ends.queue.send([a_delivery(7)])

    assert ends.receive() == [a_delivery(7).message]


def test_more_messages_than_a_request_takes_all_arrive(ends: Ends) -> None:
    ends.queue.send([a_delivery(number) for number in range(25)])

    assert sorted(read.turn for read in ends.receive()) == list(range(25))


def test_nothing_to_send_is_no_work(ends: Ends) -> None:
    ends.queue.send([])

    assert ends.receive() == []


def test_a_delayed_message_comes_when_its_time_is_over_and_not_before(ends: Ends) -> None:
    ends.queue.send([a_delivery(1, delay=1.2), a_delivery(2)])

    assert [read.turn for read in ends.receive()] == [2]
    ends.wait(1)
    assert ends.receive() == []  # 1.2 s are at least 1.2 s
    ends.wait(1.1)
    assert [read.turn for read in ends.receive()] == [1]


def test_a_time_that_is_over_is_no_delay(ends: Ends) -> None:
    ends.queue.send([a_delivery(1, delay=-5)])

    assert len(ends.receive()) == 1


def test_a_longer_delay_than_the_queue_knows_is_its_longest(ends: Ends) -> None:
    ends.queue.send([a_delivery(1, delay=86_400)])

    assert ends.receive() == []


def test_the_longest_delay_is_a_quarter_of_an_hour() -> None:
    clock = Clock()
    queue = MemoryQueue(clock)
    queue.send([a_delivery(1, delay=86_400)])

    clock.forward(899)
    assert not queue.receive()
    clock.forward(1)
    assert queue.receive()


def test_a_queue_that_is_there_answers_a_ping(ends: Ends) -> None:
    ends.queue.ping()


@pytest.mark.parametrize("place", ["moto", "ministack"])
def test_a_queue_that_is_missing_is_unavailable(request: pytest.FixtureRequest, place: str) -> None:
    client = request.getfixturevalue(f"{place}_aws").sqs
    url = client.create_queue(QueueName="gone")["QueueUrl"]
    client.delete_queue(QueueUrl=url)

    with pytest.raises(Unavailable):
        RunQueue(client, url).send([a_delivery(1)])


@pytest.mark.parametrize("place", ["moto", "ministack"])
def test_a_message_belongs_to_the_group_of_its_project(request: pytest.FixtureRequest, place: str) -> None:
    """Fair queues: SQS keeps a project with a backlog from making others wait."""
    client = request.getfixturevalue(f"{place}_aws").sqs
    url = client.create_queue(QueueName=f"contract-{next(NUMBERS)}")["QueueUrl"]

    RunQueue(client, url).send([a_delivery(1, project_id="one"), a_delivery(2, project_id="two")])

    received = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["MessageGroupId"], **TAKE)["Messages"]
    groups = {message.read(each["Body"]).project_id: each["Attributes"]["MessageGroupId"] for each in received}
    assert groups == {"one": "one", "two": "two"}
    client.delete_queue(QueueUrl=url)


def test_a_message_that_is_refused_is_unavailable_and_the_others_are_sent() -> None:
    client = boto3.client("sqs", **ACCESS)
    failed = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
    sent = {"Id": "0", "MessageId": "m", "MD5OfMessageBody": "d"}
    with Stubber(client) as aws:
        aws.add_response("send_message_batch", {"Successful": [sent] * 9, "Failed": [failed]})
        aws.add_response("send_message_batch", {"Successful": [sent] * 2, "Failed": []})

        with pytest.raises(Unavailable, match="refused 1"):
            RunQueue(client, "https://sqs.test/q").send([a_delivery(number) for number in range(12)])

        aws.assert_no_pending_responses()


def test_a_queue_that_answers_with_an_error_is_unavailable() -> None:
    client = boto3.client("sqs", **ACCESS)
    with Stubber(client) as aws:
        aws.add_client_error("send_message_batch", "ThrottlingException", http_status_code=400)

        with pytest.raises(Unavailable):
            RunQueue(client, "https://sqs.test/q").send([a_delivery(1)])
