"""Asks AWS about a stack, with the user's own credentials. Who may not see a part of it gets `Unknown` for that part.

AWS_ENDPOINT_URL leads to an emulator, as it does for every tool of AWS.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from cli.doctor.facts import GONE, Alarm, StackFacts, Unknown
from cli.errors import CliError

T = TypeVar("T")
Client = Callable[[str], Any]

ALARM, LOGS, FUNCTION = "AWS::CloudWatch::Alarm", "AWS::Logs::LogGroup", "AWS::Lambda::Function"
TRIGGER, RULE, KEY = "AWS::Lambda::EventSourceMapping", "AWS::Events::Rule", "AWS::KMS::Key"
OWN_KEYS = ("SecretsKeyArn", "PreviousSecretsKeyArn")  # parameters that name keys which are not the stack's
MOST_RECOVERY_DAYS = 35
ALARMS_AT_ONCE = 100  # DescribeAlarms
HINT = "See that AWS_PROFILE and AWS_REGION name the account and the region of the stack."


def clients() -> Client:
    """boto3's clients, made by the credentials that AWS's own tools would use. Raises CliError without a region."""
    import boto3  # which takes a third of a second, and one option needs it
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    patience = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})
    session = boto3.Session()

    def client(service: str) -> Any:
        try:
            return session.client(service, config=patience)  # type: ignore[call-overload]  # by name, of which it knows each
        except BotoCoreError as error:
            raise CliError(f"AWS cannot be asked: {error}", hint=HINT) from error

    return client


def gather(client: Client, name: str, now: datetime) -> StackFacts:
    """All that AWS says of the stack `name`. Raises CliError where it does not say anything."""
    described = _describe(client, name)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
    found = ask(lambda: _resources(client, name))
    table = outputs.get("TableName", "")
    parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", [])}
    own_keys = [parameters[name] for name in OWN_KEYS if parameters.get(name)]
    return StackFacts(
        name=name,
        status=described["StackStatus"],
        now=now,
        created_at=described["CreationTime"],
        outputs=outputs,
        parameters=parameters,
        alarms=of_each(found, ALARM, lambda names: alarms(client, names)),
        subscriptions=ask(lambda: subscriptions(client, outputs["AlarmTopicArn"])),
        dead_messages=ask(lambda: dead_messages(client, outputs["DeadLetterQueueUrl"])),
        log_retention=of_each(found, LOGS, lambda names: log_retention(client, names)),
        is_protected=ask(lambda: bool(_table(client, table).get("DeletionProtectionEnabled"))),
        recovery_days=ask(lambda: recovery_days(client, table)),
        expires=ask(lambda: expires(client, table)),
        runtimes=of_each(found, FUNCTION, lambda names: runtimes(client, names)),
        concurrency=of_each(found, FUNCTION, lambda names: concurrency(client, names)),
        triggers=triggers(client, found),
        keys=of_each(found, KEY, lambda names: {id: key_state(client, id) for id in [*names, *own_keys]}),
    )


def first_key(client: Client, stack: StackFacts) -> str | Unknown:
    """The key that CloudFormation made, from Secrets Manager."""

    def read() -> str:
        answer = client("secretsmanager").get_secret_value(SecretId=stack.outputs["BootstrapSecretArn"])
        return "spk_{key_id}_{secret}".format(**json.loads(answer["SecretString"]))

    return ask(read)


def ask(question: Callable[[], T]) -> T | Unknown:
    """The answer; that we may not know it is one, too."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return question()
    except ClientError as error:
        return Unknown(f"{error.operation_name}: {error.response['Error'].get('Code', 'refused')}")
    except BotoCoreError as error:
        return Unknown(str(error))
    except KeyError as error:
        return Unknown(f"the stack has no output {error}")


def of_each(
    found: Mapping[str, Sequence[str]] | Unknown, kind: str, question: Callable[[Sequence[str]], T]
) -> T | Unknown:
    """What `question` says about the stack's resources of a kind."""
    return found if isinstance(found, Unknown) else ask(lambda: question(found.get(kind, ())))


def alarms(client: Client, names: Sequence[str]) -> list[Alarm]:
    """All that the stack has made; one that somebody deleted since is simply not told of, and is GONE here."""
    told: dict[str, Alarm] = {name: Alarm(name, GONE, "") for name in names}
    for start in range(0, len(names), ALARMS_AT_ONCE):
        chunk = list(names[start : start + ALARMS_AT_ONCE])
        answer = client("cloudwatch").describe_alarms(AlarmNames=chunk, MaxRecords=ALARMS_AT_ONCE)
        told |= {each["AlarmName"]: _alarm(each) for each in answer["MetricAlarms"]}
    return list(told.values())


