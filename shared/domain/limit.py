"""How many requests somebody may make: so many a minute and so many a day, counted in windows that all share.

Minutes and days are those of UTC. Counting in fixed windows lets twice a minute's quota pass around the turn of one;
what it buys is one small item per caller, and one write per request that both counts and refuses.
"""

import hashlib
import ipaddress
import math
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.record import EPOCH, Instant, Stored

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
UNLIMITED = 0  # as a setting or a field of a key says it; None there means "as the deployment has it"
KEPT_FOR = timedelta(hours=1)  # beyond the day that was counted, for clocks that are behind
REFUSALS_KEPT_FOR = timedelta(days=7)  # for who looks into an attack, on Monday
IPV6_NETWORK = 64  # what one customer gets: who has one address there has them all


class Limits(NamedTuple):
    """Requests a minute and a day at most. None: no limit."""

    per_minute: int | None = None
    per_day: int | None = None

    @property
    def is_unlimited(self) -> bool:
        return self.per_minute is None and self.per_day is None


class Usage(Stored):
    """What was counted for `id`: in one minute and in one day, both numbered since 1970."""

    id: str
    minute: int
    minute_count: int
    day: int
    day_count: int
    refused: int = 0
    """How many of an address were answered 401 in this minute. Not counted of others."""
    expires_at: Instant


class Standing(NamedTuple):
    """How one limit stands: `remaining` of `quota` until it begins anew in `reset_seconds`."""

    name: str
    quota: int
    window_seconds: int
    remaining: int
    reset_seconds: int


class Verdict(NamedTuple):
    """May the request go on? `standings` are those of the limits that there are; `hit` is the one that says no.

    Where several do, it is the one that says so longest.
    """

    standings: tuple[Standing, ...] = ()
    hit: Standing | None = None

    @property
    def is_allowed(self) -> bool:
        return self.hit is None

    @property
    def words(self) -> str:
        """Why not, for people."""
        hit = self.hit
        assert hit is not None  # it was refused
        return f"No more than {hit.quota} requests a {hit.name}. Try again in {hit.reset_seconds} s."


def limits(per_minute: int | None, per_day: int | None, usual: Limits) -> Limits:
    """What a key's own fields come to: None is as usual, 0 is no limit."""
    return Limits(
        usual.per_minute if per_minute is None else per_minute or None,
        usual.per_day if per_day is None else per_day or None,
    )


def counted(before: Usage | None, id: str, at: datetime, *, refused: bool = False) -> Usage:
    """`before` and one request more, in the windows of `at`. A window that has begun by another's clock goes on."""
    minute, day = minute_of(at), (at - EPOCH) // DAY
    if before is None:
        refusals, expiry = int(refused), _expiry(minute, day, is_kept=refused)
        return Usage(id=id, minute=minute, minute_count=1, day=day, day_count=1, refused=refusals, expires_at=expiry)
    minute, day = max(minute, before.minute), max(day, before.day)
    refusals = (before.refused if minute == before.minute else 0) + refused
    return before.model_copy(
        update={
            "minute": minute,
            "minute_count": before.minute_count + 1 if minute == before.minute else 1,
            "day": day,
            "day_count": before.day_count + 1 if day == before.day else 1,
            "refused": refusals,
            "expires_at": _expiry(minute, day, is_kept=refusals > 0),
        }
    )


def minute_of(at: datetime) -> int:
    """The minutes that were over by then, since 1970."""
    return (at - EPOCH) // MINUTE


def begin_of(minute: int) -> datetime:
    return EPOCH + minute * MINUTE


def is_within(usage: Usage, limits: Limits) -> bool:
    """May what was counted last go on?"""
    minute = limits.per_minute is None or usage.minute_count <= limits.per_minute
    return minute and (limits.per_day is None or usage.day_count <= limits.per_day)


def judge(usage: Usage, limits: Limits, at: datetime) -> Verdict:
    """The verdict about the request that `usage` counts last. One that is refused takes nothing of what remains."""
    if is_within(usage, limits):
        return Verdict(_standings(usage, limits, at))
    standings = _standings(_without_last(usage), limits, at)
    spent = [standing for standing in standings if standing.remaining == 0]
    return Verdict(standings, max(spent, key=lambda standing: standing.reset_seconds))


def place(address: str) -> str:
    """Whom a caller's `address` stands for: itself, or its network, where one customer has all of that."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_NETWORK), strict=False).network_address) + f"/{IPV6_NETWORK}"


def attempt_id(account: str, address: str) -> str:
    """Under which the attempts on `account` from `address` are counted. Nobody can read from it whose it is."""
    said = "\0".join([account.strip().casefold(), place(address)])
    return hashlib.sha256(said.encode()).hexdigest()


def _standings(usage: Usage, limits: Limits, at: datetime) -> tuple[Standing, ...]:
    found = []
    for name, quota, window, number, count in (
        ("minute", limits.per_minute, MINUTE, usage.minute, usage.minute_count),
        ("day", limits.per_day, DAY, usage.day, usage.day_count),
    ):
        if quota is not None:
            reset = math.ceil((EPOCH + (number + 1) * window - at).total_seconds())
            remaining = max(quota - count, 0)
            found.append(Standing(name, quota, int(window.total_seconds()), remaining, max(reset, 1)))
    return tuple(found)


def _without_last(usage: Usage) -> Usage:
    return usage.model_copy(update={"minute_count": usage.minute_count - 1, "day_count": usage.day_count - 1})


def _expiry(minute: int, day: int, *, is_kept: bool) -> datetime:
    return begin_of(minute + 1) + REFUSALS_KEPT_FOR if is_kept else EPOCH + (day + 1) * DAY + KEPT_FOR
