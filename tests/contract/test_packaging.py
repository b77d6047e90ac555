"""The locks against pyproject.toml, and each function against its lock."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli.local.layout import PROJECT
from cli.local.template import functions, load

GROUPS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
LOCKS = {path.stem: path.read_text() for path in sorted((PROJECT / "requirements").glob("*.txt"))}
FUNCTIONS = sorted(functions(load(PROJECT)).values())
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<rest>(?:.*\\\n)+.*)", re.MULTILINE)
KEPT = re.findall(r"^SERVICES := (.*)$", (PROJECT / "build.mk").read_text(), re.MULTILINE)[0].split()
# Imports a handler as in its bundle: no distribution that its lock does not name, no service model that is cut away.
IMPORT_AS_BUNDLED = """
import importlib.metadata, os, sys
locked, kept, module = set(sys.argv[1].split()), set(sys.argv[2].split()), sys.argv[3]
canonical = lambda name: name.lower().replace("_", "-").replace(".", "-")
owners = importlib.metadata.packages_distributions()
hidden = {name for name, found in owners.items() if not {canonical(each) for each in found} & {*locked, "spark"}}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r} in the lock", name=name)
sys.meta_path.insert(0, Hide())
sys.path.insert(0, os.getcwd())
import botocore.loaders
load = botocore.loaders.Loader.load_service_model
def load_kept(self, service, *rest, **settings):
    assert service in kept, f"the bundle has no model of {service}: add it to SERVICES in build.mk"
    return load(self, service, *rest, **settings)
botocore.loaders.Loader.load_service_model = load_kept
importlib.import_module(module)
"""
# What an executor does before and with its first trace.
BEFORE_A_TRACE = """
from shared import wiring
wiring.client("secretsmanager")
wiring.executor()
ours = ("shared.otlp", "shared.domain.tracing", "shared.services.exporting")
found = {name for name in sys.modules if name.startswith(("opentelemetry", "google", *ours))}
assert not found, found
wiring.exporting()
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "google"))]
if not wiring.settings().otlp_endpoint:
    sys.exit()
wiring.receiver()
assert "opentelemetry.proto.trace.v1.trace_pb2" in sys.modules
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
"""


def direct(group: str) -> Iterator[Requirement]:
    """The requirements a group names itself or by another group."""
    for entry in GROUPS[group]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from direct(entry["include-group"])


def pins(group: str) -> dict[str, str]:
    return {canonicalize_name(match["name"]): match["version"] for match in PINNED.finditer(LOCKS[group])}


@pytest.mark.parametrize("group", sorted(GROUPS.keys() & LOCKS))
def test_a_lock_pins_all_that_its_group_asks_for(group: str) -> None:
    pinned = pins(group)
    for wanted in direct(group):
        name = canonicalize_name(wanted.name)
        assert name in pinned, f"requirements/{group}.txt lacks {name}: run `make lock`"
        assert wanted.specifier.contains(pinned[name], prereleases=True), f"{group}: {name} {pinned[name]}"


@pytest.mark.parametrize("group", LOCKS)
def test_every_pin_has_a_hash(group: str) -> None:
    lines = [line for line in LOCKS[group].splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len(lines) == len(list(PINNED.finditer(LOCKS[group])))
    assert all("--hash=sha256:" in match["rest"] for match in PINNED.finditer(LOCKS[group]))


@pytest.mark.parametrize("group", LOCKS)
def test_no_lock_names_a_registry(group: str) -> None:
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|@ (git|file)", LOCKS[group])


@pytest.mark.parametrize("group", FUNCTIONS)
def test_every_function_has_a_lock_of_its_own(group: str) -> None:
    assert group in LOCKS


@pytest.mark.parametrize("group", [name for name in FUNCTIONS if name != "api"])
def test_only_the_api_carries_a_web_framework(group: str) -> None:
    assert not pins(group).keys() & {"fastapi", "starlette", "mangum"}


@pytest.mark.parametrize("group", [name for name in FUNCTIONS if name != "executor"])
def test_only_the_executor_carries_the_words_of_traces(group: str) -> None:
    assert not pins(group).keys() & {"opentelemetry-proto", "protobuf"}


@pytest.mark.parametrize("endpoint", ["", "https://receiver.test"])
def test_traces_cost_nothing_before_there_is_one_to_tell(endpoint: str) -> None:
    """Neither where they are off, nor until a run is over: their messages are not among the imports of a cold start."""
    code = IMPORT_AS_BUNDLED + BEFORE_A_TRACE
    command = [sys.executable, "-c", code, " ".join(pins("executor")), " ".join(KEPT), "functions.executor.handler"]
    environment = {"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1", "SPARK_OTLP_ENDPOINT": endpoint}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("tracing", ["true", "false"])
@pytest.mark.parametrize("group", FUNCTIONS)
def test_a_function_needs_nothing_but_its_bundle(group: str, tracing: str) -> None:
    module = f"functions.{group}.handler"
    command = [sys.executable, "-c", IMPORT_AS_BUNDLED, " ".join(pins(group)), " ".join(KEPT), module]
    environment = {"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1", "SPARK_TRACING": tracing}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_bundles_keep_the_service_models_of_every_client() -> None:
    sources = "\n".join(path.read_text() for path in (PROJECT / "shared").rglob("*.py"))
    clients = set(re.findall(r'client\("([a-z0-9-]+)"', sources))
    assert clients, "the clients are made somewhere else now: look there"
    assert clients <= set(KEPT)
