from pathlib import Path

import pytest

from cli import inputs
from cli.errors import CliError
from tests.fake_api import FakeApi
from tests.unit.cli.conftest import Spark


def test_one_closing_line_break_is_no_part_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("text\n\n")
    assert inputs.read_text(str(tmp_path / "input")) == "text\n"


def test_no_input_is_an_empty_one() -> None:
    assert inputs.choose_input(None, None) == ""


def test_what_is_no_text_is_refused(api: FakeApi, spark: Spark, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"\xff\xfe")
    with pytest.raises(CliError, match="cannot be read"):
        inputs.read_text(str(tmp_path / "input"))
    api.add_workflow("Echo")
    assert spark("workflow", "run", "Echo", "-", input=b"\xff\xfe").exit_code == 2


@pytest.mark.parametrize(
    ("tweaks", "parsed"),
    [
        ([], {}),
        (["A.b=text"], {"A": {"b": "text"}}),
        (["A.b=1.5", "A.c=true", "B.d=null"], {"A": {"b": 1.5, "c": True}, "B": {"d": None}}),
        (["Model-x.y.z=a=b"], {"Model-x.y": {"z": "a=b"}}),
        (["A.b="], {"A": {"b": ""}}),
    ],
)
def test_tweaks_are_json_where_they_can_be(tweaks: list[str], parsed: object) -> None:
    assert inputs.parse_tweaks(tweaks) == parsed


@pytest.mark.parametrize("tweak", ["A", "A=1", "A.=1", ".b=1"])
def test_other_tweaks_are_usage_errors(tweak: str) -> None:
    with pytest.raises(CliError, match="is no tweak"):
        inputs.parse_tweaks([tweak])
