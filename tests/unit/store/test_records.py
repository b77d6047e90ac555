"""Lists of which only some is wanted."""

from dataclasses import dataclass

from shared.store.records import MAX_SCANNED, SCAN_CHUNK, Slice, sift


@dataclass(frozen=True)
class Thing:
    id: str


def chunk(after: str | None) -> Slice[Thing]:
    """A hundred things each, 2,500 in all, newest first; those that cannot be read are missing."""
    first = int(after) - 1 if after else 2499
    last = max(first - SCAN_CHUNK + 1, 0)
    things = [Thing(f"{n:04d}") for n in range(first, last - 1, -1) if n % 10]
    return Slice(things, f"{last:04d}" if last else None)


def test_a_page_is_filled_from_many_chunks() -> None:
    page = sift(chunk, lambda thing: thing.id.endswith("99"), limit=3, after=None)
    assert page == Slice([Thing("2499"), Thing("2399"), Thing("2299")], "2299")
    assert sift(chunk, lambda thing: thing.id.endswith("99"), limit=1, after=page.next).items == [Thing("2199")]


def test_a_sparse_list_gives_short_pages_that_go_on() -> None:
    page = sift(chunk, lambda thing: thing.id == "0001", limit=3, after=None)
    assert page == Slice([], f"{2500 - MAX_SCANNED:04d}")
    page = sift(chunk, lambda thing: thing.id == "0001", limit=3, after=page.next)
    page = sift(chunk, lambda thing: thing.id == "0001", limit=3, after=page.next)
    assert page == Slice([Thing("0001")], None)


def test_a_full_page_at_the_very_end_is_the_last() -> None:
    assert sift(chunk, lambda thing: thing.id <= "0002", limit=2, after="0050") == Slice(
        [Thing("0002"), Thing("0001")], None
    )
    assert sift(chunk, lambda thing: True, limit=1, after="0050").next == "0049"
