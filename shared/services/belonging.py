"""Belonging to an organization: inviting people into it, and what becomes of those who are in.

Nobody gives or takes what is more than their own, and nobody takes an organization its last owner.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.domain import invitation as invitations
from shared.domain import letter as letters
from shared.domain import user as users
from shared.domain.invitation import Invitation, Wanted
from shared.domain.member import Member, member_id
from shared.domain.organization import Organization
from shared.domain.role import BuiltIn
from shared.domain.token import TokenKind, hashed, written
from shared.domain.user import User
from shared.errors import Conflict, NotFound
from shared.mail import Mail
from shared.services.granting import Granting, Grantor
from shared.store.invitations import InvitationStore
from shared.store.members import MemberStore
from shared.store.organizations import OrganizationStore
from shared.store.projects import ProjectStore
from shared.store.records import Slice
from shared.store.users import UserStore

Guard = Callable[[Member], None]
"""Raises when the member is not the one that the caller wants to change."""


@dataclass(frozen=True)
class Belonging:
    members: MemberStore
    invitations: InvitationStore
    users: UserStore
    organizations: OrganizationStore
    projects: ProjectStore
    granting: Granting
    mail: Mail
    count_letter: Callable[[str], None]
    """Raises RateLimited where somebody gets too many letters, whoever has them sent."""
    deployment: str
    new_secret: Callable[[], str]
    now: Callable[[], datetime]

    def invite(self, by: Grantor, wanted: Wanted) -> Invitation:
        """Store an invitation and mail its token. One that was stored and not mailed gets another token.

        Raises:
            NotFound: they have no such project; Invalid: no such role; Forbidden: it is more than their own.
            Conflict: there is no mail here, or whoever founded the organization has not proven their own address.
            RateLimited: that address gets too many letters.
            Unavailable: the mail could not be sent; the invitation waits for the next attempt.
        """
        self._require_place(by, wanted.project, "An invitation to the whole organization")
        self.granting.require_grantable(by.organization, wanted.role, by.permissions)
        self.mail.require()
        name = self._accountable(by.organization).name
        self.count_letter(wanted.email)
        secret = self.new_secret()
        stored = self._store(by, wanted, hashed(secret))
        token = written(TokenKind.invitation, stored.id, secret)
        self.mail.send(letters.invitation(stored.email, token, name, self.deployment))
        return self.invitations.save(stored, stored.model_copy(update={"sent_at": self.now()}))

    def sent(self, by: Grantor, id: str) -> Invitation | None:
        """The invitation `id` if it was mailed. Raises Conflict: it was taken back, and is not sent again."""
        with suppress(NotFound):
            found = self.invitations.get(by.organization, id)
            return found if found.sent_at is not None else None
        if self.invitations.was_stored(by.organization, id):
            raise Conflict("This request was done, and the invitation was taken back since. Take a new key.")
        return None

    def invited(self, by: Grantor, *, limit: int, after: str | None) -> Slice[Invitation]:
        """Those that wait for an answer, the newest first."""
        return self.invitations.list(
            by.organization,
            limit=limit,
            after=after,
            admits=lambda each: each.accepted_at is None and by.project in (None, each.project_id),
        )

    def uninvite(self, by: Grantor, id: str) -> None:
        """Raises NotFound; Forbidden: it gives more than their own; Conflict: it is being accepted."""
        invitation = self.invitations.get(by.organization, id)
        if by.project not in (None, invitation.project_id):
            raise NotFound(self.invitations.noun, id, self.invitations.where)
        self.granting.require_no_more(by.organization, invitation.role, by.permissions)
        self.invitations.delete(invitation, by.does("invitation.deleted"))

    def list(self, by: Grantor, *, limit: int, after: str | None) -> Slice[tuple[Member, User | None]]:
        """The members that they have to do with, with who they are."""
        admits = None if by.project is None else (lambda member: member.project_id == by.project)
        found = self.members.list(by.organization, limit=limit, after=after, admits=admits)
        people = self.users.get_many([member.user_id for member in found.items])
        return Slice([(member, people.get(member.user_id)) for member in found.items], found.next)

    def get(self, by: Grantor, user_id: str, project: str | None) -> Member:
        """Raises NotFound where they have to do with no such member."""
        id = member_id(user_id, project)
        if by.project not in (None, project):
            raise NotFound(self.members.noun, user_id, self.members.where)
        return self.members.get(by.organization, id)

    def change(self, by: Grantor, user_id: str, project: str | None, role: str, guard: Guard) -> Member:
        """Give a member another role.

        Raises:
            whatever `guard` raises; NotFound; Invalid: no such role; Forbidden: one of the two is more than their own.
            Conflict: it is the last owner, or somebody else changes it at the same time.
        """
        before = self._theirs(by, user_id, project)
        guard(before)
        self.granting.require_grantable(by.organization, role, by.permissions)
        after = before.model_copy(update={"role": role, "role_by": None})
        entry = self.members.entry(by.does("member.updated"), before, after)
        self.members.save_all([*self.members.changes(by.organization, before, after), *entry])
        return after

    def remove(self, by: Grantor, user_id: str, project: str | None, guard: Guard) -> None:
        """End a membership. An owner becomes a viewer first, since that is a matter of all the owners.

        Raises:
            NotFound; Forbidden: they may do more than oneself; Conflict, as `change`.
        """
        before = self.require_removable(by, user_id, project, guard)
        if before.is_owner:
            lowered = _lowered(before)
            entry = self.members.entry(by.does("member.updated"), before, lowered)
            self.members.save_all([*self.members.changes(by.organization, before, lowered), *entry])
            before = self.members.get(by.organization, before.id)
        self.members.delete(before, by.does("member.removed"))
        self._forget_place(before)

    def require_removable(self, by: Grantor, user_id: str, project: str | None, guard: Guard) -> Member:
        """The member, whom nothing keeps from being removed. Raises what `remove` does."""
        member = self._theirs(by, user_id, project)
        guard(member)
        if member.is_owner:
            self.members.changes(by.organization, member, _lowered(member))
        return member

    def _theirs(self, by: Grantor, user_id: str, project: str | None) -> Member:
        member = self.get(by, user_id, project)
        self.granting.require_no_more(by.organization, member.role, by.permissions)
        return member

    def _store(self, by: Grantor, wanted: Wanted, hash: str) -> Invitation:
        known = self._known(by, wanted.id)
        if known is not None:
            return self.invitations.save(known, known.model_copy(update={"hash": hash}))
        invitation = Invitation(
            id=wanted.id,
            organization_id=by.organization,
            project_id=wanted.project,
            email=wanted.email,
            role=wanted.role,
            hash=hash,
            created_by=by.id,
            created_at=wanted.at,
            expires_at=invitations.ends_at(wanted.at),
        )
        return self.invitations.save(None, invitation, by.does("invitation.created"))

    def _accountable(self, id: str) -> Organization:
        """The organization, if somebody stands for it: nobody makes up an address, and writes to the world from there.

        The first organization is the deployment's; all others who are in one came by an invitation, which proves their
        address. So it is up to whoever founded it by themselves, whoever of its people and keys invites.

        Raises:
            Conflict: they have not proven their address.
        """
        organization = self.organizations.get(id)
        founder = self.users.get_many([organization.created_by]).get(organization.created_by)
        if founder is not None and founder.email_verified_at is None:
            raise Conflict(
                "Whoever founded this organization has to prove their e-mail address before anybody is invited: "
                "by the token in the letter, or another one (POST /auth/verification)."
            )
        return organization

    def _known(self, by: Grantor, id: str) -> Invitation | None:
        with suppress(NotFound):
            return self.invitations.get(by.organization, id)
        return None

    def _require_place(self, by: Grantor, project: str | None, what: str) -> None:
        if project is None:
            by.require_organization_wide(what)
        elif by.project not in (None, project):
            raise NotFound(self.projects.noun, project, self.projects.where)
        else:
            self.projects.get(by.organization, project)

    def _forget_place(self, member: Member) -> None:
        """Tidying: a place where there is no member gives nobody anything."""
        with suppress(Conflict, NotFound):
            user = self.users.get(member.user_id)
            self.users.save(user, users.left(user, member))


def _lowered(owner: Member) -> Member:
    """Owners become viewers before they go: who the owners are is stored in one place."""
    return owner.model_copy(update={"role": BuiltIn.viewer})
