"""What template.yaml grants to the role of each function, and which test needs it: without the grant that test fails.

MiniStack asks for one action, `dynamodb:BatchExecuteStatement`, where AWS asks for PartiQLInsert or PartiQLUpdate; the
local stack grants it to who has both (`cli/local/template.py`). Without one of them neither is allowed.

A row is `<Sid> <action>`, with `on <resource>` after it where a statement names several resources. A row of a
statement that denies is `<Sid> never <action>`. `tests/contract/test_grants.py` holds the rows against template.yaml;
`test_grants.py` takes each grant away from the role of a running function and sees the test fail.
"""

from collections.abc import Iterator
from typing import Any

# Function → row → test that fails without it, as `<module of tests.e2e>::<test>`.
NEEDED_BY: dict[str, dict[str, str]] = {
    "ApiFunction": {
        "Records dynamodb:GetItem": "test_iam::test_the_api_reaches_the_table_and_the_queue",
        "Records dynamodb:BatchGetItem": "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "Records dynamodb:PutItem": "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "Records dynamodb:UpdateItem": "test_iam::test_requests_of_a_key_are_counted",
        "Records dynamodb:DeleteItem": "test_iam::test_a_source_can_be_deleted",
        "Records dynamodb:PartiQLInsert": "test_iam::test_a_batch_of_runs_completes",
        "Records dynamodb:PartiQLUpdate": "test_iam::test_a_batch_of_runs_completes",
        "Lists dynamodb:Query on Table": "test_iam::test_the_tick_seals_the_audit_log",
        "Lists dynamodb:Query on Table/index/*": "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "Send sqs:SendMessage": "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "Send sqs:GetQueueAttributes": "test_iam::test_the_api_reaches_the_table_and_the_queue",
        "Payloads s3:GetObject": "test_iam::test_large_inputs_and_outputs_go_through_the_bucket",
        "Payloads s3:PutObject": "test_iam::test_large_inputs_and_outputs_go_through_the_bucket",
        "InputsOfDeletedSchedules s3:DeleteObject": (
            "test_iam::test_a_deleted_schedule_takes_its_large_inputs_with_it"
        ),
        "MissingPayloads s3:ListBucket": "test_iam::test_a_deleted_schedule_takes_its_large_inputs_with_it",
        "Secrets kms:Encrypt": "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "StoredSecrets kms:Decrypt on SecretsKeyArn": (
            "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted"
        ),
        "Texts sns:Publish": "test_iam::test_a_code_is_sent_as_a_text_message",
        "FirstKey secretsmanager:GetSecretValue": "test_iam::test_who_guesses_the_first_key_is_turned_away",
    },
    "TickFunction": {
        "Records dynamodb:GetItem": "test_endings::test_a_schedule_whose_run_is_ended_by_the_tick_is_paused",
        "Records dynamodb:BatchGetItem": "test_iam::test_the_tick_fires_schedules",
        "Records dynamodb:PutItem": "test_iam::test_the_tick_seals_the_audit_log",
        "Records dynamodb:PartiQLInsert": "test_iam::test_the_tick_fires_schedules",
        "Records dynamodb:PartiQLUpdate": "test_iam::test_the_tick_sends_a_lost_message_again",
        "Due dynamodb:Query on Table/index/Wake": "test_iam::test_the_tick_sends_a_lost_message_again",
        "Due dynamodb:Query on Table/index/ScheduleRuns": (
            "test_endings::test_a_schedule_whose_run_is_ended_by_the_tick_is_paused"
        ),
        "LastEntryAndSeal dynamodb:Query": "test_iam::test_the_tick_seals_the_audit_log",
        "HandOn lambda:InvokeFunction on tick": ("test_iam::test_the_tick_hands_on_a_shard_with_more_than_a_page[]"),
        "HandOn lambda:InvokeFunction on tick:live": (
            "test_iam::test_the_tick_hands_on_a_shard_with_more_than_a_page[:live]"
        ),
        "Send sqs:SendMessage": "test_iam::test_the_tick_sends_a_lost_message_again",
    },
    "ExecutorFunction": {
        "Records dynamodb:GetItem": "test_iam::test_a_background_job_is_followed_to_its_end",
        "Records dynamodb:BatchGetItem": "test_iam::test_a_batch_of_runs_completes",
        "Records dynamodb:PutItem": "test_iam::test_runs_of_a_schedule_that_may_not_overlap_are_left_out",
        "Records dynamodb:PartiQLInsert": "test_iam::test_a_batch_of_runs_completes",
        "Records dynamodb:PartiQLUpdate": "test_iam::test_a_batch_of_runs_completes",
        "FailedInARow dynamodb:Query": "test_endings::test_a_schedule_whose_runs_fail_is_paused",
        "LastEntry dynamodb:Query": "test_endings::test_a_schedule_whose_runs_fail_is_paused",
        "Receive sqs:SendMessage": "test_iam::test_a_background_job_is_followed_to_its_end",
        "Payloads s3:GetObject": "test_iam::test_large_inputs_and_outputs_go_through_the_bucket",
        "Payloads s3:PutObject": "test_iam::test_large_inputs_and_outputs_go_through_the_bucket",
        "Secrets kms:Decrypt on SecretsKeyArn": "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "HeadersOfTraces secretsmanager:GetSecretValue": "test_traces::test_a_run_becomes_a_trace",
    },
    "DeadLettersFunction": {
        "Records dynamodb:GetItem": "test_iam::test_a_run_that_no_executor_takes_ends_as_a_dead_letter",
        "Records dynamodb:BatchGetItem": ("test_endings::test_a_schedule_whose_run_becomes_a_dead_letter_is_paused"),
        "Records dynamodb:PutItem": "test_iam::test_a_run_that_no_executor_takes_ends_as_a_dead_letter",
        "FailedInARow dynamodb:Query": "test_endings::test_a_schedule_whose_run_becomes_a_dead_letter_is_paused",
        "LastEntry dynamodb:Query": "test_endings::test_a_schedule_whose_run_becomes_a_dead_letter_is_paused",
        "Send sqs:SendMessage": "test_endings::test_whoever_waited_for_a_run_that_is_given_up_goes_on",
    },
}

