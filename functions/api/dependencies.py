"""What endpoints ask for, as types (`caller: Caller`, `wait: Wait`), and what they build of their caller.

Stores and clients come straight from `shared.wiring`: each declared dependency costs the cold start of every route.
"""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated

from fastapi import Header, Path, Query, Request, Security
from fastapi.security import APIKeyHeader

from functions.api import auth
from functions.api.auth import Doorkeeper
from shared import wiring
from shared.services.deadline import Deadline
from shared.services.ordering import Orders
from shared.services.submission import Submission
from shared.services.versioning import Author
from shared.settings import settings

if TYPE_CHECKING:
    from shared.domain.source import Source
    from shared.langflow import LangFlow
    from shared.services.connecting import Connect

# The function has 29 s. What is under way when this is over may take a few more: a connect cannot be interrupted for
# five, and what was fetched is stored.
REQUEST_TIME = timedelta(seconds=22)
LEAST_TIME = timedelta(seconds=5)  # less would find servers dead that are slow

# Ids are made by us; what does not look like one names nothing, so it is a 404.
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its id.")]
Wait = Annotated[int, Query(ge=0, le=25, description="Hold the answer until the run is over, at most so many seconds.")]
Verify = Annotated[bool, Query(description="Look at the source first; `false` stores it unseen.")]
IfMatch = Annotated[str | None, Header(description="Only if the resource still has this ETag; else 412.")]

API_KEY = APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", auto_error=False)


@cache
def doorkeeper() -> Doorkeeper:
    """The one of this environment; it remembers."""
    return Doorkeeper(wiring.api_keys(), wiring.projects(), wiring.deployment_secret, wiring.now)


def authenticate(request: Request, key: Annotated[str | None, Security(API_KEY)]) -> auth.Caller:
    """Raises Unauthenticated."""
    return replace(doorkeeper().admit(key), correlation_id=request.state.correlation_id)


Caller = Annotated[auth.Caller, Security(authenticate)]


def author(caller: auth.Caller, now: datetime) -> Author:
    return Author(project=caller.project_id, by=caller.key_id, now=now)


def deadline() -> Deadline:
    """When the request that has just come must come to its end."""
    return Deadline(wiring.now() + REQUEST_TIME, wiring.now)


def connect(caller: auth.Caller, deadline: Deadline) -> "Connect":
    """Makes clients for sources, which carry the correlation id of this request and have the time that it has left."""

    def client(source: "Source") -> "LangFlow":
        return wiring.langflow(source, caller.correlation_id, deadline.require(LEAST_TIME))

    return client


def orders(caller: auth.Caller) -> Orders:
    """Takes orders for runs on behalf of `caller`."""
    submission = Submission(
        project=caller.project,
        created_by=caller.key_id,
        correlation_id=caller.correlation_id,
        now=wiring.now(),
        wake_after=settings().wake_after,
    )
    return Orders(submission, wiring.workflows(), wiring.sources(), wiring.runs(), wiring.queue(), wiring.payloads())


def sleep(seconds: float) -> None:
    """Waiting with the line held."""
    time.sleep(seconds)
