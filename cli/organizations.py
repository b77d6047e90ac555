"""`spark org`: the organization that your key belongs to."""

from typing import Annotated

import typer
from rich.text import Text

from cli import tables, times
from cli.client import Json
from cli.session import Noun, Session

app = Noun(help="The organization that your key belongs to.")


@app.verb()
def get(session: Session) -> None:
    """Show the organization."""
    show(session, own(session))


@app.verb()
def rename(session: Session, name: Annotated[str, typer.Argument(help="What it is to be called.")]) -> None:
    """Call the organization something else. It takes an owner."""
    show(session, session.organization.patch(f"/organizations/{own(session)['id']}", {"name": name}))


def own(session: Session) -> Json:
    """Nobody has more than one at a time."""
    return next(session.organization.items("/organizations", 1))


def show(session: Session, organization: Json) -> None:
    if session.json:
        session.print_json(organization)
        return
    tables.show_card(
        session.out,
        {
            "organization": Text(organization["name"], "bold"),
            "id": organization["id"],
            "made": times.ago(organization["created_at"], session.now),
        },
    )
