"""Sources: the LangFlow instances that flows are imported from and run on."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, table
from functions.api.auth import Caller
from functions.api.bodies import Patch
from functions.api.dependencies import Id, IfMatch, Verify, author, connect, deadline, may
from functions.api.errors import Refusal, refusal, responses
from functions.api.idempotency import OnlyOnce, Work, undeleted
from functions.api.pages import Page, Paged
from functions.api.views import SourceView, source_view
from shared import wiring
from shared.domain.flow import RemoteFlow
from shared.domain.role import Permission
from shared.domain.source import MAX_CONCURRENCY, Source, SourceName, SourceStatus, SourceUrl
from shared.services import connecting, syncing
from shared.services.connecting import SourceChange
from shared.services.syncing import SyncResult, SyncStatus
from shared.settings import settings

router = table.router("sources")

Reader = Annotated[Caller, may(Permission.sources_read)]
Editor = Annotated[Caller, may(Permission.sources_write)]
Importer = Annotated[Caller, may(Permission.workflows_write)]

SYNC_TIME = timedelta(seconds=12)  # for one page of a sync; the last flow has what is left of the request's time

ApiKeyText = Annotated[
    str, Field(min_length=1, max_length=1000, pattern=r"^[\x21-\x7e]+$", description="LangFlow's key.")
]
Concurrency = Annotated[int, Field(ge=1, le=MAX_CONCURRENCY, strict=True, description="Runs at once; null: no limit.")]
Cascade = Annotated[bool, Query(description="Disable the workflows that use it, instead of refusing.")]


class SourceFields(BaseModel):
    """What a user says of a source."""

    model_config = ConfigDict(extra="forbid")

    name: SourceName
    url: SourceUrl
    api_key: ApiKeyText | None = Field(None, repr=False)
    status: SourceStatus = SourceStatus.active
    max_concurrency: Concurrency | None = None


class SourcePatch(Patch):
    """What is to change; the rest stays. An `api_key` of null takes the key away."""

    name: SourceName = ""
    url: SourceUrl = ""
    api_key: ApiKeyText | None = Field(None, repr=False)
    status: SourceStatus = SourceStatus.active
    max_concurrency: Concurrency | None = None


class SyncItem(BaseModel):
    """What a sync did with one workflow."""

    workflow_id: str
    status: SyncStatus
    version: int
    error: Refusal | None = None

    @classmethod
    def of(cls, result: SyncResult) -> "SyncItem":
        error = refusal(result.error) if result.error else None
        return cls(workflow_id=result.workflow_id, status=result.status, version=result.version, error=error)


@router.post("", status_code=201, responses=responses(409))
def create_source(
    body: SourceFields,
    caller: Editor,
    once: OnlyOnce,
    response: Response,
    verify: Verify = True,
) -> SourceView:
    """Add a LangFlow instance. It has to answer and to take the key, unless `verify` is off."""
    project, sources, connects = caller.project_id, wiring.sources(), connect(caller, deadline())

    def add(work: Work) -> Source:
        fields = body.model_dump(exclude={"api_key"})
        source = Source(id=work.id("src"), project_id=project, created_at=work.at, updated_at=work.at, **fields)
        return connecting.add(
            author(caller, work.at),
            source,
            body.api_key,
            verify=verify,
            allowed=settings().outbound,
            cipher=wiring.cipher(),
            connect=connects,
            sources=sources,
        )

    source = once.do(caller, body, lambda work: undeleted(sources, project, work.id("src")), add)
    response.headers["Location"] = f"{BASE}/sources/{source.id}"
    return source_view(etags.stamp(response, source))


@router.get("", responses=responses(400))
def list_sources(caller: Reader, paged: Paged) -> Page[SourceView]:
    """The sources of the project, newest first."""
    project = caller.project_id
    found = wiring.sources().list(project, limit=paged.limit, after=paged.after(project))
    return paged.answer(project, [source_view(source) for source in found.items], found.next)


@router.get("/{source_id}", responses=responses(404))
def get_source(source_id: Id, caller: Reader, response: Response) -> SourceView:
    """One source, with what the last look at it found."""
    return source_view(etags.stamp(response, wiring.sources().get(caller.project_id, source_id)))


@router.patch("/{source_id}", responses=responses(404, 412))
def update_source(
    source_id: Id,
    body: SourcePatch,
    caller: Editor,
    response: Response,
    if_match: IfMatch = None,
    verify: Verify = True,
) -> SourceView:
    """Change what the body names. A new URL or key is looked at first, unless `verify` is off."""
    said = body.model_dump(exclude_unset=True)
    wanted = SourceChange(
        fields={field: value for field, value in said.items() if field != "api_key"},
        sets_key="api_key" in said,
        api_key=body.api_key,
    )
    source = connecting.change(
        author(caller, wiring.now()),
        source_id,
        wanted,
        etags.guard(if_match),
        verify=verify,
        allowed=settings().outbound,
        cipher=wiring.cipher(),
        connect=connect(caller, deadline()),
        sources=wiring.sources(),
    )
    return source_view(etags.stamp(response, source))


@router.delete("/{source_id}", status_code=204, responses=responses(404, 409, 412))
def delete_source(
    source_id: Id,
    caller: Editor,
    if_match: IfMatch = None,
    cascade: Cascade = False,
) -> None:
    """Remove a source. While workflows use it, it takes `cascade`; they stay, disabled."""
    connecting.delete(
        author(caller, wiring.now()),
        source_id,
        etags.guard(if_match),
        deadline(),
        cascade=cascade,
        sources=wiring.sources(),
        workflows=wiring.workflows(),
    )


@router.post("/{source_id}/check", responses=responses(404))
def check_source(source_id: Id, caller: Editor, response: Response) -> SourceView:
    """Look whether it is there, what it is, and whether it takes the key. Bad news is an answer, not an error."""
    source = connecting.check(
        caller.project_id, source_id, wiring.now(), connect=connect(caller, deadline()), sources=wiring.sources()
    )
    return source_view(etags.stamp(response, source))


@router.get("/{source_id}/flows", responses=responses(400, 404, 502))
def list_source_flows(source_id: Id, caller: Reader, paged: Paged) -> Page[RemoteFlow]:
    """The flows that could be imported, as the source lists them now."""
    page = int(paged.after(caller.project_id) or 1)
    found = connecting.flows(
        caller.project_id,
        source_id,
        page,
        paged.limit,
        wiring.now(),
        connect=connect(caller, deadline()),
        sources=wiring.sources(),
    )
    return paged.answer(caller.project_id, found.items, str(found.next_page) if found.next_page else None)


@router.post("/{source_id}/sync", responses=responses(400, 404, 502))
def sync_source(source_id: Id, caller: Importer, paged: Paged) -> Page[SyncItem]:
    """Refresh the imported flows from their source: up to fifty per call, the others with `next_cursor`."""
    now = wiring.now()
    found = syncing.sync_all(
        author(caller, now),
        source_id,
        paged.after(caller.project_id),
        now + SYNC_TIME,
        now=wiring.now,
        connect=connect(caller, deadline()),
        sources=wiring.sources(),
        workflows=wiring.workflows(),
        bucket=wiring.payloads(),
    )
    return paged.answer(caller.project_id, [SyncItem.of(result) for result in found.items], found.next)
