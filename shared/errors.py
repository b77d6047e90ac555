"""Every error Spark raises on purpose.

SparkError
├── BadCursor             a page cursor that this deployment did not make, or made for another list
├── Conflict              the record moved on: a lost race, or a step its state does not allow
│   ├── AlreadyImported   the flow is a workflow already; names it
│   ├── InFlight          the first request with this Idempotency-Key is still being worked on
│   ├── InUse             other records depend on it
│   ├── Outrun            somebody else was faster than a transaction; says at which of its items
│   ├── SourceInactive    the workflow's source is switched off or gone
│   └── WorkflowDisabled  the workflow is switched off
├── FlowFailure           LangFlow could not be reached, refused, or ran the flow and it failed
├── Forbidden             the caller is known, and may not do this
│   └── Forged            the caller is known by cookie, and it may be somebody else's page that asks
├── Invalid               the input breaks a rule; names the field
│   ├── KeyReused         this Idempotency-Key belongs to a request with another body
│   └── NotVerified       the source does not answer, or refuses the key
├── NotFound              no such record in the caller's project or organization
├── OutOfTime             the rest of the request would outlive those who wait for its answer
├── PayloadGone           a stored text is no longer there: it expired, or somebody deleted it
├── ProviderFailure       an identity provider does not answer, or not as it must
├── RateLimited           the caller made too many requests; says when the next one may come
├── SchemaTooNew          the stored item was written by a newer Spark
├── Stale                 If-Match names an edition of the record that is no longer the current one
├── Unauthenticated       no key, or one we do not know
│   └── NotSignedIn       the same of a password, an access token or a refresh token
│       └── SecondFactorRequired   the password is right, and is not enough; carries the challenge
└── Unavailable           an AWS service did not answer in time; the same request may work later
    └── NotExported       a receiver of traces did not take them; says for how long to leave it alone

Which HTTP status each becomes stands in `functions/api/errors.py`.
"""

from collections.abc import Iterable
from enum import StrEnum

PAUSE_SECONDS = 60.0  # after a receiver of traces failed and did not say for how long
MAX_MESSAGE_BYTES = 2048  # an error is stored on its run; longer texts would cost write units on every later save


class SparkError(Exception):
    """Root of the tree. `code` is stable and machine-readable; `str(error)` is for people."""

    code: str = "error"

    @property
    def detail(self) -> str:
        return str(self)


class BadCursor(SparkError):
    code = "bad_cursor"


class Conflict(SparkError):
    code = "conflict"


class AlreadyImported(Conflict):
    code = "already_imported"

    def __init__(self, message: str, workflow_id: str) -> None:
        super().__init__(message)
        self.workflow_id = workflow_id


class InFlight(Conflict):
    code = "in_flight"


class InUse(Conflict):
    """`users` are the ids of the records that depend on this one."""

    code = "in_use"

    def __init__(self, message: str, users: list[str]) -> None:
        super().__init__(message)
        self.users = users


class Outrun(Conflict):
    """`changed` are the keys of the items that are no longer what they were. Where it is empty, somebody is just saving
    one of them."""

    def __init__(self, message: str, changed: Iterable[tuple[str, str]]) -> None:
        super().__init__(message)
        self.changed = frozenset(changed)


class SourceInactive(Conflict):
    code = "source_inactive"


class WorkflowDisabled(Conflict):
    code = "workflow_disabled"


class Forbidden(SparkError):
    """`permission` is the one that is missing, where it is one."""

    code = "forbidden"

    def __init__(self, message: str, permission: str = "") -> None:
        super().__init__(message)
        self.permission = permission


class Forged(Forbidden):
    code = "csrf"


class Invalid(SparkError):
    """`pointer` is the JSON Pointer (RFC 6901) of the offending field in the request body."""

    code = "invalid"

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class KeyReused(Invalid):
    code = "idempotency_key_reused"


class NotVerified(Invalid):
    code = "source_not_verified"


class NotFound(SparkError):
    code = "not_found"

    def __init__(self, noun: str, id: str, where: str = "project") -> None:
        super().__init__(f"No {noun} {id!r} in this {where}.")
        self.noun = noun
        self.id = id


class OutOfTime(SparkError):
    code = "out_of_time"


class PayloadGone(SparkError):
    code = "payload_expired"


class ProviderFailure(SparkError):
    code = "identity_provider_failed"


class RateLimited(SparkError):
    code = "rate_limited"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SchemaTooNew(SparkError):
    code = "schema_too_new"


class Stale(SparkError):
    code = "stale"


class Unauthenticated(SparkError):
    code = "unauthenticated"


class NotSignedIn(Unauthenticated):
    """The way in that did not open is one for people, not for keys."""


class SecondFactorRequired(NotSignedIn):
    """`challenge` is what the second step shows besides a code of one of `methods`."""

    code = "second_factor_required"

    def __init__(self, challenge: str, methods: list[str]) -> None:
        super().__init__("This account has a second factor: answer the challenge with one of its codes.")
        self.challenge = challenge
        self.methods = methods


class Unavailable(SparkError):
    code = "unavailable"


class NotExported(Unavailable):
    """`pause_seconds` is for how long to leave the receiver alone, since the next request would fare no better. 0: only
    these traces were the trouble."""

    code = "not_exported"

    def __init__(self, message: str, pause_seconds: float = PAUSE_SECONDS) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


class Delivered(StrEnum):
    """Did LangFlow get to run the flow? Decides whether trying again could run it twice."""

    no = "no"
    """It certainly did not: refused connection, unknown host, 429, 503."""
    unknown = "unknown"
    """Nobody can tell: the connection broke or the time was up while we waited."""
    yes = "yes"
    """It answered."""


class FlowFailure(SparkError):
    """What went wrong with one call to LangFlow, as facts for the retry policy.

    Args:
        code: `upstream_unavailable` `upstream_refused` `flow_not_found` `timeout` `disconnected` `flow_failed`
            `output_too_large` `invalid_answer` `cancelled` …
        message: for the operator; cut to 2 KB, never carries a secret.
        delivered: see `Delivered`.
        retry_after_seconds: what a Retry-After header asked for.
        status: the HTTP status, where there was one.
    """

    def __init__(
        self,
        code: str,
        message: str,
        delivered: Delivered,
        *,
        retry_after_seconds: float | None = None,
        status: int | None = None,
    ) -> None:
        self.code = code
        self.message = cut(message)
        self.delivered = delivered
        self.retry_after_seconds = retry_after_seconds
        self.status = status
        super().__init__(self.message)


def cut(text: str, limit: int = MAX_MESSAGE_BYTES) -> str:
    """`text` in at most `limit` bytes of UTF-8, marked with … where it was cut."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    return raw[: limit - 3].decode("utf-8", "ignore") + "…"
