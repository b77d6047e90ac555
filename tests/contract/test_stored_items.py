"""Items as Spark has stored them since schema 1 (`fixtures/items_schema_1.json`, as DynamoDB shows them): still read.

When this fails, data of running deployments would no longer be read: raise `codec.SCHEMA`, teach `decode` the way up,
and add a fixture of the new schema beside this one, which stays as it is.
"""

import base64
import json
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.prices import base_write_units, item_bytes
from shared import store
from shared.domain import run as run_rules
from shared.domain.act import Act
from shared.domain.api_key import ApiKey
from shared.domain.attempt import Attempt, LogLine, Step, StepStatus
from shared.domain.audit import Subject, entry_of, seal_of
from shared.domain.backfill import Backfill, BackfillStatus, Reprocess
from shared.domain.breaker import Breaker
from shared.domain.dead_letter import DeadLetter, DeadLetterReason
from shared.domain.firing import Due
from shared.domain.flow import digest
from shared.domain.idempotency import IdempotencyRecord
from shared.domain.identity_provider import GroupRole, Identity, IdentityProvider
from shared.domain.invitation import Invitation
from shared.domain.leases import Leases
from shared.domain.limit import Usage
from shared.domain.login import Login
from shared.domain.member import Member, Owners
from shared.domain.organization import Organization
from shared.domain.overlap import Slot
from shared.domain.project import Retention
from shared.domain.record import Stored
from shared.domain.recurrence import Kind
from shared.domain.retry import RetryPolicy
from shared.domain.role import Permission, Role
from shared.domain.run import Origin, RunError, RunStatus
from shared.domain.schedule import CatchUp, Overlap, run_id
from shared.domain.second_factor import SecondFactor
from shared.domain.service_account import ServiceAccount
from shared.domain.session import Session
from shared.domain.signing_key import SigningKey
from shared.domain.source import Dialect, SourceCheck
from shared.domain.user import EmailClaim, User
from shared.domain.workflow import FlowFacts, VersionReason, WorkflowSettings
from shared.errors import SchemaTooNew
from shared.services.firing import make
from shared.store import keys, runs
from shared.store.api_keys import ApiKeyStore
from shared.store.audit import AuditFilter, AuditStore
from shared.store.backfills import BackfillStore
from shared.store.codec import SCHEMA, Codec
from shared.store.dead_letters import DeadLetterStore
from shared.store.idempotency import IdempotencyStore
from shared.store.identity_providers import IdentityProviderStore, IdentityStore
from shared.store.invitations import InvitationStore
from shared.store.limits import USAGES, LimitStore
from shared.store.logins import LoginStore
from shared.store.members import OWNERS, MemberStore
from shared.store.organizations import OrganizationStore
from shared.store.projects import ProjectStore
from shared.store.roles import RoleStore
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore
from shared.store.second_factors import SecondFactorStore
from shared.store.service_accounts import ServiceAccountStore
from shared.store.sessions import SessionStore
from shared.store.signing_keys import SigningKeyStore
from shared.store.sources import SourceStore
from shared.store.table import Change, Item, to_wire
from shared.store.users import CLAIMS, UserStore
from shared.store.workflows import WorkflowStore
from tests.fakes import NOON, Clock, MemoryTable
from tests.world import LEASE, WAKE_AFTER, a_project, a_run, a_schedule, a_source, a_version, a_workflow, id_of

FIXTURE = Path(__file__).parent / "fixtures" / "items_schema_1.json"
LATER = NOON + timedelta(days=1, milliseconds=123)
SETTINGS = WorkflowSettings(
    name="Grüße",
    description="d",
    input_component="ChatInput-1",
    output_component="ChatOutput-1",
    timeout_seconds=600,
    retry=RetryPolicy(max_attempts=5, initial_seconds=0.5, multiplier=1.5, flow_failed=True),
    tweaks={"ChatInput-1": {"temperature": 0.1, "files": [None, "ü"]}},
    tags=("a", "b"),
)
FACTS = FlowFacts(flow_name="Echo", icon="bot", icon_bg_color="#fff", folder_name="Lab", definition_hash="ab" * 32)

