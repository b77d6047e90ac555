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
from functions.api import BASE, dependencies, identity
from functions.api.routers import sources
from shared import payloads
from shared.domain.outbound import AllowList
from shared.domain.project import Retention
from shared.domain.source import read_url
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
# What calls a function and is no event of it (those SAM sends to the alias), and where it names the function.
CALLERS = {
    "ApiIntegration": "IntegrationUri",
    "ApiPermission": "FunctionName",
    "DeadLettersTrigger": "FunctionName",
    "ExecutorTrigger": "FunctionName",
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


def test_payloads_that_are_deleted_can_be_brought_back_for_a_week_and_no_function_can_prevent_that() -> None:
    assert properties("PayloadBucket")["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = properties("PayloadBucket")["LifecycleConfiguration"]["Rules"]
    (kept,) = (rule for rule in rules if "NoncurrentVersionExpiration" in rule)
    assert kept["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert "Prefix" not in kept
    granted = set().union(*(actions(one) for name in FUNCTIONS for one in statements(name)))
    assert "s3:DeleteObjectVersion" not in granted


@pytest.mark.parametrize("name", ["Table", "PayloadBucket", "PayloadBucketPolicy", "Key"])
def test_data_and_its_key_outlive_the_stack(name: str) -> None:
    assert (RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_functions_are_granted_what_the_code_calls_and_nothing_else() -> None:
    allowed = [one for name in FUNCTIONS for one in statements(name) if one["Effect"] == "Allow"]
    granted = set().union(*(actions(statement) for statement in allowed))
    assert granted - IN_OUR_NAME == set().union(*(ACTIONS[call] for call in called())) - IN_OUR_NAME


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"ApiFunction"}))
def test_only_the_api_may_decrypt_the_key_that_signs_access_tokens_and_second_factors(name: str) -> None:
    (denial,) = (one for one in statements(name) if one["Effect"] == "Deny" and "kms:Decrypt" in actions(one))
    assert actions(denial) == {"kms:Decrypt", "kms:Encrypt"}
    decrypting = [one for one in statements(name) if one["Effect"] == "Allow" and "kms:Decrypt" in actions(one)]
    assert resources(denial) == set().union(*(resources(statement) for statement in decrypting))
    context = re.findall(r'context="(\w+)"', inspect.getsource(identity.signing))
    assert denial["Condition"] == {
        "StringEquals": {f"kms:EncryptionContext:{context[0]}": [CONTEXT, PURPOSE, trusting.PURPOSE]}
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_the_key_is_for_in_our_name_we_cannot_ask_ourselves(name: str) -> None:
    """Without it a function that was taken over could encrypt and decrypt under any context."""
    (encryption,) = (one for one in statements(name) if one.get("Sid") == "Encryption")
    services = [each["Fn::Sub"] for each in encryption["Condition"]["StringLike"]["kms:ViaService"]]
    wanted = ["dynamodb"]
    if any(action.startswith("s3:") for one in statements(name) for action in actions(one)):
        wanted.append("s3")
    if "SPARK_BOOTSTRAP_SECRET_ID" in properties(name)["Environment"]["Variables"]:
        wanted.append("secretsmanager")
    assert services == [f"{service}.${{AWS::Region}}.amazonaws.com*" for service in wanted]


def test_only_the_api_and_what_encrypts_for_it_may_encrypt_by_itself() -> None:
    encrypting = {
        (name, one["Sid"])
        for name in FUNCTIONS
        for one in statements(name)
        if one["Effect"] == "Allow" and "kms:Encrypt" in actions(one) and "Condition" not in one
    }
    assert encrypting == {("ApiFunction", "Secrets")}


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


def test_the_executor_reads_the_headers_of_traces_and_no_other_secret() -> None:
    (grant,) = (one for one in statements("ExecutorFunction") if "secretsmanager:GetSecretValue" in actions(one))
    with_secret, named, none = grant["Resource"]["Fn::If"]
    assert (with_secret, named) == ("HasOtlpSecret", {"Ref": "OtlpSecretArn"})
    assert none["Fn::Sub"].endswith(":secret:none")  # ARNs of secrets end with a hyphen and six characters
    assert [TEMPLATE["Parameters"][name]["Default"] for name in ("OtlpEndpoint", "OtlpSecretArn")] == ["", ""]
    assert TEMPLATE["Parameters"]["OtlpContent"]["Default"] == "off"


def told_of(variable: str) -> set[str]:
    return {name for name in FUNCTIONS if variable in properties(name)["Environment"]["Variables"]}


def test_the_executor_is_told_where_traces_go_and_the_api_to_show_it() -> None:
    assert told_of("SPARK_OTLP_ENDPOINT") == told_of("SPARK_OTLP_CONTENT") == {"ApiFunction", "ExecutorFunction"}
    assert told_of("SPARK_OTLP_SECRET_ID") == {"ExecutorFunction"}


@pytest.mark.parametrize(
    "url",
    [
        "https://app.langwatch.ai/api/otel",
        "http://127.0.0.1:4318",
        "http://[::1]:4318/",
        "https://collector_1.corp.internal:65535/a/b;c=d,e@f%20",
    ],
)
def test_an_endpoint_of_traces_that_the_template_takes_can_be_used(url: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["OtlpEndpoint"]["AllowedPattern"], url)
    assert read_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "receiver.test",
        "https://",
        "https://u:sekret@receiver.test/otel",
        "https://receiver.test/api/otel?project=1",
        "https://receiver.test/#a",
        "https://receiver.test:0",
        "https://receiver.test:port",
        "https://receiver.test/a b",
        "https://receiver.test/\\",
        "https://schlüssel.test",
    ],
)
def test_an_endpoint_of_traces_that_cannot_be_used_is_not_deployed(url: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["OtlpEndpoint"]["AllowedPattern"], url)
    with pytest.raises(ValueError, match="URL"):
        read_url(url)


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


