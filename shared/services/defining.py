"""Defining roles: an organization's own ones. What they allow, nobody gives, changes or takes who may not do it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from shared.domain import role as rules
from shared.domain.role import BuiltIn, Role
from shared.errors import Conflict, Forbidden, InUse, Invalid, Unavailable
from shared.services.deadline import Deadline
from shared.services.granting import NAMES, Grantor
from shared.store.api_keys import ApiKeyStore
from shared.store.identity_providers import IdentityProviderStore
from shared.store.members import MemberStore
from shared.store.roles import RoleStore
from shared.store.service_accounts import ServiceAccountStore

ROUNDS = 5
PAGE = 100
MAX_NAMED = 20  # of those who have it, that a refused delete names

Guard = Callable[[Role], None]


@dataclass(frozen=True)
class Defining:
    roles: RoleStore
    keys: ApiKeyStore
    members: MemberStore
    accounts: ServiceAccountStore
    providers: IdentityProviderStore

    def define(self, by: Grantor, role: Role) -> Role:
        """Store `role`, a new one.

        Raises:
            Invalid: every organization has one of that name.
            Forbidden: it would allow what they may not do.
        """
        _require_hold(by, None, role)
        _require_name(role.name)
        return self.roles.save(None, role, by.does("role.created"))

    def change(self, by: Grantor, id: str, fields: dict[str, Any], guard: Guard) -> Role:
        """The role with these `fields` changed. It counts for whoever has it, within a minute.

        Raises:
            NotFound; Conflict: every organization has it; Invalid, Forbidden, as `define`; whatever `guard` raises.
        """
        _require_own(id)
        for _ in range(ROUNDS):
            current = self.roles.get(by.organization, id)
            guard(current)
            after = current.model_copy(update=fields)
            _require_hold(by, current, after)
            _require_name(after.name)
            try:
                return self.roles.save(current, after, by.does("role.updated"))
            except Conflict:
                continue
        raise Unavailable("The role keeps changing. Try again.")

    def delete(self, by: Grantor, id: str, guard: Guard, deadline: Deadline) -> None:
        """Remove a role. Who gets it at this very moment may do nothing by it.

        Raises:
            NotFound; Conflict, Forbidden, as `change`; whatever `guard` raises; OutOfTime.
            InUse: somebody has it.
        """
        _require_own(id)
        for _ in range(ROUNDS):
            current = self.roles.get(by.organization, id)
            guard(current)
            _require_hold(by, current, None)
            self._require_unused(current, deadline)
            try:
                return self.roles.delete(current, by.does("role.deleted"))
            except Conflict:
                continue
        raise Unavailable("The role keeps changing. Try again.")

    def _require_unused(self, role: Role, deadline: Deadline) -> None:
        if ids := list(islice(self._holders(role, deadline), MAX_NAMED)):
            whose = "keys, members, service accounts, identity providers"
            raise InUse(f"Role {role.id} is that of {whose}. Give them another one first.", ids)

    def _holders(self, role: Role, deadline: Deadline) -> Iterator[str]:
        """The ids of keys, people, service accounts and of providers that give it. No index leads from a role to them,
        so all of the organization's are read.
        """
        owner = role.organization_id
        keys = deadline.all_of(lambda after: self.keys.list(owner, limit=PAGE, after=after))
        yield from (key.id for key in keys if key.role == role.id)
        members = deadline.all_of(lambda after: self.members.list(owner, limit=PAGE, after=after))
        yield from (member.user_id for member in members if member.role == role.id)
        accounts = deadline.all_of(lambda after: self.accounts.list(owner, limit=PAGE, after=after))
        yield from (account.id for account in accounts if account.role == role.id)
        providers = deadline.all_of(lambda after: self.providers.list(owner, limit=PAGE, after=after))
        yield from (provider.id for provider in providers if provider.gives(role.id))


def _require_hold(by: Grantor, before: Role | None, after: Role | None) -> None:
    by.require_organization_wide("A role")
    if missing := sorted(rules.touched(before, after) - by.permissions):
        raise Forbidden(f"This is about {', '.join(missing)}, which you do not have.")


def _require_name(name: str) -> None:
    if name.strip().lower() in NAMES:
        raise Invalid(f"Every organization has a role {name}. Take another name.", "/name")


def _require_own(id: str) -> None:
    if id in NAMES:
        raise Conflict(f"Every organization has the role {BuiltIn(id)}: it stays as it is.")
