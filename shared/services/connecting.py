"""Connecting sources: adding and changing them only when they answer, looking after them, letting go of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain import outbound
from shared.domain.outbound import AllowList
from shared.domain.source import Source, SourceCheck
from shared.domain.workflow import Workflow
from shared.errors import Conflict, InUse, Invalid, NotVerified, Unavailable
from shared.secrets import Cipher
from shared.services.deadline import Deadline
from shared.services.versioning import Author
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore

if TYPE_CHECKING:  # an HTTP client, which the API needs for few requests
    from shared.langflow import LangFlow, RemoteFlowPage

ROUNDS = 5  # how often a change is tried again after somebody else was faster
PAGE = 100
MAX_NAMED = 20  # workflows that a refused delete names

Connect = Callable[[Source], "LangFlow"]
Guard = Callable[[Source], None]
"""Raises when the record is not the one that the caller wants to change."""


@dataclass(frozen=True)
class SourceChange:
    """`fields` get new values; `api_key` too, if `sets_key`, where None takes it away."""

    fields: dict[str, Any] = field(default_factory=dict)
    sets_key: bool = False
    api_key: str | None = field(default=None, repr=False)

    @property
    def moves(self) -> bool:
        """Is what was found out about the source no longer true?"""
        return self.sets_key or "url" in self.fields


def add(
    author: Author,
    source: Source,
    api_key: str | None,
    *,
    verify: bool,
    allowed: AllowList,
    cipher: Cipher,
    connect: Connect,
    sources: SourceStore,
) -> Source:
    """Store `source`, a new one, with its key encrypted.

    Raises:
        Invalid: its URL spells an address that this deployment does not connect to.
        NotVerified: it does not answer or refuses the key, and `verify` is on.
        Conflict: its id is taken.
    """
    _require_allowed(source.url, allowed)
    if api_key is not None:
        source = source.model_copy(update={"encrypted_key": cipher.encrypt(source.project_id, api_key)})
    if verify:
        source = verified(source, source.created_at, connect)
    return sources.save(None, source, author.does("source.created"))


def change(
    author: Author,
    id: str,
    wanted: SourceChange,
    guard: Guard,
    *,
    verify: bool,
    allowed: AllowList,
    cipher: Cipher,
    connect: Connect,
    sources: SourceStore,
) -> Source:
    """The source after `wanted`. A new URL or key is looked at first; with `verify` off the old findings are dropped.

    Raises:
        Invalid, as `add`; NotFound, NotVerified; whatever `guard` raises.
    """
    if "url" in wanted.fields:
        _require_allowed(wanted.fields["url"], allowed)
    project, now = author.project, author.now
    encrypted = cipher.encrypt(project, wanted.api_key) if wanted.api_key is not None else None
    update = {**wanted.fields, "updated_at": now, **({"encrypted_key": encrypted} if wanted.sets_key else {})}
    for _ in range(ROUNDS):
        current = sources.get(project, id)
        guard(current)
        after = current.model_copy(update=update)
        if wanted.moves:
            forgotten = after.model_copy(update={"check": None, "checked_at": None})
            after = verified(forgotten, now, connect) if verify else forgotten
        try:
            return sources.save(current, after, author.does("source.updated"))
        except Conflict:
            continue  # somebody was faster: look at what it is now
    raise Unavailable("The source keeps changing. Try again.")


def check(project: str, id: str, now: datetime, *, connect: Connect, sources: SourceStore) -> Source:
    """The source with what a look at it found, good or bad."""
    for _ in range(ROUNDS):
        current = sources.get(project, id)
        try:
            return sources.save(current, current.model_copy(update=_findings(connect(current).check(), now)))
        except Conflict:
            continue
    raise Unavailable("The source keeps changing. Try again.")


def flows(
    project: str, id: str, page: int, size: int, now: datetime, *, connect: Connect, sources: SourceStore
) -> "RemoteFlowPage":
    """Page `page` (from 1) of the flows that the source offers.

    Raises:
        NotFound: no such source.
        FlowFailure: it could not be asked.
    """
    return connect(known(sources.get(project, id), now, connect=connect, sources=sources)).list_flows(page, size)


def known(source: Source, now: datetime, *, connect: Connect, sources: SourceStore) -> Source:
    """`source`, looked at if nobody ever did: what can be asked of it depends on what it is."""
    if source.dialect is not None:
        return source
    return check(source.project_id, source.id, now, connect=connect, sources=sources)


def delete(
    author: Author,
    id: str,
    guard: Guard,
    deadline: Deadline,
    *,
    cascade: bool,
    sources: SourceStore,
    workflows: WorkflowStore,
) -> None:
    """Remove a source. With `cascade` its workflows are disabled first; doing it again after a crash goes on.

    Raises:
        NotFound; whatever `guard` raises; OutOfTime.
        InUse: workflows of it would lose it, and `cascade` is off.
    """
    for _ in range(ROUNDS):
        current = sources.get(author.project, id)
        guard(current)
        _release(author, current, cascade, workflows, deadline)
        try:
            return sources.delete(current, author.does("source.deleted"))
        except Conflict:
            continue
    raise Unavailable("The source keeps changing. Try again.")


def users(source: Source, workflows: WorkflowStore, deadline: Deadline) -> Iterator[Workflow]:
    """The workflows of `source`. No index leads there, so all of the project's are looked at.

    Raises:
        OutOfTime: there are too many.
    """
    all_workflows = deadline.all_of(lambda after: workflows.list(source.project_id, limit=PAGE, after=after))
    return (workflow for workflow in all_workflows if workflow.source_id == source.id)


def verified(source: Source, now: datetime, connect: Connect) -> Source:
    """`source` with what a look at it found.

    Raises:
        NotVerified: it does not answer, is no LangFlow, or refuses the key.
    """
    found = connect(source).check()
    if not found.reachable or found.dialect is None:
        reason = found.message or "It does not answer as LangFlow does."
        raise NotVerified(f"{source.url} cannot be used: {reason} Add ?verify=false to store it all the same.", "/url")
    if found.key_valid is False:
        reason = "refuses the key" if source.encrypted_key else "asks for a key"
        raise NotVerified(f"{source.url} {reason}. Add ?verify=false to store it all the same.", "/api_key")
    return source.model_copy(update=_findings(found, now))


def _require_allowed(url: str, allowed: AllowList) -> None:
    """An address can be told without a look; where a name leads, every connection asks anew."""
    host, port = outbound.target(url)
    address = outbound.literal(host)
    if address is not None and not allowed.allows(host, address, port):
        raise Invalid(outbound.refusal(host), "/url")


def _findings(found: SourceCheck, now: datetime) -> dict[str, Any]:
    return {"check": found, "checked_at": now}


def _release(author: Author, source: Source, cascade: bool, workflows: WorkflowStore, deadline: Deadline) -> None:
    using = users(source, workflows, deadline)
    if cascade:
        for workflow in using:
            deadline.require()
            _disable(author, workflow, deadline.now(), workflows)
        return
    ids = [workflow.id for workflow, _ in zip(using, range(MAX_NAMED), strict=False)]
    if ids:
        raise InUse(f"Source {source.id} is used by workflows. ?cascade=true disables them.", ids)


def _disable(author: Author, workflow: Workflow, now: datetime, workflows: WorkflowStore) -> None:
    for _ in range(ROUNDS):
        if not workflow.enabled:
            return
        try:
            disabled = workflow.model_copy(update={"enabled": False, "updated_at": now})
            workflows.save(workflow, disabled, author.does("workflow.updated"))
        except Conflict:
            workflow = workflows.get(workflow.project_id, workflow.id)
            continue
        return
    raise Unavailable("A workflow of the source keeps changing. Try again.")
