"""The table of contents of the API, and how its chapters are opened: each when the first request for it comes.

Making the routes of all nouns takes as long as importing FastAPI. A cold start pays for the noun that it was made for.
"""

from importlib import import_module

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.api import BASE
from functions.api.errors import responses

CONTENTS = {
    "sources": "functions.api.routers.sources",
    "workflows": "functions.api.routers.workflows",
    "runs": "functions.api.routers.runs",
    "schedules": "functions.api.routers.schedules",
    "dead-letters": "functions.api.routers.dead_letters",
    "organizations": "functions.api.routers.organizations",
    "projects": "functions.api.routers.projects",
    "roles": "functions.api.routers.roles",
    "api-keys": "functions.api.routers.api_keys",
    "service-accounts": "functions.api.routers.service_accounts",
    "auth": "functions.api.routers.auth",
    "accounts": "functions.api.routers.accounts",
    "members": "functions.api.routers.members",
    "identity-providers": "functions.api.routers.identity_providers",
    "invitations": "functions.api.routers.invitations",
    "audit": "functions.api.routers.audit",
    "encryption": "functions.api.routers.encryption",
    "deployment": "functions.api.routers.deployment",
    "health": "functions.api.routers.health",
    "docs": "functions.api.docs",
    "redoc": "functions.api.docs",
    "assets": "functions.api.docs",
}
"""First segment of the path after the base → where its router is."""


def router(noun: str, *, needs_key: bool = True) -> APIRouter:
    """A router for everything below `noun`, with the problems that all its endpoints may answer."""
    return APIRouter(
        prefix=f"{BASE}/{noun}",
        tags=[noun],
        responses=responses(401, 403, 404, 422, 429, 503) if needs_key else None,
        generate_unique_id_function=_operation_id,
    )


class Contents:
    """Adds the routes of a noun to `app` before the first request for it is routed."""

    def __init__(self, app: ASGIApp, api: FastAPI) -> None:
        self.app = app
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{BASE}/"):
            noun = scope["path"].removeprefix(f"{BASE}/").partition("/")[0]
            if noun in CONTENTS:
                add(self.api, CONTENTS[noun])
        await self.app(scope, receive, send)


def add(app: FastAPI, module: str) -> None:
    """Add the routes of `module` to `app`, once."""
    routes = import_module(module).router.routes
    if routes[0] not in app.routes:
        app.router.routes.extend(routes)  # as they are: `include_router` would make each of them a second time


def add_all(app: FastAPI) -> None:
    for module in CONTENTS.values():
        add(app, module)


def _operation_id(route: APIRoute) -> str:
    """An operation is called as the function that answers it."""
    return route.name
