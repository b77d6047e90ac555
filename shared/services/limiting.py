"""Limiting: counting requests, and refusing those that are too many.

A request costs one conditional write, the first of a minute two. Who was refused is refused from memory until the
window ends, so that a caller who does not listen costs nothing more.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain import limit as rules
from shared.domain.limit import DAY, Limits, Usage, Verdict
from shared.domain.record import EPOCH
from shared.errors import Conflict, RateLimited, Unavailable
from shared.store import keys
from shared.store.limits import LimitStore

ATTEMPTS = Limits(per_minute=5, per_day=50)
"""At one account from one address: enough for who forgot which of their passwords it is, not for a list of them."""

CODES = Limits(per_minute=5, per_day=20)
"""Codes of six digits at one account, wherever they come from. Three of a million are right at any time: whoever knows
the password and has many addresses would hit upon one before long, at fifty a day from each. The price is that they
keep the owner's codes out as well, until the day ends; recovery codes, which nobody guesses, are not counted here and
let the owner in."""

TEXTS = Limits(per_minute=5, per_day=10)
"""Text messages of one account, and to one number: each costs money, and the number may be somebody else's."""

ROUNDS = 8  # each lost round is a window that somebody else opened, or a request that they counted meanwhile
MAX_REMEMBERED = 10_000
ANYWHERE = ""


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

    def stranger(self, address: str, *, refused: bool = False) -> Verdict:
        """Count a request of somebody at `address` who showed no valid key. If it was `refused` for that, the same
        write notes it, and what was refused in this minute is kept for a week."""
        at = self.now()
        id = _of_minute(address, at)
        if refused and self.strangers.is_unlimited:
            return self._count(id, self.strangers, at, refused=True)
        return self.count(id, self.strangers, at, refused=refused)

    def is_shut(self, address: str) -> Verdict | None:
        """The refusal of `address` that still holds, as far as this environment knows. It counts and costs nothing."""
        return self._remembered(_of_minute(address, self.now()), self.strangers)

    def attempt(self, account: str, address: str) -> None:
        """Count an attempt to log in, before looking at the password: too many lock this account for this address.

        Nobody locks an account for its owner, who is somewhere else.

        Raises:
            RateLimited: there were too many; the password was not looked at.
        """
        self._require(keys.limited_account(rules.attempt_id(account, address)), ATTEMPTS)

    def forgive(self, account: str, address: str) -> None:
        """The password was right: those before it were slips."""
        self._forget(keys.limited_account(rules.attempt_id(account, address)))

    def guess(self, account: str) -> None:
        """Count a code of six digits at `account`, before looking at it, from whatever address.

        Raises:
            RateLimited: there were too many; the code was not looked at.
        """
        self._require(_codes_of(account), CODES)

    def forgive_guesses(self, account: str) -> None:
        """The code was right: those before it were slips."""
        self._forget(_codes_of(account))

    def text(self, whose: str) -> None:
        """Count a text message: of an account, or to a phone number. Raises RateLimited: there were too many."""
        self._require(keys.limited_account(rules.attempt_id(f"sms {whose}", ANYWHERE)), TEXTS)

    def letter(self, email: str, about: str = "invitation") -> None:
        """Count a letter to `email`, from wherever somebody asks for it. What it is about is counted apart: strangers
        who register somebody else keep no invitation from them, nor what they ask for themselves.

        Raises:
            RateLimited: there were too many.
        """
        self.attempt(f"mail {about} {email}", ANYWHERE)

    def count(self, id: str, limits: Limits, at: datetime | None = None, *, refused: bool = False) -> Verdict:
        """Count one more for `id`.

        Raises:
            Unavailable: time and again somebody else was quicker. It was not counted.
        """
        if limits.is_unlimited:
            return Verdict()
        return self._remembered(id, limits) or self._count(id, limits, at or self.now(), refused=refused)

    def _require(self, id: str, limits: Limits) -> None:
        """Count one more for `id`. Raises RateLimited."""
        verdict = self.count(id, limits)
        if verdict.hit is not None:
            raise RateLimited(verdict.words, verdict.hit.reset_seconds)

    def _forget(self, id: str) -> None:
        self._refused.pop(id, None)
        with suppress(Conflict):  # somebody tries at this very moment; that counts
            self.store.forget(id)

    def _count(self, id: str, limits: Limits, at: datetime, *, refused: bool) -> Verdict:
        minute, day = rules.minute_of(at), (at - EPOCH) // DAY
        for _ in range(ROUNDS):
            is_counted, usage = self.store.count(id, minute, day, limits, refused=refused)
            if is_counted and usage is not None:
                return rules.judge(usage, limits, at)
            after = rules.counted(usage, id, at, refused=refused)
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


def _codes_of(account: str) -> str:
    return keys.limited_account(rules.attempt_id(f"code {account}", ANYWHERE))


def _of_minute(address: str, at: datetime) -> str:
    return keys.limited_address(rules.place(address), rules.minute_of(at))
