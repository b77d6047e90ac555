"""What it costs to know who calls: reads of the table, counted as DynamoDB charges them."""

from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest

from bench.recording import Recorder
from functions.api import dependencies
from functions.api.auth import REMEMBERED_FOR
from shared import wiring
from tests.fakes import Clock
from tests.integration.api.conftest import client, made
from tests.integration.api.people import Invite, Person
from tests.integration.conftest import REGION, Aws, forget

Json = dict[str, Any]
Cost = Callable[[httpx.Client, Json], list[float]]

OF_THE_SOURCE = 1.0  # read as it is now


@pytest.fixture
def cost(aws: Aws, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Cost:
    """The read units of `GET /sources/{id}` beyond those of the source itself: the first in this environment, one at
    once, and one when the minute is over that callers are remembered for."""
    heard, real = boto3.client("dynamodb", region_name=REGION), wiring.client
    recorder = Recorder(aws.dynamodb, aws.table)
    recorder.listen(heard)
    monkeypatch.setattr(wiring, "client", lambda service: heard if service == "dynamodb" else real(service))

    def ask(caller: httpx.Client, source: Json) -> float:
        before = recorder.tally.usage.read_units
        assert caller.get(f"/sources/{source['id']}").status_code == 200
        return recorder.tally.usage.read_units - before - OF_THE_SOURCE

    def count(caller: httpx.Client, source: Json) -> list[float]:
        ask(caller, source)  # opens the windows that requests are counted in
        forget()
        first, again = ask(caller, source), ask(caller, source)
        clock.forward(REMEMBERED_FOR.total_seconds() + 1)
        ask(caller, source)
        forget_callers()
        return [first, again, ask(caller, source)]

    return count


def test_a_key_costs_one_read_unit_a_minute_and_environment(api: httpx.Client, source: Json, cost: Cost) -> None:
    with client(made(api.post("/api-keys", json={"name": "k", "role": "viewer"}))["key"]) as caller:
        assert cost(caller, source) == [1.0, 0.0, 1.0]


def test_a_person_costs_two_and_the_first_in_an_environment_the_keys_that_sign(
    owner: Person, invite: Invite, source: Json, cost: Cost
) -> None:
    assert cost(invite("viewer").api, source) == [3.0, 0.0, 2.0]


def forget_callers() -> None:
    """Once more from the beginning, but in the same windows and with the same signing keys."""
    dependencies.doorkeeper.cache_clear()
    dependencies.bearers.cache_clear()
