"""What LangFlow's refusals mean: pure functions from an answer outside 2xx to a `FlowFailure`.

Recorded from LangFlow 1.13.0. The same event looks different in each API: a flow that failed is HTTP 200 in v2
(`answers.from_v2`), 500 with JSON inside a string in v1, and 500 with `JOB_FAILED` for a job. What a refusal says about
*delivered* decides whether the run may be tried again without running the flow twice.
"""

import json
from collections.abc import Iterable
from typing import Any

from shared.errors import Delivered, FlowFailure
from shared.langflow.connection import Reply, mapping

# What v2 names by a code, by (status, code): our code, and whether the flow can have run.
NAMED = {
    (404, "JOB_NOT_FOUND"): ("job_lost", Delivered.unknown),
    (408, "EXECUTION_TIMEOUT"): ("timeout", Delivered.yes),
    (409, "DUPLICATE_REQUEST"): ("upstream_unavailable", Delivered.no),  # two submits met: the next finds the job
    (503, "DATABASE_ERROR"): ("upstream_unavailable", Delivered.unknown),  # before the run or in the middle of it
}
BUSY = frozenset({429, 503})


def refusal(reply: Reply) -> FlowFailure:
    """The failure that an answer outside 2xx stands for."""
    body = reply.json()
    if (reason := _reason(reply.status, body)) is not None:
        return failed(reason, reply.status)
    code, delivered = _verdict(reply, body)
    message = _message(body) or f"LangFlow answered {reply.status}."
    if is_route_missing(reply):
        message = f"This server does not offer what is asked of it (HTTP {reply.status})."
    return FlowFailure(code, message, delivered, retry_after_seconds=reply.retry_after_seconds, status=reply.status)


def _verdict(reply: Reply, body: Any) -> tuple[str, Delivered]:
    if (named := NAMED.get((reply.status, code_of(body) or ""))) is not None:
        return named
    if reply.status == 404 and not is_route_missing(reply):
        return "flow_not_found", Delivered.yes
    if reply.status in BUSY:
        return "upstream_unavailable", Delivered.no
    if reply.status >= 500:
        return "upstream_error", Delivered.unknown
    return "upstream_refused", Delivered.yes


def _reason(status: int, body: Any) -> str | None:
    """Why the flow failed, if this answer says that it did."""
    if status != 500:
        return None
    return _job_reason(body) if code_of(body) == "JOB_FAILED" else _v1_reason(body)


def without(failure: FlowFailure, secrets: Iterable[str]) -> FlowFailure:
    """`failure` with each of `secrets` starred out of its message."""
    message = failure.message
    for secret in secrets:
        message = message.replace(secret, "***")
    return FlowFailure(
        failure.code,
        message,
        failure.delivered,
        retry_after_seconds=failure.retry_after_seconds,
        status=failure.status,
    )


def is_route_missing(reply: Reply) -> bool:
    """Does this server lack the path, rather than the flow? Then nothing ran and an older path may work."""
    if reply.status not in (403, 404, 405):
        return False
    body = reply.json()
    switched_off = code_of(body) == "DEVELOPER_API_DISABLED"  # how earlier 1.x hid the v2 path
    return switched_off or reply.status == 405 or (reply.status == 404 and code_of(body) is None and _is_bare(body))


def failed(reason: str, status: int) -> FlowFailure:
    """The flow ran and failed."""
    return FlowFailure("flow_failed", reason, Delivered.yes, status=status)


def garbage(reply: Reply) -> FlowFailure:
    """A good status, and a body that is no answer."""
    return FlowFailure("invalid_answer", "LangFlow's answer cannot be understood.", Delivered.yes, status=reply.status)


def _v1_reason(body: Any) -> str | None:
    """The message in `detail`, which is a string that holds JSON: `{"message": …, "traceback": …}`."""
    detail = mapping(body).get("detail")
    if not isinstance(detail, str):
        return None
    try:
        message = mapping(json.loads(detail)).get("message")
    except ValueError:
        return detail if detail.startswith("Error ") else None
    return message if isinstance(message, str) else None


def _job_reason(body: Any) -> str:
    """What the component said: `detail.error_detail` is a chat message, or null when the job was stopped."""
    said = mapping(mapping(mapping(body).get("detail")).get("error_detail"))
    text = said.get("text") or mapping(said.get("data")).get("text")
    return text.strip() if isinstance(text, str) else str(_message(body))


def code_of(body: Any) -> str | None:
    """v2's error code stands beside or inside `detail`."""
    code = mapping(body).get("code") or mapping(mapping(body).get("detail")).get("code")
    return code if isinstance(code, str) else None


def _message(body: Any) -> str | None:
    """What a person may read. Of validation errors only the words: they repeat the request, secrets included."""
    detail = mapping(body).get("detail", body)
    if isinstance(detail, list):
        return "; ".join(str(mapping(problem).get("msg")) for problem in detail)
    found = detail if isinstance(detail, str) else mapping(detail).get("message") or mapping(detail).get("error")
    return found if isinstance(found, str) else None


def _is_bare(body: Any) -> bool:
    """FastAPI's own 404 for a path that does not exist, or a page that is not LangFlow's at all."""
    return not isinstance(body, dict) or body.get("detail") == "Not Found"
