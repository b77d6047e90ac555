"""What a user may say about a schedule, and what that is called in the API."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from cli import completion, times
from cli.client import Json, given
from cli.errors import usage
from cli.inputs import parse_tweaks, said_input

WHEN, HOW, FAILING = "When it fires", "What it runs", "When things go wrong"
WITHOUT_ZONE = "UTC"
CRON_LIKE = re.compile(r"[\d*?,/-]+\s+[\d*?,/-]+(\s+\S+){0,4}|@\w+")
INTERVAL_LIKE = re.compile(r"(\d+[wdhms])+|P[\dT][\dWDHMST]*")  # bare digits may be the end of an id
INSTANT_LIKE = re.compile(r"\d{4}-\d\d-\d\d\S*(\s\d\S*)?")


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
class Rule:
    """One of --cron, --every, --once and --in."""

    option: str
    kind: str
    expression: str

    @property
    def fields(self) -> Json:
        return {"kind": self.kind, "expression": self.expression}


@dataclass(frozen=True)
class Timing:
    """When it fires. Times that are said without an offset are in the schedule's own time zone."""

    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="EXPR", help='Such as "0 9 * * 1-5", or @daily.', rich_help_panel=WHEN),
    ] = None
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="LENGTH", help="30m, 2h, 1h30m; from --start on.", rich_help_panel=WHEN),
    ] = None
    once: Annotated[
        str | None,
        typer.Option("--once", metavar="TIME", help="Such as 2030-12-24T09:00, in --tz.", rich_help_panel=WHEN),
    ] = None
    within: Annotated[
        str | None, typer.Option("--in", metavar="LENGTH", help="Once, after so long: 10m.", rich_help_panel=WHEN)
    ] = None
    tz: Annotated[
        str | None,
        typer.Option(
            "--tz",
            metavar="ZONE",
            help="Its time zone, such as America/Sao_Paulo; UTC unless said. Times without an offset are in it.",
            autocompletion=completion.zones,
            rich_help_panel=WHEN,
        ),
    ] = None
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="TIME", help="Not before: a date, a time, or `in 2h`.", rich_help_panel=WHEN),
    ] = None
    end: Annotated[
        str | None,
        typer.Option("--end", metavar="TIME", help="Not after; of a date the whole day counts.", rich_help_panel=WHEN),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME", help="Not on this date or at this time; repeat for more.", rich_help_panel=WHEN),
    ] = None
    jitter: Annotated[
        str | None,
        typer.Option("--jitter", metavar="LENGTH", help="Each up to so much later.", rich_help_panel=WHEN),
    ] = None
    max_runs: Annotated[
        int | None, typer.Option("--max-runs", min=1, metavar="N", help="It ends after so many.", rich_help_panel=WHEN)
    ] = None

    @property
    def rule(self) -> Rule | None:
        """When, in a word. Raises CliError when several were said."""
        said = [
            ("--cron", "cron", self.cron),
            ("--every", "interval", self.every and self.every.removeprefix("every ")),
            ("--once", "once", self.once),
            ("--in", "once", self.within and f"in {self.within.removeprefix('in ')}"),
        ]
        rules = [Rule(option, kind, text) for option, kind, text in said if text is not None]
        if len(rules) > 1:
            raise one_rule(f"{' and '.join(rule.option for rule in rules)} exclude each other.")
        return rules[0] if rules else None

    def fields(self, zone: str, now: datetime) -> Json:
        """What was said, as the API calls it. Times without an offset are in `zone`."""
        rule = self.rule
        return given(
            **(rule.fields if rule else {}),
            timezone=self.tz,
            start_at=self.start and times.moment_of(self.start, zone, now),
            end_at=self.end and times.moment_of(self.end, zone, now, ends=True),
            exclude=[exclusion(text, zone, now) for text in self.exclude] if self.exclude else None,
            jitter_seconds=seconds(self.jitter),
            max_runs=self.max_runs,
        )


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
            timeout_seconds=seconds(self.timeout),
            overlap=self.overlap,
            catch_up=self.catch_up,
            max_lateness_seconds=seconds(self.max_lateness),
            pause_after_failures=self.pause_after_failures,
        )

    @property
    def retry(self) -> Json:
        """What was said about retries: a part of a policy."""
        return given(max_attempts=self.max_attempts, flow_failed=self.retry_failures)


def one_rule(message: str) -> Exception:
    hint = 'Say one of --cron "0 9 * * 1-5", --every 30m, --once 2030-12-24T09:00 and --in 10m.'
    return usage(message, hint)


def cleared(what: Iterable[Clearable]) -> Json:
    """The fields that stand for nothing."""
    return {field: nothing for each in what for field, nothing in CLEARED[each].items()}


def options(rule: Rule | None, **others: str) -> dict[str, str]:
    """Field → option; the expression was said by `rule`."""
    option = rule.option if rule else "the expression"
    return {**OPTIONS, "expression": option, "kind": option, **others}


def rule_in(text: str) -> Rule | None:
    """`text` as the expression that it looks like; None: it looks like the name of something."""
    text = text.strip()
    if CRON_LIKE.fullmatch(text):
        return Rule("the expression", "cron", text)
    if INTERVAL_LIKE.fullmatch(text.removeprefix("every ")):
        return Rule("the expression", "interval", text.removeprefix("every "))
    if INSTANT_LIKE.fullmatch(text) or INTERVAL_LIKE.fullmatch(text.removeprefix("in ")):
        return Rule("the expression", "once", text)
    return None


def exclusion(text: str, zone: str, now: datetime) -> str:
    """A date as it is; anything else as an instant."""
    return text if times.is_date(text) else times.moment_of(text, zone, now)


def seconds(length: str | None) -> int | None:
    return None if length is None else int(times.seconds_of(length))
