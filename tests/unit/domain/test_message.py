"""Run messages: what travels, and what is no message at all."""

from datetime import timedelta

import pytest

from shared.domain import message
from shared.domain.message import RunMessage
from tests.world import a_run


def test_a_run_is_announced_by_its_turn() -> None:
    delivery = message.announce(a_run(turn=3), timedelta(seconds=2))

    assert delivery.message == RunMessage(project_id="default", run_id=a_run().id, turn=3, correlation_id="c-1")
    assert delivery.delay == timedelta(seconds=2)


def test_a_message_is_read_as_it_was_written() -> None:
    written = message.announce(a_run(turn=3)).message

    assert message.read(written.model_dump_json()) == written
    assert message.read(written.model_dump_json(exclude_defaults=True)) == written


def test_a_field_of_a_newer_sender_is_ignored() -> None:
    read = message.read('{"project_id": "p", "run_id": "r", "turn": 0, "trace": "x"}')

    assert read == RunMessage(project_id="p", run_id="r", turn=0)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "null",
        "[]",
        "{",
        "{}",
        '{"project_id": "p", "run_id": "r"}',
        '{"project_id": "p", "run_id": "r", "turn": -1}',
        '{"project_id": "p", "run_id": "r", "turn": "x"}',
        '{"project_id": "", "run_id": "r", "turn": 0}',
        '{"project_id": "p", "run_id": "", "turn": 0}',
        '{"project_id": "p", "run_id": "\\ud800", "turn": 0}',
        '{"project_id": "p", "run_id": ' + "[" * 10_000,
        # DynamoDB refuses keys above 2 KB: asked for in one batch with others, it would refuse them all.
        '{"project_id": "p", "run_id": "' + "r" * 3000 + '", "turn": 0}',
        '{"project_id": "' + "p" * 3000 + '", "run_id": "r", "turn": 0}',
    ],
)
def test_anything_else_is_no_message(body: str) -> None:
    assert message.read(body) is None
