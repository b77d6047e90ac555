"""Bundles of functions, built by build.mk as `sam build` does, for what measures or tests them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cli.local import template

PROJECT = Path(__file__).parents[1]


def functions() -> dict[str, str]:
    """Logical id → folder."""
    return template.functions(template.load(PROJECT))


def build(logical_id: str, bundle: Path, *variables: str) -> Path:
    """Build the function into the folder `bundle`. Without `variables`, of build.mk, as it is deployed.

    Raises:
        CalledProcessError: it could not be built.
        AssertionError: there is no Python of its minor here, so that it is larger and slower than what is deployed.
    """
    _make(f"build-{logical_id}", f"ARTIFACTS_DIR={bundle}", *variables, stdout=sys.stderr.fileno())
    assert any(bundle.glob("shared/__pycache__/*.pyc")), "no Python of the function's minor here: it has no bytecode"
    return bundle


def runtime_python(*variables: str) -> Path | None:
    """A Python of the minor that bundles are built for, if there is one on this machine."""
    found = _make("runtime-python", *variables, stdout=subprocess.PIPE).strip()
    return Path(found) if found else None


def _make(*arguments: str, stdout: int) -> str:
    make = shutil.which("make")
    assert make, "make is not installed"
    # The interpreter that runs this is the first to be found, if bytecode of its minor is wanted.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [make, "-s", "-f", "build.mk", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, "PATH": path}, stdout=stdout, text=True, check=True)
    return done.stdout or ""
