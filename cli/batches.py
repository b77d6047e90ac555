"""Many runs of one workflow: submitted by the hundred, one progress bar, outputs in the order of the inputs."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import tables
from cli.client import Json
from cli.errors import ExitCode
from cli.session import Session
from cli.watch import FINAL, output_of

AT_ONCE = 100  # runs per request, the API's limit
POLL_SECONDS = 1.0
SEARCHED = 10  # runs looked through for each run of ours: others may use the workflow meanwhile
REASONS_SHOWN = 5


def run(session: Session, workflow_id: str, inputs: Sequence[str], options: Json, *, follow: bool, quiet: bool) -> None:
    """Start a run for each input; with `follow`, stay until all are over and print their outputs, one per line."""
    results = list(submit(session, workflow_id, inputs, options))
    started = [result["run"] for result in results if result.get("run")]
    if follow and started:
        ended = stay_with(session, workflow_id, started, quiet=quiet or session.json)
        conclude(session, [ended[result["run"]["id"]] if result.get("run") else result for result in results])
    else:
        announce(session, results)


def submit(session: Session, workflow_id: str, inputs: Sequence[str], options: Json) -> Iterator[Json]:
    """A `{"run"}` or `{"error"}` for each of `inputs`, in their order."""
    for start in range(0, len(inputs), AT_ONCE):
        chunk = inputs[start : start + AT_ONCE]
        orders = [{"workflow_id": workflow_id, "input": text, **options} for text in chunk]
        yield from session.api.post("/runs/batch", {"runs": orders})["items"]


def announce(session: Session, results: list[Json]) -> None:
    """The ids of the runs; what was refused on stderr."""
    started = [result["run"] for result in results if result.get("run")]
    if session.json:
        session.print_json(results)
    else:
        for run in started:
            session.out.print(run["id"])
        report(session, results)
        session.note(f"Started {len(started)} runs. See them: spark run list", "dim")
    if len(started) < len(results):
        raise typer.Exit(ExitCode.refused)


def stay_with(session: Session, workflow_id: str, runs: list[Json], *, quiet: bool = False) -> dict[str, Json]:
    """All `runs` by id, as they are when they are over. Ctrl-C ends the watching, not the runs."""
    finished: dict[str, Json] = {}
    with progress_bar(session, quiet=quiet) as bar:
        task = bar.add_task("running", total=len(runs), failed="")
        try:
            while len(finished) < len(runs):
                for id in newly_final(session, workflow_id, runs, finished):
                    finished[id] = session.api.get(f"/runs/{id}")
                bar.update(task, completed=len(finished), failed=failures_in(finished))
                if len(finished) < len(runs):
                    session.sleep(POLL_SECONDS)
            bar.update(task, description="done")
        except KeyboardInterrupt:
            session.note("The runs go on. See them: spark run list", "yellow")
            raise
    return finished


def newly_final(session: Session, workflow_id: str, runs: list[Json], finished: dict[str, Json]) -> list[str]:
    """Those that ended since the last look: one request per hundred runs, not one per run."""
    open_ids = {run["id"] for run in runs} - finished.keys()
    since = min(run["created_at"] for run in runs)
    found = session.api.items("/runs", SEARCHED * len(runs), workflow_id=workflow_id, since=since)
    seen = [run for run in found if run["id"] in open_ids]
    return [run["id"] for run in seen if run["status"] in FINAL]


def progress_bar(session: Session, *, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
        console=session.notes,
        disable=quiet or not session.notes.is_terminal,
    )


def failures_in(finished: dict[str, Json]) -> str:
    bad = sum(run["status"] != "completed" for run in finished.values())
    return f"{bad} not completed" if bad else ""


def conclude(session: Session, ends: list[Json]) -> None:
    """Outputs on stdout, a line each (empty where there is none), failures and the sum on stderr."""
    if session.json:
        session.print_json(ends)
    else:
        for end in ends:
            typer.echo(one_line(output_of(session, end)))
    bad = report(session, ends)
    session.note(f"{len(ends) - bad} of {len(ends)} completed.", "dim")
    if bad:
        raise typer.Exit(ExitCode.failed)


def report(session: Session, ends: list[Json]) -> int:
    """Say why some did not complete, or were refused; how many."""
    bad = [end for end in ends if not end.get("run") and end.get("status") != "completed"]
    for end in bad[:REASONS_SHOWN]:
        error = end.get("error") or {}
        reason = tables.first_line(error.get("message") or error.get("detail"))
        what = f"{tables.short(end['id'])} {end['status']}" if "id" in end else "refused"
        session.note(f"{what}: {reason}", "red")
    return len(bad)


def one_line(output: Any) -> str:
    """Text without line breaks as it is, anything else as JSON."""
    if output is None:
        return ""
    if isinstance(output, str) and "\n" not in output:
        return output
    return json.dumps(output, ensure_ascii=False)
