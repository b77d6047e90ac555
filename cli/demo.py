"""`make demo`: real flows in a real LangFlow, run through the whole of Spark here; then all of it is stopped.

It uses free ports and a folder of its own, so it never meets your stack. Every command it shows is one you can type.
"""

import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli.client import Api, Json
from cli.config import Profile
from cli.errors import CliError
from cli.local import engines, ports, stack
from cli.local.engines import Engine
from cli.local.stack import RunningStack, Stack
from cli.main import app

FLOWS = ("echo", "slow", "flaky")
BATCH = 20
CLOCKS = {
    "Every five seconds": "--every 5s",
    "By the clock": '--cron "*/10 * * * * *"',
    "Once, soon": "--in 10s",
}
CLOCK_SECONDS = 21
LONGEST_SECONDS = 280  # it takes 30; where nothing is cached yet, LangFlow alone needs a minute to start
KEY_VARIABLE = "LANGFLOW_DEMO_KEY"
NEXT = (
    ("make up", "Spark on this machine, to stay"),
    ("spark source add lab http://localhost:7860 --api-key -", "your own LangFlow"),
    ("spark workflow import lab --all", "its flows"),
    ('spark workflow run NAME "Hello" --watch', "your first run"),
    ('spark schedule create Daily --workflow NAME --cron "0 9 * * 1-5" --tz Europe/Berlin', "your first schedule"),
    ("spark --help", "the rest"),
)


class DemoFailed(CliError):
    """A step did not do what it should."""


@dataclass
class Stage:
    """Where the demo takes place, and how it tells its story."""

    home: Path
    console: Console = field(default_factory=lambda: Console(highlight=False))
    steps: int = 0
    began: float = field(default_factory=time.monotonic)
    interrupted: bool = False

    def interrupt(self, _number: int, _frame: FrameType | None) -> NoReturn:
        """What Ctrl-C does. Remembered, because a library may catch the exception on its way."""
        self.interrupted = True
        raise KeyboardInterrupt

    def step(self, title: str) -> None:
        self.steps += 1
        self.console.print()
        self.console.print(Rule(Text(f"{self.steps}  {title}", "bold"), align="left", style="dim"))

    def say(self, text: str) -> None:
        self.console.print(Text(text, "dim"), soft_wrap=True)

    @contextmanager
    def working(self, doing: str, done: str) -> Iterator[Callable[[object], None]]:
        """A spinner while something starts; the callable may be used as a progress callback."""
        began = time.monotonic()
        with self.console.status(f"{doing} …") as status:

            def progress(what: object) -> None:
                said = what if isinstance(what, str) else doing
                status.update(f"{said} … {time.monotonic() - began:.0f} s")

            yield progress
        self.console.print(Text.assemble(("✓ ", "green"), f"{done}  ", (f"{time.monotonic() - began:.1f} s", "dim")))