ENTRY = entry_of(
    Act("source.updated", "key_1", "default", LATER, "192.0.2.7", "trace-1", {"matched": 3, "state": "ü"}),
    Subject("source", id_of("src", 1), "default"),
    None,
    a_source(),
    a_source(name="new"),
)
SEAL = seal_of([ENTRY], None, LATER)

RECORDS: dict[str, Stored] = {
    "project": a_project(retention_days=Retention.week),
    "source": a_source(
        encrypted_key="AQICAH",
        max_concurrency=3,
        check=SourceCheck(reachable=True, dialect=Dialect.langflow_v2, version="1.13.0", key_valid=True, message="ok"),
        checked_at=LATER,
    ),
    "breaker": Breaker(
        project_id="default", source_id=id_of("src", 1), failures=7, openings=2, open_until=LATER, probe_until=LATER
    ),
    "leases": Leases(project_id="default", source_id=id_of("src", 1), holders={id_of("run", 1): LATER}),
    "workflow": a_workflow(version=3, settings=SETTINGS, facts=FACTS, synced_at=LATER),
    "version": a_version(
        a_workflow(version=3, settings=SETTINGS, facts=FACTS),
        definition_key="keep/default/definitions/ab.json",
        reason=VersionReason.rolled_back,
        rollback_of=1,
    ),
    "run": a_run(
        1,
        definition_hash="ab" * 32,
        status=RunStatus.running,
        origin=Origin.retry,
        input="Grüße",
        session_id="s-1",
        tweaks={"ChatInput-1": {"temperature": 0.1}},
        retry=RetryPolicy(max_attempts=2),
        retry_of=id_of("run", 9),
        retention_days=30,
        turn=7,
        attempt=2,
        not_before=LATER,
        lease_until=LATER,
        started_at=LATER,
        deferred_since=LATER,
        cancel_requested_at=LATER,
        job_id="job-1",
        job_deadline=LATER,
        submission=1,
        returns=2,
        error=RunError(code="timeout", message="Zeit um", retryable=True, attempt=1),
        may_have_run_before=True,
        upstream_stopped=False,
        expires_at=LATER.replace(microsecond=0),
    ),
    "plain run": a_run(2),
    "attempt": Attempt(
        project_id="default",
        run_id=id_of("run", 1),
        number=2,
        started_at=NOON,
        ended_at=LATER,
        worker="w",
        error=RunError(code="timeout", message="Zeit um", attempt=2),
        output={"a": [1, 2.5, None, "ü"]},
        output_key="expire-30/x.json",
        output_bytes=12,
        steps=(Step(name="Chat", component_id="c", status=StepStatus.failed, duration_seconds=0.25, error="x"),),
        logs=(LogLine(at=LATER, level="ERROR", event="flow.failed", message="ü"),),
        expires_at=LATER.replace(microsecond=0),
    ),
    "scheduled run": a_run(
        3,
        id=run_id(a_schedule(1), NOON),
        correlation_id=run_id(a_schedule(1), NOON),
        origin=Origin.schedule,
        schedule_id=a_schedule(1).id,
        scheduled_for=NOON,
        overlap=Overlap.queue_one,
        created_by="schedule",
        created_at=NOON - timedelta(seconds=90),
        input=None,
        not_before=NOON,
    ),
    "schedule": a_schedule(
        1,
        kind=Kind.interval,
        expression="90m",
        timezone="America/Sao_Paulo",
        start_at=NOON,
        end_at=LATER,
        exclude=("2030-01-03", "2030-01-04T00:00:00.000Z"),
        jitter_seconds=30,
        max_runs=9,
        name="Grüße",
        input="Hallo",
        session_id="s-1",
        tweaks={"ChatInput-1": {"temperature": 0.1, "files": [None, "ü"]}},
        timeout_seconds=60,
        retry=RetryPolicy(max_attempts=2),
        overlap=Overlap.skip,
        catch_up=CatchUp.all,
        max_lateness_seconds=600,
        pause_after_failures=3,
        input_key="keep/default/x.json",
        enabled=False,
        effective_at=LATER,
        watermark=LATER,
        wake_at=LATER,
        paused_at=LATER,
        pause_reason="by hand",
        fired=4,
        skipped_missed=5,
        updated_at=LATER,
    ),
    "plain schedule": a_schedule(2),
    "slot": Slot(
        project_id="default",
        schedule_id=a_schedule(1).id,
        holder=id_of("run", 1),
        queue=(id_of("run", 2), id_of("run", 3)),
        skipped=6,
    ),
    "backfill": Backfill(
        project_id="default",
        id=id_of("bkf", 1),
        schedule_id=a_schedule(1).id,
        start_at=NOON,
        end_at=LATER,
        overlap=Overlap.queue_all,
        reprocess=Reprocess.failed,
        status=BackfillStatus.completed,
        total=7,
        cursor=LATER,
        started=5,
        left_out=2,
        wake_at=LATER,
        created_by="key_test",
        created_at=NOON,
        finished_at=LATER,
    ),
    "dead letter": DeadLetter(
        project_id="default",
        id=id_of("dead", 1),
        reason=DeadLetterReason.too_many_attempts,
        body="{}",
        run_id=id_of("run", 1),
        message="m",
        created_at=LATER,
        redriven_run_id=id_of("run", 2),
    ),
    "idempotency record": IdempotencyRecord(
        project_id="default",
        id="ab" * 32,
        body_hash="cd" * 32,
        began_at=NOON,
        lease_until=LATER,
        expires_at=LATER.replace(microsecond=0),
    ),
    "audit entry": ENTRY,
    "seal of the audit log": SEAL,
    "API key": ApiKey(
        project_id="default",
        organization_wide=True,
        id="bootstrap",
        name="first",
        role="owner",
        hash="ef" * 32,
        per_minute=0,
        daily_quota=0,
        created_at=LATER,
    ),
    "user": User(
        id=id_of("usr", 1),
        email="ann@example.com",
        name="Änn",
        password_hash="$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
        generation=3,
        email_verified_at=LATER,
        disabled_at=LATER,
        created_at=NOON,
        places=(("default", None), ("org_1", "prj_1")),
        verification_hash="ab" * 32,
        verification_until=LATER,
        reset_hash="cd" * 32,
        reset_until=LATER,
    ),
    "member": Member(
        organization_id="default",
        user_id=id_of("usr", 1),
        project_id="prj_1",
        role="editor",
        created_by=id_of("usr", 2),
        created_at=NOON,
    ),
    "service account": ServiceAccount(
        id=id_of("svc", 1),
        organization_id="org_1",
        project_id="prj_1",
        organization_wide=True,
        name="Dienst",
        role="editor",
        disabled_at=LATER,
        created_by=id_of("usr", 1),
        created_at=NOON,
    ),
    "key of a service account": ApiKey(
        project_id="prj_1",
        organization_id="org_1",
        organization_wide=True,
        id=id_of("key", 2),
        name="ci",
        role="",
        service_account_id=id_of("svc", 1),
        hash="ef" * 32,
        valid_until=LATER,
        per_minute=7,
        created_by=id_of("usr", 1),
        created_at=NOON,
    ),
    "invitation": Invitation(
        id=id_of("inv", 1),
        organization_id="default",
        project_id="prj_1",
        email="bob@example.com",
        role="viewer",
        hash="ab" * 32,
        created_by=id_of("usr", 1),
        created_at=NOON,
        expires_at=LATER.replace(microsecond=0),
        sent_at=NOON,
        accepted_at=LATER,
    ),
    "session": Session(
        id=id_of("ses", 1),
        user_id=id_of("usr", 1),
        generation=3,
        family_hash="ab" * 32,
        hash="cd" * 32,
        previous_hash="ef" * 32,
        rotated_at=LATER,
        user_agent="spark-cli",
        address="::1",
        created_at=NOON,
        last_used_at=LATER,
        expires_at=LATER.replace(microsecond=0),
        revoked_at=LATER,
    ),
    "second factor": SecondFactor(
        user_id=id_of("usr", 1),
        encrypted_secret="AQICAH",
        last_step=63_115_200,
        recovery_hashes=("ab" * 32, "cd" * 32),
        phone="+5511987654321",
        text_to="+5511987654321",
        text_hash="ef" * 32,
        text_until=LATER,
        created_at=NOON,
        confirmed_at=LATER,
    ),
    "identity provider": IdentityProvider(
        id=id_of("idp", 1),
        organization_id="default",
        name="Öktä",
        issuer="https://accounts.test/",
        client_id="spark",
        encrypted_secret="AQICAH",
        scopes=("openid", "groups"),
        groups_claim="roles",
        mapping=(GroupRole(group="cn=ü", role="admin"), GroupRole(group="b", role="viewer")),
        default_role="viewer",
        domains=("example.com",),
        enabled=False,
        ceiling=(Permission.runs_read,),
        created_by=id_of("usr", 1),
        created_at=NOON,
        updated_at=LATER,
    ),
    "identity": Identity(
        provider_id=id_of("idp", 1),
        subject="ab" * 32,
        organization_id="default",
        user_id=id_of("usr", 1),
        created_at=LATER,
    ),
    "identity of a user": Identity(
        provider_id=id_of("idp", 1),
        subject="ab" * 32,
        organization_id="default",
        user_id=id_of("usr", 1),
        created_at=LATER,
    ),
    "trusted identity provider": IdentityProvider(
        id=id_of("idp", 2),
        organization_id="default",
        name="Acme",
        issuer="https://accounts.test/",
        client_id="spark",
        trusts_addresses=True,
        secret_changes=2,
        created_by=id_of("usr", 1),
        created_at=NOON,
        updated_at=LATER,
    ),
    "login": Login(
        id=id_of("sso", 1),
        provider_id=id_of("idp", 1),
        redirect_uri="http://127.0.0.1:7777/idp",
        hash="ab" * 32,
        created_at=NOON,
        expires_at=LATER.replace(microsecond=0),
    ),
    "session of an identity provider": Session(
        id=id_of("ses", 2),
        user_id=id_of("usr", 1),
        family_hash="ab" * 32,
        hash="cd" * 32,
        created_at=NOON,
        last_used_at=LATER,
        expires_at=LATER.replace(microsecond=0),
        provider_id=id_of("idp", 1),
        organization_id="default",
    ),
    "member by an identity provider": Member(
        organization_id="default",
        user_id=id_of("usr", 2),
        role="editor",
        created_by=id_of("idp", 1),
        created_at=NOON,
        role_by=id_of("idp", 1),
    ),
    "refusals of an address": Usage(
        id="ADDRESS#192.0.2.7#0031557600",
        minute=31_557_600,
        minute_count=5,
        day=21_915,
        day_count=5,
        refused=3,
        expires_at=LATER.replace(microsecond=0),
    ),
    "organization": Organization(id="org_1", name="Größe", created_by=id_of("usr", 1), created_at=LATER),
    "role": Role(
        id=id_of("rol", 1),
        organization_id="org_1",
        name="on call",
        allow=(Permission.runs_read, Permission.runs_cancel),
        deny=(Permission.runs_create,),
        created_by=id_of("usr", 1),
        created_at=LATER,
    ),
    "owners of an organization": Owners(organization_id="org_1", user_ids=(id_of("usr", 1), id_of("usr", 2))),
    "e-mail address": EmailClaim(email="ann@example.com", user_id=id_of("usr", 1)),
    "first owner": EmailClaim(email="ann@example.com", user_id=id_of("usr", 1)),
    "requests of a key": Usage(
        id=f"KEY#{id_of('key', 1)}",
        minute=31_557_600,
        minute_count=5,
        day=21_915,
        day_count=70,
        expires_at=LATER.replace(microsecond=0),
    ),
    "signing key": SigningKey(
        kid=id_of("sig", 1),
        period=730,
        public_key='{"kty":"EC"}',
        encrypted_key="AQICAH",
        created_at=NOON,
        expires_at=LATER.replace(microsecond=0),
    ),
}


