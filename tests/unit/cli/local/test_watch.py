from pathlib import Path

import pytest

from cli.local import watch


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("functions/api/handler.py", "shared/clock.py", "shared/__pycache__/clock.pyc", "docs/page.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "template.yaml").write_text("Resources: {}")
    return tmp_path


def test_sources_are_watched_and_nothing_else(project: Path) -> None:
    names = {str(path.relative_to(project)) for path in watch.picture(project)}
    assert names == {"functions/api/handler.py", "shared/clock.py", "template.yaml"}


def test_written_added_and_removed_files_are_changes(project: Path) -> None:
    before = watch.picture(project)
    (project / "shared/clock.py").write_text("written again")
    (project / "shared/new.py").write_text("")
    (project / "template.yaml").unlink()
    changed = watch.changed(before, watch.picture(project))
    assert [path.name for path in changed] == ["clock.py", "new.py", "template.yaml"]


def test_changes_are_told_once_when_the_writing_is_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = iter(["one", "one and two", None, None])

    def sleep(seconds: float) -> None:
        if text := next(writes):
            (project / "shared/clock.py").write_text(text)

    monkeypatch.setattr(watch.time, "sleep", sleep)
    assert next(watch.changes(project)) == [project / "shared/clock.py"]
    assert next(writes) is None, "it looked once more after the last write"
