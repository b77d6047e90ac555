"""What the tests of schedules share."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from shared import wiring
from shared.domain import run as run_rules
from shared.domain.message import Delivery
from shared.domain.run import Run, RunError
from shared.store.runs import RunFilter

Json = dict[str, Any]
Body = Callable[..., Json]
Sent = list[Delivery]

KEY = {"Idempotency-Key": "once-1"}


def often(**more: Any) -> Json:
    """Settings of a schedule that fires each minute."""
    return {"kind": "interval", "expression": "60", "timezone": "UTC", **more}


def send(api: httpx.Client, path: str, body: Json, method: str = "POST") -> httpx.Response:
    """A request whose body may hold what is no text, escaped."""
    return api.request(method, path, content=json.dumps(body), headers={"Content-Type": "application/json"})


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def of(schedule: Json) -> RunFilter:
    return RunFilter(schedule_id=schedule["id"])


def runs_of(api: httpx.Client, schedule: Json, **query: Any) -> list[Json]:
    found: list[Json] = api.get(f"/schedules/{schedule['id']}/runs", params=query).json()["items"]
    return found


def ends(run: Run, *, failed: bool) -> Run:
    """What an executor does to a run."""
    runs, now = wiring.runs(), wiring.now()
    claimed = runs.save(run, run_rules.claim(run, now, now + timedelta(minutes=5), "me"))
    error = RunError(code="flow_failed", message="The prompt is empty.", attempt=1)
    return runs.save(claimed, run_rules.fail(claimed, error, now) if failed else run_rules.complete(claimed, now))
