"""Errors as answers: the one table from error to status, and problem documents (RFC 9457) for all of them."""

import http
import math
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from functions.api.headers import hardening
from shared import errors
from shared.errors import AlreadyImported, Delivered, FlowFailure, InUse, Invalid, SecondFactorRequired, SparkError
from shared.observability import count, count_of_version, logger

AWS_ERRORS = (BotoCoreError, ClientError)
RETRY_SECONDS = 2  # what a 503 asks for when nobody knows better
IN_FLIGHT_SECONDS = 5
FORGETS_COOKIES = "forgets_cookies"  # where a request says that its 401 takes the cookies of the page away

STATUS: dict[type[SparkError], int] = {
    errors.BadCursor: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PayloadGone: 409,
    errors.Stale: 412,
    errors.Invalid: 422,
    errors.RateLimited: 429,
    errors.SchemaTooNew: 500,
    errors.FlowFailure: 502,
    errors.ProviderFailure: 502,
    errors.Unavailable: 503,
    errors.OutOfTime: 503,
}
"""The nearest class in an error's ancestry counts. A FlowFailure that never reached LangFlow is a 503."""

TITLES = {
    "already_imported": "The flow is imported already",
    "bad_cursor": "The cursor does not belong to this list",
    "body_too_large": "The body is too large",
    "conflict": "The state of the resource does not allow it",
    "csrf": "The request may come from a page of somebody else",
    "identity_provider_failed": "The identity provider does not answer as it must",
    "idempotency_key_reused": "The Idempotency-Key belongs to another request",
    "forbidden": "The caller may not do this",
    "in_flight": "The first request with this Idempotency-Key is still being worked on",
    "in_use": "Other resources depend on it",
    "internal": "Something went wrong on our side",
    "invalid": "The request breaks a rule",
    "malformed": "The request cannot be read",
    "not_found": "There is no such resource",
    "out_of_time": "The request takes longer than an answer may",
    "payload_expired": "What it needs is no longer kept",
    "rate_limited": "Too many requests",
    "schema_too_new": "The record was written by a newer version",
    "second_factor_required": "The password is right, and a second factor is needed",
    "source_inactive": "The source is switched off or gone",
    "source_not_verified": "The source cannot be used",
    "stale": "The resource has changed",
    "unauthenticated": "No valid API key, access token or password",
    "unavailable": "Please try again later",
    "workflow_disabled": "The workflow is switched off",
}


class FieldProblem(BaseModel):
    """One thing wrong with one field."""

    pointer: str
    """JSON Pointer into the body; `/query/…`, `/path/…` or `/header/…` for what stands elsewhere."""
    detail: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"required": ["type", "title", "status", "detail", "instance", "code"]})

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    correlation_id: str | None = None
    errors: list[FieldProblem] | None = None
    users: list[str] | None = None
    workflow_id: str | None = None
    challenge: str | None = None
    methods: list[str] | None = None


class Refusal(BaseModel):
    """Why one item of many was refused, in the words of a problem document."""

    status: int
    code: str
    detail: str


def refusal(error: SparkError) -> Refusal:
    return Refusal(status=status_of(error), code=error.code, detail=error.detail)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of these answers."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": http.HTTPStatus(status).phrase, "content": content, **_headers(status)}
        for status in statuses
    }


def _headers(status: int) -> dict[str, Any]:
    names = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
    return {"headers": {names[status]: {"schema": {"type": "string"}}}} if status in names else {}


