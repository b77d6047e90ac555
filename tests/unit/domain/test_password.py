"""Which passwords, and which addresses, are taken."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.domain.password import COMMON, MAX_BYTES, MIN_CHARACTERS, require_good
from shared.domain.user import EmailText
from shared.errors import Invalid

EMAIL = TypeAdapter(EmailText)


@pytest.mark.parametrize(
    "password", ["twelve chars", "a long and winding password", "ü" * 3 + "xyzabcdef", "密码" * 6 + "x"]
)
def test_a_long_password_is_taken(password: str) -> None:
    require_good(password, "ann@example.com", "Ann")


@pytest.mark.parametrize(
    "password",
    ["eleven char", "abababababab", "x" * 1025, "ü1a" * 342, "PasswordPassword", "ann@example.com", "ANN OF EXAMPLE"],
)
def test_one_that_would_be_guessed_is_not(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        require_good(password, "ann@example.com", "Ann of Example")
    assert refused.value.pointer == "/password"
    assert password not in refused.value.detail


def test_the_list_of_common_ones_holds_only_what_would_pass_otherwise() -> None:
    assert [one for one in COMMON if len(one) < MIN_CHARACTERS or len(one) > MAX_BYTES or one != one.casefold()] == []


@pytest.mark.parametrize(
    ("text", "address"), [("Ann@Example.COM", "ann@example.com"), ("a+b.c@x-y.co.uk", "a+b.c@x-y.co.uk")]
)
def test_an_address_is_kept_in_lower_case(text: str, address: str) -> None:
    assert EMAIL.validate_python(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "ann@",
        "@x.com",
        "ann@x",
        "a b@x.com",
        "a@x.com\n",
        "a@x.com,b@x.com",
        "<a@x.com>",
        "ann@exämple.com",
        "a@b@x.com",
        "a@" + "x" * 64 + ".com",
        "a" * 65 + "@x.com",
        "a@" + "x." * 130 + "com",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_address(text: str) -> None:
    with pytest.raises(ValidationError):
        EMAIL.validate_python(text)
