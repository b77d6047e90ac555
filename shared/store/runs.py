"""Runs, the pages of their attempts, and the lists they are found by."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from shared.domain.attempt import Attempt
from shared.domain.record import EPOCH, id_time, instant_text, new_id
from shared.domain.run import Origin, Run, RunStatus, saved
from shared.errors import NotFound, SchemaTooNew, Unavailable
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import SCAN_CHUNK, Slice, sift
from shared.store.table import Change, Item, Outcome, Table, Value, key_of

# Beside the names of index keys, short ones: names count, and a run with half a kilobyte of input must stay below one.
RUNS = Codec(
    Run,
    names={
        "id": "run_id",
        "project_id": "runs_of_project",
        "workflow_id": "runs_of_workflow",
        "schedule_id": "runs_of_schedule",
        "claimed_by": "claim",
        "workflow_version": "version",
        "definition_hash": "hash",
        "correlation_id": "correlation",
        "timeout_seconds": "timeout",
        "retention_days": "retention",
    },
    json=frozenset({"error", "retry", "tweaks"}),
    epoch=frozenset({"expires_at"}),
)
PAGES = Codec(
    Attempt,
    json=frozenset({"error", "output"}),
    packed=frozenset({"steps", "logs"}),
    epoch=frozenset({"expires_at"}),
)
OWNERS = ("runs_of_workflow", "runs_of_schedule")
IN_ID = ("created_at", "scheduled_for", "correlation")  # not stored where the id says the same
BY_CLOCK = {"origin": Origin.schedule.value, "created_by": "schedule"}  # not stored together: a schedule fired it
IN_KEY = frozenset({"project_id", "run_id"})  # of a page: its key says them, and it has a kilobyte as well
PAGE_ROUNDS = 3  # each tries five times, over 0.75 s
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list shows. `since` and `until` mean the time in a run's id; both ends are included."""

    workflow_id: str | None = None
    schedule_id: str | None = None
    status: RunStatus | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, run: Run) -> bool:
        return (
            self.status in (None, run.status)
            and self.workflow_id in (None, run.workflow_id)
            and self.schedule_id in (None, run.schedule_id)
        )


class RunStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, project: str, id: str) -> Run:
        """The run as it is now.

        Raises:
            NotFound: this project has no such run.
        """
        item = self._table.get(keys.run(project, id))
        if item is None:
            raise NotFound("run", id)
        return _decode(item)

    def get_many(self, ids: Sequence[tuple[str, str]], *, consistent: bool = False) -> dict[tuple[str, str], Run]:
        """The runs that exist of these (project, id). One that cannot be read is logged and left out."""
        found = self._table.get_many([keys.run(*id) for id in ids], consistent=consistent)
        runs = filter(None, map(_decoded, found.values()))
        return {(run.project_id, run.id): run for run in runs}

    def add(self, runs: Sequence[Run]) -> list[Outcome]:
        """Store new runs; False for each whose id is taken, None where nobody can tell."""
        return self._table.put_many([change(None, run) for run in runs])

    def save(self, before: Run, after: Run) -> Run:
        """Store `after` over `before`.

        Raises:
            Conflict: `before` is no longer what is stored.
        """
        self._table.put(change(before, after))
        return saved(after)

    def save_many(self, moves: Sequence[tuple[Run, Run]]) -> list[Run | None]:
        """Store each second over each first; None where that is not known to have held."""
        outcomes = self._table.put_many([change(before, after) for before, after in moves])
        return [saved(after) if held else None for held, (_, after) in zip(outcomes, moves, strict=True)]

    def save_with_page(self, before: Run, after: Run, page: Attempt) -> Run | None:
        """Store a run and the page of its attempt in one request; None when the run is not known to have been saved.

        Raises:
            Unavailable: the run was saved and its page was not, however often it was tried.
        """
        run, written = self._table.put_many([change(before, after), _page_change(page)])
        if not run:
            return None
        if written is None:
            self._insist(page)
        return saved(after)

    def _insist(self, page: Attempt) -> None:
        """The output of a finished run is only here: go on trying while this invocation lives."""
        for _ in range(PAGE_ROUNDS):
            if self._table.put_many([_page_change(page)]) != [None]:
                return
        raise Unavailable(f"The page of attempt {page.number} of run {page.run_id} could not be stored.")

    def pages(self, project: str, run_id: str) -> list[Attempt]:
        """The pages of a run's attempts, first to last."""
        return [_decode_page(item) for item in self._table.query(keys.run(project, run_id).pk, keys.ATTEMPT_PREFIX)]

    def page(self, project: str, run_id: str, number: int) -> Attempt | None:
        item = self._table.get(keys.attempt(project, run_id, number))
        return _decode_page(item) if item else None

    def list(self, project: str, filter: RunFilter, *, limit: int, after: str | None = None) -> Slice[Run]:
        """Runs newest first, from the one after id `after`. A sparse filter may give a short page that goes on."""
        size = SCAN_CHUNK if _scans(filter) else limit

        def chunk(after: str | None) -> Slice[Run]:
            return self._chunk(project, filter, size, after)

        return sift(chunk, filter.admits, limit=limit, after=after)

    def _chunk(self, project: str, filter: RunFilter, limit: int, after: str | None) -> Slice[Run]:
        index, owner = _list_for(project, filter)
        page = self._table.page(
            index,
            owner,
            low=_bound(filter.since, b"\x00"),
            high=_bound(filter.until, b"\xff"),
            limit=limit,
            start=_start(project, index, owner, after) if after else None,
        )
        ids = [(project, str(item["run_id"])) for item in page.items]
        found = self.get_many(ids)
        return Slice([found[id] for id in ids if id in found], ids[-1][1] if page.next else None)


