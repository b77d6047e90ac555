"""`spark sso provider`: who vouches for the people of the organization, and which roles their groups have."""

from typing import Annotated

import typer
from rich.text import Text

from cli import completion, ids, tables, times
from cli.client import Json, given
from cli.errors import speaking_of, usage
from cli.inputs import read_secret
from cli.members import role_id
from cli.session import Noun, Session, YesOption
from cli.tables import Column

app = Noun(help="Identity providers (OpenID Connect): who vouches for whom.")
sso = Noun(help="Single sign-on.")
sso.add_typer(app, name="provider")

NOUN = "identity-providers"
OPTIONS = {
    "name": "--name",
    "issuer": "--issuer",
    "client_id": "--client-id",
    "client_secret": "--client-secret",  # nosec B105
    "scopes": "--scope",
    "groups_claim": "--groups-claim",
    "mapping": "--map",
    "default_role": "--default-role",
    "domains": "--domain",
}
NOBODY = "none"

ProviderArgument = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="Name or id.", autocompletion=completion.names(NOUN))
]
SecretOption = Annotated[
    str | None,
    typer.Option("--client-secret", metavar="-|env:NAME", help="- asks or reads stdin, env:NAME a variable."),
]
ScopeOption = Annotated[
    list[str] | None, typer.Option("--scope", help="What to ask for; repeat for more. Without: openid profile email.")
]
ClaimOption = Annotated[
    str | None, typer.Option("--groups-claim", help="Where its ID token names the groups. Without: groups.")
]
MapOption = Annotated[
    list[str] | None, typer.Option("--map", metavar="GROUP=ROLE", help="Repeat for more; the first that fits counts.")
]
DefaultOption = Annotated[
    str | None,
    typer.Option("--default-role", metavar="ROLE", help=f"Of those in no such group; {NOBODY} refuses them."),
]
DomainOption = Annotated[
    list[str] | None, typer.Option("--domain", help="Of the addresses it vouches for; repeat for more. Without: all.")
]
TrustOption = Annotated[
    bool | None,
    typer.Option(
        "--trust-addresses/--no-trust-addresses",
        help="It does not say whether it has verified an address, but nobody gets one there that is not theirs.",
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


@app.verb("list")
def list_(session: Session, limit: LimitOption = 50) -> None:
    """List the identity providers. People log in by the id of one: spark login --sso ID"""
    found = list(session.organization.items(f"/{NOUN}", limit))
    if session.json:
        session.print_json(found)
    else:
        tables.show_table(session.out, found, COLUMNS)


@app.verb()
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What you will call it.")],
    issuer: Annotated[str, typer.Option("--issuer", help="As its ID tokens say it, letter by letter.")],
    client_id: Annotated[str, typer.Option("--client-id", help="What it calls Spark.")],
    client_secret: SecretOption = None,
    scope: ScopeOption = None,
    groups_claim: ClaimOption = None,
    map: MapOption = None,
    default_role: DefaultOption = None,
    domain: DomainOption = None,
    trust_addresses: TrustOption = None,
) -> None:
    """Trust an identity provider with who is a member of the organization, and as what."""
    secret = read_secret(session, client_secret, "Client secret (empty for none)") if client_secret else None
    said = fields(session, scope, groups_claim, map, default_role, domain)
    said |= given(trusts_addresses=trust_addresses)
    body = given(name=name, issuer=issuer, client_id=client_id, client_secret=secret, **said)
    with speaking_of(OPTIONS):
        provider = session.organization.post(f"/{NOUN}", body)
    show(session, provider)
    session.note(f"Allow this redirect URI there, with any port: http://127.0.0.1/{provider['id']}", "dim")
    session.note(f"Then people log in with: spark login --sso {provider['id']}", "dim")


@app.verb()
def get(session: Session, provider: ProviderArgument) -> None:
    """Show an identity provider. Its client secret is never shown."""
    show(session, session.organization.get(path(session, provider)))


@app.verb()
def update(
    session: Session,
    provider: ProviderArgument,
    name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    client_secret: SecretOption = None,
    scope: ScopeOption = None,
    groups_claim: ClaimOption = None,
    map: MapOption = None,
    default_role: DefaultOption = None,
    domain: DomainOption = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="May people log in by it?")] = None,
    trust_addresses: TrustOption = None,
    vouch: Annotated[
        bool, typer.Option("--vouch", help="Those whom it lets in may do all that you may, if their role does.")
    ] = False,
) -> None:
    """Change an identity provider: only what is named. --map, --domain and --scope replace what was there; an empty one
    clears it."""
    body = given(name=name, enabled=enabled, trusts_addresses=trust_addresses, vouch=vouch or None)
    body |= fields(session, scope, groups_claim, map, default_role, domain)
    if client_secret is not None:
        body["client_secret"] = read_secret(session, client_secret, "New client secret (empty for none)")
    if not body:
        raise usage("Say what to change.", "See `spark sso provider update --help`.")
    with speaking_of(OPTIONS):
        show(session, session.organization.patch(path(session, provider), body))


