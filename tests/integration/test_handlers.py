"""The handlers of executor, tick and dead letters on their sample events: AWS on moto, a LangFlow on loopback."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions.dead_letters.handler import handler as dead_letters
from functions.executor.handler import handler as executor
from functions.tick.handler import handler as tick
from shared import wiring
from shared.domain import message
from shared.domain.dead_letter import MAX_RETURNS, NO_PROJECT
from shared.domain.overlap import Overlap
from shared.domain.retry import RetryPolicy
from shared.domain.run import Run, RunStatus
from shared.domain.schedule import run_id
from shared.domain.workflow import WorkflowSettings
from shared.observability import logger
from tests.fakes import NOON
from tests.integration.conftest import Aws
from tests.integration.denials import acting_as
from tests.stub_langflow import ECHO, StubLangFlow
from tests.world import a_project, a_run, a_schedule, a_source, a_version, a_workflow

EVENTS = Path(__file__).parents[2] / "events"
ALL_FINE: dict[str, Any] = {"batchItemFailures": []}
GONE = "00000000-0000-4000-8000-0000000000ff"
PAST = NOON.replace(year=2020)

Event = dict[str, Any]
Handler = Callable[[Event, Any], Any]


def event(name: str) -> Event:
    loaded: Event = json.loads((EVENTS / name).read_text())
    return loaded


def context(seconds: float = 60) -> Any:
    return SimpleNamespace(
        function_name="spark-executor",
        function_version="7",
        memory_limit_in_mb=1024,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:spark-executor",
        aws_request_id="11111111-2222-3333-4444-555555555555",
        log_stream_name="2030/01/01/[$LATEST]0",
        get_remaining_time_in_millis=lambda: int(seconds * 1000),
    )


@pytest.fixture(autouse=True)
def roles(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each handler is refused what template.yaml denies its role in the table."""
    handlers = {"executor": executor, "tick": tick, "dead_letters": dead_letters}
    roles = {"executor": "ExecutorFunction", "tick": "TickFunction", "dead_letters": "DeadLettersFunction"}
    for name, handler in handlers.items():
        monkeypatch.setitem(globals(), name, acting(roles[name], handler, aws))


def acting(role: str, handler: Handler, aws: Aws) -> Handler:
    def act(event: Event, context: Any) -> Any:
        with acting_as(role, aws.dynamodb):
            return handler(event, context)

    return act


@pytest.fixture(scope="module")
def server() -> Iterator[StubLangFlow]:
    with StubLangFlow() as stub:
        yield stub


@pytest.fixture
def langflow(server: StubLangFlow, aws: Aws) -> StubLangFlow:
    """A LangFlow, a source that names it, and a workflow of its echo flow."""
    server.reset()
    key = wiring.cipher().encrypt("default", "lf-secret-key")
    wiring.sources().save(None, a_source(url=server.url, encrypted_key=key))
    settings = WorkflowSettings(name="Echo", retry=RetryPolicy(initial_seconds=0))
    workflow = wiring.workflows().save(None, a_workflow(flow_id=ECHO, settings=settings))
    wiring.workflows().save_version(a_version(workflow))
    return server


def store(*runs: Run) -> None:
    assert all(wiring.runs().add(runs))


def run(number: int = 1) -> Run:
    return wiring.runs().get("default", a_run(number).id)


def due(aws: Aws) -> Event:
    """What comes out of the run queue within the second that a short wait is rounded up to, as an event."""
    sample = event("sqs_run.json")["Records"][0]
    end = time.monotonic() + 5
    while not (bodies := aws.messages()) and time.monotonic() < end:
        time.sleep(0.05)
    return {"Records": [{**sample, "messageId": f"m-{n}", "body": json.dumps(body)} for n, body in enumerate(bodies)]}


# ------------------------------------------------------------------------------------------------ executor


