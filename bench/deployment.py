"""Spark in this process on moto, with everything overheard that it sends to AWS."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws

from bench import prices, resources
from bench.prices import Usage
from bench.recording import Recorder, Tally
from bench.spark import Spark, in_process
from shared.store.table import Table
from tests.moto_partiql import partiql

SERVICES = ("dynamodb", "sqs", "s3", "kms", "secretsmanager")

Handler = Callable[[Any, Any], Any]


@dataclass
class Deployment:
    """Spark on moto. `quiet` is its table, to be used unheard; `sent` the messages that were put on the run queue."""

    spark: Spark
    recorder: Recorder
    execute: Handler
    tick: Handler
    quiet: Table
    logs: StringIO
    sent: list[str]

    @contextmanager
    def overheard(self) -> Iterator[Tally]:
        """What is sent meanwhile, and what the functions log."""
        tally, logged = Tally(), self.logs.tell()
        self.recorder.tally = tally
        yield tally
        self.recorder.tally = Tally()
        tally.usage += Usage(log_gb=(self.logs.tell() - logged) / prices.GB)

    def metrics_logged(self, since: int) -> set[str]:
        """The names of all metrics in the log from that place on."""
        lines = (json.loads(line) for line in self.logs.getvalue()[since:].splitlines() if '"_aws"' in line)
        described = (
            metric for line in lines for each in line["_aws"]["CloudWatchMetrics"] for metric in each["Metrics"]
        )
        return {metric["Name"] for metric in described}


@contextmanager
def on_moto() -> Iterator[Deployment]:
    """A new deployment. One a process: the handlers keep what they made when they were imported."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARK_"))}
    logs = StringIO()  # Powertools takes stdout as it is when the handlers are imported
    with mock_aws(), partiql(), redirect_stdout(logs), patch.dict(os.environ, inherited | resources.AWS, clear=True):
        session: Any = boto3.Session()
        os.environ.update(resources.create(session.client))
        from functions.api.handler import handler as answer
        from functions.executor.handler import handler as execute
        from functions.tick.handler import handler as tick
        from shared import wiring
        from shared.services import ticking

        dynamodb = boto3.client("dynamodb")
        recorder = Recorder(dynamodb, resources.TABLE)
        for service in SERVICES:
            recorder.listen(wiring.client(service))
        sent = list[str]()
        wiring.client("sqs").meta.events.register("provide-client-params.sqs.SendMessageBatch", partial(_keep, sent))
        quiet = Table(dynamodb, resources.TABLE, wiring.now)
        with patch.object(ticking, "THREADS", 1):  # moto cannot be read while it is written to
            yield Deployment(Spark(in_process(answer), resources.API_KEY), recorder, execute, tick, quiet, logs, sent)


def _keep(sent: list[str], params: Mapping[str, Any], **_: Any) -> None:
    sent += [entry["MessageBody"] for entry in params["Entries"]]
