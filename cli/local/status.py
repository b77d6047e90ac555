"""How a local stack is doing, asked part by part: a stack that is half up is described, not refused."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import httpx

from cli.local import deployment, emulator
from cli.local.clients import Clients, clients
from cli.local.deployment import Outputs
from cli.local.stack import RunningStack, Stack, describe, port

HEALTH_WITHIN_SECONDS = 5.0
DEPTHS = {
    "waiting": "ApproximateNumberOfMessages",
    "running": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True)
class Queue:
    """Messages of a queue: to be received, being worked on, to appear later."""

    waiting: int
    running: int
    delayed: int


@dataclass(frozen=True)
class Status:
    """A running stack, as far as it answers."""

    pid: int
    port: int
    started_at: datetime
    memory_megabytes: int
    emulator: str  # its version; empty if it does not answer
    stack: str = "not deployed"  # CloudFormation's word
    resources: int = 0
    api: str = "does not answer"  # its health, in its own word
    run_queue: Queue | None = None
    dead_letter_queue: Queue | None = None
    workers: dict[str, int] = field(default_factory=dict)  # function → running environments
    here: RunningStack | None = None


def status(stack: Stack) -> Status:
    """The status of a stack that runs; `NotRunning` if it does not."""
    number = port(stack)
    process = emulator.running(stack.layout)
    assert process  # `port` has just seen it
    started = datetime.fromtimestamp(process.create_time(), UTC)
    known = Status(process.pid, number, started, process.memory_info().rss >> 20, _version(number))
    operator = clients(number)
    found = deployment.find(operator) if known.emulator else None
    if found is None:
        return known
    return _deployed(stack, known, operator, found["StackStatus"], deployment.outputs_of(found))


def _deployed(stack: Stack, known: Status, operator: Clients, word: str, outputs: Outputs) -> Status:
    resources = operator.cloudformation.describe_stack_resources(StackName=deployment.STACK)["StackResources"]
    here = describe(operator, outputs, emulator.endpoint(known.port))
    return replace(
        known,
        stack=word,
        resources=len(resources),
        api=_health(here),
        run_queue=_queue(operator, here.run_queue_url),
        dead_letter_queue=_queue(operator, here.dead_letter_queue_url),
        workers={name: len(emulator.workers(stack.layout, full)) for name, full in here.functions.items()},
        here=here,
    )


def _queue(operator: Clients, url: str) -> Queue:
    answer = operator.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return Queue(**{name: int(answer[attribute]) for name, attribute in DEPTHS.items()})  # type: ignore[index]


def _health(here: RunningStack) -> str:
    try:
        answer = httpx.get(f"{here.api_url}/health", trust_env=False, timeout=HEALTH_WITHIN_SECONDS)
    except httpx.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    return "healthy" if answer.is_success else f"answers {answer.status_code}"


def _version(number: int) -> str:
    try:
        answer = httpx.get(f"{emulator.endpoint(number)}/_ministack/health", trust_env=False, timeout=2).json()
    except (httpx.HTTPError, ValueError):
        return ""
    return f"MiniStack {answer.get('version', '')}"
