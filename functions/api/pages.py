"""Lists page by page: `?limit=` and an opaque `?cursor=` in, `next_cursor` and a Link header out."""

import base64
import binascii
import hashlib
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from shared.errors import BadCursor
from shared.store.records import Slice

T = TypeVar("T")

CHECKSUM_BYTES = 9


class Page(BaseModel, Generic[T]):
    """Some of a list, newest first. It goes on while there is a `next_cursor`, even if `items` is short or empty."""

    items: list[T]
    next_cursor: str | None


class Paging:
    """The page that a request asks for, of the list that its path and filters name."""

    def __init__(
        self,
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
        cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
    ) -> None:
        self.limit = limit
        self._request = request
        self._response = response
        self._cursor = cursor

    def after(self, project: str) -> str | None:
        """Where the page begins: behind this id.

        Raises:
            BadCursor: it was made for another list, or by somebody else.
        """
        return read_cursor(self._cursor, self._list(project)) if self._cursor else None

    def answer(self, project: str, items: list[T], next: str | None) -> Page[T]:
        """The page, and the Link header to the one after it."""
        cursor = make_cursor(next, self._list(project)) if next else None
        if cursor is not None:
            query = {**dict(self._request.query_params), "cursor": cursor}
            self._response.headers["Link"] = f'<?{urlencode(query)}>; rel="next"'
        return Page(items=items, next_cursor=cursor)

    def slice(self, project: str, slice: Slice[T]) -> Page[T]:
        return self.answer(project, slice.items, slice.next)

    def _list(self, project: str) -> str:
        """What a cursor is bound to: project, list and filters. How many one takes of it is free to change."""
        query = sorted((k, v) for k, v in self._request.query_params.multi_items() if k not in ("limit", "cursor"))
        return "\0".join([project, self._request.url.path, urlencode(query)])


Paged = Annotated[Paging, Depends(Paging)]


def make_cursor(after: str, list: str) -> str:
    """`after` with a checksum over it and the list. It keeps accidents out; who forges it sees only his own project."""
    return base64.urlsafe_b64encode(_checksum(after, list) + after.encode()).decode().rstrip("=")


def read_cursor(cursor: str, list: str) -> str:
    """Raises BadCursor when `cursor` was not made for `list`."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        after = raw[CHECKSUM_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise BadCursor("The cursor is damaged.") from error
    if raw[:CHECKSUM_BYTES] != _checksum(after, list):
        raise BadCursor("The cursor was made for another list or other filters.")
    return after


def _checksum(after: str, list: str) -> bytes:
    return hashlib.sha256(f"{list}\0{after}".encode()).digest()[:CHECKSUM_BYTES]
