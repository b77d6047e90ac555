"""Codes of authenticator apps, by the vectors of RFC 6238 and their window."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from shared.services import totp
from tests.fakes import NOON

RFC = base64.b32encode(b"12345678901234567890").decode()
# Appendix B has eight digits; the last six of them are the code of six.
VECTORS = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}
STEP = timedelta(seconds=30)


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_the_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert totp.step_of(RFC, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


@pytest.mark.parametrize(("off", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_one_step(off: int, is_good: bool) -> None:
    at = datetime.fromtimestamp(1111111109, UTC)
    step = totp.step_of(RFC, "081804", at - off * STEP)
    assert step == (1111111109 // 30 if is_good else None)


@pytest.mark.parametrize("typed", ["081 804", " 081804", "081-804"])
def test_it_may_be_typed_as_apps_show_it(typed: str) -> None:
    assert totp.step_of(RFC, typed, datetime.fromtimestamp(1111111109, UTC)) is not None


@pytest.mark.parametrize("typed", ["", "081805", "0818040", "81804", "ü81804", "x" * 40])
def test_nothing_else_is_a_code(typed: str) -> None:
    assert totp.step_of(RFC, typed, datetime.fromtimestamp(1111111109, UTC)) is None


def test_each_code_of_the_window_is_looked_at_whichever_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    real = totp.strings_equal
    monkeypatch.setattr(totp, "strings_equal", lambda one, other: compared.append(other) or real(one, other))
    for code in ("081804", "no code"):
        compared.clear()
        totp.step_of(RFC, code, datetime.fromtimestamp(1111111109, UTC))
        assert len(compared) == 3


def test_a_secret_has_160_bits_and_apps_are_told_all() -> None:
    secret = totp.secret(bytes(range(20)))
    assert len(base64.b32decode(secret)) == 20
    said = urlsplit(totp.uri(secret, "ann+x@example.com", "Spark (prod)"))
    assert (said.scheme, said.netloc, unquote(said.path)) == ("otpauth", "totp", "/Spark (prod):ann+x@example.com")
    assert parse_qs(said.query)["secret"] == [secret]
    assert totp.step_of(secret, "nothing", NOON) is None
