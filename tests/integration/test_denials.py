"""The roles of tick, executor and dead letters: what they may not touch in the table, and that they need none of it.

A function that is taken over, most likely the executor, which reads what LangFlow answers, could else write itself an
API key, or the key that signs access tokens. `test_handlers.py` runs under these denials, too.
"""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from functions.api import identity
from functions.tick.handler import handler as tick
from shared import wiring
from shared.domain.act import Act
from shared.domain.audit import Subject
from shared.domain.overlap import Overlap
from shared.store import keys
from shared.store.keys import Key
from tests.integration.conftest import Aws
from tests.integration.denials import Request, acting_as, denied
from tests.integration.test_handlers import context, event, langflow, server
from tests.stub_langflow import StubLangFlow
from tests.world import a_project, a_schedule

__all__ = ["langflow", "server"]  # fixtures

OTHERS = [
    keys.api_key("key"),
    keys.user("user"),
    keys.second_factor("user"),
    keys.email("ann@example.com"),
    keys.session("session"),
    keys.login("login"),
    keys.invitation("invitation"),
    keys.identity_provider("provider"),
    keys.identity("provider", "hash"),
    keys.identity_of_user("provider", "user"),
    keys.organization("default"),
    keys.owners("default"),
    keys.role("default", "role"),
    keys.member("default", "user"),
    keys.service_account("default", "account"),
    keys.first_owner(),
    keys.signing_key(1),
    keys.limit("KEY#key"),
]
PROJECTS = [
    keys.project("default"),
    keys.run("default", "run"),
    keys.attempt("default", "run", 1),
    keys.slot("default", "schedule"),
    keys.leases("default", "source"),
    keys.dead_letter("default", "letter"),
    keys.audit_entry(keys.record("default", keys.SCHEDULE, "schedule").pk, 1),
]
MADE_OF_ITS_OWN = ["PutItem", "PartiQLInsert"]
DENIED = {
    "TickFunction": MADE_OF_ITS_OWN,
    "ExecutorFunction": ["GetItem", "BatchGetItem", "Query", *MADE_OF_ITS_OWN, "PartiQLUpdate"],
    "DeadLettersFunction": ["GetItem", "BatchGetItem", "Query", "PutItem"],
}


@pytest.mark.parametrize("function", DENIED)
@pytest.mark.parametrize("key", OTHERS, ids=lambda key: key.pk)
def test_what_belongs_to_no_project_is_denied_to_all_but_the_api(function: str, key: Key) -> None:
    assert [action for action in DENIED[function] if not denied(function, Request(action, key.pk))] == []
    assert not denied("ApiFunction", Request("PutItem", key.pk))


@pytest.mark.parametrize("function", DENIED)
@pytest.mark.parametrize("key", PROJECTS, ids=lambda key: f"{key.pk} {key.sk}")
def test_what_belongs_to_a_project_is_denied_to_nobody(function: str, key: Key) -> None:
    written = [Request(action, key.pk, frozenset({"status"})) for action in [*DENIED[function], "PartiQLUpdate"]]
    assert [request for request in written if denied(function, request)] == []


@pytest.mark.parametrize("key", OTHERS, ids=lambda key: key.pk)
def test_the_tick_may_note_there_that_an_entry_is_sealed_and_nothing_else(key: Key) -> None:
    sealed = frozenset({"pk", "sk", "revision", "wake_shard", "wake_at"})
    assert not denied("TickFunction", Request("PartiQLUpdate", key.pk, sealed))
    assert denied("TickFunction", Request("PartiQLUpdate", key.pk, sealed | {"secret_hash"}))


def test_the_tick_seals_what_is_about_anything(aws: Aws) -> None:
    act = Act("key.created", "spark", "default", wiring.now())
    for key in OTHERS:
        wiring.audit().append(act, Subject("key", key.pk), key.pk)

    with acting_as("TickFunction", aws.dynamodb) as made:
        answer = tick(event("eventbridge_tick.json"), context())

    assert answer["sealed"] == len(OTHERS)
    assert not [item for item in aws.items() if item["sk"]["S"].startswith("AUDIT#") and "wake_at" in item]
    assert {request.action for request in made} >= {"PutItem", "PartiQLUpdate", "BatchGetItem", "Query"}


@pytest.mark.parametrize("overlap", [Overlap.allow, Overlap.skip, Overlap.queue_all])
def test_the_tick_fires_schedules(langflow: StubLangFlow, aws: Aws, overlap: Overlap) -> None:
    wiring.projects().ensure(a_project())
    ago = wiring.now() - timedelta(minutes=10)
    wiring.schedules().save(None, a_schedule(created_at=ago, overlap=overlap, catch_up="all"))

    with acting_as("TickFunction", aws.dynamodb):
        answer = tick(event("eventbridge_tick.json"), context())

    assert answer["fired"] >= 1


def test_a_request_that_is_denied_is_refused(aws: Aws) -> None:
    """Else the tests here and in test_handlers.py would prove nothing."""
    with acting_as("ExecutorFunction", aws.dynamodb), pytest.raises(ClientError, match="is denied"):
        identity.users().get("user")
