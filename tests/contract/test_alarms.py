"""Alarms and dashboard against the code: they look at what somebody counts, in the places where it is counted."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bench.prices import PRICES
from cli.local.layout import PROJECT
from cli.local.template import functions, load, local_parameters
from shared.domain.run import RunStatus
from shared.domain.schedule import LOOK_AHEAD
from shared.store.keys import INDEXES

TEMPLATE = load(PROJECT)
RESOURCES = TEMPLATE["Resources"]
FUNCTIONS = functions(TEMPLATE)
ALARMS = {name: block["Properties"] for name, block in RESOURCES.items() if block["Type"] == "AWS::CloudWatch::Alarm"}
BODY, KNOWN = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
OURS = "Spark/${AWS::StackName}"
SERVICES = set(FUNCTIONS.values())

# Of AWS's own metrics those that are looked at, and the dimensions by which. Pages of https://docs.aws.amazon.com, read
# 2026-11-21: lambda/latest/dg/monitoring-metrics-types.html, apigateway/latest/developerguide/http-api-metrics.html,
# AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html,
# amazondynamodb/latest/developerguide/metrics-dimensions.html,
# AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html.
OF_AWS = {
    "AWS/ApiGateway": ({"4xx", "5xx", "Count", "Latency"}, {("ApiId",)}),
    "AWS/DynamoDB": (
        {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"},
        {("TableName",), ("TableName", "GlobalSecondaryIndexName")},
    ),
    "AWS/Lambda": (
        {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
        {("FunctionName",), ("FunctionName", "Resource", "ExecutedVersion")},
    ),
    "AWS/Logs": ({"IncomingBytes"}, {("LogGroupName",)}),
    "AWS/SQS": (
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfEmptyReceives",
            "NumberOfMessagesDeleted",
            "NumberOfMessagesReceived",
            "NumberOfMessagesSent",
        },
        {("QueueName",)},
    ),
}
COUNTING = {"count", "count_of_version", "measure"}
FINAL = [status for status in RunStatus if status not in {RunStatus.pending, RunStatus.running}]


def emitted() -> dict[str, set[str]]:
    """Metric → services that may count it: the function whose folder names it, or anybody if `shared` does."""
    found: dict[str, set[str]] = {}
    for path in [*(PROJECT / "functions").rglob("*.py"), *(PROJECT / "shared").rglob("*.py")]:
        parts = path.relative_to(PROJECT).parts
        services = {parts[1]} if parts[0] == "functions" else SERVICES
        for name in named(ast.parse(path.read_text())):
            found[name] = found.get(name, set()) | services
    return found


def named(module: ast.Module) -> Iterator[str]:
    """The names that a module hands to `count`, `measure` and `count_of_version`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in COUNTING:
            yield from (name for name in names(node.args[0]) if re.fullmatch("[A-Z][A-Za-z]+", name))


def names(node: ast.expr) -> Iterator[str]:
    """What an argument may be: a word, one of two, or `Runs` and how a run may end."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from (*names(node.body), *names(node.orelse))
    elif isinstance(node, ast.JoinedStr) and ast.unparse(node) == "f'Runs{run.status.capitalize()}'":
        yield from (f"Runs{status.capitalize()}" for status in FINAL)


def alarm_metrics(alarm: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The one metric of an alarm, or those that it reckons with."""
    reckoned_with = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    for metric in reckoned_with or [alarm]:
        namespace = metric["Namespace"]
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
        yield namespace if isinstance(namespace, str) else namespace["Fn::Sub"], metric["MetricName"], dimensions


def body() -> dict[str, Any]:
    """The dashboard, its references left in place as words."""
    known = BODY
    for name in ("IfReckons", "IfReckonsOfGateway"):
        _, there, elsewhere = KNOWN[name]["Fn::If"]
        assert elsewhere == ""
        known = known.replace(f"${{{name}}}", there["Fn::Sub"])
    read: dict[str, Any] = json.loads(known)
    return read


def widgets(kind: str) -> Iterator[dict[str, Any]]:
    yield from (widget["properties"] for widget in body()["widgets"] if widget["type"] == kind)


