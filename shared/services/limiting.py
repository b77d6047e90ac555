"""Limiting: counting requests, and refusing those that are too many.

A request costs one conditional write, the first of a minute two. Who was refused is refused from memory until the
window ends, so that a caller who does not listen costs nothing more.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain import limit as rules
from shared.domain.limit import DAY, MINUTE, Limits, Usage, Verdict
from shared.domain.record import EPOCH
from shared.errors import Conflict, RateLimited, Unavailable
from shared.store import keys
from shared.store.limits import LimitStore

ATTEMPTS = Limits(per_minute=5, per_day=50)
"""At one account from one address: enough for who forgot which of their passwords it is, not for a list of them."""

ROUNDS = 8  # each lost round is a window that somebody else opened, or a request that they counted meanwhile
MAX_REMEMBERED = 10_000


@dataclass
class Limiter:
    """Counts on behalf of one environment, and remembers whom it refused."""

    store: LimitStore
    now: Callable[[], datetime]
    strangers: Limits
    """Of requests that nobody can be held to account for but an address."""
    _refused: dict[str, Usage] = field(default_factory=dict)

    def request(self, key: str, limits: Limits) -> Verdict:
        """Count a request of the API key `key`."""
        return self.count(keys.limited_key(key), limits)

    def stranger(self, address: str) -> Verdict:
        """Count a request of somebody at `address` who showed no valid key."""
        return self.count(keys.limited_address(rules.place(address)), self.strangers)

    def is_shut(self, address: str) -> Verdict | None:
        """The refusal of `address` that still holds, as far as this environment knows. It counts and costs nothing."""
        return self._remembered(keys.limited_address(rules.place(address)), self.strangers)

    def attempt(self, account: str, address: str) -> None:
        """Count an attempt to log in, before looking at the password: too many lock this account for this address.

        Nobody locks an account for its owner, who is somewhere else.

        Raises:
            RateLimited: there were too many; the password was not looked at.
        """
        verdict = self.count(keys.limited_account(rules.attempt_id(account, address)), ATTEMPTS)
        if verdict.hit is not None:
            raise RateLimited(verdict.words, verdict.hit.reset_seconds)

    def forgive(self, account: str, address: str) -> None:
        """The password was right: those before it were slips."""
        id = keys.limited_account(rules.attempt_id(account, address))
        self._refused.pop(id, None)
        with suppress(Conflict):  # somebody tries at this very moment; that counts
            self.store.forget(id)

    def count(self, id: str, limits: Limits) -> Verdict:
        """Count one more for `id`.

        Raises:
            Unavailable: time and again somebody else was quicker. It was not counted.
        """
        if limits.is_unlimited:
            return Verdict()
        return self._remembered(id, limits) or self._count(id, limits)

    def _count(self, id: str, limits: Limits) -> Verdict:
        at = self.now()
        minute, day = (at - EPOCH) // MINUTE, (at - EPOCH) // DAY
        for _ in range(ROUNDS):
            is_counted, usage = self.store.count(id, minute, day, limits)
            if is_counted and usage is not None:
                return rules.judge(usage, limits, at)
            after = rules.counted(usage, id, at)
            verdict = rules.judge(after, limits, at)
            if not verdict.is_allowed and usage is not None:
                self._remember(usage)
                return verdict
            if self._opens(usage, after):
                return verdict
            minute, day = after.minute, after.day
        raise Unavailable("Too many count the same requests at once. Try again.")

    def _opens(self, before: Usage | None, after: Usage) -> bool:
        try:
            self.store.save(before, after)
        except Conflict:
            return False
        return True

    def _remembered(self, id: str, limits: Limits) -> Verdict | None:
        """The refusal that still holds, if there was one: what was counted by then allows no more now."""
        usage = self._refused.get(id)
        if usage is None:
            return None
        at = self.now()
        verdict = rules.judge(rules.counted(usage, id, at), limits, at)
        if verdict.is_allowed:
            self._refused.pop(id, None)
            return None
        return verdict

    def _remember(self, usage: Usage) -> None:
        if len(self._refused) >= MAX_REMEMBERED:
            self._refused.clear()
        self._refused[usage.id] = usage
