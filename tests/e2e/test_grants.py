"""A grant that is taken from the role of a running function makes the test fail that `grants.py` names for it."""

import importlib
import inspect
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from cli.local import emulator, ports
from cli.local.clients import REGION
from cli.local.layout import PROJECT
from cli.local.stack import Stack, down, up
from cli.local.template import BATCH_ACTIONS, load
from tests.e2e.conftest import KEY, SHORT
from tests.e2e.deployment import Deployment, connect, session_of
from tests.e2e.grants import NEEDED_BY, NOT_ASKED, PASSING, granted, name_of
from tests.otlp_receiver import Receiver, receiver
from tests.stub_langflow import ECHO, StubLangFlow

# How long a test waits for what does not come, without a grant. With all grants it comes within three seconds.
PATIENCE_SECONDS = 5
LOGGED_WITHIN_SECONDS = 20  # it may take more than one attempt until the function comes to it
PARAMETERS = {**SHORT, "WakeAfterSeconds": "2"}
TEMPLATE = load(PROJECT)
ROWS = [(function, row, test) for function, rows in NEEDED_BY.items() for row, test in rows.items()]

# Without these the function says only that something was not done. That the test passes with them tells the rest.
SILENT = {
    "Records dynamodb:PartiQLInsert",
    "Records dynamodb:PartiQLUpdate",
    "Payloads s3:PutObject",
    "HeadersOfTraces secretsmanager:GetSecretValue",
}

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture(scope="module")
def spark(traces: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A stack of its own, so that no other test meets what is left undone here. It has all that grants are about."""
    stack = Stack(ports.free(), tmp_path_factory.mktemp("granted"), enforce_iam=True)
    try:
        stack.layout.state_dir.mkdir(exist_ok=True)
        emulator.start(stack.layout, stack.port, enforce_iam=True)
        emulator.wait(stack.layout, stack.port)
        endpoint = emulator.endpoint(stack.port)
        here = up(replace(stack, parameters={**PARAMETERS, **prepared(session_of(endpoint), traces)}))
        quiet(session_of(endpoint))
        process = emulator.running(stack.layout)
        assert process is not None
        deployed = connect(endpoint, here.api_url, process.pid)
        yield deployed
        deployed.api.close()
    finally:
        down(stack, wipe=True)


def quiet(session: Any) -> None:
    """No tick but ours, or it would do what a function may not do."""
    events = session.client("events")
    for rule in events.list_rules()["Rules"]:
        events.disable_rule(Name=rule["Name"])


def prepared(session: Any, traces: Receiver) -> dict[str, str]:
    """Parameters that name keys and a secret, which are there before the stack is."""
    keys = [session.client("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    headers = json.dumps({"Authorization": "Bearer lw-key-of-the-receiver"})
    secret = session.client("secretsmanager").create_secret(Name="traces", SecretString=headers)["ARN"]
    named = {"SecretsKeyArn": keys[0], "PreviousSecretsKeyArn": keys[1]}
    return {**named, "OtlpEndpoint": traces.url, "OtlpSecretArn": secret}


@contextmanager
def without(spark: Deployment, function: str, rows: list[str]) -> Iterator[None]:
    """The role of a running function less some rows; the function forgets what it remembers."""
    role, name, policy = policy_of(spark, function)
    iam, named = spark.client("iam"), {"RoleName": role, "PolicyName": name}
    less = reduced(policy, function, rows)
    assert less != policy
    iam.put_role_policy(**named, PolicyDocument=json.dumps(less))
    try:
        forget(spark, function_name(spark, function))
        yield
    finally:
        iam.put_role_policy(**named, PolicyDocument=json.dumps(policy))
        for queue in ("RunQueueUrl", "DeadLetterQueueUrl"):
            spark.client("sqs").purge_queue(QueueUrl=spark.outputs[queue])


def forget(spark: Deployment, function: str) -> None:
    """End what runs a function, and with it what it remembers. The emulator does not bury its dead at once."""
    for worker in spark.workers(function):
        worker.kill()
        while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def policy_of(spark: Deployment, function: str) -> tuple[str, str, dict[str, Any]]:
    """A function's role, the name of what template.yaml grants to it, and that."""
    arn = spark.client("lambda").get_function_configuration(FunctionName=function_name(spark, function))["Role"]
    role, iam = arn.rpartition("/")[2], spark.client("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return role, name, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]


def function_name(spark: Deployment, function: str) -> str:
    return spark.outputs[f"{function}Name"]


def reduced(policy: dict[str, Any], function: str, rows: list[str]) -> dict[str, Any]:
    """A deployed policy as it would be if the template did not grant the rows."""
    (written,) = TEMPLATE["Resources"][function]["Properties"]["Policies"]
    by_sid = {statement["Sid"]: statement for statement in written["Statement"]}
    assert set(rows) <= {row for statement in by_sid.values() for row in granted(statement)}
    left = [part for each in policy["Statement"] for part in parts(each, by_sid) if not part[0] & set(rows)]
    return {**policy, "Statement": [statement for _, statement in left]}


def parts(deployed: dict[str, Any], by_sid: dict[str, Any]) -> Iterator[tuple[set[str], dict[str, Any]]]:
    """A deployed statement taken apart: what is granted by each row, and by several what is done in batches."""
    sid, actions = deployed["Sid"], deployed["Action"]
    if (once := sid.removesuffix("InBatches")) != sid:
        yield {f"{once} {action}" for action in BATCH_ACTIONS[actions]}, deployed
    elif deployed["Effect"] == "Deny":
        yield set(), deployed
    else:
        for action in [actions] if isinstance(actions, str) else actions:
            one = {**deployed, "Action": action}
            if not isinstance(resources := by_sid[sid].get("Resource"), list):
                yield {f"{sid} {action}"}, one
                continue
            for arn, resource in zip(deployed["Resource"], resources, strict=True):
                yield {f"{sid} {action} on {name_of(resource)}"}, {**one, "Resource": arn}


def named_test(test: str) -> tuple[Callable[..., None], dict[str, str]]:
    """A test function and its parameter."""
    module, name, _, parameter = re.fullmatch(r"(\w+)::(\w+)(\[(.*)\])?", test).groups()  # type: ignore[union-attr]
    function: Callable[..., None] = getattr(importlib.import_module(f"tests.e2e.{module}"), name)
    free = [each for each in inspect.signature(function).parameters if each not in {"spark", "echo", "stub", "traces"}]
    return function, dict.fromkeys(free, parameter)


def attempted(test: str, spark: Deployment, stub: StubLangFlow, traces: Receiver) -> None:
    """The test, with what its fixtures make before it."""
    function, parameters = named_test(test)
    wanted = inspect.signature(function).parameters
    given: dict[str, Any] = {"spark": spark, "stub": stub, "traces": traces, **parameters}
    if "echo" in wanted:
        source = spark.add_source(f"stub {secrets.token_hex(4)}", stub.url, KEY)
        given["echo"] = spark.import_flow(source, ECHO)
    function(**{name: value for name, value in given.items() if name in wanted})


def says(spark: Deployment, function: str, action: str, since: int) -> bool:
    """Has the function logged since then, in milliseconds, that it may not do the action?"""
    group = f"/aws/lambda/{function_name(spark, function)}"
    events = spark.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    lines = [event["message"] for page in events for event in page["events"]]
    denied = [line for line in lines if "not authorized to perform" in line or "AccessDenied" in line]
    asked = {action} | {batch for batch, needed in BATCH_ACTIONS.items() if action in needed}
    return any(name in line for line in denied for name in asked)


@pytest.mark.parametrize(("function", "row", "test"), ROWS, ids=[f"{function} {row}" for function, row, _ in ROWS])
def test_without_it_the_named_test_fails(
    spark: Deployment, stub: StubLangFlow, traces: Receiver, function: str, row: str, test: str
) -> None:
    traces.clear()
    since, action = int(time.time() * 1000), row.split(" ")[1]

    with without(spark, function, [row]):
        with pytest.raises(Exception):  # noqa: B017  # that it is for want of the grant is seen below
            attempted(test, replace(spark, patience=PATIENCE_SECONDS), stub, traces)
        deadline = time.monotonic() + (0 if row in SILENT else LOGGED_WITHIN_SECONDS)
        while not (said := says(spark, function, action, since)) and time.monotonic() < deadline:
            time.sleep(0.2)

    if row in SILENT:
        forget(spark, function_name(spark, function))
        attempted(test, spark, stub, traces)
    else:
        assert said


@pytest.mark.parametrize("function", NOT_ASKED)
def test_without_what_the_emulator_does_not_ask_for_nothing_fails(
    spark: Deployment, stub: StubLangFlow, traces: Receiver, function: str
) -> None:
    allowed = [row for row in NOT_ASKED[function] if " never " not in row]
    with without(spark, function, allowed):
        for test in PASSING[function]:
            attempted(test, spark, stub, traces)


@pytest.mark.parametrize("function", ["TickFunction", "ExecutorFunction", "DeadLettersFunction"])
def test_the_emulator_denies_nothing_that_depends_on_what_it_is_about(spark: Deployment, function: str) -> None:
    """One who may do everything but what the function is denied reads and writes what is nobody's but the API's."""
    _, _, policy = policy_of(spark, function)
    denials = [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"]
    client = somebody(spark, {"Effect": "Allow", "Action": ["kms:*", "dynamodb:*"], "Resource": "*"}, *denials)
    table, key = {"TableName": spark.outputs["TableName"]}, {"pk": {"S": "KEY#probe"}, "sk": {"S": "RECORD"}}
    context, (named, *_) = {"purpose": "access-tokens"}, keys_of(denials)

    sealed = client("kms").encrypt(KeyId=named, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    assert client("kms").decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"] == b"x"
    client("dynamodb").put_item(**table, Item=key)
    assert client("dynamodb").get_item(**table, Key=key)["Item"] == key
    change = f"""UPDATE "{table["TableName"]}" SET "hash" = 'x' WHERE "pk" = 'KEY#probe' AND "sk" = 'RECORD'"""
    client("dynamodb").batch_execute_statement(Statements=[{"Statement": change}])
    changed = client("dynamodb").batch_get_item(RequestItems={table["TableName"]: {"Keys": [key]}})["Responses"]
    assert changed[table["TableName"]] == [{**key, "hash": {"S": "x"}}]


def test_the_emulator_sends_no_letter_of_who_may_do_it_in_one_name(spark: Deployment) -> None:
    _, _, policy = policy_of(spark, "ApiFunction")
    (letters,) = [statement for statement in policy["Statement"] if statement["Sid"] == "Letters"]
    letter = {
        "FromEmailAddress": "spark@example.com",
        "Destination": {"ToAddresses": ["ann@example.com"]},
        "Content": {"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}},
    }
    unconditional = {name: value for name, value in letters.items() if name != "Condition"}

    with pytest.raises(ClientError, match=r"not authorized to perform: ses:SendEmail on resource: \*"):
        somebody(spark, unconditional)("sesv2").send_email(**letter)
    with pytest.raises(ClientError, match="MessageRejected"):  # nobody has verified the address
        somebody(spark, {**unconditional, "Resource": "*"})("sesv2").send_email(**letter)


def test_the_emulator_encrypts_nothing_anew(spark: Deployment) -> None:
    with pytest.raises(ClientError, match="Unknown action: ReEncrypt"):
        spark.client("kms").re_encrypt(CiphertextBlob=b"x", DestinationKeyId="alias/none")


def keys_of(statements: list[dict[str, Any]]) -> list[str]:
    """ARNs of the keys that statements are about."""
    found = [each["Resource"] for each in statements if each["Sid"] == "SigningKey"]
    return [arn for named in found for arn in ([named] if isinstance(named, str) else named)]


def somebody(spark: Deployment, *statements: dict[str, Any]) -> Callable[[str], Any]:
    """Makes clients of a user who may do what the statements say."""
    iam, name = spark.client("iam"), f"probe-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    document = {"Version": "2012-10-17", "Statement": statements}
    iam.put_user_policy(UserName=name, PolicyName="probe", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session: Any = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
    return lambda service: session.client(service, endpoint_url=iam.meta.endpoint_url)