def test_everybody_calls_the_alias_that_deployments_move() -> None:
    """A function without it would be what is being deployed, and no rollback could bring the old one back."""
    assert TEMPLATE["Globals"]["Function"]["AutoPublishAlias"] == "live"
    called = {name: properties(name)[key] for name, key in CALLERS.items()}
    assert called == {
        "ApiIntegration": {"Ref": "ApiFunction.Alias"},
        "ApiPermission": {"Ref": "ApiFunction.Alias"},
        "DeadLettersTrigger": {"Ref": "DeadLettersFunction.Alias"},
        "ExecutorTrigger": {"Ref": "ExecutorFunction.Alias"},
    }
    kinds = {"AWS::ApiGatewayV2::Integration", "AWS::Lambda::EventSourceMapping"}
    assert CALLERS.keys() >= {name for name, block in RESOURCES.items() if block["Type"] in kinds}


@pytest.mark.parametrize("name", ["ApiFunction", "ExecutorFunction"])
def test_new_code_that_fails_is_taken_back_and_that_of_before_takes_nothing_back(name: str) -> None:
    """CodeDeploy does nothing while an alarm of the group rings: one on the version before would stop its mend."""
    preference = properties(name)["DeploymentPreference"]
    assert (preference["Enabled"], preference["Type"]) == ({"Ref": "GradualDeployment"}, {"Ref": "DeploymentType"})
    short = name.removesuffix("Function")
    alarms = [f"{short}ErrorsOfNewVersion", f"{short}FailuresOfNewVersion"]
    assert preference["Alarms"] == [{"Ref": alarm} for alarm in alarms]
    version = {"Fn::GetAtt": [name, "Version.Version"]}
    assert [{each["Name"]: each["Value"] for each in properties(alarm)["Dimensions"]} for alarm in alarms] == [
        {"FunctionName": {"Ref": name}, "Resource": {"Fn::Sub": f"${{{name}}}:live"}, "ExecutedVersion": version},
        {"service": FUNCTIONS[name], "version": version},
    ]


def test_what_is_called_too_seldom_to_learn_from_a_tenth_of_it_goes_over_at_once() -> None:
    gradual = {name for name in FUNCTIONS if "DeploymentPreference" in properties(name)}
    assert set(FUNCTIONS) - gradual == {"TickFunction", "DeadLettersFunction"}


