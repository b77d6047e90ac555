"""Refreshing all imported flows of a source, some per call."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.source import Source
from shared.domain.workflow import Workflow
from shared.errors import Delivered, FlowFailure, Invalid, NotFound, SparkError
from shared.payloads import Payloads
from shared.services.connecting import Connect, known
from shared.services.importing import refresh
from shared.services.versioning import Author
from shared.store.records import Slice
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore

PAGE = 100
MAX_SYNCED = 50  # flows asked for per call


class SyncStatus(StrEnum):
    unchanged = "unchanged"
    synced = "synced"
    """The flow changed: there is a new version."""
    failed = "failed"


@dataclass(frozen=True)
class SyncResult:
    """What became of one workflow."""

    workflow_id: str
    status: SyncStatus
    version: int
    error: SparkError | None = None


def sync_all(
    author: Author,
    source_id: str,
    after: str | None,
    until: datetime,
    *,
    now: Callable[[], datetime],
    connect: Connect,
    sources: SourceStore,
    workflows: WorkflowStore,
    bucket: Payloads,
) -> Slice[SyncResult]:
    """Refresh the workflows of a source after workflow `after`, newest first, until there are 50 or it is `until`.

    Raises:
        NotFound: no such source.
        FlowFailure: the source cannot be reached at all.
    """
    source = known(sources.get(author.project, source_id), author.now, connect=connect, sources=sources)
    results: list[SyncResult] = []
    while True:
        page = workflows.list(author.project, limit=PAGE, after=after)
        for workflow in page.items:
            if workflow.source_id == source.id:
                if len(results) == MAX_SYNCED or (results and now() >= until):
                    return Slice(results, after)
                results.append(_sync(author, workflow, source, connect, workflows, bucket))
            after = workflow.id
        if page.next is None:
            return Slice(results, None)
        after = page.next
        if now() >= until:
            return Slice(results, after)


def _sync(
    author: Author, workflow: Workflow, source: Source, connect: Connect, workflows: WorkflowStore, bucket: Payloads
) -> SyncResult:
    try:
        after = refresh(author, workflow, source, connect=connect, workflows=workflows, bucket=bucket)
    except FlowFailure as failure:
        if failure.delivered is Delivered.no:
            raise  # nobody is there: the others would fail the same way
        return SyncResult(workflow.id, SyncStatus.failed, workflow.version, failure)
    except Invalid as error:  # a definition beyond reason
        return SyncResult(workflow.id, SyncStatus.failed, workflow.version, error)
    except NotFound:  # deleted meanwhile
        return SyncResult(workflow.id, SyncStatus.unchanged, workflow.version)
    status = SyncStatus.synced if after.version != workflow.version else SyncStatus.unchanged
    return SyncResult(workflow.id, status, after.version)
