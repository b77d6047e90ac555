"""Granting: what roles come to, and that nobody hands out more than their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain import role as rules
from shared.domain.limit import Limits
from shared.domain.role import BuiltIn, Grant, Permission
from shared.errors import Forbidden, Invalid, NotFound
from shared.store.roles import RoleStore

if TYPE_CHECKING:
    from shared.domain.act import Act
    from shared.domain.api_key import ApiKey
    from shared.domain.service_account import ServiceAccount
    from shared.services.versioning import Author
    from shared.store.service_accounts import ServiceAccountStore

NAMES = frozenset(BuiltIn)
NO_LIMITS = Limits()


@dataclass(frozen=True)
class Grantor:
    """Somebody who gives access to others: who they are, what they may do themselves, and where."""

    id: str
    organization: str
    project: str | None
    """The only one they have to do with; None: all of the organization."""
    permissions: frozenset[Permission]
    author: "Author | None" = None
    limits: Limits = NO_LIMITS
    """How many requests they may make themselves."""
    valid_until: datetime | None = None
    """When their own access ends."""
    usual: Limits = NO_LIMITS
    """What a key has that says nothing of its own."""

    def does(self, action: str, **detail: str | int) -> "Act | None":
        """What the store is told along with the change, for the audit log: `by.does("role.created")`."""
        return self.author.does(action, **detail) if self.author else None

    def require_organization_wide(self, what: str) -> None:
        """Raises Forbidden."""
        if self.project is not None:
            raise Forbidden(f"{what} belongs to the organization as a whole: this needs an organization-wide key.")

    def require_end(self, until: datetime | None) -> None:
        """May they give access that ends at `until`? Raises Forbidden: theirs ends before."""
        mine = self.valid_until
        if mine is not None and (until is None or until > mine):
            raise Forbidden(f"Your own access ends at {mine:%Y-%m-%dT%H:%M:%SZ}: give a valid_until that is no later.")

    def require_limits(self, given: Limits) -> None:
        """May they give access with these limits? Raises Forbidden: theirs are lower."""
        for name, mine, other in zip(("per_minute", "daily_quota"), self.limits, given, strict=True):
            if mine is not None and (other is None or other > mine):
                raise Forbidden(f"You have {mine} requests yourself: give {name}, no more than that, and not 0.")


@dataclass(frozen=True)
class Granting:
    roles: RoleStore
    accounts: "Callable[[], ServiceAccountStore]"
    """Made when the first key comes that acts for one."""

    def acting(self, key: "ApiKey", *, consistent: bool = False) -> "ApiKey | None":
        """`key` as what it may do: with the role and the place of its service account, if it acts for one. None where
        that is disabled or gone. It is looked up as it is now if `consistent`, else as it was a moment ago.
        """
        if key.service_account_id is None:
            return key
        from shared.domain import service_account as rules  # what only keys of such accounts need

        account = self.accounts_of([key], consistent=consistent).get(key.service_account_id)
        return rules.acting(key, account) if account is not None and rules.is_good(account) else None

    def accounts_of(self, keys: "Sequence[ApiKey]", *, consistent: bool = False) -> "dict[str, ServiceAccount]":
        """The service accounts that `keys` act for, by id: those that exist. One request, or none."""
        wanted = {(key.organization_id, key.service_account_id) for key in keys if key.service_account_id}
        if not wanted:
            return {}
        return {account.id: account for account in self.accounts().readable(sorted(wanted), consistent=consistent)}

    def permissions(self, organization: str, roles: Sequence[str]) -> frozenset[Permission]:
        """What all of `roles` allow together. One that was deleted allows nothing."""
        return rules.permissions([self._grant(organization, role) for role in roles])

    def denied(self, organization: str, roles: Sequence[str]) -> frozenset[Permission]:
        """What any of `roles` denies."""
        return frozenset[Permission]().union(*(self._grant(organization, role).deny for role in roles))

    def require_grantable(self, organization: str, role: str, mine: frozenset[Permission]) -> None:
        """May somebody who has the permissions `mine` give `role` away?

        Raises:
            Invalid: there is no such role.
            Forbidden: it may do what they may not, or denies it.
        """
        try:
            grant = self._read(organization, role)
        except NotFound as error:
            raise Invalid(
                f"There is no role {role!r}: {', '.join(BuiltIn)}, or one of the organization's.", "/role"
            ) from error
        if missing := rules.missing(grant, mine):
            raise Forbidden(f"You cannot give {role}: it is about {', '.join(missing)}, which you do not have.")

    def require_no_more(self, organization: str, role: str, mine: frozenset[Permission]) -> None:
        """May somebody who has the permissions `mine` lay hands on what has `role`? A deleted one allows nothing.

        Raises:
            Forbidden: it may do what they may not, or denies it.
        """
        if missing := rules.missing(self._grant(organization, role), mine):
            raise Forbidden(f"It is about {', '.join(missing)}, which you do not have.")

    def _grant(self, organization: str, role: str) -> Grant:
        try:
            return self._read(organization, role)
        except NotFound:
            return rules.NOTHING

    def _read(self, organization: str, role: str) -> Grant:
        if role in NAMES:
            return rules.built_in(BuiltIn(role))
        return rules.custom(self.roles.get(organization, role))
