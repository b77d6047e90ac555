"""Sample events: each is the input of some test, and looks like what AWS sends."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "events").glob("*.json"))
TESTS = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
SQS_FIELDS = {
    "messageId",
    "receiptHandle",
    "body",
    "attributes",
    "messageAttributes",
    "md5OfBody",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
}


def names(samples: list[Path]) -> list[str]:
    return [sample.name for sample in samples]


@pytest.mark.parametrize("sample", SAMPLES, ids=names(SAMPLES))
def test_a_sample_is_the_input_of_a_test(sample: Path) -> None:
    assert any(f'"{sample.stem}' in test.read_text() for test in TESTS)


@pytest.mark.parametrize("sample", SAMPLES, ids=names(SAMPLES))
def test_a_sample_is_json_of_a_known_trigger(sample: Path) -> None:
    event = json.loads(sample.read_text())

    trigger = sample.stem.partition("_")[0]
    assert trigger in ("api", "sqs", "dlq", "eventbridge")
    assert _looks_right(trigger, event)


def _looks_right(trigger: str, event: dict[str, Any]) -> bool:
    if trigger == "api":
        return event["version"] == "2.0"
    if trigger == "eventbridge":
        return event["source"] == "aws.events"
    queue = "RunQueue" if trigger == "sqs" else "RunDeadLetterQueue"
    for record in event["Records"]:
        assert set(record) == SQS_FIELDS
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
        assert record["eventSourceARN"].endswith(f"-{queue}")
        assert record["attributes"]["SentTimestamp"].isdecimal()
    ids = [record["messageId"] for record in event["Records"]]
    return len(set(ids)) == len(ids) > 0