def stored() -> dict[str, Item]:
    items: dict[str, dict[str, dict[str, Any]]] = json.loads(FIXTURE.read_text())
    return {
        kind: {name: _value(*attribute) for name, wire in item.items() for attribute in wire.items()}
        for kind, item in items.items()
    }


def _value(type: str, value: Any) -> Any:
    if type == "N":
        return int(value)
    return base64.b64decode(value) if type == "B" else value


def read(table: Any, kind: str) -> Any:
    source, workflow, run = id_of("src", 1), id_of("wf", 1), id_of("run", 1)
    readers = {
        "project": lambda: ProjectStore(table).by_id("default"),
        "source": lambda: SourceStore(table).get("default", source),
        "breaker": lambda: SourceStore(table).get_breaker("default", source),
        "leases": lambda: SourceStore(table).get_leases("default", source),
        "workflow": lambda: WorkflowStore(table).get("default", workflow),
        "version": lambda: WorkflowStore(table).get_version("default", workflow, 3),
        "run": lambda: RunStore(table).get("default", run),
        "plain run": lambda: RunStore(table).get("default", id_of("run", 2)),
        "scheduled run": lambda: RunStore(table).get("default", run_id(a_schedule(1), NOON)),
        "schedule": lambda: ScheduleStore(table).get("default", a_schedule(1).id),
        "plain schedule": lambda: ScheduleStore(table).get("default", a_schedule(2).id),
        "slot": lambda: ScheduleStore(table).get_slot("default", a_schedule(1).id),
        "backfill": lambda: BackfillStore(table).get("default", id_of("bkf", 1)),
        "attempt": lambda: RunStore(table).page("default", run, 2),
        "dead letter": lambda: DeadLetterStore(table).get("default", id_of("dead", 1)),
        "idempotency record": lambda: IdempotencyStore(table).find("default", "ab" * 32),
        "audit entry": lambda: AuditStore(table).list("default", AuditFilter(), limit=1).items[0],
        "seal of the audit log": lambda: AuditStore(table).last_seal("default"),
        "API key": lambda: ApiKeyStore(table).by_id("bootstrap"),
        "user": lambda: UserStore(table).get(id_of("usr", 1)),
        "member": lambda: MemberStore(table).get("default", f"{id_of('usr', 1)}#prj_1"),
        "service account": lambda: ServiceAccountStore(table).get("org_1", id_of("svc", 1)),
        "key of a service account": lambda: ApiKeyStore(table).by_id(id_of("key", 2)),
        "invitation": lambda: InvitationStore(table).get("default", id_of("inv", 1)),
        "session": lambda: SessionStore(table).get(id_of("usr", 1), id_of("ses", 1)),
        "second factor": lambda: SecondFactorStore(table).find(id_of("usr", 1)),
        "identity provider": lambda: IdentityProviderStore(table).get("default", id_of("idp", 1)),
        "identity": lambda: IdentityStore(table).find(id_of("idp", 1), "ab" * 32),
        "identity of a user": lambda: IdentityStore(table).of_user(id_of("idp", 1), id_of("usr", 1)),
        "trusted identity provider": lambda: IdentityProviderStore(table).get("default", id_of("idp", 2)),
        "login": lambda: LoginStore(table).by_ulid(id_of("sso", 1).partition("_")[2]),
        "session of an identity provider": lambda: SessionStore(table).get(id_of("usr", 1), id_of("ses", 2)),
        "member by an identity provider": lambda: MemberStore(table).get("default", id_of("usr", 2)),
        "refusals of an address": lambda: LimitStore(table).refusals(None, None, limit=1).items[0],
        "organization": lambda: OrganizationStore(table).get("org_1"),
        "role": lambda: RoleStore(table).get("org_1", id_of("rol", 1)),
        "owners of an organization": lambda: OWNERS.decode(table.get(keys.owners("org_1"))),
        "e-mail address": lambda: CLAIMS.decode(table.get(keys.email("ann@example.com"))),
        "first owner": lambda: CLAIMS.decode(table.get(keys.first_owner())),
        "requests of a key": lambda: USAGES.decode(table.get(keys.limit(f"KEY#{id_of('key', 1)}"))),
        "signing key": lambda: SigningKeyStore(table).find(730),
    }
    return readers[kind]()