def _alarm(told: Mapping[str, Any]) -> Alarm:
    said = told.get("AlarmDescription", "")
    return Alarm(told["AlarmName"], told["StateValue"], said, is_muted=not told.get("ActionsEnabled", True))


def subscriptions(client: Client, topic: str) -> list[str]:
    return [
        each["SubscriptionArn"]
        for page in client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        for each in page["Subscriptions"]
    ]


def dead_messages(client: Client, url: str) -> int:
    """Those that wait, and those that somebody works on at this moment."""
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
    return sum(int(answer["Attributes"].get(name, 0)) for name in wanted)


def log_retention(client: Client, names: Sequence[str]) -> dict[str, int | None]:
    groups: dict[str, int | None] = dict.fromkeys(names, 0)
    for name in names:
        answer = client("logs").describe_log_groups(logGroupNamePrefix=name)
        groups |= {
            each["logGroupName"]: each.get("retentionInDays")
            for each in answer["logGroups"]
            if each["logGroupName"] == name
        }
    return groups


def recovery_days(client: Client, table: str) -> int:
    """0 where it is off. Who does not say how many days has 35 of them, as all had before they could be chosen."""
    answer = client("dynamodb").describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = answer.get("PointInTimeRecoveryDescription", {})
    is_on = recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
    return int(recovery.get("RecoveryPeriodInDays", MOST_RECOVERY_DAYS)) if is_on else 0


def expires(client: Client, table: str) -> bool:
    answer = client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    return answer.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}


def runtimes(client: Client, names: Sequence[str]) -> dict[str, str]:
    functions = client("lambda")
    return {name: functions.get_function_configuration(FunctionName=name)["Runtime"] for name in names}


def concurrency(client: Client, names: Sequence[str]) -> dict[str, int | None]:
    """What is set aside for each function; None where nothing is."""
    functions = client("lambda")
    answers = {name: functions.get_function_concurrency(FunctionName=name) for name in names}
    return {name: answer.get("ReservedConcurrentExecutions") for name, answer in answers.items()}


def triggers(client: Client, found: Mapping[str, Sequence[str]] | Unknown) -> dict[str, bool] | Unknown:
    """The tick's rule, and what brings messages to functions."""
    rules = of_each(found, RULE, lambda names: {name: _rule_is_on(client, name) for name in names})
    queues = of_each(found, TRIGGER, lambda ids: {_function(client, id): _mapping_is_on(client, id) for id in ids})
    return rules if isinstance(rules, Unknown) else queues if isinstance(queues, Unknown) else {**rules, **queues}


def key_state(client: Client, id: str) -> str:
    return str(client("kms").describe_key(KeyId=id)["KeyMetadata"]["KeyState"])


def _describe(client: Client, name: str) -> dict[str, Any]:
    found = ask(lambda: client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
    if isinstance(found, Unknown):
        raise CliError(f"AWS shows no stack {name!r} ({found.reason}).", hint=HINT)
    described: dict[str, Any] = found
    return described


def _resources(client: Client, name: str) -> dict[str, list[str]]:
    """Type → the physical ids of the stack's resources."""
    found: dict[str, list[str]] = {}
    for page in client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name):
        for each in page["StackResourceSummaries"]:
            found.setdefault(each["ResourceType"], []).append(each.get("PhysicalResourceId", ""))
    return found


def _table(client: Client, name: str) -> dict[str, Any]:
    described: dict[str, Any] = client("dynamodb").describe_table(TableName=name)["Table"]
    return described


def _rule_is_on(client: Client, name: str) -> bool:
    return str(client("events").describe_rule(Name=name.rpartition("/")[2])["State"]).startswith("ENABLED")


def _function(client: Client, mapping: str) -> str:
    arn = client("lambda").get_event_source_mapping(UUID=mapping)["FunctionArn"]
    return f"queue of {arn.split(':function:')[-1].split(':')[0]}"


def _mapping_is_on(client: Client, id: str) -> bool:
    return client("lambda").get_event_source_mapping(UUID=id)["State"] in {
        "Enabled",
        "Enabling",
        "Updating",
        "Creating",
    }
