"""The audit log: who did what, on what, from where; and the seals that show that none of it is missing."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field

from functions.api import identity, table
from functions.api.auth import Caller
from functions.api.dependencies import may
from functions.api.errors import responses
from functions.api.pages import Page, Paged, make_cursor, read_cursor
from shared import wiring
from shared.domain.audit import AuditEntry, AuditSeal
from shared.domain.limit import Usage, begin_of
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.record import Instant, Moment
from shared.domain.role import Permission
from shared.errors import BadCursor, Forbidden
from shared.store.audit import AuditFilter
from shared.store.keys import address_of

router = table.router("audit")

Reader = Annotated[Caller, may(Permission.audit_read)]

NUMBER = re.compile("[1-9][0-9]{0,7}")  # of a seal
NDJSON = "application/x-ndjson"
MAX_LINES = 1000  # of an export; about 0.7 MB of the 6 MB that Lambda lets through
LINES: dict[int | str, dict[str, Any]] = {
    200: {"description": "An entry a line.", "content": {NDJSON: {"schema": {"type": "string"}}}}
}

Since = Annotated[Moment | None, Query()]
Until = Annotated[Moment | None, Query()]


class RefusalView(BaseModel):
    """How often an address was refused within a minute."""

    address: str = Field(description="Of IPv6 the network, such as `2001:db8:1:2::/64`.")
    at: Instant = Field(description="The beginning of the minute.")
    refusals: int = Field(description="Requests answered 401. Those after them, answered 429, are not counted.")

    @classmethod
    def of(cls, usage: Usage) -> "RefusalView":
        return cls(address=address_of(usage.id), at=begin_of(usage.minute), refusals=usage.refused)


class AuditQueryParameters:
    """The filters of the log. Whoever has a key of one project sees what is about that project."""

    def __init__(
        self,
        actor: Annotated[str | None, Query(max_length=200, description="Id of the caller.")] = None,
        action: Annotated[str | None, Query(max_length=200, description="Such as `source.updated`.")] = None,
        subject: Annotated[str | None, Query(max_length=200, description="Id of what it was done to.")] = None,
        project_id: Annotated[str | None, Query(max_length=200)] = None,
        since: Since = None,
        until: Until = None,
    ) -> None:
        self._wanted = AuditFilter(actor, action, subject, project_id, since, until)

    def of(self, caller: Caller) -> AuditFilter:
        return within(self._wanted, caller)


Wanted = Annotated[AuditQueryParameters, Depends(AuditQueryParameters)]


@router.get("", responses=responses(400))
def list_audit_entries(caller: Reader, paged: Paged, wanted: Wanted) -> Page[AuditEntry]:
    """Changes of configuration and identity, and requests that were denied, newest first."""
    organization = caller.organization_id
    after = paged.after(scope(caller))
    found = wiring.audit().list(organization, wanted.of(caller), limit=paged.limit, after=after)
    return paged.slice(scope(caller), found)


@router.get("/export", response_class=Response, responses={**LINES, **responses(400)})
def export_audit_entries(
    caller: Reader,
    request: Request,
    since: Since = None,
    until: Until = None,
    cursor: Annotated[str | None, Query(max_length=500, description="Of the Link header before.")] = None,
) -> Response:
    """The same as NDJSON, oldest first, a thousand lines at a time; the Link header leads on.

    What somebody is just doing may still come in among the newest: for an export without gaps end it a minute ago.
    """
    list = f"{scope(caller)}\0export\0{since}\0{until}"
    found = wiring.audit().list(
        caller.organization_id,
        within(AuditFilter(since=since, until=until), caller),
        limit=MAX_LINES,
        after=read_cursor(cursor, list) if cursor else None,
        newest_first=False,
    )
    headers = {}
    if found.next is not None:
        query = {**dict(request.query_params), "cursor": make_cursor(found.next, list)}
        headers["Link"] = f'<?{urlencode(query)}>; rel="next"'
    return Response("".join(lines(found.items)), headers=headers, media_type=NDJSON)


@router.get("/seals", responses=responses(400))
def list_audit_seals(caller: Reader, paged: Paged) -> Page[AuditSeal]:
    """The seals over all of the organization's entries, newest first. `docs/audit.md` says how to verify both."""
    if not caller.organization_wide:
        raise Forbidden("Seals are about all projects: this needs an organization-wide key.")
    before = paged.after(scope(caller))
    if before is not None and not NUMBER.fullmatch(before):  # whoever makes cursors can sign anything
        raise BadCursor("The cursor is damaged.")
    found = wiring.audit().seals(caller.organization_id, limit=paged.limit, before=int(before) if before else None)
    return paged.slice(scope(caller), found)


@router.get("/refusals", responses=responses(400))
def list_refusals(caller: Reader, paged: Paged, since: Since = None, until: Until = None) -> Page[RefusalView]:
    """Requests answered 401, by address and minute, newest first. Kept for a week.

    Who nobody knows belongs to no organization: this is for the deployment's first one alone.
    """
    if caller.organization_id != DEFAULT_ORGANIZATION or not caller.organization_wide:
        raise Forbidden("This is about all of the deployment: it needs an organization-wide key of its first one.")
    list = f"refusals\0{since}\0{until}"
    found = identity.limits().refusals(since, until, limit=paged.limit, after=paged.after(list))
    return paged.answer(list, [RefusalView.of(usage) for usage in found.items], found.next)


def lines(entries: list[AuditEntry]) -> Iterator[str]:
    return (entry.model_dump_json() + "\n" for entry in entries)


def scope(caller: Caller) -> str:
    """What cursors are bound to: the organization, or the one project that the caller sees of it."""
    return caller.organization_id if caller.organization_wide else f"{caller.organization_id}/{caller.project_id}"


def within(wanted: AuditFilter, caller: Caller) -> AuditFilter:
    """`wanted`, of what `caller` may see."""
    if caller.organization_wide:
        return wanted
    if wanted.project_id not in (None, caller.project_id):
        raise Forbidden("The key opens one project, and this is another.")
    return replace(wanted, project_id=caller.project_id)
