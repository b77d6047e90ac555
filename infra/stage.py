"""A stage of samconfig.toml for `make deploy`: the name of its stack, or its parameters with a word for the release.

    python infra/stage.py staging stack
    python infra/stage.py staging parameters 1790000000

The release makes Lambda publish a version, without which a parameter that changes alone would reach no function. It has
to be said on the command line, and what is said there takes the place of all `parameter_overrides` of the stage, so
these go along: tried with SAM 1.170.0, and told in https://github.com/aws/aws-sam-cli/issues/2380, read 2026-11-21.
"""

import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EMULATORS = {"local"}
BUILT = ("Runtime", "Architecture")  # parameters that bundles are built for, too: build.mk
EMPTY = '""'  # SAM refuses `Name=`


def main(stage: str, wanted: str, *release: str) -> None:
    """Print what is `wanted` of `stage`, a line each. Exits with what is wrong."""
    settings = settings_of(stage)
    parameters = {**built(), **overrides(settings)}
    require_what_is_built(stage, parameters)
    lines = [settings["global"]["parameters"]["stack_name"]]
    if wanted == "parameters":
        warn(stage, parameters)
        parameters |= dict(zip(["Release"], release, strict=False))
        lines = [f"{name}={value or EMPTY}" for name, value in parameters.items()]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def settings_of(stage: str) -> dict[str, Any]:
    """The sections of `stage`. Exits where it has none, or is on no AWS."""
    known = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    known = {name: settings for name, settings in known.items() if name not in {"version", *EMULATORS}}
    if stage not in known:
        sys.exit(f"samconfig.toml has no stage {stage!r} to deploy to; it has {', '.join(known)}.")
    found: dict[str, Any] = known[stage]
    return found


def overrides(settings: dict[str, Any]) -> dict[str, str]:
    """The parameters that the stage sets. `sam deploy --guided` writes them into one string, quoted as in a shell."""
    found: str | list[str] = settings.get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    words = [word for each in ([found] if isinstance(found, str) else found) for word in shlex.split(each)]
    if wrong := [word for word in words if "=" not in word or word.split() != [word]]:
        sys.exit(f"samconfig.toml: {wrong[0]!r} is not Name=Value, or has a blank, which ends a parameter for SAM.")
    return dict(word.split("=", 1) for word in words)


def built() -> dict[str, str]:
    """What the bundles are built for: what the environment says, else the template's defaults, as build.mk has it."""
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    default = {name: re.search(rf"^  {name}:\n(?:    .*\n)*    Default: (\S+)", template, re.M) for name in BUILT}
    return {name: os.environ.get(name.upper()) or match[1] for name, match in default.items() if match}


def require_what_is_built(stage: str, parameters: dict[str, str]) -> None:
    """Exits where the stage is for another machine than the bundles: they would be deployed, and none would start."""
    for name, value in built().items():
        if parameters[name] != value:
            hint = f"make deploy STAGE={stage} {name.upper()}={parameters[name]}"
            sys.exit(f"samconfig.toml: {stage} has {name}={parameters[name]}, but what is built is for {value}. {hint}")


def warn(stage: str, parameters: dict[str, str]) -> None:
    """Say on stderr what is likely to be missed later."""
    if not parameters.get("AlarmEmail"):
        said = "Alarms reach nobody, unless somebody subscribed the topic AlarmTopicArn."
        sys.stderr.write(f"WARNING samconfig.toml: {stage} has no AlarmEmail. {said}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
