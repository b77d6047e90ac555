"""`sam local`: functions in containers of an engine on this machine, working on a stack of MiniStack's.

They are what `make build` makes, for the runtime and the machine that template.yaml names. Containers have a loopback
of their own, so that whatever they call listens at the address at which they see this machine.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from cli.local import ports
from cli.local.layout import PROJECT
from tests.e2e import sam
from tests.e2e.deployment import Deployment

SOCKET = "unix:///var/run/docker.sock"
TEMPLATE = PROJECT / "infra" / "sam-local" / "template.py"
# What the template would say on AWS, and SAM has no value for: a variable of every function, an output of the stack.
VARIABLES = {
    "SPARK_TABLE": "TableName",
    "SPARK_RUN_QUEUE_URL": "RunQueueUrl",
    "SPARK_PAYLOAD_BUCKET": "PayloadBucket",
    "SPARK_KMS_KEY_ID": "KmsKeyId",
    "SPARK_BOOTSTRAP_SECRET_ID": "BootstrapSecretArn",
}
STARTS_WITHIN_SECONDS = 60.0  # 5 s on an idle machine
STOPS_WITHIN_SECONDS = 30.0
POLL_SECONDS = 0.2


class NotHere(Exception):
    """What `sam local` needs and this machine has not."""


def gateway() -> str:
    """The address at which containers see this machine.

    Raises:
        NotHere: no engine answers, it is not on this machine, or SAM is not installed.
    """
    if not sam.COMMAND.exists():
        raise NotHere(f"there is no {sam.COMMAND.relative_to(PROJECT)}; `make build` installs SAM")
    address = os.environ.get("DOCKER_HOST", SOCKET)
    try:
        with _engine(address) as engine:
            bridge = engine.get("/networks/bridge").raise_for_status().json()
    except (httpx.HTTPError, OSError) as error:
        raise NotHere(f"no container engine answers at {address} ({error})") from error
    name = bridge["Options"].get("com.docker.network.bridge.name", "")
    addresses = psutil.net_if_addrs().get(name, [])
    if found := next((each.address for each in addresses if each.family == socket.AF_INET), None):
        return found
    raise NotHere(f"the engine at {address} is not on this machine, which has no network {name!r}")


def containers() -> set[str]:
    """The engine's containers, running or not."""
    with _engine(os.environ.get("DOCKER_HOST", SOCKET)) as engine:
        return {each["Id"] for each in engine.get("/containers/json", params={"all": True}).raise_for_status().json()}


def _engine(address: str) -> httpx.Client:
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:  # httpx leaves one open that could not connect
            probe.connect(rest)
        return httpx.Client(base_url="http://engine", transport=httpx.HTTPTransport(uds=rest))
    return httpx.Client(base_url=f"http://{rest}" if scheme == "tcp" else address, trust_env=False)


@dataclass(frozen=True)
class SamLocal:
    """What `sam local` works from: a template, and a file with the variables that it has no values for."""

    template: Path
    variables: Path
    endpoint: str  # of the emulator, which SAM itself asks who we are

    def invoke(self, function: str, event: Path) -> Any:
        """What a function answers to an event."""
        words = ["local", "invoke", function, "--event", str(event), *self._options()]
        return json.loads(sam.sam(*words, AWS_ENDPOINT_URL=self.endpoint))

    @contextmanager
    def api(self, log: Path) -> Iterator[str]:
        """The URL of an API whose requests the API function answers in a container; what SAM says goes to `log`."""
        port = ports.free()
        command = [str(sam.COMMAND), "local", "start-api", "--warm-containers", "LAZY", "--port", str(port)]
        command += ["--host", ports.HOST, *self._options()]
        with log.open("wb") as said:
            environment = sam.environment(AWS_ENDPOINT_URL=self.endpoint)
            process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=said, stderr=said)
        try:
            _wait(process, port, log)
            yield f"http://{ports.HOST}:{port}"
        finally:
            process.send_signal(signal.SIGINT)  # as a user does; SAM then removes its containers
            process.wait(STOPS_WITHIN_SECONDS)

    def _options(self) -> list[str]:
        options = ["--template", str(self.template), "--env-vars", str(self.variables)]
        return [*options, "--parameter-overrides", "Stage=local", f"OutboundAllow={ports.HOST}"]


def sam_local(folder: Path, spark: Deployment, endpoint: str) -> SamLocal:
    """Build the functions into `folder`, to work on a stack that containers see at `endpoint`."""
    build, template, variables = folder / "build", folder / "build" / "local.json", folder / "variables.json"
    _build(build)
    made = subprocess.run([sys.executable, str(TEMPLATE), str(build), endpoint], capture_output=True, check=True)
    template.write_bytes(made.stdout)
    variables.write_text(json.dumps({"Parameters": {name: spark.outputs[of] for name, of in VARIABLES.items()}}))
    return SamLocal(template, variables, endpoint)


def _build(folder: Path) -> None:
    """As for AWS. `make build` has left all it needs in uv's cache, and an engine's namespace may have no network."""
    try:
        sam.sam("build", "--build-dir", str(folder), UV_OFFLINE="1")
    except AssertionError:
        sam.sam("build", "--build-dir", str(folder))


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while not ports.taken(port):
        assert process.poll() is None, f"sam local start-api ended:\n{log.read_text()[-4000:]}"
        assert time.monotonic() < deadline, f"sam local start-api does not listen:\n{log.read_text()[-4000:]}"
        time.sleep(POLL_SECONDS)
