"""One stack for all e2e tests, with a short executor timeout so that lost workers heal while one watches.

Its functions may do what template.yaml grants them and nothing else. Only what people start for themselves lets
everybody do everything: `make demo`, `spark local up` and the benchmarks.

SPARK_E2E_STACK says in which emulator it is: `ministack`, or `localstack`, to which SAM deploys.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.deployment import EMULATOR, Deployment, deployment
from tests.stub_langflow import ECHO, StubLangFlow

SHORT = {
    "ExecutorTimeoutSeconds": "20",
    "RunVisibilitySeconds": "30",
    "ExecutorConcurrency": "8",
    "WakeAfterSeconds": "10",
    "Sms": "on",
    "Outbox": "",  # text messages go to SNS
}
KEY = "only-for-langflow"
# Files that are about one of the emulators. The demo, `spark local`, the simulation, traces, the runbooks and the
# search for secrets start MiniStack themselves. Grants need an emulator that enforces them, endings one that works on
# several batches at once.
ABOUT = {
    "ministack": [
        "test_demo.py",
        "test_endings.py",
        "test_grants.py",
        "test_local_stack.py",
        "test_operations.py",
        "test_sam_deploy.py",
        "test_sam_local.py",
        "test_secrets.py",
        "test_simulation.py",
        "test_traces.py",
    ],
    "localstack": ["test_localstack.py"],
}
# How the reason of a skip begins that must not be overlooked: what would have been tried was not there.
NOT_RUN = "NOT RUN: "
collect_ignore = [file for emulator, files in ABOUT.items() if emulator != EMULATOR for file in files]
# What LocalStack cannot do: these tests must fail there, each with this very error.
CANNOT: dict[str, dict[str, tuple[pytest.RaisesExc[BaseException], str]]] = {
    "localstack": {
        "test_without_its_grants_a_function_can_do_nothing": (
            pytest.RaisesExc(pytest.fail.Exception, match="DID NOT RAISE"),
            "LocalStack's free plan does not enforce IAM: the tick succeeds without its grants",
        ),
        "test_runs_of_a_schedule_that_may_not_overlap_are_left_out": (
            pytest.RaisesExc(AssertionError, match="At index 1 diff: 'completed' != 'skipped'"),
            "LocalStack has one batch in work at a time, whatever MaximumConcurrency: the runs do not overlap",
        ),
    }
}


def pytest_report_header() -> str:
    return f"e2e tests on {EMULATOR}; about another one, hence left out: {', '.join(collect_ignore)}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end what was not tried here, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, tests in Counter(str(report.longrepr[2]) for report in skipped).items():
        if NOT_RUN in reason:
            terminalreporter.section(f"{tests} tests NOT RUN", red=True, bold=True)
            terminalreporter.write_line(reason.partition(NOT_RUN)[2])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in CANNOT.get(EMULATOR, {}):
            raises, reason = CANNOT[EMULATOR][item.name]
            item.add_marker(pytest.mark.xfail(strict=True, raises=raises, reason=reason))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder: Path = tmp_path_factory.mktemp("stack")
    with deployment(folder, SHORT, enforce_iam=True) as running:
        yield running
        running.api.close()


@pytest.fixture
def stub() -> Iterator[StubLangFlow]:
    with StubLangFlow() as running:
        yield running


@pytest.fixture
def echo(spark: Deployment, stub: StubLangFlow) -> str:
    """A workflow of a flow that answers its input, on a LangFlow that misbehaves when told to."""
    source = spark.add_source("stub", stub.url, KEY)
    return spark.import_flow(source, ECHO)