# Function → row → why no test here fails without it. `test_grants.py` asserts that it is so.
# Of AWS: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html,
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html and, of objects that are not there,
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, read 2026-11-21.
IN_OUR_NAME = "the table, the bucket and Secrets Manager ask KMS for it in the function's name, on AWS"
POLLER = "Lambda's poller does it in the function's name, on AWS"
KEY_OF_BEFORE = "it is for what was stored with another key"
NO_REENCRYPT = "MiniStack has no ReEncrypt; tests/integration/api/test_encryption.py has, without roles"
NO_CONTEXT = "MiniStack knows no kms:EncryptionContext, so this denies nothing there"
NO_LEADING_KEYS = "MiniStack knows no dynamodb:LeadingKeys, so this denies nothing there"
ENCRYPTION = dict.fromkeys(
    (f"Encryption kms:{action}" for action in ("Encrypt", "Decrypt", "DescribeKey", "GenerateDataKey")), IN_OUR_NAME
)
RECEIVING = dict.fromkeys(
    (f"Receive sqs:{action}" for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")), POLLER
)
SIGNING_KEY = dict.fromkeys(("SigningKey never kms:Encrypt", "SigningKey never kms:Decrypt"), NO_CONTEXT)
OLD_KEYS = ("Secrets kms:Decrypt on Key", "Secrets kms:Decrypt on PreviousSecretsKeyArn")
NOT_ASKED: dict[str, dict[str, str]] = {
    "ApiFunction": {
        **ENCRYPTION,
        **{f"Stored{row}": KEY_OF_BEFORE for row in OLD_KEYS},
        "Secrets kms:ReEncryptTo": NO_REENCRYPT,
        "StoredSecrets kms:ReEncryptFrom on Key": NO_REENCRYPT,
        "StoredSecrets kms:ReEncryptFrom on SecretsKeyArn": NO_REENCRYPT,
        "StoredSecrets kms:ReEncryptFrom on PreviousSecretsKeyArn": NO_REENCRYPT,
        "Letters ses:SendEmail": "MiniStack asks for it on *, so it sends no letters of who may do it on identities",
    },
    "TickFunction": {
        **ENCRYPTION,
        **SIGNING_KEY,
        "OnlyProjectsAndSeals never dynamodb:PutItem": NO_LEADING_KEYS,
        "OnlyProjectsAndSeals never dynamodb:PartiQLInsert": NO_LEADING_KEYS,
        "OnlySealed never dynamodb:PartiQLUpdate": NO_LEADING_KEYS,
    },
    "ExecutorFunction": {
        **ENCRYPTION,
        **RECEIVING,
        **dict.fromkeys(OLD_KEYS, KEY_OF_BEFORE),
        **SIGNING_KEY,
        "MissingPayloads s3:ListBucket": "MiniStack says NoSuchKey to everybody, AWS to who may list",
        "OnlyProjects never dynamodb:GetItem": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:BatchGetItem": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:Query": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:PutItem": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:PartiQLInsert": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:PartiQLUpdate": NO_LEADING_KEYS,
    },
    "DeadLettersFunction": {
        **ENCRYPTION,
        **RECEIVING,
        **SIGNING_KEY,
        "OnlyProjects never dynamodb:GetItem": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:BatchGetItem": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:Query": NO_LEADING_KEYS,
        "OnlyProjects never dynamodb:PutItem": NO_LEADING_KEYS,
    },
}
# Function → tests that do what NOT_ASKED is about.
PASSING = {
    "ApiFunction": [
        "test_iam::test_a_run_completes_with_a_key_that_was_kept_encrypted",
        "test_iam::test_large_inputs_and_outputs_go_through_the_bucket",
    ],
    "TickFunction": ["test_iam::test_the_tick_fires_schedules"],
    "ExecutorFunction": [
        "test_iam::test_a_run_whose_input_is_gone_says_so",
        "test_iam::test_large_inputs_and_outputs_go_through_the_bucket",
    ],
    "DeadLettersFunction": ["test_iam::test_a_run_that_no_executor_takes_ends_as_a_dead_letter"],
}


def granted(statement: dict[str, Any]) -> Iterator[str]:
    """The rows of a statement of template.yaml."""
    named, resource = statement["Action"], statement.get("Resource")
    for action in [named] if isinstance(named, str) else named:
        if statement["Effect"] == "Deny":
            yield f"{statement['Sid']} never {action}"
        elif isinstance(resource, list):
            yield from (f"{statement['Sid']} {action} on {name_of(each)}" for each in resource)
        else:
            yield f"{statement['Sid']} {action}"


def name_of(resource: dict[str, Any]) -> str:
    """In few words: `Table`, `Table/index/Wake`, `tick:live`; of alternatives, the one that a parameter names."""
    ((kind, value),) = resource.items()
    if kind == "Fn::If":
        return name_of(value[1])
    if kind == "Fn::Sub":
        return str(value).replace("${Table.Arn}", "Table").rpartition("${AWS::StackName}-")[2]
    return str(value if kind == "Ref" else value[0])
