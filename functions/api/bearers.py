"""Who is calling: the person behind the access token in `Authorization`, looked up, remembered for a minute.

Nothing here is imported by requests that come with a key.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from functions.api import identity
from functions.api.auth import MAX_REMEMBERED, REMEMBERED_FOR, Caller
from shared import wiring
from shared.domain import session as rules
from shared.domain.limit import Limits
from shared.domain.member import Member, roles_in
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.project import DEFAULT_PROJECT, Project
from shared.domain.session import Session
from shared.domain.user import User
from shared.errors import Forbidden, Invalid, NotFound, NotSignedIn

if TYPE_CHECKING:
    from shared.domain.identity_provider import IdentityProvider

OVER = "The session is over. Log in again."
HEADER = "/header/X-Project-Id"
MAX_NAMED = 10
PAGE = 100


@dataclass(frozen=True)
class SignedIn:
    """A person, and the session that their access token belongs to."""

    user: User
    session: Session
    provider: "IdentityProvider | None" = None
    """Who vouches for them, where they did not log in by themselves: this counts in its organization alone."""

    def counts(self, member: Member) -> bool:
        """Is this membership open to them by this session?"""
        return self.provider is None or self.provider.organization_id == member.organization_id


@dataclass
class Bearers:
    """Lets people in. One per Lambda environment. `usual` are the limits of everybody."""

    usual: Limits
    _known: dict[tuple[str, str | None], tuple[datetime, Caller]] = field(default_factory=dict)

    def admit(self, text: str, project: str | None = None, *, fresh: bool = False) -> Caller:
        """The caller whose access token `text` is, and who means `project` if one is named; if `fresh`, as they are
        now, whatever is remembered.

        Raises:
            NotSignedIn: it is not valid, or its session was ended.
            Forbidden: they are no member of anything; NotFound: not of `project`.
            Invalid: they have to name a project.
        """
        known = self._known.get((_digest(text), project))
        if known is not None and known[0] > wiring.now() and not fresh:
            return known[1]
        ends = datetime.fromtimestamp(identity.signing().read(text).exp, UTC)
        caller = self._look_up(self.identify(text, consistent=fresh), project, fresh=fresh)
        self._remember(text, project, min(ends, wiring.now() + REMEMBERED_FOR), caller)
        return caller

    def remembers(self, text: str, project: str | None = None) -> bool:
        """Is `text` a token that was let in a moment ago? Looks nothing up."""
        known = self._known.get((_digest(text), project))
        return known is not None and known[0] > wiring.now()

    def identify(self, text: str, *, consistent: bool = True) -> SignedIn:
        """The person whose access token `text` is, wherever they are a member. Raises NotSignedIn."""
        claims = identity.signing().read(text)
        found = identity.sessions().with_user(claims.sid, claims.sub, consistent=consistent)
        if found is None or not rules.is_open(*found, wiring.now()):
            raise NotSignedIn(OVER)
        session, user = found
        return SignedIn(user, session, _provider(session, consistent=consistent))

    def _look_up(self, who: SignedIn, named: str | None, *, fresh: bool) -> Caller:
        members = [member for member in identity.members().of(who.user, consistent=fresh) if who.counts(member)]
        if not members:
            raise Forbidden("You are a member of no organization. Accept an invitation.")
        project = wiring.projects().by_id(named or _usual(members))
        roles = roles_in(members, project.organization_id, project.id)
        if not roles:
            raise NotFound("project", project.id, "organization")
        caller = self._caller(who.user, members, project, roles)
        most = caller.permissions if who.provider is None else who.provider.permits
        return replace(caller, permissions=caller.permissions & most)

    def _caller(self, user: User, members: Sequence[Member], project: Project, roles: list[str]) -> Caller:
        """Who may do more in this project than elsewhere acts for this project alone. So does who is denied anything in
        any of their projects: from another one they could get around it.
        """
        organization, granting = project.organization_id, identity.granting()
        permissions = granting.permissions(organization, roles)
        everywhere = roles_in(members, organization, None)
        is_wide = bool(everywhere) and permissions <= granting.permissions(organization, everywhere)
        all_roles = [member.role for member in members if member.organization_id == organization]
        is_wide = is_wide and not granting.denied(organization, all_roles)
        return Caller(
            user.id,
            organization,
            project,
            " and ".join(roles),
            permissions,
            organization_wide=is_wide,
            limits=self.usual,
        )

    def _remember(self, text: str, project: str | None, until: datetime, caller: Caller) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[_digest(text), project] = (until, caller)


def _provider(session: Session, *, consistent: bool) -> "IdentityProvider | None":
    """Who opened `session`, if it was an identity provider. Raises NotSignedIn: it is trusted no longer."""
    if session.provider_id is None:
        return None
    provider = identity.identity_providers().by_id(session.provider_id, consistent=consistent)
    if provider is None or not provider.enabled:
        raise NotSignedIn(OVER)
    return provider


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _usual(members: Sequence[Member]) -> str:
    """The project that is meant by somebody who names none. Raises Invalid: it could be any of several."""
    organizations = {member.organization_id for member in members}
    if len(organizations) == 1 and any(member.project_id is None for member in members):
        oldest = _oldest(organizations.pop())
        if oldest is not None:
            return oldest
    return _only(_projects(members))


def _oldest(organization: str) -> str | None:
    """The organization's first project: it does not become another one when more are founded."""
    if organization == DEFAULT_ORGANIZATION:
        return DEFAULT_PROJECT
    oldest, after = None, None
    while True:
        listed = wiring.projects().list(organization, limit=PAGE, after=after)
        oldest = listed.items[-1].id if listed.items else oldest
        after = listed.next
        if after is None:
            return oldest


def _projects(members: Sequence[Member]) -> list[str]:
    """Some of the projects that they may mean."""
    found = dict[str, None]()
    for member in members:
        if member.project_id is not None:
            found[member.project_id] = None
        elif member.organization_id == DEFAULT_ORGANIZATION:
            found[DEFAULT_PROJECT] = None
        else:
            listed = wiring.projects().list(member.organization_id, limit=MAX_NAMED)
            found |= dict.fromkeys(project.id for project in listed.items)
    return list(found)


def _only(projects: Sequence[str]) -> str:
    if len(projects) == 1:
        return projects[0]
    named = ", ".join(projects[:MAX_NAMED])
    raise Invalid(f"Name a project in the header X-Project-Id, such as {named}.", HEADER)
