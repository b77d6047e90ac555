"""`spark config`: the deployments this user works with."""

from typing import Annotated, Any

import typer

from cli import config, tables
from cli.config import Profile
from cli.errors import usage
from cli.inputs import read_secret
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="The deployments you work with, and their keys.")


NameArgument = Annotated[str, typer.Argument(help="Name of the profile.", autocompletion=config.names)]


@app.verb("list")
def list_(session: Session) -> None:
    """List the profiles."""
    known = config.load()
    rows = [document(profile, current=known.current) for profile in known.profiles.values()]
    if session.json:
        session.print_json(rows)
    elif not rows:
        session.note(config.NO_PROFILE_HINT)
    else:
        tables.show_table(session.out, rows, COLUMNS)


@app.verb()
def get(
    session: Session,
    name: Annotated[str | None, typer.Argument(help="By default the one in use.", autocompletion=config.names)] = None,
) -> None:
    """Show a profile: by default the one that commands use now, environment included. Keys are masked."""
    profile = config.choose(name or session.choices.get("profile"), project=session.choices.get("project"))
    shown = document(profile, current=config.load().current)
    if session.json:
        session.print_json(shown)
        return
    tables.show_card(session.out, {key: str(value) for key, value in shown.items() if key != "current"})


@app.verb("set")
def set_(
    session: Session,
    name: NameArgument,
    url: Annotated[str | None, typer.Option(help="Where the API answers.")] = None,
    api_key: Annotated[str | None, typer.Option(metavar="-|env:NAME", help="- asks or reads stdin.")] = None,
    use: Annotated[bool, typer.Option("--use", help="Make it the current profile.")] = False,
) -> None:
    """Add a profile or change one: only what is named."""
    known = config.load().profiles.get(name)
    if url is None and known is None:
        raise usage(f"{name!r} is new: where does it answer?", "Say --url.")
    asked = api_key is not None or known is None
    key = read_secret(session, api_key, f"API key of {name}") if asked else None
    kept = known.api_key if known else ""
    profile = config.save_profile(name, url or (known.url if known else ""), key or kept, use=use)
    session.note(f"Saved {profile.name} in {config.path()}.")


@app.verb()
def use(session: Session, name: NameArgument) -> None:
    """Make a profile the current one."""
    session.note(f"Commands go to {config.use_profile(name).url} now.")


@app.verb()
def delete(session: Session, name: NameArgument, yes: YesOption = False) -> None:
    """Forget a profile and its key."""
    config.load().profile(name)
    session.confirm(f"Forget profile {name}?", yes=yes)
    config.delete_profile(name)
    session.note(f"Forgot {name}.")


@app.verb("path")
def path_(session: Session) -> None:
    """Print where the profiles are kept."""
    path = str(config.path())
    session.print_json({"path": path}) if session.json else typer.echo(path)


COLUMNS = [
    Column("", lambda profile: "*" if profile["current"] else "", style="green"),
    Column("NAME", lambda profile: profile["name"], style="bold"),
    Column("URL", lambda profile: profile["url"], flexible=True),
    Column("KEY", lambda profile: profile["api_key"], style="dim"),
]


def document(profile: Profile, *, current: str | None) -> dict[str, Any]:
    """A profile as it may be shown."""
    return {
        "name": profile.name,
        "url": profile.url,
        "api_key": profile.masked_key,
        **({"project": profile.project} if profile.project else {}),
        "current": profile.name == current,
    }
