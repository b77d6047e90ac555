"""Health: is the API there, and can it work? No key needed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from functions.api import table
from functions.api.errors import AWS_ERRORS, responses
from shared import wiring
from shared.errors import Unavailable
from shared.observability import logger

router = table.router("health", needs_key=False)

REMEMBERED_FOR = timedelta(seconds=5)  # strangers may ask, and each look costs calls


class HealthStatus(StrEnum):
    healthy = "healthy"


class Health(BaseModel):
    """The API is well."""

    status: HealthStatus = HealthStatus.healthy


class Readiness:
    """Which of the parts that the API needs do not answer; looked up at most every five seconds."""

    def __init__(self) -> None:
        self._seen: tuple[datetime, list[str]] | None = None

    def missing(self, now: datetime, parts: dict[str, Callable[[], None]]) -> list[str]:
        if self._seen is None or now - self._seen[0] >= REMEMBERED_FOR:
            self._seen = (now, [name for name, ping in parts.items() if not _answers(name, ping)])
        return self._seen[1]


readiness = Readiness()


@router.get("")
def get_health() -> Health:
    """The API answers."""
    return Health()


@router.get("/live")
def get_liveness() -> Health:
    """The API answers."""
    return Health()


@router.get("/ready", responses=responses(503))
def get_readiness() -> Health:
    """The API, the table and the queue answer."""
    parts = {"table": wiring.table().ping, "queue": wiring.queue().ping}
    if missing := readiness.missing(wiring.now(), parts):
        raise Unavailable(f"Not ready: no answer from {' and '.join(missing)}.")
    return Health()


def _answers(name: str, ping: Callable[[], None]) -> bool:
    try:
        ping()
    except AWS_ERRORS:
        logger.warning("health.no_answer", extra={"part": name}, exc_info=True)
        return False
    return True
