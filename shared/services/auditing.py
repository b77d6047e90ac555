"""Entries in the audit log that are no change of one record: what was done to many at once, and what was refused."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.act import Act, Detail
from shared.domain.audit import Subject
from shared.errors import Unavailable
from shared.observability import count, logger
from shared.services.versioning import Author
from shared.store import keys
from shared.store.audit import AuditStore

A_MINUTE = timedelta(minutes=1)


def note_bulk(author: Author, action: str, detail: Detail, audit: AuditStore) -> None:
    """The one entry about all that `author` is about to do in a project. It comes first: should the work end half-way,
    the log says what was begun; the other way round it would know nothing of what was done.

    Raises:
        Unavailable.
    """
    subject = Subject("project", author.project, author.project)
    audit.append(_in_bulk(author, action, detail), subject, keys.project(author.project).pk)


def note_bulk_everywhere(author: Author, action: str, detail: Detail, audit: AuditStore) -> None:
    """The same about what they are about to do in all projects of their organization.

    Raises:
        Unavailable.
    """
    subject = Subject("organization", author.organization)
    audit.append(_in_bulk(author, action, detail), subject, keys.organization(author.organization).pk)


def _in_bulk(author: Author, action: str, detail: Detail) -> Act:
    return Act(action, author.by, author.organization, author.now, author.address, author.correlation_id, detail)


@dataclass(frozen=True)
class Denied:
    """A request that its caller had no right to make. `permission` is what was missing; empty where it was not that.

    `endpoint` is the request without what tells one record from another.
    """

    caller: str
    organization: str
    project: str
    permission: str
    endpoint: str
    request: str
    address: str | None
    correlation_id: str | None


class Denials:
    """Notes what callers were refused. One per Lambda environment: a storm of refusals is one entry for each caller,
    permission and endpoint a minute, so that a harmless refusal hides no other; the metric counts them all."""

    def __init__(self, audit: AuditStore, now: Callable[[], datetime]) -> None:
        self._audit = audit
        self._now = now
        self._noted: set[tuple[str, str, str]] = set()
        self._since: datetime | None = None
        self._lock = threading.Lock()

    def note(self, denied: Denied) -> None:
        """Never fails: the caller gets the refusal that is due, whether it could be noted or not."""
        count("RequestsDenied")
        if not self._is_first(denied):
            return
        subject = Subject("caller", denied.caller, denied.project)
        try:
            self._audit.append(self._act(denied), subject, keys.denials(denied.organization, denied.caller))
        except (Unavailable, ClientError, BotoCoreError):
            logger.warning("denial.not_noted", extra={"caller": denied.caller}, exc_info=True)

    def _is_first(self, denied: Denied) -> bool:
        now, what = self._now(), (denied.caller, denied.permission, denied.endpoint)
        with self._lock:
            if self._since is None or now - self._since >= A_MINUTE:
                self._since = now
                self._noted.clear()
            is_first = what not in self._noted
            self._noted.add(what)
        return is_first

    def _act(self, denied: Denied) -> Act:
        detail: Detail = {"request": denied.request}
        if denied.permission:
            detail["permission"] = denied.permission
        return Act(
            "request.denied",
            denied.caller,
            denied.organization,
            self._now(),
            denied.address,
            denied.correlation_id,
            detail,
        )
