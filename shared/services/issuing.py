"""Issuing API keys: making, changing, rotating and revoking them; nobody makes or takes a key that may do more than
their own, and whoever has one project has to do with the keys of that project alone.

What becomes of a key is told to it within a minute: so long does whoever has just let it in remember it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain import api_key as rules
from shared.domain import limit
from shared.domain.api_key import FIRST_KEY, NO_ROLE, ApiKey, PresentedKey
from shared.domain.limit import Limits
from shared.domain.service_account import ServiceAccount, acting
from shared.errors import Conflict, Invalid, NotFound, Unavailable
from shared.services.deadline import Deadline
from shared.services.granting import Granting, Grantor
from shared.services.owning import PAGE, Owning
from shared.store.api_keys import ApiKeyStore
from shared.store.projects import ProjectStore
from shared.store.records import Slice
from shared.store.table import Change

ROUNDS = 5  # how often a change is tried again after somebody else was faster

Guard = Callable[[ApiKey], None]
"""Raises when the key is not the one that the caller wants to change."""

Step = tuple[ApiKey, Sequence[Change]]
"""A key as it is to be, and what to store along with it."""


@dataclass(frozen=True)
class Wanted:
    """Which keys a list shows."""

    project: str | None = None
    created_by: str | None = None
    service_account: str | None = None

    def admits(self, key: ApiKey) -> bool:
        said = (self.project, self.created_by, self.service_account)
        found = (key.project_id, key.created_by, key.service_account_id)
        return all(want in (None, has) for want, has in zip(said, found, strict=True))


EVERY_KEY = Wanted()


@dataclass(frozen=True)
class Issuing:
    keys: ApiKeyStore
    projects: ProjectStore
    granting: Granting
    owning: Owning
    now: Callable[[], datetime]

    def issue(self, by: Grantor, key: ApiKey) -> ApiKey:
        """Store `key`, a new one.

        Raises:
            NotFound: they have no such project, or no such service account.
            Invalid: there is no such role, or it would be over already.
            Forbidden: it would open more, or may do more, than their own.
        """
        meant = self._acting(by, key)
        if meant.organization_wide:
            by.require_organization_wide("A key that opens every project")
        self._require_project(by, meant.project_id)
        self._require_future(key.valid_until)
        self.granting.require_grantable(by.organization, meant.role, by.permissions)
        by.require_end(key.valid_until)
        by.require_limits(_limits(by, key))
        stored = meant if key.service_account_id is None else meant.model_copy(update={"role": NO_ROLE})
        return self.keys.save(None, stored, by.does("key.created"))

    def get(self, by: Grantor, id: str) -> ApiKey:
        """Raises NotFound where they have no such key."""
        key = self.keys.get(by.organization, id)
        if not _is_theirs(by, key):
            raise NotFound(self.keys.noun, id, self.keys.where)
        return key

    def list(self, by: Grantor, wanted: Wanted, *, limit: int, after: str | None) -> Slice[ApiKey]:
        """The keys they have to do with, newest first; of those, the ones that are `wanted`."""

        def admits(key: ApiKey) -> bool:
            return _is_theirs(by, key) and wanted.admits(key)

        everything = by.project is None and wanted == EVERY_KEY
        return self.keys.list(by.organization, limit=limit, after=after, admits=None if everything else admits)

    def change(self, by: Grantor, id: str, fields: dict[str, Any], guard: Guard, deadline: Deadline) -> ApiKey:
        """The key with these `fields` changed.

        Raises:
            NotFound, Invalid, Forbidden, as `issue`; whatever `guard` raises.
            Conflict: the organization would be locked out, or the key is over: what was revoked stays shut.
        """
        self._require_future(fields.get("valid_until"))
        if "role" in fields:
            self.granting.require_grantable(by.organization, fields["role"], by.permissions)

        def step(current: ApiKey) -> Step:
            guard(current)
            if not rules.is_open(current, self.now()):
                raise Conflict("It was ended.")
            if "role" in fields and current.service_account_id is not None:
                raise Invalid("Its role is that of its service account: change it there.", "/role")
            after = current.model_copy(update=fields)
            _require_no_longer(by, current, after)
            return after, [] if rules.lasts(after) else self._leave_one(current, deadline)

        return self._save(by, "key.updated", id, step)

    def rotate(self, by: Grantor, id: str, secret: str, overlap: timedelta) -> ApiKey:
        """The key with another secret; the old one works for `overlap` more.

        Raises:
            NotFound; Forbidden: it may do more than theirs, or has more requests or a later end than they.
            Conflict: it is being rotated already, or its secret is not ours to change.
        """
        hash, now = PresentedKey(id, secret).hash, self.now()

        def step(current: ApiKey) -> Step:
            if current.id == FIRST_KEY:
                raise Conflict("The first key's secret is the deployment's: change it in Secrets Manager.")
            by.require_end(current.valid_until)  # who knows the new secret has what it has
            by.require_limits(_limits(by, current))
            return rules.rotate(current, hash, now, overlap), []

        return self._save(by, "key.rotated", id, step)

    def revoke(self, by: Grantor, id: str, guard: Guard, deadline: Deadline) -> None:
        """Remove the key. The first one stays, shut: without its record, its secret would make it anew.

        Raises:
            NotFound; Forbidden: it may do more than theirs; whatever `guard` raises.
            Conflict: the organization would be locked out.
        """
        for _ in range(ROUNDS):
            current = self._own(by, id)
            guard(current)
            others = self._leave_one(current, deadline)
            try:
                return self._remove(by, current, others)
            except Conflict:
                continue
        raise Unavailable("The API key keeps changing. Try again.")

    def revoke_made_by(self, by: Grantor, maker: str, project: str | None, deadline: Deadline) -> None:
        """Revoke all keys that `maker` made: those of `project`; for None, of the organization.

        Raises:
            Forbidden: one of them may do more than theirs, and none is; Conflict, too: as `revoke`.
            OutOfTime: there are too many. Those that were revoked are.
        """
        wanted = Wanted(project, maker)
        keys = list(deadline.all_of(lambda after: self.list(by, wanted, limit=PAGE, after=after)))
        for key in keys:
            self._require_no_more(by, key)
        if lasting := {key.id for key in keys if rules.lasts(key)}:
            self.owning.require_another(by.organization, lasting, deadline)
        for key in keys:
            deadline.require()
            with suppress(NotFound):  # lists may show one that is just gone
                self.revoke(by, key.id, any_key, deadline)

    def _own(self, by: Grantor, id: str) -> ApiKey:
        """The key, if it may do no more than theirs."""
        key = self.get(by, id)
        self._require_no_more(by, key)
        return key

    def _require_no_more(self, by: Grantor, key: ApiKey) -> None:
        """Raises Forbidden. A key may do what its service account may, also while that is disabled."""
        account = self.granting.accounts_of([key], consistent=True).get(key.service_account_id or "")
        role = key.role if account is None else account.role
        self.granting.require_no_more(by.organization, role, by.permissions)

    def _acting(self, by: Grantor, key: ApiKey) -> ApiKey:
        """A new key with the role and the place that it is to have. Raises NotFound where they have no such account."""
        if key.service_account_id is None:
            return key
        accounts = self.granting.accounts()
        account = accounts.get(by.organization, key.service_account_id)
        if not _is_theirs(by, account):
            raise NotFound(accounts.noun, account.id, accounts.where)
        return acting(key, account)

    def _save(self, by: Grantor, action: str, id: str, step: Callable[[ApiKey], Step]) -> ApiKey:
        for _ in range(ROUNDS):
            current = self._own(by, id)
            after, others = step(current)
            try:
                return self.keys.save(current, after, by.does(action), others)
            except Conflict:
                continue  # somebody was faster: look at what it is now
        raise Unavailable("The API key keeps changing. Try again.")

    def _remove(self, by: Grantor, key: ApiKey, others: Sequence[Change]) -> None:
        act = by.does("key.revoked")
        if key.id == FIRST_KEY:
            self.keys.save(key, rules.end(key, self.now()), act, others)
        else:
            self.keys.delete(key, act, others)

    def _require_project(self, by: Grantor, id: str) -> None:
        if by.project not in (None, id):
            raise NotFound(self.projects.noun, id, self.projects.where)
        self.projects.get(by.organization, id)

    def _require_future(self, until: datetime | None) -> None:
        if until is not None and until <= self.now():
            raise Invalid("It has to lie in the future. To end a key now, revoke it.", "/valid_until")

    def _leave_one(self, key: ApiKey, deadline: Deadline) -> Sequence[Change]:
        """What to store along when `key` stops being an owner's. Raises Conflict where it is the last one."""
        return self.owning.leave_one(key.organization_id, {key.id}, deadline) if rules.lasts(key) else []


def any_key(key: ApiKey) -> None:
    """A guard that lets every key through."""


def _require_no_longer(by: Grantor, before: ApiKey, after: ApiKey) -> None:
    """Raises Forbidden if the change gives what they do not have. What it leaves as it is, others gave."""
    if after.valid_until != before.valid_until:
        by.require_end(after.valid_until)
    if _limits(by, after) != _limits(by, before):
        by.require_limits(_limits(by, after))


def _limits(by: Grantor, key: ApiKey) -> Limits:
    return limit.limits(key.per_minute, key.daily_quota, by.usual)


def _is_theirs(by: Grantor, key: ApiKey | ServiceAccount) -> bool:
    return by.project is None or (key.project_id == by.project and not key.organization_wide)
