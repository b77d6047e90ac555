"""Trusting: the identity providers of an organization. Whoever sets one up decides who becomes what, so nobody lets one
give, or do, more than they could themselves.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from shared.domain import identity_provider as rules
from shared.domain.act import Act
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
GIVING = frozenset({"mapping", "default_role"})  # the fields that name roles
OWNERS_ALONE = "trusts_addresses: who says this may do all that an owner may."

Guard = Callable[[IdentityProvider], None]


@dataclass(frozen=True)
class ProviderChange:
    """`fields` get new values; the client secret too, if `sets_secret`, where None takes it away.

    With `vouch`, whoever makes the change stands for the provider from now on: those it lets in may do what they may.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    vouch: bool = False
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
        new = {"ceiling": rules.ceiling(by.permissions), "encrypted_secret": self._encrypted(by, secret)}
        provider = provider.model_copy(update=new)
        self._require_grantable(by, provider, GIVING)
        _require_owners_word(by, provider.trusts_addresses)
        return self.providers.save(None, provider, by.does("identity_provider.created"))

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
        update = self._update(by, wanted)
        _require_owners_word(by, bool(update.get("trusts_addresses")))
        for _ in range(ROUNDS):
            current = self._theirs(by, id, guard)
            counted = {"secret_changes": current.secret_changes + wanted.sets_secret}
            after = current.model_copy(update=update | counted)
            self._require_grantable(by, after, GIVING if after.enabled and not current.enabled else {*update})
            try:
                return self.providers.save(current, after, _updated(by, wanted))
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

    def _require_grantable(self, by: Grantor, provider: IdentityProvider, named: Collection[str]) -> None:
        """What is in the fields `named` alone: who only switches it off need not know what it gave.

        Raises:
            Invalid: there is no such role; Forbidden: they could not give it, or the provider may not.
        """
        said = ((name, role) for name, roles in provider.roles.items() if name in named for role in roles)
        for name, role in said:
            try:
                self.granting.require_grantable(by.organization, role, by.permissions)
                self._require_within(provider, role)
            except Invalid as error:
                raise Invalid(error.detail, f"/{name}") from error
            except Forbidden as error:
                raise Forbidden(f"{name}: {error.detail}") from error

    def _require_within(self, provider: IdentityProvider, role: str) -> None:
        """Raises Forbidden: nobody would be let in with `role`."""
        try:
            self.granting.require_grantable(provider.organization_id, role, provider.permits)
        except Forbidden as error:
            beyond = f"{role} may do more than whoever stands for the provider. Stand for it yourself: `vouch`."
            raise Forbidden(beyond) from error

    def _update(self, by: Grantor, wanted: ProviderChange) -> dict[str, Any]:
        update = {**wanted.fields, "updated_at": _now(by)}
        if wanted.vouch:
            update["ceiling"] = rules.ceiling(by.permissions)
        if wanted.sets_secret:
            update["encrypted_secret"] = self._encrypted(by, wanted.secret)
        return update

    def _encrypted(self, by: Grantor, secret: str | None) -> str | None:
        return None if secret is None else self.cipher.encrypt(by.organization, secret)


def _require_owners_word(by: Grantor, trusts_addresses: bool) -> None:
    """Raises Forbidden: who believes a provider's addresses lets it say who is an owner."""
    if trusts_addresses and rules.ceiling(by.permissions) is not None:
        raise Forbidden(OWNERS_ALONE)


def _updated(by: Grantor, wanted: ProviderChange) -> Act | None:
    action = "identity_provider.updated"
    return by.does(action, vouch="true") if wanted.vouch else by.does(action)


def _now(by: Grantor) -> Any:
    assert by.author is not None  # requests have one
    return by.author.now
