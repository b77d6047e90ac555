"""Whatever LangFlow answers or exports: no surprise but a failure that we know, and no secret kept."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import flow
from shared.domain.source import Dialect
from shared.errors import FlowFailure
from shared.langflow import FlowAnswer, FlowCall, LangFlow, Stopper

ANSWER_KEYS = ["status", "outputs", "output", "errors", "error", "detail", "code", "message", "content", "results"]
FLOW_KEYS = ["data", "nodes", "node", "template", "type", "id", "display_name", "component_id", "session_id", "text"]
FIELD_KEYS = ["value", "name", "key", "headers", "password", "load_from_db", "api_key"]
KEYS = st.sampled_from([*ANSWER_KEYS, *FLOW_KEYS, *FIELD_KEYS])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
WORDS = st.sampled_from(
    ["completed", "failed", "queued", "FLOW_NOT_FOUND", "JOB_FAILED", "Not Found", '{"message": 3}']
)
JSON = st.recursive(
    LEAVES | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
STATUS = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 405, 408, 409, 422, 429, 500, 502, 503, 504])


def client(status: int, body: Any, dialect: Dialect) -> LangFlow:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
    return LangFlow("http://flows.test", "key", dialect=dialect, transport=transport)


def outcome(call: Callable[[], object]) -> object:
    """What `call` returns, or the failure it raises; nothing else may be raised."""
    try:
        return call()
    except FlowFailure as failure:
        return failure


@given(STATUS, JSON, st.sampled_from(Dialect))
def test_any_answer_is_an_answer_or_a_failure(status: int, body: Any, dialect: Dialect) -> None:
    answer = outcome(lambda: client(status, body, dialect).run(FlowCall("f"), Stopper()))
    assert isinstance(answer, FlowFailure) or (status < 300 and isinstance(answer, FlowAnswer))


@given(STATUS, JSON)
def test_any_state_of_a_job_is_understood_or_a_failure(status: int, body: Any) -> None:
    asked = client(status, body, Dialect.langflow_v2)
    assert asked.stop("j") is (status < 300)
    assert outcome(lambda: asked.poll("j"))


@given(STATUS, JSON, st.sampled_from(Dialect))
def test_looking_at_a_server_never_raises(status: int, body: Any, dialect: Dialect) -> None:
    client(status, body, dialect).check()


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_any_definition_can_be_looked_at(definition: dict[str, Any]) -> None:
    kept = flow.scrub(definition)
    assert flow.scrub(kept) == kept
    assert flow.digest(kept) == flow.digest(definition)
    assert all(component.id for component in (*flow.inputs(definition), *flow.outputs(definition)))
    assert flow.metadata(definition)


@given(JSON)
def test_no_password_survives(value: Any) -> None:
    """A typed secret of any shape, wherever the field stands."""
    secret = "correct horse battery"
    fields = {"any": {"password": True, "value": [value, secret, {"deep": secret}]}, "db_password": {"value": secret}}
    definition = {"data": {"nodes": [{"data": {"node": {"template": fields, "note": value}}}]}}
    assert secret not in json.dumps(flow.scrub(definition))


def test_the_strategy_reaches_good_answers() -> None:
    """The properties above would hold emptily if every example were garbage."""
    assert client(200, {"status": "completed", "outputs": {}}, Dialect.langflow_v2).run(FlowCall("f"), Stopper())
    with pytest.raises(FlowFailure):
        client(200, [], Dialect.langflow_v2).run(FlowCall("f"), Stopper())
