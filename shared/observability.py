"""Logger and metrics of a function, and its tracer behind a switch. Made once, at import; Powertools reads its own
environment (`POWERTOOLS_SERVICE_NAME`, `POWERTOOLS_METRICS_NAMESPACE`)."""

import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from shared.domain.run import Run
from shared.settings import settings

Handler = TypeVar("Handler", bound=Callable[..., Any])

logger = Logger(utc=True)
# Powertools would rather take the level that Lambda filters by, and that one lets metrics pass (see template.yaml).
logging.getLogger(logger.name).setLevel(settings().log_level)
# With LogLevel=DEBUG Lambda's runtime puts the root logger at DEBUG. These libraries write bodies and headers of
# requests then: what KMS is to encrypt, letters with their tokens, LangFlow's keys.
for _library in ("botocore", "boto3", "urllib3", "httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.INFO)
metrics = Metrics()


def count(name: str, number: int = 1) -> None:
    """Add `number` to the metric `name`. No dimension but the service: ids as dimensions would each cost a metric."""
    if number:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=number)


def count_of_version(name: str, context: Any) -> None:
    """One more in the metric `name` of the version of the function that runs, written down at once.

    What tells new code from old while both get traffic. Each version has a metric of its own, which costs: only for
    what hardly ever happens. Without Lambda's `context` nobody knows the version, and nothing is counted.
    """
    if version := getattr(context, "function_version", ""):
        with single_metric(name=name, unit=MetricUnit.Count, value=1) as metric:
            metric.add_dimension("version", str(version))


def measure(name: str, seconds: float) -> None:
    """Add a duration to the metric `name`."""
    metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)


def counted(handler: Handler) -> Handler:
    """`handler`, and what it counted is reported in the end. Powertools' own decorator warns where that is nothing."""

    @functools.wraps(handler)
    def reporting(event: Any, context: Any) -> Any:
        try:
            return handler(event, context)
        finally:
            report()

    return cast(Handler, reporting)


def report() -> None:
    """Write down what was counted so far: what comes next may outlast the invocation."""
    if metrics.metric_set:
        metrics.flush_metrics()


def about(run: Run) -> dict[str, str]:
    """What every log line about a run carries."""
    return {"run_id": run.id, "project_id": run.project_id, "correlation_id": run.correlation_id}


def those(runs: Iterable[Run]) -> dict[str, int | list[str]]:
    """What a log line about many runs carries: one line for all, since each costs as much as writing a run. A request
    that made hundreds of them is named once."""
    ids = {run.id: run.correlation_id for run in runs}
    return {"runs": len(ids), "run_ids": [*ids], "correlation_ids": [*dict.fromkeys(ids.values())]}


def traced(handler: Handler) -> Handler:
    """`handler` under X-Ray when `SPARK_TRACING` is on; untouched, and without the SDK's import, when it is off.

    Answers stay out of the segments: new API keys and access tokens are among them.
    """
    if not settings().tracing:
        return handler
    from aws_lambda_powertools import Tracer

    return Tracer().capture_lambda_handler(handler, capture_response=False)  # type: ignore[return-value]
