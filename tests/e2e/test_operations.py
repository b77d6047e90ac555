"""The runbooks of docs/operations.md, tried on a stack of their own as far as the emulator goes.

They change the first key and the code of the stack, so no other test shares it.
"""

import json
import os
import secrets
import shutil
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from cli import config
from cli.local import ports
from cli.local.clients import ACCESS_KEY, REGION
from cli.local.layout import PROJECT
from cli.local.stack import RunningStack, Stack, connect, down, up
from tests.e2e.conftest import SHORT
from tests.stub_langflow import ECHO, StubLangFlow

Json = dict[str, Any]

SOURCES = ("functions", "shared", "infra", "requirements", "events")
FILES = ("template.yaml", "samconfig.toml", "pyproject.toml", "build.mk", "Makefile")
TOOLS = (".local", ".environments")
RESTORED = "spark-restored"
REMEMBERED_SECONDS = 90  # a key for a minute, the deployment's secret for another part of one


@dataclass
class Operated:
    """A stack, and how its operator reaches it."""

    stack: Stack
    here: RunningStack

    def api(self, key: str | None = None) -> httpx.Client:
        headers = {"X-API-Key": key or self.here.api_key}
        return httpx.Client(base_url=f"{self.here.api_url}/api/v1", headers=headers, timeout=60, trust_env=False)

    def run(self, *command: str, exits: int = 0) -> str:
        """A command of the page, with credentials that lead to the emulator."""
        settings = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.here.endpoint_url,
            "NO_PROXY": ports.HOST,
        }
        done = subprocess.run(
            [sys.executable, *command], cwd=PROJECT, env={**os.environ, **settings}, capture_output=True, text=True
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    stack = Stack(ports.free(), tmp_path_factory.mktemp("operated"), parameters=SHORT, enforce_iam=True)
    try:
        yield Operated(stack, up(stack))
    finally:
        down(stack, wipe=True)


@pytest.fixture
def echo(spark: Operated, stub: StubLangFlow) -> Json:
    """A source and its workflow."""
    with spark.api() as api:
        body = {"name": f"stub {secrets.token_hex(4)}", "url": stub.url, "api_key": "a-key"}
        source = api.post("/sources", json=body).raise_for_status().json()
        flow = {"source_id": source["id"], "flow_id": ECHO}
        return dict(api.post("/workflows/import", json=flow).raise_for_status().json())


def ran(api: httpx.Client, workflow: Json) -> Json:
    body = {"workflow_id": workflow["id"], "input": "hello"}
    run: Json = api.post("/runs", json=body, params={"wait": 20}).raise_for_status().json()
    return run


def test_what_was_lost_comes_back_from_a_restored_table(spark: Operated, echo: Json) -> None:
    """The emulator restores what is there now, whatever time is named: so it is asked before something is lost."""
    client, table = connect(spark.stack).dynamodb, spark.here.table
    client.restore_table_to_point_in_time(SourceTableName=table, TargetTableName=RESTORED, UseLatestRestorableTime=True)
    client.get_waiter("table_exists").wait(TableName=RESTORED)
    with spark.api() as api:
        for item in items_of(client, table, f"#{echo['source_id']}"):
            client.delete_item(TableName=table, Key={name: item[name] for name in ("pk", "sk")})
        assert api.get(f"/sources/{echo['source_id']}").status_code == 404

        words = ("-m", "infra.copy_items", RESTORED, table, "--prefix", "PROJECT#default")
        assert "nothing was written" in spark.run(*words)
        assert api.get(f"/sources/{echo['source_id']}").status_code == 404

        assert "source: 1 brought back" in spark.run(*words, "--write")

        assert api.get(f"/sources/{echo['source_id']}").json()["has_api_key"] is True
        assert ran(api, echo)["output"] == "hello"
        assert echo["source_id"] in {source["id"] for source in api.get("/sources").json()["items"]}


def items_of(client: Any, table: str, ending: str) -> list[Json]:
    """All that is stored under partition keys with this ending."""
    pages = client.get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"] if item["pk"]["S"].endswith(ending)]


def test_a_first_key_that_leaked_is_replaced(spark: Operated) -> None:
    operator, old = connect(spark.stack), spark.here.api_key
    assert becomes(spark, old, 200)  # and is remembered from now on
    outputs = operator.cloudformation.describe_stacks(StackName="spark")["Stacks"][0]["Outputs"]
    (arn,) = [each["OutputValue"] for each in outputs if each["OutputKey"] == "BootstrapSecretArn"]
    secret = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(43))

    operator.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({"key_id": "bootstrap", "secret": secret}))

    new = f"spk_bootstrap_{secret}"
    assert becomes(spark, new, 200)
    assert becomes(spark, old, 401)
    spark.here = replace(spark.here, api_key=new)


def becomes(spark: Operated, key: str, status: int) -> bool:
    """Does the key get this answer, within the time for which others are remembered?"""
    deadline = time.monotonic() + REMEMBERED_SECONDS
    with spark.api(key) as api:
        while (answered := api.get("/auth/me").status_code) != status and time.monotonic() < deadline:
            time.sleep(2)
    return answered == status


