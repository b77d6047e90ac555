"""From a run to its spans."""

import json
from datetime import timedelta
from typing import Any

import pytest
from ulid import ULID

from shared.domain import tracing
from shared.domain.attempt import Attempt
from shared.domain.run import Origin, Run, RunError, RunStatus
from shared.domain.tracing import Kind, Span, Told
from shared.otlp import encode
from tests.fakes import NOON
from tests.world import a_run, a_source, a_version, a_workflow

SECOND = timedelta(seconds=1)
FAILED = RunError(code="flow_failed", message="Cannot answer: my secret question", retryable=True, attempt=1)


def an_attempt(run: Run, number: int = 1, **changes: Any) -> Attempt:
    at = NOON + number * SECOND
    facts = {"project_id": run.project_id, "run_id": run.id, "number": number}
    return Attempt(**{**facts, "started_at": at, "ended_at": at + SECOND, **changes})


def ended(**changes: Any) -> Run:
    facts = {"status": RunStatus.completed, "attempt": 1, "created_at": NOON, "finished_at": NOON + 5 * SECOND}
    return a_run(**{**facts, **changes})


def spans_of(run: Run, page: Attempt | None = None, *, content: bool = False, **source: Any) -> list[Span]:
    told = Told(run, page, a_version(a_workflow()), a_source(**source))
    return list(tracing.spans(told, content=content))


def test_a_run_that_succeeds_at_once_is_a_whole_and_an_attempt_of_one_trace() -> None:
    run = ended()

    attempt, whole = spans_of(run, an_attempt(run))

    assert attempt.trace_id == whole.trace_id == ULID.from_str(run.id.partition("_")[2]).bytes
    assert (whole.parent_id, attempt.parent_id) == (None, whole.id)
    assert (whole.kind, attempt.kind) == (Kind.internal, Kind.client)
    assert (whole.start, whole.end) == (NOON, NOON + 5 * SECOND)
    assert (attempt.start, attempt.end) == (NOON + SECOND, NOON + 2 * SECOND)
    assert (whole.error, attempt.error) == (None, None)


def test_names_and_attributes_are_those_of_the_conventions() -> None:
    run = ended(session_id="chat-7", correlation_id="c-9")
    version = a_version(a_workflow())

    attempt, whole = spans_of(run, an_attempt(run), url="https://langflow.test/base", content=True)

    name = version.settings.name
    assert (whole.name, attempt.name) == (f"invoke_workflow {name}", f"invoke_agent {name}")
    assert dict(whole.attributes) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": name,
        "gen_ai.conversation.id": "chat-7",
        "spark.run.id": run.id,
        "spark.correlation_id": "c-9",
        "spark.project.id": "default",
        "spark.workflow.id": run.workflow_id,
        "spark.workflow.version": 1,
        "spark.run.origin": "api",
        "spark.run.status": "completed",
        "spark.run.attempts": 1,
        "spark.run.may_have_run_before": False,
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]',
    }
    assert dict(attempt.attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "langflow",
        "gen_ai.agent.id": version.flow_id,
        "gen_ai.agent.name": name,
        "gen_ai.agent.version": "1",
        "gen_ai.conversation.id": "chat-7",
        "spark.run.id": run.id,
        "spark.correlation_id": "c-9",
        "server.address": "langflow.test",
        "server.port": 443,
        "spark.source.id": a_source().id,
        "spark.attempt.number": 1,
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]',
    }


def test_the_conversation_of_a_run_without_a_session_is_the_run() -> None:
    run = ended()
    assert spans_of(run)[0].attributes["gen_ai.conversation.id"] == run.id


def test_an_attempt_that_is_to_be_repeated_is_told_alone() -> None:
    run = a_run(status=RunStatus.pending, attempt=1, error=FAILED)

    (attempt,) = spans_of(run, an_attempt(run, error=FAILED))

    assert attempt.error == attempt.attributes["error.type"] == "flow_failed"
    assert attempt.attributes["spark.attempt.retryable"] is True


def test_attempts_of_several_executors_meet_in_one_trace() -> None:
    first, second = a_run(status=RunStatus.pending, attempt=1), ended(attempt=2)

    (one,) = spans_of(first, an_attempt(first, 1, error=FAILED))
    two, whole = spans_of(second, an_attempt(second, 2))

    assert one.trace_id == two.trace_id
    assert one.parent_id == two.parent_id == whole.id
    assert len({one.id, two.id, whole.id}) == 3


def test_a_job_that_goes_on_is_not_told() -> None:
    assert spans_of(a_run(status=RunStatus.running, attempt=1)) == []


def test_a_job_that_was_just_handed_over_is_not_told() -> None:
    run = a_run(status=RunStatus.running, attempt=1)
    assert spans_of(run, an_attempt(run, ended_at=None)) == []


