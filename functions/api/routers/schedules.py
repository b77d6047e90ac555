"""Schedules: when workflows run by themselves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Body, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from functions.api import BASE, etags, starting, table
from functions.api.auth import Caller
from functions.api.bodies import Patch, RecordId, RetryPatch
from functions.api.dependencies import Id, IfMatch, Wait, author, deadline, may, orders
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work, existing, undeleted
from functions.api.pages import Page, Paged
from functions.api.routers import backfills, previews
from functions.api.schedule_views import ScheduleDetail, ScheduleView, schedule_detail, schedule_view
from functions.api.starting import RunQuery
from functions.api.sweeps import SweepAnswer, SweepFields
from functions.api.views import RunView
from shared import wiring
from shared.domain import schedule as rules
from shared.domain.act import Detail
from shared.domain.overlap import Overlap
from shared.domain.recurrence import Kind
from shared.domain.role import Permission
from shared.domain.run import Run
from shared.domain.schedule import Schedule, ScheduleSettings, ScheduleState
from shared.domain.timing import Expression
from shared.domain.workflow import InputText, Name, ShortText, Tweaks
from shared.errors import Invalid
from shared.services import sweeping
from shared.services.auditing import note_bulk
from shared.services.standing import standing
from shared.services.triggering import trigger
from shared.services.versioning import Author

router = table.router("schedules")

Reader = Annotated[Caller, may(Permission.schedules_read)]
Editor = Annotated[Caller, may(Permission.schedules_write)]
Operator = Annotated[Caller, may(Permission.schedules_operate)]
RunReader = Annotated[Caller, may(Permission.runs_read)]

Enabled = Annotated[bool, Field(strict=True, description="Off: it is paused.")]

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
OfWorkflow = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
InState = Annotated[ScheduleState | None, Query()]


class ScheduleFields(BaseModel):
    """A schedule of a workflow."""

    model_config = ConfigDict(extra="forbid")

    workflow_id: RecordId
    settings: ScheduleSettings
    enabled: Enabled = True


class ScheduleSettingsPatch(Patch, ScheduleSettings):
    """Some of a schedule's settings. `tweaks` and `exclude` are replaced as a whole; of `retry` only what is said."""

    name: Name = ""
    kind: Kind = Kind.cron
    expression: Expression = ""
    retry: RetryPatch | None = None


class SchedulePatch(Patch):
    """What is to change; the rest stays. Another timing counts from now on: it never fires the past."""

    settings: ScheduleSettingsPatch = ScheduleSettingsPatch()
    enabled: Enabled = True


class PauseFields(BaseModel):
    """Why it is paused."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason | None = None


class TriggerFields(Patch):
    """What this run is told instead of what the schedule has. What is left out is the schedule's."""

    input: InputText = ""
    session_id: ShortText | None = Field(None, description="The conversation; null: one for this run alone.")
    tweaks: Tweaks | None = Field(None, description="Added to the workflow's tweaks, instead of the schedule's.")
    overlap: Overlap | None = Field(None, description="How it gets along with other runs; null: as the schedule says.")


class ScheduleSweep(SweepFields):
    """Which schedules are meant."""

    workflow_id: RecordId | None = None
    state: ScheduleState | None = None


@router.post("", status_code=201, responses=responses(409))
def create_schedule(body: ScheduleFields, caller: Editor, once: OnlyOnce, response: Response) -> ScheduleView:
    """Have a workflow run by itself. What is due within minutes is on its way before the answer is."""
    project, scheduling = caller.project_id, wiring.scheduling()

    def create(work: Work) -> Schedule:
        by, id = author(caller, work.at), work.id("sch")
        return scheduling.create(by, id, body.workflow_id, body.settings, enabled=body.enabled)

    made = once.do(caller, body, lambda work: undeleted(scheduling.schedules, project, work.id("sch")), create)
    response.headers["Location"] = f"{BASE}/schedules/{made.id}"
    return _answer(made, response)


@router.get("", responses=responses(400))
def list_schedules(
    caller: Reader, paged: Paged, workflow_id: OfWorkflow = None, state: InState = None
) -> Page[ScheduleView]:
    """The schedules of the project, newest first. A filter may give a short page that goes on."""
    project, now = caller.project_id, wiring.now()
    admits = _filter(workflow_id, state) if workflow_id or state else None
    found = wiring.schedules().list(project, limit=paged.limit, after=paged.after(project), admits=admits)
    return paged.answer(project, [schedule_view(schedule, now) for schedule in found.items], found.next)


@router.post("/pause", responses=responses(400))
def pause_schedules(body: ScheduleSweep, caller: Operator) -> SweepAnswer:
    """Pause all schedules that a filter finds (the active, unless it says which), up to 500 per call as time allows."""
    if body.state is ScheduleState.paused:
        raise Invalid("Those are paused already.", "/state")
    scheduling = wiring.scheduling()

    def pause(schedule: Schedule) -> Schedule:
        return scheduling.pause(_in_bulk(caller), schedule.id, None, etags.guard(None))

    body = body.model_copy(update={"state": body.state or ScheduleState.active})
    return _switch_all(body, caller, "pause", _filter(body.workflow_id, body.state), pause)


@router.post("/resume", responses=responses(400))
def resume_schedules(body: ScheduleSweep, caller: Operator) -> SweepAnswer:
    """Resume all paused schedules that a filter finds, up to 500 per call as time allows. Those that cannot be
    evaluated any more stay paused."""
    if body.state not in (None, ScheduleState.paused):
        raise Invalid("Only paused schedules can be resumed.", "/state")
    body = body.model_copy(update={"state": ScheduleState.paused})
    scheduling, is_paused = wiring.scheduling(), _filter(body.workflow_id, body.state)

    def admits(schedule: Schedule) -> bool:
        return is_paused(schedule) and rules.problem(schedule) is None

    def resume(schedule: Schedule) -> Schedule:
        return scheduling.resume(_in_bulk(caller), schedule.id, etags.guard(None))

    return _switch_all(body, caller, "resume", admits, resume)


