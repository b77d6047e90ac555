"""What facts about a stack in AWS mean. Each check is a pure function, as those of `checks`."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from cli.doctor.facts import GONE, Alarm, Facts, Finding, Level, Moot, StackFacts, Unknown, is_emulator, skip

T = TypeVar("T")
Check = Callable[[StackFacts], Iterator[Finding]]
ok, warn, fail = Level.ok, Level.warn, Level.fail

YOUNG = timedelta(minutes=15)  # so long may alarms ring that wait for a first sign of life, and a mail lie unread
# When AWS gives each runtime up, as https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html foretells; known
# from three copies of that page of July 2026, for the page itself was out of reach on 2026-11-21.
DEPRECATED: dict[str, date] = {
    "python3.10": date(2026, 10, 31),
    "python3.11": date(2027, 6, 30),
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
AHEAD = timedelta(days=180)
GOOD_STATES = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
ROLLED_BACK = "UPDATE_ROLLBACK_COMPLETE"
CONFIRMED = "arn:"
MOST_RECOVERY_DAYS = 35
# "at least six times the function timeout": https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY = 6


def deployed(stack: StackFacts) -> Iterator[Finding]:
    if stack.status in GOOD_STATES:
        yield Finding("stack", ok, f"{stack.name} is {stack.status}")
    elif stack.status == ROLLED_BACK or stack.status.endswith("_IN_PROGRESS"):
        hint = "aws cloudformation describe-stack-events says what failed; the version before is in use."
        yield Finding("stack", warn, f"{stack.name} is {stack.status}", hint)
    else:
        yield Finding("stack", fail, f"{stack.name} is {stack.status}", "docs/operations.md, Rolling back.")


def alarms(stack: StackFacts) -> Iterator[Finding]:
    if isinstance(stack.alarms, Unknown):
        yield skip("alarms", stack.alarms)
        return
    if not stack.alarms:
        yield Finding("alarms", fail, "the stack has none", "Deploy template.yaml as it is.")
        return
    is_young = stack.now - stack.created_at < YOUNG
    found = [finding for each in stack.alarms for finding in _alarm(each, is_young=is_young)]
    yield from found or [Finding("alarms", ok, f"none of {len(stack.alarms)} rings")]


def _alarm(alarm: Alarm, *, is_young: bool) -> Iterator[Finding]:
    if alarm.state == GONE:
        hint = "CloudFormation does not notice: change something of it in the template, such as its text, and deploy."
        yield Finding("alarms", fail, f"{alarm.name} was deleted", hint)
    elif alarm.state == "ALARM":
        yield Finding("alarms", warn if is_young else fail, f"{alarm.name} rings", alarm.said)
    elif alarm.state != "OK" and not is_young:  # all of ours say what it means that there are no data
        hint = "It was never evaluated. aws cloudwatch describe-alarms, StateReason."
        yield Finding("alarms", warn, f"{alarm.name} is {alarm.state}", hint)
    if alarm.is_muted:
        hint = f"aws cloudwatch enable-alarm-actions --alarm-names {alarm.name}"
        yield Finding("alarms", warn, f"{alarm.name} tells nobody: its actions are off", hint)


def subscribed(stack: StackFacts) -> Iterator[Finding]:
    if isinstance(stack.subscriptions, Unknown):
        yield skip("alarm topic", stack.subscriptions)
        return
    confirmed = [each for each in stack.subscriptions if each.startswith(CONFIRMED)]
    if confirmed:
        yield Finding("alarm topic", ok, f"{len(confirmed)} subscribed")
        return
    level = warn if stack.is_local else fail
    if stack.subscriptions:
        hint = "Its owner has to follow the link that AWS mailed; it is good for two days."
        said = "the subscription is not confirmed: alarms reach nobody"
        yield Finding("alarm topic", warn if stack.now - stack.created_at < YOUNG else level, said, hint)
    else:
        yield Finding("alarm topic", level, "alarms reach nobody", "Parameter AlarmEmail; or subscribe AlarmTopicArn.")


def dead_messages(stack: StackFacts) -> Iterator[Finding]:
    hint = "docs/operations.md, MessagesNotBuried and DeadLettersWaiting."
    yield _of(
        "dead-letter queue",
        stack.dead_messages,
        lambda count: (fail, f"{count} messages wait", hint) if count else (ok, "empty", ""),
    )


def logs(stack: StackFacts) -> Iterator[Finding]:
    hint = "Parameter LogRetentionDays; for a group that somebody else made: aws logs put-retention-policy"
    groups = stack.log_retention
    gone = [] if isinstance(groups, Unknown) else [name for name, days in groups.items() if days == 0]
    if gone:
        anew = "aws logs create-log-group, then put-retention-policy: a function may not make its own."
        yield Finding("log retention", fail, f"{', '.join(gone)}: deleted, so nothing is logged there", anew)
        return
    yield _of("log retention", groups, lambda days: _lacking(days, "kept for good", hint, _span(days)))


def table(stack: StackFacts) -> Iterator[Finding]:
    """What the template sets and somebody may have changed since. To deploy again changes only what differs between
    templates, so that each hint is a command of its own."""
    update = f"aws dynamodb {{}} --table-name {stack.outputs.get('TableName', 'TABLE')} {{}}"
    protect = update.format("update-table", "--deletion-protection-enabled")
    expire = update.format("update-time-to-live", "--time-to-live-specification Enabled=true,AttributeName=expires_at")
    yield _of("table deletion", stack.is_protected, lambda on: _is(on, "protected", "unprotected", warn, protect))
    yield _of("table recovery", stack.recovery_days, lambda days: _recovery(days, _wanted_days(stack), update))
    yield _of("table expiry", stack.expires, lambda on: _is(on, "on", "off: nothing ever goes", fail, expire))


def _wanted_days(stack: StackFacts) -> int:
    return int(stack.parameters.get("TableRecoveryDays") or MOST_RECOVERY_DAYS)


def _recovery(days: int, wanted: int, update: str) -> tuple[Level, str, str]:
    asked = f"PointInTimeRecoveryEnabled=true,RecoveryPeriodInDays={wanted}"
    hint = update.format("update-continuous-backups", f"--point-in-time-recovery-specification {asked}")
    if days >= wanted:
        return ok, f"to any second of {days} days", ""
    return (warn, f"of {days} days, where the stack asks for {wanted}", hint) if days else (fail, "there is none", hint)


def runtimes(stack: StackFacts) -> Iterator[Finding]:
    if isinstance(stack.runtimes, Unknown):
        yield skip("runtime", stack.runtimes)
        return
    for runtime in sorted(set(stack.runtimes.values())):
        yield _runtime(runtime, stack.now)


def triggers(stack: StackFacts) -> Iterator[Finding]:
    hint = "aws events enable-rule or aws lambda update-event-source-mapping --enabled; first ask who switched it off."
    yield _of("triggers", stack.triggers, lambda on: _lacking(on, "off", hint, f"{len(on)} are on"))


def concurrency(stack: StackFacts) -> Iterator[Finding]:
    """Is a function stopped, as docs/operations.md has it for a restore?"""
    hint = "First ask who stopped it. aws lambda delete-function-concurrency, or put- with what the parameter says."
    kept = stack.concurrency
    may_run = kept if isinstance(kept, Unknown) else {name: count != 0 for name, count in kept.items()}
    yield _of("concurrency", may_run, lambda each: _lacking(each, "may not run", hint, "no function is stopped"))


def visibility(stack: StackFacts) -> Iterator[Finding]:
    """Does a message stay out of sight while an executor works on it, even if Lambda had to try more than once?"""
    said = [stack.parameters.get(name, "") for name in ("RunVisibilitySeconds", "ExecutorTimeoutSeconds")]
    if not all(value.isdecimal() for value in said):
        yield skip("visibility", Unknown("the stack has no parameters RunVisibilitySeconds, ExecutorTimeoutSeconds"))
        return
    hidden, works = map(int, said)
    text = f"{hidden} s, for executors of {works} s"
    hint = f"Parameter RunVisibilitySeconds={works * VISIBILITY}, or a throttled batch is delivered twice."
    yield Finding("visibility", ok, text) if hidden >= works * VISIBILITY else Finding("visibility", warn, text, hint)


def traces(stack: StackFacts) -> Iterator[Finding]:
    """Do traces, and what opens their receiver, cross the network in the clear?"""
    endpoint = stack.parameters.get("OtlpEndpoint", "")
    if not endpoint:
        yield skip("traces", Moot("traces are sent nowhere"))
    elif endpoint.startswith("https:") or is_emulator(endpoint):
        yield Finding("traces", ok, f"go to {endpoint}")
    elif stack.parameters.get("OtlpSecretArn"):
        said = f"{endpoint} gets the headers of OtlpSecretArn in the clear"
        yield Finding("traces", fail, said, "Parameter OtlpEndpoint: its https address. Then change the secret.")
    else:
        yield Finding("traces", warn, f"{endpoint} gets them in the clear", "Parameter OtlpEndpoint: https://…")


def kms(stack: StackFacts) -> Iterator[Finding]:
    hint = "At once: aws kms cancel-key-deletion, then enable-key. docs/operations.md, A KMS key is to be deleted."
    yield _of(
        "KMS key",
        stack.keys,
        lambda states: _lacking(
            {id: state == "Enabled" for id, state in states.items()}, "not enabled", hint, "enabled"
        ),
    )


CHECKS: Sequence[Check] = (
    *(deployed, alarms, subscribed, dead_messages, logs, table),
    *(runtimes, triggers, concurrency, visibility, traces, kms),
)


def findings(facts: Facts) -> Iterator[Finding]:
    """What all checks of the stack say; where there is no stack, that they are skipped."""
    if isinstance(facts.stack, Unknown):
        yield skip("stack", facts.stack)
        return
    for check in CHECKS:
        yield from check(facts.stack)


def _of(check: str, fact: T | Unknown, judge: Callable[[T], tuple[Level, str, str]]) -> Finding:
    return skip(check, fact) if isinstance(fact, Unknown) else Finding(check, *judge(fact))


def _is(on: bool, good: str, bad: str, level: Level, hint: str) -> tuple[Level, str, str]:
    return (ok, good, "") if on else (level, bad, hint)


def _lacking(parts: dict[str, T] | object, bad: str, hint: str, good: str) -> tuple[Level, str, str]:
    """Fails where one of `parts` is nothing: None or False."""
    assert isinstance(parts, dict)
    missing = [name for name, value in parts.items() if not value]
    if not parts:
        return warn, "the stack has none", hint
    return (fail, f"{', '.join(missing)}: {bad}", hint) if missing else (ok, good, "")


def _span(days: object) -> str:
    assert isinstance(days, dict)
    return f"{', '.join(map(str, sorted(set(filter(None, days.values())))))} days"


def _runtime(runtime: str, now: datetime) -> Finding:
    end = DEPRECATED.get(runtime)
    if end is None:
        return skip("runtime", Unknown(f"when AWS gives {runtime} up is not known here"))
    left = datetime(end.year, end.month, end.day, tzinfo=UTC) - now
    said = f"{runtime} is given up by AWS on {end}"
    hint = "Parameter Runtime, and RUNTIME=… for make deploy."
    level = ok if left > AHEAD else warn if left > timedelta(0) else fail
    return Finding("runtime", level, said, "" if level == ok else hint)
