"""`spark key`: API keys, their roles, and their end. A key is shown once: when it is made."""

from typing import Annotated, Any

import typer
from rich.text import Text

from cli import completion, ids, tables, times
from cli.client import Json, given
from cli.errors import speaking_of, usage
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="API keys: who may do what, and for how long.")

EVERY_PROJECT = "(all)"
OPTIONS = {
    "role": "--role",
    "service_account_id": "--service-account",
    "organization_wide": "--organization-wide",
    "valid_until": "--valid-until",
    "overlap_seconds": "--overlap",
    "per_minute": "--per-minute",
    "daily_quota": "--daily-quota",
}

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Name or id.", autocompletion=completion.names("api-keys"))
]
RoleOption = Annotated[
    str | None,
    typer.Option("--role", help="What it may do: see `spark role list`.", autocompletion=completion.names("roles")),
]
UntilOption = Annotated[
    str | None, typer.Option("--valid-until", metavar="TIME", help="When it ends: 90d, 2030-01-31, 2030-01-31T12:00Z.")
]
MinuteOption = Annotated[int | None, typer.Option("--per-minute", min=0, help="Requests a minute; 0: no limit.")]
QuotaOption = Annotated[int | None, typer.Option("--daily-quota", min=0, help="Requests a day; 0: no limit.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb()
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    role: RoleOption = None,
    service_account: Annotated[
        str | None,
        typer.Option(
            "--service-account",
            metavar="ACCOUNT",
            help="It acts for this one, with its role, where it belongs.",
            autocompletion=completion.names("service-accounts"),
        ),
    ] = None,
    organization_wide: Annotated[
        bool, typer.Option("--organization-wide", help="It opens every project, not only this one.")
    ] = False,
    valid_until: UntilOption = None,
    per_minute: MinuteOption = None,
    daily_quota: QuotaOption = None,
) -> None:
    """Make a key for the project in use: a viewer, if nothing else is said. Only the key goes to stdout, this once."""
    body = given(
        name=name,
        role=role_id(session, role or (None if service_account else "viewer")),
        service_account_id=account_id(session, service_account),
        organization_wide=organization_wide or None,
        valid_until=end_of(session, valid_until),
        per_minute=per_minute,
        daily_quota=daily_quota,
    )
    with speaking_of(OPTIONS):
        show_new(session, session.api.reveal("/api-keys", body))


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the keys, newest first: those of a project with --project, else all."""
    project = session.api.profile.project if session.choices.get("project") else None
    keys = list(session.organization.items("/api-keys", limit, project_id=project))
    if session.json:
        session.print_json(keys)
    else:
        tables.show_table(session.out, keys, columns(session))


@app.verb()
def get(session: Session, key: KeyArgument) -> None:
    """Show a key. What it is used with is never shown again."""
    show(session, session.api.get(path(session, key)))


@app.verb()
def update(
    session: Session,
    key: KeyArgument,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    role: RoleOption = None,
    valid_until: UntilOption = None,
    no_end: Annotated[bool, typer.Option("--no-end", help="It is valid until it is revoked.")] = False,
    per_minute: MinuteOption = None,
    daily_quota: QuotaOption = None,
) -> None:
    """Change a key: only what is named. It counts within a minute."""
    if no_end and valid_until is not None:
        raise usage("Say either --valid-until or --no-end.")
    body = given(
        name=name,
        role=role_id(session, role),
        valid_until=end_of(session, valid_until),
        per_minute=per_minute,
        daily_quota=daily_quota,
    )
    body |= {"valid_until": None} if no_end else {}
    if not body:
        raise usage("Say what to change.", "See `spark key update --help`.")
    with speaking_of(OPTIONS):
        show(session, session.api.patch(path(session, key), body))


@app.verb()
def rotate(
    session: Session,
    key: KeyArgument,
    overlap: Annotated[
        str | None, typer.Option(metavar="TIME", help="So long does the old one work on: 0, 2h, 7d. By default a day.")
    ] = None,
) -> None:
    """Give a key another secret. Only the new key goes to stdout, this once; the old one works for a while."""
    seconds = None if overlap is None else int(times.seconds_of(overlap))
    with speaking_of(OPTIONS):
        show_new(session, session.api.reveal(f"{path(session, key)}/rotate", given(overlap_seconds=seconds)))


@app.verb("delete", hidden=True)
@app.verb()
def revoke(session: Session, key: KeyArgument, yes: YesOption = False) -> None:
    """Revoke a key, for good."""
    id = ids.resolve(session.api, "api-keys", key)
    session.confirm(f"Revoke key {key}? Whoever uses it is shut out.", yes=yes)
    session.api.delete(f"/api-keys/{id}")
    session.note(f"Revoked {key}. Where it was just used it may work for up to a minute more.")


def path(session: Session, key: str) -> str:
    return f"/api-keys/{ids.resolve(session.api, 'api-keys', key)}"


def role_id(session: Session, role: str | None) -> str | None:
    return None if role is None else ids.resolve(session.organization, "roles", role)


def account_id(session: Session, account: str | None) -> str | None:
    return None if account is None else ids.resolve(session.organization, "service-accounts", account)


def end_of(session: Session, text: str | None) -> str | None:
    """When a key ends, for the API: a length of time from now, a date to its last moment, or a time; in UTC."""
    if text is None:
        return None
    is_length = times.DURATION.fullmatch(text.strip()) is not None and not text.strip().isdigit()
    return times.moment_of(f"in {text.strip()}" if is_length else text, "UTC", session.now, ends=True)


def project_of(key: Json) -> str:
    return EVERY_PROJECT if key["organization_wide"] else tables.short(key["project_id"])


def columns(session: Session) -> list[Column]:
    return [
        Column("ID", lambda key: tables.short(key["id"]), style="cyan"),
        Column("NAME", lambda key: key["name"], style="bold", flexible=True),
        Column("ROLE", lambda key: tables.short(key["role"])),
        Column("PROJECT", project_of),
        Column("USED", lambda key: times.ago(key.get("last_used_at"), session.now) or "never", style="dim"),
        Column("ENDS", lambda key: ends(session, key), style="dim"),
    ]


def card(session: Session, key: Json) -> dict[str, Any]:
    return {
        "key": Text(key["name"], "bold"),
        "id": key["id"],
        "begins with": key["prefix"],
        "role": key["role"],
        "acts for": key.get("service_account_id"),
        "project": EVERY_PROJECT if key["organization_wide"] else key["project_id"],
        "ends": ends(session, key),
        "old secret": times.ago(key.get("previous_until"), session.now),
        "a minute": limit(key.get("per_minute")),
        "a day": limit(key.get("daily_quota")),
        "used": times.ago(key.get("last_used_at"), session.now) or "never",
        "made": f"{times.ago(key['created_at'], session.now)} by {key['created_by']}",
    }


def ends(session: Session, key: Json) -> str | None:
    """When it ends, or ended; a key whose service account is disabled or gone opens nothing, whatever its own end."""
    is_shut = key.get("service_account_id") is not None and not key["active"]
    return "shut" if is_shut else times.ago(key.get("valid_until"), session.now)


def limit(requests: int | None) -> str | None:
    return None if requests is None else f"{requests} requests" if requests else "no limit"


def show(session: Session, key: Json) -> None:
    if session.json:
        session.print_json(key)
    else:
        tables.show_card(session.out, card(session, key))


def show_new(session: Session, key: Json) -> None:
    """The key by itself on stdout, so that it can be piped to where it is kept; all about it on stderr."""
    if session.json:
        session.print_json(key)
        return
    tables.show_card(session.notes, card(session, key))
    session.note("Keep the key now: it is not shown again.", "yellow")
    typer.echo(key["key"])
    url = session.profile.url
    session.note(f"To use it here: spark config set NAME --url {url} --api-key -", "dim")
