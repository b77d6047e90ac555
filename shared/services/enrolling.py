"""Enrolling people: the first owner of a deployment, those who were invited, and where it is open, everybody.

User, address, membership and whatever else makes them one of us are stored together or not at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain import invitation as invitations
from shared.domain import user as rules
from shared.domain.act import Act
from shared.domain.api_key import ApiKey
from shared.domain.invitation import Invitation
from shared.domain.member import Member, member_id, roles_in
from shared.domain.organization import DEFAULT_ORGANIZATION, Organization
from shared.domain.password import require_good
from shared.domain.project import Project
from shared.domain.role import BuiltIn, Permission
from shared.domain.token import TokenKind, read_token
from shared.domain.user import PREFIX, Applicant, User
from shared.errors import Conflict, Forbidden, Invalid, NotFound
from shared.services import hashing
from shared.services.granting import Granting
from shared.store.api_keys import ApiKeyStore
from shared.store.invitations import InvitationStore
from shared.store.members import MemberStore
from shared.store.organizations import OrganizationStore
from shared.store.projects import ProjectStore
from shared.store.table import Change
from shared.store.users import UserStore, require_free

OWNED = "This deployment has an owner already. Ask for an invitation."


@dataclass(frozen=True)
class Enrolling:
    users: UserStore
    members: MemberStore
    invitations: InvitationStore
    organizations: OrganizationStore
    projects: ProjectStore
    keys: ApiKeyStore
    granting: Granting
    new_id: Callable[[str], str]
    now: Callable[[], datetime]
    address: str | None = None
    correlation_id: str | None = None
    """Of the request that they come with: `replace(enrolling, address=…)`."""

    def first_owner(self, applicant: Applicant) -> User:
        """The owner of the deployment's first organization: of those who try, one.

        Raises:
            Invalid: the password; Conflict: there is an owner, or the address is taken.
        """
        if self.users.has_first_owner():
            raise Conflict(OWNED)
        user = self._user(applicant)
        member = _owner(user, DEFAULT_ORGANIZATION)
        try:
            return self._add(user, member, [self.users.first_owner(user)])
        except Conflict as error:
            require_free(self.users, user.email)
            raise Conflict(OWNED) from error

    def invited(self, applicant: Applicant, token: str) -> User:
        """Somebody who shows the token that was mailed to their address, which proves that it is theirs.

        Raises:
            Invalid: the token or the password; Conflict: the address is taken, or the invitation was just used.
        """
        invitation = self._invitation(token, applicant.email)
        user = rules.verified(self._user(applicant), self.now())
        member = invitations.membership(invitation, user.id, user.created_at)
        return self._add(user, member, [self._used(invitation)])

    def everybody(self, applicant: Applicant, *, awaits_proof: bool = False) -> User:
        """Somebody who comes by themselves, and gets an organization and a project of their own. If it `awaits_proof`,
        they log in once they have proven that the address is theirs.

        Raises:
            Invalid: the password; Conflict: the address is taken.
        """
        user = self._user(applicant).model_copy(update={"awaits_proof": awaits_proof})
        organization = Organization(
            id=self.new_id("org"), name=user.name, created_by=user.id, created_at=user.created_at
        )
        project = Project(
            project_id=self.new_id("prj"),
            organization_id=organization.id,
            name="Default",
            created_at=user.created_at,
        )
        made = [self.organizations.change(None, organization), self.projects.change(None, project)]
        said = [
            *self.organizations.entry(self._act("organization.created", user.id, organization.id), None, organization),
            *self.projects.entry(self._act("project.created", user.id, organization.id), None, project),
        ]
        return self._add(user, _owner(user, organization.id), [*made, *said])

    def join(self, user: User, token: str) -> Member:
        """Make `user` a member of what they were invited to.

        Raises:
            Invalid: the token is not valid, or not for their address.
            Conflict: they are a member already, or something changed meanwhile.
        """
        invitation = self._invitation(token, user.email)
        member = invitations.membership(invitation, user.id, self.now())
        changes = self.members.changes(member.organization_id, None, member)
        after = rules.verified(rules.joined(user, member), self.now())
        self.users.save_with(user, after, [*changes, self._used(invitation), *self._joined(member)])
        return member

    def _invitation(self, text: str, email: str) -> Invitation:
        """The invitation of `email` that the token `text` opens.

        Whoever lost their own access, or the project, has not left a way in behind. Who loses it in the milliseconds
        until the membership is stored has: it is among the members then, for those who stay to see.

        Raises:
            Invalid: in the same words whatever is wrong.
        """
        token = read_token(TokenKind.invitation, text)
        invitation = self.invitations.by_ulid(token.ulid) if token else None
        if token is None or invitation is None or not invitations.is_good(invitation, token, email):
            raise _void()
        try:
            self._require_still_given(invitation)
        except (Forbidden, Invalid, NotFound) as error:
            raise _void() from error
        return invitation

    def _require_still_given(self, invitation: Invitation) -> None:
        """Could they who sent it send it now?

        Raises:
            NotFound: the project, or whoever sent it, is gone.
            Forbidden, Invalid: they may no longer; or there is no such role any more.
        """
        if invitation.project_id is not None:
            self.projects.get(invitation.organization_id, invitation.project_id)
        theirs = self.granting.permissions(invitation.organization_id, self._roles_of_sender(invitation))
        if Permission.members_write not in theirs:
            raise Forbidden("Whoever sent it may no longer invite.")
        self.granting.require_grantable(invitation.organization_id, invitation.role, theirs)

    def _roles_of_sender(self, invitation: Invitation) -> Sequence[str]:
        """The roles that count where the invitation leads. Raises NotFound."""
        sender, organization, project = invitation.created_by, invitation.organization_id, invitation.project_id
        if not sender.startswith(f"{PREFIX}_"):
            key = self.granting.acting(self.keys.get(organization, sender), consistent=True)
            return [key.role] if key is not None and self._reaches(key, project) else []
        if self.users.get(sender).disabled_at is not None:
            return []
        places = [(organization, member_id(sender, where)) for where in {None, project}]
        return roles_in(self.members.readable(places, consistent=True), organization, project)

    def _reaches(self, key: ApiKey, project: str | None) -> bool:
        """Does `key` still work, and open `project`; or, for None, all of them?"""
        is_over = key.valid_until is not None and key.valid_until <= self.now()
        return not is_over and (key.organization_wide or key.project_id == project)

    def _user(self, applicant: Applicant) -> User:
        require_good(applicant.password, applicant.email, applicant.email.partition("@")[0], applicant.name)
        require_free(self.users, applicant.email)
        return User(
            id=self.new_id(PREFIX),
            email=applicant.email,
            name=applicant.name,
            password_hash=hashing.hashed(applicant.password),
            created_at=self.now(),
        )

    def _add(self, user: User, member: Member, others: Sequence[Change]) -> User:
        changes = self.members.changes(member.organization_id, None, member)
        return self.users.add(rules.joined(user, member), [*changes, *others, *self._joined(member)])

    def _joined(self, member: Member) -> Sequence[Change]:
        """What the audit log says of it."""
        act = self._act("member.joined", member.user_id, member.organization_id)
        return self.members.entry(act, None, member)

    def _act(self, action: str, user_id: str, organization: str) -> Act:
        return Act(action, user_id, organization, self.now(), self.address, self.correlation_id)

    def _used(self, invitation: Invitation) -> Change:
        return self.invitations.change(invitation, invitations.accept(invitation, self.now()))


def _void() -> Invalid:
    return Invalid("The invitation is over, was used, or is not for this address.", "/invitation")


def _owner(user: User, organization: str) -> Member:
    return Member(
        organization_id=organization,
        user_id=user.id,
        role=BuiltIn.owner,
        created_by=user.id,
        created_at=user.created_at,
    )
