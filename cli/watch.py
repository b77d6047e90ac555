"""Watching one run to its end: a live view on a terminal, a line per change elsewhere, then its output."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from cli import tables, times
from cli.client import Json
from cli.errors import ExitCode
from cli.session import Session

FINAL = {"completed", "failed", "cancelled", "skipped"}
EXITS = {"completed": ExitCode.ok, "failed": ExitCode.failed}  # all others: cancelled
FRAMES_PER_SECOND = 8
# The API answers as soon as a run ends; this is how soon other changes are seen: (age of the run, seconds held).
HELD_SECONDS = ((10, 1), (60, 2))
HELD_LONGER_SECONDS = 10


def settle(session: Session, run: Json, *, follow: bool, quiet: bool = False) -> None:
    """What follows the start of a run: say its id, or stay with it, print its output and exit as it ended."""
    if not follow:
        announce(session, run)
        return
    conclude(session, stay_with(session, run, quiet=quiet or session.json))


def announce(session: Session, run: Json) -> None:
    if session.json:
        session.print_json(run)
        return
    session.out.print(run["id"])
    session.note(f"Started. Watch it: spark run watch {tables.short(run['id'])}", "dim")


def stay_with(session: Session, run: Json, *, quiet: bool = False) -> Json:
    """The run as it is when it is over. Ctrl-C ends the watching, not the run."""
    try:
        with nullcontext(show_nothing) if quiet else shown(session, run) as show:
            for latest in changes(session, run):
                show(latest)
    except KeyboardInterrupt:
        id = tables.short(run["id"])
        session.note(f"The run goes on. Watch it: spark run watch {id}   Stop it: spark run cancel {id}", "yellow")
        raise
    return latest


def changes(session: Session, run: Json) -> Iterator[Json]:
    """`run`, and what becomes of it until it is over."""
    yield run
    while run["status"] not in FINAL:
        age = (session.now - times.parse_instant(run["created_at"])).total_seconds()
        held = next((seconds for limit, seconds in HELD_SECONDS if age < limit), HELD_LONGER_SECONDS)
        run = session.api.get(f"/runs/{run['id']}", wait=held)
        yield run


def conclude(session: Session, run: Json) -> None:
    """Print what came out of it, or why nothing did, and exit as it ended."""
    if session.json:
        session.print_json(run)
    elif run["status"] == "completed":
        print_output(output_of(session, run))
    else:
        explain(session, run)
    if code := EXITS.get(run["status"], ExitCode.cancelled):
        raise typer.Exit(code)


def output_of(session: Session, run: Json) -> Any:
    """What the flow gave; a very large output is fetched from where the run says it is kept."""
    return session.api.fetch(run["output_url"]) if run.get("output_url") else run.get("output")


def print_output(output: Any) -> None:
    if output is not None:
        typer.echo(output if isinstance(output, str) else json.dumps(output, indent=2, ensure_ascii=False))


def explain(session: Session, run: Json) -> None:
    """Why a run did not complete, and what can be done."""
    error, id = run.get("error"), tables.short(run["id"])
    if error:
        reason = tables.first_line(error["message"])
        session.notes.print(Text.assemble((f"{error['code']}: ", "bold red"), reason), soft_wrap=True)
    session.note(f"Look: spark run logs {id}   Again: spark run retry {id}", "dim")


def sentence(run: Json, workflow: Json, now: datetime) -> str:
    """What the run is doing at `now`."""
    tries = attempts(run, workflow)
    if run["status"] == "running":
        doing = "being cancelled" if run.get("cancel_requested_at") else "running"
        return f"{doing}, {tries}" + (" as a LangFlow job" if run.get("job_id") else "")
    if run["status"] != "pending":
        return f"{run['status']}, {tries}" if run["attempt"] else str(run["status"])
    due = times.until(run.get("not_before"), now)
    if run.get("deferred_since"):
        return f"held back by its source's limits, next look {due}"
    if run["attempt"] == 0:
        return "waiting for its turn"
    return f"{tries} failed ({(run.get('error') or {}).get('code')}), next {due}"


def attempts(run: Json, workflow: Json) -> str:
    policy = run.get("retry") or workflow.get("settings", {}).get("retry") or {}
    number = max(run["attempt"], 1)
    return f"attempt {number} of {policy['max_attempts']}" if policy.get("max_attempts") else f"attempt {number}"


Show = Callable[[Json], None]


def show_nothing(_run: Json) -> None:
    """For those who only wait."""


@contextmanager
def shown(session: Session, run: Json) -> Iterator[Show]:
    """Shows a run on stderr: a live view on a terminal, otherwise a line for each change."""
    workflow = session.api.get(f"/workflows/{run['workflow_id']}")
    if not session.notes.is_terminal:
        yield Lines(session, workflow)
        return
    view = View(run, workflow, lambda: session.now)
    with Live(view, console=session.notes, refresh_per_second=FRAMES_PER_SECOND):
        yield Watcher(session, view)


@dataclass
class Lines:
    """One line per change, for logs and pipes."""

    session: Session
    workflow: Json
    last: str = ""

    def __call__(self, run: Json) -> None:
        line = sentence(run, self.workflow, self.session.now)
        if line != self.last:
            self.session.note(f"{self.session.now:%H:%M:%S} {line}")
        self.last = line


@dataclass
class View:
    """A run as it is drawn, anew several times a second: its clock runs between two answers of the API."""

    run: Json
    workflow: Json
    clock: Callable[[], datetime]
    last_log: str = ""
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))

    def __rich__(self) -> RenderableType:
        run, now = self.run, self.clock()
        elapsed = times.between(run["created_at"], run.get("finished_at"), now)
        name = self.workflow.get("settings", {}).get("name", "")
        title = Text.assemble((name, "bold"), "  ", (tables.short(run["id"]), "cyan"), "  ", (elapsed, "dim"))
        state = Text(sentence(run, self.workflow, now), tables.COLOURS.get(run["status"], ""))
        if run["status"] in FINAL:
            return Group(title, Text.assemble(tables.sign(run["status"]), " ", state))
        self.spinner.update(text=state)
        last = Text(f"  {self.last_log}", "dim", no_wrap=True, overflow="ellipsis")
        return Group(title, self.spinner, last) if self.last_log else Group(title, self.spinner)


@dataclass
class Watcher:
    """Keeps a View up to date. Logs come with the end of an attempt, so they are fetched when the run moves on."""

    session: Session
    view: View
    seen: tuple[Any, ...] = ()

    def __call__(self, run: Json) -> None:
        self.view.run = run
        moved = (run["status"], run["attempt"])
        if moved != self.seen and run["attempt"]:
            self.view.last_log = last_log(self.session, run)
        self.seen = moved


def last_log(session: Session, run: Json) -> str:
    attempts = session.api.get(f"/runs/{run['id']}/logs")["items"]
    lines = [line for attempt in attempts for line in attempt["lines"]]
    return tables.first_line(lines[-1].get("message") or lines[-1]["event"]) if lines else ""
