"""Entry point of the API function: HTTP API events (payload format 2.0) in, responses out."""

from typing import TYPE_CHECKING, Any

from mangum import Mangum

from functions import entry_point
from functions.api.app import create_app
from shared.observability import logger, metrics, traced
from shared.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Anything else leaves as base64, which API Gateway undoes.
TEXT_TYPES = ["text/", "application/json", "application/problem+json", "application/x-ndjson"]

api = Mangum(create_app(settings()), lifespan="off", text_mime_types=TEXT_TYPES)


@entry_point
@traced
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one request."""
    try:
        return api(event, context)  # type: ignore[arg-type]  # Mangum wants settable fields and sets none
    finally:
        if metrics.metric_set:  # most requests count nothing
            metrics.flush_metrics()
