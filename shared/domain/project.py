"""A project: the boundary that every record and every query stays inside."""

from enum import IntEnum

from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.record import Instant, Record
from shared.domain.workflow import Name

DEFAULT_PROJECT = "default"


class Retention(IntEnum):
    """For how many days runs and payloads are kept; the payload bucket has a lifecycle rule for each."""

    keep = 0
    week = 7
    month = 30
    quarter = 90
    year = 365


class Project(Record):
    """Part of an organization. Its own id is its `project_id`."""

    organization_id: str = DEFAULT_ORGANIZATION
    name: Name
    retention_days: Retention = Retention.quarter
    created_at: Instant

    @property
    def id(self) -> str:
        return self.project_id
