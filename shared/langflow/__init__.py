"""The client of LangFlow: `LangFlow` makes calls, `Stopper` ends one from another thread.

`client` knows which path to ask, `calls` what to say, `answers` and `refusals` what the replies mean, `connection` is
one exchange on the wire with its limits of time and size. Every trouble is a `shared.errors.FlowFailure`.
"""

from shared.domain.flow import RemoteFlow
from shared.langflow.answers import FlowAnswer, RemoteFlowPage, Running
from shared.langflow.calls import FlowCall
from shared.langflow.client import LangFlow
from shared.langflow.connection import MAX_ANSWER_BYTES, Stopper, StopReason

__all__ = [
    "MAX_ANSWER_BYTES",
    "FlowAnswer",
    "FlowCall",
    "LangFlow",
    "RemoteFlow",
    "RemoteFlowPage",
    "Running",
    "StopReason",
    "Stopper",
]
