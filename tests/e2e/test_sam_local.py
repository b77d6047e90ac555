"""The functions as containers: Lambda's emulator and runtime client by SAM, the bundle and the Python that AWS gets.

Runs wherever a container engine answers, at DOCKER_HOST or the usual socket. `make test-sam` has one with it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local import ports
from tests.e2e.conftest import NOT_RUN, SHORT
from tests.e2e.deployment import EVENTS, Deployment, deployment
from tests.e2e.sam_local import NotHere, SamLocal, containers, gateway, sam_local
from tests.stub_langflow import ECHO, StubLangFlow

# Building, deploying and the first container are in the time of whichever test comes first: 40 s on an idle machine.
pytestmark = pytest.mark.timeout(300)

ALL_DONE: dict[str, Any] = {"batchItemFailures": []}
# Event of a function → what is in its answer.
SAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "ApiFunction": {
        "api_health.json": {"statusCode": 200, "body": '{"status":"healthy"}'},
        "api_list_runs.json": {"statusCode": 200, "body": '{"items":[],"next_cursor":null}'},
        "api_no_key.json": {"statusCode": 401},
        "api_create_run.json": {"statusCode": 404},  # there is no such workflow
        "api_base64_body.json": {"statusCode": 404},
    },
    "TickFunction": {"eventbridge_tick.json": {"due": 0, "fired": 0, "complete": True}},
    "ExecutorFunction": {"sqs_run.json": ALL_DONE, "sqs_batch.json": ALL_DONE, "sqs_poison.json": ALL_DONE},
    "DeadLettersFunction": {"dlq_run.json": ALL_DONE, "dlq_unreadable.json": ALL_DONE},
}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """The address at which containers see this machine. All of the local stack listens there, not on loopback."""
    try:
        found = gateway()
    except NotHere as why:
        if "SPARK_ENGINE" in os.environ:  # which says that there must be one
            pytest.fail(str(why))
        pytest.skip(f"{NOT_RUN}sam local: {why}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "HOST", found)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield found


@pytest.fixture(scope="module")
def spark(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """In place of the stack that the other tests share. Its queues call nobody: what they would call is tested here."""
    with deployment(tmp_path_factory.mktemp("stack"), SHORT) as running:
        mappings = running.client("lambda")
        for mapping in mappings.list_event_source_mappings()["EventSourceMappings"]:
            mappings.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield running
        running.api.close()


@pytest.fixture(scope="module")
def functions(spark: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    before = containers()
    yield sam_local(tmp_path_factory.mktemp("sam"), spark, spark.client("sts").meta.endpoint_url)
    assert containers() == before, "sam local left containers behind"


@pytest.fixture(scope="module")
def key(spark: Deployment) -> str:
    """The first key is the one that the sample events are sent with."""
    sample = json.loads((EVENTS / "api_list_runs.json").read_text())["headers"]["x-api-key"]
    _, id, secret = sample.split("_")
    content = json.dumps({"key_id": id, "secret": secret})
    spark.client("secretsmanager").put_secret_value(SecretId=spark.outputs["BootstrapSecretArn"], SecretString=content)
    return str(sample)


@pytest.fixture(scope="module")
def in_a_container(
    functions: SamLocal, spark: Deployment, key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The same stack, reached through `sam local start-api`."""
    with functions.api(tmp_path_factory.mktemp("api") / "sam.log") as url:
        base = f"{url}/api/v1"
        with httpx.Client(base_url=base, headers={"X-API-Key": key}, timeout=60, trust_env=False) as api:
            yield replace(spark, api_url=url, api_key=key, api=api)


def test_every_sample_event_is_used() -> None:
    used = [event for events in SAMPLES.values() for event in events]
    assert sorted(used) == sorted(path.name for path in EVENTS.iterdir())


@pytest.mark.parametrize(("function", "event"), [(name, event) for name, events in SAMPLES.items() for event in events])
def test_a_function_answers_its_sample_events(functions: SamLocal, key: str, function: str, event: str) -> None:
    answer = functions.invoke(function, EVENTS / event)

    assert answer | SAMPLES[function][event] == answer


def test_the_api_answers_over_http(in_a_container: Deployment) -> None:
    answer = in_a_container.api.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert "Werkzeug" in answer.headers["server"]  # SAM's, and not MiniStack's


def test_a_run_goes_through_containers_alone(
    in_a_container: Deployment, functions: SamLocal, host: str, tmp_path: Path
) -> None:
    with StubLangFlow(host=host) as langflow:
        workflow = in_a_container.import_flow(in_a_container.add_source("stub", langflow.url, "a-key"), ECHO)
        run = in_a_container.submit(workflow, "in a container")
        assert (run["status"], langflow.calls()["total"]) == ("pending", 0)  # nobody else is at it

        assert functions.invoke("ExecutorFunction", message_of(run, tmp_path)) == ALL_DONE

        assert langflow.calls()["calls"] == {ECHO: {"in a container": 1}}
    done = in_a_container.run(run["id"])
    assert (done["status"], done["output"]) == ("completed", "in a container")


def message_of(run: dict[str, Any], folder: Path) -> Path:
    """The sample event of the executor, about this run."""
    event = json.loads((EVENTS / "sqs_run.json").read_text())
    body = json.loads(event["Records"][0]["body"])
    event["Records"][0]["body"] = json.dumps({**body, "run_id": run["id"], "project_id": run["project_id"]})
    path = folder / "event.json"
    path.write_text(json.dumps(event))
    return path
