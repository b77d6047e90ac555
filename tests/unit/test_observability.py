"""What is logged."""

import os
import subprocess
import sys

import pytest

from cli.local.layout import PROJECT


@pytest.mark.parametrize(("wanted", "number"), [("DEBUG", 10), ("INFO", 20), ("WARN", 30), ("ERROR", 40)])
def test_our_level_counts_and_not_the_one_that_lambda_filters_by(wanted: str, number: int) -> None:
    environment = {"PATH": os.defpath, "SPARK_LOG_LEVEL": wanted, "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    command = [sys.executable, "-c", "from shared.observability import logger; print(logger.log_level)"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == number
