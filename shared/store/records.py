"""What the stores of a project's records share: find, add, save, delete, list."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import ValidationError

from shared.errors import NotFound, SchemaTooNew
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.table import Change, Item, Table, Value

if TYPE_CHECKING:  # a function that stores letters need not know how schedules recur
    from shared.domain.act import Act
    from shared.domain.api_key import ApiKey
    from shared.domain.backfill import Backfill
    from shared.domain.dead_letter import DeadLetter
    from shared.domain.identity_provider import IdentityProvider
    from shared.domain.invitation import Invitation
    from shared.domain.member import Member
    from shared.domain.project import Project
    from shared.domain.record import Stored
    from shared.domain.role import Role
    from shared.domain.schedule import Schedule
    from shared.domain.service_account import ServiceAccount
    from shared.domain.session import Session
    from shared.domain.source import Source
    from shared.domain.workflow import Workflow

R = TypeVar(
    "R",
    "Source",
    "Workflow",
    "Schedule",
    "Backfill",
    "DeadLetter",
    "Project",
    "ApiKey",
    "Role",
    "Member",
    "Invitation",
    "ServiceAccount",
    "Session",
    "IdentityProvider",
)
OwnedRecord = TypeVar(
    "OwnedRecord", "Project", "ApiKey", "Role", "Member", "Invitation", "ServiceAccount", "IdentityProvider"
)
T = TypeVar("T")


MAX_SCANNED = 1000  # entries read for one page of a filtered list
SCAN_CHUNK = 100
LOG = logging.getLogger(__name__)


class HasId(Protocol):
    @property
    def id(self) -> str: ...


@dataclass(frozen=True)
class Slice(Generic[T]):
    """Some of a list, newest first. `next` is the id after which the list goes on; None at its end."""

    items: list[T]
    next: str | None


F = TypeVar("F", bound=HasId)


def sift(
    chunk: Callable[[str | None], Slice[F]], admits: Callable[[F], bool], *, limit: int, after: str | None
) -> Slice[F]:
    """The first `limit` records from the one after id `after` that `admits` lets through; `chunk` reads on.

    Where most are passed over, it may be a short page that goes on.
    """
    found: list[F] = []
    for _ in range(MAX_SCANNED // SCAN_CHUNK):
        read = chunk(after)
        for record in read.items:
            if admits(record):
                found.append(record)
            if len(found) == limit:
                last = record.id == read.items[-1].id and read.next is None
                return Slice(found, None if last else record.id)
        if read.next is None:
            return Slice(found, None)
        after = read.next
    return Slice(found, after)


def audit_entry(
    table: Table, key: Key, kind: str, act: "Act | None", before: "Stored | None", after: "Stored | None"
) -> Change | None:
    """What the audit log says of the record under `key` becoming `after` (None: it is deleted), to be stored with it.

    None where nobody acts, or nothing changes but bookkeeping.
    """
    if act is None:
        return None
    from shared.store import audit  # what only people's changes need

    return audit.following(table, key, kind, act, before, after)


class RecordStore(Generic[R]):
    """Records of one kind, each in a partition of its own and listed by `ProjectRecords`."""

    noun: ClassVar[str]
    where: ClassVar[str] = "project"
    kind: ClassVar[str]
    codec: Codec[R]

    def __init__(self, table: Table) -> None:
        self.table = table

    def get(self, project: str, id: str) -> R:
        """The record as it is now.

        Raises:
            NotFound: this project has no such record.
        """
        item = self.table.get(self.key(project, id))
        if item is None:
            raise NotFound(self.noun, id, self.where)
        record = self.codec.decode(item)
        if self._owner(record) != project:  # where its key alone does not tell whose it is
            raise NotFound(self.noun, id, self.where)
        return record

    def was_stored(self, project: str, id: str) -> bool:
        """Is there, or was there ever, such a record whose making is in the audit log? What is deleted leaves its
        entries behind."""
        from shared.store import audit  # what only people's changes need

        return audit.last(self.table, self.key(project, id).pk) is not None

    def get_many(self, project: str, ids: list[str]) -> dict[str, R]:
        """Those of `ids` that exist, as they were a moment ago."""
        found = self.table.get_many([self.key(project, id) for id in ids])
        return {record.id: record for record in map(self.codec.decode, found.values())}

    def find(self, ids: Sequence[tuple[str, str]], *, consistent: bool = False) -> dict[tuple[str, str], R | None]:
        """Those that exist of these (project, id); None for one that cannot be read, and a line in the log.

        It shall not hold up its neighbours, and is not to be taken for one that is gone.
        """
        found = self.table.get_many([self.key(*id) for id in ids], consistent=consistent)
        return {id: self._decoded(found[self.key(*id)]) for id in ids if self.key(*id) in found}

    def readable(self, ids: Sequence[tuple[str, str]], *, consistent: bool = False) -> list[R]:
        """Those of `ids` that exist and can be read."""
        return [record for record in self.find(ids, consistent=consistent).values() if record is not None]

    def save(self, before: R | None, after: R, act: "Act | None" = None, others: Sequence[Change] = ()) -> R:
        """Store `after` over `before`, or as new; in one transaction with the entry in the audit log that `act` makes,
        and with `others`.

        Raises:
            Conflict: `before` is no longer what is stored, or one of `others` is not what it was.
        """
        changes = [self.change(before, after), *self.entry(act, before, after), *others]
        if len(changes) == 1:
            self.table.put(changes[0])
        else:
            self.table.put_all(changes)
        return after.model_copy(update={"revision": after.revision + 1})

    def delete(self, record: R, act: "Act | None" = None, others: Sequence[Change] = ()) -> None:
        """Remove `record`; in one transaction with its last entry in the audit log, which stays, and with `others`.

        Raises:
            Conflict: it changed since it was read, or one of `others` did.
        """
        item = self.codec.encode(record, self._key(record), {}) | {"revision": record.revision}
        changes = [*self.entry(act, record, None), *others]
        if changes:
            self.table.put_all(changes, removed=[item])
        else:
            self.table.delete(item)

    def list(
        self, project: str, *, limit: int, after: str | None = None, admits: Callable[[R], bool] | None = None
    ) -> Slice[R]:
        """The project's records that `admits` lets through, newest first, from the one after id `after`."""
        owner = self._records_of(project)
        if admits is None:
            return self._page(project, owner, limit=limit, after=after)

        def chunk(after: str | None) -> Slice[R]:
            return self._page(project, owner, limit=SCAN_CHUNK, after=after)

        return sift(chunk, admits, limit=limit, after=after)

    def change(self, before: R | None, after: R) -> Change:
        key = self._key(after)
        stored = self.codec.stored(before, key, self._index(before)) if before else None
        return Change(stored, self.codec.encode(after, key, self._index(after)))

    def key(self, project: str, id: str) -> Key:
        return keys.record(project, self.kind, id)

    def entry(self, act: "Act | None", before: R | None, after: R | None) -> Sequence[Change]:
        """The entry in the audit log, if it takes one: for those who store the change in a transaction of their own."""
        record = after or before
        assert record is not None  # before, after, or both
        entry = audit_entry(self.table, self._key(record), self.kind.lower(), act, before, after)
        return [entry] if entry else []

    def _decoded(self, item: Item) -> R | None:
        try:
            return self.codec.decode(item)
        except (SchemaTooNew, ValidationError, ValueError, KeyError):
            LOG.exception("record.unreadable", extra={"pk": item.get("pk")})
            return None

    def _key(self, record: R) -> Key:
        return self.key(self._owner(record), record.id)

    def _index(self, record: R) -> dict[str, str]:
        return {"records_of": self._records_of(self._owner(record))}

    def _owner(self, record: Any) -> str:
        return str(record.project_id)

    def _records_of(self, owner: str) -> str:
        return keys.records_of(owner, self.kind)

    def _page(self, project: str, owner: str, *, limit: int, after: str | None) -> Slice[R]:
        """Records of the list `owner` in `ProjectRecords`."""
        start = self._start(project, owner, after) if after else None
        page = self.table.page(keys.PROJECT_RECORDS, owner, limit=limit, start=start)
        ids = [str(item["record_id"]) for item in page.items]
        found = self.get_many(project, ids)
        return Slice([found[id] for id in ids if id in found], ids[-1] if page.next else None)

    def _start(self, project: str, owner: str, id: str) -> dict[str, Value]:
        key = self.key(project, id)
        return {"pk": key.pk, "sk": key.sk, "records_of": owner, "record_id": id}


class OrganizationRecordStore(RecordStore[OwnedRecord]):
    """Records of one kind that belong to an organization: where the others say project, these mean the organization."""

    where = "organization"

    def _owner(self, record: Any) -> str:
        return str(record.organization_id)

    def _records_of(self, owner: str) -> str:
        return keys.records_of_organization(owner, self.kind)
