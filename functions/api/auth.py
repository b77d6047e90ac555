"""Who is calling: the key in `X-API-Key`, looked up, remembered for a minute.

The first key of a deployment is made by CloudFormation and kept by Secrets Manager; when it first comes by, it becomes
an API key like every other: the owner of the first organization.
"""

import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain import limit as rules
from shared.domain.act import SPARK, Act
from shared.domain.api_key import FIRST_KEY, ApiKey, PresentedKey, predates_roles, read_key, used
from shared.domain.limit import UNLIMITED, Limits
from shared.domain.organization import DEFAULT_ORGANIZATION, Organization
from shared.domain.project import DEFAULT_PROJECT, Project
from shared.domain.role import BuiltIn, Permission
from shared.errors import Conflict, Forbidden, NotFound, Unauthenticated, Unavailable
from shared.secrets import DeploymentSecret
from shared.services.granting import Granting
from shared.store.api_keys import ApiKeyStore
from shared.store.organizations import OrganizationStore
from shared.store.projects import ProjectStore

REMEMBERED_FOR = timedelta(seconds=60)  # so long may a deleted key still work, and a changed role be the old one
MAX_REMEMBERED = 1000
UNLIMITED_CALLER = Limits()


@dataclass(frozen=True)
class Caller:
    """Who opened the door and with which role, the project they mean, and the request that they came with."""

    id: str
    organization_id: str
    project: Project
    role: str
    permissions: frozenset[Permission]
    correlation_id: str = ""
    address: str = ""
    """Where the request came from, as API Gateway saw it."""
    organization_wide: bool = False
    """Do they open every project of the organization?"""
    limits: Limits = UNLIMITED_CALLER
    valid_until: datetime | None = None
    service_account: str | None = None
    """The id of the one that they act for."""

    @property
    def project_id(self) -> str:
        return self.project.project_id

    def require(self, permission: Permission) -> None:
        """Raises Forbidden."""
        if permission not in self.permissions:
            raise Forbidden(f"This needs {permission}, which the role {self.role} does not have.", permission)