def test_a_message_runs_its_flow(langflow: StubLangFlow) -> None:
    store(a_run(1, retention_days=30))

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    done = run()
    assert (done.status, done.attempt, done.turn) == ("completed", 1, 1)
    assert done.expires_at is not None
    (page,) = wiring.runs().pages("default", done.id)
    assert (page.output, page.worker) == ("Hello", "2030/01/01/[$LATEST]0")
    assert [step.name for step in page.steps] == ["Chat Output"]
    assert langflow.calls()["headers"]["x-api-key"] == "lf-secret-key"
    assert langflow.calls()["headers"]["x-correlation-id"] == "c-1"


def test_the_key_of_a_source_is_nowhere_in_the_table(langflow: StubLangFlow, aws: Aws) -> None:
    store(a_run())
    executor(event("sqs_run.json"), context())

    assert "lf-secret-key" not in str(aws.items())


def test_a_batch_with_a_duplicate_runs_each_flow_once(langflow: StubLangFlow) -> None:
    store(*(a_run(number, input=f"input {number}") for number in (1, 2, 3)))

    assert executor(event("sqs_batch.json"), context()) == ALL_FINE

    assert langflow.calls()["calls"] == {ECHO: {"input 1": 1, "input 2": 1, "input 3": 1}}
    assert [run(number).status for number in (1, 2, 3)] == ["completed"] * 3


def test_the_same_event_again_does_nothing(langflow: StubLangFlow, aws: Aws) -> None:
    store(*(a_run(number) for number in (1, 2, 3)))
    executor(event("sqs_batch.json"), context())
    before = sorted(map(str, aws.items()))

    assert executor(event("sqs_batch.json"), context()) == ALL_FINE

    assert sorted(map(str, aws.items())) == before
    assert langflow.calls()["total"] == 3


def test_messages_that_nobody_can_read_are_kept_and_harm_no_other(langflow: StubLangFlow) -> None:
    store(a_run())
    poison = event("sqs_poison.json")

    for _ in range(2):
        assert executor(poison, context()) == ALL_FINE

    assert run().status == "completed"
    kept = wiring.dead_letters().list(NO_PROJECT, limit=10).items
    bodies = [record["body"] for record in poison["Records"] if "run_01" not in record["body"]]
    assert len(bodies) == 3
    assert sorted(letter.body for letter in kept) == sorted(bodies)


def test_a_table_that_cannot_be_reached_keeps_all_messages(langflow: StubLangFlow, aws: Aws) -> None:
    aws.dynamodb.delete_table(TableName=aws.table)

    answer = executor(event("sqs_batch.json"), context())

    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == [
        record["messageId"] for record in event("sqs_batch.json")["Records"]
    ]
    assert langflow.calls()["total"] == 0


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("fail", "failed", "flow_failed"),
        ("garbage", "failed", "invalid_answer"),
        ("huge", "failed", "output_too_large"),
        ("refuse_key", "failed", "upstream_refused"),
        ("unavailable", "pending", "upstream_unavailable"),
        ("disconnect", "pending", "disconnected"),
        ("hang", "pending", "timeout"),
    ],
)
def test_a_langflow_that_misbehaves_is_understood(langflow: StubLangFlow, mode: str, status: str, code: str) -> None:
    langflow.set(mode)
    store(a_run(timeout_seconds=1))

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    ended = run()
    assert ended.status == status
    assert ended.error is not None
    assert ended.error.code == code
    assert ended.error.retryable is (status == "pending")
    assert ended.may_have_run_before is (mode in ("disconnect", "hang"))
    assert ended.turn == (2 if status == "pending" else 1)


def test_a_source_that_is_not_there_is_tried_again(langflow: StubLangFlow, aws: Aws) -> None:
    source = wiring.sources().get("default", a_source().id)
    wiring.sources().save(source, source.model_copy(update={"url": "http://127.0.0.1:9"}))
    store(a_run())

    executor(event("sqs_run.json"), context())

    ended = run()
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("pending", "upstream_unavailable")
    assert ended.may_have_run_before is False


def test_a_flow_that_is_gone_fails_its_run(langflow: StubLangFlow) -> None:
    version = wiring.workflows().get_version("default", a_workflow().id, 1)
    wiring.workflows().save_version(version.model_copy(update={"number": 2, "flow_id": GONE, "revision": 0}))
    store(a_run(workflow_version=2))

    executor(event("sqs_run.json"), context())

    ended = run()
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "flow_not_found")


