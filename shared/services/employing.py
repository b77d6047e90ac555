"""Employing service accounts: making, changing, switching off and on, and removing them. Nobody makes, changes or
removes one that may do more than they, and whoever has one project has to do with the accounts of that project alone.

The keys of an account look it up when they are let in: what becomes of it is told to them within a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.service_account import ServiceAccount
from shared.errors import Conflict, NotFound, Unavailable
from shared.services.granting import Granting, Grantor
from shared.store.projects import ProjectStore
from shared.store.records import Slice
from shared.store.service_accounts import ServiceAccountStore

ROUNDS = 5

Guard = Callable[[ServiceAccount], None]
"""Raises when the account is not the one that the caller wants to change."""


@dataclass(frozen=True)
class Employing:
    accounts: ServiceAccountStore
    projects: ProjectStore
    granting: Granting

    def employ(self, by: Grantor, account: ServiceAccount) -> ServiceAccount:
        """Store `account`, a new one.

        Raises:
            NotFound: they have no such project; Invalid: there is no such role.
            Forbidden: it would open more, or may do more, than they.
        """
        if account.organization_wide:
            by.require_organization_wide("A service account that opens every project")
        if by.project not in (None, account.project_id):
            raise NotFound(self.projects.noun, account.project_id, self.projects.where)
        self.projects.get(by.organization, account.project_id)
        self.granting.require_grantable(by.organization, account.role, by.permissions)
        return self.accounts.save(None, account, by.does("service_account.created"))

    def get(self, by: Grantor, id: str) -> ServiceAccount:
        """Raises NotFound where they have to do with no such account."""
        account = self.accounts.get(by.organization, id)
        if not _is_theirs(by, account):
            raise NotFound(self.accounts.noun, id, self.accounts.where)
        return account

    def list(self, by: Grantor, *, limit: int, after: str | None) -> Slice[ServiceAccount]:
        """The accounts that they have to do with, newest first."""
        admits = None if by.project is None else (lambda account: _is_theirs(by, account))
        return self.accounts.list(by.organization, limit=limit, after=after, admits=admits)

    def change(self, by: Grantor, id: str, fields: dict[str, Any], guard: Guard) -> ServiceAccount:
        """The account with these `fields` changed.

        Raises:
            NotFound; Invalid, Forbidden, as `employ`; whatever `guard` raises.
        """
        if "role" in fields:
            self.granting.require_grantable(by.organization, fields["role"], by.permissions)
        return self._save(by, "service_account.updated", id, lambda now: now.model_copy(update=fields), guard)

    def disable(self, by: Grantor, id: str, at: datetime) -> ServiceAccount:
        """Shut all keys of the account. Once more changes nothing. Raises NotFound, Forbidden."""

        def shut(account: ServiceAccount) -> ServiceAccount:
            return account.model_copy(update={"disabled_at": account.disabled_at or at})

        return self._save(by, "service_account.disabled", id, shut)

    def enable(self, by: Grantor, id: str) -> ServiceAccount:
        """Let its keys in again. Raises NotFound, Forbidden."""
        return self._save(
            by, "service_account.enabled", id, lambda account: account.model_copy(update={"disabled_at": None})
        )

    def delete(self, by: Grantor, id: str, guard: Guard) -> None:
        """Remove the account. Its keys open nothing any more: they stay in the lists, ended, until they are revoked.

        Raises:
            NotFound; Forbidden; whatever `guard` raises.
        """
        for _ in range(ROUNDS):
            current = self._own(by, id)
            guard(current)
            try:
                return self.accounts.delete(current, by.does("service_account.deleted"))
            except Conflict:
                continue
        raise _busy()

    def _own(self, by: Grantor, id: str) -> ServiceAccount:
        """The account, if it may do no more than they."""
        account = self.get(by, id)
        self.granting.require_no_more(by.organization, account.role, by.permissions)
        return account

    def _save(
        self,
        by: Grantor,
        action: str,
        id: str,
        step: Callable[[ServiceAccount], ServiceAccount],
        guard: Guard | None = None,
    ) -> ServiceAccount:
        for _ in range(ROUNDS):
            current = self._own(by, id)
            if guard is not None:
                guard(current)
            after = step(current)
            try:
                return current if after == current else self.accounts.save(current, after, by.does(action))
            except Conflict:
                continue  # somebody was faster: look at what it is now
        raise _busy()


def _is_theirs(by: Grantor, account: ServiceAccount) -> bool:
    return by.project is None or (account.project_id == by.project and not account.organization_wide)


def _busy() -> Unavailable:
    return Unavailable("The service account keeps changing. Try again.")