class Doorkeeper:
    """Lets keys in. One per Lambda environment.

    Strangers cost one read each and, however many come, one call to Secrets Manager a minute.
    """

    def __init__(
        self,
        keys: ApiKeyStore,
        projects: ProjectStore,
        organizations: OrganizationStore,
        granting: Granting,
        secret: Callable[[], DeploymentSecret],
        now: Callable[[], datetime],
        usual: Limits = UNLIMITED_CALLER,
    ) -> None:
        self._keys = keys
        self._projects = projects
        self._organizations = organizations
        self._granting = granting
        self._secret = secret
        self._now = now
        self._usual = usual
        self._known: dict[tuple[str, str, str | None], tuple[datetime, Caller]] = {}
        self._first: PresentedKey | None = None
        self._first_asked: datetime | None = None

    def admit(self, text: str | None, project: str | None = None, *, fresh: bool = False) -> Caller:
        """The caller who presents the key `text`, and means `project` if one is named; if `fresh`, as they are now,
        whatever is remembered.

        Raises:
            Unauthenticated: `text` is no key of this deployment.
            NotFound: it does not open `project`.
        """
        if text is None:
            raise Unauthenticated("The header X-API-Key is missing.")
        presented = read_key(text)
        if presented is None:
            raise Unauthenticated("The API key is not valid.")
        known = self._known.get((presented.id, presented.hash, project))
        if known is not None and known[0] > self._now() and not fresh:
            return known[1]
        return self._remember(presented, project, self._look_up(presented, project, fresh=fresh))

    def remembers(self, text: str | None, project: str | None = None) -> bool:
        """Is `text` a key that was let in a moment ago? Looks nothing up."""
        presented = read_key(text or "")
        known = self._known.get((presented.id, presented.hash, project)) if presented else None
        return known is not None and known[0] > self._now()

    def _look_up(self, presented: PresentedKey, project: str | None, *, fresh: bool) -> Caller:
        key = self._keys.by_id(presented.key_id, consistent=fresh)
        if key is None or not presented.opens(key, self._now()):
            if not self._may_register(presented, key):
                raise Unauthenticated("The API key is not valid.")
            key = self._register(presented, key)
        elif predates_roles(key):
            self._found(key)
        acting = self._granting.acting(key, consistent=fresh)
        if acting is None:  # its service account is disabled, or gone
            raise Unauthenticated("The API key is not valid.")
        self._note_use(key)
        return self._caller(acting, project)

    def _caller(self, key: ApiKey, project: str | None) -> Caller:
        permissions = self._granting.permissions(key.organization_id, [key.role])
        limits = rules.limits(key.per_minute, key.daily_quota, self._usual)
        return Caller(
            key.id,
            key.organization_id,
            self._project(key, project),
            key.role,
            permissions,
            organization_wide=key.organization_wide,
            limits=limits,
            valid_until=key.valid_until,
            service_account=key.service_account_id,
        )

    def _project(self, key: ApiKey, named: str | None) -> Project:
        project = self._projects.by_id(named or key.project_id)
        is_mine = project.organization_id == key.organization_id
        if is_mine and (key.organization_wide or project.project_id == key.project_id):
            return project
        raise NotFound("project", project.project_id, "organization")

    def _note_use(self, key: ApiKey) -> None:
        """Nobody waits for it, and nothing depends on it: whoever comes next notes it again."""
        after = used(key, self._now())
        if after is not None:
            with suppress(Conflict):
                self._keys.save(key, after)

    def _may_register(self, presented: PresentedKey, before: ApiKey | None) -> bool:
        """Is it the deployment's first key, with a secret that is not registered yet?

        One that is, and does not open, was revoked: it stays shut until its secret is changed. And no secret but the
        present one takes the place of another, whatever is remembered of the one before.
        """
        if before is None:
            return self._is_first(presented)
        if hmac.compare_digest(before.hash, presented.hash) or not self._is_first(presented):
            return False
        self._first_asked = None
        return self._is_first(presented)

    def _is_first(self, presented: PresentedKey) -> bool:
        first = self._first_key()
        same_secret = hmac.compare_digest(first.hash, presented.hash)
        return first.id == presented.id and same_secret

    def _first_key(self) -> PresentedKey:
        """The deployment's own key, asked for at most once a minute, even while nobody answers."""
        now = self._now()
        if self._first_asked is None or now - self._first_asked >= REMEMBERED_FOR:
            self._first_asked = now
            self._first = None
            self._first = self._secret().key()
        if self._first is None:
            raise Unavailable("The first API key cannot be read just now. Try again.")
        return self._first

    def _register(self, presented: PresentedKey, before: ApiKey | None) -> ApiKey:
        """Store the first key, and what it opens; `before` is what it was until its secret was changed."""
        now = self._now()
        self._found(before)
        key = ApiKey(
            id=presented.key_id,
            organization_wide=True,
            project_id=DEFAULT_PROJECT,
            name=FIRST_KEY,
            role=BuiltIn.owner,
            hash=presented.hash,
            per_minute=UNLIMITED,
            daily_quota=UNLIMITED,
            created_at=now,
            last_used_at=now,
            revision=before.revision if before else 0,
        )
        act = Act("key.rotated" if before else "key.created", SPARK, DEFAULT_ORGANIZATION, now)
        with suppress(Conflict):  # another environment is at it
            self._keys.save(before, key, act)
        return key

    def _found(self, before: ApiKey | None) -> None:
        """The organization and the project that every deployment has.

        In a table from before there were organizations there is a project, which no list names: it is stored once more,
        as the key will be whose use is noted next.
        """
        now = self._now()
        organization = Organization(id=DEFAULT_ORGANIZATION, name="Default", created_by=FIRST_KEY, created_at=now)
        self._organizations.ensure(organization)
        project = self._projects.ensure(Project(project_id=DEFAULT_PROJECT, name="Default", created_at=now))
        if before is not None and predates_roles(before):
            with suppress(Conflict):  # another environment is at it
                self._projects.save(project, project)

    def _remember(self, presented: PresentedKey, project: str | None, caller: Caller) -> Caller:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[presented.id, presented.hash, project] = (self._now() + REMEMBERED_FOR, caller)
        return caller
