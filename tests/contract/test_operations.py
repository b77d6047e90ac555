"""`docs/operations.md` against what it is about: every alarm and metric has its entry, and every entry its alarm or
metric; commands, log events and files that it names are there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import main
from cli.doctor import checks, facts
from cli.local.layout import PROJECT
from tests.contract.test_alarms import ALARMS, emitted

PAGE = (PROJECT / "docs" / "operations.md").read_text()
CODE = [*(PROJECT / "functions").rglob("*.py"), *(PROJECT / "shared").rglob("*.py")]
DOCTOR = [*(PROJECT / "cli" / "doctor").glob("*.py")]
UNITS = {"count": "Count", "count_of_version": "Count", "measure": "Seconds"}
COMMAND = re.compile(r"(?<![\w/-])spark ((?:[a-z][a-z-]+ ?)+)")


def section(title: str) -> str:
    """What stands below a heading of the second level."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def metrics() -> list[tuple[str, str, str]]:
    """Name, unit and services of each row."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([a-z_, ]+) \|", section("Metrics"), re.MULTILINE)
    assert len(rows) == section("Metrics").count("\n| `")
    return rows


def units() -> dict[str, str]:
    """Metric → its unit, by the function that counts it."""
    found = {}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNITS:
                names = re.findall(r"'([A-Z]\w+)'", ast.unparse(node.args[0]))
                found |= dict.fromkeys(names, UNITS[node.func.id])
    return found


def events() -> set[str]:
    """What the code logs: `noun.past_tense`."""
    logged = (
        re.findall(r"""\.(?:debug|info|warning|error|exception)\(\s*"([a-z_]+\.[a-z_]+)\"""", path.read_text())
        for path in CODE
    )
    return {event for found in logged for event in found}


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that does something itself."""
    below = getattr(command, "commands", {})
    if not below:
        yield words
    for name, each in below.items():
        yield from commands(each, (*words, name))


EMITTED, UNIT_OF = emitted(), units()
KNOWN = set(commands(typer.main.get_command(main.app)))


def test_every_alarm_has_an_entry_and_every_entry_is_of_an_alarm() -> None:
    entries = re.findall(r"^### (\w+)$", section("Alarms"), re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert set(entries) == set(ALARMS)


def test_an_entry_says_what_it_means_and_what_to_do() -> None:
    for entry in section("Alarms").split("\n### ")[1:]:
        name, _, text = entry.partition("\n")
        assert text.strip().startswith("*"), f"{name} does not begin with what it means"
        assert len(text.split()) > 6, f"{name} says too little"


def test_every_metric_has_a_row_and_every_row_is_of_a_metric() -> None:
    names = [name for name, _, _ in metrics()]
    assert len(names) == len(set(names))
    assert set(names) == set(EMITTED)


@pytest.mark.parametrize(("name", "unit", "services"), metrics(), ids=[row[0] for row in metrics()])
def test_a_metric_has_the_unit_and_may_come_from_the_services_that_its_row_says(
    name: str, unit: str, services: str
) -> None:
    assert UNIT_OF.get(name, "Count") == unit  # those named by a pattern, `Runs…`, are counts
    assert set(services.split(", ")) <= EMITTED[name]


def test_events_that_the_page_looks_for_are_logged() -> None:
    named = set(re.findall(r'[`"]([a-z_]+\.[a-z_]+)[`"]', PAGE)) - {"samconfig.toml", "template.yaml"}
    assert named
    assert not named - events()


@pytest.mark.parametrize("path", [Path("docs/operations.md"), *(each.relative_to(PROJECT) for each in DOCTOR)], ids=str)
def test_commands_that_are_recommended_exist(path: Path) -> None:
    for said in COMMAND.findall((PROJECT / path).read_text()):
        words = tuple(said.split())
        assert any(words[:count] in KNOWN for count in range(1, len(words) + 1)), f"there is no spark {said}"


def test_files_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`((?:infra|shared|tests|docs)/[\w./]+)`", PAGE)) | set(
        re.findall(r"\]\(([\w./]+)\)", PAGE)
    )
    assert named
    assert not [name for name in named if not ((PROJECT / name).exists() or (PROJECT / "docs" / name).exists())]


def test_what_the_page_says_of_the_tick_is_what_the_doctor_does() -> None:
    assert checks.TICK_LATE.total_seconds() == 180
    assert "nothing has been due for more than three minutes" in section("Is it well?")
    assert set(facts.Level) == {"ok", "warn", "fail", "skipped"}
