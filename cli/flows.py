"""The flows of a source: finding the one that is meant, making a workflow of it."""

import re

from cli import ids, tables
from cli.client import Json
from cli.errors import CliError, usage
from cli.session import Session

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SEARCHED = 1000


def ids_of(session: Session, source_id: str, flow: str | None) -> list[str]:
    """The id of the flow that is meant, or of every flow of the source."""
    if flow is not None and UUID.fullmatch(flow):
        return [flow]
    flows = list(session.api.items(f"/sources/{source_id}/flows", SEARCHED))
    found = flows if flow is None else ids.pick(flows, flow)
    if not found:
        raise CliError("The source has no such flow.", hint="See `spark source flows`.")
    if flow is not None and len(found) > 1:
        listed = ", ".join(f"{item['id'][: tables.SHORT_ID]} {ids.name_of(item)}" for item in found[:5])
        raise usage(f"{flow!r} fits {len(found)} flows: {listed}", "Use one of these ids.")
    return [item["id"] for item in found]


def import_one(session: Session, wish: Json, again: bool, *, skip: bool) -> Json | None:
    """The new workflow; None if there is one of this flow already and that is fine."""
    try:
        workflow: Json = session.api.post("/workflows/import", wish, again="true" if again else None)
    except CliError as error:
        if not skip or not error.problem or error.problem["code"] != "already_imported":
            raise
        session.note(str(error), "dim")
        return None
    return workflow
