"""API keys: their form, and which key they open."""

import pytest

from shared.domain.api_key import ApiKey, PresentedKey, read_key
from tests.fakes import NOON

SECRET = "s" * 43


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

    assert mine.opens(key)
    assert not other.opens(key)


def test_a_secret_is_not_in_what_is_stored() -> None:
    assert SECRET not in PresentedKey("a", SECRET).hash
