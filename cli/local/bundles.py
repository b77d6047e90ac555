"""The functions as the local stack runs them: code in a small zip, requirements in a folder beside it.

The emulator unpacks the zip for every environment it starts, so the requirements (thirty megabytes) stay outside, on
the functions' PYTHONPATH: a cold start takes half a second and a change of code is live in one. They are installed as
for AWS, by `build.mk` from the same locks, only for the emulator's Python instead of Lambda's.
"""

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.local.layout import Layout, python_minor
from cli.local.troubles import BundleFailed, NotInstalled

INSTALLS_WITHIN_SECONDS = 300
DIGEST_CHARACTERS = 16
LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """One function's code, and the folder its requirements are in."""

    name: str
    archive: bytes
    requirements: Path

    @property
    def key(self) -> str:
        """A name for the archive that changes with its bytes."""
        return f"{self.name}-{hashlib.sha256(self.archive).hexdigest()[:DIGEST_CHARACTERS]}.zip"


def bundle(layout: Layout, name: str) -> Bundle:
    """The bundle of `functions/<name>`."""
    return Bundle(name, archive(layout.project, name), requirements(layout, name))


def archive(project: Path, name: str) -> bytes:
    """The code of a function; the same sources give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for path in sorted(sources(project, name)):
            target.writestr(zipfile.ZipInfo(path.relative_to(project).as_posix(), LONG_AGO), path.read_bytes())
    return buffer.getvalue()


def sources(project: Path, name: str) -> Iterator[Path]:
    """The files of a function."""
    yield project / "functions" / "__init__.py"
    for folder in (project / "functions" / name, project / "shared"):
        yield from (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def requirements(layout: Layout, name: str) -> Path:
    """The folder of a function's requirements, installed when its lock was never seen before."""
    folder = layout.requirements / requirements_digest(layout, name)
    if not folder.exists():
        _install(layout, name, folder)
    return folder


def requirements_digest(layout: Layout, name: str) -> str:
    """Changes with the lock, the recipe and the interpreter; equal locks share a folder."""
    digest = hashlib.sha256(python_minor(layout.emulator_python).encode())
    for path in (layout.project / "requirements" / f"{name}.txt", layout.project / "build.mk"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def _install(layout: Layout, name: str, folder: Path) -> None:
    draft = folder.with_suffix(f".{os.getpid()}")
    done = _run(layout, name, draft, UV_OFFLINE="1")  # `make setup` has left all we need in uv's cache, most likely
    if done.returncode:
        done = _run(layout, name, draft)
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise BundleFailed(f"requirements/{name}.txt could not be installed:\n{done.stdout}{done.stderr}")
    try:
        draft.rename(folder)
    except OSError:  # another stack was faster
        shutil.rmtree(draft, ignore_errors=True)


def _run(layout: Layout, name: str, draft: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    runtime = f"RUNTIME=python{python_minor(layout.emulator_python)}"
    here = [f"ARTIFACTS_DIR={draft}", runtime, "PLATFORM=", "LINK_MODE=hardlink"]
    return subprocess.run(  # noqa: S603 the command is ours
        [_make(), "-s", "-f", "build.mk", f"requirements-{name}", *here],
        cwd=layout.project,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=INSTALLS_WITHIN_SECONDS,
        check=False,
    )


def _make() -> str:
    make = shutil.which("make")
    if make is None:
        raise NotInstalled("`make` is not installed.", "It installs the requirements of functions, by build.mk.")
    return make
