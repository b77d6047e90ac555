"""Shell completion of names and ids: one quick look at the API, and silence when it does not answer."""

from collections.abc import Callable, Iterator
from zoneinfo import available_timezones

import httpx
import typer

from cli import config
from cli.errors import CliError
from cli.ids import name_of
from cli.session import Surroundings, connect
from cli.tables import first_line, short

PATIENCE = httpx.Timeout(2.0)
OFFERED = 50


def names(collection: str) -> Callable[[typer.Context], list[tuple[str, str]]]:
    """Completes the names in `collection`."""

    def complete(context: typer.Context) -> list[tuple[str, str]]:
        return [(name_of(item), short(item["id"])) for item in offers(context, collection)]

    return complete


def runs(context: typer.Context) -> list[tuple[str, str]]:
    """Completes the short ids of the newest runs."""
    found = offers(context, "runs")
    return [(short(run["id"]), f"{run['status']} {first_line(run.get('input'))[:40]}") for run in found]


def zones() -> list[str]:
    """Completes time zones. They have a slash; what has none are abbreviations, which the API refuses."""
    return sorted(zone for zone in available_timezones() if "/" in zone)


def offers(context: typer.Context, collection: str) -> Iterator[dict[str, str]]:
    surroundings = context.find_object(Surroundings) or Surroundings()
    try:
        profile = config.choose(said(context, "profile"), project=said(context, "project"))
        api = connect(profile, transport=surroundings.transport, sleep=lambda _: None, timeout=PATIENCE)
        yield from api.items(f"/{collection}", OFFERED)
    except CliError:
        return


def said(context: typer.Context, option: str) -> str | None:
    """The --profile or --project on the line so far, wherever it stands."""
    level: typer.Context | None = context
    while level is not None:
        if level.params.get(option):
            return str(level.params[option])
        level = level.parent  # type: ignore[assignment]
    return None
