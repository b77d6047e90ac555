"""Cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.pages import make_cursor, read_cursor
from shared.errors import BadCursor


@given(after=st.text(min_size=1, max_size=80), list=st.text(max_size=80))
def test_a_cursor_comes_back_as_it_was(after: str, list: str) -> None:
    assert read_cursor(make_cursor(after, list), list) == after


@given(after=st.text(min_size=1), list=st.text(), other=st.text())
def test_a_cursor_of_another_list_is_refused(after: str, list: str, other: str) -> None:
    if list != other:
        with pytest.raises(BadCursor):
            read_cursor(make_cursor(after, list), other)


@given(cursor=st.text())
def test_whatever_is_sent_as_a_cursor_is_refused_in_good_order(cursor: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(cursor, "list")


@given(position=st.integers(0, 20), letter=st.sampled_from("ABab01-_"))
def test_a_cursor_with_another_letter_is_refused(position: int, letter: str) -> None:
    cursor = make_cursor("run_01M7Y2VP1EHWPSFNMRD8YJHN4P", "list")
    tampered = cursor[:position] + letter + cursor[position + 1 :]
    if tampered != cursor:
        with pytest.raises(BadCursor):
            read_cursor(tampered, "list")
