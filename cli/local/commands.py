"""`spark local`: all of Spark on this machine, without Docker and without an AWS account."""

import os
from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import config, tables, times
from cli.errors import CliError
from cli.inputs import value_of
from cli.local import logs as function_logs
from cli.local import stack as stacks
from cli.local.stack import RunningStack, Stack
from cli.local.status import Queue
from cli.local.status import status as status_of
from cli.local.watch import changes
from cli.session import Noun, Session, YesOption, show_error

PROFILE = "local"

app = Noun(help="Run all of Spark on this machine.")


class Function(StrEnum):
    """A function of the stack."""

    api = "api"
    tick = "tick"
    executor = "executor"
    dead_letters = "dead-letters"


PortOption = Annotated[
    int | None,
    typer.Option("--port", help="Where the emulator of AWS listens, on 127.0.0.1.", show_default="4566, or as before"),
]
StateOption = Annotated[
    Path | None, typer.Option("--state-dir", help="Folder of the stack's state.", show_default=".local/stack")
]


@app.verb()
def up(
    session: Session,
    port: PortOption = None,
    state_dir: StateOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and deploy whenever a file changes.")] = False,
    enforce_iam: Annotated[
        bool, typer.Option("--enforce-iam", help="Let functions do only what the template grants them.")
    ] = False,
) -> None:
    """Start the stack, or bring a running one up to date."""
    stack = Stack(port or stacks.usual_port(Stack(state_dir=state_dir)), state_dir, enforce_iam=enforce_iam)
    introduce(session, stacks.up(stack, session.note))
    for changed in changes(stack.layout.project) if watch else ():
        redeploy(session, stack, changed)


@app.verb()
def down(
    session: Session,
    state_dir: StateOption = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Forget all it knows.")] = False,
) -> None:
    """Stop the stack. It keeps what it knows for the next start."""
    if not stacks.down(Stack(state_dir=state_dir), wipe=wipe):
        session.note("It had to be killed: the next start finds what the last orderly stop saved.", "yellow")
    session.note("Stopped.")


@app.verb()
def reset(session: Session, port: PortOption = None, state_dir: StateOption = None, yes: YesOption = False) -> None:
    """Start afresh: the same stack with nothing in it."""
    session.confirm("Forget all that the local stack knows?", yes=yes)
    stack = Stack(port or stacks.usual_port(Stack(state_dir=state_dir)), state_dir)
    introduce(session, stacks.reset(stack, session.note))


@app.verb()
def status(session: Session, state_dir: StateOption = None) -> None:
    """Show what runs and how it is doing."""
    now = status_of(Stack(state_dir=state_dir))
    if session.json:
        session.print_json({**asdict(now), "started_at": now.started_at.isoformat()})
        return
    workers = (f"{name} {count}" for name, count in now.workers.items() if count)
    tables.show_card(
        session.out,
        {
            "emulator": f"{now.emulator or 'does not answer'}, process {now.pid}, {now.memory_megabytes} MB",
            "started": times.ago(now.started_at.isoformat(), session.now),
            "stack": f"{now.stack}, {now.resources} resources",
            "API": now.api,
            "run queue": depth(now.run_queue),
            "dead letters": depth(now.dead_letter_queue),
            "running": ", ".join(workers) or "no function",
            **addresses(now.here),
        },
    )


@app.verb()
def logs(
    session: Session,
    functions: Annotated[list[Function] | None, typer.Argument(help="Only these.", show_default="all")] = None,
    state_dir: StateOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines as they come.")] = False,
    since: Annotated[str, typer.Option("--since", help="How far back to begin, like 30s or 5m.")] = "10m",
) -> None:
    """Show what the functions logged."""
    operator = stacks.connect(Stack(state_dir=state_dir))
    names = stacks.function_names(stacks.deployed(operator))
    groups = function_logs.log_groups(names, [function.name for function in functions or ()])
    begin = session.now - timedelta(seconds=times.seconds_of(since))
    read = function_logs.follow if follow else function_logs.lines
    show(session, read(operator, groups, begin))


@app.verb()
def tick(
    session: Session,
    at: Annotated[
        str | None, typer.Option("--at", help="Fire schedules as if it were then, like 2026-12-24T09:00Z.")
    ] = None,
    state_dir: StateOption = None,
) -> None:
    """Run the minute tick now instead of waiting for it; with --at, try schedules whose time has not come.

    They have fired then, and go on from there. `spark schedule pause` and `resume` bring one back to the present.
    """
    as_of = value_of("--at", at, lambda text: times.parse_instant(times.instant_of(text, session.now)))
    session.print_json(stacks.tick(Stack(state_dir=state_dir), session.now, as_of))
    if as_of is not None and as_of > session.now:
        session.note(f"Schedules have fired up to {as_of:%Y-%m-%d %H:%M:%S %Z} and go on from there.", "dim")


def introduce(session: Session, here: RunningStack) -> None:
    """Keep how to reach the stack as a profile, and say it."""
    config.save_profile(PROFILE, here.api_url, here.api_key)
    if session.json:
        session.print_json(asdict(here))
        return
    tables.show_card(session.out, addresses(here))
    if config.load().current != PROFILE:
        session.note(f"Commands talk to it with --profile {PROFILE}, or after `spark config use {PROFILE}`.")


def addresses(here: RunningStack | None) -> dict[str, str | Text | None]:
    """How to reach the stack, as lines of a card."""
    if here is None:
        return {}
    return {
        "API at": Text(here.api_url, "bold"),
        "documentation": here.docs_url,
        "API key": here.api_key,
        "AWS endpoint": here.endpoint_url,
    }


def redeploy(session: Session, stack: Stack, changed: list[Path]) -> None:
    """Deploy what changed; what is wrong with it is said, and the next change brings the next attempt."""
    session.note(", ".join(str(path.relative_to(stack.layout.project)) for path in changed[:3]) + " changed")
    try:
        stacks.up(stack, session.note)
    except CliError as error:
        show_error(session, error)
    else:
        session.note("Deployed.")


def show(session: Session, lines: Iterable[function_logs.Line]) -> None:
    """Each line as it comes; an end of the reader (`| head`) is an end like any other."""
    try:
        for line in lines:
            text = f"{line.at.astimezone():%H:%M:%S} {line.function:<12} {line.text}"
            session.out.print(text, markup=False, soft_wrap=True)
    except BrokenPipeError:
        os._exit(0)


def depth(queue: Queue | None) -> str:
    """A queue in a few words."""
    return ", ".join(f"{count} {name}" for name, count in asdict(queue).items()) if queue else "unknown"
