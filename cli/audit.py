"""`spark audit`: who changed what, and whether the log of it is whole."""

import json
import re
from dataclasses import asdict
from typing import Annotated

import typer

from cli import chains, tables, times
from cli.chains import Fault, KnownSeal
from cli.client import Json, given
from cli.errors import ExitCode, usage
from cli.session import Noun, Session
from cli.tables import Column

app = Noun(help="Who changed what: the audit log.")

ALL = 10_000_000
KNOWN = re.compile(r"(\d+):([0-9a-f]{64})")

SinceOption = Annotated[str | None, typer.Option(help="From this instant on, such as 2030-01-01T12:00Z.")]
UntilOption = Annotated[str | None, typer.Option(help="Up to this instant.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(
    session: Session,
    actor: Annotated[str | None, typer.Option(help="Id of who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as source.updated or request.denied.")] = None,
    subject: Annotated[str | None, typer.Option(help="Id of what it was done to.")] = None,
    of_project: Annotated[str | None, typer.Option(help="Id of the project that it is about.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
) -> None:
    """List entries, newest first."""
    wanted = {"actor": actor, "action": action, "subject": subject, "project_id": of_project}
    entries = list(session.api.items("/audit", limit, **given(**wanted), **span(session, since, until)))
    if session.json:
        session.print_json(entries)
    elif not entries:
        session.note("No entries.")
    else:
        tables.show_table(session.out, entries, columns(session))


@app.verb()
def export(session: Session, since: SinceOption = None, until: UntilOption = None) -> None:
    """Print all entries, oldest first, a JSON document a line."""
    for line in session.api.lines("/audit/export", **span(session, since, until)):
        typer.echo(line)


@app.verb()
def refusals(session: Session, since: SinceOption = None, until: UntilOption = None, limit: LimitOption = 50) -> None:
    """List who was refused, by address and minute, newest first. Kept for a week."""
    found = list(session.organization.items("/audit/refusals", limit, **span(session, since, until)))
    if session.json:
        session.print_json(found)
    elif not found:
        session.note("Nobody was refused.")
    else:
        tables.show_table(session.out, found, refusal_columns(session))


@app.verb()
def verify(
    session: Session,
    seal: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:HASH", help="The newest seal of an earlier time: it has to be there still."),
    ] = None,
) -> None:
    """Compute all hashes anew, here, and say what was changed or is gone. Exit status 1 when something is.

    Records that were changed without an entry are warnings: Spark does some of that itself (docs/audit.md).
    """
    known = read_known(seal)
    seals = list(session.api.items("/audit/seals", ALL))  # before the entries: what they name is there by then
    entries = [json.loads(line) for line in session.api.lines("/audit/export")]
    found = chains.faults(entries, seals, session.now, known)
    show(session, entries, seals, found, chains.warnings(entries))
    if found:
        raise typer.Exit(ExitCode.failed)


def show(session: Session, entries: list[Json], seals: list[Json], found: list[Fault], warnings: list[Fault]) -> None:
    newest = max(seals, key=lambda seal: int(seal["number"]), default=None)
    noted = f"{newest['number']}:{newest['hash']}" if newest else None
    if session.json:
        counts = {"entries": len(entries), "seals": len(seals)}
        faults = {"faults": [asdict(fault) for fault in found], "warnings": [asdict(each) for each in warnings]}
        session.print_json({"is_whole": not found, **counts, "newest_seal": noted, **faults})
        return
    for style, those in (("red", found), ("yellow", warnings)):
        for each in those:
            session.out.print(f"{each.where}  {each.what}", style=style, soft_wrap=True, markup=False)
    word = f"{len(found)} faults" if found else "Whole"
    chain_count = len({chains.chain_of(entry) for entry in entries})
    session.out.print(f"{word}: {len(entries)} entries in {chain_count} chains, {len(seals)} seals.")
    if warnings:
        session.note(f"{len(warnings)} warnings: records that were changed without an entry, by Spark or by somebody.")
    if noted and not found:
        session.note(f"Note it elsewhere, and it cannot be undone unseen: --seal {noted}")


def span(session: Session, since: str | None, until: str | None) -> dict[str, str]:
    """The time that is meant, as the API wants it."""
    said = given(since=since, until=until)
    return {name: times.instant_of(text, session.now) for name, text in said.items()}


def read_known(text: str | None) -> KnownSeal | None:
    if text is None:
        return None
    match = KNOWN.fullmatch(text)
    if match is None:
        raise usage("--seal takes NUMBER:HASH, as an earlier `spark audit verify` printed it.")
    return KnownSeal(int(match[1]), match[2])


def columns(session: Session) -> list[Column]:
    return [
        Column("WHEN", lambda entry: times.ago(entry["at"], session.now), style="dim"),
        Column("WHO", lambda entry: entry["actor"], style="cyan", at_most=30),
        Column("WHAT", lambda entry: entry["action"], style="bold"),
        Column("ON", lambda entry: f"{entry['kind']} {tables.short(entry['subject'])}", at_most=30),
        Column("FROM", lambda entry: entry.get("address")),
        Column("DETAIL", lambda entry: detail(entry), flexible=True),
    ]


def refusal_columns(session: Session) -> list[Column]:
    return [
        Column("WHEN", lambda each: times.ago(each["at"], session.now), style="dim"),
        Column("FROM", lambda each: each["address"], style="cyan"),
        Column("REFUSALS", lambda each: str(each["refusals"]), style="bold"),
    ]


def detail(entry: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in (entry.get("detail") or {}).items())
