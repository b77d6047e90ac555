"""What facts about a deployment mean: can it be reached, does it work? Each check is a pure function.

What is unknown is skipped and says why. What there is to say of keys and of settings stands in files of their own.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import httpx

from cli.client import LOOPBACK
from cli.doctor import key_checks, setting_checks
from cli.doctor.facts import Facts, Finding, Json, Level, Moot, StackFacts, Unknown, named, skip
from cli.times import parse_instant, rough

Check = Callable[[Facts], Iterator[Finding]]
ok, warn, fail = Level.ok, Level.warn, Level.fail

RENEWAL = timedelta(days=21)  # of a certificate; who renews by themselves does it a month before its end
AHEAD_SECONDS, FAR_AHEAD_SECONDS = 5, 30  # promises hold for clocks up to 30 s apart
TICK_LATE = timedelta(minutes=3)  # as the alarm TickMissing has it
LATELY = timedelta(days=7)


def reachable(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.health, Unknown):
        hint = "Is the address right (spark config get)? Does the stack exist, is this machine online?"
        yield Finding("reachable", fail, f"{facts.url} does not answer: {facts.health.reason}", hint)
    elif facts.health != httpx.codes.OK:
        hint = "Below 500: it is something else than Spark. From 500 on: see the log of the API."
        yield Finding("reachable", fail, f"{facts.url} answers {facts.health}", hint)
    else:
        yield Finding("reachable", ok, f"{facts.url} answers")


def ready(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.ready, Unknown):
        yield skip("ready", facts.ready)
    elif facts.ready is not None:
        yield Finding("ready", fail, facts.ready, "See health.no_answer in the log of the API, and AWS's status page.")
    else:
        yield Finding("ready", ok, "table and queue answer")


def tls(facts: Facts) -> Iterator[Finding]:
    parts = urlsplit(facts.url)
    if parts.scheme != "https":
        if parts.hostname in LOOPBACK:
            yield Finding("tls", ok, "plain HTTP stays on this machine")
        else:
            yield Finding("tls", fail, "keys cross the network in the clear", "Use the https address of the API.")
    elif isinstance(facts.certificate, Unknown):
        yield skip("tls", facts.certificate)
    else:
        left = facts.certificate.until - facts.now
        said = f"certificate of {facts.certificate.issuer} is valid for {max(left.days, 0)} more days"
        hint = "Renew it; one of ACM renews by itself as long as its DNS record stays."
        yield Finding("tls", ok, said) if left > RENEWAL else Finding("tls", warn, said, hint)


def clock(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.ahead_seconds, Unknown):
        yield skip("clock", facts.ahead_seconds)
        return
    apart = abs(facts.ahead_seconds)
    way = "ahead of" if facts.ahead_seconds > 0 else "behind"
    said = f"the deployment's is {apart:.0f} s {way} this machine's"
    hint = "AWS keeps time: set this machine's by NTP. Codes of second factors and --since go by it."
    level = ok if apart <= AHEAD_SECONDS else warn if apart <= FAR_AHEAD_SECONDS else fail
    yield Finding("clock", level, said if level != ok else "in step", "" if level == ok else hint)


def tick(facts: Facts) -> Iterator[Finding]:
    """By what should have been looked after, and by the alarm on silence, where that may be seen."""
    if isinstance(facts.deployment, Unknown):
        yield skip("tick", facts.deployment)
        return
    text = facts.deployment["oldest_due_at"]
    waits = facts.now - parse_instant(text) if text else timedelta(0)
    if waits > TICK_LATE:
        hint = "See the log of the tick, and whether its rule is on. docs/operations.md, TickMissing."
        yield Finding("tick", fail, f"work has been due for {rough(waits.total_seconds())}", hint)
    elif text:
        yield Finding("tick", ok, f"what is due has waited for {rough(max(waits.total_seconds(), 0))}")
    elif _rings_not(facts.stack, "TickMissing"):
        yield Finding("tick", ok, "nothing is due, and TickMissing does not ring")
    else:
        reason = "nothing is due, so a tick that is gone would leave no trace; --stack asks its alarm"
        yield skip("tick", Moot(reason) if isinstance(facts.stack, Moot) else Unknown(reason))


def dead_letters(facts: Facts) -> Iterator[Finding]:
    """Those of the last week that nobody ran again; older ones have been lived with."""
    if isinstance(facts.dead_letters, Unknown):
        yield skip("dead letters", facts.dead_letters)
        return
    since = facts.now - LATELY
    fresh = [
        each for each in facts.dead_letters if not each["redriven_run_id"] and parse_instant(each["created_at"]) > since
    ]
    if fresh:
        said = f"{len(fresh)} of the last week were not run again"
        yield Finding("dead letters", warn, said, "spark dead-letters list, then redrive what still matters")
    else:
        looked_at = facts.counted("dead_letters", facts.dead_letters)
        yield Finding("dead letters", ok, f"none of the last week is left, of {looked_at}")


def sources(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.sources, Unknown):
        yield skip("sources", facts.sources)
        return
    used = [each for each in facts.sources if each["status"] == "active"]
    seen = [each for each in used if each["check"]]
    bad = [each for each in seen if not each["check"]["reachable"] or each["check"]["key_valid"] is False]
    hint = "spark source check SOURCE says why"
    well = Finding("sources", ok, f"{len(seen)} of {facts.counted('sources', used)} were looked at and are well")
    yield from named("sources", bad, "did not answer when last looked at, or refused the key", hint) or [well]


def schedules(facts: Facts) -> Iterator[Finding]:
    """Those that cannot fire, and those that Spark itself paused since they failed."""
    if isinstance(facts.schedules, Unknown):
        yield skip("schedules", facts.schedules)
        return
    stuck = [_with_name(each) for each in facts.schedules if each["state"] == "active" and not each["next_fire_at"]]
    paused = [_with_name(each) for each in facts.schedules if "in a row" in (each["pause_reason"] or "")]
    cure = "spark run list --status failed says why; then spark schedule resume"
    found = [
        *named("schedules", stuck, "cannot fire: their timing is not understood", "spark schedule get SCHEDULE"),
        *named("schedules", paused, "were paused after failures", cure),
    ]
    yield from found or [Finding("schedules", ok, f"{facts.counted('schedules', facts.schedules)} in order")]


CHECKS: Sequence[Check] = (
    *(reachable, ready, tls, clock, tick, dead_letters, sources, schedules),
    *key_checks.CHECKS,
    *setting_checks.CHECKS,
)


def _with_name(schedule: Json) -> Json:
    return {"name": schedule["settings"]["name"]}


def _rings_not(stack: StackFacts | Unknown, alarm: str) -> bool:
    if isinstance(stack, Unknown) or isinstance(stack.alarms, Unknown):
        return False
    return any(alarm in each.name and each.state == "OK" for each in stack.alarms)
