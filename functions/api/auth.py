"""Who is calling: the key in `X-API-Key`, looked up, remembered for a minute.

The first key of a deployment is made by CloudFormation and kept by Secrets Manager; when it first comes by, it becomes
an API key like every other.
"""

import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.api_key import ApiKey, PresentedKey, read_key
from shared.domain.project import DEFAULT_PROJECT, Project
from shared.errors import Conflict, Unauthenticated, Unavailable
from shared.secrets import DeploymentSecret
from shared.store.api_keys import ApiKeyStore
from shared.store.projects import ProjectStore

REMEMBERED_FOR = timedelta(seconds=60)  # so long may a deleted key still work
MAX_REMEMBERED = 1000
FIRST_KEY_NAME = "bootstrap"


@dataclass(frozen=True)
class Caller:
    """A key that opened, the project it opened, and the request it came with."""

    key_id: str
    project: Project
    correlation_id: str = ""

    @property
    def project_id(self) -> str:
        return self.project.project_id


class Doorkeeper:
    """Lets keys in. One per Lambda environment.

    Strangers cost one read each and, however many come, one call to Secrets Manager a minute.
    """

    def __init__(
        self,
        keys: ApiKeyStore,
        projects: ProjectStore,
        secret: Callable[[], DeploymentSecret],
        now: Callable[[], datetime],
    ) -> None:
        self._keys = keys
        self._projects = projects
        self._secret = secret
        self._now = now
        self._known: dict[tuple[str, str], tuple[datetime, Caller]] = {}
        self._first: PresentedKey | None = None
        self._first_asked: datetime | None = None

    def admit(self, text: str | None) -> Caller:
        """Raises Unauthenticated when `text` is no key of this deployment."""
        if text is None:
            raise Unauthenticated("The header X-API-Key is missing.")
        presented = read_key(text)
        if presented is None:
            raise Unauthenticated("The API key is not valid.")
        known = self._known.get((presented.id, presented.hash))
        if known is not None and known[0] > self._now():
            return known[1]
        return self._remember(presented, self._look_up(presented))

    def _look_up(self, presented: PresentedKey) -> Caller:
        key = self._keys.find(presented.id)
        if key is not None and presented.opens(key):
            return Caller(key.id, self._projects.get(key.project_id))
        if not self._is_first(presented):
            raise Unauthenticated("The API key is not valid.")
        return self._register(presented, key)

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

    def _register(self, presented: PresentedKey, before: ApiKey | None) -> Caller:
        """Store the first key; `before` is what it was until its secret was changed."""
        now = self._now()
        project = self._projects.ensure(Project(project_id=DEFAULT_PROJECT, name="Default", created_at=now))
        key = ApiKey(
            id=presented.id,
            name=FIRST_KEY_NAME,
            hash=presented.hash,
            project_id=DEFAULT_PROJECT,
            created_at=now,
            revision=before.revision if before else 0,
        )
        with suppress(Conflict):  # another environment is at it
            if before is None:
                self._keys.add(key)
            else:
                self._keys.replace(before, key)
        return Caller(key.id, project)

    def _remember(self, presented: PresentedKey, caller: Caller) -> Caller:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[presented.id, presented.hash] = (self._now() + REMEMBERED_FOR, caller)
        return caller
