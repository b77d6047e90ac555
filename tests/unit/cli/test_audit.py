"""`spark audit`, and what its verification finds: every change that somebody makes to a log of Spark's own making."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from rich.text import Text

from cli import chains
from cli.chains import KnownSeal
from shared.domain.act import Act
from shared.domain.audit import AuditEntry, Subject, entry_of, seal_of
from tests.fake_api import FakeApi
from tests.fakes import NOON
from tests.unit.cli.conftest import Spark
from tests.world import a_source

Json = dict[str, Any]
LATER = NOON + timedelta(days=1)
SUBJECTS = [Subject("source", "src_é", "prj_1"), Subject("schedule", "sch_1", "prj_1"), Subject("role", "rol_1")]
FIELDS = sorted(AuditEntry.model_fields.keys() - {"revision"})


def a_log() -> tuple[list[Json], list[Json]]:
    """Three chains of three entries, grown in three minutes, each with its seal."""
    act = Act("source.updated", "key_1", "org_1", NOON, "192.0.2.7", "trace-1", {"matched": 3, "state": "ü"})
    ends: dict[str, AuditEntry] = {}
    entries, seals, seal = [], [], None
    for minute in range(3):
        at = NOON + timedelta(minutes=minute)
        for subject in SUBJECTS:
            before, after = a_source(name=f"n{minute}"), a_source(name=f"n{minute + 1}")
            ends[subject.id] = entry_of(replace(act, at=at), subject, ends.get(subject.id), before, after)
            entries.append(ends[subject.id])
        seal = seal_of(ends.values(), seal, at)
        seals.append(seal)
    return [entry.model_dump(mode="json") for entry in entries], [seal.model_dump(mode="json") for seal in seals]


def resealed(document: Json) -> Json:
    """As somebody would who knows how hashes are made."""
    return {**document, "hash": chains.digest(document)}


def without(documents: list[Json], index: int) -> list[Json]:
    return documents[:index] + documents[index + 1 :]


def test_an_untouched_log_is_whole_in_whatever_order() -> None:
    entries, seals = a_log()
    assert chains.faults(entries, seals, LATER) == []
    assert chains.faults(entries[::-1], seals[::-1], LATER, KnownSeal(3, seals[2]["hash"])) == []
    assert chains.faults([], [], LATER) == []


@pytest.mark.parametrize("forged", [False, True], ids=["changed", "with a new hash"])
@pytest.mark.parametrize("field", FIELDS)
def test_any_change_of_any_entry_shows(field: str, forged: bool) -> None:
    entries, seals = a_log()
    for index, entry in enumerate(entries):
        for value in (None, 7, "x"):
            if field in ("hash", "number", "kind", "subject", "at") and value is None:
                continue
            changed = {**entry, field: value if field not in ("at",) else "2031-01-01T12:00:00.000Z"}
            changed = {**changed, "number": 7} if field == "number" else changed
            changed = resealed(changed) if forged and field != "hash" else changed
            if changed == entry:
                continue
            assert chains.faults([*without(entries, index), changed], seals, LATER), (field, value, index)


@pytest.mark.parametrize("index", range(9))
def test_an_entry_that_is_gone_shows(index: int) -> None:
    entries, seals = a_log()
    assert chains.faults(without(entries, index), seals, LATER)


@pytest.mark.parametrize("index", range(9))
def test_an_entry_that_is_there_twice_shows(index: int) -> None:
    entries, seals = a_log()
    assert chains.faults([*entries, entries[index]], seals, LATER)


def test_entries_in_another_order_show() -> None:
    entries, seals = a_log()
    one, two = entries[0], entries[3]
    swapped = [resealed({**one, "number": 2}), resealed({**two, "number": 1})]
    assert chains.faults([*swapped, *[each for each in entries if each not in (one, two)]], seals, LATER)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.kind)
def test_a_chain_that_is_gone_shows(subject: Subject) -> None:
    entries, seals = a_log()
    left = [entry for entry in entries if entry["subject"] != subject.id]
    assert any("All of it is gone" in fault.what for fault in chains.faults(left, seals, LATER))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.kind)
def test_a_chain_that_was_written_anew_shows(subject: Subject) -> None:
    entries, seals = a_log()
    others = [entry for entry in entries if entry["subject"] != subject.id]
    last, forged = None, []
    for entry in (entry for entry in entries if entry["subject"] == subject.id):
        last = resealed({**entry, "actor": "somebody else", "previous": last and last["hash"]})
        forged.append(last)
    assert any("is not the one" in fault.what for fault in chains.faults(others + forged, seals, LATER))


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    "change",
    [
        lambda seal: {**seal, "at": "2031-01-01T12:00:00.000Z"},
        lambda seal: resealed({**seal, "previous": "0" * 64}),
        lambda seal: resealed({**seal, "heads": [{**seal["heads"][0], "hash": "0" * 64}, *seal["heads"][1:]]}),
        lambda seal: {**seal, "heads": seal["heads"][1:]},
        lambda seal: resealed({**seal, "number": seal["number"] + 1}),
    ],
    ids=["time", "link", "head", "fewer heads", "number"],
)
def test_any_change_of_a_seal_shows(index: int, change: Callable[[Json], Json]) -> None:
    entries, seals = a_log()
    assert chains.faults(entries, [*without(seals, index), change(seals[index])], LATER)


@pytest.mark.parametrize("index", range(3))
def test_a_seal_that_is_gone_shows(index: int) -> None:
    entries, seals = a_log()
    assert chains.faults(entries, without(seals, index), LATER)


def test_new_entries_may_wait_for_their_seal_for_some_minutes() -> None:
    entries, seals = a_log()
    at = NOON + timedelta(minutes=2)
    assert chains.faults(entries, seals[:2], at + timedelta(minutes=9)) == []
    assert len(chains.faults(entries, seals[:2], at + timedelta(minutes=11))) == 3


def test_a_log_that_was_cut_off_with_its_seals_shows_to_who_noted_one() -> None:
    entries, seals = a_log()
    known = KnownSeal(3, seals[2]["hash"])
    assert chains.faults(entries[:6], seals[:2], LATER) == []
    assert [fault.where for fault in chains.faults(entries[:6], seals[:2], LATER, known)] == ["seal 3"]
    assert chains.faults(entries, seals, LATER, KnownSeal(3, "0" * 64))


def test_a_record_that_was_changed_without_an_entry_is_a_warning_and_no_fault() -> None:
    act = Act("source.updated", "key_1", "org_1", NOON)
    one = entry_of(act, SUBJECTS[0], None, None, a_source(name="n1"))
    noted = entry_of(act, SUBJECTS[0], one)  # about no state of it
    two = entry_of(act, SUBJECTS[0], noted, a_source(name="somebody else's"), a_source(name="n2"))
    three = entry_of(act, SUBJECTS[0], two, a_source(name="n2"))
    back = entry_of(act, SUBJECTS[0], three, a_source(name="n2"), a_source(name="n3"))
    entries = [entry.model_dump(mode="json") for entry in (one, noted, two, three, back)]
    assert chains.faults(entries, [], NOON) == []
    assert [warning.where for warning in chains.warnings(entries[::-1])] == [two.id, back.id]
    assert "between entries 1 and 3" in chains.warnings(entries)[0].what
    assert chains.warnings(a_log()[0]) == []


# ------------------------------------------------------------------------------------------------ the commands


class Log:
    """The audit log of a deployment, at the wire: two lines an answer."""

    def __init__(self, api: FakeApi) -> None:
        self.entries, self.seals = a_log()
        self.asked: list[httpx.Request] = []
        api.handle = self.answer

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.endswith("/export"):
            return self._export(int(request.url.params.get("cursor", 0)))
        items = self.seals if request.url.path.endswith("/seals") else self.entries
        return httpx.Response(200, json={"items": items[::-1], "next_cursor": None})

    def _export(self, start: int) -> httpx.Response:
        lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in self.entries[start : start + 2]]
        more = start + 2 < len(self.entries)
        link = {"Link": f'<?cursor={start + 2}>; rel="next"'} if more else {}
        return httpx.Response(200, text="".join(lines), headers=link)


@pytest.fixture
def log(api: FakeApi) -> Log:
    return Log(api)


def test_a_whole_log_is_said_to_be_whole_and_its_newest_seal_told(log: Log, spark: Spark) -> None:
    done = spark("audit", "verify")
    assert (done.exit_code, done.stdout) == (0, "Whole: 9 entries in 3 chains, 3 seals.\n")
    noted = f"3:{log.seals[2]['hash']}"
    assert f"--seal {noted}" in done.stderr
    assert spark("audit", "verify", "--seal", noted).exit_code == 0


def test_a_broken_log_is_exit_code_1_and_says_what_is_broken(log: Log, spark: Spark) -> None:
    log.entries[4]["actor"] = "somebody else"
    broken = spark("audit", "verify")
    assert broken.exit_code == 1
    assert log.entries[4]["id"] in broken.stdout
    answer = json.loads(spark("audit", "verify", "--json").stdout)
    assert (answer["is_whole"], answer["entries"], len(answer["faults"])) == (False, 9, 1)
    assert spark("audit", "verify", "--seal", "2:" + "0" * 64).exit_code == 1
    assert spark("audit", "verify", "--seal", "nonsense").exit_code == 2


def test_a_warning_is_shown_and_the_log_is_whole(log: Log, spark: Spark) -> None:
    act, (one, *_) = Act("source.updated", "key_1", "org_1", NOON), SUBJECTS
    first = entry_of(act, one, None, None, a_source(name="n1"))
    second = entry_of(act, one, first, a_source(name="n2"), a_source(name="n3"))
    log.entries = [entry.model_dump(mode="json") for entry in (first, second)]
    log.seals = [seal_of([second], None, NOON).model_dump(mode="json")]
    done = spark("audit", "verify")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith(f"{second.id}  source/src_é was changed without an entry")
    assert done.stdout.splitlines()[1].startswith("Whole:")
    assert "1 warnings" in done.stderr
    answer = json.loads(spark("audit", "verify", "--json").stdout)
    assert (answer["is_whole"], len(answer["warnings"])) == (True, 1)


def test_the_list_and_the_export_show_what_there_is(log: Log, spark: Spark) -> None:
    lines = spark("audit", "list", "--actor", "key_1", "--since", "2h").stdout.splitlines()
    assert lines[1].split()[-5:] == ["192.0.2.7", "matched", "3,", "state", "ü"]
    shown = spark("audit", "list", env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout
    assert max(map(len, Text.from_ansi(shown).plain.splitlines())) <= 80
    spark("audit", "list", "--actor", "key_1", "--since", "2h")
    assert (log.asked[-1].url.params["actor"], "since" in log.asked[-1].url.params) == ("key_1", True)
    exported = spark("audit", "export").stdout.splitlines()
    assert [json.loads(line) for line in exported] == log.entries


def test_refusals_say_when_from_where_and_how_many(api: FakeApi, spark: Spark) -> None:
    asked: list[httpx.Request] = []
    items = [{"address": "192.0.2.7", "at": "2030-01-01T11:59:00.000Z", "refusals": 12}]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"items": items, "next_cursor": None})

    api.handle = answer
    shown = spark("audit", "refusals", "--since", "2h", "--limit", "5").stdout.splitlines()
    assert shown[1].split()[-2:] == ["192.0.2.7", "12"]
    assert asked[-1].url.path.endswith("/audit/refusals")
    assert (asked[-1].url.params["limit"], "since" in asked[-1].url.params) == ("5", True)
    assert json.loads(spark("audit", "refusals", "--json").stdout) == items
    items.clear()
    assert "Nobody" in spark("audit", "refusals").stderr
