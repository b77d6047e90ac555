"""moto as DynamoDB is: nobody comes between a condition and the write that depends on it."""

import threading
import time
from typing import Any

import pytest


def one_at_a_time(client: Any, monkeypatch: pytest.MonkeyPatch, *, latency: float = 0) -> None:
    """Have threads take turns at `client`: moto looks at a condition and then writes, and lets others in between.

    Each request is `latency` seconds on its way there, during which others go on.
    """
    lock, call = threading.Lock(), client._make_api_call

    def alone(operation: str, arguments: Any) -> Any:
        time.sleep(latency)
        with lock:
            return call(operation, arguments)

    monkeypatch.setattr(client, "_make_api_call", alone)