def test_a_flow_that_fails_for_a_while_is_tried_again_until_it_works(langflow: StubLangFlow, aws: Aws) -> None:
    langflow.set("disconnect")
    store(a_run())
    executor(event("sqs_run.json"), context())
    langflow.set("ok")

    executor(due(aws), context())

    done = run()
    assert (done.status, done.attempt, done.turn, done.may_have_run_before) == ("completed", 2, 3, True)
    assert [page.number for page in wiring.runs().pages("default", done.id)] == [1, 2]


def test_large_inputs_and_outputs_live_in_the_bucket(langflow: StubLangFlow, aws: Aws) -> None:
    text = "ü" * 10_000
    wiring.payloads().put_json("expire-30/default/input.json", text)
    store(a_run(input=None, input_key="expire-30/default/input.json", retention_days=30))

    executor(event("sqs_run.json"), context())

    (page,) = wiring.runs().pages("default", run().id)
    assert page.output is None
    assert page.output_key == f"expire-30/default/runs/{run().id}/output-1.json"
    assert wiring.payloads().get_json(page.output_key) == text
    assert page.output_bytes == 20_002


def test_a_background_job_is_followed_from_message_to_message(langflow: StubLangFlow, aws: Aws) -> None:
    langflow.set("ok", delay_ms=1000)
    store(a_run(timeout_seconds=600))

    executor(event("sqs_run.json"), context())
    waiting = run()
    assert waiting.awaits_job
    assert langflow.calls()["jobs"] == 1

    # SQS would hold the next message back for two seconds.
    wiring.runs().save(waiting, waiting.model_copy(update={"not_before": PAST}))
    langflow.set("ok", delay_ms=0)
    message = {"project_id": "default", "run_id": waiting.id, "turn": waiting.turn}
    sample = event("sqs_run.json")["Records"][0]
    while not run().is_final:
        message["turn"] = run().turn
        executor({"Records": [{**sample, "body": json.dumps(message)}]}, context())
        if not run().is_final:
            wiring.runs().save(run(), run().model_copy(update={"not_before": PAST}))

    assert (run().status, run().attempt) == ("completed", 1)
    (page,) = wiring.runs().pages("default", run().id)
    assert page.output == "Hello"
    assert langflow.calls()["jobs"] == 1


def test_an_executor_counts_and_logs_what_it_did(
    langflow: StubLangFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    store(a_run())

    executor(event("sqs_run.json"), context())

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (saved,) = [line for line in lines if line["message"] == "run.saved"]
    assert (saved["run_id"], saved["correlation_id"], saved["status"]) == (run().id, "c-1", "completed")
    counted = capsys.readouterr().out
    assert '"RunsCompleted":[1.0]' in counted
    assert '"RunLateness":[' in counted
    assert "lf-secret-key" not in log.getvalue()


def test_a_batch_that_fails_is_counted_for_lambda_takes_it_for_a_success(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wiring, "executor", fails)

    answer = executor(event("sqs_run.json"), context())

    assert len(answer["batchItemFailures"]) == 1
    counted = capsys.readouterr().out
    assert '"BatchesFailed":[1.0]' in counted
    assert '"version":"7"' in counted
    assert '"FailuresOfVersion":[1.0]' in counted


def fails() -> None:
    raise RuntimeError("unforeseen")


# ------------------------------------------------------------------------------------------------ tick


def test_a_tick_sends_what_waits_and_ends_what_was_lost(langflow: StubLangFlow, aws: Aws) -> None:
    held = {"status": RunStatus.running, "turn": 1, "attempt": 1, "wake_at": PAST}
    store(
        a_run(1, wake_at=PAST),
        a_run(2, lease_until=PAST, **held),
        a_run(3, lease_until=wiring.now() + timedelta(minutes=5), **held),
        a_run(4),
    )

    answer = tick(event("eventbridge_tick.json"), context())

    assert (answer["resent"], answer["postponed"], answer["lost"], answer["complete"]) == (1, 1, 1, True)
    assert run(1).id in {json.loads(record["body"])["run_id"] for record in due(aws)["Records"]}
    assert run(2).turn == 2
    assert [run(number).status for number in (1, 2, 3, 4)] == ["pending", "pending", "running", "pending"]


@pytest.mark.parametrize(("more", "name"), [({}, "Ticks"), ({"shard": "03"}, "ShardTicks")])
def test_a_shard_that_was_handed_on_does_not_count_as_a_tick(
    aws: Aws, capsys: pytest.CaptureFixture[str], more: Event, name: str
) -> None:
    """Else it would cover for ticks that are gone."""
    tick({**event("eventbridge_tick.json"), **more}, context())

    assert re.findall(r'"((?:Shard)?Ticks)":\[1.0\]', capsys.readouterr().out) == [name]


def test_a_tick_without_time_leaves_the_rest_to_the_next(langflow: StubLangFlow, aws: Aws) -> None:
    store(a_run(1, wake_at=PAST))

    assert tick(event("eventbridge_tick.json"), context(seconds=5))["complete"] is False
    assert tick(event("eventbridge_tick.json"), context())["resent"] == 1


# ------------------------------------------------------------------------------------------------ dead letters


def test_a_dead_message_that_cannot_be_dealt_with_is_counted_and_comes_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wiring, "dead_letters", fails)

    answer = dead_letters(event("dlq_run.json"), context())

    assert len(answer["batchItemFailures"]) == 1
    assert '"MessagesNotBuried":[1.0]' in capsys.readouterr().out


