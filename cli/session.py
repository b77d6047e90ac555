"""What surrounds a command: the options that work everywhere, the API, where answers and notes go, how errors end."""

import functools
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Concatenate, ParamSpec

import httpx
import typer
from rich.console import Console
from rich.text import Text

from cli import config, ids
from cli.client import Api
from cli.errors import CliError, ExitCode, usage

P = ParamSpec("P")
PIPED_WIDTH = 10_000  # what is piped is never cut or wrapped
CHOICES = "spark.choices"

EVERYWHERE = "Options of every command"
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", help="Deployment to talk to.", rich_help_panel=EVERYWHERE, autocompletion=config.names),
]
ProjectOption = Annotated[
    str | None, typer.Option("--project", help="Project to work in: its name or id.", rich_help_panel=EVERYWHERE)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the API's JSON.", rich_help_panel=EVERYWHERE)]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colours.", rich_help_panel=EVERYWHERE)]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def utc_now() -> datetime:
    return datetime.now(UTC)


def browse(url: str) -> None:
    import webbrowser  # which looks for one on this machine, for the one command that needs it

    webbrowser.open(url)


@dataclass(frozen=True)
class Surroundings:
    """The world outside the process. Tests hand another one to the runner as `obj`."""

    transport: httpx.BaseTransport | None = None
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    has_user: Callable[[], bool] = lambda: sys.stdin.isatty()
    open_browser: Callable[[str], object] = browse


@dataclass(frozen=True)
class Session:
    """What every command gets: the API, the clock, stdout for the answer and stderr for everything else."""

    choices: dict[str, Any]
    surroundings: Surroundings
    out: Console
    notes: Console

    @functools.cached_property
    def api(self) -> Api:
        """The deployment, in the project that was chosen."""
        return self.within(self.profile.project)

    @functools.cached_property
    def organization(self) -> Api:
        """The same for what belongs to no project. A key means its own then, so that works even if the chosen one is
        gone; a person may have several, and no other way to say which role they mean."""
        return self.within(self.profile.project if self.profile.access_token else "")

    @functools.cached_property
    def profile(self) -> config.Profile:
        return config.choose(self.choices.get("profile"), project=self.choices.get("project"))

    def within(self, project: str) -> Api:
        """The same in `project`, named by id or name."""
        meant = replace(self.profile, project=project)
        return connect(meant, transport=self.surroundings.transport, sleep=self.surroundings.sleep)

    @property
    def json(self) -> bool:
        return bool(self.choices.get("json"))

    @property
    def now(self) -> datetime:
        return self.surroundings.now()

    @property
    def has_user(self) -> bool:
        """Is there somebody to ask?"""
        return self.surroundings.has_user()

    def sleep(self, seconds: float) -> None:
        self.surroundings.sleep(seconds)

    def print_json(self, document: Any) -> None:
        """`document` as the one thing on stdout."""
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))

    def note(self, text: str, style: str = "") -> None:
        """A remark for people, on stderr. Silent with --json."""
        if not self.json:
            self.notes.print(Text(text), style=style, soft_wrap=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if the user agrees. Without a terminal there is nobody to ask."""
        if yes:
            return
        if not self.has_user:
            raise usage(f"{question} Nobody is there to answer.", "Say --yes if you mean it.")
        typer.confirm(question, abort=True, err=True)


def connect(profile: config.Profile, **settings: Any) -> Api:
    """A client for `profile`; if its project is named by name, that is looked up first."""
    if not profile.project or ids.is_id(profile.project):
        return Api(profile, **settings)
    everywhere = Api(replace(profile, project=""), **settings)
    return Api(replace(profile, project=ids.resolve(everywhere, "projects", profile.project)), **settings)


class Noun(typer.Typer):
    """The commands of one noun. Each takes a Session first; --profile, --project, --json and --no-color come by
    themselves."""

    def __init__(self, help: str, **settings: Any) -> None:
        super().__init__(help=help, no_args_is_help=True, **settings)
        self.callback()(remember)

    def verb(
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
        """Register a command; the function itself stays as it is."""

        def register(command: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
            self.command(name, **settings)(in_session(command))
            return command

        return register


def remember(
    context: typer.Context,
    profile: ProfileOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
    no_color: NoColorOption = False,
) -> None:
    """Keep what was said at this level; the level nearest to the command has the last word."""
    said = {"profile": profile, "project": project, "json": json, "no_color": no_color}
    context.meta.setdefault(CHOICES, {}).update({name: value for name, value in said.items() if value})


def in_session(command: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """`command` as Typer wants it: our options instead of the session."""

    @functools.wraps(command)
    def run(
        context: typer.Context, profile: str | None, project: str | None, json: bool, no_color: bool, **arguments: Any
    ) -> None:
        remember(context, profile, project, json, no_color)
        session = open_session(context)
        with failing_well(session):
            command(session, **arguments)  # type: ignore[call-arg]  # Typer passes what the signature below promises

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    everywhere = inspect.signature(remember, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    run.__signature__ = inspect.Signature([p.replace(kind=keyword) for p in [*own, *everywhere]])  # type: ignore[attr-defined]
    return run


def open_session(context: typer.Context) -> Session:
    choices = context.meta.get(CHOICES, {})
    plain = True if choices.get("no_color") else None
    out, notes = Console(highlight=False, no_color=plain), Console(stderr=True, highlight=False, no_color=plain)
    if not out.is_terminal:
        out.width = PIPED_WIDTH
    return Session(choices, context.find_object(Surroundings) or Surroundings(), out, notes)


@contextmanager
def failing_well(session: Session) -> Iterator[None]:
    """A CliError becomes a few readable lines (or one JSON document) on stderr, and the exit code."""
    try:
        yield
    except CliError as error:
        show_error(session, error)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.interrupted) from None


def show_error(session: Session, error: CliError) -> None:
    if session.json:
        typer.echo(json.dumps(error.document, indent=2, ensure_ascii=False), err=True)
        return
    text = Text.assemble(("Error: ", "bold red"), str(error))
    for field in error.fields:
        text.append(f"\n  {field.pointer or '/'}", style="bold").append(f"  {field.detail}")
    if error.hint:
        text.append(f"\n{error.hint}", style="dim")
    session.notes.print(text, soft_wrap=True)
