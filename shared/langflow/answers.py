"""What LangFlow's good answers mean: pure functions from JSON to facts, for v2, v1 and background jobs.

Recorded from LangFlow 1.13.0; `tests/recordings/langflow/` holds the answers. A v2 run that failed is HTTP 200, too.
Answers echo the variables and tweaks they were called with, which may be secrets: only outputs are taken over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from shared.domain.attempt import Step, StepStatus
from shared.domain.flow import RemoteFlow
from shared.errors import Delivered, FlowFailure, cut
from shared.langflow import refusals
from shared.langflow.connection import Reply, array, mapping

MAX_STEP_ERROR_BYTES = 1000


@dataclass(frozen=True)
class FlowAnswer:
    """What a flow that completed gave.

    Args:
        text: the text of the chosen output, or of the only one; None when there are several or it is no text.
        output: `{component_id: {"display_name": …, "content": text or other JSON}}` of the chosen output or all.
        steps: one per component as far as the answer tells: outputs for a sync run, all components for a job.
        session_id: the conversation LangFlow filed the run under.
    """

    text: str | None
    output: dict[str, JsonValue]
    steps: tuple[Step, ...] = ()
    session_id: str | None = None


@dataclass(frozen=True)
class Running:
    """The job is queued or in progress: ask again later."""

    status: str


@dataclass(frozen=True)
class RemoteFlowPage:
    items: list[RemoteFlow] = field(default_factory=list)
    total: int | None = None
    next_page: int | None = None


@dataclass(frozen=True)
class _Output:
    """The result of one component, whatever API told it."""

    component_id: str
    display_name: str
    content: JsonValue
    failed: bool = False
    seconds: float | None = None

    @property
    def step(self) -> Step:
        status = StepStatus.failed if self.failed else StepStatus.completed
        return Step(
            name=self.display_name, component_id=self.component_id, status=status, duration_seconds=self.seconds
        )


def from_v2(reply: Reply, choice: str | None) -> FlowAnswer | Running:
    """The answer to a v2 run or to the question after a job; `choice` is the component whose output counts.

    Raises:
        FlowFailure: `flow_failed`, `timeout`, `cancelled`, `invalid_answer`.
    """
    body = mapping(reply.json())
    match body.get("status"):
        case "completed":
            found = [_v2_output(id, mapping(output)) for id, output in mapping(body.get("outputs")).items()]
            return _answer(found, choice, body)
        case "queued" | "in_progress" as status:
            return Running(status)
        case "failed":
            raise refusals.failed(_v2_reason(body), reply.status)
        case "suspended":
            raise refusals.failed(
                "The flow waits for a human's decision, which a scheduled run cannot give.", reply.status
            )
        case "cancelled":
            raise FlowFailure("cancelled", "LangFlow cancelled the job.", Delivered.yes)
        case "timed_out":
            raise FlowFailure("timeout", "LangFlow ended the job: it took too long.", Delivered.yes)
    raise refusals.garbage(reply)


def from_v1(reply: Reply, choice: str | None) -> FlowAnswer:
    """The answer to a v1 run: `outputs[i].outputs[j]` are the components.

    Raises:
        FlowFailure: `invalid_answer`.
    """
    body = reply.json()
    if not isinstance(body, dict) or not isinstance(body.get("outputs"), list):
        raise refusals.garbage(reply)
    parts = (mapping(part) for run in body["outputs"] for part in array(mapping(run).get("outputs")))
    return _answer([_v1_output(part) for part in parts], choice, body)


def job_id(reply: Reply) -> str:
    """The id of the job that a background run was accepted as. FlowFailure `invalid_answer` if there is none."""
    found = mapping(reply.json()).get("job_id")
    if not isinstance(found, str):
        raise refusals.garbage(reply)
    return found


def steps(reply: Reply) -> tuple[Step, ...]:
    """A step per component from the event stream of a job, in the order they ended.

    The stream is text/event-stream; of its events only `end_vertex` counts: `{build_data: {id, valid, params (the error
    text), data: {timedelta (seconds), …}}, output_meta: {display_name, …}}`.
    """
    builds = ((mapping(event.get("build_data")), mapping(event.get("output_meta"))) for event in _builds(reply))
    return tuple(_step(build, meta) for build, meta in builds if isinstance(build.get("id"), str))


def knows_jobs(reply: Reply) -> bool:
    """After a question for a job that cannot exist: does this server run background jobs?"""
    return reply.status == 404 and refusals.code_of(reply.json()) == "JOB_NOT_FOUND"


def flow_page(flows: list[Mapping[str, Any]], page: int, size: int) -> RemoteFlowPage:
    """Page `page` (from 1) of `flows` without components, in the order given."""
    items = [_remote_flow(flow) for flow in flows if isinstance(flow.get("id"), str) and not flow.get("is_component")]
    end = page * size
    return RemoteFlowPage(items[end - size : end], len(items), page + 1 if end < len(items) else None)


def definition_of_lfx(info: Mapping[str, Any]) -> dict[str, Any]:
    """What `lfx serve` tells of a flow, in the shape of a definition. It never shows the graph: `data` is None."""
    return {"id": info.get("id"), "name": info.get("title"), "description": info.get("description"), "data": None}


def _remote_flow(flow: Mapping[str, Any]) -> RemoteFlow:
    texts = {
        key: flow[key]
        for key in ("description", "folder_id", "icon", "endpoint_name", "updated_at")
        if isinstance(flow.get(key), str)
    }
    tags = tuple(tag for tag in array(flow.get("tags")) if isinstance(tag, str))
    return RemoteFlow(id=flow["id"], name=str(flow.get("name") or flow.get("title") or flow["id"]), tags=tags, **texts)


def _answer(found: list[_Output], choice: str | None, body: Mapping[str, Any]) -> FlowAnswer:
    chosen = [output for output in found if choice in (None, output.component_id)]
    texts = [output.content for output in chosen if isinstance(output.content, str)]
    session = body.get("session_id")
    return FlowAnswer(
        text=texts[0] if len(texts) == 1 else None,
        output={
            output.component_id: {"display_name": output.display_name, "content": output.content} for output in chosen
        },
        steps=tuple(output.step for output in found),
        session_id=session if isinstance(session, str) else None,
    )


def _v2_output(id: str, output: Mapping[str, Any]) -> _Output:
    name = output.get("display_name") or _component_name(id)
    return _Output(id, str(name), output.get("content"), failed=output.get("status") == "failed")


def _v1_output(part: Mapping[str, Any]) -> _Output:
    id = str(part.get("component_id"))
    name = part.get("component_display_name") or _component_name(id)
    return _Output(id, str(name), _v1_content(part), seconds=_number(part.get("timedelta")))


def _v1_content(part: Mapping[str, Any]) -> JsonValue:
    """The message's text at `results.<name>.text`, else what stands at `outputs.<name>.message`."""
    for result in mapping(part.get("results")).values():
        if isinstance(text := mapping(result).get("text"), str):
            return text
    for output in mapping(part.get("outputs")).values():
        content: JsonValue = mapping(output).get("message")
        return content
    return None


def _v2_reason(body: Mapping[str, Any]) -> str:
    errors = [str(mapping(error).get("error")) for error in array(body.get("errors"))]
    return "\n".join(errors) or "The flow failed without saying why."


def _builds(reply: Reply) -> Iterator[Mapping[str, Any]]:
    for line in reply.content.splitlines():
        # Looked at before it is parsed: the other events repeat every text of the run.
        if line.startswith(b"data: ") and b'"end_vertex"' in line[:40]:
            yield mapping(mapping(Reply(reply.status, line[6:]).json()).get("data"))


def _step(build: Mapping[str, Any], meta: Mapping[str, Any]) -> Step:
    id, well = build["id"], build.get("valid") is True
    return Step(
        name=str(meta.get("display_name") or _component_name(id)),
        component_id=id,
        status=StepStatus.completed if well else StepStatus.failed,
        duration_seconds=_number(mapping(build.get("data")).get("timedelta")),
        error=None if well else cut(str(build.get("params")), MAX_STEP_ERROR_BYTES),
    )


def _component_name(id: str) -> str:
    """Ids are `<Type>-<five letters>`: the type is a name where nothing better is told."""
    return id.rpartition("-")[0] or id


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
