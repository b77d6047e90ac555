"""What every stored record has in common: an edition number, aware instants, sortable ids."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from ulid import ULID

ENTROPY_BYTES = 10  # the random half of a ULID
WELL_FORMED = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
TO_BASE_32 = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "abcdefghijklmnopqrstuv")  # Crockford's digits and Python's
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # no id is older
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def to_milliseconds(at: datetime) -> datetime:
    """`at` in UTC, cut to milliseconds: what a stored instant can hold."""
    try:
        at = at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("too close to the beginning or the end of the calendar") from error
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def instant_text(at: datetime) -> str:
    """Fixed-width UTC text (24 characters), so that text order is time order: `2030-01-01T12:00:00.000Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def only_dates(value: Any) -> Any:
    """A number would be taken for seconds since 1970."""
    if not isinstance(value, datetime) and not DATE.match(str(value)):
        raise ValueError("Write an instant like 2030-01-01T12:00:00Z.")
    return value


Instant = Annotated[AwareDatetime, AfterValidator(to_milliseconds), PlainSerializer(instant_text, return_type=str)]
Moment = Annotated[Instant, BeforeValidator(only_dates)]
"""An instant as users write it."""


class Stored(BaseModel):
    """A thing Spark stores. Immutable: a change is a new value, saved under the `revision` that was read.

    `revision` counts saves; 0 means "not stored yet". It is the store's business and no part of an answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: int = Field(default=0, exclude=True, repr=False)


class Record(Stored):
    """One that belongs to a project."""

    project_id: str


def new_id(prefix: str, at: datetime, entropy: bytes) -> str:
    """`prefix_` and the ULID of this millisecond and these ten bytes: ids of one kind sort by time."""
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)  # a float would be a millisecond off now and then
    return f"{prefix}_{ULID(milliseconds.to_bytes(6, 'big') + entropy[:ENTROPY_BYTES])}"


def derived_id(prefix: str, at: datetime, *parts: str) -> str:
    """The id that these parts always get at this time: whoever does the work again makes no second record."""
    return new_id(prefix, at, hashlib.sha256("\0".join(parts).encode()).digest())


def id_time(id: str) -> datetime:
    """The instant inside an id made by `new_id` or `derived_id`. ValueError when it is no such id."""
    ulid = id.rpartition("_")[2]
    # The library decodes all of a ULID, digit by digit: 9 µs, for each of the thousands that a tick reads and writes.
    quick = WELL_FORMED.fullmatch(ulid) is not None
    milliseconds = int(ulid[:10].translate(TO_BASE_32), 32) if quick else ULID.from_str(ulid).milliseconds
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise ValueError(f"{id!r} lies beyond the end of the calendar") from error
