"""`make deploy`: where it goes, what SAM is told, and what is refused or warned of before anything is built."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cli.local.template import load

ROOT = Path(__file__).parents[2]
MACHINE = {"RUNTIME", "ARCHITECTURE"}  # what build.mk reads from the environment

Json = dict[str, Any]


@pytest.fixture(scope="module")
def template() -> Json:
    return load(ROOT)


def stage(*words: str, project: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "infra" / "stage.py"), *words]
    inherited = {name: value for name, value in os.environ.items() if name not in MACHINE}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=inherited | environment)


def project_with(folder: Path, overrides: object) -> Path:
    """A project whose one stage, `mine`, has these `parameter_overrides`."""
    (folder / "infra").mkdir()
    shutil.copy(ROOT / "infra" / "stage.py", folder / "infra")
    shutil.copy(ROOT / "template.yaml", folder)
    (folder / "samconfig.toml").write_text(
        f'[mine.global.parameters]\nstack_name = "spark-mine"\n'
        f"[mine.deploy.parameters]\nparameter_overrides = {json.dumps(overrides)}\n"
    )
    return folder


def environment() -> dict[str, str]:
    """Of somebody who calls `make` by hand: not of the `make` that may have started these tests."""
    ours = {*MACHINE, "CI", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def dry_run(**variables: str) -> str:
    """What `make deploy` would run, its lines joined."""
    given = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "--dry-run", "--silent", "--assume-old", "build", "deploy", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment())
    return " ".join(done.stdout.replace("\\\n", " ").split())


def test_a_deployment_goes_to_its_stage_and_is_looked_at() -> None:
    said = dry_run(STAGE="staging")
    assert 'sam deploy --config-env "staging" --no-fail-on-empty-changeset --parameter-overrides' in said
    assert 'infra/stage.py "staging" parameters "$(date +%s)"' in said
    first, _, then = said.partition("sam deploy")
    assert "infra/stage.py" in first  # what is wrong ends it before anything is built
    assert then.index("cli.main doctor --stack") > then.index("--parameter-overrides")


def test_nobody_is_asked_where_nobody_is() -> None:
    assert "--no-confirm-changeset" in dry_run(STAGE="production", CI="true")
    assert "--no-confirm-changeset" not in dry_run(STAGE="production", CI="")


@pytest.mark.parametrize("name", ["staging", "production"])
def test_what_the_stage_sets_goes_along_with_the_release_and_the_machine(name: str, template: Json) -> None:
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text())
    wanted = samconfig[name]["deploy"]["parameters"]["parameter_overrides"]
    words = stage(name, "parameters", "1790000000").stdout.splitlines()
    machine = [f"{each}={template['Parameters'][each]['Default']}" for each in ("Runtime", "Architecture")]
    assert sorted(words) == sorted([*(each for each in wanted if each != 'Release=""'), *machine, "Release=1790000000"])
    assert {word.partition("=")[0] for word in words} <= set(template["Parameters"])
    assert re.fullmatch(template["Parameters"]["Release"]["AllowedPattern"], "1790000000")
    assert stage(name, "stack").stdout == f"spark-{name}\n"


@pytest.mark.parametrize("name", ["staging", "production"])
def test_sam_by_hand_does_not_keep_the_last_release(name: str) -> None:
    """SAM sends UsePreviousValue for what is not said. With the last release kept, new code would not be published."""
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert 'Release=""' in samconfig[name]["deploy"]["parameters"]["parameter_overrides"]


@pytest.mark.parametrize("name", ["", "local", "nowhere", "version"])
def test_there_is_no_deployment_to_nowhere(name: str) -> None:
    done = stage(name, "stack")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no stage {name!r}" in done.stderr


def test_what_a_guided_deployment_wrote_is_read_as_sam_reads_it(tmp_path: Path) -> None:
    """`sam deploy --guided` writes one string, its values quoted; an empty value stays quoted, else SAM refuses it."""
    project = project_with(tmp_path, 'Stage="mine" AlarmEmail="" LogRetentionDays="30" Release=""')
    words = stage("mine", "parameters", "7", project=project).stdout.splitlines()
    assert words[2:] == ["Stage=mine", 'AlarmEmail=""', "LogRetentionDays=30", "Release=7"]


@pytest.mark.parametrize("overrides", [["CorsOrigins=https://a, https://b"], ["Stage"], 'CorsOrigins="a, b"', "Stage"])
def test_what_the_command_line_would_take_apart_is_refused(tmp_path: Path, overrides: object) -> None:
    done = stage("mine", "parameters", "7", project=project_with(tmp_path, overrides))
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not Name=Value, or has a blank" in done.stderr


def test_bundles_for_another_machine_are_not_deployed(tmp_path: Path) -> None:
    project = project_with(tmp_path, ["Stage=mine", "Architecture=arm64"])
    done = stage("mine", "stack", project=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert "make deploy STAGE=mine ARCHITECTURE=arm64" in done.stderr
    assert stage("mine", "stack", project=project, ARCHITECTURE="arm64").stdout == "spark-mine\n"


def test_what_is_built_for_this_once_is_deployed_as_such(tmp_path: Path) -> None:
    """`make` hands ARCHITECTURE=… of its command line on, to the build and to this."""
    words = stage(
        "mine", "parameters", "7", project=project_with(tmp_path, ["Stage=mine"]), ARCHITECTURE="arm64"
    ).stdout
    assert "Architecture=arm64" in words.splitlines()


def test_the_machine_is_the_one_that_is_built_for(template: Json) -> None:
    """Two read the template's defaults with expressions of their own: build.mk, and infra/stage.py."""
    command = ["make", "--file", "build.mk", "--eval", "said: ; @echo $(RUNTIME) $(ARCHITECTURE)", "said"]
    built = subprocess.check_output(command, cwd=ROOT, text=True, env=environment()).split()
    words = stage("staging", "parameters", "7").stdout.splitlines()
    assert words[:2] == [f"Runtime={built[0]}", f"Architecture={built[1]}"]
    assert built == [template["Parameters"][each]["Default"] for each in ("Runtime", "Architecture")]


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [(["Stage=mine"], True), (['AlarmEmail=""'], True), (["AlarmEmail=oncall@example.com"], False)],
)
def test_a_stage_whose_alarms_reach_nobody_is_warned_of(tmp_path: Path, overrides: list[str], warned: bool) -> None:
    done = stage("mine", "parameters", "7", project=project_with(tmp_path, overrides))
    assert done.returncode == 0
    assert ("mine has no AlarmEmail" in done.stderr) == warned


def test_samconfig_says_where_the_mail_address_goes() -> None:
    assert (ROOT / "samconfig.toml").read_text().count('# "AlarmEmail=oncall@example.com",\n') == 2
