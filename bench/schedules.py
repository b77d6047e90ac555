"""Schedules as a benchmark needs them: many, alike, due at a time of its choice; and a clock that it moves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from shared.domain import firing
from shared.domain.project import DEFAULT_PROJECT
from shared.domain.record import derived_id, instant_text
from shared.domain.recurrence import Kind
from shared.domain.schedule import Schedule, ScheduleSettings
from shared.store.schedules import ScheduleStore
from shared.store.table import Table

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)  # of the benchmarks that need no real time
BY = f"key_{'0' * 26}"  # as long as an API key's id


def daily(at: datetime, text: str = "", **more: Any) -> ScheduleSettings:
    """Every day at this time of day, to the second."""
    expression = f"{at.second} {at.minute} {at.hour} * * *" if at.second else f"{at.minute} {at.hour} * * *"
    return ScheduleSettings(kind=Kind.cron, expression=expression, name="Daily report", input=text, **more)


def once(at: datetime, text: str = "", **more: Any) -> ScheduleSettings:
    return ScheduleSettings(kind=Kind.once, expression=instant_text(at), name="Daily report", input=text, **more)


def id_of(number: int, created_at: datetime) -> str:
    return derived_id("sch", created_at, str(number))


def schedule(number: int, workflow: str, settings: ScheduleSettings, created_at: datetime, **more: Any) -> Schedule:
    """As `services.scheduling` makes it from a small input, without firing it."""
    made = Schedule(
        id=id_of(number, created_at),
        project_id=DEFAULT_PROJECT,
        workflow_id=workflow,
        settings=settings,
        effective_at=created_at,
        watermark=firing.beginning(settings, created_at),
        created_by=BY,
        created_at=created_at,
        updated_at=created_at,
        **more,
    )
    return firing.scheduled(made)


def store(table: Table, schedules: Sequence[Schedule]) -> None:
    """Write new schedules straight into the table, 25 a request."""
    change = ScheduleStore(table).change
    assert all(table.put_many([change(None, each) for each in schedules])), "a schedule could not be stored"


class Clock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **parts: float) -> datetime:
        self.at += timedelta(**parts)
        return self.at


@contextmanager
def kept_by(clock: Callable[[], datetime]) -> Iterator[None]:
    """Spark in this process takes the time from `clock`. To be entered before its first client is made."""
    from shared import wiring

    with patch.object(wiring, "now", clock):
        yield
