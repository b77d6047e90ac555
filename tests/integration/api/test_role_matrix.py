"""Each role at each operation, from the API's own document: without the permission it is 403, and nothing changes."""

from collections.abc import Callable

import httpx
import pytest

from shared.domain.role import ALLOWED, BuiltIn, Permission
from tests.integration.api.conftest import client
from tests.integration.api.keys import holder
from tests.integration.api.operations import Operation, operations
from tests.integration.conftest import Aws

OPEN_TO_ALL = {
    "get_health",
    "get_liveness",
    "get_readiness",
    "get_jwks",
    "login",
    "refresh",
    "register",
    "verify_email",
    "forget_password",
    "reset_password",
    "start_sso",
    "finish_sso",
    "log_in_with_second_factor",
    "text_second_factor",
}
"""What nobody can prove who they are for, and what they ask to be able to."""

OPEN_TO_THOSE_WHO_ARE_KNOWN = {
    "get_me",
    "logout",
    "change_password",
    "list_sessions",
    "revoke_session",
    "ask_for_verification",
    "accept_invitation",
    "get_second_factor",
    "begin_second_factor",
    "confirm_second_factor",
    "renew_recovery_codes",
    "disable_second_factor",
    "add_phone",
    "confirm_phone",
}
"""What concerns nobody but themselves."""

GUARDED = [each for each in operations() if each.permissions]
Count = Callable[[str, int], None]


def test_every_operation_declares_a_permission_or_is_known_to_need_none() -> None:
    free = {each.id for each in operations() if not each.permissions}
    assert free == OPEN_TO_ALL | OPEN_TO_THOSE_WHO_ARE_KNOWN
    assert {each.id for each in operations() if not each.schemes} == OPEN_TO_ALL


def test_every_permission_is_needed_by_some_operation() -> None:
    assert {permission for each in GUARDED for permission in each.permissions} == set(Permission)


@pytest.mark.parametrize("role", BuiltIn)
def test_a_role_opens_what_it_allows_and_nothing_else(
    api: httpx.Client, aws: Aws, role: BuiltIn, tell_count: Count
) -> None:
    with holder(api, role, organization_wide=True) as caller:
        refused_before = items(aws)
        for each in GUARDED:
            if not may(role, each):
                answer = each.request(caller, {})
                assert (answer.status_code, answer.json().get("code")) == (403, "forbidden"), f"{role} at {each.id}"
                assert any(f"needs {permission}" in answer.json()["detail"] for permission in each.permissions)
        assert items(aws) == refused_before
        for each in GUARDED:
            if may(role, each):
                answer = each.request(caller, {})
                assert answer.status_code not in (401, 403), f"{role} at {each.id}: {answer.text}"
    tell_count("pairs of a role and an operation", len(GUARDED))


def test_without_a_key_nothing_guarded_opens(aws: Aws, tell_count: Count) -> None:
    with client(None) as stranger:
        for each in GUARDED:
            assert each.request(stranger, {}).status_code in (401, 429), each.id
    tell_count("operations tried without a key", len(GUARDED))


def may(role: BuiltIn, operation: Operation) -> bool:
    return {Permission(permission) for permission in operation.permissions} <= ALLOWED[role]


def items(aws: Aws) -> list[str]:
    """What is stored, but for what is stored about callers: their last use, their limits, and what was denied them."""
    notes = ("KEY#", "LIMIT#", "ORGANIZATION#default#DENIED#")
    return sorted(str(item) for item in aws.items() if not item["pk"]["S"].startswith(notes))
