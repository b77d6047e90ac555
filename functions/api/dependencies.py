"""What endpoints ask for, as types (`wait: Wait`), and what they build of their caller.

Stores and clients come straight from `shared.wiring`: each declared dependency costs the cold start of every route.
"""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Header, Path, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from functions.api import auth, identity, limits
from functions.api.auth import Doorkeeper
from shared import wiring
from shared.domain.role import Permission
from shared.errors import Forbidden, Invalid, NotFound, Unauthenticated
from shared.services.deadline import Deadline
from shared.services.granting import Grantor
from shared.services.ordering import Orders
from shared.services.submission import Submission
from shared.services.versioning import Author
from shared.settings import settings

if TYPE_CHECKING:
    from functions.api.bearers import Bearers
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
BEARER = HTTPBearer(scheme_name="Bearer", bearerFormat="JWT", auto_error=False)
Token = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
ProjectId = Annotated[
    str | None,
    Header(
        alias="X-Project-Id",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The project that is meant. Without it, the key's own; of a person, their only one, or "
        "the oldest of their only organization.",
    ),
]


GIVES_ACCESS = frozenset(
    {
        Permission.keys_write,
        Permission.members_write,
        Permission.identity_providers_write,
        Permission.roles_write,
        Permission.projects_write,
        Permission.organization_write,
    }
)
"""Who has one of these could undo, within the minute that they are remembered, what was taken from them: for them,
nothing is remembered."""


@cache
def doorkeeper() -> Doorkeeper:
    """The one of this environment; it remembers."""
    stores = (identity.api_keys(), wiring.projects(), identity.organizations())
    return Doorkeeper(*stores, identity.granting(), wiring.deployment_secret, wiring.now, settings().usual_limits)


@cache
def bearers() -> "Bearers":
    """The same for people."""
    from functions.api.bearers import Bearers

    return Bearers(settings().usual_limits)


def authorize(
    request: Request,
    needed: SecurityScopes,
    key: Annotated[str | None, Security(API_KEY)],
    token: Token,
    x_project_id: ProjectId = None,  # `project_id` stands in paths
) -> auth.Caller:
    """Who is calling, if they may.

    Raises:
        Unauthenticated; NotFound: the project; RateLimited; Forbidden: a permission is missing; Forged.
    """
    caller = replace(
        admit(
            request,
            key,
            x_project_id,
            access_token(request, token),
            fresh=not GIVES_ACCESS.isdisjoint(needed.scopes),
        ),
        correlation_id=request.state.correlation_id,
        address=limits.address(request),
    )
    request.state.caller = caller
    limits.count_request(request, caller)
    for permission in needed.scopes:
        caller.require(Permission(permission))
    return caller


def access_token(request: Request, token: HTTPAuthorizationCredentials | None) -> str | None:
    """The access token that `request` carries: `token`, or that of a page, in a cookie.

    No declared dependency, which each route would pay for: `openapi.py` says of all who take `Bearer` that they take it
    in a cookie, too.

    Raises:
        Forged.
    """
    if token is not None or "cookie" not in request.headers:
        return token.credentials if token else None
    from functions.api import cookies  # for pages alone

    return cookies.access_token(request)


def admit(
    request: Request, key: str | None, project_id: str | None, token: str | None = None, *, fresh: bool = False
) -> auth.Caller:
    """Who presents `key`; or, without one, the access token `token`. If `fresh`, as they are now.

    An address that guesses is told to stop before what it says is looked at; what was let in a moment ago still is,
    since others may share the address.

    Raises:
        Unauthenticated; NotFound: the project; RateLimited: its address was refused too often.
    """
    person = token if key is None else None
    is_known = bearers().remembers(person, project_id) if person else doorkeeper().remembers(key, project_id)
    if not is_known:
        limits.require_open(request)
    try:
        if person:
            return bearers().admit(person, project_id, fresh=fresh)
        return doorkeeper().admit(key, project_id, fresh=fresh)
    except (Unauthenticated, NotFound, Invalid, Forbidden) as error:
        limits.count_stranger(request, refused=isinstance(error, Unauthenticated))
        raise


def may(*permissions: Permission) -> Any:
    """What an endpoint's caller must be allowed: `Annotated[Caller, may(Permission.runs_create)]`."""
    return Security(authorize, scopes=list(permissions))


def author(caller: auth.Caller, now: datetime) -> Author:
    return Author(
        project=caller.project_id,
        by=caller.id,
        now=now,
        organization=caller.organization_id,
        address=caller.address or None,
        correlation_id=caller.correlation_id or None,
    )


def grantor(caller: auth.Caller) -> Grantor:
    """The caller as somebody who gives access to others."""
    project = None if caller.organization_wide else caller.project_id
    by = author(caller, wiring.now())
    own = Grantor(caller.id, caller.organization_id, project, caller.permissions, by)
    return replace(own, limits=caller.limits, valid_until=caller.valid_until, usual=settings().usual_limits)


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
        created_by=caller.id,
        correlation_id=caller.correlation_id,
        now=wiring.now(),
        wake_after=settings().wake_after,
    )
    return Orders(submission, wiring.workflows(), wiring.sources(), wiring.runs(), wiring.queue(), wiring.payloads())


def sleep(seconds: float) -> None:
    """Waiting with the line held."""
    time.sleep(seconds)