@router.get("/{schedule_id}", responses=responses(404))
def get_schedule(schedule_id: Id, caller: Reader, response: Response) -> ScheduleDetail:
    """One schedule, when it fires next, and how it stands."""
    schedules, now = wiring.schedules(), wiring.now()
    schedule = etags.stamp(response, schedules.get(caller.project_id, schedule_id))
    stands = standing(schedule, now, schedules=schedules, runs=wiring.runs())
    return schedule_detail(schedule, stands, now, wiring.payloads())


@router.patch("/{schedule_id}", responses=responses(404, 409, 412))
def update_schedule(
    schedule_id: Id, body: SchedulePatch, caller: Editor, response: Response, if_match: IfMatch = None
) -> ScheduleView:
    """Change what the body names. It counts at once: a run that has not started yet is called off if it no longer is
    due, and gets the new input if it is."""
    schedule = wiring.scheduling().edit(
        author(caller, wiring.now()),
        schedule_id,
        body.settings.model_dump(exclude_unset=True),
        body.enabled if "enabled" in body.model_fields_set else None,
        etags.guard(if_match),
    )
    return _answer(schedule, response)


@router.delete("/{schedule_id}", status_code=204, responses=responses(404, 412))
def delete_schedule(schedule_id: Id, caller: Editor, if_match: IfMatch = None) -> None:
    """Remove a schedule, with its input. Its runs that have not started will not; the others go on and stay, as
    history."""
    scheduling, by = wiring.scheduling(), author(caller, wiring.now())
    scheduling.delete(by, schedule_id, etags.guard(if_match))
    scheduling.forget_inputs(caller.project_id, schedule_id)


@router.post("/{schedule_id}/pause", responses=responses(404))
def pause_schedule(
    schedule_id: Id,
    body: Annotated[PauseFields, Body(default_factory=PauseFields)],
    caller: Operator,
    response: Response,
) -> ScheduleView:
    """Have it fire no more until it is resumed. Its runs that have not started will not."""
    by = author(caller, wiring.now())
    return _answer(wiring.scheduling().pause(by, schedule_id, body.reason, etags.guard(None)), response)


@router.post("/{schedule_id}/resume", responses=responses(404))
def resume_schedule(schedule_id: Id, caller: Operator, response: Response) -> ScheduleView:
    """Have it fire again from now on. What fell into its pause was not missed."""
    by = author(caller, wiring.now())
    return _answer(wiring.scheduling().resume(by, schedule_id, etags.guard(None)), response)


@router.post("/{schedule_id}/trigger", status_code=202, responses={**starting.ENDED, **responses(404, 409)})
def trigger_schedule(
    schedule_id: Id,
    body: Annotated[TriggerFields, Body(default_factory=TriggerFields)],
    caller: Operator,
    once: OnlyOnce,
    response: Response,
    wait: Wait = 0,
) -> RunView:
    """Run it now, also while it is paused. 202 while the run is under way; 200 when it ended within `wait` seconds."""
    project, ordering = caller.project_id, orders(caller)
    schedule = wiring.schedules().get(project, schedule_id)
    said = body.model_dump(exclude_unset=True, exclude={"overlap"})
    run = once.do(
        caller,
        body,
        lambda work: existing(ordering.runs.get, project, work.id("run")),
        lambda work: trigger(schedule, said, body.overlap, work.id("run"), ordering),
    )
    return starting.started(starting.wait(run, wait), ordering, response)


@router.get("/{schedule_id}/runs", responses=responses(400, 404))
def list_schedule_runs(schedule_id: Id, caller: RunReader, paged: Paged, wanted: RunQuery) -> Page[Run]:
    """The runs of a schedule, newest first: those of its clock, those triggered by hand, and those of backfills."""
    project = caller.project_id
    wiring.schedules().get(project, schedule_id)
    filter = wanted.of(None, schedule_id)
    return paged.slice(project, wiring.runs().list(project, filter, limit=paged.limit, after=paged.after(project)))


def _answer(schedule: Schedule, response: Response) -> ScheduleView:
    return schedule_view(etags.stamp(response, schedule), wiring.now(), wiring.payloads())


def _in_bulk(caller: Caller) -> Author:
    return replace(author(caller, wiring.now()), in_bulk=True)


def _filter(workflow_id: str | None, wanted: ScheduleState | None) -> Callable[[Schedule], bool]:
    now = wiring.now()

    def admits(schedule: Schedule) -> bool:
        return workflow_id in (None, schedule.workflow_id) and wanted in (None, rules.state(schedule, now))

    return admits


def _switch_all(
    body: ScheduleSweep,
    caller: Caller,
    verb: str,
    admits: Callable[[Schedule], bool],
    switch: Callable[[Schedule], Schedule],
) -> SweepAnswer:
    project, until = caller.project_id, deadline()
    page = wiring.schedules().list(project, limit=body.limit, after=body.after(project, verb), admits=admits)
    if page.items:
        said: Detail = body.model_dump(mode="json", include={"workflow_id", "state"}, exclude_none=True)
        said["matched"] = len(page.items)
        note_bulk(author(caller, wiring.now()), f"schedules.{verb}d", said, wiring.audit())
    return body.answer(project, verb, sweeping.switch_all(page, until, switch))


# One noun, one chapter: whoever asks for schedules asks for these.
router.routes += [*previews.router.routes, *backfills.router.routes]
