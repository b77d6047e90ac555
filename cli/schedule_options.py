"""What a user may say about a schedule, and what that is called in the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from cli import completion, ids, times
from cli.client import Json, given
from cli.inputs import parse_tweaks, said_input, value_of
from cli.session import Session
from cli.timing_options import Rule

HOW, FAILING = "What it runs", "When things go wrong"


class Overlap(StrEnum):
    allow = "allow"
    skip = "skip"
    queue_one = "queue_one"
    queue_all = "queue_all"
    cancel_previous = "cancel_previous"


class CatchUp(StrEnum):
    last = "last"
    all = "all"
    none = "none"


class Clearable(StrEnum):
    """What a schedule can do without."""

    start = "start"
    end = "end"
    exclude = "exclude"
    jitter = "jitter"
    max_runs = "max-runs"
    input = "input"
    session = "session"
    tweaks = "tweaks"
    timeout = "timeout"
    retry = "retry"
    max_lateness = "max-lateness"
    pause_after_failures = "pause-after-failures"


CLEARED: dict[Clearable, Json] = {
    Clearable.start: {"start_at": None},
    Clearable.end: {"end_at": None},
    Clearable.exclude: {"exclude": []},
    Clearable.jitter: {"jitter_seconds": 0},
    Clearable.max_runs: {"max_runs": None},
    Clearable.input: {"input": ""},
    Clearable.session: {"session_id": None},
    Clearable.tweaks: {"tweaks": None},
    Clearable.timeout: {"timeout_seconds": None},
    Clearable.retry: {"retry": None},
    Clearable.max_lateness: {"max_lateness_seconds": None},
    Clearable.pause_after_failures: {"pause_after_failures": None},
}
OPTIONS = {
    "workflow_id": "--workflow",
    "name": "NAME",
    "timezone": "--tz",
    "start_at": "--start",
    "end_at": "--end",
    "exclude": "--exclude",
    "jitter_seconds": "--jitter",
    "max_runs": "--max-runs",
    "input": "--input",
    "session_id": "--session",
    "tweaks": "--tweak",
    "timeout_seconds": "--timeout",
    "overlap": "--overlap",
    "catch_up": "--catch-up",
    "max_lateness_seconds": "--max-lateness",
    "pause_after_failures": "--pause-after-failures",
    "max_attempts": "--max-attempts",
    "flow_failed": "--retry-failures",
}
"""Field of a schedule → the option that sets it."""

ScheduleArgument = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="Name or id.", autocompletion=completion.names("schedules"))
]
PerhapsScheduleArgument = Annotated[
    str | None, typer.Argument(metavar="SCHEDULE", help="Name or id.", autocompletion=completion.names("schedules"))
]
ClearOption = Annotated[
    list[Clearable] | None,
    typer.Option("--clear", metavar="WHAT", help=f"Take it away: {', '.join(Clearable)}; repeat for more."),
]
OverlapOption = Annotated[
    Overlap | None,
    typer.Option(
        "--overlap",
        metavar="POLICY",
        help="When the run before is not over: allow, skip, queue_one, queue_all or cancel_previous.",
        rich_help_panel=FAILING,
    ),
]
InputOption = Annotated[
    str | None, typer.Option("--input", help="What the flow gets; - reads standard input.", rich_help_panel=HOW)
]
InputFileOption = Annotated[
    str | None,
    typer.Option("--input-file", "-f", metavar="FILE", help="The input; - is stdin.", rich_help_panel=HOW),
]
SessionOption = Annotated[
    str | None, typer.Option("--session", help="LangFlow session, such as one chat.", rich_help_panel=HOW)
]
TweakOption = Annotated[
    list[str] | None, typer.Option(metavar="ID.FIELD=X", help="Set a field of a component.", rich_help_panel=HOW)
]


@dataclass(frozen=True)
class Conduct:
    """What it runs, and what happens when that goes wrong."""

    input: InputOption = None
    input_file: InputFileOption = None
    session_id: SessionOption = None
    tweak: TweakOption = None
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="LENGTH", help="Longest run: 90s, 10m.", rich_help_panel=HOW),
    ] = None
    overlap: OverlapOption = None
    catch_up: Annotated[
        CatchUp | None,
        typer.Option(
            "--catch-up",
            metavar="WHICH",
            help="What fires of what was missed: last, all or none.",
            rich_help_panel=FAILING,
        ),
    ] = None
    max_lateness: Annotated[
        str | None,
        typer.Option(
            "--max-lateness", metavar="LENGTH", help="What is later never fires; 5m or more.", rich_help_panel=FAILING
        ),
    ] = None
    pause_after_failures: Annotated[
        int | None,
        typer.Option(
            "--pause-after-failures",
            min=1,
            metavar="N",
            help="Pause after so many failed runs in a row.",
            rich_help_panel=FAILING,
        ),
    ] = None
    max_attempts: Annotated[
        int | None,
        typer.Option(
            "--max-attempts", metavar="N", help="Attempts in all, the first included.", rich_help_panel=FAILING
        ),
    ] = None
    retry_failures: Annotated[
        bool | None,
        typer.Option(
            "--retry-failures/--no-retry-failures", help="Also when the flow itself failed?", rich_help_panel=FAILING
        ),
    ] = None

    @property
    def fields(self) -> Json:
        """What was said, as the API calls it, but for `retry`."""
        return given(
            input=said_input(self.input, self.input_file),
            session_id=self.session_id,
            tweaks=parse_tweaks(self.tweak or []) or None,
            timeout_seconds=value_of("--timeout", self.timeout, times.whole_seconds),
            overlap=self.overlap,
            catch_up=self.catch_up,
            max_lateness_seconds=value_of("--max-lateness", self.max_lateness, times.whole_seconds),
            pause_after_failures=self.pause_after_failures,
        )

    @property
    def retry(self) -> Json:
        """What was said about retries: a part of a policy."""
        return given(max_attempts=self.max_attempts, flow_failed=self.retry_failures)


def cleared(what: Iterable[Clearable]) -> Json:
    """The fields that stand for nothing."""
    return {field: nothing for each in what for field, nothing in CLEARED[each].items()}


def options(rule: Rule | None, **others: str) -> dict[str, str]:
    """Field → option; the expression was said by `rule`."""
    option = rule.option if rule else "the expression"
    return {**OPTIONS, "expression": option, "kind": option, **others}


def path(session: Session, schedule: str) -> str:
    """Where the API has what was named."""
    return f"/schedules/{ids.resolve(session.api, 'schedules', schedule)}"