def widget_metrics() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every metric of every widget, its abbreviations (`.` and `...`: as in the row before) written out."""
    for widget in widgets("metric"):
        before: list[str] = []
        for row in widget["metrics"]:
            words = [word for word in row if isinstance(word, str)]
            if not words:
                continue
            if words[0] == "...":
                words = before[: len(before) - len(words[1:])] + words[1:]
            before = [old if word == "." else word for word, old in zip(words, before or words, strict=False)]
            before += words[len(before) :]
            yield before[0], before[1], dict(zip(before[2::2], before[3::2], strict=True))


def searched() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for expression in expressions():
        for schema, name in re.findall(r"SEARCH\('\{([^}]*)\} MetricName=\"(\w+)\"", expression):
            namespace, *dimensions = schema.split(",")
            yield namespace, name, tuple(dimensions)


def expressions() -> Iterator[str]:
    for widget in widgets("metric"):
        yield from (part["expression"] for row in widget["metrics"] for part in row if "expression" in part)


LOOKED_AT = [
    *((f"alarm {name}", *metric) for name, alarm in ALARMS.items() for metric in alarm_metrics(alarm)),
    *((f"dashboard {metric[1]}", *metric) for metric in widget_metrics()),
]


@pytest.mark.parametrize(("where", "namespace", "name", "dimensions"), LOOKED_AT, ids=[each[0] for each in LOOKED_AT])
def test_somebody_counts_what_is_looked_at(where: str, namespace: str, name: str, dimensions: dict[str, Any]) -> None:
    if namespace == OURS:
        assert dimensions.keys() == ({"service", "version"} if name == "FailuresOfVersion" else {"service"})
        assert dimensions["service"] in emitted().get(name, set()), f"{where}: nobody counts {name} there"
        return
    known, selected = OF_AWS[namespace]
    assert name in known
    assert tuple(dimensions) in selected


def test_what_the_dashboard_searches_is_there() -> None:
    found = list(searched())
    assert found
    for namespace, name, dimensions in found:
        known, selected = OF_AWS[namespace]
        assert name in known
        assert dimensions in selected


def test_our_metrics_go_where_they_are_looked_for() -> None:
    given = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    assert given == {"Fn::Sub": OURS}


def test_every_alarm_is_told_to_somebody_and_says_what_it_means() -> None:
    for alarm in ALARMS.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
        assert alarm["AlarmDescription"].endswith((".", "?"))


def test_silence_rings_where_there_is_a_heartbeat_and_nowhere_else() -> None:
    ringing = {name for name, alarm in ALARMS.items() if alarm["TreatMissingData"] == "breaching"}
    assert ringing == {"TickMissing"}
    missing = ALARMS["TickMissing"]
    assert missing["Period"] * (missing["EvaluationPeriods"] - 1) < LOOK_AHEAD.total_seconds()


def test_alarms_that_reckon_are_left_out_where_emulators_would_refuse_them() -> None:
    """MiniStack has no arithmetic, and its stage is `local`."""
    reckoning = {name for name, alarm in ALARMS.items() if "Metrics" in alarm}
    assert {name: RESOURCES[name]["Condition"] for name in reckoning} == {
        "ApiServerErrors": "ReckonsOfGateway",
        "ExecutorsIdle": "Reckons",
    }
    assert TEMPLATE["Conditions"]["Reckons"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]}
    assert local_parameters(PROJECT)["Stage"] == "local"


def test_every_index_of_the_table_has_an_alarm() -> None:
    watched = {
        dimensions["GlobalSecondaryIndexName"]
        for alarm in ALARMS.values()
        for _, name, dimensions in alarm_metrics(alarm)
        if name == "WriteThrottleEvents" and "GlobalSecondaryIndexName" in dimensions
    }
    assert watched == set(INDEXES)


def test_the_dashboard_shows_every_alarm_but_those_of_a_deployment() -> None:
    (shown,) = widgets("alarm")
    arns = {f"${{{name}.Arn}}" for name in ALARMS if not name.endswith("OfNewVersion")}
    assert set(shown["alarms"]) == arns


def test_the_dashboard_answers_its_four_questions() -> None:
    titles = " ".join(widget.get("title", "") for kind in ("alarm", "metric") for widget in widgets(kind))
    assert all(word in titles for word in ("Is it healthy", "How late", "How much", "What does it cost"))


def test_what_the_dashboard_refers_to_exists() -> None:
    named = {word.split(".")[0] for word in re.findall(r"\$\{([^}]*)\}", BODY)}
    unknown = named - RESOURCES.keys() - KNOWN.keys() - {"AWS::Region", "AWS::StackName"}
    assert not unknown
    conditional = {name for name, block in RESOURCES.items() if "Condition" in block}
    assert not named & conditional


def test_the_dashboard_reckons_with_the_prices_of_the_benchmarks() -> None:
    prices = {
        "GbSecond": PRICES.lambda_gb_seconds,
        "Invocation": PRICES.lambda_requests,
        "WriteUnit": PRICES.write_units,
        "ReadUnit": PRICES.read_units,
        "SqsRequest": PRICES.sqs_requests,
        "HttpApiRequest": PRICES.http_api_requests,
        "LogGb": PRICES.log_gb,
    }
    assert {name: float(KNOWN[name]) for name in prices} == prices


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_dashboard_reckons_with_the_memory_of_each_function(name: str) -> None:
    memory = RESOURCES[name]["Properties"].get("MemorySize", TEMPLATE["Globals"]["Function"]["MemorySize"])
    assert float(KNOWN[f"{name.removesuffix('Function')}Gb"]) == memory / 1024


def test_widgets_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in body()["widgets"]:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in columns for y in range(widget["y"], widget["y"] + widget["height"])}
        assert max(columns) < 24
        assert not cells & taken
        taken |= cells
