"""The command itself: whom to ask, what to print, how to end."""

from dataclasses import asdict, replace
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text

from cli import config, tables
from cli.client import LOOPBACK
from cli.config import Profile
from cli.doctor import amazon, checks, gathering, stack_checks
from cli.doctor.facts import Facts, Finding, Level, StackFacts, Unknown
from cli.errors import ExitCode, usage
from cli.session import Session
from cli.tables import Column

COLOURS = {Level.ok: "green", Level.warn: "yellow", Level.fail: "red", Level.skipped: "dim"}
EXIT_STATUS = "Exit status: 0 nothing failed, 1 something did, 2 wrong usage, 4 AWS shows no such stack."


def doctor(
    session: Session,
    stack: Annotated[
        str | None,
        typer.Option("--stack", metavar="NAME", help="Ask AWS about this stack, too, with your credentials."),
    ] = None,
    first_key: Annotated[
        bool, typer.Option("--first-key", help="With --stack: come with the first key, from Secrets Manager.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="A warning is a failure, and so is what could not be looked at.")
    ] = False,
) -> None:
    """Check a deployment, and say what to do. What cannot be looked at is skipped, and says why."""
    if first_key and not stack:
        raise usage("--first-key needs --stack: whose first key?")
    facts = with_stack(session, stack, first_key=first_key) if stack else gathering.gather(session, session.profile)
    found = diagnose(facts)
    show(session, facts, found)
    if any(fails(each, strict=strict) for each in found):
        raise typer.Exit(ExitCode.failed)


def fails(finding: Finding, *, strict: bool) -> bool:
    """Does the command fail for it? A monitor that lost its rights shall not stay green, so a strict one fails for what
    it could not look at, too; but not for what is not there to be looked at."""
    if not strict:
        return finding.level is Level.fail
    return finding.level is not Level.ok and not finding.is_moot


def with_stack(session: Session, name: str, *, first_key: bool) -> Facts:
    """What the API and AWS say. The address is the stack's; the key that of the profile with this address."""
    client = amazon.clients()
    stack = amazon.gather(client, name, session.now)
    profile = profile_of(session, stack)
    if first_key:
        require_own(profile, stack)
    key = amazon.first_key(client, stack) if first_key else None
    if isinstance(key, Unknown):
        session.note(f"The first key is not ours to read ({key.reason}): what needs a key is skipped.", "yellow")
    elif key is not None:
        profile = replace(profile.without_person, api_key=key)
    return replace(gathering.gather(session, profile, borrowed=isinstance(key, str)), stack=stack)


def profile_of(session: Session, stack: StackFacts) -> Profile:
    """The profile that was named; else the one with an address of the stack's; else one without a key."""
    if session.choices.get("profile"):
        return session.profile
    addresses = addresses_of(stack)
    known = (each for each in config.load().profiles.values() if each.url in addresses)
    return next(known, Profile(stack.name, addresses[0]))


def require_own(profile: Profile, stack: StackFacts) -> None:
    """Raises CliError where the stack's first key would go to somebody else. Emulators have more than one address, and
    these are on this machine."""
    if profile.url not in addresses_of(stack) and urlsplit(profile.url).hostname not in LOOPBACK:
        raise usage(f"{profile.url} is not where {stack.name} answers: its first key is not sent there.")


def addresses_of(stack: StackFacts) -> list[str]:
    """Where the API answers, by the stack's own word: its own address, and a domain's that leads there. Raises
    CliError."""
    if "ApiUrl" not in stack.outputs:
        raise usage(f"The stack {stack.name!r} has no output ApiUrl.", "Is it one of Spark, and deployed?")
    public = stack.parameters.get("PublicUrl", "")
    return [config.normal_url(url) for url in (stack.outputs["ApiUrl"], public) if url]


def diagnose(facts: Facts) -> list[Finding]:
    """All that the checks say."""
    own = [finding for check in checks.CHECKS for finding in check(facts)]
    return [*own, *stack_checks.findings(facts)]


def show(session: Session, facts: Facts, found: list[Finding]) -> None:
    """A line for each finding, what to do about it on the next ones, and the sum of it all."""
    counts = {level.value: sum(each.level is level for each in found) for level in Level}
    if session.json:
        session.print_json({"url": facts.url, "counts": counts, "findings": [asdict(each) for each in found]})
        return
    tables.show_table(session.out, [asdict(each) for each in found], COLUMNS)
    for each in found:
        if each.hint:
            session.note(f"{each.check}: {each.hint}", COLOURS[each.level])
    if not isinstance(facts.stack, Unknown) and "BootstrapSecretArn" in facts.stack.outputs:
        session.note(f"The first key is kept in {facts.stack.outputs['BootstrapSecretArn']}", "dim")
    session.note(", ".join(f"{count} {level}" for level, count in counts.items()))


COLUMNS = [
    Column("", lambda row: Text(row["level"], COLOURS[row["level"]])),
    Column("CHECK", lambda row: row["check"], style="bold"),
    Column("FINDING", lambda row: row["said"], flexible=True),
]
