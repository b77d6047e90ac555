"""Runs through the whole of Spark on real servers: API → SQS → executor → each way LangFlow can be asked, and back."""

from collections.abc import Iterator
from typing import Any

import pytest

from cli.local.engines import Engine
from shared.domain.outbound import AllowList
from shared.errors import FlowFailure
from shared.langflow import LangFlow
from shared.langflow.connection import Network
from tests.e2e.conftest import SHORT
from tests.e2e.deployment import Deployment, deployment
from tests.langflow.old_server import OldServer

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]

# A timeout above 240 s is beyond one invocation: such a run is a job in LangFlow's background.
IN_BACKGROUND = {"timeout_seconds": 600}
ALL_STEPS = ["Chat Input", "Blocking", "Chat Output"]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployment(tmp_path_factory.mktemp("stack"), {**SHORT, "ExecutorTimeoutSeconds": "60"}) as running:
        yield running
        running.api.close()


@pytest.fixture(scope="module")
def light(spark: Deployment, lfx: Engine) -> str:
    """The source that is `lfx serve`."""
    return spark.add_source("light", lfx.url, lfx.api_key)


@pytest.fixture(scope="module")
def whole(spark: Deployment, langflow: Engine) -> str:
    """The source that is the whole server."""
    return spark.add_source("whole", langflow.url, langflow.api_key)


@pytest.fixture(scope="module")
def old(langflow: Engine) -> Iterator[OldServer]:
    with OldServer(langflow.url) as running:
        yield running


def dialect(spark: Deployment, source: str) -> str:
    """What Spark found out about a source, and goes by from then on."""
    found: str = spark.api.get(f"/sources/{source}").raise_for_status().json()["check"]["dialect"]
    return found


def steps(spark: Deployment, run: dict[str, Any]) -> list[tuple[str, str]]:
    (attempt,) = spark.api.get(f"/runs/{run['id']}/steps").raise_for_status().json()["items"]
    return [(step["name"], step["status"]) for step in attempt["steps"]]


def test_a_run_on_lfx(spark: Deployment, light: str, ids: dict[str, str]) -> None:
    run = spark.ended(spark.submit(spark.import_flow(light, ids["echo"]), "hello ☀")["id"])

    assert dialect(spark, light) == "lfx"
    assert (run["status"], run["output"], run["job_id"]) == ("completed", "hello ☀", None)


def test_a_run_on_langflow(spark: Deployment, whole: str, ids: dict[str, str]) -> None:
    run = spark.ended(spark.submit(spark.import_flow(whole, ids["echo"]), "hello ☀")["id"])

    assert dialect(spark, whole) == "langflow_v2"
    assert (run["status"], run["output"], run["job_id"]) == ("completed", "hello ☀", None)
    assert steps(spark, run) == [("Chat Output", "completed")]


def test_a_run_on_a_langflow_without_the_second_api(
    spark: Deployment, old: OldServer, langflow: Engine, ids: dict[str, str]
) -> None:
    source = spark.add_source("old", old.url, langflow.api_key)
    workflow = spark.import_flow(source, ids["echo"])
    old.asked.clear()
    run = spark.ended(spark.submit(workflow, "hello ☀")["id"])

    assert dialect(spark, source) == "langflow_v1"
    assert (run["status"], run["output"], run["job_id"]) == ("completed", "hello ☀", None)
    assert steps(spark, run) == [("Chat Output", "completed")]
    assert [path.partition("?")[0] for path in old.asked] == [f"/api/v1/run/{ids['echo']}"]


def test_a_long_run_on_langflow_is_a_job(spark: Deployment, whole: str, ids: dict[str, str]) -> None:
    workflow = spark.import_flow(whole, ids["block"])
    run = spark.submit(workflow, "hello ☀", **IN_BACKGROUND)

    running = spark.until(run["id"], lambda now: now["job_id"] is not None)
    ended = spark.ended(run["id"])

    assert running["status"] == "running"
    assert (ended["status"], ended["output"], ended["attempt"]) == ("completed", "blocked 3 s: hello ☀", 1)
    assert ended["job_id"] == running["job_id"]
    assert steps(spark, ended) == [(name, "completed") for name in ALL_STEPS]


def test_a_flow_that_fails_says_why(spark: Deployment, whole: str, ids: dict[str, str]) -> None:
    workflow = spark.import_flow(whole, ids["fail"])
    made = [spark.submit(workflow, "this one"), spark.submit(workflow, "this one", **IN_BACKGROUND)]

    for run in [spark.ended(each["id"]) for each in made]:
        assert (run["status"], run["error"]["code"], run["attempt"]) == ("failed", "flow_failed", 1)
        assert "this flow always fails: this one" in run["error"]["message"]


def test_a_cancelled_job_is_stopped_in_langflow(
    spark: Deployment, whole: str, langflow: Engine, ids: dict[str, str]
) -> None:
    workflow = spark.import_flow(whole, ids["slow"])
    tweaks = {"SleepingComponent-mid01": {"seconds": 120}}
    run = spark.submit(workflow, "x", tweaks=tweaks, **IN_BACKGROUND)
    job = spark.until(run["id"], lambda now: now["job_id"] is not None)["job_id"]

    spark.api.post(f"/runs/{run['id']}/cancel").raise_for_status()
    ended = spark.ended(run["id"], 10)

    assert (ended["status"], ended["upstream_stopped"]) == ("cancelled", True)
    with pytest.raises(FlowFailure) as failure:
        LangFlow(langflow.url, langflow.api_key, transport=Network(AllowList.read("127.0.0.1"))).poll(job)
    assert failure.value.code in {"cancelled", "flow_failed"}  # LangFlow says one or the other for a moment
