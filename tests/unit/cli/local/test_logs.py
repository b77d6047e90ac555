from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.local import logs

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
GROUPS = {"api": "/aws/lambda/spark-api", "tick": "/aws/lambda/spark-tick"}


@dataclass
class CloudWatch:
    """The `logs` client, and at once what holds it: events by log group."""

    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def logs(self) -> "CloudWatch":
        return self

    def filter_log_events(self, logGroupName: str, startTime: int) -> dict[str, Any]:  # noqa: N803
        if logGroupName not in self.events:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "FilterLogEvents")
        return {"events": [event for event in self.events[logGroupName] if event["timestamp"] >= startTime]}

    def write(self, function: str, second: int, *texts: str) -> None:
        at = int(NOON.timestamp() * 1000) + second * 1000
        events = self.events.setdefault(GROUPS[function], [])
        events += [{"timestamp": at, "message": text} for text in texts]


@pytest.fixture
def cloudwatch() -> Any:
    return CloudWatch()


def test_lines_of_all_functions_come_in_order_of_time(cloudwatch: Any) -> None:
    cloudwatch.write("api", 2, "second")
    cloudwatch.write("tick", 1, "first")
    assert [(line.function, line.text) for line in logs.lines(cloudwatch, GROUPS, NOON)] == [
        ("tick", "first"),
        ("api", "second"),
    ]


def test_lambdas_own_lines_are_left_out(cloudwatch: Any) -> None:
    cloudwatch.write("api", 1, "START RequestId: 1 Version: $LATEST", "ours", "END RequestId: 1", "REPORT RequestId: 1")
    assert [line.text for line in logs.lines(cloudwatch, GROUPS, NOON)] == ["ours"]


def test_a_function_that_never_ran_has_no_lines(cloudwatch: Any) -> None:
    assert logs.lines(cloudwatch, GROUPS, NOON) == []


def test_other_refusals_are_not_silenced(cloudwatch: Any) -> None:
    def refuse(**settings: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "FilterLogEvents")

    cloudwatch.filter_log_events = refuse
    with pytest.raises(ClientError):
        logs.lines(cloudwatch, GROUPS, NOON)


def test_followed_lines_come_once_also_those_of_the_same_instant(
    cloudwatch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = iter([("api", 1, "b"), ("tick", 3, "c")])
    monkeypatch.setattr(logs.time, "sleep", lambda seconds: cloudwatch.write(*next(later)))
    cloudwatch.write("api", 1, "a")
    lines = logs.follow(cloudwatch, GROUPS, NOON)
    assert [next(lines).text for _ in range(3)] == ["a", "b", "c"]


def test_some_functions_can_be_chosen() -> None:
    functions = {"api": "spark-api", "dead_letters": "spark-dead-letters"}
    assert logs.log_groups(functions, ["dead_letters"]) == {"dead_letters": "/aws/lambda/spark-dead-letters"}
    assert set(logs.log_groups(functions)) == set(functions)
