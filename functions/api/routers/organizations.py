"""Organizations. A caller sees their own, and no other."""

from typing import Annotated

from fastapi import Response

from functions.api import etags, identity, table
from functions.api.auth import Caller
from functions.api.bodies import Patch
from functions.api.dependencies import Id, IfMatch, grantor, may
from functions.api.errors import responses
from functions.api.pages import Page, Paged
from shared.domain.organization import Organization
from shared.domain.role import Permission
from shared.domain.workflow import Name
from shared.errors import NotFound

router = table.router("organizations")

Reader = Annotated[Caller, may(Permission.organization_read)]
Editor = Annotated[Caller, may(Permission.organization_write)]


class OrganizationPatch(Patch):
    """What is to change."""

    name: Name = ""


@router.get("", responses=responses(400))
def list_organizations(caller: Reader, paged: Paged) -> Page[Organization]:
    """The caller's organization."""
    after = paged.after(caller.organization_id)
    own = [] if after else [identity.organizations().get(caller.organization_id)]
    return paged.answer(caller.organization_id, own, None)


@router.get("/{organization_id}", responses=responses(404))
def get_organization(organization_id: Id, caller: Reader, response: Response) -> Organization:
    """The caller's organization."""
    _require_own(caller, organization_id)
    return etags.stamp(response, identity.organizations().get(organization_id))


@router.patch("/{organization_id}", responses=responses(404, 412))
def update_organization(
    organization_id: Id, body: OrganizationPatch, caller: Editor, response: Response, if_match: IfMatch = None
) -> Organization:
    """Change what the organization is called."""
    _require_own(caller, organization_id)
    said, guard = body.model_dump(exclude_unset=True), etags.guard(if_match)
    return etags.stamp(response, identity.founding().rename(grantor(caller), said, guard))


def _require_own(caller: Caller, id: str) -> None:
    if id != caller.organization_id:
        raise NotFound("organization", id, "deployment")
