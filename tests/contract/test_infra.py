"""What surrounds the template says the same as the template: the Terraform module, the workflow, the deploying role."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cfnlint.decode import cfn_yaml

from cli.local.template import load

ROOT = Path(__file__).parents[2]
TERRAFORM, GITHUB = ROOT / "infra" / "terraform", ROOT / "infra" / "github"
WORKFLOW = GITHUB / "deploy.yml"
MARGIN = 15  # minutes: what a deployment does besides shifting traffic
PARSE = "import hcl2, json, sys; print(json.dumps([hcl2.loads(open(name).read()) for name in sys.argv[1:]]))"

Json = dict[str, Any]
Plan = Callable[[str, str], str]  # of a URL and of parameters


@pytest.fixture(scope="module")
def template() -> Json:
    return load(ROOT)


def terraform(kind: str) -> Json:
    """All blocks of one kind in the module, by name; every value is in a list."""
    python = ROOT / ".environments" / "scan" / "bin" / "python"  # the parser's package is called as ours: `cli`
    command = [str(python), "-c", PARSE, *map(str, sorted(TERRAFORM.glob("*.tf")))]
    files: list[Json] = json.loads(subprocess.check_output(command))
    return {name: body for file in files for block in file.get(kind, []) for name, body in block.items()}


def test_every_output_that_the_module_names_is_one_of_the_template(template: Json) -> None:
    named = [body["value"][0].split('"')[1] for name, body in terraform("output").items() if name != "outputs"]
    assert len(named) == 3
    assert set(named) <= set(template["Outputs"])


def test_the_module_sets_parameters_that_the_template_has(template: Json) -> None:
    stack = terraform("resource")["aws_cloudformation_stack"]["spark"]
    set_here = "{'Stage': '${var.stage}', 'Release': '${local.release}'}"
    assert stack["parameters"] == [f"${{merge({set_here},var.parameters)}}"]
    assert {"Stage", "Release"} <= set(template["Parameters"])
    assert stack["capabilities"] == [["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]]


def test_terraform_waits_as_long_as_traffic_shifts(template: Json) -> None:
    (timeouts,) = terraform("resource")["aws_cloudformation_stack"]["spark"]["timeouts"]
    assert int(timeouts["update"][0].removesuffix("m")) > longest_shift(template) + MARGIN


def longest_shift(template: Json) -> int:
    """Minutes until the slowest DeploymentType has brought all traffic to the new version, or a little more."""
    kinds = template["Parameters"]["DeploymentType"]["AllowedValues"]
    shifts = [re.fullmatch(r"(Canary|Linear)(\d+)Percent(?:Every)?(\d+)Minutes?", each) for each in kinds]
    assert shifts.count(None) == 1  # AllAtOnce
    return max(int(each[3]) * (100 // int(each[2]) if each[1] == "Linear" else 1) for each in shifts if each)


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    """Terraform's own plan of the module's parameters. In place of the stack is a resource that needs no provider."""
    if not shutil.which("terraform"):
        pytest.skip("NOT RUN: there is no terraform here")
    module = (TERRAFORM / "main.tf").read_text()
    values, guards = (
        module[module.index("locals {") : module.index("resource ")],
        module[module.index("  lifecycle {") :],
    )
    (parameters,) = re.findall(r"^  parameters   = (.*)$", module, re.M)
    (tmp_path / "main.tf").write_text(f'{values}resource "terraform_data" "spark" {{\n  input = {parameters}\n{guards}')
    shutil.copy(TERRAFORM / "variables.tf", tmp_path)
    told = {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | {
        "CHECKPOINT_DISABLE": "1"
    }
    subprocess.run(["terraform", "init"], cwd=tmp_path, env=told, check=True, capture_output=True)

    def plan(url: str, parameters: str) -> str:
        given = [f"-var=template_url={url}", "-var=stage=production", f"-var=parameters={parameters}"]
        command = ["terraform", "plan", "-no-color", "-input=false", *given]
        done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return plan


def test_terraform_makes_another_release_of_every_change(planned: Plan, template: Json) -> None:
    changes = [("https://b/1", "{}"), ("https://b/2", "{}"), ("https://b/1", '{LogLevel="DEBUG"}')]
    releases = [re.findall(r"Release +. \"(.*)\"", planned(*change))[0] for change in changes]
    assert len(set(releases)) == 3
    assert all(re.fullmatch(template["Parameters"]["Release"]["AllowedPattern"], each) for each in releases)
    assert "Resource precondition failed" in planned("https://b/1", '{Release="1"}')
    assert "Resource precondition failed" in planned("https://b/1", '{Stage="x"}')


def test_the_workflow_is_one_that_github_reads() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_gives_nothing_away() -> None:
    """zizmor finds injections, credentials that are kept, permissions that are too wide, actions that may change."""
    zizmor = str(Path(sys.executable).with_name("zizmor"))
    command = [
        zizmor,
        "--offline",
        "--no-progress",
        str(WORKFLOW),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_to_the_commit_of_a_version() -> None:
    used = re.findall(r"uses: (.*)", WORKFLOW.read_text())
    assert len(used) == 3
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)


def test_credentials_and_job_outlast_the_slowest_shift_of_traffic(template: Json) -> None:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    (asked,) = [
        step["with"]["role-duration-seconds"] for step in job["steps"] if "role-to-assume" in step.get("with", {})
    ]
    assert asked <= role("Deployer")["MaxSessionDuration"]  # AWS refuses to give more
    assert asked / 60 > longest_shift(template) + MARGIN
    assert job["timeout-minutes"] > asked / 60


def role(name: str) -> Json:
    properties: Json = cfn_yaml.load(str(GITHUB / "role.yaml"))["Resources"][name]["Properties"]
    return properties


def statements(name: str) -> list[Json]:
    return [each for policy in role(name)["Policies"] for each in policy["PolicyDocument"]["Statement"]]


def test_github_may_deploy_one_stack_from_one_environment_and_branch() -> None:
    (trust,) = role("Deployer")["AssumeRolePolicyDocument"]["Statement"]
    assert set(trust["Condition"]) == {"StringEquals"}  # which refuses a token that lacks a claim
    said = {key.partition(":")[2]: value for key, value in trust["Condition"]["StringEquals"].items()}
    assert said["sub"] == {"Fn::Sub": "repo:${Repository}:environment:${Stage}"}
    assert said["ref"] == {"Fn::Sub": "refs/heads/${Branch}"}
    assert said["aud"] == "sts.amazonaws.com"
    assert not [one for one in statements("Deployer") if "*" in (one["Resource"], one["Action"])]


def test_only_the_branch_of_the_role_deploys() -> None:
    branch = cfn_yaml.load(str(GITHUB / "role.yaml"))["Parameters"]["Branch"]["Default"]
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow[True]["push"]["branches"] == [branch]
    assert workflow["jobs"]["deploy"]["if"] == f"github.ref == 'refs/heads/{branch}'"


@pytest.mark.parametrize("name", ["octo-org/octo-repo", "octo-org@123456/octo-repo@456789"])
def test_both_forms_of_a_repository_in_a_token_are_taken(name: str) -> None:
    pattern = cfn_yaml.load(str(GITHUB / "role.yaml"))["Parameters"]["Repository"]["AllowedPattern"]
    assert re.fullmatch(pattern, name)
    assert not re.fullmatch(pattern, name.replace("octo-repo", "*"))


def test_github_may_use_every_transform_of_the_template() -> None:
    """CreateChangeSet is asked of each, by its ARN."""
    wanted = {name.removeprefix("AWS::") for name in transforms(cfn_yaml.load(str(ROOT / "template.yaml")))}
    assert {"Serverless-2016-10-31", "Include"} <= wanted
    creating = [one for one in statements("Deployer") if "cloudformation:CreateChangeSet" in one["Action"]]
    granted = {resource["Fn::Sub"].partition(":aws:transform/")[2] for one in creating for resource in one["Resource"]}
    assert granted - {""} == wanted


def transforms(node: Any) -> Iterator[str]:
    """The names of all transforms, of the whole and of parts."""
    if isinstance(node, dict):
        whole = node.get("Transform", [])
        yield from [whole] if isinstance(whole, str) else whole
        if "Fn::Transform" in node:
            yield node["Fn::Transform"]["Name"]
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from transforms(each)


PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "Stage": "staging",
    "Artifacts.Arn": "arn:aws:s3:::artifacts",
}


def test_what_is_granted_is_granted_on_resources_of_the_right_kind(tmp_path: Path) -> None:
    """cfn-lint knows which action takes which ARN, but looks only at those that are written out."""
    written = re.sub(r"!Sub (?=\"?(arn:|\$\{Artifacts))", "", (GITHUB / "role.yaml").read_text())
    for name, value in PSEUDO.items():
        written = written.replace(f"${{{name}}}", value)
    (tmp_path / "role.yaml").write_text(written)
    command = [str(Path(sys.executable).with_name("cfn-lint")), "-c", "I", "--", str(tmp_path / "role.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "I3510" not in done.stdout
    assert not re.search(r"^E", done.stdout, re.M), done.stdout


def test_what_is_in_use_is_never_too_old_to_be_kept() -> None:
    """SAM uploads no bundle that is there: the age of one says nothing of whether it is deployed."""
    bucket = role("Artifacts")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert not [rule for rule in rules if {"ExpirationInDays", "ExpirationDate", "Transitions"} & set(rule)]
    (policy,) = role("ArtifactsPolicy")["PolicyDocument"]["Statement"]
    assert (policy["Effect"], policy["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_stages_of_the_workflow_are_those_of_samconfig() -> None:
    stages = yaml.safe_load(WORKFLOW.read_text())[True]["workflow_dispatch"]["inputs"]["stage"]["options"]
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text())
    for stage in stages:
        assert samconfig[stage]["global"]["parameters"]["stack_name"] == f"spark-{stage}"


def test_github_may_look_at_what_the_doctor_looks_at_and_at_nothing_in_it() -> None:
    """The first key is what it may not read: whoever has that may do everything."""
    granted = {action for one in statements("Deployer") for action in listed(one["Action"])}
    missing = asked_by_the_doctor() - granted
    assert missing == {"secretsmanager:GetSecretValue"}
    reading = {each for each in granted if each.split(":")[0] not in {"cloudformation", "s3", "iam"}}
    assert all(re.match(r"\w+:(Describe|List|GetQueueAttributes|GetFunction|GetEventSource)", each) for each in reading)
    assert not granted & {"lambda:GetFunction"}  # which has a link to the code


def asked_by_the_doctor() -> set[str]:
    """`service:Action` of each operation of boto3's clients that the doctor's sources name."""
    source = "\n".join(path.read_text() for path in (ROOT / "cli" / "doctor").glob("*.py"))
    named, actions = set(re.findall(r"[a-z]+(?:_[a-z]+)+", source)), set()
    for service in set(re.findall(r'client\("(\w+)"\)', source)):
        operations = boto3.client(service, region_name="us-east-1").meta.method_to_api_mapping
        actions |= {f"{service}:{operations[name]}" for name in named & set(operations)}
    return actions


def listed(actions: str | list[str]) -> list[str]:
    return [actions] if isinstance(actions, str) else actions


def test_samconfig_says_what_the_roles_outputs_are_for() -> None:
    outputs = cfn_yaml.load(str(GITHUB / "role.yaml"))["Outputs"]
    comments = (ROOT / "samconfig.toml").read_text()
    assert all(name in comments for name in ("CloudFormationRoleArn", "ArtifactBucket"))
    assert {"CloudFormationRoleArn", "ArtifactBucket"} <= set(outputs)