def test_a_run_from_the_dead_letter_queue_is_given_back_and_in_the_end_given_up(aws: Aws) -> None:
    store(a_run())

    for returns in range(1, MAX_RETURNS + 1):
        assert dead_letters(event("dlq_run.json"), context()) == ALL_FINE
        assert (run().status, run().returns) == ("pending", returns)
    assert dead_letters(event("dlq_run.json"), context()) == ALL_FINE

    assert run().status == "failed"
    (letter,) = wiring.dead_letters().list("default", limit=10).items
    assert letter.run_id == run().id


def test_a_run_of_a_schedule_that_is_given_up_lets_the_next_one_go_and_counts_as_failed(aws: Aws) -> None:
    made = PAST - timedelta(days=1)
    wiring.projects().ensure(a_project())
    schedule = wiring.schedules().save(None, a_schedule(created_at=made, overlap="queue_all", pause_after_failures=1))
    facts = {"schedule_id": schedule.id, "overlap": "queue_all"}
    store(a_run(1, id=run_id(schedule, PAST), returns=MAX_RETURNS, **facts), a_run(2, **facts))
    first = wiring.runs().get("default", run_id(schedule, PAST))
    assert [wiring.enter(each, Overlap.queue_all) for each in (first, run(2))] == [True, False]
    letter = event("dlq_run.json")
    letter["Records"][0]["body"] = message.announce(first).message.model_dump_json()

    assert dead_letters(letter, context()) == ALL_FINE

    assert wiring.runs().get("default", first.id).status == "failed"
    assert wiring.schedules().get_slot("default", schedule.id).holder == run(2).id
    assert [each["run_id"] for each in aws.messages()] == [run(2).id]
    assert wiring.schedules().get("default", schedule.id).pause_reason == "1 failed runs in a row."


def test_what_nobody_can_read_is_kept_beside_what_can_be(aws: Aws) -> None:
    store(a_run())

    assert dead_letters(event("dlq_unreadable.json"), context()) == ALL_FINE

    assert run().returns == 1
    (letter,) = wiring.dead_letters().list(NO_PROJECT, limit=10).items
    assert letter.body == event("dlq_unreadable.json")["Records"][0]["body"]


def test_a_dead_letter_that_cannot_be_written_comes_again(aws: Aws) -> None:
    aws.dynamodb.delete_table(TableName=aws.table)

    answer = dead_letters(event("dlq_unreadable.json"), context())

    assert len(answer["batchItemFailures"]) == 2
