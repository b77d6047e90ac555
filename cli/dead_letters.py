"""`spark dead-letters`: messages that could not be worked on."""

from typing import Annotated

import typer
from rich.text import Text

from cli import ids, tables, times, watch
from cli.client import Json
from cli.errors import EXIT_STATUS
from cli.session import Noun, Session
from cli.tables import Column

app = Noun(help="Messages that could not be worked on.")

LetterArgument = Annotated[str, typer.Argument(metavar="DEAD_LETTER", help="Id, the end of one, or `last`.")]
UnreadableOption = Annotated[
    bool, typer.Option("--unreadable", help="Messages that belong to no project, because nobody can read them.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(session: Session, unreadable: UnreadableOption = False, limit: LimitOption = 20) -> None:
    """List dead letters, newest first."""
    letters = list(session.api.items("/dead-letters", limit, **among(unreadable)))
    if session.json:
        session.print_json(letters)
    elif not letters:
        session.note("No dead letters: every message could be worked on.")
    else:
        tables.show_table(session.out, letters, columns(session))


@app.verb()
def get(session: Session, letter: LetterArgument, unreadable: UnreadableOption = False) -> None:
    """Show a dead letter with its message."""
    found = session.api.get(path(session, letter, unreadable), **among(unreadable))
    if session.json:
        session.print_json(found)
        return
    tables.show_card(
        session.out,
        {
            "dead letter": Text(found["id"], "bold"),
            "reason": found["reason"],
            "message": found["message"],
            "run": found.get("run_id"),
            "created": times.ago(found["created_at"], session.now),
            "redriven as": found.get("redriven_run_id"),
            "body": found["body"],
        },
    )


@app.verb(epilog=EXIT_STATUS)
def redrive(
    session: Session,
    letter: LetterArgument,
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Watch the new run to its end.")] = False,
) -> None:
    """Run the run of a dead letter again: a new run with the same input."""
    watch.settle(session, session.api.post(f"{path(session, letter)}/redrive"), follow=follow)


def path(session: Session, letter: str, unreadable: bool = False) -> str:
    return f"/dead-letters/{ids.resolve(session.api, 'dead-letters', letter, **among(unreadable))}"


def among(unreadable: bool) -> dict[str, str]:
    return {"unreadable": "true"} if unreadable else {}


def columns(session: Session) -> list[Column]:
    return [
        Column("ID", lambda letter: tables.short(letter["id"]), style="cyan"),
        Column("REASON", lambda letter: letter["reason"]),
        Column("RUN", lambda letter: tables.short(letter.get("run_id"))),
        Column("CREATED", lambda letter: times.ago(letter["created_at"], session.now), style="dim"),
        Column("REDRIVEN", lambda letter: redriven(letter)),
        Column("MESSAGE", lambda letter: tables.first_line(letter["message"]), flexible=True),
    ]


def redriven(letter: Json) -> str:
    return tables.short(letter.get("redriven_run_id"))
