"""Functions may do only what the template grants them: each does its work with that.

Between them the tests need every grant that an emulator can tell the absence of: see `grants.py`.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pyotp
import pytest

from shared.domain.dead_letter import MAX_RETURNS
from tests.e2e.conftest import KEY
from tests.e2e.deployment import FINAL, Deployment
from tests.stub_langflow import StubLangFlow

PASSWORD = "a long and winding password"


@contextmanager
def no_grants(spark: Deployment, function: str) -> Iterator[None]:
    """The function without the policy that the template gave it."""
    role = spark.client("lambda").get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2]
    iam = spark.client("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName=name)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))


@contextmanager
def no_executors(spark: Deployment) -> Iterator[None]:
    """Messages stay in the run queue."""
    functions, name = spark.client("lambda"), spark.outputs["ExecutorFunctionName"]
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def test_without_its_grants_a_function_can_do_nothing(spark: Deployment) -> None:
    """Else the tests below would prove nothing."""
    with no_grants(spark, spark.outputs["TickFunctionName"]), pytest.raises(AssertionError, match="AccessDenied"):
        spark.tick()
    assert spark.tick()["complete"] is True


def test_the_api_reaches_the_table_and_the_queue(spark: Deployment) -> None:
    assert spark.api.get("/health/ready").status_code == 200


def test_a_run_completes_with_a_key_that_was_kept_encrypted(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    run = spark.ended(spark.submit(echo, "hello")["id"])

    assert (run["status"], run["output"]) == ("completed", "hello")
    assert stub.calls()["headers"]["x-api-key"] == KEY
    assert run["id"] in [each["id"] for each in spark.api.get("/runs").raise_for_status().json()["items"]]


def test_a_batch_of_runs_completes(spark: Deployment, echo: str) -> None:
    made = spark.submit_many(echo, ["one", "two", "three"])

    assert [spark.ended(run["id"])["output"] for run in made] == ["one", "two", "three"]


def test_a_background_job_is_followed_to_its_end(spark: Deployment, echo: str) -> None:
    run = spark.ended(spark.submit(echo, "long", timeout_seconds=600)["id"])

    assert (run["status"], run["output"]) == ("completed", "long")
    assert run["job_id"] is not None


def test_large_inputs_and_outputs_go_through_the_bucket(spark: Deployment, echo: str) -> None:
    text = "ä" * 100_000

    run = spark.ended(spark.submit(echo, text)["id"])

    assert (run["input"], run["output"]) == (text, text)
    assert run["output_bytes"] > len(text)


def test_a_run_whose_input_is_gone_says_so(spark: Deployment, echo: str) -> None:
    """S3 says so only to who may list the bucket; to others a missing object is a forbidden one."""
    objects, bucket = spark.client("s3"), spark.outputs["PayloadBucket"]
    with no_executors(spark):
        run = spark.submit(echo, "ä" * 5000)
        stored = [each["Key"] for each in objects.list_objects_v2(Bucket=bucket)["Contents"]]
        (key,) = [each for each in stored if run["id"] in each]
        objects.delete_object(Bucket=bucket, Key=key)

    assert spark.ended(run["id"])["error"]["code"] == "payload_expired"


def test_the_tick_seals_the_audit_log(spark: Deployment) -> None:
    body = {"name": "followed", "url": "http://127.0.0.1:9"}
    source = spark.api.post("/sources?verify=false", json=body).raise_for_status().json()["id"]
    assert spark.api.delete(f"/sources/{source}").status_code == 204

    spark.tick()

    created, deleted = spark.api.get("/audit", params={"subject": source}).json()["items"][::-1]
    assert (created["action"], deleted["action"]) == ("source.created", "source.deleted")
    heads = [head for seal in spark.api.get("/audit/seals").json()["items"] for head in seal["heads"]]
    assert {"chain": f"source/{source}", "number": 2, "hash": deleted["hash"]} in heads


def test_the_tick_sends_a_lost_message_again(spark: Deployment, echo: str) -> None:
    with no_executors(spark):
        run = spark.submit(echo, "found again")
        spark.client("sqs").purge_queue(QueueUrl=spark.outputs["RunQueueUrl"])

    deadline = spark.deadline(30)
    while spark.run(run["id"])["status"] not in FINAL and time.monotonic() < deadline:
        spark.tick()
        time.sleep(0.5)

    assert spark.run(run["id"])["output"] == "found again"


def test_a_run_that_no_executor_takes_ends_as_a_dead_letter(spark: Deployment, echo: str) -> None:
    queue = {"QueueUrl": spark.outputs["DeadLetterQueueUrl"]}
    with no_executors(spark):
        run = spark.submit(echo, "nobody")
        body = json.dumps({"project_id": run["project_id"], "run_id": run["id"], "turn": run["turn"]})
        for _ in range(MAX_RETURNS + 1):
            spark.client("sqs").send_message(**queue, MessageBody=body)
        ended = spark.ended(run["id"], 20)

    letters = spark.api.get("/dead-letters").raise_for_status().json()["items"]
    assert (ended["status"], ended["error"]["code"]) == ("failed", "too_many_attempts")
    assert run["id"] in [letter["run_id"] for letter in letters]


def scheduled(spark: Deployment, workflow: str, **settings: Any) -> str:
    body = {"workflow_id": workflow, "settings": {"name": "guarded", **settings}}
    id: str = spark.api.post("/schedules", json=body).raise_for_status().json()["id"]
    return id


def runs_of(spark: Deployment, schedule: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spark.api.get(f"/schedules/{schedule}/runs").raise_for_status().json()["items"]
    return found


def test_runs_of_a_schedule_that_may_not_overlap_are_left_out(spark: Deployment, echo: str, stub: StubLangFlow) -> None:
    """The slot and the run that is left out are one transaction."""
    stub.set("ok", delay_ms=6000)
    schedule = scheduled(spark, echo, kind="interval", expression="1s", overlap="skip", max_runs=3)

    ended = [spark.ended(run["id"]) for run in runs_of(spark, schedule)]

    assert sorted(run["status"] for run in ended) == ["completed", "skipped", "skipped"]


def test_the_tick_fires_schedules(spark: Deployment, echo: str) -> None:
    schedule = scheduled(spark, echo, kind="cron", expression="0 9 * * *", overlap="queue_one")
    soon = spark.api.get(f"/schedules/{schedule}").raise_for_status().json()["next_fire_at"]

    assert spark.tick(as_of=soon)["fired"] >= 1
    (run,) = runs_of(spark, schedule)
    assert spark.ended(run["id"])["status"] == "completed"


@pytest.mark.parametrize("qualifier", ["", ":live"])
def test_the_tick_hands_on_a_shard_with_more_than_a_page(spark: Deployment, qualifier: str) -> None:
    """Records of no kind that anybody knows: they are looked at by nobody, and fill the page."""
    table, client = spark.outputs["TableName"], spark.client("dynamodb")
    for number in range(101):
        item = {
            "pk": f"PROJECT#default#NOTHING#{number:03}",
            "sk": "RECORD",
            "wake_shard": "07",
            "wake_at": "2020-01-01",
        }
        client.put_item(TableName=table, Item={name: {"S": value} for name, value in item.items()})
    try:
        assert spark.tick(qualifier)["handed_on"] == 1
    finally:
        for number in range(101):
            key = {"pk": {"S": f"PROJECT#default#NOTHING#{number:03}"}, "sk": {"S": "RECORD"}}
            client.delete_item(TableName=table, Key=key)


def test_requests_of_a_key_are_counted(spark: Deployment) -> None:
    """Those that cannot be counted go on, and their answers say nothing of limits."""
    body = {"name": f"counted {secrets.token_hex(4)}", "role": "viewer", "per_minute": 100}
    made = spark.api.post("/api-keys", json=body).raise_for_status().json()

    answer = spark.api.get("/auth/me", headers={"X-API-Key": made["key"]}).raise_for_status()

    assert "RateLimit" in answer.headers


def test_who_guesses_the_first_key_is_turned_away(spark: Deployment) -> None:
    """Its secret may have been changed, so the API looks it up."""
    with visitor(spark) as guessing:
        guess = {"X-API-Key": f"spk_bootstrap_{'0' * 43}"}
        assert guessing.get("/auth/me", headers=guess).status_code == 401


def test_a_source_can_be_deleted(spark: Deployment, stub: StubLangFlow) -> None:
    source = spark.add_source("short-lived", stub.url, KEY)

    assert spark.api.delete(f"/sources/{source}").status_code == 204
    assert spark.api.get(f"/sources/{source}").status_code == 404


def test_a_deleted_schedule_takes_its_large_inputs_with_it(spark: Deployment, echo: str) -> None:
    schedule = scheduled(spark, echo, kind="cron", expression="0 9 * * *", input="ä" * 5000)
    change = {"settings": {"input": "ö" * 5000}}
    spark.api.patch(f"/schedules/{schedule}", json=change).raise_for_status()
    stored = {"Bucket": spark.outputs["PayloadBucket"], "Prefix": f"keep/default/schedules/{schedule}/"}
    assert spark.client("s3").list_objects_v2(**stored)["KeyCount"] == 2

    assert spark.api.delete(f"/schedules/{schedule}").status_code == 204

    assert spark.client("s3").list_objects_v2(**stored)["KeyCount"] == 0


def test_a_code_is_sent_as_a_text_message(spark: Deployment) -> None:
    """The answer would be 503 if SNS had refused it."""
    who = {"email": f"{secrets.token_hex(4)}@example.com", "password": PASSWORD}
    spark.api.post("/auth/register", json={**who, "name": "Ann"}).raise_for_status()
    with visitor(spark) as person:
        tokens = person.post("/auth/login", json=who).raise_for_status().json()
        person.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        begun = person.post("/auth/mfa/totp", json={"current_password": PASSWORD}).raise_for_status().json()
        confirmed = person.post("/auth/mfa/totp/confirm", json={"code": pyotp.TOTP(begun["secret"]).now()})
        proof = {"current_password": PASSWORD, "code": confirmed.raise_for_status().json()["recovery_codes"][0]}

        assert person.post("/auth/mfa/phone", json={**proof, "number": "+5511987654321"}).status_code == 204


def visitor(spark: Deployment) -> httpx.Client:
    """Somebody without the deployment's first key."""
    headers = {name: value for name, value in spark.api.headers.items() if name != "x-api-key"}
    return httpx.Client(base_url=spark.api.base_url, headers=headers, timeout=60, trust_env=False)


@pytest.mark.parametrize("queue", ["RunQueueUrl", "DeadLetterQueueUrl"])
def test_a_message_that_is_no_message_is_buried(spark: Deployment, queue: str) -> None:
    body = f"poison for {queue}"
    spark.client("sqs").send_message(QueueUrl=spark.outputs[queue], MessageBody=body)

    deadline = spark.deadline(20)
    while body not in (letters := unreadable(spark)):
        assert time.monotonic() < deadline, letters
        time.sleep(0.2)


def unreadable(spark: Deployment) -> list[str]:
    found = spark.api.get("/dead-letters", params={"unreadable": "true"}).raise_for_status().json()
    return [letter["body"] for letter in found["items"]]
