"""What goes into a command besides its words: text from files and standard input, tweaks, secrets."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import typer

from cli.errors import CliError, usage
from cli.session import Session

STDIN = "-"
VARIABLE = "env:"
T = TypeVar("T")


def value_of(option: str, text: str | None, read: Callable[[str], T]) -> T | None:
    """What `option` says, as `read` understands it; its complaints name the option. None when nothing was said."""
    if text is None:
        return None
    try:
        return read(text)
    except CliError as error:
        raise CliError(f"{option}: {error}", hint=error.hint, exit_code=error.exit_code) from error


def read_text(source: str) -> str:
    """The text in file `source`, or on standard input for `-`. One closing line break is dropped, as `$(…)` does."""
    try:
        text = sys.stdin.read() if source == STDIN else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"{source} cannot be read: {error}") from error
    return text.removesuffix("\n")


def choose_input(text: str | None, file: str | None) -> str:
    """The input of a run: `text`, or what `file` holds; `-` is standard input for either."""
    return said_input(text, file) or ""


def said_input(text: str | None, file: str | None) -> str | None:
    """The same; None when nothing was said."""
    if text is not None and file is not None:
        raise usage("Give the input either as text or as --input-file, not both.")
    if file is not None or text == STDIN:
        return read_text(file or STDIN)
    return text


def read_lines(source: str) -> list[str]:
    """One input per line; empty lines are no inputs."""
    lines = [line for line in read_text(source).splitlines() if line.strip()]
    if not lines:
        raise usage(f"{source} has no lines to run.")
    return lines


def parse_tweaks(tweaks: list[str]) -> dict[str, dict[str, Any]]:
    """`Component.field=value` each; a value that is JSON counts as such, anything else is text."""
    parsed: dict[str, dict[str, Any]] = {}
    for tweak in tweaks:
        place, equals, value = tweak.partition("=")
        component, dot, name = place.rpartition(".")
        if not (equals and dot and component and name):
            raise usage(f"{tweak!r} is no tweak.", "Write --tweak Component-id.field=value")
        parsed.setdefault(component, {})[name] = _json_or_text(value)
    return parsed


def read_secret(session: Session, given: str | None, question: str) -> str | None:
    """A key, by the way the user chose: `-` for standard input, `env:NAME`, or asked for on a terminal (None if empty).

    A literal works, too, with a warning: other users see command lines, and shells remember them.
    """
    if given is None:
        return _ask(question) if session.has_user else None
    if given == STDIN:
        return _ask(question) if session.has_user else sys.stdin.readline().strip() or None
    if given.startswith(VARIABLE):
        return _from_environment(given.removeprefix(VARIABLE))
    session.note("The key stands in your shell's history now. Next time: --api-key - or env:NAME.", "yellow")
    return given


def _ask(question: str) -> str | None:
    answer: str = typer.prompt(question, default="", show_default=False, hide_input=True, err=True)
    return answer.strip() or None


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise usage(f"The environment has no {name}.")
    return value


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
