"""What a restored table gives back, and what it does not: `infra/copy_items.py`, as docs/operations.md has it run."""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.api import identity
from infra import copy_items
from infra.item_kinds import ACCESS, CONFIGURATION, HISTORY, MOMENTARY, RESTORABLE, kind_of
from infra.restoring import UNKNOWN, Outcome, Restoring, Tally, Wish
from shared import wiring
from shared.domain import run as run_rules
from shared.domain.act import Act
from shared.domain.api_key import ApiKey
from shared.domain.backfill import Backfill
from shared.domain.run import RunStatus
from shared.domain.schedule import ScheduleState, state
from shared.store.keys import INDEXES, Key
from shared.store.runs import RunFilter
from tests.fakes import NOON
from tests.integration.conftest import Aws
from tests.moto_atomic import one_at_a_time
from tests.world import WAKE_AFTER, a_project, a_run, a_schedule, a_source, a_version, a_workflow, id_of

Wire = dict[str, Any]
LATER = NOON + timedelta(days=20)
EVERYTHING = frozenset(RESTORABLE)
CONFIGURED = frozenset(CONFIGURATION)
FIXTURE = Path(__file__).parents[1] / "contract" / "fixtures" / "items_schema_1.json"


@pytest.fixture
def restored(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another table of the same form, as RestoreTableToPointInTime makes one; and the time is LATER."""
    form = aws.dynamodb.describe_table(TableName=aws.table)["Table"]
    indexes = [
        {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
        for index in form["GlobalSecondaryIndexes"]
    ]
    assert {index["IndexName"] for index in indexes} == set(INDEXES)
    aws.dynamodb.create_table(
        TableName="restored",
        AttributeDefinitions=form["AttributeDefinitions"],
        KeySchema=form["KeySchema"],
        GlobalSecondaryIndexes=indexes,
        BillingMode="PAY_PER_REQUEST",
    )
    one_at_a_time(aws.dynamodb, monkeypatch)
    yield "restored"
    aws.dynamodb.delete_table(TableName="restored")


def remember(aws: Aws) -> None:
    """What is in the table now is what it will be restored to."""
    for item in aws.items():
        aws.dynamodb.put_item(TableName="restored", Item=item)


def lose(aws: Aws, ending: str) -> None:
    """Items are gone, and nothing says who took them: by an accident, or since they had expired."""
    found = [item for item in aws.items() if item["pk"]["S"].endswith(ending)]
    assert found
    for item in found:
        aws.dynamodb.delete_item(TableName=aws.table, Key={name: item[name] for name in ("pk", "sk")})


def bring_back(aws: Aws, **wish: Any) -> Tally:
    return Restoring(aws.dynamodb, "restored", aws.table, Wish(**{"writes": True, **wish}), LATER).all()


def act(action: str) -> Act:
    return Act(action, "key_1", "default", LATER)


# ---------------------------------------------------------------- what is missing


def test_what_was_lost_comes_back_and_what_changed_since_stays(aws: Aws, restored: str) -> None:
    first = wiring.sources().save(None, a_source(1))
    second = wiring.sources().save(None, a_source(2))
    remember(aws)
    lose(aws, first.id)
    wiring.sources().save(second, second.model_copy(update={"name": "since"}))

    done = bring_back(aws)

    assert done == {("source", Outcome.brought): 1, ("source", Outcome.there): 1}
    back = wiring.sources().get("default", first.id)
    assert back == first.model_copy(update={"revision": first.revision + 1})
    assert wiring.sources().get("default", second.id).name == "since"
    assert {source.id for source in wiring.sources().list("default", limit=10).items} == {first.id, second.id}


def test_the_audit_log_says_what_was_brought_back(aws: Aws, restored: str) -> None:
    wiring.projects().save(None, a_project(organization_id="org_1"))
    source = wiring.sources().save(None, a_source())
    remember(aws)
    lose(aws, source.id)
    bring_back(aws)
    entries = [item for item in aws.items() if item["sk"]["S"].startswith("AUDIT#")]
    (entry,) = entries
    assert entry["action"]["S"] == "source.restored"
    assert entry["organization_id"]["S"] == "org_1"
    assert "before_hash" not in entry
    assert "after_hash" in entry


def test_nothing_is_written_unless_that_is_said(aws: Aws, restored: str) -> None:
    wiring.sources().save(None, a_source(1))
    wiring.runs().add([a_run()])
    wiring.schedules().save(None, a_schedule())
    remember(aws)
    lose(aws, "")
    done = bring_back(aws, kinds=EVERYTHING, writes=False)
    assert set(done) == {
        ("source", Outcome.brought),
        ("run", Outcome.cancelled),
        ("schedule", Outcome.brought),
    }
    assert aws.items() == []


def test_a_second_time_finds_everything_there(aws: Aws, restored: str) -> None:
    wiring.sources().save(None, a_source())
    wiring.schedules().save(None, a_schedule())
    remember(aws)
    lose(aws, "")
    bring_back(aws)
    before = aws.items()
    assert set(bring_back(aws)) == {("source", Outcome.there), ("schedule", Outcome.there)}
    assert aws.items() == before


def test_one_project_comes_back_alone(aws: Aws, restored: str) -> None:
    wiring.sources().save(None, a_source(1))
    wiring.sources().save(None, a_source(2, project_id="prj_2"))
    remember(aws)
    lose(aws, "")
    bring_back(aws, prefix="PROJECT#prj_2#")
    assert [source.project_id for source in wiring.sources().list("prj_2", limit=10).items] == ["prj_2"]
    assert wiring.sources().list("default", limit=10).items == []


def test_a_workflow_comes_back_with_its_versions(aws: Aws, restored: str) -> None:
    workflow = wiring.workflows().save(None, a_workflow())
    wiring.workflows().save_version(a_version(workflow))
    remember(aws)
    lose(aws, workflow.id)
    bring_back(aws)
    assert wiring.workflows().get("default", workflow.id).settings == workflow.settings
    assert wiring.workflows().get_version("default", workflow.id, 1).settings == workflow.settings


def test_a_schedule_comes_back_paused_and_owes_nothing(aws: Aws, restored: str) -> None:
    """Else the next tick would catch up with twenty days."""
    schedule = wiring.schedules().save(None, a_schedule())
    remember(aws)
    lose(aws, schedule.id)
    bring_back(aws)
    back = wiring.schedules().get("default", schedule.id)
    assert (back.settings, back.wake_at) == (schedule.settings, None)
    assert state(back, LATER) is ScheduleState.paused
    assert "restored table" in (back.pause_reason or "")
    assert waiting(aws) == set()


def waiting(aws: Aws) -> set[str]:
    """The records that the tick would look after, entries of the audit log aside."""
    return {item["pk"]["S"] for item in aws.items() if "wake_shard" in item and item["sk"]["S"] == "RECORD"}


def test_what_somebody_deleted_since_stays_deleted(aws: Aws, restored: str) -> None:
    schedule = wiring.schedules().save(None, a_schedule())
    remember(aws)
    wiring.schedules().delete(schedule, act("schedule.deleted"))

    assert bring_back(aws) == {("schedule", Outcome.deleted): 1}
    assert waiting(aws) == set()

    assert bring_back(aws, undeletes=True) == {("schedule", Outcome.brought): 1}
    deleted, restored_since = sorted(
        (item for item in aws.items() if item["sk"]["S"].startswith("AUDIT#")), key=lambda item: str(item["sk"]["S"])
    )
    assert restored_since["previous"] == deleted["hash"]
    assert state(wiring.schedules().get("default", schedule.id), LATER) is ScheduleState.paused


# ---------------------------------------------------------------- runs


def test_a_run_that_ended_since_and_is_gone_does_not_begin_again(aws: Aws, restored: str) -> None:
    wiring.runs().add([a_run()])
    remember(aws)
    lose(aws, a_run().id)  # it ended, and its retention was over

    assert bring_back(aws) == {}
    assert aws.items() == []

    assert bring_back(aws, kinds=EVERYTHING) == {("run", Outcome.cancelled): 1}
    back = wiring.runs().get("default", a_run().id)
    assert (back.status, back.error.code if back.error else None) == (RunStatus.cancelled, "restored")
    assert run_rules.on_wake(back, LATER, WAKE_AFTER) == run_rules.Leave()
    assert waiting(aws) == set()
    assert aws.messages() == []


@pytest.mark.parametrize("overwrites", [False, True])
def test_a_run_that_ended_since_stays_as_it_ended(aws: Aws, restored: str, overwrites: bool) -> None:
    wiring.runs().add([a_run()])
    remember(aws)
    pending = wiring.runs().get("default", a_run().id)
    begun = wiring.runs().save(pending, run_rules.claim(pending, NOON, NOON + timedelta(minutes=5), "worker"))
    ended = wiring.runs().save(begun, run_rules.complete(begun, NOON))

    done = bring_back(aws, kinds=EVERYTHING, overwrites=overwrites)

    assert done == {("run", Outcome.there): 1}
    assert wiring.runs().get("default", a_run().id) == ended


def test_a_run_that_had_ended_comes_back_as_it_was(aws: Aws, restored: str) -> None:
    wiring.runs().add([run_rules.cancel(a_run(retention_days=30), NOON)])
    remember(aws)
    before = wiring.runs().get("default", a_run().id)
    lose(aws, before.id)
    bring_back(aws, kinds=frozenset({"run"}))
    assert wiring.runs().get("default", before.id) == before
    assert [run.id for run in wiring.runs().list("default", RunFilter(), limit=10).items] == [before.id]


def test_what_has_expired_is_left_out(aws: Aws, restored: str) -> None:
    wiring.runs().add([run_rules.cancel(a_run(retention_days=7), NOON)])
    remember(aws)
    lose(aws, a_run().id)
    assert bring_back(aws, kinds=EVERYTHING) == {("run", Outcome.expired): 1}
    assert aws.items() == []


def test_a_backfill_that_was_under_way_makes_no_more_runs(aws: Aws, restored: str) -> None:
    backfill = Backfill(
        project_id="default",
        id=id_of("bf", 1),
        schedule_id=a_schedule().id,
        start_at=NOON,
        end_at=NOON,
        total=1,
        cursor=NOON,
        wake_at=NOON,
        created_by="key_1",
        created_at=NOON,
    )
    wiring.backfills().save(None, backfill)
    remember(aws)
    lose(aws, backfill.id)
    assert bring_back(aws, kinds=EVERYTHING) == {("backfill", Outcome.unfinished): 1}


# ---------------------------------------------------------------- access


def a_key() -> ApiKey:
    return ApiKey(project_id="default", id=id_of("key", 1), name="ci", role="owner", hash="ab" * 32, created_at=NOON)


def test_a_key_that_was_revoked_since_opens_nothing_again(aws: Aws, restored: str) -> None:
    """Whatever is asked for."""
    key = identity.api_keys().save(None, a_key())
    remember(aws)
    identity.api_keys().delete(key, act("key.revoked"))
    bring_back(aws)
    done = bring_back(aws, kinds=EVERYTHING, undeletes=True, overwrites=True)
    assert done == {("key", Outcome.deleted): 1}
    assert identity.api_keys().by_id(key.id, consistent=True) is None


def test_a_key_that_was_demoted_since_keeps_its_role(aws: Aws, restored: str) -> None:
    key = identity.api_keys().save(None, a_key())
    remember(aws)
    identity.api_keys().save(key, key.model_copy(update={"role": "viewer"}), act("key.updated"))
    bring_back(aws, kinds=EVERYTHING, overwrites=True)
    assert identity.api_keys().get("default", key.id).role == "viewer"


def test_a_key_that_was_lost_comes_back_where_it_is_named(aws: Aws, restored: str) -> None:
    key = identity.api_keys().save(None, a_key())
    remember(aws)
    lose(aws, key.id)
    assert bring_back(aws) == {}
    assert bring_back(aws, kinds=frozenset({"key"})) == {("key", Outcome.brought): 1}
    assert identity.api_keys().get("default", key.id).hash == key.hash


def test_what_is_of_a_moment_stays_gone(aws: Aws, restored: str) -> None:
    """Sessions that were ended, slots, leases, logins, invitations, counts: as schema 1 stores each of them."""
    items = json.loads(FIXTURE.read_text()).values()
    momentary = [item for item in items if kind_of(Key(item["pk"]["S"], item["sk"]["S"])) in MOMENTARY]
    assert len(momentary) >= len(MOMENTARY)
    for item in momentary:
        still_good = {"expires_at": {"N": "99999999999"}} if "expires_at" in item else {}
        aws.dynamodb.put_item(TableName="restored", Item={**from_json(item), **still_good})
    assert bring_back(aws, kinds=EVERYTHING, overwrites=True, undeletes=True) == {}
    assert aws.items() == []


def from_json(item: Wire) -> Wire:
    """Bytes are base64 there."""
    return {name: {"B": b64decode(value["B"])} if "B" in value else value for name, value in item.items()}


# ---------------------------------------------------------------- what was spoilt


def test_a_spoilt_source_is_put_back_under_a_new_revision(aws: Aws, restored: str) -> None:
    first = wiring.sources().save(None, a_source())
    remember(aws)
    spoilt = wiring.sources().save(first, first.model_copy(update={"url": "http://elsewhere.test"}))

    assert bring_back(aws, overwrites=True) == {("source", Outcome.put_back): 1}

    back = wiring.sources().get("default", first.id)
    assert (back.url, back.updated_at, back.revision) == (first.url, LATER, spoilt.revision + 1)
    assert bring_back(aws, overwrites=True) == {("source", Outcome.there): 1}


def test_a_spoilt_schedule_is_edited_back_and_fires_nothing_twice(aws: Aws, restored: str) -> None:
    before = wiring.schedules().save(None, a_schedule())
    remember(aws)
    settings = before.settings.model_copy(update={"expression": "0 0 1 1 *"})
    spoilt = before.model_copy(update={"settings": settings, "watermark": LATER, "fired": 28_800})
    wiring.schedules().save(before, spoilt)

    assert bring_back(aws, overwrites=True) == {("schedule", Outcome.put_back): 1}

    back = wiring.schedules().get("default", before.id)
    assert (back.settings, back.enabled, back.fired) == (before.settings, True, 28_800)
    assert back.watermark >= LATER
    assert back.wake_at is not None
    assert back.wake_at > LATER


def test_a_schedule_whose_settings_are_the_same_is_left_alone(aws: Aws, restored: str) -> None:
    before = wiring.schedules().save(None, a_schedule())
    remember(aws)
    since = wiring.schedules().save(before, before.model_copy(update={"watermark": LATER, "fired": 28_800}))
    assert bring_back(aws, overwrites=True) == {("schedule", Outcome.there): 1}
    assert wiring.schedules().get("default", before.id) == since


# ---------------------------------------------------------------- what is in the way


def test_who_saves_at_the_same_time_is_not_overwritten(
    aws: Aws, restored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring.sources().save(None, a_source(name="since"))
    aws.dynamodb.put_item(TableName="restored", Item={**aws.items()[0], "name": {"S": "then"}})
    restoring = Restoring(aws.dynamodb, "restored", aws.table, Wish(writes=True), LATER)
    monkeypatch.setattr(restoring._ours, "get_many", lambda keys, consistent: {})
    assert restoring.all() == {("source", Outcome.outrun): 1}
    assert wiring.sources().get("default", a_source().id).name == "since"


def test_what_a_newer_spark_wrote_is_left_alone(aws: Aws, restored: str) -> None:
    wiring.sources().save(None, a_source())
    wiring.runs().add([run_rules.cancel(a_run(), NOON)])
    remember(aws)
    for item in aws.items():
        aws.dynamodb.put_item(TableName="restored", Item={**item, "schema": {"N": "99"}})
    lose(aws, "")
    done = bring_back(aws, kinds=EVERYTHING)
    assert done == {("source", Outcome.unreadable): 1, ("run", Outcome.unreadable): 1}
    assert aws.items() == []


def test_what_is_of_no_known_kind_is_counted(aws: Aws, restored: str) -> None:
    aws.dynamodb.put_item(TableName="restored", Item={"pk": {"S": "NOVELTY#1"}, "sk": {"S": "RECORD"}})
    assert bring_back(aws) == {(UNKNOWN, None): 1}
    assert aws.items() == []


# ---------------------------------------------------------------- the command line


def test_the_command_line(aws: Aws, restored: str, capsys: pytest.CaptureFixture[str]) -> None:
    wiring.sources().save(None, a_source())
    remember(aws)
    lose(aws, a_source().id)
    assert boto3.client("dynamodb").meta.region_name
    words = ("restored", aws.table, "--workers", "1")
    copy_items.main(*words)
    copy_items.main(*words, "--write")
    copy_items.main(*words, "--prefix", "PROJECT#default", "--overwrite", "--write")
    assert capsys.readouterr().out.splitlines() == [
        "source: 1 brought back",
        "nothing was written: say --write to do it",
        "source: 1 brought back",
        "done",
        "source: 1 there, left as it is",
        "done",
    ]


@pytest.mark.parametrize(
    "words", [("--overwrite",), ("--undelete",), ("--kind", "session"), ("--kind", "slot"), ("--kind", "nonsense")]
)
def test_what_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        copy_items.main("restored", "ours", *words)
    assert refused.value.code == 2


def test_what_cannot_be_read_is_no_success(aws: Aws, restored: str) -> None:
    wiring.sources().save(None, a_source())
    aws.dynamodb.put_item(TableName="restored", Item={**aws.items()[0], "schema": {"N": "99"}})
    lose(aws, a_source().id)
    with pytest.raises(SystemExit) as refused:
        copy_items.main("restored", aws.table, "--write", "--workers", "1")
    assert refused.value.code == 1


def test_configuration_alone_is_what_comes_back_unasked() -> None:
    assert Wish().kinds == CONFIGURED
    assert not CONFIGURED & {*ACCESS, *HISTORY}
