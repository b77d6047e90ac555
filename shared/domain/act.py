"""An act: what somebody is about to do to a record, as the audit log will say it."""

from dataclasses import dataclass
from datetime import datetime

Detail = dict[str, str | int]


@dataclass(frozen=True)
class Act:
    """Who does what, when, for which organization.

    Args:
        action: `noun.past_tense`, such as `source.updated`.
        actor: the id of a caller; `spark` for what Spark does by itself.
        address: where the request came from, and the correlation id it came with; None where there was none.
        detail: what the record itself does not tell. No secrets: entries are read by many and never deleted.
    """

    action: str
    actor: str
    organization_id: str
    at: datetime
    address: str | None = None
    correlation_id: str | None = None
    detail: Detail | None = None


@dataclass(frozen=True)
class Origin:
    """Where a request came from."""

    address: str | None = None
    correlation_id: str | None = None


SPARK = "spark"
