"""A login by an identity provider between there and back."""

from datetime import timedelta

import pytest

from shared.domain import login as rules
from shared.domain.login import Proofs
from shared.domain.token import PresentedToken
from shared.errors import Invalid
from tests.fakes import NOON

SECRET, OTHER = "s" * 43, "o" * 43
LOGIN = rules.begun("sso_1", "idp_1", "http://127.0.0.1:7777/idp_1", SECRET, NOON)


def is_good(secret: str = SECRET, state: str | None = None, seconds: float = 0) -> bool:
    said = Proofs.of(secret).state if state is None else state
    return rules.is_good(LOGIN, PresentedToken("1", secret), said, NOON + timedelta(seconds=seconds))


def test_it_is_for_who_began_it_with_its_own_state_in_time() -> None:
    assert is_good()
    assert is_good(seconds=599)
    assert not is_good(seconds=600)
    assert not is_good(secret=OTHER)
    assert not is_good(state=Proofs.of(OTHER).state)
    assert not is_good(state="")
    assert not is_good(state="ü")


def test_its_proofs_are_told_apart_and_tell_nothing_of_each_other() -> None:
    proofs = Proofs.of(SECRET)
    found = {proofs.state, proofs.nonce, proofs.verifier, proofs.challenge, LOGIN.hash, SECRET}
    assert len(found) == 6
    assert all(len(each) == 43 for each in (proofs.state, proofs.nonce, proofs.verifier, proofs.challenge))
    assert Proofs.of(SECRET) == proofs
    assert Proofs.of(OTHER).verifier != proofs.verifier


def test_the_challenge_is_that_of_the_standard() -> None:
    """RFC 7636, appendix B."""
    known = Proofs("", "", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert known.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_no_proof_is_shown() -> None:
    proofs = Proofs.of(SECRET)
    assert not [each for each in (proofs.state, proofs.nonce, proofs.verifier) if each in repr(proofs)]
    assert LOGIN.hash not in repr(LOGIN)


ORIGINS = ["https://app.test", "*", "", "http://localhost:3000"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:7777/idp_1",
        "http://127.0.0.1:7777/some/where/idp_1",
        "http://[::1]:7777/idp_1",
        "https://app.test/login/idp_1",
        "http://localhost:3000/idp_1",
    ],
)
def test_it_comes_back_to_this_machine_or_to_a_page_of_ours(uri: str) -> None:
    rules.require_redirect(uri, "idp_1", ORIGINS)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "idp_1",
        "http://127.0.0.1:7777/idp_2",
        "http://127.0.0.1:7777/idp_1/",
        "http://127.0.0.1:7777/idp_1?x=y",
        "http://127.0.0.1:7777/xidp_1",
        "http://127.0.0.1:0/idp_1",
        "http://127.0.0.1:99999/idp_1",
        "http://127.0.0.1:x/idp_1",
        "http://127.0.0.1/idp_1",
        "https://127.0.0.1:7777/idp_1",
        "http://127.0.0.2:7777/idp_1",
        "http://127.0.0.1.evil.test:7777/idp_1",
        "http://localhost:7777/idp_1",
        "http://evil.test:7777/idp_1",
        "https://app.test.evil.test/idp_1",
        "https://app.test@evil.test/idp_1",
        "https://app.test:444/idp_1",
        "http://app.test/idp_1",
        "https://app.test\\@evil.test/idp_1",
        "https://app.test/idp_1#idp_1",
        "javascript:alert(1)/idp_1",
        "*/idp_1",
        "http://127.0.0.1:7777/\nidp_1",
        "http://127.0.0.1:7777/ü/idp_1",
    ],
)
def test_and_nowhere_else(uri: str) -> None:
    with pytest.raises(Invalid):
        rules.require_redirect(uri, "idp_1", ORIGINS)
