"""What a benchmark found: figures, and the bounds they are held against."""

import json
import operator
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
TARGET = re.compile(r"(<=|>=|==) ?(-?\d+(?:\.\d+)?)")
DIGITS = 4  # of a figure behind the point; nothing here is measured more finely


@dataclass(frozen=True)
class Target:
    """A bound that a figure is held against."""

    comparison: str
    bound: float

    def is_met(self, figure: float) -> bool:
        return bool(COMPARISONS[self.comparison](figure, self.bound))


def read_target(text: str) -> Target:
    """`<=9`, `>=120`, `==0`.

    Raises:
        ValueError: it is none of these.
    """
    match = TARGET.fullmatch(text)
    if match is None:
        raise ValueError(f"not a target: {text!r}")
    return Target(match[1], float(match[2]))


@dataclass(frozen=True)
class Result:
    """Figures by key, and targets for some of them."""

    name: str
    figures: Mapping[str, float]
    targets: Mapping[str, str]

    def __post_init__(self) -> None:
        if unmeasured := self.targets.keys() - self.figures.keys():
            raise ValueError(f"{self.name} has targets for what it did not measure: {sorted(unmeasured)}")

    def verdict(self, key: str) -> bool | None:
        """Whether the figure meets its target; None when it has none."""
        text = self.targets.get(key)
        return read_target(text).is_met(self.figures[key]) if text is not None else None

    @property
    def missed(self) -> list[str]:
        return [key for key in self.targets if not self.verdict(key)]

    def to_json(self) -> str:
        """One line; the same keys and order every time."""
        figures = {key: round(figure, DIGITS) for key, figure in self.figures.items()}
        return json.dumps({"name": self.name, "figures": figures, "targets": dict(self.targets)})


def read_result(line: str) -> Result:
    """The way back from `to_json`. Raises ValueError or KeyError when the line holds no result."""
    read = json.loads(line)
    return Result(read["name"], read["figures"], read["targets"])


def measured_apart(name: str) -> Result:
    """What a benchmark finds in a process of its own, so that no other has warmed it up or disturbs it.

    Raises:
        subprocess.CalledProcessError: it could not be measured; why is on stderr.
    """
    command = [sys.executable, "-m", "bench", name, "--json"]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return read_result(done.stdout.splitlines()[-1])
