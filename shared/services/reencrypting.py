"""Encrypting anew, with today's key, what an organization has stored encrypted, some per call: its secrets at identity
providers, those of its people's authenticator apps, and the keys of its sources.

A call looks at some places of a walk through all of that; the last one says where the next call begins. What is added
meanwhile is encrypted with today's key anyway.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

from shared.domain.identity_provider import IdentityProvider
from shared.domain.second_factor import SecondFactor
from shared.domain.source import Source
from shared.errors import Conflict, NotFound, Unavailable
from shared.secrets import Cipher
from shared.services.deadline import Deadline
from shared.services.sweeping import Swept, sweep
from shared.store.identity_providers import IdentityProviderStore
from shared.store.members import MemberStore
from shared.store.projects import ProjectStore
from shared.store.records import Slice
from shared.store.second_factors import SecondFactorStore
from shared.store.sources import SourceStore

ROUNDS = 5  # how often one is tried again after somebody else was faster
PAGE = 100
SEPARATOR = "/"  # in no id
PROVIDERS, PEOPLE = "~providers", "~people"  # the first two parts of the walk; the others are projects

T = TypeVar("T")


@dataclass(frozen=True)
class Secret:
    """What is stored encrypted in a record.

    Args:
        id: the record's.
        owner: whom it is encrypted for, by `cipher`.
        put: stores another ciphertext in its place; raises Conflict where the record has changed.
        again: the secret as it is now; None where it is gone.
    """

    id: str
    owner: str
    text: str
    cipher: Cipher
    put: Callable[[str], object]
    again: "Callable[[], Secret | None]"


class Place(NamedTuple):
    """Somewhere on the walk: at a record, or at the end of a project, so that empty ones count, too."""

    id: str
    secret: Secret | None = None


@dataclass(frozen=True)
class Reencrypting:
    providers: IdentityProviderStore
    members: MemberStore
    factors: SecondFactorStore
    projects: ProjectStore
    sources: SourceStore
    of_organization: Cipher
    of_user: Cipher
    of_project: Cipher

    def walk(self, organization: str, limit: int, after: str | None) -> Slice[Place]:
        """The next `limit` places of an organization from the one after `after`, whose project may be gone by now."""
        places = list(islice(self._places(organization, after), limit))
        return Slice(places, places[-1].id if len(places) == limit else None)

    def reencrypt(self, page: Slice[Place], deadline: Deadline, left: Callable[[str], None]) -> Swept:
        """Encrypt anew what is at the places of `page`. `left` is told the record of each that opens no more."""

        def reencrypt_one(chunk: list[Place]) -> Swept:
            (place,) = chunk
            if place.secret is None:
                return Swept(0, 0, place.id)
            changed = _reencrypt(place.secret)
            if not changed:
                left(place.secret.id)
            return Swept(1, changed, place.id)

        return sweep(page, 1, reencrypt_one, deadline)

    def _places(self, organization: str, after: str | None) -> Iterator[Place]:
        part, _, last = (after or f"{PROVIDERS}{SEPARATOR}").partition(SEPARATOR)
        if part == PROVIDERS:
            yield from self._at_providers(organization, last or None)
        if part in (PROVIDERS, PEOPLE):
            yield from self._of_people(organization, last if part == PEOPLE else None)
            part = last = ""
        if last and self._has(organization, part):
            yield from self._in_project(part, last)
        for found in _from(lambda id_: self.projects.list(organization, limit=PAGE, after=id_), part or None):
            yield from self._in_project(found.id, None)

    def _has(self, organization: str, project: str) -> bool:
        """Cursors are no secret: one may name anybody's project."""
        return _found(lambda: self.projects.get(organization, project)) is not None

    def _at_providers(self, organization: str, after: str | None) -> Iterator[Place]:
        for provider in _from(lambda id_: self.providers.list(organization, limit=PAGE, after=id_), after):
            yield Place(f"{PROVIDERS}{SEPARATOR}{provider.id}", self._of_provider(provider))

    def _of_people(self, organization: str, after: str | None) -> Iterator[Place]:
        for member in _from(lambda id_: self.members.list(organization, limit=PAGE, after=id_), after):
            yield Place(f"{PEOPLE}{SEPARATOR}{member.id}", self._of_factor(self.factors.find(member.user_id)))

    def _in_project(self, project: str, after: str | None) -> Iterator[Place]:
        for source in _from(lambda id_: self.sources.list(project, limit=PAGE, after=id_), after):
            yield Place(f"{project}{SEPARATOR}{source.id}", self._of_source(source))
        yield Place(f"{project}{SEPARATOR}")

    def _of_provider(self, provider: IdentityProvider | None) -> Secret | None:
        if provider is None or provider.encrypted_secret is None:
            return None
        owner, id = provider.organization_id, provider.id
        return Secret(
            id,
            owner,
            provider.encrypted_secret,
            self.of_organization,
            lambda text: self.providers.save(provider, provider.model_copy(update={"encrypted_secret": text})),
            lambda: self._of_provider(_found(lambda: self.providers.get(owner, id))),
        )

    def _of_factor(self, factor: SecondFactor | None) -> Secret | None:
        if factor is None:
            return None
        return Secret(
            factor.user_id,
            factor.user_id,
            factor.encrypted_secret,
            self.of_user,
            lambda text: self.factors.save(factor, factor.model_copy(update={"encrypted_secret": text})),
            lambda: self._of_factor(self.factors.find(factor.user_id)),
        )

    def _of_source(self, source: Source | None) -> Secret | None:
        if source is None or source.encrypted_key is None:
            return None
        owner, id = source.project_id, source.id
        return Secret(
            id,
            owner,
            source.encrypted_key,
            self.of_project,
            lambda text: self.sources.save(source, source.model_copy(update={"encrypted_key": text})),
            lambda: self._of_source(_found(lambda: self.sources.get(owner, id))),
        )


def _reencrypt(secret: Secret) -> bool:
    """False where it does not open. Who changes the record meanwhile may keep the old ciphertext: that is next."""
    for _ in range(ROUNDS):
        encrypted = secret.cipher.reencrypt(secret.owner, secret.text)
        if encrypted is None:
            return False
        try:
            secret.put(encrypted)
        except Conflict:
            if (now := secret.again()) is None:
                return True  # it was taken away
            secret = now
        else:
            return True
    raise Unavailable("A secret keeps changing. Try again.")


def _found(get: Callable[[], T]) -> T | None:
    try:
        return get()
    except NotFound:
        return None


def _from(page: Callable[[str | None], Slice[T]], after: str | None) -> Iterator[T]:
    """All of a list from the record after id `after`."""
    while True:
        found = page(after)
        yield from found.items
        if found.next is None:
            return
        after = found.next
