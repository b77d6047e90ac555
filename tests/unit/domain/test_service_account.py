"""Service accounts: what their keys may do is theirs."""

from shared.domain.api_key import NO_ROLE, ApiKey, lasts
from shared.domain.service_account import ServiceAccount, acting, is_good
from tests.fakes import NOON

ACCOUNT = ServiceAccount(
    id="svc_1", project_id="prj_1", organization_wide=True, name="x", role="owner", created_by="key_1", created_at=NOON
)
KEY = ApiKey(
    id="key_2", project_id="prj_1", name="k", role=NO_ROLE, service_account_id="svc_1", hash="h", created_at=NOON
)


def test_a_key_has_the_role_and_the_place_of_its_account() -> None:
    meant = acting(KEY, ACCOUNT)
    assert (meant.role, meant.project_id, meant.organization_wide) == ("owner", "prj_1", True)
    assert (meant.id, meant.hash, meant.service_account_id) == (KEY.id, KEY.hash, "svc_1")


def test_a_key_of_an_account_keeps_no_organization_from_being_locked_out() -> None:
    assert not lasts(KEY.model_copy(update={"organization_wide": True}))


def test_one_that_is_disabled_or_gone_is_no_good() -> None:
    assert is_good(ACCOUNT)
    assert not is_good(ACCOUNT.model_copy(update={"disabled_at": NOON}))
    assert not is_good(None)