def test_an_older_release_takes_over_what_a_newer_one_stored(spark: Operated, echo: Json, tmp_path: Path) -> None:
    newer = a_checkout(tmp_path / "newer", version="0.2.0")
    spark.here = up(replace(spark.stack, project=newer))
    assert version(spark) == "0.2.0"
    with spark.api() as api:
        run = ran(api, echo)

    spark.here = up(spark.stack)

    assert version(spark) == "0.1.0"
    with spark.api() as api:
        assert api.get(f"/runs/{run['id']}").json()["output"] == "hello"
        assert ran(api, echo)["status"] == "completed"


def a_checkout(folder: Path, version: str) -> Path:
    """This checkout as another release of it; what it runs with is shared."""
    folder.mkdir()
    for name in SOURCES:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(PROJECT / name, folder / name)
    for name in TOOLS:
        (folder / name).symlink_to(PROJECT / name)
    app = folder / "functions" / "api" / "app.py"
    text = app.read_text()
    assert 'VERSION = "0.1.0"' in text
    app.write_text(text.replace('VERSION = "0.1.0"', f'VERSION = "{version}"'))
    return folder


def version(spark: Operated) -> str:
    with spark.api() as api:
        return str(api.get("/deployment").raise_for_status().json()["version"])


@pytest.fixture
def profile(spark: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user who knows the stack as `spark local up` leaves it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SPARK_URL", "SPARK_API_KEY", "SPARK_PROFILE", "SPARK_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return config.save_profile("local", spark.here.api_url, spark.here.api_key).name


def test_the_doctor_looks_at_the_stack_and_its_api(spark: Operated, profile: str) -> None:
    words = ("--stack", "spark", "--first-key", "--profile", profile)
    found = doctor(spark, *words, exits=1)  # the emulator forgets that the table is to have recovery
    assert {check for check, said in found.items() if "fail" in said} == {"table recovery"}
    for check in ("reachable", "ready", "tls", "key", "outbound", "stack", "dead-letter queue", "KMS key", "triggers"):
        assert found[check] == {"ok"}, check


def test_the_doctor_finds_the_local_stack_well(spark: Operated, profile: str) -> None:
    found = doctor(spark, "--profile", profile)
    assert found["key"] == {"warn"}  # it is the first
    assert found["stack"] == found["settings"] == {"skipped"}


def test_the_doctor_sees_a_tick_that_is_gone(spark: Operated, profile: str) -> None:
    """Its rule is off, and something has been due since long ago."""
    client, (rule,), overdue = events(spark), rules(spark), an_overdue_item()
    client.disable_rule(Name=rule)
    connect(spark.stack).dynamodb.put_item(TableName=spark.here.table, Item=overdue)
    try:
        assert doctor(spark, exits=1)["tick"] == {"fail"}
    finally:
        key = {name: overdue[name] for name in ("pk", "sk")}
        connect(spark.stack).dynamodb.delete_item(TableName=spark.here.table, Key=key)
        client.enable_rule(Name=rule)


def test_what_writes_is_stopped_and_started_again(spark: Operated, echo: Json, profile: str) -> None:
    words = ("--stack", "spark", "--profile", profile)
    switch(spark, on=False)
    try:
        found = doctor(spark, *words, exits=1)
        assert found["triggers"] == found["concurrency"] == {"fail"}
    finally:
        switch(spark, on=True)
    found = doctor(spark, *words, exits=1)  # for the table's recovery, as above
    assert found["triggers"] == found["concurrency"] == {"ok"}
    with spark.api() as api:
        assert ran(api, echo)["output"] == "hello"


def switch(spark: Operated, *, on: bool) -> None:
    """What starts functions, and whether the API's may run: the commands of the page, by their names in boto3."""
    listed = connect(spark.stack).cloudformation.list_stack_resources(StackName="spark")["StackResourceSummaries"]
    client, functions = events(spark), aws(spark, "lambda")
    for each in listed:
        if each["ResourceType"] == "AWS::Events::Rule":
            (client.enable_rule if on else client.disable_rule)(Name=each["PhysicalResourceId"])
        if each["ResourceType"] == "AWS::Lambda::EventSourceMapping":
            functions.update_event_source_mapping(UUID=each["PhysicalResourceId"], Enabled=on)
    if on:
        functions.delete_function_concurrency(FunctionName="spark-api")
    else:
        functions.put_function_concurrency(FunctionName="spark-api", ReservedConcurrentExecutions=0)


def doctor(spark: Operated, *options: str, exits: int = 0) -> dict[str, set[str]]:
    """Check → how its findings ended."""
    found: dict[str, set[str]] = {}
    for finding in json.loads(spark.run("-m", "cli.main", "doctor", "--json", *options, exits=exits))["findings"]:
        found.setdefault(finding["check"], set()).add(finding["level"])
    return found


def an_overdue_item() -> dict[str, Any]:
    """An entry of the tick's list that nobody looks after."""
    said = {"pk": "PROJECT#default#RUN#run_overdue", "sk": "RECORD", "wake_shard": "00"}
    return {name: {"S": value} for name, value in {**said, "wake_at": "2026-01-01T00:00:00.000Z"}.items()}


def events(spark: Operated) -> Any:
    return aws(spark, "events")


def aws(spark: Operated, service: str) -> Any:
    session: Any = boto3.Session(ACCESS_KEY, ACCESS_KEY, region_name=REGION)
    return session.client(service, endpoint_url=spark.here.endpoint_url, config=Config(proxies={}))


def rules(spark: Operated) -> list[str]:
    return [rule["Name"] for rule in events(spark).list_rules()["Rules"]]
