"""How many runs a source may have at once: one lease each, all in one item, so a whole batch costs one write."""

from datetime import datetime

from pydantic import Field

from shared.domain.record import Instant, Record


class Leases(Record):
    """Who runs on the source, and until when each may. An expired lease is free."""

    source_id: str
    holders: dict[str, Instant] = Field(default_factory=dict)


def take(leases: Leases, runs: list[str], limit: int, now: datetime, until: datetime) -> tuple[Leases, list[str]]:
    """The leases after as many of `runs` as fit got one, and those that did. A run that holds one keeps it."""
    held = {run: end for run, end in leases.holders.items() if end > now}
    free = limit - len([run for run in held if run not in runs])
    granted = runs[: max(free, 0)]
    holders = {run: end for run, end in held.items() if run not in runs} | dict.fromkeys(granted, until)
    return leases.model_copy(update={"holders": holders}), granted


def give_back(leases: Leases, runs: list[str], now: datetime) -> Leases:
    holders = {run: end for run, end in leases.holders.items() if end > now and run not in runs}
    return leases.model_copy(update={"holders": holders})
