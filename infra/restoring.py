"""Brings records of a restored table back into ours, each as far as that does no harm.

A record that is there stays as it is, unless it is to be put back as it was; one that somebody deleted since stays
deleted, unless that is asked for; an unfinished run comes back as cancelled, a schedule paused. Records that the audit
log knows get an entry in it. What was done is not done again, so whoever was stopped begins again.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from infra.item_kinds import CONFIGURATION, kind_of
from shared.domain import firing
from shared.domain import run as run_rules
from shared.domain.act import SPARK, Act
from shared.domain.audit import BOOKKEEPING
from shared.domain.backfill import BackfillStatus
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.run import FINAL
from shared.domain.schedule import Schedule
from shared.errors import Conflict, Invalid, NotFound, SchemaTooNew
from shared.store import audit, keys, runs
from shared.store.api_keys import ApiKeyStore
from shared.store.codec import SCHEMA
from shared.store.identity_providers import IdentityProviderStore
from shared.store.members import MemberStore
from shared.store.projects import ProjectStore
from shared.store.roles import RoleStore
from shared.store.runs import RunStore
from shared.store.schedules import ScheduleStore
from shared.store.service_accounts import ServiceAccountStore
from shared.store.sources import SourceStore
from shared.store.table import Change, Item, Table, from_wire, key_of
from shared.store.workflows import WorkflowStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STORES: dict[str, type[Any]] = {
    "project": ProjectStore,
    "source": SourceStore,
    "workflow": WorkflowStore,
    "schedule": ScheduleStore,
    "role": RoleStore,
    "member": MemberStore,
    "service-account": ServiceAccountStore,
    "key": ApiKeyStore,
    "identity-provider": IdentityProviderStore,
}
OVERWRITTEN = frozenset({"project", "source", "schedule"})  # workflows have versions: `spark workflow rollback`
RUNS = frozenset({"run", "attempt"})
WORKERS = 8
UNKNOWN = "unknown"  # the kind of an item that this version does not know
PAUSED = "Brought back from a restored table. What it missed since is not made up for."
LOST = ("restored", "It had not ended at the time that its table was restored to; what became of it is not known.")


class Outcome(StrEnum):
    """What became of an item of the restored table."""

    brought = "brought back"
    cancelled = "brought back as cancelled"
    put_back = "put back as it was"
    there = "there, left as it is"
    deleted = "deleted since, left so"
    expired = "expired"
    unfinished = "unfinished, left out"
    unreadable = "cannot be read or would no longer be accepted"
    outrun = "changed by somebody at the same time: say it again"


@dataclass(frozen=True)
class Wish:
    """What is to be brought back.

    Args:
        kinds: of `item_kinds.RESTORABLE`.
        prefix: of the partition keys of what is meant; empty: all.
        overwrites: whether what is there and differs is put back as it was, of the kinds in OVERWRITTEN.
        undeletes: whether that, too, comes back which the audit log says was deleted since, of the kinds in
            CONFIGURATION. What gives access and was taken away is given again by who may, never by a restore.
        writes: whether anything is written at all; else it is only said what would be.
    """

    kinds: frozenset[str] = frozenset(CONFIGURATION)
    prefix: str = ""
    overwrites: bool = False
    undeletes: bool = False
    writes: bool = False


Tally = Counter[tuple[str, Outcome | None]]
"""How many items of each kind came to what; None: of a kind that this version does not know."""


class Restoring:
    """One pass from the table `restored` to the table `ours`, with entries in the audit log of the time `now`."""

    def __init__(self, client: "DynamoDBClient", restored: str, ours: str, wish: Wish, now: datetime) -> None:
        self._client, self._name, self._wish, self._now = client, restored, wish, now
        self._restored, self._ours = (Table(client, name, lambda: now) for name in (restored, ours))
        self._organizations: dict[str, str] = {}

    def all(self, workers: int = WORKERS, said: Callable[[str], object] = str) -> Tally:
        """Bring back what is wished for, by so many at once, each of which reads its own part of the table."""
        total: Tally = Counter()
        with ThreadPoolExecutor(workers) as pool:
            for tally in pool.map(lambda number: self._segment(number, workers), range(workers)):
                total += tally
                said(f"{sum(total.values())} items of these kinds so far")
        return total

    def _segment(self, number: int, of: int) -> Tally:
        tally: Tally = Counter()
        for items in self._pages(number, of):
            tally += self._page(items)
        return tally

    def _pages(self, number: int, of: int) -> Iterator[list[Item]]:
        """Nobody writes to a restored table, so what was read a moment ago is what is there, at half the price."""
        conditions, values = [], {}
        if self._wish.prefix:
            conditions, values = ["begins_with(pk, :prefix)"], {":prefix": {"S": self._wish.prefix}}
        if not self._wish.kinds & RUNS:  # most of a table
            conditions, values = [*conditions, "NOT contains(pk, :run)"], {**values, ":run": {"S": f"#{keys.RUN}#"}}
        wanted: Any = {"FilterExpression": " AND ".join(conditions), "ExpressionAttributeValues": values}
        scan = self._client.get_paginator("scan").paginate(
            TableName=self._name, Segment=number, TotalSegments=of, **(wanted if conditions else {})
        )
        return ([from_wire(item) for item in page["Items"]] for page in scan)

    def _page(self, items: list[Item]) -> Tally:
        kinds = [(kind_of(key_of(item)) or UNKNOWN, item) for item in items]
        wanted = [(kind, item) for kind, item in kinds if kind in self._wish.kinds]
        there = self._ours.get_many([key_of(item) for _, item in wanted], consistent=True)
        tally: Tally = Counter({(UNKNOWN, None): sum(kind == UNKNOWN for kind, _ in kinds)})
        tally.update((kind, self._settle(kind, item, there.get(key_of(item)))) for kind, item in wanted)
        return +tally

    def _settle(self, kind: str, item: Item, ours: Item | None) -> Outcome:
        try:
            if ours is not None:
                return self._put_back(kind, item, ours)
            return self._bring(kind, item)
        except (SchemaTooNew, ValidationError, Invalid, ValueError, KeyError):
            return Outcome.unreadable
        except Conflict:
            return Outcome.outrun

    # ------------------------------------------------------------ what is there

    def _put_back(self, kind: str, item: Item, ours: Item) -> Outcome:
        if not (self._wish.overwrites and kind in OVERWRITTEN):
            return Outcome.there
        store = STORES[kind](self._ours)
        before, then = store.codec.decode(ours), store.codec.decode(item)
        after = self._edited(before, then) if isinstance(then, Schedule) else self._replaced(before, then)
        if after == before:
            return Outcome.there
        if self._wish.writes:
            store.save(before, after, self._act(kind, after))
        return Outcome.put_back

    def _edited(self, before: Schedule, then: Schedule) -> Schedule:
        """An edit back to the settings of then: what fired since is not fired again, and a pause stays."""
        return firing.edit(before, then.settings, then.input_key, self._now)

    def _replaced(self, before: Any, then: Any) -> Any:
        """As it was, under the revision of today: who read it before cannot save over it."""
        noted = {name: getattr(before, name) for name in BOOKKEEPING if name in type(before).model_fields}
        after = then.model_copy(update={"revision": before.revision, **noted})
        if after == before or "updated_at" not in noted:
            return after
        return after.model_copy(update={"updated_at": self._now})

    # ------------------------------------------------------------ what is missing

    def _bring(self, kind: str, item: Item) -> Outcome:
        if isinstance(expires := item.get("expires_at"), int) and expires <= self._now.timestamp():
            return Outcome.expired
        if int(item["schema"]) > SCHEMA:
            return Outcome.unreadable
        if kind in STORES:
            return self._bring_record(kind, item)
        if kind == "run" and item["status"] not in FINAL:
            return self._bring_unfinished(item)
        if kind == "backfill" and item.get("status", BackfillStatus.running) == BackfillStatus.running:
            return Outcome.unfinished
        if self._wish.writes:
            self._ours.put(Change(None, item))
        return Outcome.brought

    def _bring_record(self, kind: str, item: Item) -> Outcome:
        if not (self._wish.undeletes and kind in CONFIGURATION) and self._was_deleted(item):
            return Outcome.deleted
        store = STORES[kind](self._ours)
        record = store.codec.decode(item)
        if isinstance(record, Schedule):
            record = firing.pause(record, self._now, PAUSED)
        if self._wish.writes:
            store.save(None, record, self._act(kind, record))
        return Outcome.brought

    def _bring_unfinished(self, item: Item) -> Outcome:
        owner = keys.owner(key_of(item))
        run = RunStore(self._restored).get(owner.project, owner.id)
        over = run_rules.cancel(run, self._now).model_copy(update={"error": run_rules.error_of(*LOST, run.attempt)})
        if self._wish.writes:
            self._ours.put(runs.change(None, over))
        return Outcome.cancelled

    def _was_deleted(self, item: Item) -> bool:
        """Does our audit log say so? An entry about a deletion knows what was there before, and nothing after."""
        entry = audit.last(self._ours, key_of(item).pk)
        return entry is not None and entry.before_hash is not None and entry.after_hash is None

    # ------------------------------------------------------------ the audit log

    def _act(self, kind: str, record: Any) -> Act:
        organization = getattr(record, "organization_id", None) or self._organization(record.project_id)
        detail: dict[str, str | int] = {"restored_from": self._name}
        return Act(f"{kind.replace('-', '_')}.restored", SPARK, organization, self._now, detail=detail)

    def _organization(self, project: str) -> str:
        """Whose a project is, by our table or, where it is missing there, by the restored one."""
        if project not in self._organizations:
            self._organizations[project] = self._look_up(project)
        return self._organizations[project]

    def _look_up(self, project: str) -> str:
        for table in (self._ours, self._restored):
            try:
                return ProjectStore(table).by_id(project).organization_id
            except NotFound:
                continue
        return DEFAULT_ORGANIZATION
