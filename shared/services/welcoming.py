"""Welcoming people for whom an identity provider vouches: who they are here, and what its organization makes of them.

What it says of an address proves nothing to us. So whoever has an account already is let in as themselves only where
they are a member anyway, by a session that opens that organization and nothing else; and the first time only if the
provider has verified their address, and means nobody else by them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain import identity_provider as rules
from shared.domain import user as users
from shared.domain.act import Act
from shared.domain.identity_provider import Identity, IdentityProvider, Vouched
from shared.domain.member import Member
from shared.domain.user import PREFIX, User
from shared.errors import Conflict, Forbidden, Invalid, NotSignedIn, Unavailable
from shared.services import hashing
from shared.services.granting import Granting
from shared.store.identity_providers import IdentityStore
from shared.store.members import MemberStore
from shared.store.table import Change
from shared.store.users import UserStore

ROUNDS = 5
NO_GROUP = "None of your groups at the identity provider opens this organization."
NO_ADDRESS = "The identity provider does not say your e-mail address: its scopes may lack `email`."
NO_ROLE = "The role that the identity provider gives you cannot be given. Tell an owner of the organization."
TAKEN = "There is an account with your e-mail address. Log in to it, and ask for an invitation to this organization."
UNVERIFIED = "There is an account with your e-mail address, and the identity provider does not say that it verified it."
ANOTHER = "Somebody else came in by this identity provider with your e-mail address. Tell an owner of the organization."
REMOVED = "You are no longer a member of this organization. Ask for an invitation."
BARRED = "The account is switched off."


@dataclass(frozen=True)
class Welcoming:
    users: UserStore
    members: MemberStore
    identities: IdentityStore
    granting: Granting
    new_id: Callable[[str], str]
    new_secret: Callable[[], str]
    now: Callable[[], datetime]
    address: str | None = None
    correlation_id: str | None = None
    """Of the request that they come with: `replace(welcoming, address=…)`."""

    def admit(self, provider: IdentityProvider, person: Vouched) -> User:
        """Who `person` is here, with the role that their groups have.

        Raises:
            Forbidden: their groups or their address open nothing, or they were removed; NotSignedIn: they are barred.
            Conflict: their address is that of an account which is no member, or is not known to be theirs, or the
                provider means that account by another subject.
            Unavailable: time and again somebody else was faster.
        """
        rules.require_domain(provider, person.email)
        mapped = rules.mapped_role(provider.mapping, person.groups)
        self._require_given(provider, mapped or provider.default_role)
        for _ in range(ROUNDS):
            user, is_new_to_it = self._find(provider, person)
            try:
                if user is None:
                    return self._enrol(provider, person, mapped)
                return self._welcome(provider, user, mapped, person if is_new_to_it else None)
            except Conflict:
                continue
        raise Unavailable("The account keeps changing. Try again.")

    def _require_given(self, provider: IdentityProvider, role: str | None) -> None:
        """Raises Forbidden: it is none, is gone, or may by now do more than who set the provider up."""
        if role is None:
            raise Forbidden(NO_GROUP)
        try:
            self.granting.require_grantable(provider.organization_id, role, provider.permits)
        except (Invalid, Forbidden) as error:
            raise Forbidden(NO_ROLE) from error

    def _find(self, provider: IdentityProvider, person: Vouched) -> tuple[User | None, bool]:
        """Who they are; and whether the provider vouches for them for the first time.

        Raises:
            Forbidden, NotSignedIn, Conflict: see `admit`.
        """
        identity = self.identities.find(provider.id, person.subject)
        user = self.users.get(identity.user_id) if identity else self._by_address(provider, person)
        if identity is not None and user is not None and not self._memberships(provider, user):
            raise Forbidden(REMOVED)
        if user is not None and user.disabled_at is not None:
            raise NotSignedIn(BARRED)
        return user, identity is None

    def _by_address(self, provider: IdentityProvider, person: Vouched) -> User | None:
        """Whose account a subject that is new to us may have from now on; None: their address is nobody's.

        Raises:
            Forbidden, Conflict: see `admit`.
        """
        if person.email is None:
            raise Forbidden(NO_ADDRESS)
        user = self.users.by_email(person.email)
        if user is None:
            return None
        if not self._memberships(provider, user):
            raise Conflict(TAKEN)
        if not person.is_verified:
            raise Conflict(UNVERIFIED)
        if self.identities.of_user(provider.id, user.id) is not None:
            raise Conflict(ANOTHER)
        return user

    def _enrol(self, provider: IdentityProvider, person: Vouched, mapped: str | None) -> User:
        """Somebody new. No password opens the account, though one can be tried, until they set one by a letter."""
        assert person.email is not None  # see `_find`
        user = User(
            id=self.new_id(PREFIX),
            email=person.email,
            name=person.name,
            password_hash=hashing.hashed(self.new_secret()),
            created_at=self.now(),
        )
        member = self._member(provider, user, str(mapped or provider.default_role))
        stored = [*self._stored(provider, None, member), *self._claim(provider, person, user)]
        return self.users.add(users.joined(user, member), stored)

    def _welcome(self, provider: IdentityProvider, user: User, mapped: str | None, new: Vouched | None) -> User:
        """Somebody who is here already; `new` is what the provider says of them for the first time."""
        changes = [*(self._claim(provider, new, user) if new else []), *self._given(provider, user, mapped)]
        if changes:
            self.members.save_all(changes)
        return user

    def _given(self, provider: IdentityProvider, user: User, mapped: str | None) -> Sequence[Change]:
        """What it takes for them to have the role that is due. One given by hand, the mapping alone changes."""
        own = next((each for each in self._memberships(provider, user) if each.project_id is None), None)
        if own is None and mapped is not None:  # so far, they are in one project or another
            member = self._member(provider, user, mapped)
            return [self.users.change(user, users.joined(user, member)), *self._stored(provider, None, member)]
        due = mapped or (provider.default_role if own is not None and own.role_by == provider.id else None)
        if own is None or due in (None, own.role) or not self._may_take(provider, own):
            return []
        return self._stored(provider, own, own.model_copy(update={"role": due, "role_by": provider.id}))

    def _stored(self, provider: IdentityProvider, before: Member | None, after: Member) -> Sequence[Change]:
        """The change and what the audit log says of it; nothing where it would take the organization its last owner."""
        act = self._act(provider, "member.updated" if before else "member.joined")
        try:
            changes = self.members.changes(after.organization_id, before, after)
        except Conflict:
            return []
        return [*changes, *self.members.entry(act, before, after)]

    def _may_take(self, provider: IdentityProvider, member: Member) -> bool:
        """Could whoever set the provider up take this role away?"""
        try:
            self.granting.require_no_more(provider.organization_id, member.role, provider.permits)
        except Forbidden:
            return False
        return True

    def _claim(self, provider: IdentityProvider, person: Vouched, user: User) -> Sequence[Change]:
        identity = Identity(
            provider_id=provider.id,
            subject=person.subject,
            organization_id=provider.organization_id,
            user_id=user.id,
            created_at=self.now(),
        )
        return self.identities.claim(identity, self._act(provider, "identity.linked", user=user.id))

    def _member(self, provider: IdentityProvider, user: User, role: str) -> Member:
        return Member(
            organization_id=provider.organization_id,
            user_id=user.id,
            role=role,
            created_by=provider.id,
            created_at=self.now(),
            role_by=provider.id,
        )

    def _memberships(self, provider: IdentityProvider, user: User) -> list[Member]:
        """Theirs in the provider's organization, as they are now."""
        found = self.members.of(user, consistent=True)
        return [member for member in found if member.organization_id == provider.organization_id]

    def _act(self, provider: IdentityProvider, action: str, **detail: str) -> Act:
        said: dict[str, str | int] = {**detail}
        who, where = provider.id, provider.organization_id
        return Act(action, who, where, self.now(), self.address, self.correlation_id, said or None)
