"""What a refresh token is to its session."""

from datetime import timedelta

import pytest

from shared.domain import session as rules
from shared.domain.session import Presented, Session, Visitor
from shared.domain.token import PresentedToken, TokenKind, read_token, written
from shared.domain.user import User
from tests.fakes import NOON

FAMILY, FIRST, SECOND, THIRD = ("f" * 43, "1" * 43, "2" * 43, "3" * 43)
ULID = "01JGJ000000000000000000000"
USER = User(id="usr_1", email="ann@example.com", name="Ann", password_hash="x", created_at=NOON)


def token(rotation: str, family: str = FAMILY) -> PresentedToken:
    return PresentedToken(ULID, family + rotation)


def a_session() -> Session:
    return rules.opened(USER, f"ses_{ULID}", FAMILY + FIRST, Visitor("x" * 1000, "::1"), NOON)


def test_a_secret_is_followed_by_one_of_its_family() -> None:
    assert rules.next_secret(token(FIRST), SECOND) == FAMILY + SECOND


@pytest.mark.parametrize(
    ("presented", "seconds", "verdict"),
    [
        (token(SECOND), 0, Presented.current),
        (token(SECOND), 99, Presented.current),
        (token(FIRST), 0, Presented.just_rotated),
        (token(FIRST), 10, Presented.just_rotated),
        (token(FIRST), 10.001, Presented.replayed),
        (token(THIRD), 0, Presented.replayed),
        (token(SECOND, family="g" * 43), 0, Presented.foreign),
        (PresentedToken(ULID, FAMILY), 0, Presented.replayed),
    ],
)
def test_a_token_is_judged_by_when_it_was_the_present_one(
    presented: PresentedToken, seconds: float, verdict: Presented
) -> None:
    rotated = rules.rotate(a_session(), FAMILY + SECOND, NOON)
    assert rules.judge(rotated, presented, NOON + timedelta(seconds=seconds)) is verdict


def test_a_session_is_open_to_its_user_until_it_is_over() -> None:
    session = a_session()
    last = NOON + timedelta(days=30)
    assert rules.is_open(session, USER, last - timedelta(seconds=1))
    assert not rules.is_open(session, USER, last)
    assert not rules.is_open(rules.revoke(session, NOON), USER, NOON)
    for changes in ({"generation": 1}, {"disabled_at": NOON}, {"id": "usr_2"}):
        assert not rules.is_open(session, USER.model_copy(update=changes), NOON)


def test_where_it_came_from_is_kept_short() -> None:
    assert len(a_session().user_agent) == 200


def test_nothing_secret_is_shown() -> None:
    shown = repr(a_session()) + repr(token(FIRST)) + repr(USER)
    assert FAMILY not in shown
    assert "hash" not in shown


def test_a_token_is_read_as_it_was_written() -> None:
    text = written(TokenKind.refresh, f"ses_{ULID}", FAMILY + FIRST)
    assert read_token(TokenKind.refresh, text) == token(FIRST)


@pytest.mark.parametrize("text", ["", "spr_", f"spi_{ULID}_{FAMILY}", f"spr_{ULID}_short", f"spr_{ULID}_{FAMILY}\n"])
def test_what_is_no_token_of_the_kind_is_none(text: str) -> None:
    assert read_token(TokenKind.refresh, text) is None
