"""The stack in the emulator: created, updated when something changed, left alone otherwise."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cli.local.bundles import Bundle
from cli.local.clients import Clients
from cli.local.template import Template
from cli.local.troubles import DeployFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

STACK = "spark"
CODE_BUCKET = "spark-local-code"
DIGEST_TAG = "spark-digest"
TTL_ATTRIBUTE = "expires_at"
TAKES_AT_MOST_SECONDS = 120.0  # 2 s on an idle machine
POLL_SECONDS = 0.1

Progress = Callable[[str], None]
Outputs = dict[str, str]


def silent(message: str) -> None:
    """The progress of those who do not watch."""


def deploy(
    clients: Clients, template: Template, values: Mapping[str, str], bundles: list[Bundle], progress: Progress
) -> Outputs:
    """Bring the stack to this template; its outputs."""
    body = json.dumps(template, sort_keys=True)
    digest = hashlib.sha256((body + json.dumps(dict(values), sort_keys=True)).encode()).hexdigest()[:32]
    current = settled(clients)
    if current and digest_of(current) == digest and current["StackStatus"].endswith("_COMPLETE"):
        return outputs_of(current)
    _upload(clients, bundles)
    progress("updating the stack" if current else "creating the stack")
    _submit(clients, _published(clients, body, digest), values, digest, exists=current is not None)
    done = settled(clients)
    if done is None or done["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        raise DeployFailed(
            f"The stack could not be deployed:\n{reasons(clients)}", "`spark local reset` starts afresh."
        )
    outputs = outputs_of(done)
    _expire(clients, outputs["TableName"])
    return outputs


def find(clients: Clients) -> "StackTypeDef | None":
    """The stack as CloudFormation describes it, if it exists."""
    try:
        return clients.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise


def settled(clients: Clients) -> "StackTypeDef | None":
    """The stack once nothing is in progress."""
    deadline = time.monotonic() + TAKES_AT_MOST_SECONDS
    while time.monotonic() < deadline:
        stack = find(clients)
        if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(POLL_SECONDS)
    raise DeployFailed(
        f"The stack did not settle in {TAKES_AT_MOST_SECONDS:.0f} s.", "`spark local reset` starts afresh."
    )


def outputs_of(stack: "StackTypeDef") -> Outputs:
    """The stack's outputs by name."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def digest_of(stack: "StackTypeDef") -> str:
    """What was deployed last, as one hash."""
    return next((tag["Value"] for tag in stack.get("Tags", []) if tag["Key"] == DIGEST_TAG), "")


def reasons(clients: Clients) -> str:
    """Why resources failed, oldest first."""
    events = clients.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("_FAILED")]
    return "\n".join(f"  {event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}" for event in failed)


def _upload(clients: Clients, bundles: list[Bundle]) -> None:
    clients.s3.create_bucket(Bucket=CODE_BUCKET)
    for bundle in bundles:
        clients.s3.put_object(Bucket=CODE_BUCKET, Key=bundle.key, Body=bundle.archive)


def _published(clients: Clients, body: str, digest: str) -> str:
    """Where CloudFormation finds the template: inside a request it takes no more than 51,200 bytes."""
    key = f"template-{digest}.json"
    clients.s3.put_object(Bucket=CODE_BUCKET, Key=key, Body=body.encode())
    return f"{clients.s3.meta.endpoint_url}/{CODE_BUCKET}/{key}"


def _submit(clients: Clients, url: str, values: Mapping[str, str], digest: str, *, exists: bool) -> None:
    submit = clients.cloudformation.update_stack if exists else clients.cloudformation.create_stack
    try:
        submit(
            StackName=STACK,
            TemplateURL=url,
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
            Tags=[{"Key": DIGEST_TAG, "Value": digest}],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise DeployFailed(f"CloudFormation refused template.yaml: {error}") from error


def _expire(clients: Clients, table: str) -> None:
    """The emulator ignores the template's TimeToLiveSpecification."""
    status = clients.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get("TimeToLiveStatus")
    if status != "ENABLED":
        clients.dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
        )
