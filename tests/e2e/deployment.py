"""A deployed Spark, as its users and its operators see it."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from localstack_client.session import Session

from cli.config import normal_url
from cli.local import ports
from cli.local.clients import ACCESS_KEY
from cli.local.stack import Stack, down, up
from tests.e2e.localstack import localstack

EVENTS = Path(__file__).parents[2] / "events"
STACK = "spark"
FINAL = {"completed", "failed", "cancelled", "skipped"}
# What the tests run on, where AWS_ENDPOINT_URL does not say what is deployed already: "ministack" or "localstack".
EMULATOR = os.environ.get("SPARK_E2E_STACK", "ministack")


@dataclass
class Deployment:
    """`api` has the key and the base path; `emulator_pid` is None where we did not start the emulator.

    `patience` is how many seconds anything is waited for at most: little, where it is expected not to come.
    """

    api_url: str
    api_key: str
    api: httpx.Client
    outputs: dict[str, str]
    session: Session
    emulator_pid: int | None
    patience: float = math.inf

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def tick(self, qualifier: str = "", **event: Any) -> dict[str, Any]:
        """Run the minute tick now, as EventBridge does with the qualifier ":live"; `event` says more than it does."""
        payload = json.dumps({**json.loads((EVENTS / "eventbridge_tick.json").read_text()), **event}).encode()
        name = self.outputs["TickFunctionName"] + qualifier
        answer = self.client("lambda").invoke(FunctionName=name, Payload=payload)
        assert "FunctionError" not in answer, answer["Payload"].read()
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        return said

    def workers(self, function: str) -> list[psutil.Process]:
        """The processes that run a function on the emulator."""
        assert self.emulator_pid is not None
        children = psutil.Process(self.emulator_pid).children(recursive=True)
        return [child for child in children if _runs(child, function)]

    def run(self, id: str) -> dict[str, Any]:
        run: dict[str, Any] = self.api.get(f"/runs/{id}").raise_for_status().json()
        return run

    def until(self, id: str, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The run as soon as it is as wanted."""
        deadline = self.deadline(seconds)
        while not wanted(run := self.run(id)):
            assert time.monotonic() < deadline, f"not so after {seconds} s: {run}"
            time.sleep(0.2)
        return run

    def deadline(self, seconds: float) -> float:
        """Until when to wait for something that takes `seconds` at most, on the clock of `time.monotonic`."""
        return time.monotonic() + min(seconds, self.patience)

    def ended(self, id: str, seconds: float = 60) -> dict[str, Any]:
        return self.until(id, lambda run: run["status"] in FINAL, seconds)

    def submit(self, workflow: str, input: str, **settings: Any) -> dict[str, Any]:
        body = {"workflow_id": workflow, "input": input, **settings}
        run: dict[str, Any] = self.api.post("/runs", json=body).raise_for_status().json()
        return run

    def submit_many(self, workflow: str, inputs: list[str]) -> list[dict[str, Any]]:
        body = {"runs": [{"workflow_id": workflow, "input": input} for input in inputs]}
        answer = self.api.post("/runs/batch", json=body).raise_for_status().json()
        return [item["run"] for item in answer["items"]]

    def add_source(self, name: str, url: str, key: str | None = None, **settings: Any) -> str:
        body = {"name": name, "url": url, "api_key": key, **settings}
        source: str = self.api.post("/sources", json=body).raise_for_status().json()["id"]
        return source

    def import_flow(self, source: str, flow: str, **settings: Any) -> str:
        body = {"source_id": source, "flow_id": flow}
        workflow: str = self.api.post("/workflows/import", json=body).raise_for_status().json()["id"]
        if settings:
            self.api.patch(f"/workflows/{workflow}", json=settings).raise_for_status()
        return workflow


def _runs(process: psutil.Process, function: str) -> bool:
    try:
        return process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function
    except psutil.Error:
        return False


@contextmanager
def deployment(state_dir: Path, parameters: dict[str, str], *, enforce_iam: bool = False) -> Iterator[Deployment]:
    """The stack behind AWS_ENDPOINT_URL, or one of our own that ends with us."""
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        yield connect(endpoint, os.environ.get("SPARK_URL"), None)
        return
    if EMULATOR == "localstack":
        with localstack(state_dir, parameters) as (endpoint, pid):
            yield connect(endpoint, None, pid)
        return
    stack = Stack(port=ports.free(), state_dir=state_dir, parameters=parameters, enforce_iam=enforce_iam)
    try:
        running = up(stack)
        pid = int(json.loads(stack.layout.pid_file.read_text())["pid"])
        yield connect(running.endpoint_url, running.api_url, pid)
    finally:
        down(stack, wipe=True)


def connect(endpoint: str, api_url: str | None, pid: int | None) -> Deployment:
    """What is deployed at `endpoint`, read from its stack's outputs; `api_url` where they name another address."""
    session = session_of(endpoint)
    described = session.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    url = normal_url(api_url or outputs["ApiUrl"])
    secret = session.client("secretsmanager").get_secret_value(SecretId=outputs["BootstrapSecretArn"])["SecretString"]
    key = "spk_{key_id}_{secret}".format(**json.loads(secret))
    base, host = _address(endpoint, url)
    headers = {"X-API-Key": key, **host}
    api = httpx.Client(base_url=f"{base}/api/v1", headers=headers, timeout=60, trust_env=False)
    return Deployment(url, key, api, outputs, session, pid)


def _address(endpoint: str, url: str) -> tuple[str, dict[str, str]]:
    """Where to send requests, and the header that says which API or function URL they are for.

    An emulator tells them apart by a host name below its own, which no name server may know.
    """
    host = url.removeprefix("http://")
    local = host != url and (".lambda-url." in host or ".execute-api." in host)
    return (endpoint, {"Host": host}) if local else (url, {})


def session_of(endpoint: str) -> Session:
    """As the account's owner. It learns its endpoint from the environment, where no other stack shall find it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", endpoint)
        return Session(ACCESS_KEY, ACCESS_KEY)
