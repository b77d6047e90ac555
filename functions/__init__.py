"""What is deployed: one folder, one Lambda, one trigger.

function             trigger                          handler
ApiFunction          HTTP API, every route            functions.api.handler.handler
TickFunction         EventBridge, every minute        functions.tick.handler.handler
ExecutorFunction     RunQueue, batches of ten         functions.executor.handler.handler
DeadLettersFunction  RunDeadLetterQueue               functions.dead_letters.handler.handler
"""

import gc
from collections.abc import Callable
from typing import Any, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])

# Looking for garbage among what is being imported, where there is none, would be a tenth of every cold start.
MORE_THAN_ANY_IMPORT_MAKES = 200_000
_usual = gc.get_threshold()
gc.set_threshold(MORE_THAN_ANY_IMPORT_MAKES)


def entry_point(handler: Handler) -> Handler:
    """`handler`, all it needs being imported: that lives as long as the function and is not looked through again."""
    gc.freeze()
    gc.set_threshold(*_usual)
    return handler
