"""The bundles as they are deployed, each used by a Python that has nothing else; and how large they are.

They are built for the runtime of template.yaml where this machine has its Python, else for the Python of the tests.
"""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from bench import bundles
from bench.bundle_size import sizes
from cli.local.layout import PROJECT
from cli.local.template import load
from infra import pack
from tests.contract.test_packaging import pins

FUNCTIONS = {name: logical_id for logical_id, name in bundles.functions().items()}
USES = Path(__file__).with_name("bundled.py")
# What a function has to itself of a package that several distributions share.
SHARED_PACKAGES = {"opentelemetry-proto": "opentelemetry.proto"}
# MB without boto3. The API is beyond the 15 of all others: 11.6 are OpenSSL in cryptography, 5.0 pydantic's core.
LARGEST = {"api": 31, "executor": 15, "tick": 15, "dead_letters": 15}
LARGEST_ZIPPED = 15
WITHIN_SECONDS = 60
Built = Callable[[str], Path]
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_LAMBDA_FUNCTION_NAME": "bundle",
    "LAMBDA_TASK_ROOT": "/var/task",
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "POWERTOOLS_METRICS_NAMESPACE": "Spark",
    "POWERTOOLS_SERVICE_NAME": "bundle",
    "SPARK_TABLE": "table",
    "SPARK_RUN_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/runs",
    "SPARK_PAYLOAD_BUCKET": "bucket",
    "SPARK_KMS_KEY_ID": "key",
    "SPARK_BOOTSTRAP_SECRET_ID": "secret",
    "SPARK_OTLP_SECRET_ID": "secret",
    "SPARK_OUTBOUND_ALLOW": "127.0.0.0/8",
    "SPARK_MAIL_FROM": "spark@example.com",
    "SPARK_SMS": "true",
    "SPARK_TRACING": "true",
}


@pytest.fixture(scope="module")
def target() -> tuple[Path, list[str]]:
    """A Python on this machine, and the variables of build.mk that build for it."""
    architecture = load(PROJECT)["Parameters"]["Architecture"]["Default"]
    is_lambdas = (platform.system(), platform.machine()) == ("Linux", architecture)
    here = [] if is_lambdas else ["PLATFORM="]
    python = bundles.runtime_python()
    if python is not None:
        return python, here
    return Path(sys.executable), ["PLATFORM=", f"RUNTIME=python{sys.version_info.major}.{sys.version_info.minor}"]


@pytest.fixture(scope="module")
def built(target: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A function's bundle, built when it is first asked for: some seconds each, twenty megabytes."""
    folder = tmp_path_factory.mktemp("bundles")
    yield cache(lambda name: bundles.build(FUNCTIONS[name], folder / name, *target[1]))
    shutil.rmtree(folder)


def absent(group: str) -> set[str]:
    """The packages of distributions that are here, and not in the lock."""
    locked = pins(group).keys()
    owners = importlib.metadata.packages_distributions()
    names = {name for name, found in owners.items() if not {canonicalize_name(each) for each in found} & locked}
    return names | {name for owner, name in SHARED_PACKAGES.items() if owner not in locked}


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Without site-packages, without a user's environment: as bare as Lambda."""
    command = [str(python), "-I", "-S", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=WITHIN_SECONDS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_bundle_has_all_that_its_function_uses(name: str, built: Built, target: tuple[Path, list[str]]) -> None:
    done = run(target[0], str(USES), str(built(name)), name, str(PROJECT / "events"), *sorted(absent(name)))
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_bundle_is_small(name: str, built: Built) -> None:
    found = sizes(name, built(name))
    assert found[f"{name}_mb_without_boto3"] < LARGEST[name]
    assert found[f"{name}_zipped_mb"] < LARGEST_ZIPPED


def test_our_code_keeps_its_sources_and_libraries_their_bytecode_alone(built: Built) -> None:
    bundle = built("api")
    assert (bundle / "shared" / "wiring.py").read_bytes() == (PROJECT / "shared" / "wiring.py").read_bytes()
    assert list((bundle / "shared" / "__pycache__").glob("wiring.*.pyc"))
    assert (bundle / "httpx" / "__init__.pyc").is_file()
    sources = {path.relative_to(bundle).parts[0] for path in bundle.rglob("*.py")}
    assert sources == {"anyio", "functions", "shared"}


def test_a_library_that_reads_its_sources_finds_them(built: Built, target: tuple[Path, list[str]]) -> None:
    """Without them anyio would import all of itself with every cold start."""
    code = f"import sys; sys.path.insert(0, {str(built('api'))!r}); import anyio; print(*sys.modules)"
    loaded = run(target[0], "-c", code).stdout.split()
    assert "anyio" in loaded
    assert "anyio._core._subprocesses" not in loaded


def test_the_same_sources_give_the_same_bytes(built: Built, target: tuple[Path, list[str]], tmp_path: Path) -> None:
    again = bundles.build(FUNCTIONS["tick"], tmp_path / "elsewhere" / "tick", *target[1])
    assert contents(again) == contents(built("tick"))


def contents(bundle: Path) -> dict[Path, bytes]:
    return {path.relative_to(bundle): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def test_packing_leaves_what_a_cache_links_to(tmp_path: Path) -> None:
    cached, bundle = tmp_path / "cached", tmp_path / "bundle"
    (bundle / "a-1.dist-info").mkdir(parents=True)
    linked = bundle / "a-1.dist-info" / "METADATA"
    cached.write_text("Name: a\n\nREADME\n")
    linked.hardlink_to(cached)
    pack.main(bundle)
    assert linked.read_text() == "Name: a\n"
    assert cached.read_text() == "Name: a\n\nREADME\n"


def test_what_is_no_library_of_64_bits_keeps_all_its_bytes() -> None:
    for other in (b"", b"\x7fELF\x01\x01" + bytes(90), b"\xcf\xfa\xed\xfe" + bytes(90)):
        assert pack.without_symbols(other) == other


def test_a_source_that_cannot_be_compiled_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def")
    with pytest.raises(SystemExit, match=r"broken\.py cannot be compiled"):
        pack.main(tmp_path)
