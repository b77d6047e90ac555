"""`template.yaml` as the emulator gets it: the same resources, with the local bundles in place of `CodeUri`.

The emulator does the SAM transform itself. What is changed here is listed in `infra/README.md`, and nothing else is.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.local.bundles import Bundle

Template = dict[str, Any]

SHORT_FORMS = {"Ref": "Ref", "Condition": "Condition"}
FUNCTION = "AWS::Serverless::Function"
# The emulator would invent another id at every deployment, and the URL of the API would change with it.
API_ID = "a0000001"
# The emulator authorizes these requests by their own name; AWS by the actions on the right, of which ours need all.
BATCH_ACTIONS = {
    "dynamodb:BatchExecuteStatement": {"dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
}
# The emulator does not read which table a statement is about: it asks for this action on "*" and on nothing less.
ON_EVERYTHING = "dynamodb:BatchExecuteStatement"
TABLE_ARN = {"Fn::GetAtt": ["Table", "Arn"]}
ONLY_OVER_TLS = "PayloadBucketPolicy"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {SHORT_FORMS.get(suffix, f"Fn::{suffix}"): value}


_Loader.add_multi_constructor("!", _short_form)


def load(project: Path) -> Template:
    """The template, short forms written out and included files in their places."""
    loaded: Template = _with_included(_read(project / "template.yaml"), project)
    return loaded


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 it is a safe loader  # nosec B506


def _with_included(node: Any, project: Path) -> Any:
    """What CloudFormation makes of the transform AWS::Include, once `sam package` has uploaded the files it names."""
    if isinstance(node, list):
        return [_with_included(item, project) for item in node]
    if not isinstance(node, dict):
        return node
    transform = node.get("Fn::Transform")
    if transform is not None and transform["Name"] == "AWS::Include":
        return _read(project / transform["Parameters"]["Location"])
    return {key: _with_included(value, project) for key, value in node.items()}


def functions(template: Template) -> dict[str, str]:
    """Logical id → folder of every function; the folder is the one its Handler names."""
    found = {name: block for name, block in template["Resources"].items() if block["Type"] == FUNCTION}
    return {name: block["Properties"]["Handler"].split(".")[1] for name, block in found.items()}


def local_parameters(project: Path) -> dict[str, str]:
    """The numbers of the local stack: `parameter_overrides` of samconfig's `local` environment."""
    config = tomllib.loads((project / "samconfig.toml").read_text(encoding="utf-8"))
    pairs: list[str] = config["local"]["deploy"]["parameters"]["parameter_overrides"]
    return dict(pair.split("=", 1) for pair in pairs)


def parameters(template: Template, overrides: Mapping[str, str]) -> dict[str, str]:
    """Every parameter's value."""
    unknown = overrides.keys() - template["Parameters"].keys()
    if unknown:
        raise ValueError(f"template.yaml has no parameter {', '.join(sorted(unknown))}")
    return {name: str(overrides.get(name, block.get("Default", ""))) for name, block in template["Parameters"].items()}


def for_emulator(
    template: Template,
    values: Mapping[str, str],
    bundles: Mapping[str, Bundle],
    *,
    bucket: str,
    emulator: Path,
    environment: Mapping[str, str],
) -> Template:
    """The template to deploy: numbers written in, code from `bucket`, `environment` added to every function.

    `emulator` is the folder with the `sitecustomize` that comes before every function.
    """
    local = with_numbers(template, values)
    del local["Globals"]["Function"]["CodeUri"]
    for name, bundle in bundles.items():
        block = local["Resources"][name]
        del block["Metadata"]
        block["Properties"]["CodeUri"] = {"Bucket": bucket, "Key": bundle.key}
        _grant_batches(block["Properties"]["Policies"])
        path = {"PYTHONPATH": f"{bundle.requirements}:{emulator}"}
        block["Properties"]["Environment"]["Variables"] |= {**path, **environment}
        block["Properties"]["AutoPublishCodeSha256"] = _release(block, values)
    local["Resources"]["Api"]["Properties"]["Tags"] = {"ms-custom-id": API_ID}
    del local["Resources"][ONLY_OVER_TLS]
    return local


def with_numbers(template: Template, values: Mapping[str, str]) -> Template:
    """The template with its number parameters written in; those that `values` lacks have their defaults."""
    given = parameters(template, values)
    numbers = {name: int(given[name]) for name, block in template["Parameters"].items() if block["Type"] == "Number"}
    written: Template = _with_numbers(template, numbers)
    return written


def _release(function: Template, values: Mapping[str, str]) -> str:
    """Another word when anything changes that a function is made of. The emulator's transform sees no parameters."""
    made_of = json.dumps([function, dict(values)], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()


def _grant_batches(policies: list[Template]) -> None:
    """To those who may do a thing once, the action the emulator asks for when it is done in a batch, where they may."""
    for policy in policies:
        granted = [grant for statement in policy["Statement"] for grant in _batches(statement)]
        policy["Statement"] += granted


def _batches(statement: Template) -> Iterator[Template]:
    named, resource = statement["Action"], statement.get("Resource")  # text messages are for what is no resource
    actions = {named} if isinstance(named, str) else set(named)
    for batch, needed in BATCH_ACTIONS.items():
        grant = {**statement, "Sid": f"{statement.get('Sid', '')}InBatches", "Action": batch}
        if not needed <= actions:
            continue
        if batch != ON_EVERYTHING:
            yield grant
        elif TABLE_ARN in (
            resource if isinstance(resource, list) else [resource]
        ):  # asked here in the emulator's place
            yield {**grant, "Resource": "*"}


def _with_numbers(node: Any, numbers: Mapping[str, int], *, as_text: bool = False) -> Any:
    """References to number parameters replaced by the number; by its text inside environment variables."""
    if isinstance(node, list):
        return [_with_numbers(item, numbers, as_text=as_text) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"} and node["Ref"] in numbers:
        number = numbers[node["Ref"]]
        return str(number) if as_text else number
    return {key: _with_numbers(value, numbers, as_text=as_text or key == "Variables") for key, value in node.items()}
