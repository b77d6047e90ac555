"""Limits at the door: what a request counts against, and what its answer says of that.

Nobody is turned away because the counting does not work: that is a line in the log, the metric `RequestsNotCounted`,
and a request that goes on.
"""

from collections.abc import Callable
from contextlib import suppress

from fastapi import Request

from functions.api import identity
from functions.api.auth import Caller
from functions.api.errors import AWS_ERRORS
from shared.domain.limit import Verdict
from shared.errors import RateLimited, Unavailable
from shared.observability import count, logger
from shared.settings import settings

STATE = "limit"  # where a request keeps its verdict for the headers of its answer
REFUSED = "refusal_counted"  # and that it was counted among the refusals of its address


def require_open(request: Request) -> None:
    """Refuse an address that this environment has refused already, before anything is looked up for it.

    Raises:
        RateLimited: its window is not over.
    """
    verdict = identity.limiter().is_shut(address(request))
    if verdict is not None:
        _apply(request, verdict)


def count_stranger(request: Request, *, refused: bool = False) -> None:
    """One more request of this address that no key vouches for; `refused`, if it is about to be answered 401.

    Raises:
        RateLimited: there were too many.
    """
    setattr(request.state, REFUSED, refused)
    _count(request, lambda: identity.limiter().stranger(address(request), refused=refused))


def note_refusal(request: Request) -> None:
    """Count a 401 that was not foreseen when the request was counted: of a wrong password, say. Such a request counts
    twice for its address."""
    with suppress(RateLimited):  # it is refused already
        count_stranger(request, refused=True)


def is_refusal_noted(request: Request) -> bool:
    return bool(getattr(request.state, REFUSED, False))


def count_request(request: Request, caller: Caller) -> None:
    """One more request of `caller`. Where they have no limit it costs nothing.

    Raises:
        RateLimited: there were too many.
    """
    _count(request, lambda: identity.limiter().request(caller.id, caller.limits))


def count_person(request: Request, user_id: str) -> None:
    """One more request of a person about themselves: the same limits, the same count.

    Raises:
        RateLimited: there were too many.
    """
    _count(request, lambda: identity.limiter().request(user_id, settings().usual_limits))


def address(request: Request) -> str:
    """Whose connection API Gateway took: no header of the caller's own has a say in it."""
    return request.client.host if request.client else ""


def headers(verdict: Verdict) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10 writes them."""
    if not verdict.standings:
        return {}
    policies = [f'"{each.name}";q={each.quota};w={each.window_seconds}' for each in verdict.standings]
    limits = [f'"{each.name}";r={each.remaining};t={each.reset_seconds}' for each in verdict.standings]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}


def _count(request: Request, counting: Callable[[], Verdict]) -> None:
    try:
        verdict = counting()
    except (*AWS_ERRORS, Unavailable):
        logger.warning("limit.not_counted", exc_info=True)
        count("RequestsNotCounted")
        return
    _apply(request, verdict)


def _apply(request: Request, verdict: Verdict) -> None:
    """Let the request go on, or raise RateLimited; its answer says how things stand."""
    setattr(request.state, STATE, verdict)
    if verdict.hit is not None:
        count("RequestsLimited")
        raise RateLimited(verdict.words, verdict.hit.reset_seconds)
