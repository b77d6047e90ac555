"""The app: what it is called, how it treats errors, and what every request passes through."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from functions.api import BASE, errors, openapi
from functions.api.deprecated import OldSpellings
from functions.api.middleware import BodyLimit, Correlation
from functions.api.table import Contents
from shared.settings import Settings

VERSION = "0.1.0"
DESCRIPTION = """Runs LangFlow flows on Lambda, SQS and DynamoDB.

Every request but those for health, documentation and getting in carries the header `X-API-Key`, or `Authorization`
with a person's access token; a page may have that in a cookie, and then sends `X-CSRF-Token`.
Errors are problem documents (RFC 9457). Lists go on with `next_cursor`. A POST with an `Idempotency-Key` may be sent
again: its work is done once.
Whose key has limits is told by `RateLimit` how they stand; beyond them is a 429, and `Retry-After` says until when.
"""
EXPOSED_HEADERS = [
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Correlation-Id",
]


def create_app(settings: Settings) -> FastAPI:
    """The API with `settings`. Which endpoints there are stands in `table.py`."""
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
        separate_input_output_schemas=False,
    )
    errors.register(app)
    openapi.publish(app)
    # The last one added is the first that a request meets.
    app.add_middleware(Contents, api=app)
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