def change(before: Run | None, after: Run) -> Change:
    """What `after` over `before`, or as new, is to the table."""
    key = keys.run(after.project_id, after.id)
    old = RUNS.stored(before, key, _index(before)) if before is not None else None
    return Change(_slim(old) if old is not None else None, _slim(RUNS.encode(after, key, _index(after))))


def _slim(item: Item) -> Item:
    """As it is stored: on the lists of its project, and without what the id tells.

    That is at least 34 bytes of the kilobyte that a write unit pays for.
    """
    project, told = str(item["runs_of_project"]), _time_in_id(item)
    slim = {name: value for name, value in item.items() if not (name in IN_ID and value in (told, item["run_id"]))}
    if slim.items() >= BY_CLOCK.items():
        slim = {name: value for name, value in slim.items() if name not in BY_CLOCK}
    owners = {name: keys.runs_of(project, str(item[name])) for name in OWNERS if name in item}
    return {**slim, **owners}


def _decode(item: Item) -> Run:
    told: Item = {"created_at": _time_in_id(item), "correlation": item["run_id"]}
    item = item if "origin" in item else item | BY_CLOCK
    if item["origin"] in (Origin.schedule, Origin.backfill):
        told["scheduled_for"] = _time_in_id(item)
    owners = {name: keys.runs_owner(str(item[name])) for name in OWNERS if name in item}
    return RUNS.decode({**told, **item, **owners})


def _decoded(item: Item) -> Run | None:
    """The run; None, and a line in the log, when it cannot be read: it shall not hold up its neighbours."""
    try:
        return _decode(item)
    except (SchemaTooNew, ValidationError, ValueError, KeyError):
        LOG.exception("run.unreadable", extra={"pk": item.get("pk")})
        return None


def _time_in_id(item: Item) -> str:
    return instant_text(id_time(str(item["run_id"])))


def _page_change(page: Attempt) -> Change:
    """A page only grows: whatever it holds is written, over the revision that was read."""
    whole = PAGES.encode(page, keys.attempt(page.project_id, page.run_id, page.number), {})
    after = {name: value for name, value in whole.items() if name not in IN_KEY}
    return Change({**key_of(after)._asdict(), "revision": page.revision} if page.revision else None, after)


def _decode_page(item: Item) -> Attempt:
    run = keys.owner(key_of(item))
    return PAGES.decode({"project_id": run.project, "run_id": run.id, **item})


def _index(run: Run) -> dict[str, str]:
    index = {}
    if run.wake_at is not None:
        index["wake_shard"] = keys.wake_shard(run.id)
    if run.status is RunStatus.failed:
        index["failed_runs_of"] = run.project_id
    return index


def _scans(filter: RunFilter) -> bool:
    """Whether entries of the chosen list may have to be passed over."""
    if filter.schedule_id is not None:
        return filter.status is not None or filter.workflow_id is not None
    if filter.status is RunStatus.failed:
        return filter.workflow_id is not None
    return filter.status is not None


def _list_for(project: str, filter: RunFilter) -> tuple[str, str]:
    """The shortest list that has all that is asked for, and whose it is."""
    if filter.schedule_id is not None:
        return keys.SCHEDULE_RUNS, keys.runs_of(project, filter.schedule_id)
    if filter.status is RunStatus.failed:
        return keys.FAILED_RUNS, project
    if filter.workflow_id is not None:
        return keys.WORKFLOW_RUNS, keys.runs_of(project, filter.workflow_id)
    return keys.PROJECT_RUNS, project


def _start(project: str, index: str, owner: str, id: str) -> dict[str, Value]:
    key = keys.run(project, id)
    return {"pk": key.pk, "sk": key.sk, keys.INDEXES[index].hash: owner, "run_id": id}


def _bound(at: datetime | None, fill: bytes) -> str | None:
    return new_id("run", max(at, EPOCH), fill * 10) if at is not None else None