def a_table(items: list[Item]) -> MemoryTable:
    table = MemoryTable(Clock())
    for item in items:
        table.put(Change(None, item))
    return table


def test_the_fixture_holds_every_kind_of_item() -> None:
    assert set(stored()) == set(RECORDS)
    assert all(item["schema"] == 1 for item in stored().values())


def test_no_kind_of_record_is_without_an_item_in_the_fixture() -> None:
    """Each store has its codec; whoever adds one adds an item that later versions have to read."""
    assert {type(record) for record in RECORDS.values()} == {codec._model for codec in codecs()}


def codecs() -> Iterator[Codec[Any]]:
    """Those of all stores: module by module, and class by class."""
    for found in pkgutil.iter_modules(store.__path__, f"{store.__name__}."):
        module = import_module(found.name)
        classes = [each for each in vars(module).values() if isinstance(each, type)]
        for owner in (module, *classes):
            yield from (each for each in vars(owner).values() if isinstance(each, Codec))


@pytest.mark.parametrize("kind", RECORDS)
def test_an_item_of_schema_1_is_read_as_it_was_meant(kind: str) -> None:
    table = a_table(list(stored().values()))

    assert read(table, kind) == RECORDS[kind].model_copy(update={"revision": 1})


@pytest.mark.parametrize("kind", RECORDS)
def test_an_item_of_a_newer_schema_is_refused_and_not_guessed_at(kind: str) -> None:
    table = a_table([{**item, "schema": SCHEMA + 1} for item in stored().values()])

    with pytest.raises(SchemaTooNew):
        read(table, kind)


