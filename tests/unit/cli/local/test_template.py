from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.local import template
from cli.local.bundles import Bundle
from cli.local.layout import PROJECT

BUNDLES = {
    name: Bundle(folder, b"code of " + folder.encode(), Path("/requirements") / folder)
    for name, folder in template.functions(template.load(PROJECT)).items()
}


def adapted(overrides: dict[str, str] | None = None, **environment: str) -> Any:
    loaded = template.load(PROJECT)
    values = template.parameters(loaded, {**template.local_parameters(PROJECT), **(overrides or {})})
    return template.for_emulator(
        loaded, values, BUNDLES, bucket="code", emulator=Path("/emulator"), environment=environment
    )


def variables(local: Any, function: str) -> dict[str, Any]:
    return local["Resources"][function]["Properties"]["Environment"]["Variables"]


def test_short_forms_are_written_out() -> None:
    short = ["a: !Ref Table", "b: !GetAtt Table.Arn", "c: !Sub '${Table}'", "d: !If [Traced, !Ref A, !Ref B]"]
    assert yaml.load("\n".join([*short, "e: !Not [!Equals [1, 2]]"]), template._Loader) == {
        "a": {"Ref": "Table"},
        "b": {"Fn::GetAtt": ["Table", "Arn"]},
        "c": {"Fn::Sub": "${Table}"},
        "d": {"Fn::If": ["Traced", {"Ref": "A"}, {"Ref": "B"}]},
        "e": {"Fn::Not": [{"Fn::Equals": [1, 2]}]},
    }


def test_every_function_has_its_folder() -> None:
    assert template.functions(template.load(PROJECT))["DeadLettersFunction"] == "dead_letters"


def test_parameters_have_the_default_or_what_was_said() -> None:
    loaded = {"Parameters": {"A": {"Type": "Number", "Default": 1}, "B": {"Type": "String"}}}
    assert template.parameters(loaded, {"B": "x"}) == {"A": "1", "B": "x"}


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="no parameter Typo"):
        template.parameters({"Parameters": {}}, {"Typo": "1"})


def test_numbers_are_written_into_the_template() -> None:
    local = adapted({"ExecutorTimeoutSeconds": "7", "ExecutorConcurrency": "3"})
    assert local["Resources"]["ExecutorFunction"]["Properties"]["Timeout"] == 7
    assert local["Resources"]["ExecutorTrigger"]["Properties"]["ScalingConfig"] == {"MaximumConcurrency": 3}


def test_numbers_stay_text_in_environment_variables() -> None:
    local = adapted({"WakeAfterSeconds": "9"})
    assert local["Globals"]["Function"]["Environment"]["Variables"]["SPARK_WAKE_AFTER_SECONDS"] == "9"


def test_code_comes_from_the_bucket_and_requirements_from_their_folder() -> None:
    local = adapted()
    tick = local["Resources"]["TickFunction"]["Properties"]
    assert tick["CodeUri"] == {"Bucket": "code", "Key": BUNDLES["TickFunction"].key}
    assert variables(local, "TickFunction")["PYTHONPATH"] == "/requirements/tick:/emulator"


def test_variables_of_the_caller_reach_every_function() -> None:
    local = adapted(CLOCK="fast")
    assert all(variables(local, name)["CLOCK"] == "fast" for name in BUNDLES)


def test_a_parameter_that_changes_alone_reaches_the_functions() -> None:
    """Callers reach what was published last, and the emulator publishes what has another name only."""
    name = "AutoPublishCodeSha256"
    first, same, other = (adapted(change)["Resources"] for change in ({}, {}, {"OutboundAllow": "10.0.0.1"}))
    for function in BUNDLES:
        published = [resources[function]["Properties"][name] for resources in (first, same, other)]
        assert published[0] == published[1] != published[2]


def test_included_files_are_in_their_places() -> None:
    dashboard = template.load(PROJECT)["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    assert dashboard == yaml.safe_load((PROJECT / "infra" / "dashboard.yaml").read_text())


def test_the_api_keeps_its_address() -> None:
    assert adapted()["Resources"]["Api"]["Properties"]["Tags"] == {"ms-custom-id": template.API_ID}


def test_batches_are_granted_to_those_who_may_do_it_once() -> None:
    local = adapted()

    def granted(name: str) -> list[tuple[str, Any]]:
        (policy,) = local["Resources"][name]["Properties"]["Policies"]
        added = [each for each in policy["Statement"] if each["Sid"].endswith("InBatches")]
        return [(each["Action"], each["Resource"]) for each in added]

    queue = {"Fn::GetAtt": ["RunQueue", "Arn"]}
    assert granted("TickFunction") == [("dynamodb:BatchExecuteStatement", "*"), ("sqs:SendMessageBatch", queue)]
    assert granted("DeadLettersFunction") == [("sqs:SendMessageBatch", queue)]


@pytest.mark.parametrize(
    ("actions", "resource"),
    [
        ("dynamodb:PartiQLUpdate", template.TABLE_ARN),
        (["dynamodb:GetItem", "dynamodb:PartiQLInsert"], template.TABLE_ARN),
        (["dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"], {"Fn::GetAtt": ["OtherTable", "Arn"]}),
        (["dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"], {"Fn::Sub": "${Table.Arn}/index/*"}),
    ],
)
def test_half_a_grant_or_one_on_something_else_allows_no_batch(actions: Any, resource: Any) -> None:
    statement = {"Sid": "Records", "Effect": "Allow", "Action": actions, "Resource": resource}
    policy = {"Statement": [statement]}
    template._grant_batches([policy])
    assert policy["Statement"] == [statement]


def test_the_template_itself_is_left_as_it_is() -> None:
    loaded = template.load(PROJECT)
    template.for_emulator(
        loaded, template.parameters(loaded, {}), BUNDLES, bucket="b", emulator=Path("/e"), environment={}
    )
    assert loaded == template.load(PROJECT)
