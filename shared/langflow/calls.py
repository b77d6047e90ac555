"""What is asked of LangFlow: one run of one flow, and how v2 and v1 want it said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.domain.attempt import Step
from shared.domain.flow import looks_secret
from shared.langflow.connection import mapping

# The field that takes a component's text, by the type its id begins with. The chat input takes it by itself.
TEXT_FIELDS = {"Webhook": "data"}
SHORTEST_SECRET = 6  # shorter values are in too many words to be blanked out of messages


@dataclass(frozen=True)
class FlowCall:
    """One run of one flow.

    Args:
        flow_id: the flow's UUID; v2 takes no names.
        input_value: the run's input as text. LangFlow would take an object as no input at all, and answer 200.
        session_id: the conversation. Without one LangFlow uses the flow's id: all runs then share one chat history.
        tweaks: `{component_id: {field: value}}`. Refused by `lfx`.
        input_component: id of the component that gets the text; None is the chat input. Any other gets it by tweak.
        output_component: id of the component whose output counts; None is all of them.
        timeout_seconds: for the whole call. LangFlow itself ends sync runs after 300.
        idempotency_key: of background jobs; LangFlow compares it across flows, so the flow's id belongs inside.
        traceparent: the W3C header by which LangFlow's spans join a trace; None where nobody traces.
    """

    flow_id: str
    input_value: str = ""
    session_id: str | None = None
    tweaks: Mapping[str, Any] = field(default_factory=dict)
    input_component: str | None = None
    output_component: str | None = None
    timeout_seconds: float = 120.0
    idempotency_key: str | None = None
    traceparent: str | None = None


def headers(call: FlowCall) -> dict[str, str]:
    return {"traceparent": call.traceparent} if call.traceparent is not None else {}


def v2_body(call: FlowCall) -> dict[str, Any]:
    """Only what is set: `lfx` refuses tweaks even when empty-handed callers mean nothing by them."""
    tweaks = _tweaks(call)
    body: dict[str, Any] = {"flow_id": call.flow_id, "mode": "sync"}
    if _component_type(call) == "ChatInput":
        body["input_value"] = call.input_value
    if tweaks:
        body["tweaks"] = tweaks
    if call.session_id is not None:
        body["session_id"] = call.session_id
    if call.output_component is not None:
        body["output_ids"] = [call.output_component]
    return body


def v1_body(call: FlowCall) -> dict[str, Any]:
    """v1 ignores what it does not understand, so the types are spelt out: `any` reaches every input and output."""
    body: dict[str, Any] = {"input_type": "any", "output_type": "any", "tweaks": _tweaks(call)}
    if _component_type(call) == "ChatInput":
        body["input_value"] = call.input_value
    if call.session_id is not None:
        body["session_id"] = call.session_id
    return body


def _tweaks(call: FlowCall) -> dict[str, Any]:
    """The call's tweaks, and the text for an input that is no chat input."""
    tweaks = dict(call.tweaks)
    type_ = _component_type(call)
    if call.input_component is not None and type_ != "ChatInput":
        text = {TEXT_FIELDS.get(type_, "input_value"): call.input_value}
        tweaks[call.input_component] = {**mapping(tweaks.get(call.input_component)), **text}
    return tweaks


def _component_type(call: FlowCall) -> str:
    """Ids are `<Type>-<five letters>`."""
    return "ChatInput" if call.input_component is None else call.input_component.partition("-")[0]


def secrets(tweaks: Mapping[str, Any], key: str | None) -> list[str]:
    """What must not be repeated: the key, and tweaks of fields that look like credentials."""
    fields = [entry for component in tweaks.values() for entry in mapping(component).items()]
    typed = [value for name, value in fields if isinstance(value, str) and looks_secret(name)]
    return [secret for secret in (key or "", *typed) if len(secret) >= SHORTEST_SECRET]


def without(steps: Iterable[Step], secrets: Sequence[str]) -> tuple[Step, ...]:
    """`steps` with each of `secrets` starred out of their errors."""
    return tuple(step.model_copy(update={"error": _starred(step.error, secrets)}) for step in steps)


def _starred(text: str | None, secrets: Sequence[str]) -> str | None:
    for secret in secrets:
        text = text.replace(secret, "***") if text else text
    return text


def fits_header(text: str) -> bool:
    return text.isascii() and text.isprintable()
