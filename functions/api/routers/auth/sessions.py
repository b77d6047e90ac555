"""The sessions of one's own that are open."""

from fastapi import Request
from pydantic import BaseModel

from functions.api import identity, table
from functions.api.dependencies import Id
from functions.api.errors import responses
from functions.api.pages import Page, Paged
from functions.api.routers.auth.people import Person, origin
from shared.domain.record import Instant
from shared.domain.session import Session

router = table.router("auth")


class SessionView(BaseModel):
    """A login that is still open."""

    id: str
    is_current: bool
    user_agent: str
    address: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant

    @classmethod
    def of(cls, session: Session, current: str) -> "SessionView":
        fields = session.model_dump(include=set(cls.model_fields))
        return cls(**fields, is_current=session.id == current)


@router.get("/sessions", responses=responses(400))
def list_sessions(person: Person, paged: Paged) -> Page[SessionView]:
    """The sessions that are open, newest first."""
    mine = person.user.id
    found = identity.signing_in().list(person.user, limit=paged.limit, after=paged.after(mine))
    return paged.answer(mine, [SessionView.of(each, person.session.id) for each in found.items], found.next)


@router.delete("/sessions/{session_id}", status_code=204, responses=responses(404))
def revoke_session(request: Request, session_id: Id, person: Person) -> None:
    """End a session, wherever it was opened. Its access tokens work for a minute more."""
    identity.signing_in().log_out(person.user.id, session_id, origin(request))