def test_a_failed_run_says_by_which_code() -> None:
    (whole,) = spans_of(ended(status=RunStatus.failed, error=FAILED))
    assert whole.error == whole.attributes["error.type"] == "flow_failed"


def test_a_cancelled_run_has_not_failed() -> None:
    (whole,) = spans_of(ended(status=RunStatus.cancelled, error=FAILED))
    assert whole.error is None
    assert "error.type" not in whole.attributes
    assert whole.attributes["spark.run.status"] == "cancelled"


def test_the_run_of_a_schedule_lasts_from_its_occurrence_on() -> None:
    made = {"origin": Origin.schedule, "schedule_id": "sch_1", "scheduled_for": NOON - 3 * SECOND}
    (whole,) = spans_of(ended(**made, started_at=NOON))
    assert whole.start == NOON - 3 * SECOND
    assert whole.attributes["spark.schedule.id"] == "sch_1"
    assert whole.attributes["spark.schedule.time"] == "2030-01-01T11:59:57.000Z"


def test_one_that_began_a_moment_early_holds_its_attempt() -> None:
    made = {"origin": Origin.schedule, "scheduled_for": NOON, "started_at": NOON - SECOND / 2}
    assert spans_of(ended(**made))[0].start == NOON - SECOND / 2


def test_the_run_of_a_backfill_did_not_last_since_the_past_that_it_is_of() -> None:
    made = {"origin": Origin.backfill, "scheduled_for": NOON.replace(year=2020)}
    assert spans_of(ended(**made))[0].start == NOON


@pytest.mark.parametrize("number", ["req_01J8ZQ4W2M3N5P7R9T0V1X3Y5Z", "run_01J8ZQ4W2M3N5P7R9T0V1X3Y5Z"])
def test_a_correlation_id_that_spark_made_says_nothing_of_anybody(number: str) -> None:
    (whole,) = spans_of(ended(correlation_id=number))
    assert whole.attributes["spark.correlation_id"] == number


def test_no_text_of_whoever_asked_for_the_run_leaves_unasked() -> None:
    """Each text that a run can have of somebody else is a name here, and none of them is in the request's body."""
    caller = "ann@example.com"
    error = FAILED.model_copy(update={"message": caller})
    named = {"session_id": caller, "correlation_id": caller, "created_by": caller, "claimed_by": caller}
    run = ended(status=RunStatus.failed, input=caller, tweaks={caller: {"to": caller}}, error=error, **named)
    page = an_attempt(run, output=caller, error=error, worker=caller)
    assert caller.encode() not in encode(spans_of(run, page), "prod")
    assert caller.encode() in encode(spans_of(run, page, content=True), "prod")


@pytest.mark.parametrize("part", ["my secret question", "my secret answer"])
def test_nothing_of_what_went_in_or_came_out_is_told_unasked(part: str) -> None:
    run = ended(status=RunStatus.failed, error=FAILED, input="my secret question", tweaks={"c": {"x": part}})
    told = spans_of(run, an_attempt(run, output="my secret answer", error=FAILED))
    assert part not in repr(told)


def test_where_it_is_asked_for_input_and_output_are_messages() -> None:
    run = ended(input="Who?", tweaks={"c": {"api_key": "sk-1"}})

    told = spans_of(run, an_attempt(run, output={"text": "Ann"}), content=True)

    for span in told:
        asked, answered = (json.loads(str(span.attributes[f"gen_ai.{way}.messages"])) for way in ("input", "output"))
        assert asked == [{"role": "user", "parts": [{"type": "text", "content": "Who?"}]}]
        text = {"type": "text", "content": '{"text": "Ann"}'}
        assert answered == [{"role": "assistant", "parts": [text], "finish_reason": "stop"}]
    assert "sk-1" not in repr(told)


def test_where_it_is_asked_for_the_words_of_a_failure_are_told() -> None:
    run = ended(status=RunStatus.failed, error=FAILED)
    assert [span.message for span in spans_of(run, an_attempt(run, error=FAILED), content=True)] == [FAILED.message] * 2


def test_large_texts_stay_where_they_are() -> None:
    run = ended(input=None, input_key="keep/input.json")
    attempt, _ = spans_of(run, an_attempt(run, output_key="keep/output.json"), content=True)
    assert not [name for name in attempt.attributes if name.endswith(".messages")]


def test_langflow_is_told_which_span_its_own_belong_below() -> None:
    run = ended()
    attempt, _ = spans_of(run, an_attempt(run))
    assert tracing.traceparent(run) == f"00-{attempt.trace_id.hex()}-{attempt.id.hex()}-01"
