"""Ids, instants and stored items, for records nobody thought of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.attempt import Attempt, LogLine, Step
from shared.domain.backfill import Backfill, BackfillStatus, Reprocess
from shared.domain.leases import Leases
from shared.domain.overlap import Slot
from shared.domain.record import Record, derived_id, id_time, instant_text, new_id, to_milliseconds
from shared.domain.retry import RetryPolicy
from shared.domain.run import Origin, RunError, RunStatus
from shared.domain.schedule import CatchUp, Overlap, Schedule, run_id
from shared.domain.source import Source, SourceCheck
from shared.domain.workflow import FlowFacts, Workflow, WorkflowSettings, WorkflowVersion
from shared.store.backfills import BackfillStore
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore
from tests.fakes import NOON, Clock, MemoryTable
from tests.world import a_run, a_schedule, a_source, a_version, a_workflow, id_of

INSTANTS = st.datetimes(
    datetime(1970, 1, 1),
    datetime(9999, 12, 30),
    timezones=st.timezones() | st.just(UTC),
)
STORED = st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30), timezones=st.just(UTC)).map(to_milliseconds)
# Seconds since 1970 beyond the year 2603 are read as milliseconds; by then everything has expired.
SECONDS = st.integers(int(NOON.timestamp()), 19_999_999_999).map(lambda second: datetime.fromtimestamp(second, UTC))
ENTROPY = st.binary(min_size=10, max_size=10)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(-(2**53), 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
POLICIES = st.builds(RetryPolicy, initial_seconds=st.floats(0, 3600), multiplier=st.floats(1, 10))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@given(at=INSTANTS, entropy=ENTROPY)
def test_an_id_tells_its_time_to_the_millisecond(at: datetime, entropy: bytes) -> None:
    assert id_time(new_id("run", at, entropy)) == to_milliseconds(at)


@given(first=INSTANTS, second=INSTANTS, entropy=st.tuples(ENTROPY, ENTROPY))
def test_ids_sort_by_time(first: datetime, second: datetime, entropy: tuple[bytes, bytes]) -> None:
    earlier, later = (new_id("run", at, noise) for at, noise in zip((first, second), entropy, strict=True))

    if to_milliseconds(first) < to_milliseconds(second):
        assert earlier < later


@given(at=INSTANTS, parts=st.lists(TEXT, max_size=3), other=st.lists(TEXT, max_size=3))
def test_derived_ids_are_stable_and_tell_their_parts_apart(at: datetime, parts: list[str], other: list[str]) -> None:
    assert derived_id("run", at, *parts) == derived_id("run", at, *parts)
    if "\0".join(parts) != "\0".join(other):
        assert derived_id("run", at, *parts) != derived_id("run", at, *other)


@given(first=INSTANTS, second=INSTANTS)
def test_instants_sort_as_text_as_they_do_in_time(first: datetime, second: datetime) -> None:
    one, two = instant_text(first), instant_text(second)

    assert len(one) == len(two) == 24
    assert (one < two) == (to_milliseconds(first) < to_milliseconds(second))
    assert (one == two) == (to_milliseconds(first) == to_milliseconds(second))


@given(at=INSTANTS)
def test_an_instant_comes_back_from_its_text(at: datetime) -> None:
    assert datetime.fromisoformat(instant_text(at)) == to_milliseconds(at)


@given(seconds=st.integers(0, 10**6), micro=st.integers(0, 999_999))
def test_a_run_keeps_an_end_time_as_it_is_stored(seconds: int, micro: int) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micro)
    assert a_run().move(RunStatus.pending, wake_at=at).wake_at == to_milliseconds(at)


RUNS = st.fixed_dictionaries(
    {
        "number": st.integers(0, 9),
        "definition_hash": maybe(TEXT),
        "status": st.sampled_from(RunStatus),
        "origin": st.sampled_from([Origin.api, Origin.manual, Origin.retry]),  # the others are of an occurrence
        "created_by": TEXT,
        "created_at": STORED,
        "correlation_id": TEXT,
        "input": maybe(TEXT),
        "session_id": maybe(TEXT),
        "tweaks": maybe(OBJECTS),
        "timeout_seconds": st.integers(0, 86_400),
        "retry": maybe(POLICIES),
        "turn": st.integers(0, 10**6),
        "attempt": st.integers(0, 20),
        "not_before": maybe(STORED),
        "wake_at": maybe(STORED),
        "lease_until": maybe(STORED),
        "submission": st.integers(0, 3),
        "returns": st.integers(0, 3),
        "may_have_run_before": st.booleans(),
        "upstream_stopped": maybe(st.booleans()),
        "error": maybe(st.builds(RunError, code=TEXT, message=TEXT, retryable=st.booleans(), attempt=st.integers(0))),
        "expires_at": maybe(SECONDS.filter(lambda at: at > NOON)),
    }
)
ATTEMPTS = st.fixed_dictionaries(
    {
        "number": st.integers(0, 9999),
        "started_at": STORED,
        "worker": maybe(TEXT),
        "output": JSON,
        "output_bytes": maybe(st.integers(0)),
        "steps": st.lists(st.builds(Step, name=TEXT, duration_seconds=maybe(st.floats(0, 1e6)), error=maybe(TEXT))),
        "logs": st.lists(st.builds(LogLine, at=STORED, event=TEXT, message=maybe(TEXT)), max_size=5),
    }
)


def stored_again(before: Record, after: Record) -> Record:
    return after.model_copy(update={"revision": before.revision + 1})


@given(first=RUNS, second=RUNS)
@settings(max_examples=200)
def test_any_run_comes_back_from_the_table_and_so_does_any_change_of_it(first: Any, second: Any) -> None:
    store = RunStore(MemoryTable(Clock()))  # type: ignore[arg-type]
    run, later = a_run(**{**first, "number": 1}), a_run(**{**second, "number": 1, "created_at": first["created_at"]})

    assert store.add([run]) == [True]
    stored = store.get(run.project_id, run.id)
    assert stored == stored_again(run, run)

    (saved,) = store.save_many([(stored, later.model_copy(update={"revision": 1}))])
    assert saved == store.get(run.project_id, run.id) == later.model_copy(update={"revision": 2})


@given(fields=ATTEMPTS)
def test_any_attempt_page_comes_back_from_the_table(fields: Any) -> None:
    store = RunStore(MemoryTable(Clock()))  # type: ignore[arg-type]
    store.add([a_run()])
    run = store.get("default", a_run().id)
    page = Attempt(project_id="default", run_id=run.id, **fields)

    assert store.save_with_page(run, run, page) is not None

    # JSON knows no difference between a null output and none
    assert store.page("default", run.id, page.number) == stored_again(page, page)


SETTINGS = st.builds(
    WorkflowSettings,
    name=st.text(st.characters(categories=["L", "N", "So"]), min_size=1, max_size=20),
    description=TEXT,
    timeout_seconds=st.integers(1, 86_400),
    retry=POLICIES,
    tweaks=OBJECTS,
    tags=st.lists(TEXT, max_size=3),
)
FACTS = st.builds(FlowFacts, flow_name=maybe(TEXT), definition_hash=maybe(TEXT))


@given(settings=SETTINGS, facts=FACTS, version=st.integers(0, 10**6), at=STORED)
def test_any_workflow_and_version_come_back_from_the_table(
    settings: WorkflowSettings, facts: FlowFacts, version: int, at: datetime
) -> None:
    store = WorkflowStore(MemoryTable(Clock()))  # type: ignore[arg-type]
    workflow: Workflow = store.save(None, a_workflow(settings=settings, facts=facts, version=version, updated_at=at))
    kept: WorkflowVersion = a_version(workflow)
    store.save_version(kept)

    assert store.get("default", workflow.id) == workflow
    assert store.get_version("default", workflow.id, version) == stored_again(kept, kept)


@given(
    name=TEXT,
    key=maybe(TEXT),
    limit=maybe(st.integers(0, 100)),
    check=maybe(st.builds(SourceCheck, reachable=st.booleans(), message=maybe(TEXT), key_valid=maybe(st.booleans()))),
    holders=st.dictionaries(TEXT, STORED, max_size=5),
)
def test_any_source_and_its_leases_come_back_from_the_table(
    name: str, key: str | None, limit: int | None, check: SourceCheck | None, holders: dict[str, datetime]
) -> None:
    store = SourceStore(MemoryTable(Clock()))  # type: ignore[arg-type]
    source: Source = store.save(None, a_source(name=name, encrypted_key=key, max_concurrency=limit, check=check))
    leases = Leases(project_id="default", source_id=source.id, holders=holders)
    store.save_leases(Leases(project_id="default", source_id=source.id), leases)

    assert store.get("default", source.id) == source
    assert store.get_leases("default", source.id) == stored_again(leases, leases)


NAMES = st.text(st.characters(categories=["L", "N", "So"]), min_size=1, max_size=20)
IN_CALENDAR = st.datetimes(datetime(1980, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)).map(to_milliseconds)
SCHEDULES = st.fixed_dictionaries(
    {
        "expression": st.sampled_from(["* * * * *", "0 9 * * 1-5", "@hourly"]),
        "timezone": st.sampled_from(["UTC", "America/Sao_Paulo"]),
        "start_at": maybe(IN_CALENDAR),
        "end_at": maybe(IN_CALENDAR),
        "exclude": st.lists(st.sampled_from(["2030-01-01", "2030-01-02T00:00:00.000Z"]), max_size=3).map(tuple),
        "jitter_seconds": st.integers(0, 86_400),
        "max_runs": maybe(st.integers(1, 10**9)),
        "name": NAMES,
        "input": TEXT,
        "session_id": maybe(NAMES),
        "timeout_seconds": maybe(st.integers(1, 86_400)),
        "retry": maybe(POLICIES),
        "overlap": st.sampled_from(Overlap),
        "catch_up": st.sampled_from(CatchUp),
        "max_lateness_seconds": maybe(st.integers(300, 31_536_000)),
        "pause_after_failures": maybe(st.integers(1, 100)),
        "input_key": maybe(TEXT.filter(bool)),
        "enabled": st.booleans(),
        "created_at": st.just(NOON) | STORED,
        "effective_at": st.just(NOON) | STORED,
        "updated_at": st.just(NOON) | STORED,
        "watermark": st.just(NOON) | STORED,
        "wake_at": maybe(STORED),
        "paused_at": maybe(STORED),
        "pause_reason": maybe(TEXT),
        "fired": st.integers(0, 10**9),
        "skipped_missed": st.integers(0, 10**9),
    }
)
PROGRESS = st.fixed_dictionaries(
    {
        "watermark": STORED,
        "wake_at": maybe(STORED),
        "fired": st.integers(0, 9),
        "skipped_missed": st.integers(0, 9),
    }
)


def schedule_store() -> ScheduleStore:
    return ScheduleStore(MemoryTable(Clock()))  # type: ignore[arg-type]


@given(first=SCHEDULES, second=SCHEDULES)
@settings(max_examples=200)
def test_any_schedule_comes_back_from_the_table_and_so_does_any_change_of_it(first: Any, second: Any) -> None:
    store, id = schedule_store(), id_of("sch", 1)
    schedule: Schedule = store.save(None, a_schedule(1, **{**first, "id": id}))
    assert store.get("default", id) == schedule

    later = a_schedule(1, **{**second, "id": id, "revision": 1})
    assert store.save_many([(schedule, later)]) == [True]
    assert store.get("default", id) == stored_again(schedule, later)

    again = a_schedule(1, **{**first, "id": id, "revision": 2})
    store.save(store.get("default", id), again)
    assert store.get("default", id) == again.model_copy(update={"revision": 3})


@given(first=SCHEDULES, steps=st.lists(PROGRESS, max_size=5))
def test_a_schedule_that_fires_again_and_again_is_stored_as_it_is(first: Any, steps: list[Any]) -> None:
    store = schedule_store()
    schedule: Schedule = store.save(None, a_schedule(1, **{**first, "id": id_of("sch", 1)}))

    for step in steps:
        after = schedule.model_copy(update=step)
        assert store.save_many([(schedule, after)]) == [True]
        schedule = store.get("default", schedule.id)
        assert schedule == after.model_copy(update={"revision": after.revision + 1})


@given(
    at=IN_CALENDAR,
    made=IN_CALENDAR,
    origin=st.sampled_from([Origin.schedule, Origin.backfill]),
    by=st.sampled_from(["schedule", "k"]),
    fields=RUNS,
)
def test_any_run_of_an_occurrence_comes_back_from_the_table(
    at: datetime, made: datetime, origin: Origin, by: str, fields: Any
) -> None:
    store = RunStore(MemoryTable(Clock()))  # type: ignore[arg-type]
    id = run_id(a_schedule(1), at)
    facts = {"id": id, "correlation_id": id, "origin": origin, "schedule_id": "sch_1", "scheduled_for": at}
    run = a_run(**{**fields, **facts, "created_at": made, "number": 1, "created_by": by})

    assert store.add([run]) == [True]

    assert store.get("default", id) == stored_again(run, run)


@given(holder=maybe(TEXT), queue=st.lists(TEXT, max_size=5), skipped=st.integers(0, 10**6))
def test_any_slot_comes_back_from_the_table(holder: str | None, queue: list[str], skipped: int) -> None:
    store = schedule_store()
    empty = store.get_slot("default", "sch_1")
    slot = Slot(project_id="default", schedule_id="sch_1", holder=holder, queue=tuple(queue), skipped=skipped)

    store.save_slot(empty, slot)
    assert store.get_slot("default", "sch_1") == stored_again(slot, slot)

    store.save_slot(store.get_slot("default", "sch_1"), empty.model_copy(update={"revision": 1}))
    assert store.get_slot("default", "sch_1") == empty.model_copy(update={"revision": 2})


@given(
    times=st.tuples(STORED, STORED, STORED, STORED),
    overlap=maybe(st.sampled_from(Overlap)),
    reprocess=st.sampled_from(Reprocess),
    status=st.sampled_from(BackfillStatus),
    counts=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000)),
    ends=st.tuples(maybe(STORED), maybe(STORED)),
)
def test_any_backfill_comes_back_from_the_table(
    times: Any, overlap: Any, reprocess: Any, status: Any, counts: Any, ends: Any
) -> None:
    store = BackfillStore(MemoryTable(Clock()))  # type: ignore[arg-type]
    backfill = Backfill(
        project_id="default",
        id=id_of("bkf", 1),
        schedule_id="sch_1",
        start_at=times[0],
        end_at=times[1],
        cursor=times[2],
        created_at=times[3],
        overlap=overlap,
        reprocess=reprocess,
        status=status,
        total=counts[0],
        started=counts[1],
        left_out=counts[2],
        wake_at=ends[0],
        finished_at=ends[1],
        created_by="k",
    )

    assert store.save(None, backfill) == store.get("default", backfill.id) == stored_again(backfill, backfill)
