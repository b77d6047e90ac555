"""`infra/prune_versions.py` on moto: what it deletes is what nobody goes back to."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from infra import prune_versions

STACK = "spark-production"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
RESOURCES = [
    {
        "LogicalResourceId": name,
        "PhysicalResourceId": physical,
        "ResourceType": kind,
        "LastUpdatedTimestamp": NOW,
        "ResourceStatus": "CREATE_COMPLETE",
    }
    for name, physical, kind in [
        ("Table", "spark-table", "AWS::DynamoDB::Table"),
        ("ApiFunction", "spark-api", "AWS::Lambda::Function"),
    ]
]
TRUST = {"Version": "2012-10-17", "Statement": []}


def code(number: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", f"number = {number}")
    return packed.getvalue()


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function with the versions 1 to 9, whose alias is at 9, in a stack with something else."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("lambda")
        role = boto3.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        made: dict[str, Any] = {"Runtime": "python3.13", "Handler": "app.handler", "Role": role["Arn"]}
        client.create_function(FunctionName="spark-api", Code={"ZipFile": code(0)}, **made)
        for number in range(1, 10):
            client.update_function_code(FunctionName="spark-api", ZipFile=code(number), Publish=True)
        client.create_alias(FunctionName="spark-api", Name="live", FunctionVersion="9")
        stacks = boto3.client("cloudformation")
        with Stubber(stacks) as stubber:  # moto's CloudFormation needs packages that nothing else here does
            stubber.add_response("list_stack_resources", {"StackResourceSummaries": RESOURCES}, {"StackName": STACK})
            clients = {"lambda": client, "cloudformation": stacks}
            monkeypatch.setattr(boto3, "client", lambda service: clients[service])
            yield client


def versions(client: Any) -> list[str]:
    found = client.list_versions_by_function(FunctionName="spark-api")["Versions"]
    return sorted(each["Version"] for each in found if each["Version"] != "$LATEST")


def test_all_but_the_newest_go(functions: Any, capsys: pytest.CaptureFixture[str]) -> None:
    prune_versions.main([STACK, "--delete", "--keep", "3"])

    assert versions(functions) == ["7", "8", "9"]
    assert capsys.readouterr().out.split() == [f"spark-api:{number}" for number in range(1, 7)]


def test_without_being_told_to_nothing_goes(functions: Any, capsys: pytest.CaptureFixture[str]) -> None:
    prune_versions.main([STACK])

    assert len(versions(functions)) == 9
    assert capsys.readouterr().out.split() == [f"spark-api:{number}" for number in range(1, 5)]


def test_what_the_alias_names_stays_however_old(functions: Any) -> None:
    routing = {"AdditionalVersionWeights": {"3": 0.1}}
    functions.update_alias(FunctionName="spark-api", Name="live", FunctionVersion="2", RoutingConfig=routing)

    prune_versions.main([STACK, "--delete", "--keep", "2"])

    assert versions(functions) == ["2", "3", "8", "9"]


def test_one_to_go_back_to_stays(functions: Any) -> None:
    with pytest.raises(SystemExit):
        prune_versions.main([STACK, "--delete", "--keep", "1"])
    assert len(versions(functions)) == 9
