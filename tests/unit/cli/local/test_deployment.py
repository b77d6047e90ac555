from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.local import deployment
from cli.local.bundles import Bundle
from cli.local.troubles import DeployFailed

BUNDLES = [Bundle("api", b"code", Path("/requirements"))]
TABLE = "spark-Table"


@dataclass
class Aws:
    """CloudFormation, S3 and DynamoDB as far as a deployment uses them; each submission takes one look to settle."""

    ends: str = "COMPLETE"
    refusal: str = ""
    ttl: str = "DISABLED"
    stack: dict[str, Any] | None = None
    submissions: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    template_url: str = ""
    meta: Any = field(default_factory=lambda: SimpleNamespace(endpoint_url="http://emulator"))

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        if self.stack is None:
            raise ClientError({"Error": {"Code": "ValidationError"}}, "DescribeStacks")
        seen = dict(self.stack)
        self.stack["StackStatus"] = self.stack["StackStatus"].replace("IN_PROGRESS", self.ends)
        return {"Stacks": [seen]}

    def _submit(self, kind: str, settings: dict[str, Any]) -> None:
        if self.refusal:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": self.refusal}}, kind)
        self.submissions.append(kind)
        self.template_url = settings["TemplateURL"]
        outputs = [{"OutputKey": "TableName", "OutputValue": TABLE}]
        self.stack = {"StackStatus": f"{kind}_IN_PROGRESS", "Tags": settings["Tags"], "Outputs": outputs}

    def create_stack(self, **settings: Any) -> None:
        self._submit("CREATE", settings)

    def update_stack(self, **settings: Any) -> None:
        self._submit("UPDATE", settings)

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        last = {"ResourceStatus": "CREATE_FAILED", "LogicalResourceId": "Table", "ResourceStatusReason": "too many"}
        return {"StackEvents": [{"ResourceStatus": "CREATE_COMPLETE"}, last]}

    def create_bucket(self, **settings: Any) -> None: ...

    def put_object(self, Key: str, **settings: Any) -> None:  # noqa: N803
        self.uploads.append(Key)

    def describe_time_to_live(self, TableName: str) -> dict[str, Any]:  # noqa: N803
        return {"TimeToLiveDescription": {"TimeToLiveStatus": self.ttl}}

    def update_time_to_live(self, TableName: str, TimeToLiveSpecification: dict[str, Any]) -> None:  # noqa: N803
        self.ttl = "ENABLED"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.time, "sleep", lambda seconds: None)


def deploy(aws: Aws, template: Any = None, **values: str) -> dict[str, str]:
    clients: Any = SimpleNamespace(cloudformation=aws, s3=aws, dynamodb=aws)
    return deployment.deploy(clients, template or {"Resources": {}}, values, BUNDLES, deployment.silent)


def test_a_new_stack_is_created_and_its_items_expire() -> None:
    aws = Aws()
    assert deploy(aws) == {"TableName": TABLE}
    assert (aws.submissions, aws.ttl) == (["CREATE"], "ENABLED")


def test_code_and_template_are_uploaded_before_they_are_named() -> None:
    aws = Aws()
    deploy(aws)
    code, template = aws.uploads
    assert code == BUNDLES[0].key
    assert aws.template_url == f"http://emulator/{deployment.CODE_BUCKET}/{template}"


def test_an_unchanged_stack_is_left_alone() -> None:
    aws = Aws()
    deploy(aws)
    deploy(aws)
    assert aws.submissions == ["CREATE"]


@pytest.mark.parametrize("change", [{"template": {"Resources": {"New": {}}}}, {"Stage": "other"}])
def test_another_template_or_parameter_is_an_update(change: dict[str, Any]) -> None:
    aws = Aws()
    deploy(aws)
    deploy(aws, **change)
    assert aws.submissions == ["CREATE", "UPDATE"]


def test_a_failed_deployment_says_which_resource_and_why() -> None:
    with pytest.raises(DeployFailed, match="Table: too many") as caught:
        deploy(Aws(ends="FAILED"))
    assert "reset" in caught.value.hint


def test_a_failed_deployment_is_tried_again_though_nothing_changed() -> None:
    aws = Aws(ends="FAILED")
    with pytest.raises(DeployFailed):
        deploy(aws)
    aws.ends = "COMPLETE"
    deploy(aws)
    assert aws.submissions == ["CREATE", "UPDATE"]


def test_a_refused_template_says_why() -> None:
    with pytest.raises(DeployFailed, match="must be a number"):
        deploy(Aws(refusal="must be a number"))


def test_a_stack_that_never_settles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "TAKES_AT_MOST_SECONDS", 0.05)
    with pytest.raises(DeployFailed, match="did not settle"):
        deploy(Aws(ends="IN_PROGRESS"))