@pytest.mark.parametrize("kind", RECORDS)
def test_an_attribute_that_an_older_spark_does_not_know_does_no_harm(kind: str) -> None:
    table = a_table([{**item, "added_later": "x"} for item in stored().values()])

    assert read(table, kind) == RECORDS[kind].model_copy(update={"revision": 1})


# ----------------------------------------------------------------------------------------------- what fits a write unit

HALF_A_KILOBYTE = "x" * 512


def test_a_schedule_of_half_a_kilobyte_of_input_fits_one_write_unit_also_when_it_has_fired() -> None:
    schedule = a_schedule(1, input=HALF_A_KILOBYTE, expression="0 9 * * 1-5", timezone="America/Sao_Paulo")
    store = ScheduleStore(a_table([]))  # type: ignore[arg-type]
    fired = schedule.model_copy(update={"fired": 123_456, "skipped_missed": 99, "revision": 9999})

    for record in (schedule, fired):
        item = to_wire(store.change(None, record).after)
        assert base_write_units(None, item) == 1, item_bytes(item)


def sizes_of_a_scheduled_run(overlap: Overlap | None) -> dict[str, int]:
    """With half a kilobyte of input: when it is put, when it is claimed with its input, and when it is over."""
    schedule, workflow = (
        a_schedule(1),
        a_workflow(facts=FlowFacts(definition_hash="0" * len(digest({"data": {}}) or ""))),
    )
    run = make(schedule, workflow, a_project(), Due(NOON, NOON), NOON - timedelta(seconds=90), WAKE_AFTER)
    claimed = run_rules.claim(run, LATER, LATER + LEASE, "0f8fad5b")  # as long as the handler's
    claimed = claimed.model_copy(update={"input": HALF_A_KILOBYTE, "overlap": overlap})
    states = {"put": run, "claimed": claimed, "over": run_rules.complete(claimed, LATER)}
    return {name: item_bytes(to_wire(runs.change(None, state).after)) for name, state in states.items()}


@pytest.mark.parametrize("overlap", [None, Overlap.skip])
@pytest.mark.parametrize("state", ["put", "claimed", "over"])
def test_the_run_of_a_schedule_with_half_a_kilobyte_of_input_fits_one_write_unit(
    overlap: Overlap | None, state: str
) -> None:
    assert sizes_of_a_scheduled_run(overlap)[state] <= 1024
