import io
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cli.local import bundles
from cli.local.layout import Layout
from cli.local.troubles import BundleFailed


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A project of two functions with the same requirements."""
    for name, text in {
        "functions/__init__.py": "",
        "functions/api/handler.py": "api",
        "functions/tick/handler.py": "tick",
        "shared/clock.py": "clock",
        "shared/page.html": "<html>",
        "shared/__pycache__/clock.pyc": "bytes",
        "requirements/api.txt": "one==1",
        "requirements/tick.txt": "one==1",
        "build.mk": "recipe",
        ".environments/emulator/pyvenv.cfg": "home = /usr\nversion_info = 3.11.7\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Layout(tmp_path, tmp_path / "stack")


def names(archive: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(archive)).namelist()


def test_a_function_gets_its_own_code_and_what_is_shared(layout: Layout) -> None:
    assert names(bundles.archive(layout.project, "api")) == [
        "functions/__init__.py",
        "functions/api/handler.py",
        "shared/clock.py",
        "shared/page.html",
    ]


def test_the_same_sources_give_the_same_bytes(layout: Layout) -> None:
    before = bundles.archive(layout.project, "api")
    (layout.project / "shared/clock.py").touch()
    assert bundles.archive(layout.project, "api") == before


def test_another_source_gives_another_key(layout: Layout) -> None:
    folder = layout.requirements
    before = bundles.Bundle("api", bundles.archive(layout.project, "api"), folder)
    (layout.project / "shared/clock.py").write_text("new")
    after = bundles.Bundle("api", bundles.archive(layout.project, "api"), folder)
    assert before.key != after.key
    assert after.key.startswith("api-")


def test_equal_locks_share_a_folder(layout: Layout) -> None:
    assert bundles.requirements_digest(layout, "api") == bundles.requirements_digest(layout, "tick")


@pytest.mark.parametrize("changed", ["requirements/api.txt", "build.mk", ".environments/emulator/pyvenv.cfg"])
def test_lock_recipe_and_interpreter_each_make_a_new_folder(layout: Layout, changed: str) -> None:
    before = bundles.requirements_digest(layout, "api")
    (layout.project / changed).write_text("version_info = 3.13.0\n")
    assert bundles.requirements_digest(layout, "api") != before


def test_requirements_are_installed_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def install(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        target = next(word for word in command if word.startswith("ARTIFACTS_DIR="))
        Path(target.removeprefix("ARTIFACTS_DIR=")).mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", install)
    folder = bundles.requirements(layout, "api")
    assert bundles.requirements(layout, "tick") == folder
    assert folder.is_dir()
    (command,) = commands
    assert {"requirements-api", "RUNTIME=python3.11", "PLATFORM="} <= set(command)


def test_what_is_not_in_the_cache_is_fetched(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(command: list[str], env: dict[str, str], **settings: Any) -> subprocess.CompletedProcess[str]:
        target = next(word for word in command if word.startswith("ARTIFACTS_DIR="))
        Path(target.removeprefix("ARTIFACTS_DIR=")).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, "UV_OFFLINE" in env, "", "")

    monkeypatch.setattr(subprocess, "run", install)
    assert bundles.requirements(layout, "api").is_dir()


def test_a_failed_installation_says_why_and_leaves_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 2, "", "hash mismatch for one==1")
    monkeypatch.setattr(subprocess, "run", lambda *args, **settings: failed)
    with pytest.raises(BundleFailed, match="hash mismatch"):
        bundles.requirements(layout, "api")
    assert not layout.requirements.exists()
