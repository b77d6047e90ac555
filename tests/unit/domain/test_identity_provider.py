"""What an identity provider says of somebody, and what that makes of them."""

from typing import Any

import pytest

from shared.domain import identity_provider as rules
from shared.domain.identity_provider import GroupRole, IdentityProvider
from shared.domain.outbound import AllowList
from shared.domain.role import ALLOWED, BuiltIn, Permission
from shared.errors import Forbidden, Invalid
from tests.fakes import NOON


def a_provider(**fields: Any) -> IdentityProvider:
    said = {"id": "idp_1", "organization_id": "default", "name": "Okta", "issuer": "https://a.test", "client_id": "c"}
    return IdentityProvider(**{**said, "created_by": "usr_1", "created_at": NOON, "updated_at": NOON, **fields})


MAPPING = (GroupRole(group="a", role="admin"), GroupRole(group="b", role="viewer"), GroupRole(group="c", role="admin"))


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["b"], "viewer"), (["b", "a"], "admin"), (["c", "b"], "viewer"), (["A"], None), ([], None)],
)
def test_the_first_entry_that_fits_counts(groups: list[str], role: str | None) -> None:
    assert rules.mapped_role(MAPPING, groups) == role


def test_it_gives_each_role_once_the_default_last() -> None:
    provider = a_provider(mapping=MAPPING, default_role="editor")
    assert provider.roles == {"mapping": ("admin", "viewer"), "default_role": ("editor",)}
    assert [provider.gives(role) for role in ("viewer", "editor", "owner")] == [True, True, False]
    assert a_provider().roles == {"mapping": (), "default_role": ()}


@pytest.mark.parametrize(
    ("said", "groups"),
    [(["a", "b"], ("a", "b")), ("a", ("a",)), (["a", 7, None, ["b"]], ("a",)), (7, ()), (None, ()), ({"a": 1}, ())],
)
def test_groups_are_a_list_or_one(said: Any, groups: tuple[str, ...]) -> None:
    assert rules.vouched(a_provider(), {"sub": "s", "groups": said}).groups == groups


def test_groups_stand_where_the_provider_says_and_are_bounded() -> None:
    provider = a_provider(groups_claim="https://a.test/roles")
    assert rules.vouched(provider, {"sub": "s", "groups": ["x"], "https://a.test/roles": ["y"]}).groups == ("y",)
    many = [str(number) for number in range(5000)]
    assert len(rules.vouched(a_provider(), {"sub": "s", "groups": many}).groups) == rules.MAX_GROUPS


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": " Sue ", "email": "s@a.test"}, "Sue"),
        ({"name": "", "preferred_username": "sue", "email": "s@a.test"}, "sue"),
        ({"name": 7, "email": "s@a.test"}, "s"),
        ({"name": "evil\nname"}, "Somebody"),
        ({"name": "x" * 999}, "x" * 200),
    ],
)
def test_everybody_has_a_name(claims: dict[str, Any], name: str) -> None:
    assert rules.vouched(a_provider(), {"sub": "s", **claims}).name == name


@pytest.mark.parametrize(
    ("said", "email"),
    [
        ("Sue@A.Test", "sue@a.test"),
        ("sue", None),
        (7, None),
        (None, None),
        ("sue@a.test\n", None),
        ("süe@a.test", None),
    ],
)
def test_an_address_is_one_as_people_write_it(said: Any, email: str | None) -> None:
    assert rules.vouched(a_provider(), {"sub": "s", "email": said}).email == email


NOTHING: dict[str, Any] = {}


@pytest.mark.parametrize("trusts", [False, True])
@pytest.mark.parametrize(
    ("claims", "is_verified"),
    [
        ({"email_verified": True}, True),
        ({"email_verified": "true"}, True),
        ({"email_verified": False}, False),
        ({"email_verified": "false"}, False),
        ({"email_verified": "True"}, False),
        ({"email_verified": 1}, False),
        ({"email_verified": [True]}, False),
        ({"email_verified": None}, False),
        (NOTHING, None),
    ],
)
def test_an_address_is_theirs_if_the_provider_says_so_and_where_it_is_silent_if_it_is_trusted(
    claims: dict[str, Any], is_verified: bool | None, trusts: bool
) -> None:
    said = rules.vouched(a_provider(trusts_addresses=trusts), {"sub": "s", "email": "s@a.test", **claims})
    assert said.is_verified is (trusts if is_verified is None else is_verified)


def test_a_subject_is_kept_as_its_hash_and_told_from_others_by_case() -> None:
    kept = [rules.vouched(a_provider(), {"sub": sub}).subject for sub in ("Sue", "sue")]
    assert kept[0] != kept[1]
    assert all(len(each) == 64 for each in kept)


@pytest.mark.parametrize("email", ["sue@a.test.evil.test", "sue@b.a.test", "a.test@evil.test", None, ""])
def test_an_address_of_another_domain_is_refused(email: str | None) -> None:
    rules.require_domain(a_provider(), email)
    rules.require_domain(a_provider(domains=("a.test",)), "sue@a.test")
    with pytest.raises(Forbidden):
        rules.require_domain(a_provider(domains=("a.test",)), email)


def test_a_ceiling_is_what_its_maker_may_do() -> None:
    assert rules.ceiling(ALLOWED[BuiltIn.owner]) is None
    assert a_provider().permits == frozenset(Permission)
    low = a_provider(ceiling=rules.ceiling(ALLOWED[BuiltIn.viewer]))
    assert low.permits == ALLOWED[BuiltIn.viewer]
    assert a_provider(ceiling=()).permits == frozenset()


@pytest.mark.parametrize(
    ("url", "allowed", "fine"),
    [
        ("https://accounts.test", "", True),
        ("http://accounts.test", "", False),
        ("http://accounts.test", "accounts.test", True),
        ("http://accounts.test", ".test", True),
        ("http://93.184.215.14", "", False),
        ("http://93.184.215.14", "93.184.0.0/16", True),
        ("http://127.0.0.1:8080", "127.0.0.0/8", True),
        ("http://127.0.0.1:8080", "", False),
        ("http://2130706433", "", False),
        ("https://127.0.0.1", "", False),
        ("https://169.254.169.254", "169.254.0.0/16", False),
        ("https://93.184.215.14", "", True),
        ("HTTPS://accounts.test", "", False),
    ],
)
def test_what_is_called_is_encrypted_or_named_by_the_deployment(url: str, allowed: str, fine: bool) -> None:
    if fine:
        rules.require_callable(url, AllowList.read(allowed), "/issuer")
        return
    with pytest.raises(Invalid):
        rules.require_callable(url, AllowList.read(allowed), "/issuer")
