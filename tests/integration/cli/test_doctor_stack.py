"""What the doctor learns from AWS of a small stack with one of everything that it asks about.

Here moto is AWS, but for CloudFormation and Lambda, which it has with more packages only: these answer in the form of
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference and /lambda/latest/api, as botocore's models have it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cli.doctor import amazon
from cli.doctor.facts import GONE, Alarm, StackFacts, Unknown
from cli.errors import CliError

NAME = "spark-test"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
EXECUTOR = f"{NAME}-executor"
ALARM = {
    "AlarmName": f"{NAME}-TickMissing-1",
    "AlarmDescription": "No tick got through.",
    "Namespace": "Spark",
    "MetricName": "Ticks",
    "Period": 60,
    "EvaluationPeriods": 1,
    "ComparisonOperator": "LessThanThreshold",
    "Threshold": 1,
    "Statistic": "Sum",
}


class Account:
    """The stack in moto, and what CloudFormation and Lambda say of it."""

    def __init__(self) -> None:
        self.mapping_state = "Enabled"
        self.kept: Any = {}  # as GetFunctionConcurrency answers where nothing is set aside
        self.parameters = {"Stage": "staging", "SecretsKeyArn": ""}
        self.outputs, self.resources = self._make()

    def client(self, service: str) -> Any:
        own = {"cloudformation": self._cloudformation, "lambda": self._functions}
        return own[service]() if service in own else boto3.client(service)  # type: ignore[call-overload]

    def _make(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        boto3.client("logs").create_log_group(logGroupName="/aws/x")
        boto3.client("logs").put_retention_policy(logGroupName="/aws/x", retentionInDays=30)
        boto3.client("logs").create_log_group(logGroupName="/aws/x-y")
        boto3.client("cloudwatch").put_metric_alarm(**ALARM)
        boto3.client("events").put_rule(Name=f"{NAME}-minute", ScheduleExpression="rate(1 minute)")
        boto3.client("dynamodb").create_table(
            TableName=NAME,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            DeletionProtectionEnabled=True,
        )
        key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
        secret = json.dumps({"key_id": "bootstrap", "secret": "f" * 43})
        outputs = {
            "TableName": NAME,
            "DeadLetterQueueUrl": boto3.client("sqs").create_queue(QueueName=NAME)["QueueUrl"],
            "AlarmTopicArn": boto3.client("sns").create_topic(Name=NAME)["TopicArn"],
            "BootstrapSecretArn": boto3.client("secretsmanager").create_secret(Name=NAME, SecretString=secret)["ARN"],
        }
        return outputs, [
            (amazon.ALARM, str(ALARM["AlarmName"])),
            (amazon.LOGS, "/aws/x"),
            (amazon.LOGS, "/aws/x-y"),
            (amazon.FUNCTION, EXECUTOR),
            (amazon.TRIGGER, "11111111"),
            (amazon.RULE, f"{NAME}-minute"),
            (amazon.KEY, key),
        ]

    def _cloudformation(self) -> Any:
        found = [{"ResourceType": kind, "PhysicalResourceId": id} for kind, id in self.resources]
        pages = [{"StackResourceSummaries": found[:4]}, {"StackResourceSummaries": found[4:]}]
        return SimpleNamespace(
            describe_stacks=self._describe,
            get_paginator=lambda name: SimpleNamespace(paginate=lambda **_: iter(pages)),
        )

    def _describe(self, **asked: str) -> Any:
        if asked != {"StackName": NAME}:
            raise ClientError({"Error": {"Code": "ValidationError"}}, "DescribeStacks")
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        made = datetime(2029, 1, 1, tzinfo=UTC)
        stack = {"StackStatus": "CREATE_COMPLETE", "CreationTime": made, "Outputs": outputs, "Parameters": parameters}
        return {"Stacks": [stack]}

    def _functions(self) -> Any:
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{EXECUTOR}:live"
        return SimpleNamespace(
            get_function_configuration=lambda **_: {"Runtime": "python3.13"},
            get_function_concurrency=lambda **_: self.kept,
            get_event_source_mapping=lambda **_: {"FunctionArn": arn, "State": self.mapping_state},
        )


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Account()


@pytest.fixture
def client(account: Account) -> amazon.Client:
    return account.client


@pytest.fixture
def stack(client: amazon.Client) -> StackFacts:
    return amazon.gather(client, NAME, NOW)


def test_all_parts_are_known(stack: StackFacts) -> None:
    assert not [name for name, fact in vars(stack).items() if isinstance(fact, Unknown)]
    assert (stack.status, stack.parameters) == ("CREATE_COMPLETE", {"Stage": "staging", "SecretsKeyArn": ""})
    assert stack.created_at < NOW


def test_the_table_its_key_and_the_logs(stack: StackFacts, client: amazon.Client) -> None:
    assert (stack.is_protected, stack.recovery_days, stack.expires) == (True, 0, False)
    assert stack.log_retention == {"/aws/x": 30, "/aws/x-y": None}
    assert isinstance(stack.keys, dict)
    assert set(stack.keys.values()) == {"Enabled"}
    name = stack.outputs["TableName"]
    recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}
    client("dynamodb").update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    expiry = {"Enabled": True, "AttributeName": "expires_at"}
    client("dynamodb").update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    later = amazon.gather(client, NAME, NOW)
    assert (later.recovery_days, later.expires) == (7, True)


def test_a_log_group_that_somebody_deleted(client: amazon.Client) -> None:
    client("logs").delete_log_group(logGroupName="/aws/x")
    assert amazon.gather(client, NAME, NOW).log_retention == {"/aws/x": 0, "/aws/x-y": None}


def test_a_key_of_ones_own_is_looked_at_too(account: Account) -> None:
    kms = account.client("kms")
    own = kms.create_key()["KeyMetadata"]
    kms.schedule_key_deletion(KeyId=own["KeyId"])
    account.parameters["SecretsKeyArn"] = own["Arn"]
    keys = amazon.gather(account.client, NAME, NOW).keys
    assert not isinstance(keys, Unknown)
    assert keys[own["Arn"]] == "PendingDeletion"
    assert sorted(keys.values()) == ["Enabled", "PendingDeletion"]


def test_functions_and_what_starts_them(stack: StackFacts) -> None:
    assert stack.runtimes == {EXECUTOR: "python3.13"}
    assert stack.triggers == {f"{NAME}-minute": True, f"queue of {EXECUTOR}": True}


def test_a_function_that_may_not_run(account: Account) -> None:
    assert amazon.gather(account.client, NAME, NOW).concurrency == {EXECUTOR: None}
    account.kept = {"ReservedConcurrentExecutions": 0}
    assert amazon.gather(account.client, NAME, NOW).concurrency == {EXECUTOR: 0}


def test_a_rule_that_is_off(client: amazon.Client) -> None:
    client("events").disable_rule(Name=f"{NAME}-minute")
    triggers = amazon.gather(client, NAME, NOW).triggers
    assert triggers == {f"{NAME}-minute": False, f"queue of {EXECUTOR}": True}


def test_a_queue_that_nobody_is_asked_to_empty(account: Account) -> None:
    account.mapping_state = "Disabled"
    triggers = amazon.gather(account.client, NAME, NOW).triggers
    assert triggers == {f"{NAME}-minute": True, f"queue of {EXECUTOR}": False}


def test_alarms_and_who_hears_them(client: amazon.Client, stack: StackFacts) -> None:
    assert stack.subscriptions == []
    assert not isinstance(stack.alarms, Unknown)
    (alarm,) = stack.alarms
    client("cloudwatch").set_alarm_state(AlarmName=alarm.name, StateValue="ALARM", StateReason="a test")
    client("sns").subscribe(
        TopicArn=stack.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:pager"
    )
    later = amazon.gather(client, NAME, NOW)
    assert later.alarms == [Alarm(alarm.name, "ALARM", "No tick got through.")]
    assert isinstance(later.subscriptions, list)
    assert [each[:4] for each in later.subscriptions] == ["arn:"]


def test_an_alarm_that_is_muted_and_one_that_is_gone(client: amazon.Client) -> None:
    name = str(ALARM["AlarmName"])
    client("cloudwatch").disable_alarm_actions(AlarmNames=[name])
    (muted,) = alarms_of(client)
    assert (muted.state, muted.is_muted) == ("OK", True)
    client("cloudwatch").delete_alarms(AlarmNames=[name])
    assert alarms_of(client) == [Alarm(name, GONE, "")]


def alarms_of(client: amazon.Client) -> Sequence[Alarm]:
    found = amazon.gather(client, NAME, NOW).alarms
    assert not isinstance(found, Unknown)
    return found


def test_dead_messages_are_counted(client: amazon.Client, stack: StackFacts) -> None:
    assert stack.dead_messages == 0
    client("sqs").send_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody="dead")
    assert amazon.gather(client, NAME, NOW).dead_messages == 1


def test_the_first_key(client: amazon.Client, stack: StackFacts) -> None:
    assert amazon.first_key(client, stack) == "spk_bootstrap_" + "f" * 43


def test_a_part_that_one_may_not_see_is_unknown_and_the_others_are_not(client: amazon.Client) -> None:
    def guarded(service: str) -> Any:
        if service in {"sns", "secretsmanager"}:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListSubscriptionsByTopic")
        return client(service)

    stack = amazon.gather(guarded, NAME, NOW)
    assert stack.subscriptions == Unknown("ListSubscriptionsByTopic: AccessDenied")
    assert isinstance(amazon.first_key(guarded, stack), Unknown)
    assert not isinstance(stack.alarms, Unknown)


def test_there_is_no_such_stack(client: amazon.Client) -> None:
    with pytest.raises(CliError, match="AWS shows no stack 'nobody'"):
        amazon.gather(client, "nobody", NOW)


def test_clients_are_those_of_whoever_asks(account: Account) -> None:
    assert amazon.clients()("sts").get_caller_identity()["Account"] == "123456789012"


def test_without_a_region_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(CliError, match="You must specify a region") as refused:
        amazon.gather(amazon.clients(), NAME, NOW)
    assert "AWS_REGION" in refused.value.hint
