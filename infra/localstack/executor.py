"""LocalStack's `process` runtime executor: execution environments of functions are processes instead of containers.

LocalStack's own needs Docker and images. This one is chosen by LAMBDA_RUNTIME_EXECUTOR=process. Functions run on the
Python that runs LocalStack, whatever their `Runtime`, and share the machine's file system and network.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from threading import Thread

from localstack import config
from localstack.runtime import hooks
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from infra.localstack.bootstrap import tie
from infra.localstack.runtime_api import LOOPBACK, Answer, Event, RuntimeApi

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
PASSED_ON = ("PATH", "LANG")


class Worker:
    """A process of a function, and the runtime API it talks to."""

    def __init__(self, code: Path, handler: str, environment: dict[str, str]) -> None:
        self.api = RuntimeApi()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 open as long as the process lives
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-P", str(BOOTSTRAP), sysconfig.get_path("platlib"), handler],
            cwd=code,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": self.api.address, "PYTHONPATH": str(code)},
            stdin=subprocess.PIPE,  # ends the process with ours: see bootstrap.tie
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        Thread(target=self._watch, name="lambda-process", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can take another event."""
        return self._process.poll() is None

    def invoke(self, event: Event) -> InvocationResult:
        """Run the function once, for at most its timeout."""
        said = os.fstat(self._log.fileno()).st_size
        try:
            answer = self.api.send(event).result(event.timeout)
        except TimeoutError:
            answer = error("Sandbox.Timedout", f"Task timed out after {event.timeout:.2f} seconds")
            self.stop()
        return InvocationResult(event.request_id, answer.payload, answer.is_error, self.logs(said))

    def logs(self, since: int = 0) -> str:
        """What it wrote, from that byte on."""
        length = os.fstat(self._log.fileno()).st_size - since
        return os.pread(self._log.fileno(), length, since).decode(errors="replace")

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def _watch(self) -> None:
        code = self._process.wait()
        self.api.settle(error("Runtime.ExitError", f"Runtime exited with status {code}"))
        self.api.close()


class ProcessExecutor(RuntimeExecutor):
    """One execution environment: a process, and another one when that has ended, as Lambda has it."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._environment: dict[str, str] = {}
        self._worker: Worker | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        """Start a process.

        Raises:
            StatusErrorException: it did not come as far as asking for an event.
        """
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._environment = {**passed_on, **{name: str(value) for name, value in env_vars.items()}}
        failure = self._start().api.started.result()
        if failure is not None:
            raise StatusErrorException("Environment startup failed", payload=failure.payload)

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._worker:
            self._worker.stop()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Run the function on the event in `payload`."""
        worker = self._worker if self._worker and self._worker.alive else self._start()
        return worker.invoke(
            Event(
                request_id=payload["invoke-id"],
                function_arn=payload["invoked-function-arn"],
                trace_id=payload["trace-id"],
                payload=payload["payload"].encode(),
                timeout=self.function_version.config.timeout,
            )
        )

    def get_logs(self) -> str:
        """All that the process wrote."""
        return self._worker.logs() if self._worker else ""

    def get_address(self) -> str:
        """Where the process is."""
        return LOOPBACK

    def get_endpoint_from_executor(self) -> str:
        """The host under which the process finds LocalStack."""
        return LOOPBACK

    def get_runtime_endpoint(self) -> str:
        """Where a container would report to; a process does not."""
        return f"http://{LOOPBACK}:{config.GATEWAY_LISTEN[0].port}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpack the code."""
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Leave the code: it goes with LocalStack's folder."""

    def _start(self) -> Worker:
        settings = self.function_version.config
        self._worker = Worker(settings.code.get_unzipped_code_location(), settings.handler, self._environment)
        return self._worker


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    """How LocalStack finds the executor."""

    name = "process"

    def load(self, *_: object, **__: object) -> type[RuntimeExecutor]:
        """The class whose objects are execution environments."""
        return ProcessExecutor


@hooks.on_infra_start()
def tied() -> None:
    """LocalStack ends with whoever started it; without this it would outlive a test run that is killed."""
    tie()


def error(type: str, message: str) -> Answer:
    """What the caller gets in place of an answer, in the shape of Lambda."""
    return Answer(json.dumps({"errorType": type, "errorMessage": message}).encode(), is_error=True)
