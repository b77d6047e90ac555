"""Entries of the audit log in chains, and its seals."""

import hashlib
from datetime import timedelta

from shared.domain.act import Act
from shared.domain.audit import AuditEntry, Subject, digest, entry_of, fingerprint, seal_of
from tests.fakes import NOON
from tests.world import a_schedule, a_source, a_workflow

LAB = Subject("source", "src_1", "prj_1")


def an_act(action: str = "source.updated", seconds: int = 0) -> Act:
    return Act(action, "key_1", "org_1", NOON + timedelta(seconds=seconds), "192.0.2.7", "trace-1", {"matched": 3})


def test_an_entry_follows_the_one_before_it() -> None:
    first = entry_of(an_act("source.created"), LAB, None, None, a_source())
    second = entry_of(an_act(seconds=1), LAB, first, a_source(), a_source(name="new"))
    assert (first.number, first.previous, first.before_hash) == (1, None, None)
    assert (second.number, second.previous) == (2, first.hash)
    assert first.after_hash == second.before_hash != second.after_hash
    assert first.id < second.id < entry_of(an_act(seconds=1), LAB, second).id
    assert first.chain == "source/src_1"


def test_the_canonical_form_is_what_the_documentation_says() -> None:
    """Whoever changes this breaks every log that there is: the hash was computed with `sha256sum`."""
    entry = entry_of(Act("source.deleted", "key_é", "org_1", NOON), Subject("source", "src_1"), None)
    text = (
        '{"action":"source.deleted","actor":"key_é","at":"2030-01-01T12:00:00.000Z",'
        f'"id":"{entry.id}","kind":"source","number":1,"organization_id":"org_1","subject":"src_1"}}'
    )
    assert digest({"b": 1, "a": "é", "hash": "x", "c": None}) == (
        "aa58fba8483623bed37c1b02edfccbdd9a53123837c20bfa4cb4049993a2872e"
    )
    assert entry.hash == digest(entry.model_dump(mode="json"))
    assert entry.hash == hashlib.sha256(text.encode()).hexdigest()


def test_every_field_is_in_the_hash() -> None:
    entry = entry_of(an_act(), LAB, entry_of(an_act(), LAB, None), a_source(), a_source(name="new"))
    said = entry.model_dump(mode="json")
    assert all(value is not None for value in said.values())
    for name in said.keys() - {"hash"}:
        assert digest({**said, name: "other"}) != entry.hash, name
        assert digest({**said, name: None}) != entry.hash, name


def test_bookkeeping_is_no_change_and_another_secret_is() -> None:
    schedule, source, workflow = a_schedule(), a_source(encrypted_key="one"), a_workflow()
    moved = {"watermark": NOON + timedelta(days=1), "wake_at": NOON, "fired": 7, "skipped_missed": 8, "revision": 9}
    assert fingerprint(schedule) == fingerprint(schedule.model_copy(update=moved))
    assert fingerprint(workflow) == fingerprint(workflow.model_copy(update={"synced_at": NOON, "updated_at": NOON}))
    assert fingerprint(source) != fingerprint(source.model_copy(update={"encrypted_key": "two"}))
    assert fingerprint(schedule) != fingerprint(schedule.model_copy(update={"enabled": False}))


def test_a_seal_names_the_end_of_each_chain_and_the_seal_before() -> None:
    other = Subject("schedule", "sch_1")
    one = entry_of(an_act(), LAB, None)
    two, alone = entry_of(an_act(), LAB, one), entry_of(an_act(), other, None)

    first = seal_of([two, alone, one], None, NOON)
    second = seal_of([entry_of(an_act(), LAB, two)], first, NOON)

    assert [(head.chain, head.number, head.hash) for head in first.heads] == [
        ("schedule/sch_1", 1, alone.hash),
        ("source/src_1", 2, two.hash),
    ]
    assert (first.number, first.previous, second.number, second.previous) == (1, None, 2, first.hash)
    assert first.hash == digest(first.model_dump(mode="json"))


def test_an_entry_says_no_more_than_who_did_what() -> None:
    entry = entry_of(an_act(), LAB, None, None, a_source(encrypted_key="one"))
    assert "one" not in entry.model_dump(exclude={"hash", "after_hash"}).values()
    assert AuditEntry.model_validate_json(entry.model_dump_json()) == entry
