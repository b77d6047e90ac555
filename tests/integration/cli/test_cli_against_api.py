"""The command line on the real API: its handler, executors, AWS on moto and a LangFlow on loopback."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli import config, main
from cli.session import Surroundings
from functions.api import dependencies
from functions.executor.handler import handler as executor
from shared import wiring
from shared.domain.dead_letter import DeadLetter, DeadLetterReason
from shared.store import keys
from tests.integration.api.wire import LambdaTransport
from tests.integration.conftest import API_KEY, Aws
from tests.stub_langflow import StubLangFlow

Json = dict[str, Any]
Spark = Callable[..., Result]

SAMPLE = json.loads((Path(__file__).parents[3] / "events" / "sqs_run.json").read_text())["Records"][0]
LANGFLOW_KEY = "lf-secret-key"
CONTEXT: Any = SimpleNamespace(
    function_name="spark-executor",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:spark-executor",
    aws_request_id="11111111-2222-3333-4444-555555555555",
    log_stream_name="stream",
    get_remaining_time_in_millis=lambda: 60_000,
)


class Deployment(httpx.BaseTransport):
    """The API; and whatever waits in the queue is worked on before each look at a run, unless executors are `away`."""

    def __init__(self, aws: Aws) -> None:
        self.away = False
        self._aws = aws
        self._api = LambdaTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with redirect_stdout(io.StringIO()):  # metrics are printed; in Lambda that is nobody's stdout but its own
            if request.method == "GET" and "/runs" in request.url.path and not self.away:
                self.work()
            return self._api.handle_request(request)

    def work(self) -> None:
        bodies = self._aws.messages()
        records = [{**SAMPLE, "messageId": f"m-{n}", "body": json.dumps(body)} for n, body in enumerate(bodies)]
        for start in range(0, len(records), 10):
            assert executor({"Records": records[start : start + 10]}, CONTEXT) == {"batchItemFailures": []}


@pytest.fixture
def deployment(aws: Aws) -> Deployment:
    return Deployment(aws)


@pytest.fixture
def spark(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spark:
    """Runs a command; whatever it prints, it prints no key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SPARK_URL", "SPARK_API_KEY", "SPARK_PROFILE", "SPARK_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    config.save_profile("test", "https://api.test", API_KEY)

    def run(*args: str, exits: int = 0, **settings: Any) -> Result:
        world = Surroundings(deployment, sleep=lambda _: None, has_user=lambda: False)
        result = CliRunner().invoke(main.app, list(args), obj=world, prog_name="spark", **settings)
        assert result.exit_code == exits, result.output
        assert API_KEY not in result.output
        assert LANGFLOW_KEY not in result.output
        return result

    return run


@pytest.fixture(scope="module")
def stub() -> Iterator[StubLangFlow]:
    with StubLangFlow() as running:
        yield running


@pytest.fixture
def langflow(stub: StubLangFlow) -> StubLangFlow:
    stub.reset()
    return stub


@pytest.fixture
def echo(spark: Spark, langflow: StubLangFlow) -> Json:
    """A source `lab`, and its flow "Stub 1" imported."""
    spark("source", "add", "lab", langflow.url, "--api-key", "-", input=f"{LANGFLOW_KEY}\n")
    workflow: Json = document(spark("workflow", "import", "lab", "Stub 1", "--json"))
    return workflow


def document(result: Result) -> Any:
    return json.loads(result.stdout)


# ---------------------------------------------------------------- sources


def test_a_source_is_added_looked_at_changed_and_deleted(spark: Spark, langflow: StubLangFlow) -> None:
    shown = spark("source", "add", "lab", langflow.url, "--api-key", "env:LAB", env={"LAB": LANGFLOW_KEY}).stdout
    assert "active" in shown
    assert "langflow 1.13.0" in shown
    assert "langflow 1.13.0" in spark("source", "list").stdout
    assert spark("source", "check", "lab").stdout.count("active") == 1
    changed = document(spark("source", "update", "lab", "--name", "bench", "--max-concurrency", "4", "--json"))
    assert (changed["name"], changed["max_concurrency"]) == ("bench", 4)
    assert document(spark("source", "update", "bench", "--max-concurrency", "0", "--json"))["max_concurrency"] is None
    spark("source", "delete", "bench", "--yes")
    assert document(spark("source", "list", "--json")) == []


def test_a_source_that_is_not_there_is_refused_and_may_be_added_unseen(spark: Spark) -> None:
    refused = spark("source", "add", "gone", "http://127.0.0.1:9", exits=4)
    assert "/url" in refused.stderr
    spark("source", "add", "gone", "http://127.0.0.1:9", "--no-verify")
    assert "unreachable" in spark("source", "check", "gone", exits=1).stdout


