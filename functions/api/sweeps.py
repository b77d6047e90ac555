"""Doing the same to many: the body that says to which, and the answer that says how far it came."""

from pydantic import BaseModel, ConfigDict, Field

from functions.api.pages import make_cursor, read_cursor
from shared.services.sweeping import Swept

MAX_SWEEP = 500


class SweepAnswer(BaseModel):
    """`matched` could be changed and `changed` were; there is more to look at while there is a `next_cursor`."""

    matched: int
    changed: int
    next_cursor: str | None


class SweepFields(BaseModel):
    """How many to look at in one call. What is meant is said by the fields that are added."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=MAX_SWEEP, strict=True)
    cursor: str | None = Field(None, max_length=500)

    def after(self, project: str, verb: str) -> str | None:
        """Raises BadCursor when the cursor was made for other filters, or another verb."""
        return read_cursor(self.cursor, self._list(project, verb)) if self.cursor else None

    def answer(self, project: str, verb: str, done: Swept) -> SweepAnswer:
        cursor = make_cursor(done.next, self._list(project, verb)) if done.next else None
        return SweepAnswer(matched=done.matched, changed=done.changed, next_cursor=cursor)

    def _list(self, project: str, verb: str) -> str:
        return "\0".join([project, verb, self.model_dump_json(exclude={"limit", "cursor"})])
