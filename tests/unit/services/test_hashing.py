"""Passwords, hashed."""

import pytest

from shared.services import hashing

PASSWORD = "a long and winding password"


def test_a_password_opens_its_own_hash_alone() -> None:
    hash = hashing.hashed(PASSWORD)
    assert hashing.is_right(PASSWORD, hash)
    assert not hashing.is_right(PASSWORD + "x", hash)
    assert not hashing.is_outdated(hash)


def test_the_same_password_is_never_hashed_the_same() -> None:
    assert hashing.hashed(PASSWORD) != hashing.hashed(PASSWORD)


class Watched:
    """The hasher, and what it had to verify."""

    def __init__(self) -> None:
        self.verified: list[str] = []

    def verify(self, hash: str, password: str) -> bool:
        self.verified.append(hash)
        return hasher.verify(hash, password)


hasher = hashing.HASHER


def test_who_has_no_hash_is_never_right_and_is_verified_as_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(hashing, "HASHER", watched)
    assert not hashing.is_right(PASSWORD, None)
    assert watched.verified == [hashing.NOBODYS]
    monkeypatch.undo()
    assert not hashing.is_outdated(hashing.NOBODYS)
    assert hashing.NOBODYS.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(hashing.NOBODYS) == len(hashing.hashed(PASSWORD))


def test_what_is_no_hash_opens_to_nothing() -> None:
    assert not hashing.is_right(PASSWORD, "plain text")
