"""Codes: what they look like, that each works once, and for how long."""

from datetime import timedelta

import pytest

from shared.domain import second_factor as rules
from shared.domain.second_factor import RECOVERY_CODES, TEXT_LIFETIME, Method, SecondFactor
from shared.errors import Conflict
from tests.fakes import NOON

PHONE, OTHER = "+5511987654321", "+5511912345678"
CODES = [rules.recovery_code(bytes([number]) * 10) for number in range(RECOVERY_CODES)]


@pytest.fixture
def factor() -> SecondFactor:
    return rules.confirmed(rules.begun(None, "usr_1", "encrypted", NOON), 7, CODES, NOON)


def test_one_that_is_not_confirmed_gives_way_to_the_next_and_one_that_is_does_not(factor: SecondFactor) -> None:
    first = rules.begun(None, "usr_1", "first", NOON).model_copy(update={"revision": 3})
    assert rules.begun(first, "usr_1", "second", NOON).encrypted_secret == "second"
    assert rules.begun(first, "usr_1", "second", NOON).revision == 3
    with pytest.raises(Conflict):
        rules.begun(factor, "usr_1", "third", NOON)


def test_a_time_step_is_used_once_and_no_older_one_afterwards(factor: SecondFactor) -> None:
    after = rules.used_step(factor, 9)
    assert after is not None
    assert [rules.used_step(after, step) is not None for step in (8, 9, 10)] == [False, False, True]
    assert rules.used_step(factor, 7) is None  # by which it was confirmed
    assert rules.used_step(factor, None) is None


def test_ten_recovery_codes_work_once_each(factor: SecondFactor) -> None:
    left: SecondFactor | None = factor
    for number, code in enumerate(CODES, start=1):
        assert left is not None
        left = rules.used_recovery(left, code)
        assert left is not None
        assert len(left.recovery_hashes) == RECOVERY_CODES - number
        assert rules.used_recovery(left, code) is None


@pytest.mark.parametrize("typed", [CODES[3].lower(), CODES[3].replace("-", ""), f" {CODES[3].replace('-', ' ')} "])
def test_a_recovery_code_may_be_typed_as_one_likes(factor: SecondFactor, typed: str) -> None:
    assert rules.method_of(typed) is Method.recovery
    assert rules.used_recovery(factor, typed) is not None


def test_a_recovery_code_has_eighty_bits_and_is_not_stored(factor: SecondFactor) -> None:
    assert rules.recovery_code(bytes(range(10))) != rules.recovery_code(bytes(range(1, 11)))
    assert len(CODES[0].replace("-", "")) * 5 == 80
    assert not [code for code in CODES if code in str(factor.model_dump())]


@pytest.mark.parametrize("typed", ["123456", "123 456", " 123-456 "])
def test_six_digits_are_the_apps(typed: str) -> None:
    assert rules.method_of(typed) is Method.totp


@pytest.mark.parametrize("typed", ["12345", "1234567", "12345a", ""])
def test_nothing_else_is(typed: str) -> None:
    assert rules.method_of(typed) is Method.recovery


def test_a_number_is_ones_own_by_the_code_that_was_sent_to_it(factor: SecondFactor) -> None:
    sent = rules.texted(factor, "secret", PHONE, "123456", NOON)
    assert sent.phone is None
    assert rules.used_text(sent, "secret", "123456", NOON) is None  # it is no way in yet
    after = rules.with_phone(sent, "secret", "123 456", NOON)
    assert after is not None
    assert (after.phone, after.text_to, after.text_hash, after.text_until) == (PHONE, None, None, None)
    assert rules.with_phone(after, "secret", "123456", NOON) is None


def test_a_sent_code_works_once_for_five_minutes(factor: SecondFactor) -> None:
    sent = rules.texted(factor.model_copy(update={"phone": PHONE}), "secret", PHONE, "123456", NOON)
    after = rules.used_text(sent, "secret", "123456", NOON + TEXT_LIFETIME - timedelta(milliseconds=1))
    assert after is not None
    assert rules.used_text(after, "secret", "123456", NOON) is None
    assert rules.used_text(sent, "secret", "123456", NOON + TEXT_LIFETIME) is None
    assert rules.used_text(sent, "secret", "123457", NOON) is None
    assert timedelta(minutes=5) == TEXT_LIFETIME


def test_a_code_that_was_sent_to_another_number_is_no_way_in(factor: SecondFactor) -> None:
    sent = rules.texted(factor.model_copy(update={"phone": PHONE}), "secret", OTHER, "123456", NOON)
    assert rules.used_text(sent, "secret", "123456", NOON) is None


def test_what_is_stored_of_a_sent_code_says_nothing_without_the_secret(factor: SecondFactor) -> None:
    one, other = (rules.texted(factor, secret, PHONE, "123456", NOON) for secret in ("one", "other"))
    assert one.text_hash != other.text_hash
    assert "123456" not in str(one.model_dump())


def test_a_sent_code_has_six_digits() -> None:
    assert rules.text_code(bytes(8)) == "000000"
    assert rules.text_code(b"\xff" * 8) == f"{(2**64 - 1) % 10**6:06d}"


def test_it_says_which_ways_there_are(factor: SecondFactor) -> None:
    assert rules.methods(factor, with_texts=True) == [Method.totp, Method.recovery]
    phoned = factor.model_copy(update={"phone": PHONE, "recovery_hashes": ()})
    assert rules.methods(phoned, with_texts=True) == [Method.totp, Method.sms]
    assert rules.methods(phoned, with_texts=False) == [Method.totp]


def test_nothing_secret_is_shown_by_accident(factor: SecondFactor) -> None:
    sent = rules.texted(factor.model_copy(update={"phone": PHONE}), "secret", PHONE, "123456", NOON)
    shown = repr(sent)
    assert not [each for each in (PHONE, sent.text_hash, "encrypted", *sent.recovery_hashes) if str(each) in shown]
