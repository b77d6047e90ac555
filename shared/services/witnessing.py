"""Witnessing: what people do with their accounts, in the audit log.

An account belongs to no organization, so each that its owner belongs to has an entry, in a chain of its own. An entry
holds no hash of the account: what it looks like is nobody's business, and much of it changes without an entry.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.act import Act, Origin
from shared.domain.audit import Subject
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.user import User, confidants
from shared.errors import Outrun, Unavailable
from shared.store import keys
from shared.store.audit import AuditStore
from shared.store.table import Change, key_of

ROUNDS = 15
LONGEST_PAUSE = 1.0  # seconds; all pauses together are ten at most, five as a rule
KIND = "user"
NOWHERE = Origin()

Store = Callable[[Sequence[Change]], None]
"""Stores a change together with these entries, all or nothing. Raises Conflict."""


@dataclass(frozen=True)
class Deed:
    """What somebody did with the account `user`: `action` is `noun.past_tense`.

    Without an `actor` they did it themselves. `organizations` are told; for None, all that they joined.
    """

    action: str
    user: User
    origin: Origin = NOWHERE
    actor: str | None = None
    organizations: Iterable[str] | None = None
    session: str | None = None
    reason: str | None = None

    @property
    def told(self) -> list[str]:
        return list(dict.fromkeys(confidants(self.user) if self.organizations is None else self.organizations))

    @property
    def detail(self) -> dict[str, str | int]:
        said = {"session": self.session, "reason": self.reason}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True)
class Operator:
    """Who looks after the deployment, and where their request came from."""

    id: str
    origin: Origin


@dataclass(frozen=True)
class Witness:
    """`chance`, in [0, 1), keeps apart those who add to one log at the same time."""

    audit: AuditStore
    now: Callable[[], datetime]
    chance: Callable[[], float]
    sleep: Callable[[float], object]

    def entries(self, deed: Deed) -> list[Change]:
        """One for each organization: 50 at most, since nobody belongs to more, and a transaction takes 100."""
        return [self._entry(deed, organization) for organization in deed.told]

    def store(self, deed: Deed, store: Store) -> None:
        """Have `store` store what was done and its entries; again where somebody else was adding to the log.

        Raises:
            Conflict: what is to be stored was changed by somebody else.
            Unavailable: time and again others were faster at the log. Nothing was stored.
        """
        for number in range(ROUNDS):
            self._pause(number)
            entries = self.entries(deed)
            try:
                return store(entries)
            except Outrun as error:
                if not error.changed <= {key_of(entry.after) for entry in entries}:
                    raise
        raise Unavailable("The audit log of this account is too busy. Try again.")

    def _pause(self, round: int) -> None:
        """Before asking again: up to 50, 100, 200 … ms, as chance will have it, since who lost would meet again."""
        if round:
            self.sleep(min(LONGEST_PAUSE, 0.05 * 2 ** (round - 1)) * self.chance())

    def _entry(self, deed: Deed, organization: str) -> Change:
        who, where = deed.user.id, deed.origin
        act = Act(
            deed.action,
            deed.actor or who,
            organization,
            self.now(),
            where.address or None,
            where.correlation_id or None,
            deed.detail or None,
        )
        return self.audit.following(act, Subject(KIND, who), keys.account_entries(organization, who))


def told_the_operator(action: str, user: User, by: Operator) -> Deed:
    """What the operator does to an account is told their own organization, too: they may see no other."""
    told = [DEFAULT_ORGANIZATION, *(organization for organization, _ in user.places)]
    return Deed(action, user, by.origin, actor=by.id, organizations=told)
