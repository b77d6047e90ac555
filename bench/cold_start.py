"""What a cold start costs: CPU of importing each function's handler from its built bundle.

Level: child processes on this machine, never AWS. The bundles are built as `sam build` does, for the Python that runs
this, with bytecode. CPU (user + system) of the imports alone, minimum of nine rounds in which all cases take turns, so
that a noisy machine harms all alike. The milliseconds compare with each other only; the ratio to importing the bare
libraries from the same bundle says what we add.

Two more ratios keep the first ones honest. `api_runs` and `api_all` also import the routers that the API loads with the
first request for them. `_in_use`: the libraries with one model made, since `import pydantic` alone loads next to
nothing, and the first model all the rest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import bundles
from bench.result import Result

ROUNDS = 9
# What any function of this kind has to import, with Spark or without.
LIBRARIES = {
    "api": ("boto3", "fastapi", "mangum", "pydantic"),
    "executor": ("boto3", "httpx", "pydantic"),
    "tick": ("boto3", "httpx", "pydantic"),
    "dead_letters": ("boto3", "httpx", "pydantic"),
}
IN_USE = "class _(pydantic.BaseModel): id: str"
WITHOUT_FASTAPI = ("executor", "tick", "dead_letters")
# The environment that Lambda and template.yaml give. Nothing is called, so the names need not exist.
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "LANG": "en_US.UTF-8",
    "SPARK_STAGE": "bench",
    "SPARK_TABLE": "table",
    "SPARK_RUN_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/runs",
    "SPARK_PAYLOAD_BUCKET": "bucket",
    "SPARK_KMS_KEY_ID": "key",
    "SPARK_BOOTSTRAP_SECRET_ID": "secret",
    "SPARK_TRACING": "false",
    "POWERTOOLS_METRICS_NAMESPACE": "Spark",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_TRACE_DISABLED": "true",
}
CHILD = """
import sys, time
sys.path.insert(0, {bundle!r})
started = time.process_time()
import {modules}
{then}
spent = time.process_time() - started
import json
print(json.dumps({{"seconds": spent, "modules": len(sys.modules), "fastapi": "fastapi" in sys.modules}}))
"""


@dataclass(frozen=True)
class Import:
    """What one child process imported and what it cost."""

    seconds: float
    modules: int
    fastapi: bool


@dataclass(frozen=True)
class Case:
    """Modules to import from a bundle, and a statement after that."""

    bundle: Path
    modules: tuple[str, ...]
    then: str = ""

    def run(self) -> Import:
        code = CHILD.format(bundle=str(self.bundle), modules=", ".join(self.modules), then=self.then)
        # -I -S: no site-packages, no user's environment; as bare as Lambda.
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, check=True
        )
        return Import(**json.loads(done.stdout))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds; the minimum of them counts")
    parser.add_argument("--bundles", type=Path, help="keep the bundles here, and use those that are there already")


def measure(options: argparse.Namespace) -> Result:
    with _folder(options.bundles) as folder:
        built = {function: _build(logical_id, folder) for logical_id, function in bundles.functions().items()}
        best = _interleaved(_cases(built), options.rounds)
    figures: dict[str, float] = {}
    for name in built:
        figures |= _figures(name, best)
    for loaded in ("api_runs", "api_all"):
        figures[f"{loaded}_ratio"] = best[loaded].seconds / best["api_libraries"].seconds
    figures |= {f"fastapi_in_{name}": best[name].fastapi for name in WITHOUT_FASTAPI}
    absent = {f"fastapi_in_{name}": "==0" for name in WITHOUT_FASTAPI}
    return Result("cold_start", figures, {"api_ratio": "<=1.25", "executor_ratio": "<=1.25", **absent})


def _cases(built: dict[str, Path]) -> dict[str, Case]:
    """What is measured, by name."""
    cases: dict[str, Case] = {}
    for name, bundle in built.items():
        libraries = tuple(library for library in LIBRARIES[name] if (bundle / library).exists())
        cases[name] = Case(bundle, (f"functions.{name}.handler",))
        cases[f"{name}_libraries"] = Case(bundle, libraries)
        cases[f"{name}_in_use"] = Case(bundle, libraries, IN_USE)
    api = cases["api"]
    routers = sorted(path.stem for path in (api.bundle / "functions/api/routers").glob("[a-z]*.py"))
    cases["api_runs"] = Case(api.bundle, (*api.modules, "functions.api.routers.runs"))
    cases["api_all"] = Case(api.bundle, (*api.modules, *(f"functions.api.routers.{router}" for router in routers)))
    return cases


def _figures(name: str, best: dict[str, Import]) -> dict[str, float]:
    mine, libraries, in_use = best[name], best[f"{name}_libraries"], best[f"{name}_in_use"]
    return {
        f"{name}_ratio": mine.seconds / libraries.seconds,
        f"{name}_ratio_in_use": mine.seconds / in_use.seconds,
        f"{name}_ms": mine.seconds * 1000,
        f"{name}_libraries_ms": libraries.seconds * 1000,
        f"{name}_modules": mine.modules,
    }


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder:
        yield Path(folder)


def _build(logical_id: str, folder: Path) -> Path:
    """The function's bundle, built for the interpreter that runs this."""
    bundle = folder / logical_id
    if bundle.exists():
        return bundle
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return bundles.build(logical_id, bundle, f"RUNTIME={runtime}", "PLATFORM=")


def _interleaved(cases: dict[str, Case], rounds: int) -> dict[str, Import]:
    """The cheapest of `rounds` imports of each case."""
    measured = [(name, case.run()) for _ in range(rounds) for name, case in cases.items()]
    return {name: min((run for of, run in measured if of == name), key=lambda run: run.seconds) for name in cases}
