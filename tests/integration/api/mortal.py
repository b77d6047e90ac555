"""A deployment whose API can die after any of its writes, and which can go back to where it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.fakes import Clock
from tests.integration.api.conftest import client
from tests.integration.api.people import Outbox
from tests.integration.conftest import API_KEY, Aws, forget

Json = dict[str, Any]
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchExecuteStatement"}
A_MINUTE = 61  # nothing is remembered any more, and whoever was at it has lost their turn


class Crash(BaseException):
    """The process is gone: nothing that catches errors sees it."""


@dataclass
class World:
    """A deployment that can die, and go back to where it was."""

    aws: Aws
    clock: Clock
    outbox: Outbox
    api: httpx.Client = field(default_factory=lambda: client(API_KEY))
    said: Json = field(default_factory=dict)
    """What the scenario has to remember."""
    dies_after: int | None = None
    writes: int = 0

    def keep(self) -> None:
        self._kept, self._at = self.aws.items(), self.clock.at

    def rewind(self) -> None:
        for item in self.aws.items():
            self.aws.dynamodb.delete_item(TableName=self.aws.table, Key={name: item[name] for name in ("pk", "sk")})
        for item in self._kept:
            self.aws.dynamodb.put_item(TableName=self.aws.table, Item=item)
        self.clock.at = self._at
        forget()

    def rest(self) -> None:
        """Another environment takes over, a while later."""
        forget()
        self.clock.forward(A_MINUTE)

    @contextmanager
    def dying(self, after: int) -> Iterator[None]:
        self.dies_after, self.writes = after, 0
        try:
            yield
        except Crash:
            pass
        finally:
            self.dies_after = None

    @property
    def is_dead(self) -> bool:
        return self.dies_after is not None and self.writes >= self.dies_after


def mortal(service: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = service._make_api_call

    def die_or_call(operation: str, said: Json) -> Any:
        if world.is_dead:
            raise Crash
        answer = call(operation, said)
        if world.dies_after is not None and operation in WRITES:
            world.writes += 1
            if world.is_dead:
                raise Crash
        return answer

    monkeypatch.setattr(service, "_make_api_call", die_or_call)