def test_a_refused_field_is_named(spark: Spark) -> None:
    said = spark("source", "add", "lab", "no address", exits=4).stderr
    assert said.splitlines()[0] == "Error: The request breaks a rule."
    assert said.splitlines()[1].startswith("  /url  ")


def test_flows_are_listed_and_imported_once(spark: Spark, echo: Json) -> None:
    assert "Stub 10" in spark("source", "flows", "lab").stdout
    assert echo["id"] in spark("workflow", "import", "lab", "Stub 1", exits=4).stderr
    assert len(document(spark("workflow", "import", "lab", "--all", "--json"))) == 9
    assert "unchanged" in spark("source", "sync", "lab").stdout


def test_a_source_in_use_names_its_users(spark: Spark, echo: Json) -> None:
    assert echo["id"] in spark("source", "delete", "lab", "--yes", exits=4).stderr
    spark("source", "delete", "lab", "--yes", "--cascade")
    assert "disabled" in spark("workflow", "list").stdout


# ---------------------------------------------------------------- workflows


def test_a_workflow_is_made_by_hand_changed_and_rolled_back(spark: Spark, echo: Json) -> None:
    made = document(spark("workflow", "create", "lab", "flow-9", "--name", "Mine", "--max-attempts", "2", "--json"))
    assert made["settings"]["retry"]["max_attempts"] == 2
    words = ["--timeout", "90s", "--tag", "a", "--tag", "b", "--retry-failures"]
    changed = document(spark("workflow", "update", "Mine", *words, "--json"))
    assert (changed["version"], changed["settings"]["tags"]) == (2, ["a", "b"])
    assert changed["settings"]["retry"] == {**made["settings"]["retry"], "flow_failed": True}
    assert [line.split()[1] for line in spark("workflow", "versions", "Mine").stdout.splitlines()[1:]] == [
        "updated",
        "created",
    ]
    rolled_back = spark("workflow", "rollback", "Mine", "1")
    assert "changed: timeout_seconds  90 → 120" in rolled_back.stderr
    assert "version   3" in rolled_back.stdout
    spark("workflow", "delete", "Mine", "--yes")
    spark("workflow", "get", "Mine", exits=4)


def test_a_workflow_is_shown_synced_and_switched_off(spark: Spark, echo: Json) -> None:
    assert document(spark("workflow", "sync", "Stub 1", "--json")) == document(
        spark("workflow", "get", echo["id"], "--json")
    )
    spark("workflow", "update", "Stub 1", "--disable")
    assert "disabled" in spark("workflow", "run", "Stub 1", "x", exits=4).stderr


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("how", ["--watch", "--wait"])
def test_a_run_ends_with_its_output(spark: Spark, echo: Json, how: str) -> None:
    assert spark("workflow", "run", "Stub 1", "Hello", how).stdout == "Hello\n"
    (run,) = document(spark("run", "list", "--json"))
    assert document(spark("run", "get", "last", "--json"))["output"] == "Hello"
    assert (
        run["id"][-8:] in spark("run", "list", "--workflow", "Stub 1", "--status", "completed", "--since", "1h").stdout
    )


def test_a_run_is_shown_with_its_steps_and_logs(spark: Spark, echo: Json) -> None:
    spark("workflow", "run", "Stub 1", "Hello", "--wait")
    card = spark("run", "get", "last").stdout
    assert "✓ completed" in card
    assert "Chat Output" in spark("run", "steps").stdout
    assert "attempt" in spark("run", "logs").stdout