def main() -> int:
    """Exit status 0 when everything did what it should, 1 when something did not, 130 after Ctrl-C."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in a pipe, too, what comes first is first
    stage = Stage(Path(tempfile.mkdtemp(prefix="spark-demo-")))
    signal.signal(signal.SIGINT, stage.interrupt)
    signal.signal(signal.SIGTERM, stage.interrupt)
    signal.signal(signal.SIGALRM, _out_of_time)
    try:
        with ExitStack() as cleanup:
            play(stage, cleanup)
    except (CliError, httpx.HTTPError) as error:
        return stopped(stage) if stage.interrupted else failed(stage, error)
    except KeyboardInterrupt:
        return stopped(stage)
    shutil.rmtree(stage.home, ignore_errors=True)
    stage.say(f"Everything is stopped again. {time.monotonic() - stage.began:.0f} s in all.")
    return 0


def failed(stage: Stage, error: Exception) -> int:
    stage.console.print(Text.assemble(("\nThe demo failed: ", "bold red"), str(error)))
    stage.say(getattr(error, "hint", ""))
    stage.say(f"What its servers said is kept in {stage.home}")
    return 1


def stopped(stage: Stage) -> int:
    stage.say("\nInterrupted; everything is stopped.")
    shutil.rmtree(stage.home, ignore_errors=True)
    return 130


def play(stage: Stage, cleanup: ExitStack) -> None:
    """The demo against the clock. When it is over, nothing may keep it from tidying up."""
    signal.alarm(LONGEST_SECONDS)
    try:
        perform(stage, cleanup)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def perform(stage: Stage, cleanup: ExitStack) -> None:
    """The story, step by step. What it starts it leaves to `cleanup`."""
    stage.step("A real LangFlow with three small flows")
    langflow = start_langflow(stage, cleanup)
    stage.step("Spark, as it runs on AWS, in an emulator on this machine")
    spark = start_spark(stage, cleanup)
    api = Api(Profile("demo", spark.api_url, spark.api_key))
    os.environ |= {"SPARK_URL": spark.api_url, "SPARK_API_KEY": spark.api_key, KEY_VARIABLE: langflow.api_key}
    stage.step("The LangFlow becomes a source, its flows become workflows")
    import_flows(stage, api, langflow)
    stage.step("One run, watched")
    watch_one(stage, api)
    stage.step(f"{BATCH} runs at once")
    run_batch(stage, api)
    stage.step("A run that fails, and is tried again")
    recover(stage, api)
    stage.step("A sense of time")
    keep_time(stage, api)
    stage.step("What happened")
    command(stage, "run list --limit 8")
    stage.step("Your turn")
    say_goodbye(stage)


def start_langflow(stage: Stage, cleanup: ExitStack) -> Engine:
    folder = stage.home / "flows"
    with stage.working("Building the flows with LangFlow's own library", "Flows built"):
        engines.build_flows(folder)
        for path in folder.glob("*.json"):
            if path.stem.removeprefix("spark-") not in FLOWS:
                path.unlink()
    with stage.working("Starting `lfx serve`", "LangFlow answers") as progress:
        key = secrets.token_urlsafe()
        engine = engines.start_lfx(folder, stage.home / "lfx", api_key=key, progress=progress)
        cleanup.callback(engine.stop)
    return engine


def start_spark(stage: Stage, cleanup: ExitStack) -> RunningStack:
    """API Gateway, Lambda, SQS, DynamoDB, S3, KMS: the same template as in the cloud."""
    ours = Stack(port=ports.free(), state_dir=stage.home / "stack")
    cleanup.callback(stack.down, ours)
    with stage.working("Deploying template.yaml", "Spark answers") as progress:
        running = stack.up(ours, progress)
    stage.say(f"Documentation while the demo runs: {running.docs_url}")
    return running


def import_flows(stage: Stage, api: Api, langflow: Engine) -> None:
    command(stage, f"source add lab {langflow.url} --api-key env:{KEY_VARIABLE}")
    command(stage, "workflow import lab --all")
    names = {workflow["settings"]["name"] for workflow in api.items("/workflows", 100)}
    expect(names == {f"Spark {flow.capitalize()}" for flow in FLOWS}, f"imported {sorted(names)}")


def watch_one(stage: Stage, api: Api) -> None:
    stage.say("This flow takes five seconds. The output goes to stdout, the view to stderr.")
    command(stage, 'workflow run "Spark Slow" "Hello, Spark" --watch')
    run = newest(api)
    expect(run["status"] == "completed" and "Hello, Spark" in str(run["output"]), f"the run ended as {run}")


def run_batch(stage: Stage, api: Api) -> None:
    inputs = stage.home / "inputs.txt"
    inputs.write_text("".join(f"input {number}\n" for number in range(1, BATCH + 1)), encoding="utf-8")
    stage.say("One input per line; the outputs come in the same order.")
    command(stage, f'workflow run "Spark Echo" --batch {shlex.quote(str(inputs))} --watch')
    runs = list(api.items("/runs", BATCH))
    expect(all(run["status"] == "completed" for run in runs), "a run of the batch did not complete")


def recover(stage: Stage, api: Api) -> None:
    stage.say("This flow fails on its first meeting with any input. By default a flow's own failure is final:")
    command(stage, 'workflow run "Spark Flaky" "tea" --watch', exits=1)
    failed = newest(api)
    expect(failed["status"] == "failed" and "fails on purpose" in failed["error"]["message"], f"it ended as {failed}")
    stage.say("So we run it again by hand:")
    command(stage, "run retry last --watch")
    expect(newest(api)["retry_of"] == failed["id"], "the second run is no retry of the first")
    stage.say("Or let Spark do it:")
    command(stage, 'workflow run "Spark Flaky" "coffee" --retry-failures --watch')
    run = newest(api)
    expect(run["status"] == "completed" and run["attempt"] == 2, f"the run ended as {run}")
    command(stage, "run logs last")


def keep_time(stage: Stage, api: Api) -> None:
    for name, when in CLOCKS.items():
        command(stage, f'schedule create "{name}" --workflow "Spark Echo" {when} --input "{name}"')
    command(stage, "schedule list")
    with stage.working("Watching the clock", "Time has passed"):
        time.sleep(CLOCK_SECONDS)
    for name in CLOCKS:
        command(stage, f'schedule runs "{name}" --limit 4')
    now = datetime.now(UTC)
    for schedule in api.items("/schedules", len(CLOCKS)):
        runs = api.items(f"/schedules/{schedule['id']}/runs", 100, until=now.isoformat())
        fired = [run for run in runs if run["status"] == "completed"]
        expect(bool(fired), f"schedule {schedule['settings']['name']} has no completed run")
    stage.say("A time zone that changes its clocks, and one glance at what a schedule will do:")
    command(stage, 'schedule preview "30 2 * * *" --tz Europe/Berlin --count 3')


def say_goodbye(stage: Stage) -> None:
    lines = Table.grid(padding=(0, 2))
    for text, what in NEXT:
        lines.add_row("", Text(text, "bold cyan"), Text(what, "dim"))
    stage.console.print(lines)
    stage.console.print()


def command(stage: Stage, line: str, exits: int = 0) -> None:
    """Show a command, then run it in this process, on this terminal."""
    stage.console.print(Text.assemble(("\n$ ", "dim"), (f"spark {line}", "bold cyan")), soft_wrap=True)
    code: Any = typer.main.get_command(app).main(shlex.split(line), prog_name="spark", standalone_mode=False)
    if code == 130 or stage.interrupted:
        raise KeyboardInterrupt
    expect((code or 0) == exits, f"`spark {line}` ended with {code}, not {exits}")


def newest(api: Api) -> Json:
    run: Json = api.get(f"/runs/{next(api.items('/runs', 1))['id']}")
    return run


def expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise DemoFailed(otherwise)


def _out_of_time(_number: int, _frame: FrameType | None) -> NoReturn:
    raise DemoFailed(f"it is not over after {LONGEST_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
