"""Spellings of older systems, still understood: their requests become today's before they are routed.

The OpenAPI document lists them as deprecated operations, made from today's. Routes of their own would do the same, but
cost every cold start as much as all others together.
"""

import re
from copy import deepcopy
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from functions.api import BASE

RUNS = f"{BASE}/runs"
RENAMED = {f"{BASE}/tasks": "task", f"{BASE}/executions": "execution"}
"""Where runs used to stand → what one was called."""


class Spelling(NamedTuple):
    """One operation as it used to be called."""

    operation: str
    method: str
    path: str
    method_today: str
    path_today: str


RUN, SOURCE, WORKFLOW = f"{RUNS}/{{run_id}}", f"{BASE}/sources/{{source_id}}", f"{BASE}/workflows/{{workflow_id}}"
SCHEDULE = f"{BASE}/schedules/{{schedule_id}}"
SPELLINGS = (
    Spelling("patch_cancel_run", "PATCH", f"{RUN}/cancel", "POST", f"{RUN}/cancel"),
    Spelling("execute_workflow", "POST", f"{WORKFLOW}/execute", "POST", f"{WORKFLOW}/runs"),
    Spelling("list_workflow_executions", "GET", f"{WORKFLOW}/executions", "GET", f"{WORKFLOW}/runs"),
    Spelling("put_source", "PUT", SOURCE, "PATCH", SOURCE),
    Spelling("put_workflow", "PUT", WORKFLOW, "PATCH", WORKFLOW),
    Spelling("put_schedule", "PUT", SCHEDULE, "PATCH", SCHEDULE),
)
PATTERNS = [(re.compile(re.sub(r"\{\w+\}", "([^/]+)", spelling.path)), spelling) for spelling in SPELLINGS]


class OldSpellings:
    """Has requests in an old spelling answered as what they mean."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            method, path = translate(scope["method"], scope["path"])
            scope = {**scope, "method": method, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)


def translate(method: str, path: str) -> tuple[str, str]:
    """Method and path as they are spelt today. Load balancers ask for the health at the root."""
    if path.startswith("/health"):
        path = BASE + path
    for old in RENAMED:
        if path == old or path.startswith(old + "/"):
            path = RUNS + path.removeprefix(old)
    for pattern, spelling in PATTERNS:
        if spelling.method == method and (match := pattern.fullmatch(path)):
            return spelling.method_today, re.sub(r"\{\w+\}", match.group(1), spelling.path_today)
    return method, path


def document(paths: dict[str, Any]) -> None:
    """Add the old spellings to the `paths` of an OpenAPI document."""
    today = deepcopy(paths)
    for path, operations in today.items():
        if path.startswith(RUNS):
            for old, noun in RENAMED.items():
                renamed = {method: _deprecated(one, noun) for method, one in operations.items()}
                paths[old + path.removeprefix(RUNS)] = renamed
    for one in SPELLINGS:
        operation = {**today[one.path_today][one.method_today.lower()], "operationId": one.operation}
        paths.setdefault(one.path, {})[one.method.lower()] = _deprecated(operation, "run")


def _deprecated(operation: dict[str, Any], noun: str) -> dict[str, Any]:
    id = operation["operationId"].replace("run", noun)
    return {**deepcopy(operation), "operationId": id, "tags": ["deprecated"], "deprecated": True}