def test_concurrency_is_set_aside_where_whoever_deploys_says_so() -> None:
    """-1 is none, which CloudFormation has no number for. 0 would switch the function off."""
    for name, condition in {"ApiFunction": "ReservesApi", "ExecutorFunction": "ReservesExecutors"}.items():
        parameter = f"{name.removesuffix('Function')}ReservedConcurrency"
        none = {"Ref": "AWS::NoValue"}
        assert properties(name)["ReservedConcurrentExecutions"] == {"Fn::If": [condition, {"Ref": parameter}, none]}
        assert TEMPLATE["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, -1]}]}
        assert TEMPLATE["Parameters"][parameter]["Default"] == -1


def test_a_function_url_is_refused_but_on_an_emulator() -> None:
    (rule,) = TEMPLATE["Rules"].values()
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "FunctionUrl"}, "on"]}
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Equals": [{"Ref": "Stage"}, "local"]}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_another_release_publishes_every_function_anew(name: str) -> None:
    """SAM looks at the code alone: environment variables that come from parameters would stay as they were."""
    assert properties(name)["AutoPublishCodeSha256"] == {"Ref": "Release"}
    assert re.fullmatch(TEMPLATE["Parameters"]["Release"]["AllowedPattern"], "1795266000")  # seconds since 1970


def test_the_tick_may_hand_on_to_itself_however_it_was_called() -> None:
    (handing_on,) = (one for one in statements("TickFunction") if "lambda:InvokeFunction" in actions(one))
    arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
    name = properties("TickFunction")["FunctionName"]["Fn::Sub"]
    assert handing_on["Resource"] == [{"Fn::Sub": f"{arn}{name}"}, {"Fn::Sub": f"{arn}{name}:live"}]


def test_the_table_can_be_brought_back_and_is_not_deleted_by_mistake() -> None:
    recovery = properties("Table")["PointInTimeRecoverySpecification"]
    assert recovery == {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": {"Ref": "TableRecoveryDays"}}
    assert TEMPLATE["Parameters"]["TableRecoveryDays"]["Default"] == 35  # the longest there is
    assert properties("Table")["DeletionProtectionEnabled"] == {"Fn::If": ["ProtectsTable", True, False]}
    assert TEMPLATE["Parameters"]["ProtectTable"]["Default"] == "on"


def test_everything_that_keeps_data_encrypts_it() -> None:
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    assert properties("Table")["SSESpecification"]["KMSMasterKeyId"] == key
    (rule,) = properties("PayloadBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert properties("BootstrapKey")["KmsKeyId"] == key
    queues = [block["Properties"] for block in RESOURCES.values() if block["Type"] == "AWS::SQS::Queue"]
    assert [queue["SqsManagedSseEnabled"] for queue in queues] == [True, True]


def test_messages_that_nobody_can_handle_end_where_somebody_looks() -> None:
    redrive = properties("RunQueue")["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == properties("DeadLettersTrigger")["EventSourceArn"]
    kept = [properties(name)["MessageRetentionPeriod"] for name in ("RunQueue", "RunDeadLetterQueue")]
    assert kept[0] < kept[1]  # the age of a message counts from its first sending


def test_no_secret_is_in_the_environment() -> None:
    """They are read from Secrets Manager and KMS; what the environment has are names of things."""
    blocks = [TEMPLATE["Globals"]["Function"], *(properties(name) for name in FUNCTIONS)]
    values = [str(value) for block in blocks for value in block["Environment"]["Variables"].values()]
    assert not [value for value in values if "resolve:" in value]
    assert not [name for name, block in TEMPLATE["Parameters"].items() if block.get("NoEcho")]


@pytest.mark.parametrize("name", ["Table", "PayloadBucket", "Key", "RunQueue", "RunDeadLetterQueue", "AlarmTopic"])
def test_what_may_outlive_the_stack_says_whose_it_was(name: str) -> None:
    stage = {"Key": "Stage", "Value": {"Ref": "Stage"}}
    assert properties(name)["Tags"] == [{"Key": "Application", "Value": "spark"}, stage]
    assert TEMPLATE["Globals"]["Function"]["Tags"] == {"Application": "spark", "Stage": {"Ref": "Stage"}}


@pytest.mark.parametrize("path", ["infra/checkov.yaml", "template.yaml"])
def test_nothing_is_left_out_of_the_scan_without_a_reason(path: str) -> None:
    lines = (PROJECT / path).read_text().splitlines()
    left_out = [number for number, line in enumerate(lines) if "CKV_" in line]
    assert left_out
    for number in left_out:
        line, before = lines[number], lines[number - 1]
        assert re.search(r"checkov:skip=CKV_\w+: \w.{20}", line) or re.match(r" *# .*\.$", before)