def problem(
    status: int, code: str, detail: str, instance: str, headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem document as a response."""
    document = Problem(
        type=f"urn:spark:problem:{code}",
        title=TITLES.get(code) or http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        **more,
    )
    body = document.model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def register(app: FastAPI) -> None:
    """Have `app` answer all errors as problems."""
    app.add_exception_handler(SparkError, _on_spark_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    for aws in AWS_ERRORS:
        app.add_exception_handler(aws, _on_aws)
    app.add_exception_handler(Exception, _on_unexpected)


def status_of(error: SparkError) -> int:
    """The HTTP status of `error`."""
    if isinstance(error, FlowFailure) and error.delivered is Delivered.no:
        return 503
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


async def _on_spark_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SparkError)  # registered for these
    status = status_of(error)
    if isinstance(error, errors.Forbidden):
        from functions.api import denials  # which most requests never need

        await run_in_threadpool(denials.note, request, error)
    if status == 401 and not isinstance(error, SecondFactorRequired):  # the password was right
        await _note_refusal(request)
    if status >= 500:
        logger.warning("request.refused", extra={"code": error.code}, exc_info=error)
    detail = "The record was written by a newer version of Spark." if status == 500 else error.detail
    answer = _answer(request, status, error.code, detail, _extra_headers(error, status), **_facts(error))
    if getattr(request.state, FORGETS_COOKIES, False):
        from functions.api import cookies  # for pages alone

        cookies.clear(request, answer)
    return answer


async def _note_refusal(request: Request) -> None:
    """As a metric, in the log, and in what is counted of its address."""
    from functions.api import limits  # which needs what is above

    count("RequestsUnauthenticated")
    logger.info("request.unauthenticated", extra={"address": limits.address(request)})
    if not limits.is_refusal_noted(request):
        await run_in_threadpool(limits.note_refusal, request)


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # registered for these
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return _answer(request, 400, "malformed", f"The body is no JSON: {found[0]['ctx']['error']}.")
    if all(one["loc"][0] == "path" for one in found):
        return _answer(request, 404, "not_found", "There is nothing of that id.")
    fields = [FieldProblem(pointer=pointer(one["loc"]), detail=_words(one)) for one in found]
    return _answer(request, 422, "invalid", f"{fields[0].pointer}: {fields[0].detail}", errors=fields)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # registered for these
    code = {400: "malformed", 404: "not_found"}.get(error.status_code)
    code = code or http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return _answer(request, error.status_code, code, str(error.detail), dict(error.headers or {}))


async def _on_aws(request: Request, error: Exception) -> JSONResponse:
    logger.error("aws.refused", exc_info=error)
    _note_failure(request)
    detail = "A service that Spark needs does not answer. Try again."
    return _answer(request, 503, "unavailable", detail, {"Retry-After": str(RETRY_SECONDS)})


async def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("request.failed", exc_info=error)
    _note_failure(request)
    # This answer leaves around the middleware.
    headers = {"X-Correlation-Id": _correlation_id(request), **hardening(request.scope)}
    detail = "An unexpected error; the logs know it under this correlation id."
    return _answer(request, 500, "internal", detail, headers)


def _note_failure(request: Request) -> None:
    """To Lambda the answer is a success. New code that fails is known by this, and so is a grant that it lacks."""
    count_of_version("FailuresOfVersion", request.scope.get("aws.context"))  # Mangum's; on a server there is none


def pointer(loc: Sequence[str | int]) -> str:
    """FastAPI's location as a JSON Pointer (RFC 6901): into the body, or beginning with where else it stands."""
    parts = loc[1:] if loc and loc[0] == "body" else loc
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _answer(
    request: Request, status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    return problem(status, code, detail, request.url.path, headers, correlation_id=_correlation_id(request), **more)


def _correlation_id(request: Request) -> str:
    return str(getattr(request.state, "correlation_id", ""))


def _extra_headers(error: SparkError, status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer" if isinstance(error, errors.NotSignedIn) else "ApiKey"}
    if isinstance(error, errors.InFlight):
        return {"Retry-After": str(IN_FLIGHT_SECONDS)}
    if isinstance(error, errors.RateLimited):
        return {"Retry-After": str(error.retry_after_seconds)}
    if status == 503:
        wanted = error.retry_after_seconds if isinstance(error, FlowFailure) else None
        return {"Retry-After": str(math.ceil(wanted or RETRY_SECONDS))}
    return {}


def _facts(error: SparkError) -> dict[str, Any]:
    """What a kind of error knows beyond its words."""
    match error:
        case Invalid():
            return {"errors": [FieldProblem(pointer=error.pointer, detail=error.detail)]}
        case InUse():
            return {"users": error.users}
        case AlreadyImported():
            return {"workflow_id": error.workflow_id}
        case SecondFactorRequired():
            return {"challenge": error.challenge, "methods": error.methods}
    return {}


def _words(error: Any) -> str:
    """Pydantic's message; of a rule of ours only what it says."""
    reason = error.get("ctx", {}).get("error")
    return str(reason) if error["type"] == "value_error" and reason else str(error["msg"])
