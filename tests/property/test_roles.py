"""Roles as a lattice: more allowed is never less, more denied never more, nobody gives what they do not have."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.role import ALLOWED, NOTHING, BuiltIn, Grant, Permission, Role, built_in, custom, missing, touched
from shared.domain.role import permissions as total
from tests.fakes import NOON

PERMISSIONS = st.frozensets(st.sampled_from(Permission))
GRANTS = st.builds(Grant, PERMISSIONS, PERMISSIONS)
ALL = st.lists(GRANTS, max_size=4)
ROLES = st.builds(
    lambda allow, deny: Role(
        id="rol_1",
        organization_id="o",
        name="r",
        allow=tuple(allow),
        deny=tuple(deny),
        created_by="key_1",
        created_at=NOON,
    ),
    PERMISSIONS,
    PERMISSIONS,
)


@given(ALL, PERMISSIONS)
def test_more_allowed_is_never_less(grants: list[Grant], more: frozenset[Permission]) -> None:
    assert total(grants) <= total([*grants, Grant(more)])


@given(ALL, PERMISSIONS)
def test_more_denied_is_never_more(grants: list[Grant], denied: frozenset[Permission]) -> None:
    after = total([*grants, Grant(frozenset(), denied)])
    assert after == total(grants) - denied


@given(ALL)
def test_it_is_allowed_by_somebody_and_denied_by_nobody(grants: list[Grant]) -> None:
    for permission in Permission:
        allowed = any(permission in grant.allow for grant in grants)
        denied = any(permission in grant.deny for grant in grants)
        assert (permission in total(grants)) is (allowed and not denied)


@given(ALL, st.randoms())
def test_neither_order_nor_repetition_counts(grants: list[Grant], chance: object) -> None:
    shuffled = [*grants, *grants, NOTHING]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(shuffled) == total(grants)


@given(st.sampled_from(BuiltIn), st.sampled_from(BuiltIn))
def test_built_in_roles_are_a_chain(one: BuiltIn, other: BuiltIn) -> None:
    order = list(BuiltIn)
    below = order.index(one) < order.index(other)
    assert below is (ALLOWED[one] < ALLOWED[other])
    assert total([built_in(one), built_in(other)]) == ALLOWED[max(one, other, key=order.index)]


@given(GRANTS, PERMISSIONS)
def test_nothing_is_missing_exactly_where_it_is_within(grant: Grant, mine: frozenset[Permission]) -> None:
    """What it denies counts, too: a denial is laid on and lifted by those who have what it is about."""
    assert (missing(grant, mine) == []) is (grant.allow | grant.deny <= mine)
    assert set(missing(grant, mine)) == (grant.allow | grant.deny) - mine


@given(GRANTS, GRANTS)
def test_what_was_given_with_nothing_missing_adds_nothing_to_the_giver(mine: Grant, given_away: Grant) -> None:
    had = total([mine])
    if not missing(given_away, had):
        assert total([given_away]) <= had


@given(ROLES, st.none() | ROLES, ALL)
def test_whoever_has_a_role_gains_and_loses_only_what_its_change_is_about(
    before: Role, after: Role | None, others: list[Grant]
) -> None:
    def held(role: Role | None) -> frozenset[Permission]:
        return total([*others, custom(role) if role else NOTHING])

    assert held(after) ^ held(before) <= touched(before, after)
