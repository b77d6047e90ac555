"""SECURITY.md against the tests it names; the wall before the functions; and an audit that never passes by silence."""

import re
import subprocess
from pathlib import Path

import pytest

from cli.local.layout import PROJECT
from cli.local.template import load

TEXT = (PROJECT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"tests/[\w/]+\.py(?:::\w+)?", TEXT)))
ROWS = [
    line for line in TEXT.partition("## Threats")[2].partition("## What is known")[0].splitlines() if line[:1] == "|"
]
STRIDE = [
    "Spoofing",
    "Tampering",
    "Repudiation",
    "Information disclosure",
    "Denial of service",
    "Elevation of privilege",
]


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert (PROJECT / path).is_file()
    assert not function or f"def {function}(" in (PROJECT / path).read_text()


@pytest.mark.parametrize("row", [row for row in ROWS if not re.match(r"\| (asset|---)", row)])
def test_every_threat_has_a_control_and_a_test(row: str) -> None:
    _, threat, control, tests = (cell.strip() for cell in row.strip("|").split("|"))
    assert threat
    assert control
    assert re.fullmatch(r"`tests/[\w/.:]+`(, `tests/[\w/.:]+`)*", tests), row


def test_all_of_stride_is_looked_at() -> None:
    assert re.findall(r"^### ([\w ]+):", TEXT, re.MULTILINE) == STRIDE


def test_the_gateway_throttles_what_reaches_the_function() -> None:
    template = load(PROJECT)
    routes = template["Resources"]["ApiStage"]["Properties"]["DefaultRouteSettings"]
    assert routes == {
        "ThrottlingRateLimit": {"Ref": "ThrottleRate"},
        "ThrottlingBurstLimit": {"Ref": "ThrottleBurst"},
    }
    assert all(template["Parameters"][name]["MinValue"] >= 1 for name in ("ThrottleRate", "ThrottleBurst"))


class TestAudit:
    """The recipe of `make audit`, with a stand-in for pip-audit that ends as we want."""

    def test_what_could_be_looked_up_and_is_clean_passes(self, tmp_path: Path) -> None:
        done = audit(tmp_path, "exit 0")
        assert done.returncode == 0
        assert "one.txt: nothing is known" in done.stdout

    def test_what_is_known_to_be_vulnerable_fails_and_is_shown(self, tmp_path: Path) -> None:
        done = audit(tmp_path, 'echo "Name Version ID\nuv 0.1 CVE-1" > "$report"; exit 1')
        assert done.returncode != 0
        assert "one.txt: VULNERABLE" in done.stdout
        assert "CVE-1" in done.stdout

    def test_what_could_not_be_looked_up_fails_and_says_so(self, tmp_path: Path) -> None:
        done = audit(tmp_path, 'echo "no route to host" >&2; exit 1')
        assert done.returncode != 0
        assert "one.txt: NOT AUDITED" in done.stdout
        assert "no route to host" in done.stdout
        assert "NOT ALL OF IT RAN" in done.stderr

    def test_one_lock_that_could_not_be_looked_up_is_not_made_good_by_another(self, tmp_path: Path) -> None:
        done = audit(tmp_path, 'case "$lock" in *one.txt) exit 1;; esac; exit 0')
        assert done.returncode != 0
        assert "two.txt: nothing is known" in done.stdout
        assert "NOT ALL OF IT RAN" in done.stderr

    def test_a_check_asks_nobody(self) -> None:
        recipe = subprocess.run(["make", "-n", *OLD, "check"], cwd=PROJECT, capture_output=True, text=True, check=True)
        assert "bandit" in recipe.stdout
        assert "pip-audit" not in recipe.stdout


# What make would bring up to date first: the environments, which these tests must not touch.
OLD = [f"--assume-old={name}/.ready" for name in (".venv", ".environments/sam", ".environments/audit")]


def audit(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    fake = folder / "pip-audit"
    fake.write_text(f'#!/bin/sh\nlock="$2" report="$4"\n{script}\n')  # after --requirement and --output
    fake.chmod(0o755)
    for name in ("one.txt", "two.txt"):
        (folder / name).write_text("")
    command = ["make", *OLD, "audit", f"AUDIT={fake}", f"AUDITED={folder / 'one.txt'} {folder / 'two.txt'}"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
