"""The local stack: all of Spark on this machine, in an emulator of AWS. What `spark local` and the e2e tests call.

stack = Stack(port=ports.free(), state_dir=folder, parameters={"ExecutorTimeoutSeconds": "5"})
here = up(stack)         # idempotent; seconds when nothing changed
httpx.get(f"{here.api_url}/health")
down(stack, wipe=True)
"""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from cli.local import deployment, emulator, pidfile
from cli.local.bundles import bundle
from cli.local.clients import Clients, clients
from cli.local.deployment import Outputs, Progress, silent
from cli.local.layout import Layout, layout
from cli.local.template import for_emulator, functions, load, local_parameters, parameters
from cli.local.troubles import DeployFailed, NotRunning, TickFailed

PORT = 4566
# LangFlow is on this machine, too. Whoever has others lists them, with these, in samconfig's `local`.
OUTBOUND = {"OutboundAllow": "127.0.0.0/8,::1"}
TICK_EVENT = "events/eventbridge_tick.json"
ANSWERS_WITHIN_SECONDS = 10.0  # 0.5 s on an idle machine
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Stack:
    """A local stack, running or not. Stacks with different ports and state folders live side by side."""

    port: int = PORT
    state_dir: Path | None = None  # .local/stack in the checkout
    project: Path | None = None  # this checkout
    parameters: Mapping[str, str] = field(default_factory=dict)  # of template.yaml, over samconfig's `local`
    environment: Mapping[str, str] = field(default_factory=dict)  # of every function, over the template's
    enforce_iam: bool = False  # functions may do only what the template grants them

    @property
    def layout(self) -> Layout:
        """Where it keeps what."""
        return layout(self.state_dir, self.project)


@dataclass(frozen=True)
class RunningStack:
    """How to reach a stack that is up."""

    api_url: str
    docs_url: str
    api_key: str
    endpoint_url: str
    table: str
    run_queue_url: str
    dead_letter_queue_url: str
    payload_bucket: str
    functions: Mapping[str, str]  # api, tick, executor, dead_letters → function name


def up(stack: Stack, progress: Progress = silent) -> RunningStack:
    """Start what does not run, deploy what changed; return when the API answers."""
    with _alone(stack.layout):
        if emulator.crashed(stack.layout):
            progress("the last stack did not stop in order: going back to what it had saved before")
        if emulator.start(stack.layout, stack.port, enforce_iam=stack.enforce_iam):
            progress("starting the emulator")
        return _up(stack, progress)


def down(stack: Stack, *, wipe: bool = False) -> bool:
    """Stop the emulator and keep its state, or forget it. False if it had to be killed and could not save."""
    with _alone(stack.layout):
        saved = emulator.stop(stack.layout)
        if wipe:
            stack.layout.wipe()
        return saved


def reset(stack: Stack, progress: Progress = silent) -> RunningStack:
    """The same stack, empty."""
    down(stack, wipe=True)
    return up(stack, progress)


def tick(stack: Stack, now: datetime, as_of: datetime | None = None) -> Any:
    """Run the minute tick as EventBridge would at that time; what it answered.

    Args:
        as_of: fire schedules as if it were then.
    """
    operator = connect(stack)
    event = json.loads((stack.layout.project / TICK_EVENT).read_text(encoding="utf-8"))
    then = {} if as_of is None else {"as_of": as_of.isoformat()}
    payload = json.dumps({**event, "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"), **then})
    answer = operator.functions.invoke(FunctionName=deployed(operator)["TickFunctionName"], Payload=payload.encode())
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise TickFailed(f"The tick failed: {said.get('errorMessage')}", "`spark local logs tick` says more.")
    return said


def connect(stack: Stack) -> Clients:
    """Clients of a stack that is up."""
    return clients(port(stack))


def port(stack: Stack) -> int:
    """The port a running stack was started on."""
    entry = pidfile.read(stack.layout.pid_file)
    if entry is None or pidfile.process(entry) is None:
        raise NotRunning("The local stack is not running.", "`spark local up` starts it.")
    return entry.port


def usual_port(stack: Stack) -> int:
    """The port the state was made on; that of the stack, if there is no state."""
    return emulator.port_of_state(stack.layout) or stack.port


def deployed(operator: Clients) -> Outputs:
    """The outputs of the deployed stack."""
    found = deployment.find(operator)
    if found is None:
        raise NotRunning("The emulator runs, but nothing is deployed.", "`spark local up` deploys.")
    return deployment.outputs_of(found)


def describe(operator: Clients, outputs: Outputs, endpoint_url: str) -> RunningStack:
    """How to reach the deployed stack."""
    api_url = f"{endpoint_url}/_aws/execute-api/{outputs['ApiId']}"
    secret = json.loads(operator.secrets.get_secret_value(SecretId=outputs["BootstrapSecretArn"])["SecretString"])
    return RunningStack(
        api_url=api_url,
        docs_url=f"{api_url}/api/v1/docs",
        api_key=f"spk_{secret['key_id']}_{secret['secret']}",
        endpoint_url=endpoint_url,
        table=outputs["TableName"],
        run_queue_url=outputs["RunQueueUrl"],
        dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
        payload_bucket=outputs["PayloadBucket"],
        functions=function_names(outputs),
    )


def function_names(outputs: Outputs) -> dict[str, str]:
    """Folder → name of the deployed function."""
    return {
        "api": outputs["ApiFunctionName"],
        "tick": outputs["TickFunctionName"],
        "executor": outputs["ExecutorFunctionName"],
        "dead_letters": outputs["DeadLettersFunctionName"],
    }


def _up(stack: Stack, progress: Progress) -> RunningStack:
    here = stack.layout
    template = load(here.project)
    outbox = {"Outbox": str(here.state_dir / "outbox"), "Sms": "on"}
    values = parameters(template, {**OUTBOUND, **outbox, **local_parameters(here.project), **stack.parameters})
    progress("preparing the functions")  # while the emulator starts
    bundles = {name: bundle(here, folder) for name, folder in functions(template).items()}
    emulator.wait(here, stack.port)
    operator = clients(stack.port)
    local = for_emulator(
        template,
        values,
        bundles,
        bucket=deployment.CODE_BUCKET,
        emulator=here.project / "infra" / "emulator",
        environment=stack.environment,
    )
    outputs = deployment.deploy(operator, local, values, list(bundles.values()), progress)
    running = describe(operator, outputs, emulator.endpoint(stack.port))
    progress("waiting for the API")
    _answers(stack.layout, running)
    return running


def _answers(here: Layout, running: RunningStack) -> None:
    """Return when the API has answered; the first answer is a cold start. Only the emulator knows why there is none."""
    deadline = time.monotonic() + ANSWERS_WITHIN_SECONDS
    while True:
        answer = httpx.get(f"{running.api_url}/health", trust_env=False, timeout=ANSWERS_WITHIN_SECONDS)
        if answer.is_success:
            return
        if time.monotonic() > deadline:
            said = "\n".join(emulator.log_tail(here).splitlines()[-3:])
            raise DeployFailed(f"The API answers {answer.status_code}. The emulator said:\n{said}")
        time.sleep(POLL_SECONDS)


@contextmanager
def _alone(here: Layout) -> Iterator[None]:
    """One `up` or `down` at a time per state folder."""
    here.state_dir.mkdir(parents=True, exist_ok=True)
    with here.lock.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
