"""How things look: tables that fit 80 columns, cards, the colours of states. Plain text when piped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cli.client import Json

COLOURS = {
    "completed": "green",
    "active": "green",
    "failed": "red",
    "synced": "green",
    "unreachable": "red",
    "key refused": "red",
    "running": "cyan",
    "pending": "yellow",
    "cancelled": "magenta",
    "skipped": "magenta",
    "inactive": "magenta",
    "paused": "magenta",
    "finished": "dim",
}
SIGNS = {"completed": "✓", "failed": "✗", "running": "●", "pending": "○", "cancelled": "■", "skipped": "»"}
SHORT_ID = 8  # random characters of an id: a table of a million runs has two alike with a chance of one half


@dataclass(frozen=True)
class Column:
    """One column of a table. The `flexible` one gives way when the terminal is narrow."""

    title: str
    cell: Callable[[Json], str | Text | None]
    flexible: bool = False
    at_most: int | None = None  # columns on a terminal
    right: bool = False
    style: str = ""


def short(id: str | None) -> str:
    """The end of an id: unlike its beginning, which is the time, it tells one from another. Accepted everywhere.

    Ids that are words, like `default`, are shown as they are.
    """
    return (id or "").rpartition("_")[2][-SHORT_ID:] if "_" in (id or "") else id or ""


def first_line(text: Any) -> str:
    """`text` on one line."""
    return " ".join(str(text or "").split())


def state(word: str) -> Text:
    """A status in its colour."""
    return Text(word, COLOURS.get(word, ""))


def sign(status: str) -> Text:
    """The sign of a run's status, for those who cannot tell the colours."""
    return Text(SIGNS.get(status, "·"), COLOURS.get(status, ""))


def show_table(console: Console, rows: Sequence[Json], columns: Sequence[Column]) -> None:
    """`rows` under `columns`: one line each; on a narrow terminal the flexible column is cut with an ellipsis."""
    lines = box.SIMPLE_HEAD if console.is_terminal else None
    gap = 1 if console.is_terminal else 2  # the lines bring one more
    table = Table(box=lines, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column.right else "left"
        widest = column.at_most if console.is_terminal else None
        table.add_column(
            column.title, justify=justify, style=column.style, no_wrap=not column.flexible, max_width=widest
        )
    for row in rows:
        table.add_row(*(_one_line(column.cell(row)) for column in columns))
    _draw(console, table)


def show_card(console: Console, fields: dict[str, str | Text | None]) -> None:
    """One thing, a line for each field that has a value."""
    card = Table.grid(padding=(0, 2))
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    for name, value in fields.items():
        if value:
            card.add_row(name, value)
    _draw(console, card)


def _draw(console: Console, table: Table) -> None:
    """On a terminal as it is; in a pipe without the blanks that fill the last column."""
    with console.capture() as drawn:
        console.print(table)
    lines = drawn.get().splitlines()
    console.file.write("".join(f"{line if console.is_terminal else line.rstrip()}\n" for line in lines))


def _one_line(cell: str | Text | None) -> Text:
    text = cell if isinstance(cell, Text) else Text(cell or "")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
