"""Issuing API keys: making, changing, rotating and revoking them; nobody makes or takes a key that may do more than
their own, and whoever has one project has to do with the keys of that project alone.

What becomes of a key is told to it within a minute: so long does whoever has just let it in remember it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain import api_key as rules
from shared.domain import limit
from shared.domain.api_key import FIRST_KEY, ApiKey, PresentedKey
from shared.domain.limit import Limits
from shared.errors import Conflict, Invalid, NotFound, Unavailable
from shared.services.deadline import Deadline
from shared.services.granting import Granting, Grantor
from shared.store.api_keys import ApiKeyStore
from shared.store.projects import ProjectStore
from shared.store.records import Slice

ROUNDS = 5  # how often a change is tried again after somebody else was faster
PAGE = 100

Guard = Callable[[ApiKey], None]
"""Raises when the key is not the one that the caller wants to change."""


@dataclass(frozen=True)
class Issuing:
    keys: ApiKeyStore
    projects: ProjectStore
    granting: Granting
    now: Callable[[], datetime]

    def issue(self, by: Grantor, key: ApiKey) -> ApiKey:
        """Store `key`, a new one.

        Raises:
            NotFound: they have no such project.
            Invalid: there is no such role, or it would be over already.
            Forbidden: it would open more, or may do more, than their own.
        """
        if key.organization_wide:
            by.require_organization_wide("A key that opens every project")
        self._require_project(by, key.project_id)
        self._require_future(key.valid_until)
        self.granting.require_grantable(by.organization, key.role, by.permissions)
        by.require_end(key.valid_until)
        by.require_limits(_limits(by, key))
        return self.keys.save(None, key, by.does("key.created"))

    def get(self, by: Grantor, id: str) -> ApiKey:
        """Raises NotFound where they have no such key."""
        key = self.keys.get(by.organization, id)
        if not _is_theirs(by, key):
            raise NotFound(self.keys.noun, id, self.keys.where)
        return key

    def list(self, by: Grantor, project: str | None, *, limit: int, after: str | None) -> Slice[ApiKey]:
        """The keys they have to do with, newest first; only those of `project`, if one is named."""

        def admits(key: ApiKey) -> bool:
            return _is_theirs(by, key) and project in (None, key.project_id)

        everything = by.project is None and project is None
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

        def step(current: ApiKey) -> ApiKey:
            guard(current)
            if not rules.is_open(current, self.now()):
                raise Conflict("It was ended.")
            after = current.model_copy(update=fields)
            _require_no_longer(by, current, after)
            if not rules.lasts(after):
                self._require_another(current, deadline)
            return after

        return self._save(by, "key.updated", id, step)

    def rotate(self, by: Grantor, id: str, secret: str, overlap: timedelta) -> ApiKey:
        """The key with another secret; the old one works for `overlap` more.

        Raises:
            NotFound; Forbidden: it may do more than theirs, or has more requests or a later end than they.
            Conflict: it is being rotated already, or its secret is not ours to change.
        """
        hash, now = PresentedKey(id, secret).hash, self.now()

        def step(current: ApiKey) -> ApiKey:
            if current.id == FIRST_KEY:
                raise Conflict("The first key's secret is the deployment's: change it in Secrets Manager.")
            by.require_end(current.valid_until)  # who knows the new secret has what it has
            by.require_limits(_limits(by, current))
            return rules.rotate(current, hash, now, overlap)

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
            self._require_another(current, deadline)
            try:
                return self._remove(by, current)
            except Conflict:
                continue
        raise Unavailable("The API key keeps changing. Try again.")

    def _own(self, by: Grantor, id: str) -> ApiKey:
        """The key, if it may do no more than theirs."""
        key = self.get(by, id)
        self.granting.require_no_more(by.organization, key.role, by.permissions)
        return key

    def _save(self, by: Grantor, action: str, id: str, step: Callable[[ApiKey], ApiKey]) -> ApiKey:
        for _ in range(ROUNDS):
            current = self._own(by, id)
            after = step(current)
            try:
                return self.keys.save(current, after, by.does(action))
            except Conflict:
                continue  # somebody was faster: look at what it is now
        raise Unavailable("The API key keeps changing. Try again.")

    def _remove(self, by: Grantor, key: ApiKey) -> None:
        act = by.does("key.revoked")
        if key.id == FIRST_KEY:
            self.keys.save(key, rules.end(key, self.now()), act)
        else:
            self.keys.delete(key, act)

    def _require_project(self, by: Grantor, id: str) -> None:
        if by.project not in (None, id):
            raise NotFound(self.projects.noun, id, self.projects.where)
        self.projects.get(by.organization, id)

    def _require_future(self, until: datetime | None) -> None:
        if until is not None and until <= self.now():
            raise Invalid("It has to lie in the future. To end a key now, revoke it.", "/valid_until")

    def _require_another(self, key: ApiKey, deadline: Deadline) -> None:
        """Raises Conflict if nobody else could open everything for good."""
        if not rules.lasts(key):
            return
        keys = deadline.all_of(lambda after: self.keys.list(key.organization_id, limit=PAGE, after=after))
        if not any(rules.lasts(other) for other in keys if other.id != key.id):
            raise Conflict(
                "It is the last key without an end that owns the whole organization: make another first. "
                "If its secret is known to somebody, rotate it."
            )


def _require_no_longer(by: Grantor, before: ApiKey, after: ApiKey) -> None:
    """Raises Forbidden if the change gives what they do not have. What it leaves as it is, others gave."""
    if after.valid_until != before.valid_until:
        by.require_end(after.valid_until)
    if _limits(by, after) != _limits(by, before):
        by.require_limits(_limits(by, after))


def _limits(by: Grantor, key: ApiKey) -> Limits:
    return limit.limits(key.per_minute, key.daily_quota, by.usual)


def _is_theirs(by: Grantor, key: ApiKey) -> bool:
    return by.project is None or (key.project_id == by.project and not key.organization_wide)
