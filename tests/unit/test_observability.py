"""What is logged."""

import os
import subprocess
import sys

import pytest

from cli.local.layout import PROJECT
from shared.observability import those
from tests.world import a_run


@pytest.mark.parametrize(("wanted", "number"), [("DEBUG", 10), ("INFO", 20), ("WARN", 30), ("ERROR", 40)])
def test_our_level_counts_and_not_the_one_that_lambda_filters_by(wanted: str, number: int) -> None:
    environment = {"PATH": os.defpath, "SPARK_LOG_LEVEL": wanted, "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    command = [sys.executable, "-c", "from shared.observability import logger; print(logger.log_level)"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == number


def test_a_line_about_many_runs_names_each_of_them_and_once_who_asked() -> None:
    first, second = a_run(1, correlation_id="import-7"), a_run(2, correlation_id="import-7")
    assert those(iter([first, second])) == {
        "runs": 2,
        "run_ids": [first.id, second.id],
        "correlation_ids": ["import-7"],
    }


ANSWERS_A_SECRET = """
from aws_xray_sdk.core import xray_recorder
from shared import observability

class Sent:
    def send_entity(self, entity):
        print(entity.serialize())

xray_recorder.emitter = Sent()
observability.traced(lambda event, context: {"body": "spk_secret"})({}, None)
"""


def test_x_ray_is_told_of_a_call_and_not_of_its_answer() -> None:
    environment = {
        "PATH": os.defpath,
        "SPARK_TRACING": "true",
        "POWERTOOLS_SERVICE_NAME": "tests",
        "LAMBDA_TASK_ROOT": "/var/task",
        "_X_AMZN_TRACE_ID": f"Root=1-{'0' * 8}-{'0' * 24};Parent={'0' * 16};Sampled=1",
    }
    command = [sys.executable, "-c", ANSWERS_A_SECRET]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert '"name": "## lambda"' in done.stdout
    assert "spk_secret" not in done.stdout
