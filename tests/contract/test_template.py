"""template.yaml against the code it deploys: neither may promise what the other does not keep."""

import ast
import inspect
import ipaddress
import re
import string
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest

from cli.local import deployment, stack
from cli.local.layout import PROJECT
from cli.local.template import API_ID, functions, load, local_parameters
from functions.api import BASE, dependencies
from functions.api.routers import sources
from shared import payloads, wiring
from shared.domain.outbound import AllowList
from shared.domain.project import Retention
from shared.langflow.connection import CONNECT_SECONDS
from shared.services import trusting
from shared.services.proving import PURPOSE
from shared.services.signing import CONTEXT
from shared.settings import PREFIX, Settings
from shared.store import keys

TEMPLATE = load(PROJECT)
RESOURCES = TEMPLATE["Resources"]
FUNCTIONS = functions(TEMPLATE)

# What a call of boto3 asks IAM for.
ACTIONS = {
    "batch_execute_statement": {"dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
    "batch_get_item": {"dynamodb:BatchGetItem"},
    "decrypt": {"kms:Decrypt"},
    "delete_item": {"dynamodb:DeleteItem"},
    "delete_objects": {"s3:DeleteObject"},
    "encrypt": {"kms:Encrypt"},
    "generate_presigned_url": {"s3:GetObject"},
    "get_item": {"dynamodb:GetItem"},
    "get_object": {"s3:GetObject", "s3:ListBucket"},
    "get_queue_attributes": {"sqs:GetQueueAttributes"},
    "get_secret_value": {"secretsmanager:GetSecretValue"},
    "invoke": {"lambda:InvokeFunction"},
    "list_objects_v2": {"s3:ListBucket"},
    "put_item": {"dynamodb:PutItem"},
    "publish": {"sns:Publish"},
    "put_object": {"s3:PutObject"},
    "query": {"dynamodb:Query"},
    "re_encrypt": {"kms:ReEncryptFrom", "kms:ReEncryptTo"},
    "send_email": {"ses:SendEmail"},
    "send_message_batch": {"sqs:SendMessage"},
    "transact_write_items": {"dynamodb:PutItem"},
    "update_item": {"dynamodb:UpdateItem"},
}
# What Lambda does in a function's name: receive from its queue; read and write data that is encrypted with our key.
IN_OUR_NAME = {
    "kms:DescribeKey",
    "kms:GenerateDataKey",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def statements(function: str) -> Iterator[dict[str, Any]]:
    for policy in properties(function)["Policies"]:
        yield from policy["Statement"]


def actions(statement: dict[str, Any]) -> set[str]:
    named = statement["Action"]
    return {named} if isinstance(named, str) else set(named)


def resources(statement: dict[str, Any]) -> set[str]:
    named = statement["Resource"]
    return {str(resource) for resource in (named if isinstance(named, list) else [named])}


def variables() -> Iterator[str]:
    for block in (TEMPLATE["Globals"]["Function"], *(properties(name) for name in FUNCTIONS)):
        yield from block["Environment"]["Variables"]


def called() -> set[str]:
    """Methods of boto3 clients that `shared/` and `functions/` call, or hand on to be called."""
    folders = (PROJECT / "shared", PROJECT / "functions")
    text = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    return set(re.findall(r"(?:_client|wiring\.client\(\"\w+\"\))\.(\w+)", text))


def test_every_folder_of_functions_is_deployed_and_nothing_else() -> None:
    folders = {path.parent.name for path in (PROJECT / "functions").glob("*/handler.py")}
    assert set(FUNCTIONS.values()) == folders


@pytest.mark.parametrize(("name", "folder"), FUNCTIONS.items())
def test_the_handler_exists(name: str, folder: str) -> None:
    assert properties(name)["Handler"] == f"functions.{folder}.handler.handler"
    module = ast.parse((PROJECT / "functions" / folder / "handler.py").read_text())
    assert "handler" in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("name", "folder"), FUNCTIONS.items())
def test_the_function_is_built_from_its_own_folder_and_lock(name: str, folder: str) -> None:
    assert RESOURCES[name]["Metadata"] == {"BuildMethod": "makefile"}
    command = ["make", "-n", "-f", "build.mk", f"build-{name}", "UV=uv", "ARTIFACTS_DIR=out"]
    recipe = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert f"--requirement requirements/{folder}.txt" in recipe
    assert f'cp -R functions/{folder} "out/functions/"' in recipe
    runtime, architecture = (TEMPLATE["Parameters"][name]["Default"] for name in ("Runtime", "Architecture"))
    assert f"--python-version {runtime.removeprefix('python')} --python-platform {architecture}-manylinux" in recipe


def test_functions_are_given_what_the_settings_read_and_nothing_else() -> None:
    ours = {name.removeprefix(PREFIX).lower() for name in variables() if name.startswith(PREFIX)}
    assert ours == set(Settings.model_fields)


def test_only_those_who_call_sources_are_told_which_they_may_call() -> None:
    told = {name for name in FUNCTIONS if "SPARK_OUTBOUND_ALLOW" in properties(name)["Environment"]["Variables"]}
    assert told == {"ApiFunction", "ExecutorFunction"}
    assert "SPARK_OUTBOUND_ALLOW" not in TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert TEMPLATE["Parameters"]["OutboundAllow"]["Default"] == ""


def test_the_local_stack_calls_this_machine_and_no_other() -> None:
    assert stack.OUTBOUND.keys() <= TEMPLATE["Parameters"].keys()
    allowed = AllowList.read(stack.OUTBOUND["OutboundAllow"])
    addresses = ["127.0.0.1", "::1", "192.168.0.1", "10.0.0.1", "169.254.169.254"]
    open_to_it = [one for one in addresses if allowed.allows("langflow.test", ipaddress.ip_address(one), 7860)]
    assert open_to_it == ["127.0.0.1", "::1"]


def test_every_function_has_a_name_for_its_logs_and_metrics_and_a_log_group() -> None:
    for name, folder in FUNCTIONS.items():
        assert properties(name)["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == folder
        group = properties(properties(name)["LoggingConfig"]["LogGroup"]["Ref"])
        suffix = properties(name)["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}")
        assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}{suffix}"}
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_table_has_the_indexes_that_the_stores_query() -> None:
    indexes = properties("Table")["GlobalSecondaryIndexes"]
    made = {index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"]) for index in indexes}
    assert made == {name: tuple(index) for name, index in keys.INDEXES.items()}
    assert {index["Projection"]["ProjectionType"] for index in indexes} == {"KEYS_ONLY"}


def test_the_table_declares_every_key_attribute_as_text() -> None:
    declared = {entry["AttributeName"]: entry["AttributeType"] for entry in properties("Table")["AttributeDefinitions"]}
    assert declared == dict.fromkeys({"pk", "sk", *(name for index in keys.INDEXES.values() for name in index)}, "S")


def test_expired_items_go_by_the_same_attribute_everywhere() -> None:
    assert properties("Table")["TimeToLiveSpecification"]["AttributeName"] == deployment.TTL_ATTRIBUTE


def test_payloads_have_a_lifecycle_rule_for_each_retention() -> None:
    rules = properties("PayloadBucket")["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert expiring == {f"expire-{days}/": int(days) for days in Retention if days}


@pytest.mark.parametrize("name", ["Table", "PayloadBucket", "Key"])
def test_data_and_its_key_outlive_the_stack(name: str) -> None:
    assert (RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_functions_are_granted_what_the_code_calls_and_nothing_else() -> None:
    allowed = [one for name in FUNCTIONS for one in statements(name) if one["Effect"] == "Allow"]
    granted = set().union(*(actions(statement) for statement in allowed))
    assert granted - IN_OUR_NAME == set().union(*(ACTIONS[call] for call in called())) - IN_OUR_NAME


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"ApiFunction"}))
def test_only_the_api_may_decrypt_the_key_that_signs_access_tokens_and_second_factors(name: str) -> None:
    (denial,) = (statement for statement in statements(name) if statement["Effect"] == "Deny")
    assert actions(denial) == {"kms:Decrypt"}
    decrypting = [one for one in statements(name) if one["Effect"] == "Allow" and "kms:Decrypt" in actions(one)]
    assert resources(denial) == set().union(*(resources(statement) for statement in decrypting))
    context = re.findall(r'context="(\w+)"', inspect.getsource(wiring.signing))
    assert denial["Condition"] == {
        "StringEquals": {f"kms:EncryptionContext:{context[0]}": [CONTEXT, PURPOSE, trusting.PURPOSE]}
    }


def test_no_function_is_granted_anything_on_everything() -> None:
    for name in FUNCTIONS:
        for statement in statements(name):
            assert statement.get("Resource") != "*"
            assert not any("*" in action for action in actions(statement))


def test_text_messages_go_to_phones_alone_and_only_where_they_are_wanted() -> None:
    """A phone has no ARN, so the grant names what is none: every topic and every device."""
    everywhere = [(name, one) for name in FUNCTIONS for one in statements(name) if "Resource" not in one]
    ((name, grant),) = everywhere
    assert (name, actions(grant)) == ("ApiFunction", {"sns:Publish"})
    assert grant["NotResource"] == {"Fn::Sub": "arn:${AWS::Partition}:sns:*:*:*"}
    wanted = {"Fn::If": ["SendsTexts", {"Ref": "AWS::Region"}, "none"]}
    assert grant["Condition"] == {"StringEquals": {"aws:RequestedRegion": wanted}}
    assert TEMPLATE["Parameters"]["Sms"]["Default"] == "off"


def test_deferrals_are_no_endless_loop_to_lambda() -> None:
    assert properties("ExecutorFunction")["RecursiveLoop"] == "Allow"


def test_a_message_stays_hidden_for_six_times_the_timeout() -> None:
    defaults = {name: block.get("Default") for name, block in TEMPLATE["Parameters"].items()}
    assert defaults["RunVisibilitySeconds"] == 6 * defaults["ExecutorTimeoutSeconds"]
    letters = properties("RunDeadLetterQueue")["VisibilityTimeout"]
    assert letters == 6 * properties("DeadLettersFunction")["Timeout"]


def test_the_local_stack_sets_parameters_that_exist_and_hides_messages_long_enough() -> None:
    local = local_parameters(PROJECT)
    assert local.keys() <= TEMPLATE["Parameters"].keys()
    used = {name: block.get("Default") for name, block in TEMPLATE["Parameters"].items()} | local
    assert int(used["RunVisibilitySeconds"]) > int(used["ExecutorTimeoutSeconds"])


def test_the_first_api_key_can_be_written_as_one_word() -> None:
    """`spk_<key_id>_<secret>`: letters and digits only, or it could not be taken apart again."""
    made = properties("BootstrapKey")["GenerateSecretString"]
    assert made["SecretStringTemplate"] == '{"key_id":"bootstrap"}'
    assert made["GenerateStringKey"] == "secret"
    assert made["PasswordLength"] >= 40
    assert set(made["ExcludeCharacters"]) == set(string.punctuation)


def test_the_template_names_no_emulator() -> None:
    text = (PROJECT / "template.yaml").read_text()
    assert API_ID not in text
    assert "AWS_ENDPOINT_URL" not in text


def test_metrics_are_never_filtered_by_their_level() -> None:
    """They are lines without one, which count as INFO to Lambda."""
    assert TEMPLATE["Globals"]["Function"]["LoggingConfig"]["ApplicationLogLevel"] == {
        "Fn::If": ["Debugged", "DEBUG", "INFO"]
    }
    assert TEMPLATE["Conditions"]["Debugged"] == {"Fn::Equals": [{"Ref": "LogLevel"}, "DEBUG"]}


def test_the_api_can_tell_missing_payloads_from_forbidden_ones() -> None:
    (listing,) = (one for one in statements("ApiFunction") if "s3:ListBucket" in actions(one))
    assert listing["Resource"] == {"Fn::GetAtt": ["PayloadBucket", "Arn"]}


def test_nothing_but_inputs_of_schedules_can_be_deleted_from_the_bucket() -> None:
    (deleting,) = (one for name in FUNCTIONS for one in statements(name) if "s3:DeleteObject" in actions(one))
    assert deleting["Resource"] == {"Fn::Sub": "${PayloadBucket.Arn}/keep/*/schedules/*"}
    assert fnmatch(payloads.schedule_prefix("default", "sch_1"), "keep/*/schedules/*")


def test_the_outputs_say_where_the_documentation_is() -> None:
    said = TEMPLATE["Outputs"]["ApiUrl"]["Description"]
    assert said.rpartition(" ")[2] == f"{BASE}/docs"


def test_a_request_has_its_time_and_what_it_began_too() -> None:
    longest = dependencies.REQUEST_TIME.total_seconds() + CONNECT_SECONDS
    assert longest < properties("ApiFunction")["Timeout"] < 30
    assert sources.SYNC_TIME + dependencies.LEAST_TIME < dependencies.REQUEST_TIME
