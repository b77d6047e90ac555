"""LocalStack's `moto` provider of DynamoDB. LocalStack's own is a download of DynamoDB Local and of Java to run it.

Chosen by PROVIDER_OVERRIDE_DYNAMODB=moto. moto lets others come between a condition and the write that depends on it,
so requests take turns here; its PartiQL knows too little for `shared.store.table`, so that of the tests is used.
"""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock
from typing import Any

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider

from tests.moto_partiql import partiql

Handler = Callable[[Any, Any], Any]

PATCHES = ExitStack()  # never closed: they hold for as long as the process lives


class MotoDynamoDb(DynamodbApi):
    """Implements nothing itself, so that everything is handed to moto."""


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    """The service."""
    PATCHES.enter_context(partiql())
    return Service.for_provider(MotoDynamoDb(), dispatch_table_factory=_in_turns)


def _in_turns(provider: object) -> dict[str, Handler]:
    lock = Lock()

    def alone(handler: Handler) -> Handler:
        def handle(context: Any, request: Any) -> Any:
            with lock:
                return handler(context, request)

        return handle

    return {operation: alone(handler) for operation, handler in MotoFallbackDispatcher(provider).items()}
