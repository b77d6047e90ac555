"""`infra/item_kinds.py` against the items that Spark stores: each has its kind, and a restore knows what it may do."""

import json
from pathlib import Path

import pytest

from infra.item_kinds import ACCESS, CONFIGURATION, HISTORY, MOMENTARY, PATTERNS, RESTORABLE, kind_of
from shared.store import keys
from shared.store.keys import Key

FIXTURE = Path(__file__).parent / "fixtures" / "items_schema_1.json"
ITEMS = {name: Key(item["pk"]["S"], item["sk"]["S"]) for name, item in json.loads(FIXTURE.read_text()).items()}
CALLED = {  # where the fixture's name is not the kind's own
    "API key": "key",
    "audit entry": "audit",
    "dead letter": "dead-letter",
    "e-mail address": "email",
    "first owner": "first-owner",
    "identity of a user": "identity",
    "identity provider": "identity-provider",
    "idempotency record": "idempotency",
    "key of a service account": "key",
    "member by an identity provider": "member",
    "owners of an organization": "owners",
    "plain run": "run",
    "plain schedule": "schedule",
    "refusals of an address": "limit",
    "requests of a key": "limit",
    "scheduled run": "run",
    "seal of the audit log": "seal",
    "second factor": "second-factor",
    "service account": "service-account",
    "session of an identity provider": "session",
    "signing key": "signing-key",
    "trusted identity provider": "identity-provider",
}


@pytest.mark.parametrize(("name", "key"), ITEMS.items(), ids=list(ITEMS))
def test_each_item_has_its_kind_and_no_other(name: str, key: Key) -> None:
    matching = [kind for kind, pattern in PATTERNS if pattern.fullmatch(f"{key.pk} {key.sk}")]
    assert matching == [CALLED.get(name, name)]


def test_every_kind_is_that_of_an_item() -> None:
    assert {kind_of(key) for key in ITEMS.values()} == {*CONFIGURATION, *ACCESS, *HISTORY, *MOMENTARY}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (keys.email("a#b c@example.com"), "email"),
        (keys.limit(keys.limited_account("ab")), "limit"),
        (keys.member("org_1", "usr_1#prj_1"), "member"),
        (keys.audit_entry(keys.denials("org_1", "key_1"), 3), "audit"),
        (Key("PROJECT#prj_1#NOVELTY#nov_1", "RECORD"), None),
        (Key("PROJECT#prj_1", "NOVELTY"), None),
    ],
    ids=str,
)
def test_other_keys(key: Key, kind: str | None) -> None:
    assert kind_of(key) == kind


def test_what_is_of_a_moment_is_never_brought_back() -> None:
    assert not set(RESTORABLE) & set(MOMENTARY)
    assert {"session", "login", "invitation", "slot", "leases", "limit", "idempotency"} <= set(MOMENTARY)
