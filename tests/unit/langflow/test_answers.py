"""Answers that no recording has: data instead of text, states of a job, events half understood."""

import json
from typing import Any

import pytest

from shared.domain.attempt import StepStatus
from shared.errors import Delivered, FlowFailure
from shared.langflow import answers
from shared.langflow.connection import Reply


def reply(body: Any) -> Reply:
    return Reply(200, json.dumps(body).encode())


def v1_answer(**part: Any) -> answers.FlowAnswer:
    return answers.from_v1(reply({"outputs": [{"outputs": [{"component_id": "DataOutput-x", **part}]}]}), None)


def test_data_of_a_v1_output_is_no_text() -> None:
    answer = v1_answer(results={"data": {"data": {"a": 1}}}, outputs={"data": {"message": {"a": 1}, "type": "object"}})
    assert answer.text is None
    assert answer.output == {"DataOutput-x": {"display_name": "DataOutput", "content": {"a": 1}}}


def test_a_v1_output_without_content_has_none() -> None:
    assert v1_answer().output == {"DataOutput-x": {"display_name": "DataOutput", "content": None}}


def test_a_v1_output_may_tell_its_duration() -> None:
    assert v1_answer(timedelta=0.25).steps[0].duration_seconds == 0.25


def test_data_beside_one_text_leaves_the_text() -> None:
    outputs = {"ChatOutput-x": {"content": "hi"}, "DataOutput-x": {"content": {"a": 1}}}
    answer = answers.from_v2(reply({"status": "completed", "outputs": outputs}), None)
    assert isinstance(answer, answers.FlowAnswer)
    assert (answer.text, sorted(answer.output)) == ("hi", ["ChatOutput-x", "DataOutput-x"])


def test_an_empty_text_is_a_text() -> None:
    answer = answers.from_v2(reply({"status": "completed", "outputs": {"ChatOutput-x": {"content": ""}}}), None)
    assert getattr(answer, "text", None) == ""


def test_a_component_that_failed_is_a_failed_step() -> None:
    outputs = {"ChatOutput-x": {"status": "failed", "content": None}}
    answer = answers.from_v2(reply({"status": "completed", "outputs": outputs}), None)
    assert [step.status for step in getattr(answer, "steps", ())] == [StepStatus.failed]


def test_a_job_that_timed_out_ran() -> None:
    with pytest.raises(FlowFailure) as failure:
        answers.from_v2(reply({"status": "timed_out"}), None)
    assert (failure.value.code, failure.value.delivered) == ("timeout", Delivered.yes)


def test_a_failure_without_words_is_a_failure() -> None:
    with pytest.raises(FlowFailure, match="without saying why"):
        answers.from_v2(reply({"status": "failed", "errors": []}), None)


def test_events_that_cannot_be_read_are_passed_over() -> None:
    events = b'data: {"event": "end_vertex", "data": {\n\ndata: not json\n\nid: 3\n\n: comment\n\n'
    assert answers.steps(Reply(200, events)) == ()


def test_the_error_of_a_step_is_cut() -> None:
    build = {"build_data": {"id": "A-1", "valid": False, "params": "x" * 5000}}
    events = f"data: {json.dumps({'event': 'end_vertex', 'data': build})}\n".encode()
    (step,) = answers.steps(Reply(200, events))
    assert len((step.error or "").encode()) == answers.MAX_STEP_ERROR_BYTES
