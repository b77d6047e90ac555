"""A project: the boundary that every record and every query stays inside."""

from enum import IntEnum

from shared.domain.record import Instant, Record

DEFAULT_PROJECT = "default"


class Retention(IntEnum):
    """For how many days runs and payloads are kept; the payload bucket has a lifecycle rule for each."""

    keep = 0
    week = 7
    month = 30
    quarter = 90
    year = 365


class Project(Record):
    name: str
    retention_days: Retention = Retention.quarter
    created_at: Instant
