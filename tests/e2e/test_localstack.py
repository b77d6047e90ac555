"""What `make test-localstack` ran on: LocalStack's own resources, none in name only, and functions as processes."""

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.local import ports
from cli.local.clients import clients
from cli.local.layout import PROJECT
from cli.local.template import load
from tests.e2e.conftest import CANNOT
from tests.e2e.deployment import STACK, Deployment
from tests.e2e.localstack import processes

# LocalStack says so of a resource whose type it does not have, and lets the stack succeed.
FALLBACK = "deployed as a fallback"
# Types of template.yaml that LocalStack has only in plans that cost money: its parameters leave them out.
LACKING = {
    "AWS::ApiGatewayV2::Api": {"Name": "x", "ProtocolType": "HTTP"},
    "AWS::CloudWatch::Dashboard": {"DashboardBody": "{}"},
    "AWS::CodeDeploy::Application": {"ComputePlatform": "Lambda"},
}
FUNCTION = """
import importlib.util, os, sys, time

def handler(event, context):
    if event == "hang":
        time.sleep(60)
    if event == "die":
        os._exit(3)
    seen = importlib.util.find_spec("moto") is not None
    return {"moto": seen, "process": os.getpid(), "task": os.getcwd() in sys.path}
"""

# What a test run does that has a LocalStack of its own, until it is killed.
TEST_RUN = """
import signal, sys
from pathlib import Path
from tests.e2e import localstack

folder, port = Path(sys.argv[1]), int(sys.argv[2])
with localstack.server(folder, port) as process:
    localstack.wait(process, f"http://127.0.0.1:{port}", folder / localstack.LOG)
    print("ready", flush=True)
    signal.pause()
"""
ENDS_WITHIN_SECONDS = 10


def in_name_only(spark: Deployment, stack: str) -> set[str]:
    """Types of the stack's resources behind which there is nothing."""
    events = spark.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return {event["ResourceType"] for event in events if FALLBACK in event.get("ResourceStatusReason", "")}


def test_every_resource_is_localstack_s_own(spark: Deployment) -> None:
    found = spark.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    unconditional = {name for name, block in load(PROJECT)["Resources"].items() if "Condition" not in block}

    assert in_name_only(spark, STACK) == set()
    assert {each["LogicalResourceId"] for each in found} >= unconditional
    assert {each["ResourceStatus"] for each in found} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def test_a_resource_in_name_only_would_be_seen(spark: Deployment) -> None:
    """A LocalStack that learns one of these types fails here: then the template need not leave it out."""
    stacks = spark.client("cloudformation")
    resources = {type.replace(":", ""): {"Type": type, "Properties": made} for type, made in LACKING.items()}
    stacks.create_stack(StackName="lacking", TemplateBody=json.dumps({"Resources": resources}))
    stacks.get_waiter("stack_create_complete").wait(StackName="lacking", WaiterConfig={"Delay": 1})

    assert in_name_only(spark, "lacking") == LACKING.keys()


def test_what_it_cannot_do_names_tests_that_there_are() -> None:
    tests = "".join(path.read_text() for path in (PROJECT / "tests" / "e2e").glob("test_*.py"))

    assert [name for name in CANNOT["localstack"] if f"def {name}(" not in tests] == []


def make(functions: Any, name: str, **settings: Any) -> None:
    """A function of FUNCTION that can be called."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", FUNCTION)
    made = {"Runtime": "python3.13", "Handler": "app.handler", "Role": "arn:aws:iam::000000000000:role/x"}
    functions.create_function(FunctionName=name, Code={"ZipFile": code.getvalue()}, **made, **settings)
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


@pytest.fixture
def function(spark: Deployment) -> Iterator[str]:
    functions, name = spark.client("lambda"), "probe"
    make(functions, name, Timeout=2)
    yield name
    functions.delete_function(FunctionName=name)


def invoke(spark: Deployment, function: str, event: str) -> dict[str, Any]:
    answer = spark.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    said: dict[str, Any] = json.loads(answer["Payload"].read())
    return said


def test_a_function_is_a_process_that_sees_its_own_code_and_none_of_localstack_s_packages(
    spark: Deployment, function: str
) -> None:
    first, second = invoke(spark, function, "once"), invoke(spark, function, "again")

    assert first == second  # the same process
    assert (first["moto"], first["task"]) == (False, True)


@pytest.mark.parametrize(("event", "error"), [("hang", "Sandbox.Timedout"), ("die", "Runtime.ExitError")])
def test_a_function_that_hangs_or_dies_is_an_error_and_the_next_call_finds_a_new_process(
    spark: Deployment, function: str, event: str, error: str
) -> None:
    before = invoke(spark, function, "once")

    assert invoke(spark, function, event)["errorType"] == error
    assert invoke(spark, function, "again")["process"] != before["process"]


def test_localstack_and_its_functions_end_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    """Nobody is left to stop them, and the function is at work."""
    port = ports.free()
    command = [sys.executable, "-c", TEST_RUN, str(tmp_path), str(port)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as run:
        try:
            family = at_work(run, port, tmp_path)
        finally:
            run.kill()
    _, left = psutil.wait_procs(family, timeout=ENDS_WITHIN_SECONDS)

    for each in left:
        each.kill()
    assert left == []


def at_work(run: subprocess.Popen[bytes], port: int, folder: Path) -> list[psutil.Process]:
    """The processes of the test run's LocalStack and of a function that it runs."""
    assert run.stdout
    assert run.stdout.readline() == b"ready\n"
    make(functions := clients(port).functions, "hung", Timeout=60)
    functions.invoke(FunctionName="hung", InvocationType="Event", Payload=b'"hang"')
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    while len(family := processes(folder)) < 2:
        assert time.monotonic() < deadline, "the function did not start"
        time.sleep(0.2)
    return family
