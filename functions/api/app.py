"""The app: what it is called, how it treats errors, and the table of its routers."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute

from functions.api import BASE, docs, errors, openapi
from functions.api.deprecated import OldSpellings
from functions.api.middleware import BodyLimit, Correlation
from functions.api.routers import dead_letters, health, runs, sources, workflows
from shared.settings import Settings

VERSION = "0.1.0"
DESCRIPTION = """Runs LangFlow flows on Lambda, SQS and DynamoDB.

Every request but those for health and documentation carries the header `X-API-Key`. Errors are problem documents
(RFC 9457). Lists go on with `next_cursor`. A POST with an `Idempotency-Key` may be sent again: its work is done once.
"""
EXPOSED_HEADERS = ["ETag", "Idempotency-Replayed", "Link", "Location", "Retry-After", "X-Correlation-Id"]

ROUTERS = (
    sources.router,
    workflows.router,
    runs.router,
    dead_letters.router,
    health.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The API with `settings`."""
    app = FastAPI(
        title="Spark",
        version=VERSION,
        description=DESCRIPTION,
        # Relative to this very document, so that it is right behind any prefix.
        servers=[{"url": "../..", "description": "The deployment that this document comes from."}],
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        separate_input_output_schemas=False,
    )
    for router in ROUTERS:
        app.include_router(router, prefix=BASE)
    app.include_router(docs.router, prefix=BASE, include_in_schema=False)
    app.include_router(health.router, include_in_schema=False)
    errors.register(app)
    openapi.publish(app)
    app.add_middleware(OldSpellings)
    app.add_middleware(BodyLimit)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(Correlation)
    return app


def operation_id(route: APIRoute) -> str:
    """An operation is called as the function that answers it."""
    return route.name
