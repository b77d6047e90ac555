"""What facts about settings mean: is the deployment more open than it has to be, and does it forget?"""

import ipaddress
from collections.abc import Iterator, Sequence

from cli.doctor.facts import Facts, Finding, Json, Level, Moot, Unknown, named, skip

ok, warn, fail = Level.ok, Level.warn, Level.fail

# An allow-list names networks of one's own. Larger ones than these are everybody's.
WIDEST = {4: 16, 6: 48}
ENDLESS = 4  # a prefix of so few bits, or fewer, is a sixteenth of all addresses
# Ends of names that belong to nobody on the Internet: a resolver of one's own knows what is below.
PRIVATE = frozenset({"corp", "home", "internal", "intranet", "lan", "local", "localdomain"})
# Below these everybody may have a name, and lets it lead where they like. No list of them is whole; these are the ones
# that clouds hand out, and registries below a country.
SHARED = (
    *(".amazonaws.com", ".amazonaws.com.cn", ".on.aws", ".awsapprunner.com", ".cloudfront.net"),
    *(".azurewebsites.net", ".cloudapp.azure.com", ".cloudapp.net", ".azurecontainerapps.io"),
    *(".appspot.com", ".run.app", ".googleusercontent.com", ".herokuapp.com", ".github.io", ".gitlab.io"),
    *(".vercel.app", ".netlify.app", ".workers.dev", ".pages.dev", ".fly.dev", ".onrender.com"),
    *(".ngrok.io", ".ngrok-free.app", ".ngrok.app", ".trycloudflare.com", ".duckdns.org", ".nip.io", ".sslip.io"),
)
COUNTRY = 2  # letters of the end of a country's names
TOP = frozenset({"app", "cloud", "com", "dev", "info", "net", "org"})
REGISTRIES = frozenset({"ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"})
METADATA = ("169.254.0.0/16", "fd00:ec2::/32")  # who answers there hands out credentials


def outbound(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.deployment, Unknown):
        yield skip("outbound", facts.deployment)
        return
    entries: list[str] = facts.deployment["settings"]["outbound_allow"]
    hint = "Name what is meant in the parameter OutboundAllow: an address, a small network, a host name."
    worst = [(entry, *judged) for entry in entries if (judged := _judge(entry, is_local=facts.is_local))]
    yield from (Finding("outbound", level, f"{entry} {why}", hint) for entry, level, why in worst)
    if not worst:
        yield Finding("outbound", ok, f"public addresses, and {', '.join(entries)}" if entries else "public addresses")


def settings(facts: Facts) -> Iterator[Finding]:
    """What is fit for a local stack, and for no other."""
    if isinstance(facts.deployment, Unknown) or facts.is_local:
        yield skip("settings", facts.deployment if isinstance(facts.deployment, Unknown) else Moot("a local stack"))
        return
    if facts.says_local:
        said = "its stage is local, where the tick fires as of any time that it is told"
        yield Finding("settings", fail, said, "Parameter Stage: another word, wherever others can reach it.")
    said = facts.deployment["settings"]
    found = [Finding("settings", warn, why, f"Parameter {name}.") for name, why in _too_open(said)]
    yield from found or [Finding("settings", ok, "nothing is more open than it has to be")]


def _too_open(said: Json) -> Iterator[tuple[str, str]]:
    """Parameter of the template and what is wrong with it."""
    if said["open_registration"]:
        yield "OpenRegistration", "anybody on the Internet may found an organization"
    if said["letters"] == "none":
        yield "MailFrom", "there are no letters: nobody is invited by mail, or gets over a forgotten password"
    if said["letters"] == "outbox":
        yield "Outbox", "letters go to a folder that is gone with its function"
    if "*" in said["cors_origins"]:
        yield "CorsOrigins", "pages of every origin may call the API"
    if said["requests_per_minute"] == 0:
        yield "RequestsPerMinute", "a key may ask as often as it likes"
    if said["refusals_per_minute"] == 0:
        yield "RefusalsPerMinute", "an address may guess as often as it likes"
    if not said["public_url"]:
        yield "PublicUrl", "letters cannot link to the API"


def retention(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.projects, Unknown):
        yield skip("retention", facts.projects)
        return
    kept = [each for each in facts.projects if each["retention_days"] == 0]
    hint = "spark project update PROJECT --retention-days 90"
    looked_at = facts.counted("projects", facts.projects)
    well = Finding("retention", ok, f"old runs go, in each of {looked_at} projects")
    yield from named("retention", kept, "keep runs for good", hint) or [well]


def _judge(entry: str, *, is_local: bool) -> tuple[Level, str] | None:
    """What is wrong with an entry of the allow-list; None: nothing."""
    try:
        network = ipaddress.ip_network(entry)
    except ValueError:
        return _judge_name(entry)
    if _is_within(network, METADATA):
        return fail, "hands out the functions' own credentials"
    if network.prefixlen <= ENDLESS:
        return fail, "is a good part of all addresses there are" if network.prefixlen else "is every address there is"
    if network.is_loopback and is_local:
        return None
    if network.is_loopback:
        return fail, "is the function itself"
    return (warn, "is wide") if network.prefixlen < WIDEST[network.version] else None


def _judge_name(entry: str) -> tuple[Level, str] | None:
    """A host name is as wide as its owner's hands; with a dot in front it stands for all names below it."""
    labels = entry.strip(".").split(".")
    if not entry.startswith("."):
        return (warn, "is no host: nothing is called so") if len(labels) == 1 and _is_top(labels[0]) else None
    if len(labels) == 1:
        return (warn, "is every inner name") if labels[0] in PRIVATE else (fail, "is everybody's")
    is_registry = len(labels) == 2 and len(labels[1]) == COUNTRY and labels[0] in REGISTRIES
    if is_registry or entry.endswith(SHARED):
        return warn, "is shared: everybody may have a name there, and lets it lead where they like"
    return None


def _is_top(label: str) -> bool:
    """Is it the end of names on the Internet? Of these, only the most used are known here."""
    return len(label) == COUNTRY or label in TOP


def _is_within(network: ipaddress.IPv4Network | ipaddress.IPv6Network, wider: Sequence[str]) -> bool:
    same = (each for each in map(ipaddress.ip_network, wider) if each.version == network.version)
    return any(network.subnet_of(each) for each in same)  # type: ignore[arg-type]  # of one version, as was just seen


CHECKS = (outbound, settings, retention)
