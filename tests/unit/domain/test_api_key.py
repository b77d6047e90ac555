"""API keys: their form, and which key they open."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain import api_key as rules
from shared.domain.api_key import USE_NOTED_EVERY, ApiKey, PresentedKey, read_key, written
from shared.errors import Conflict
from tests.fakes import NOON

SECRET = "s" * 43
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def a_key(**changes: Any) -> ApiKey:
    said = {"project_id": "p", "id": "key_a", "name": "first", "hash": PresentedKey("a", SECRET).hash}
    return ApiKey(**{**said, "created_at": NOON, **changes})


def opens(key: ApiKey, secret: str, at: datetime) -> bool:
    return PresentedKey("a", secret).opens(key, at)


def test_a_key_is_taken_apart() -> None:
    assert read_key(f"spk_bootstrap_{SECRET}") == PresentedKey("bootstrap", SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        f"spk__{SECRET}",
        "spk_a_short",
        f"spk_a_{SECRET}\n",
        f" spk_a_{SECRET}",
        f"spk_a_b_{SECRET}",
        f"spk_a#b_{SECRET}",
        f"spk_{'a' * 41}_{SECRET}",
        f"spk_a_{'s' * 129}",
        f"spk_é_{SECRET}",
        f"spk_a_{SECRET}٣",
    ],
)
def test_what_has_another_form_is_no_key(text: str) -> None:
    assert read_key(text) is None


def test_a_secret_opens_its_own_key_only() -> None:
    mine, other = PresentedKey("a", SECRET), PresentedKey("a", SECRET[:-1] + "x")
    key = ApiKey(project_id="p", id="a", name="first", hash=mine.hash, created_at=NOON)

    assert mine.opens(key, NOON)
    assert not other.opens(key, NOON)


def test_a_secret_is_not_in_what_is_stored() -> None:
    assert SECRET not in PresentedKey("a", SECRET).hash


def test_what_is_written_is_read_as_the_id_of_its_record() -> None:
    presented = read_key(written("key_01ABC", SECRET))
    assert presented == PresentedKey("01ABC", SECRET)
    assert presented.key_id == "key_01ABC"
    assert PresentedKey("bootstrap", SECRET).key_id == "bootstrap"


def test_a_key_opens_until_its_time_is_over() -> None:
    key = a_key(valid_until=NOON)
    assert (opens(key, SECRET, NOON - SECOND), opens(key, SECRET, NOON)) == (True, False)
    assert (opens(rules.end(a_key(), NOON), SECRET, NOON - SECOND), opens(rules.end(a_key(), NOON), SECRET, NOON)) == (
        True,
        False,
    )


def test_what_is_over_ends_no_later() -> None:
    assert rules.end(a_key(valid_until=NOON - HOUR), NOON).valid_until == NOON - HOUR
    assert rules.end(a_key(valid_until=NOON + HOUR), NOON).valid_until == NOON


def test_a_rotated_key_opens_with_both_secrets_for_a_while() -> None:
    new = "n" * 43
    key = rules.rotate(a_key(), PresentedKey("a", new).hash, NOON, HOUR)
    for at, old_opens in ((NOON, True), (NOON + HOUR - SECOND, True), (NOON + HOUR, False)):
        assert (opens(key, SECRET, at), opens(key, new, at)) == (old_opens, True)


def test_an_overlap_is_not_cut_short_but_by_none() -> None:
    key = rules.rotate(a_key(), PresentedKey("a", "n" * 43).hash, NOON, HOUR)
    third = PresentedKey("a", "t" * 43).hash
    with pytest.raises(Conflict, match=r"until 2030-01-01T13:00:00Z"):
        rules.rotate(key, third, NOON + HOUR - SECOND, HOUR)
    shut = rules.rotate(key, third, NOON, timedelta(0))
    assert [opens(shut, secret * 43, NOON) for secret in "snt"] == [False, False, True]
    assert rules.rotate(key, third, NOON + HOUR, HOUR).previous_hash == key.hash


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"role": "admin"}, False),
        ({"role": "rol_1"}, False),
        ({"organization_wide": False}, False),
        ({"valid_until": NOON}, False),
    ],
)
def test_an_owner_of_everything_without_an_end_keeps_the_door_open(change: dict[str, Any], expected: bool) -> None:
    assert rules.lasts(a_key(**{"role": "owner", "organization_wide": True, **change})) is expected


def test_a_use_is_noted_every_five_minutes() -> None:
    key = a_key(last_used_at=NOON)
    assert rules.used(key, NOON + USE_NOTED_EVERY - SECOND) is None
    assert (rules.used(key, NOON + USE_NOTED_EVERY) or key).last_used_at == NOON + USE_NOTED_EVERY
