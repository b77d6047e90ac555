from pathlib import Path

import pytest

from cli.local.layout import PROJECT, Layout, layout, python_minor


def test_by_default_a_stack_lives_in_the_checkout() -> None:
    assert layout().state_dir == PROJECT / ".local" / "stack"


def test_stacks_of_other_folders_share_the_requirements(tmp_path: Path) -> None:
    assert layout(tmp_path).requirements == layout().requirements


def test_wiping_spares_what_is_not_the_stacks_own(tmp_path: Path) -> None:
    here = Layout(tmp_path, tmp_path / "stack")
    here.prepare()
    (here.services / "sqs.json").write_text("{}")
    (here.state_dir / "thesis.txt").write_text("mine")
    here.wipe()
    assert [path.name for path in here.state_dir.iterdir()] == ["thesis.txt"]


def test_starting_empties_what_was_unpacked_and_keeps_the_state(tmp_path: Path) -> None:
    here = Layout(tmp_path, tmp_path / "stack")
    here.prepare()
    (here.temporary / "old").write_text("code")
    (here.services / "sqs.json").write_text("{}")
    here.prepare()
    assert not (here.temporary / "old").exists()
    assert (here.services / "sqs.json").exists()


@pytest.mark.parametrize("line", ["version_info = 3.12.4.final.0", "version = 3.12.4"])
def test_the_interpreters_minor_is_read_from_its_environment(tmp_path: Path, line: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\n{line}\n")
    assert python_minor(tmp_path / "bin" / "python") == "3.12"
