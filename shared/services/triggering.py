"""Triggering: a run of a schedule now, whatever its clock says."""

from dataclasses import replace
from typing import Any

from shared.domain.overlap import Overlap
from shared.domain.run import Origin, Run
from shared.domain.schedule import Schedule
from shared.errors import Conflict, Invalid, NotFound
from shared.services.ordering import Orders
from shared.services.rechecking import input_of_schedule
from shared.services.submission import Order


def trigger(schedule: Schedule, said: dict[str, Any], overlap: Overlap | None, id: str, orders: Orders) -> Run:
    """A new run under `id`, as `schedule` would make it but for what is `said` of an order.

    Raises:
        Conflict: its workflow is gone or switched off, or so is the source, or that cannot run so long any more.
        PayloadGone: its input is no longer kept.
    """
    settings, policy = schedule.settings, overlap or schedule.settings.overlap
    text = said["input"] if "input" in said else input_of_schedule(schedule, orders.bucket)
    fields = {"session_id": settings.session_id, "tweaks": settings.tweaks, **said, "input": text}
    order = Order(**fields, timeout_seconds=settings.timeout_seconds, retry=settings.retry)
    overlaps = None if policy is Overlap.allow else policy
    submission = replace(orders.submission, origin=Origin.manual, schedule_id=schedule.id, overlap=overlaps)
    try:
        return replace(orders, submission=submission).run(schedule.workflow_id, order, id)
    except NotFound as error:
        raise Conflict(f"Workflow {schedule.workflow_id} of schedule {schedule.id} is gone.") from error
    except Invalid as error:  # about the schedule's timeout, which no caller of this can change
        raise Conflict(f"Schedule {schedule.id} cannot run: {error}") from error
