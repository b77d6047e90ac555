"""What authenticated callers are refused goes into the audit log."""

from typing import TYPE_CHECKING

from fastapi import Request

from functions.api import identity
from shared.errors import Forbidden
from shared.services.auditing import Denied

if TYPE_CHECKING:
    from functions.api.auth import Caller

MAX_PATH = 200  # characters of it that are noted


def note(request: Request, error: Forbidden) -> None:
    """Note that `request` was refused, if it is known whose it was."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        return
    identity.denials().note(
        Denied(
            caller=caller.id,
            organization=caller.organization_id,
            project=caller.project_id,
            permission=error.permission,
            endpoint=f"{request.method} {getattr(request.scope.get('route'), 'path', '')}",
            request=f"{request.method} {request.url.path[:MAX_PATH]}",
            address=caller.address or None,
            correlation_id=caller.correlation_id or None,
        )
    )
