"""The entry point of `spark`: one sub-command per noun."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from cli import (
    account,
    admin,
    api_keys,
    audit,
    dead_letters,
    identity_providers,
    members,
    mfa,
    organizations,
    profiles,
    projects,
    roles,
    runs,
    schedules,
    service_accounts,
    sources,
    workflows,
)
from cli.doctor import command as doctors
from cli.errors import EXIT_STATUS
from cli.local import commands as local
from cli.session import JsonOption, NoColorOption, ProfileOption, ProjectOption, in_session, remember

app = typer.Typer(
    name="spark",
    help="Runs LangFlow flows on Lambda, SQS and DynamoDB. Begin with `spark local up` or `spark config set`.",
    epilog=EXIT_STATUS,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may hold keys
)
app.add_typer(sources.app, name="source")
app.add_typer(workflows.app, name="workflow")
app.add_typer(schedules.app, name="schedule")
app.add_typer(runs.app, name="run")
app.add_typer(runs.app, name="task", help="The same as run.")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(audit.app, name="audit")
app.add_typer(organizations.app, name="org")
app.add_typer(projects.app, name="project")
app.add_typer(api_keys.app, name="key")
app.add_typer(service_accounts.app, name="service-account")
app.add_typer(roles.app, name="role")
app.add_typer(members.app, name="member")
app.add_typer(identity_providers.sso, name="sso")
account.app.add_typer(mfa.app, name="mfa")
app.add_typer(account.app, name="account")
app.add_typer(admin.app, name="admin")
app.add_typer(profiles.app, name="config")
app.add_typer(local.app, name="local")
for command in (account.login, account.logout, account.whoami, members.invite):
    app.command()(in_session(command))
app.command(epilog=doctors.EXIT_STATUS)(in_session(doctors.doctor))
# What users of AutoMagik Spark type, and what fingers type anyway.
PLURALS = {
    sources: "sources",
    workflows: "workflows",
    schedules: "schedules",
    runs: "runs tasks",
    projects: "projects",
    api_keys: "keys",
    roles: "roles",
    members: "members",
}
for noun, plurals in PLURALS.items():
    for plural in plurals.split():
        app.add_typer(noun.app, name=plural, hidden=True)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spark {installed_version()}")
        raise typer.Exit


def installed_version() -> str:
    try:
        return version("spark")
    except PackageNotFoundError:
        return "(not installed)"


@app.callback()
def root(
    context: typer.Context,
    profile: ProfileOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
    no_color: NoColorOption = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    remember(context, profile, project, json, no_color)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
