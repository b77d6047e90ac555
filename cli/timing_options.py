"""What a user may say about when something fires, and what that is called in the API."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from cli import completion, times
from cli.client import Json, given
from cli.errors import usage
from cli.inputs import value_of

WHEN = "When it fires"
WITHOUT_ZONE = "UTC"
CRON_LIKE = re.compile(r"[\d*?,/-]+\s+[\d*?,/-]+(\s+\S+)*|@\w+")
INTERVAL_LIKE = re.compile(r"(\d+[wdhms])+|P[\dT][\dWDHMST]*")  # bare digits may be the end of an id
INSTANT_LIKE = re.compile(r"\d{4}-\d\d-\d\d\S*(\s\d\S*)?")


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
            start_at=value_of("--start", self.start, lambda text: times.moment_of(text, zone, now)),
            end_at=value_of("--end", self.end, lambda text: times.moment_of(text, zone, now, ends=True)),
            exclude=[exclusion(text, zone, now) for text in self.exclude] if self.exclude else None,
            jitter_seconds=value_of("--jitter", self.jitter, times.whole_seconds),
            max_runs=self.max_runs,
        )


def one_rule(message: str) -> Exception:
    hint = 'Say one of --cron "0 9 * * 1-5", --every 30m, --once 2030-12-24T09:00 and --in 10m.'
    return usage(message, hint)


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


def exclusion(text: str, zone: str, now: datetime) -> str | None:
    """A date as it is; anything else as an instant."""
    return text if times.is_date(text) else value_of("--exclude", text, lambda said: times.moment_of(said, zone, now))
