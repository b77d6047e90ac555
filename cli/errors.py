"""The one error of the command line, and what each exit code means."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    ok = 0
    failed = 1
    """It was done, and failed: the run, a run of the batch, the check of a source."""
    usage = 2
    """The command line makes no sense as it stands."""
    cancelled = 3
    """The run was cancelled or skipped."""
    refused = 4
    """The API refused or could not be reached."""
    interrupted = 130
    """Ctrl-C. A run that was being watched goes on."""


EXIT_STATUS = (
    "Exit status: 0 completed, 1 failed, 2 wrong usage, 3 cancelled or skipped, 4 refused by the API or no answer, "
    "130 interrupted (the run goes on)."
)


@dataclass(frozen=True)
class FieldError:
    """What the API finds wrong with one field of the request; `pointer` is a JSON Pointer into its body."""

    pointer: str
    detail: str


class CliError(Exception):
    """Ends the command with `exit_code`. `hint` says what to do about it."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        exit_code: ExitCode = ExitCode.refused,
        fields: Sequence[FieldError] = (),
        problem: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code
        self.fields = tuple(fields)
        self.problem = problem

    @property
    def document(self) -> dict[str, Any]:
        """For `--json`: the API's own problem document where there is one."""
        return self.problem or {"title": str(self), "detail": self.hint or None}


def usage(message: str, hint: str = "") -> CliError:
    """The command line makes no sense: `message` says why."""
    return CliError(message, hint=hint, exit_code=ExitCode.usage)


@contextmanager
def speaking_of(options: Mapping[str, str]) -> Iterator[None]:
    """The API's complaints about fields become complaints about the `options` that set them."""
    try:
        yield
    except CliError as error:
        fields = [FieldError(_option(field.pointer, options), field.detail) for field in error.fields]
        raise CliError(
            str(error), hint=error.hint, exit_code=error.exit_code, fields=fields, problem=error.problem
        ) from error


def _option(pointer: str, options: Mapping[str, str]) -> str:
    """The option of the first field on the way to `pointer` that has one."""
    return next((options[name] for name in pointer.split("/") if name in options), pointer)