@app.verb()
def delete(session: Session, provider: ProviderArgument, yes: YesOption = False) -> None:
    """Trust a provider no longer. The sessions that it opened end; the people whom it let in stay members."""
    place = path(session, provider)
    session.confirm(f"Delete identity provider {provider}? Its sessions end.", yes=yes)
    session.organization.delete(place)
    session.note(f"Deleted {provider}.")


def path(session: Session, provider: str) -> str:
    return f"/{NOUN}/{ids.resolve(session.organization, NOUN, provider)}"


def fields(
    session: Session,
    scope: list[str] | None,
    groups_claim: str | None,
    map: list[str] | None,
    default_role: str | None,
    domain: list[str] | None,
) -> Json:
    """What the options say, as the API wants it."""
    body = given(scopes=several(scope), groups_claim=groups_claim, domains=several(domain))
    if map:
        body["mapping"] = [mapped(session, each) for each in map if each]
    if default_role is not None:
        body["default_role"] = None if default_role == NOBODY else role_id(session, default_role)
    return body


def several(values: list[str] | None) -> list[str] | None:
    """None when nothing was said, which is an empty list here."""
    return [value for value in values if value] if values else None


def mapped(session: Session, text: str) -> Json:
    """`GROUP=ROLE`; the name of a group may have a `=` itself. Raises CliError."""
    group, _, role = text.rpartition("=")
    if not group or not role:
        raise usage(f"--map: {text!r} is no GROUP=ROLE.")
    return {"group": group, "role": role_id(session, role)}


COLUMNS = [
    Column("ID", lambda one: one["id"], style="cyan"),
    Column("NAME", lambda one: one["name"], style="bold", at_most=24),
    Column("ISSUER", lambda one: one["issuer"], flexible=True),
    Column("", lambda one: "" if one["enabled"] else Text("off", "yellow")),
]


def show(session: Session, provider: Json) -> None:
    if session.json:
        session.print_json(provider)
        return
    ceiling = provider["ceiling"]
    mapping = [f"{each['group']} → {each['role']}" for each in provider["mapping"]]
    tables.show_card(
        session.out,
        {
            "provider": Text(provider["name"], "bold"),
            "id": provider["id"],
            "issuer": provider["issuer"],
            "client": f"{provider['client_id']}{'' if provider['has_client_secret'] else ' (no secret)'}",
            "asks for": " ".join(provider["scopes"]),
            "groups in": provider["groups_claim"],
            "groups": "\n".join([*mapping, f"others → {provider['default_role'] or 'refused'}"]),
            "domains": " ".join(provider["domains"]) or "all",
            "addresses": "trusted" if provider["trusts_addresses"] else "those it verified",
            "may do": "what their role allows" if ceiling is None else f"at most {', '.join(ceiling) or 'nothing'}",
            "enabled": "yes" if provider["enabled"] else "no",
            "made": f"{times.ago(provider['created_at'], session.now)} by {provider['created_by']}",
        },
    )
