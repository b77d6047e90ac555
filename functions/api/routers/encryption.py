"""Encryption of what is stored: moving it all to today's key."""

from typing import Annotated

from functions.api import identity, table
from functions.api.auth import Caller
from functions.api.dependencies import author, deadline, grantor, may
from functions.api.errors import responses
from functions.api.sweeps import SweepAnswer, SweepFields
from shared import wiring
from shared.domain.role import Permission
from shared.services.auditing import note_bulk_everywhere

router = table.router("encryption")

Owner = Annotated[Caller, may(Permission.organization_write)]


class RotationAnswer(SweepAnswer):
    """Of `matched` stored secrets `changed` are encrypted with today's key now; there is more to look at while there is
    a `next_cursor`. `left` names the records whose secret KMS does not open any more: it has to be set again."""

    left: list[str]


@router.post("/rotation", responses=responses(400))
def rotate_encryption(body: SweepFields, caller: Owner) -> RotationAnswer:
    """Encrypt all secrets of the organization with today's KMS key: those of sources, of identity providers, and of its
    people's authenticator apps. Up to 500 records per call as time allows. Nothing is decrypted outside of KMS, and
    doing it again does no harm."""
    grantor(caller).require_organization_wide("Encryption")
    organization, until, rotation = caller.organization_id, deadline(), identity.reencrypting()
    page = rotation.walk(organization, body.limit, body.after(organization, "rotate"))
    if matched := sum(place.secret is not None for place in page.items):
        note_bulk_everywhere(author(caller, wiring.now()), "encryption.rotated", {"matched": matched}, wiring.audit())
    left: list[str] = []
    done = rotation.reencrypt(page, until, left.append)
    said = body.answer(organization, "rotate", done)
    return RotationAnswer(**said.model_dump(), left=left)