def test_a_large_input_and_output_pass_through(spark: Spark, echo: Json, tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("long " * 5000)
    assert (
        spark("workflow", "run", "Stub 1", "-f", str(tmp_path / "input.txt"), "--wait").stdout == "long " * 5000 + "\n"
    )


def test_a_failed_run_says_why_and_can_be_retried(spark: Spark, echo: Json, langflow: StubLangFlow) -> None:
    langflow.set("fail")
    failed = spark("workflow", "run", "Stub 1", "Hello", "--watch", exits=1)
    assert (failed.stdout, "flow_failed: " in failed.stderr) == ("", True)
    assert "flow_failed" in spark("run", "list", "--status", "failed").stdout
    langflow.set("ok")
    assert spark("run", "retry", "last", "--watch").stdout == "Hello\n"
    again, old = document(spark("run", "list", "--json"))
    assert again["retry_of"] == old["id"]


def test_retries_of_one_run_are_asked_for_beside_the_workflows_own_policy(
    spark: Spark, echo: Json, langflow: StubLangFlow
) -> None:
    spark("workflow", "update", "Stub 1", "--max-attempts", "2")
    run = document(spark("workflow", "run", "Stub 1", "x", "--retry-failures", "--json"))
    assert (run["retry"]["max_attempts"], run["retry"]["flow_failed"]) == (2, True)


def test_a_batch_is_answered_in_order(spark: Spark, echo: Json) -> None:
    lines = "".join(f"input {number}\n" for number in range(1, 13))
    assert spark("workflow", "run", "Stub 1", "--batch", "-", "--wait", input=lines).stdout == lines


def test_many_runs_are_cancelled_and_run_again(spark: Spark, echo: Json, deployment: Deployment) -> None:
    deployment.away = True
    spark("workflow", "run", "Stub 1", "--batch", "-", input="one\ntwo\n")
    assert "2 of 2 cancelled." in spark("run", "cancel-all", "--workflow", "Stub 1", "--yes").stderr
    again = spark("run", "retry-all", "--status", "cancelled", "--since", "1h", "--yes", "--json")
    assert document(again) == {"matched": 2, "changed": 2}
    deployment.away = False
    assert len(document(spark("run", "list", "--status", "completed", "--json"))) == 2


def test_a_waiting_run_is_cancelled(spark: Spark, echo: Json, deployment: Deployment) -> None:
    deployment.away = True
    spark("workflow", "run", "Stub 1", "x")
    assert "is cancelled" in spark("run", "cancel", "last").stderr
    assert "cancelled already" in spark("run", "cancel", "last", exits=4).stderr
    spark("run", "watch", exits=3)


def test_a_workflow_with_unfinished_runs_stays(spark: Spark, echo: Json, deployment: Deployment) -> None:
    deployment.away = True
    run = document(spark("workflow", "run", "Stub 1", "x", "--json"))
    assert run["id"] in spark("workflow", "delete", "Stub 1", "--yes", exits=4).stderr


# ---------------------------------------------------------------- keys, projects, roles


def test_a_key_is_made_used_rotated_and_revoked(spark: Spark) -> None:
    made = spark("key", "create", "ci", "--role", "operator", "--valid-until", "90d")
    key = made.stdout.strip()
    config.save_profile("ci", "https://api.test", key)
    spark("--profile", "ci", "run", "list")
    assert "does not have" in spark("--profile", "ci", "key", "list", exits=4).stderr
    assert "operator" in spark("key", "list").stdout
    spark("key", "update", "ci", "--role", "editor", "--no-end")
    assert document(spark("key", "get", "ci", "--json"))["valid_until"] is None
    new = document(spark("key", "rotate", "ci", "--overlap", "1h", "--json"))["key"]
    assert new.split("_")[:2] == key.split("_")[:2]
    for text in (key, new):
        config.save_profile("ci", "https://api.test", text)
        spark("--profile", "ci", "run", "list")
        assert text not in spark("key", "list", "--json").stdout
    spark("key", "revoke", "ci", "--yes")
    spark("key", "get", "ci", exits=4)


def test_a_project_is_founded_worked_in_and_deleted(spark: Spark, langflow: StubLangFlow) -> None:
    spark("project", "create", "Lab", "--retention-days", "7")
    spark("project", "use", "Lab")
    spark("source", "add", "lab", langflow.url, "--api-key", "-", input=f"{LANGFLOW_KEY}\n")
    assert "lab" not in spark("source", "list", "--project", "default").stdout
    assert "lab" in spark("--project", "Lab", "source", "list").stdout
    id = document(spark("source", "get", "lab", "--json"))["id"]
    assert id in spark("project", "delete", "Lab", "--yes", exits=4).stderr
    spark("source", "delete", "lab", "--yes")
    spark("project", "update", "Lab", "--name", "Old")
    spark("project", "delete", "Old", "--yes")
    dependencies.doorkeeper.cache_clear()  # or a minute later
    assert "spark project use" in spark("source", "list", exits=4).stderr
    spark("project", "use")
    assert document(spark("source", "list", "--json")) == []


def test_an_organization_is_renamed(spark: Spark) -> None:
    assert "Default" in spark("org", "get").stdout
    assert document(spark("org", "rename", "Acme", "--json"))["name"] == "Acme"
    assert "Acme" in spark("org", "get").stdout


def test_a_role_is_defined_given_and_kept_while_it_is_used(spark: Spark) -> None:
    spark("role", "create", "on call", "--allow", "runs:read,runs:cancel", "--deny", "runs:create")
    key = spark("key", "create", "night", "--role", "on call").stdout.strip()
    assert "runs:cancel runs:read" in spark("role", "list").stdout
    config.save_profile("night", "https://api.test", key)
    spark("--profile", "night", "run", "list")
    spark("--profile", "night", "source", "list", exits=4)
    spark("role", "update", "on call", "--deny", "")
    id = document(spark("key", "get", "night", "--json"))["id"]
    assert id in spark("role", "delete", "on call", "--yes", exits=4).stderr
    spark("key", "revoke", "night", "--yes")
    spark("role", "delete", "on call", "--yes")


# ---------------------------------------------------------------- the rest


def test_a_dead_letter_is_shown_and_redriven(spark: Spark, echo: Json) -> None:
    spark("workflow", "run", "Stub 1", "Hello", "--wait")
    run = document(spark("run", "get", "last", "--json"))
    letter = DeadLetter(
        project_id="default",
        id=wiring.new_id("dead"),
        reason=DeadLetterReason.too_many_attempts,
        body="{}",
        run_id=run["id"],
        message="Nobody could finish it.",
        created_at=wiring.now(),
    )
    wiring.dead_letters().save(None, letter)
    assert "too_many_attempts" in spark("dead-letters", "list").stdout
    assert "Nobody could finish it." in spark("dead-letters", "get", "last").stdout
    assert spark("dead-letters", "redrive", letter.id[-8:], "--watch").stdout == "Hello\n"
    assert spark("dead-letters", "list", "--unreadable", "--json").stdout == "[]\n"


def test_a_wrong_key_and_an_unknown_id_are_explained(spark: Spark) -> None:
    unknown = spark("run", "get", "run_01JGJ000000000000000000001", "--json", exits=4)
    assert json.loads(unknown.stderr)["code"] == "not_found"
    config.save_profile("test", "https://api.test", "spk_wrong_" + "x" * 43)
    assert "spark config set test --api-key -" in spark("run", "list", exits=4).stderr


# ---------------------------------------------------------------- audit


def test_the_audit_log_is_verified_and_whoever_laid_hands_on_the_table_is_found_out(
    spark: Spark, aws: Aws, echo: Json
) -> None:
    spark("workflow", "update", echo["id"], "--name", "Echo")
    spark("source", "update", "lab", "--name", "böse")
    wiring.ticker().tick(wiring.now() + timedelta(seconds=30), lambda shard: None)
    assert "workflow.updated" in spark("audit", "list").stdout
    assert len(spark("audit", "export").stdout.splitlines()) == 5  # these two, who made them, and the first key
    whole = document(spark("audit", "verify", "--json"))
    assert (whole["is_whole"], whole["entries"], whole["seals"]) == (True, 5, 1)
    spark("audit", "verify", "--seal", whole["newest_seal"])

    entries = [item for item in aws.items() if item["sk"]["S"].startswith(keys.AUDIT_PREFIX)]
    for entry in entries:
        aws.dynamodb.put_item(TableName=aws.table, Item={**entry, "actor": {"S": "somebody else"}})
        assert entry["record_id"]["S"] in spark("audit", "verify", exits=1).stdout
        aws.dynamodb.delete_item(TableName=aws.table, Key={"pk": entry["pk"], "sk": entry["sk"]})
        spark("audit", "verify", exits=1)
        aws.dynamodb.put_item(TableName=aws.table, Item=entry)
        spark("audit", "verify")
    for entry in entries:
        if entry["kind"]["S"] == "source":
            aws.dynamodb.delete_item(TableName=aws.table, Key={"pk": entry["pk"], "sk": entry["sk"]})
    assert "All of it is gone" in spark("audit", "verify", exits=1).stdout


# ---------------------------------------------------------------- the doctor


def test_the_doctor_understands_what_the_api_says(spark: Spark, echo: Json) -> None:
    spark("schedule", "create", "Daily", "--workflow", "Stub 1", "--cron", "0 9 * * *", "--input", "x")
    spark("project", "create", "Second", "--retention-days", "0")
    config.save_profile("test", "http://127.0.0.1:4566", API_KEY)  # its stage is local, so that is where it has to be
    found: dict[str, list[Json]] = {}
    for finding in document(spark("doctor", "--json", exits=0))["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    levels = {check: [finding["level"] for finding in findings] for check, findings in found.items()}
    for check in ("reachable", "ready", "tick", "outbound", "dead letters", "sources", "schedules"):
        assert levels[check] == ["ok"], found[check]
    assert levels["key"] == levels["keys"] == levels["retention"] == ["warn"]
    assert "Second keep runs for good" in found["retention"][0]["said"]
    assert levels["settings"] == levels["second factor"] == levels["stack"] == levels["clock"] == ["skipped"]
    config.save_profile("test", "https://api.test", API_KEY)
    there = document(spark("doctor", "--json", exits=1))["findings"]
    assert [each["check"] for each in there if each["level"] == "fail"] == ["outbound", "settings"]


def test_the_doctor_without_a_key_sees_health_alone(spark: Spark) -> None:
    config.save_profile("test", "https://api.test", "")
    levels = {each["check"]: each["level"] for each in document(spark("doctor", "--json"))["findings"]}
    assert levels.pop("reachable") == levels.pop("ready") == "ok"
    assert set(levels.values()) == {"skipped"}
