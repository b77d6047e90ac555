"""Trusting: the identity providers of an organization. Whoever sets one up decides who becomes what, so nobody lets one
give, or do, more than they could themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.domain import identity_provider as rules
from shared.domain.identity_provider import IdentityProvider
from shared.domain.outbound import AllowList
from shared.errors import Conflict, Forbidden, Invalid, Unavailable
from shared.secrets import Cipher
from shared.services.granting import Granting, Grantor
from shared.store.identity_providers import IdentityProviderStore
from shared.store.records import Slice

PURPOSE = "identity-providers"  # the other part of the encryption context of their secrets
ROUNDS = 5
WHAT = "An identity provider"

Guard = Callable[[IdentityProvider], None]


@dataclass(frozen=True)
class ProviderChange:
    """`fields` get new values; the client secret too, if `sets_secret`, where None takes it away."""

    fields: dict[str, Any] = field(default_factory=dict)
    sets_secret: bool = False
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Trusting:
    """`cipher` keeps the secrets that we show to providers, each for its organization."""

    providers: IdentityProviderStore
    granting: Granting
    cipher: Cipher
    allowed: AllowList

    def add(self, by: Grantor, provider: IdentityProvider, secret: str | None) -> IdentityProvider:
        """Store `provider`, a new one.

        Raises:
            Invalid: its issuer may not be called, or there is no such role; Forbidden: it would give too much.
        """
        by.require_organization_wide(WHAT)
        rules.require_callable(provider.issuer, self.allowed, "/issuer")
        self._require_grantable(by, provider)
        new = {"ceiling": rules.ceiling(by.permissions), "encrypted_secret": self._encrypted(by, secret)}
        return self.providers.save(None, provider.model_copy(update=new), by.does("identity_provider.created"))

    def get(self, by: Grantor, id: str) -> IdentityProvider:
        """Raises NotFound, Forbidden."""
        by.require_organization_wide(WHAT)
        return self.providers.get(by.organization, id)

    def list(self, by: Grantor, *, limit: int, after: str | None) -> Slice[IdentityProvider]:
        """The newest first. Raises Forbidden."""
        by.require_organization_wide(WHAT)
        return self.providers.list(by.organization, limit=limit, after=after)

    def change(self, by: Grantor, id: str, wanted: ProviderChange, guard: Guard) -> IdentityProvider:
        """The provider after `wanted`.

        Raises:
            NotFound; whatever `guard` raises; Invalid, Forbidden, as `add`.
        """
        update = {**wanted.fields, "updated_at": _now(by), "ceiling": rules.ceiling(by.permissions)}
        if wanted.sets_secret:
            update["encrypted_secret"] = self._encrypted(by, wanted.secret)
        for _ in range(ROUNDS):
            current = self._theirs(by, id, guard)
            after = current.model_copy(update=update)
            self._require_grantable(by, after)
            try:
                return self.providers.save(current, after, by.does("identity_provider.updated"))
            except Conflict:
                continue
        raise Unavailable("The identity provider keeps changing. Try again.")

    def remove(self, by: Grantor, id: str, guard: Guard) -> None:
        """Trust it no longer: the sessions that it opened are over within a minute. Its people stay members.

        Raises:
            NotFound, Forbidden; whatever `guard` raises.
        """
        for _ in range(ROUNDS):
            current = self._theirs(by, id, guard)
            try:
                return self.providers.delete(current, by.does("identity_provider.deleted"))
            except Conflict:
                continue
        raise Unavailable("The identity provider keeps changing. Try again.")

    def _theirs(self, by: Grantor, id: str, guard: Guard) -> IdentityProvider:
        """Raises Forbidden: somebody set it up who may do more."""
        current = self.get(by, id)
        guard(current)
        if missing := sorted(current.permits - by.permissions):
            raise Forbidden(f"It lets in people who may do {', '.join(missing)}, which you may not.")
        return current

    def _require_grantable(self, by: Grantor, provider: IdentityProvider) -> None:
        """Raises Invalid, Forbidden."""
        mapped = len(dict.fromkeys(each.role for each in provider.mapping))
        for index, role in enumerate(provider.roles):
            try:
                self.granting.require_grantable(by.organization, role, by.permissions)
            except Invalid as error:
                raise Invalid(error.detail, "/mapping" if index < mapped else "/default_role") from error

    def _encrypted(self, by: Grantor, secret: str | None) -> str | None:
        return None if secret is None else self.cipher.encrypt(by.organization, secret)


def _now(by: Grantor) -> Any:
    assert by.author is not None  # requests have one
    return by.author.now
