"""A LocalStack process of our own with Spark deployed to it by SAM, as one would deploy to AWS. Without Docker.

What is not LocalStack's own in it, and why, is in `infra/localstack/README.md`.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from cli.local import ports
from cli.local.layout import PROJECT
from cli.local.stack import OUTBOUND
from cli.local.template import Template, functions, load, local_parameters
from tests.e2e import sam

PLUGINS = PROJECT / "infra" / "localstack"
PYTHON = PROJECT / ".environments" / "localstack" / "bin" / "python"
# What free LocalStack has no resource type for is left out of the template by its own parameters.
WITHOUT = {"FunctionUrl": "on", "WithDashboard": "off", "GradualDeployment": "false"}
LOG = "localstack.log"
STARTS_WITHIN_SECONDS = 60.0  # 4 s on an idle machine
STOPS_WITHIN_SECONDS = 20.0  # at once on an idle machine
POLL_SECONDS = 0.2


@contextmanager
def localstack(folder: Path, parameters: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A LocalStack with the stack `spark` in it: its address and its process id. It ends with us, and its children."""
    port = ports.free()
    endpoint = f"http://{ports.HOST}:{port}"
    with server(folder, port) as process:
        template = _build(folder / "build")  # while it starts
        wait(process, endpoint, folder / LOG)
        sam.deploy(template, endpoint, {**OUTBOUND, **local_parameters(PROJECT), **WITHOUT, **parameters})
        yield endpoint, process.pid


def _build(folder: Path) -> Path:
    """The bundles, and the template of them as LocalStack understands it."""
    sam.build(folder, PYTHON)
    path = folder / "localstack.json"
    path.write_text(json.dumps(_for_localstack(load(folder))))
    return path


def _for_localstack(template: Template) -> Template:
    """LocalStack resolves references before SAM's transform, and so without what that makes of them.

    It never comes to an end of a function whose gradual deployment, which is off, names alarms that name the function;
    and it knows no `<function>.Alias`.
    """
    for name in functions(template):
        template["Resources"][name]["Properties"].pop("DeploymentPreference", None)
    for block in template["Resources"].values():
        if any(f"{name}.Alias" in json.dumps(block) for name in functions(template)):
            block["Properties"] = _with_arns(block["Properties"])
            block["DependsOn"] = [f"{name}Aliaslive" for name in functions(template)]
    return template


def _with_arns(node: Any) -> Any:
    """References to aliases written as the ARNs they are."""
    if isinstance(node, list):
        return [_with_arns(item) for item in node]
    if not isinstance(node, dict):
        return node
    name, _, attribute = str(node.get("Ref", "")).partition(".")
    if attribute == "Alias":
        return {"Fn::Join": [":", [{"Fn::GetAtt": [name, "Arn"]}, "live"]]}
    return {key: _with_arns(value) for key, value in node.items()}


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """LocalStack, for as long as the block takes. The pipe ends it, and its functions, when this process is killed."""
    command = [str(PYTHON), "-m", "localstack.runtime.main"]
    with (folder / LOG).open("wb") as log:
        streams = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
        process = subprocess.Popen(command, env=_environment(folder, port), cwd=folder, **streams)
    try:
        yield process
    finally:
        _stop(process, folder)
        for large in ("build", "files", "temporary"):
            shutil.rmtree(folder / large, ignore_errors=True)


def _environment(folder: Path, port: int) -> dict[str, str]:
    """Nothing of ours but the path. All it writes goes into the folder, and it shall ask nobody on the Internet."""
    temporary, cache = folder / "temporary", folder / "cache"
    for each in (temporary, cache):
        each.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(cache),
        "PYTHONPATH": f"{PLUGINS}{os.pathsep}{PROJECT}",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        # It looks into an empty queue every ten seconds otherwise. AWS waits there for messages.
        "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.1",
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "0.2",
        "PROVIDER_OVERRIDE_DYNAMODB": "moto",
        "GATEWAY_LISTEN": f"{ports.HOST}:{port}",
        "LOCALSTACK_HOST": f"{ports.HOST}:{port}",
        "SQS_ENDPOINT_STRATEGY": "path",
        "OVERRIDE_IN_DOCKER": "0",
        "FILESYSTEM_ROOT": str(folder / "files"),
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }


def wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    """Return when LocalStack answers."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{endpoint}/_localstack/health", trust_env=False, timeout=2).raise_for_status()
        except httpx.HTTPError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise AssertionError(f"LocalStack did not start:\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End LocalStack at once, since nobody needs what it would save; its functions end with it."""
    family = processes(folder)
    process.kill()
    process.communicate()
    _, left = psutil.wait_procs(family, timeout=STOPS_WITHIN_SECONDS)
    for each in left:
        each.kill()
    assert left == [], "processes of LocalStack were left behind"


def processes(folder: Path) -> list[psutil.Process]:
    """LocalStack and its functions: all that work in the folder."""
    return [each for each in psutil.process_iter(["cwd"]) if Path(each.info["cwd"] or "/").is_relative_to(folder)]
