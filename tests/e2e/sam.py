"""SAM, called as anybody calls it who deploys: what it builds here, and where it deploys that."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cli.local import ports
from cli.local.clients import ACCESS_KEY, REGION
from cli.local.layout import PROJECT, python_minor

COMMAND = PROJECT / ".environments" / "sam" / "bin" / "sam"
# Between two questions whether the stack is made. SAM's own five seconds are for AWS, which counts its questions.
POLL_SECONDS = "0.5"


def build(folder: Path, python: Path) -> None:
    """Bundles and their template, in `folder`; for the interpreter that runs functions here, whatever `Runtime` is."""
    here = {"RUNTIME": f"python{python_minor(python)}", "PLATFORM": "", "LINK_MODE": "hardlink"}  # of build.mk
    sam("build", "--build-dir", str(folder), **here)


def deploy(template: Path, endpoint: str, parameters: Mapping[str, str]) -> None:
    """The stack of samconfig's `local` at `endpoint`, with these parameters and no others of samconfig's."""
    config = ["--config-file", str(PROJECT / "samconfig.toml"), "--config-env", "local"]
    values = [f'{name}="{value}"' for name, value in parameters.items()]  # without quotes SAM refuses an empty one
    what = ["--template-file", str(template), "--parameter-overrides", *values]
    sam("deploy", *config, *what, AWS_ENDPOINT_URL=endpoint)


def sam(*words: str, **more: str) -> str:
    """Run a command of SAM's, with `more` in its environment; what it wrote to stdout.

    Raises:
        AssertionError: it failed, with the end of what it said.
    """
    done = subprocess.run([str(COMMAND), *words], cwd=PROJECT, env=environment(**more), capture_output=True, text=True)
    assert done.returncode == 0, f"sam {words[0]}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    """Ours, with credentials that are nobody's."""
    settings = {
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": POLL_SECONDS,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": ports.HOST,
    }
    return {**os.environ, **settings, **more}
