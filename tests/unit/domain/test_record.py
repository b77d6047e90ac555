"""Ids that sort by time, instants that sort as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.domain.record import Instant, derived_id, id_time, instant_text, new_id, to_milliseconds

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_an_instant_is_fixed_width_text_in_utc() -> None:
    at = datetime(2030, 1, 1, 13, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=1)))

    assert instant_text(at) == "2030-01-01T12:00:00.123Z"
    assert instant_text(NOON) == "2030-01-01T12:00:00.000Z"


def test_an_instant_keeps_milliseconds_only() -> None:
    at = NOON.replace(microsecond=123_999)

    assert to_milliseconds(at) == NOON.replace(microsecond=123_000)


@pytest.mark.parametrize("text", ["2030-01-01T12:00:00", "tomorrow", "0001-01-01T00:00:00+14:00", ""])
def test_a_text_that_is_no_instant_with_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(text)


def test_an_id_tells_its_kind_and_its_millisecond() -> None:
    id = new_id("run", NOON.replace(microsecond=123_456), b"0123456789")

    assert id.startswith("run_")
    assert len(id) == len("run_") + 26
    assert id_time(id) == NOON.replace(microsecond=123_000)


def test_a_derived_id_is_always_the_same_and_differs_with_each_part() -> None:
    assert derived_id("run", NOON, "a", "b") == derived_id("run", NOON, "a", "b")
    assert len({derived_id("run", NOON, *parts) for parts in (["a", "b"], ["ab"], ["a", "c"], ["b", "a"])}) == 4


@pytest.mark.parametrize(
    "text", ["run_", "run_abc", "run_01JGJ000000000000000000OOO!", "run_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", ""]
)
def test_the_time_of_what_is_no_id_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        id_time(text)
