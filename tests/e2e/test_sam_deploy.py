"""`sam build` and `sam deploy` to MiniStack. What other tests share is deployed there without SAM, which is quicker.

One thing is changed between the two commands: numbers are written into the template. Otherwise the stack comes to be,
but the run queue calls nobody (`'>=' not supported between instances of 'int' and 'str'`, says MiniStack's log).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.local import emulator, ports
from cli.local.layout import PROJECT, Layout, layout
from cli.local.stack import OUTBOUND
from cli.local.template import load, local_parameters, with_numbers
from tests.e2e import sam
from tests.e2e.conftest import SHORT
from tests.e2e.deployment import Deployment, connect
from tests.stub_langflow import ECHO, StubLangFlow

# What goes wrong without that, alone.
NUMBERED = {
    "Parameters": {"Concurrency": {"Type": "Number"}},
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "Enabled": False,
                "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                "FunctionName": "spark-tick",
                "ScalingConfig": {"MaximumConcurrency": {"Ref": "Concurrency"}},
            },
        },
    },
}
PARAMETERS = {**OUTBOUND, **local_parameters(PROJECT), **SHORT}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """In place of the stack that the other tests share."""
    here, port = layout(tmp_path_factory.mktemp("deployed")), ports.free()
    emulator.start(here, port)
    try:
        template = built(here)
        emulator.wait(here, port)
        sam.deploy(template, emulator.endpoint(port), PARAMETERS)
        running = connect(emulator.endpoint(port), None, None)
        yield running
        running.api.close()
    finally:
        emulator.stop(here)
        here.wipe()


def built(here: Layout) -> Path:
    """What `sam build` makes, with its numbers written in."""
    folder = here.temporary / "build"
    sam.build(folder, here.emulator_python)
    path = folder / "ministack.json"
    path.write_text(json.dumps(with_numbers(load(folder), PARAMETERS)))
    return path


@pytest.mark.timeout(240)  # of which building and deploying take 20 s on an idle machine
def test_a_run_goes_through_what_sam_deployed(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    run = spark.ended(spark.submit(echo, "through SAM")["id"])

    assert (run["status"], run["output"]) == ("completed", "through SAM")
    assert stub.calls()["calls"][ECHO] == {"through SAM": 1}


def test_the_tick_that_sam_deployed_is_called_every_minute_and_works(spark: Deployment) -> None:
    (rule,) = spark.client("events").list_rules()["Rules"]

    assert (rule["State"], rule["ScheduleExpression"]) == ("ENABLED", "rate(1 minute)")
    assert spark.tick()["complete"] is True


def test_a_number_parameter_arrives_as_text(spark: Deployment) -> None:
    """A MiniStack that hands on a number fails here: then templates can be deployed as they are."""
    stacks = spark.client("cloudformation")
    given = {"ParameterKey": "Concurrency", "ParameterValue": "8"}  # as it comes over the wire, from SAM too
    stacks.create_stack(StackName="numbered", TemplateBody=json.dumps(NUMBERED), Parameters=[given])
    stacks.get_waiter("stack_create_complete").wait(StackName="numbered", WaiterConfig={"Delay": 1})

    url = f"{spark.client('lambda').meta.endpoint_url}/2015-03-31/event-source-mappings"
    answer = httpx.get(url, params={"FunctionName": "spark-tick"}, trust_env=False)  # boto3 would make a number of it
    (mapping,) = answer.json()["EventSourceMappings"]

    assert mapping["ScalingConfig"] == {"MaximumConcurrency": "8"}
