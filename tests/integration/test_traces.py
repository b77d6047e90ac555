"""Traces of runs, from an executor to the process of a receiver that is not ours: AWS on moto, all else on loopback."""

import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from cli.local import ports
from functions.executor.handler import handler as executor
from shared import wiring
from shared.domain import tracing
from shared.domain.receiver import NO_ADDRESS, NOT_ENCRYPTED
from shared.domain.run import Run
from shared.observability import logger
from shared.services.exporting import LONGEST_SECONDS
from shared.wiring import RECEIVER_SECONDS
from tests.integration.conftest import Aws, forget
from tests.integration.test_handlers import ALL_FINE, PAST, context, due, event, langflow, server
from tests.otlp_receiver import Receiver, receiver
from tests.stub_langflow import ECHO, StubLangFlow
from tests.world import a_run

__all__ = ["langflow", "server"]  # fixtures

KEY = "lw-key-of-the-receiver"
Export = Callable[..., None]


@pytest.fixture(scope="module")
def langwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture
def traces(langwatch: Receiver) -> Receiver:
    langwatch.clear()
    return langwatch


@pytest.fixture
def export(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Export to an endpoint from now on, in a new environment."""

    def to(endpoint: str, **more: str) -> None:
        settings = {"endpoint": endpoint, **more}
        for name, value in settings.items():
            monkeypatch.setenv(f"SPARK_OTLP_{name.upper()}", value)
        forget()

    return to


@pytest.fixture
def secret(aws: Aws) -> str:
    """Where the headers of the receiver are; moto keeps secrets of other tests."""
    name, value = f"otlp-{aws.table}", json.dumps({"Authorization": f"Bearer {KEY}"})
    return str(aws.secrets.create_secret(Name=name, SecretString=value)["ARN"])


def store(run: Run) -> None:
    assert all(wiring.runs().add([run]))


def stored() -> Run:
    return wiring.runs().get("default", a_run().id)


def test_a_run_is_a_trace_that_a_receiver_understands(
    langflow: StubLangFlow, traces: Receiver, export: Export, secret: str
) -> None:
    export(traces.url, secret_id=secret)
    store(a_run(created_at=PAST))

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    attempt, whole = traces.spans()
    run = stored()
    assert run.status == "completed"
    assert (whole["name"], attempt["name"]) == ("invoke_workflow Echo", "invoke_agent Echo")
    assert whole["trace_id"] == attempt["trace_id"] == tracing.trace_id(run).hex()
    assert attempt["parent_span_id"] == whole["span_id"]
    assert (whole["kind"], attempt["kind"]) == ("SPAN_KIND_INTERNAL", "SPAN_KIND_CLIENT")
    assert whole["attributes"]["gen_ai.operation.name"] == "invoke_workflow"
    assert whole["attributes"]["spark.run.id"] == run.id
    assert whole["attributes"]["spark.run.attempts"] == 1
    assert whole["attributes"]["spark.run.may_have_run_before"] is False
    assert attempt["attributes"]["gen_ai.agent.id"] == ECHO
    assert whole["resource"] == {"service.name": "spark", "deployment.environment.name": "local"}
    assert run.finished_at is not None
    lasted = int(whole["end_time_unix_nano"]) - int(whole["start_time_unix_nano"])
    assert lasted == (run.finished_at - PAST) // timedelta(milliseconds=1) * 10**6
    assert "status" not in whole


def test_the_key_of_the_receiver_comes_from_its_secret(
    langflow: StubLangFlow, traces: Receiver, export: Export, secret: str
) -> None:
    export(traces.url + "/", secret_id=secret)
    store(a_run())

    executor(event("sqs_run.json"), context())

    (request,) = traces.requests()
    assert (request["method"], request["url"]) == ("POST", f"{traces.url}/v1/traces")
    assert request["headers"]["Authorization"] == f"Bearer {KEY}"
    assert request["headers"]["Content-Type"] == "application/x-protobuf"


def test_a_batch_is_one_request(langflow: StubLangFlow, traces: Receiver, export: Export) -> None:
    export(traces.url)
    for number in (1, 2, 3):
        store(a_run(number))

    executor(event("sqs_batch.json"), context())

    assert len(traces.requests()) == 1
    assert len({span["trace_id"] for span in traces.spans()}) == 3


def test_attempts_by_two_executors_are_one_trace(
    langflow: StubLangFlow, traces: Receiver, export: Export, aws: Aws
) -> None:
    export(traces.url)
    langflow.set("disconnect")
    store(a_run())
    executor(event("sqs_run.json"), context())
    langflow.set("ok")
    forget()  # another environment takes over

    executor(due(aws), context())

    first, second, whole = traces.spans()
    assert len({span["trace_id"] for span in (first, second, whole)}) == 1
    assert first["parent_span_id"] == second["parent_span_id"] == whole["span_id"]
    assert first["status"] == {"code": "STATUS_CODE_ERROR"}
    assert first["attributes"]["error.type"] == "disconnected"
    assert [span["attributes"]["spark.attempt.number"] for span in (first, second)] == [1, 2]
    assert whole["attributes"]["spark.run.may_have_run_before"] is True


def test_a_background_job_is_one_attempt_from_its_submission_to_its_end(
    langflow: StubLangFlow, traces: Receiver, export: Export
) -> None:
    export(traces.url)
    langflow.set("ok", delay_ms=300)
    store(a_run(timeout_seconds=600))
    executor(event("sqs_run.json"), context())
    assert traces.requests() == []
    time.sleep(0.4)
    waiting = stored()
    wiring.runs().save(waiting, waiting.model_copy(update={"not_before": PAST}))
    body = json.dumps({"project_id": "default", "run_id": waiting.id, "turn": waiting.turn})

    executor({"Records": [{**event("sqs_run.json")["Records"][0], "body": body}]}, context())

    attempt, _ = traces.spans()
    took = int(attempt["end_time_unix_nano"]) - int(attempt["start_time_unix_nano"])
    assert took > 0.4e9


@pytest.mark.parametrize(("content", "told"), [("false", False), ("true", True)])
def test_what_went_in_and_came_out_is_told_only_where_it_is_wanted(
    langflow: StubLangFlow, traces: Receiver, export: Export, content: str, told: bool
) -> None:
    export(traces.url, content=content)
    store(a_run(input="the patient's name", session_id="+49 170 1234567", correlation_id="ann@example.com"))

    executor(event("sqs_run.json"), context())

    (request,) = traces.requests()
    for text in (b"the patient's name", b"+49 170 1234567", b"ann@example.com"):
        assert (text in request["body"]) is told


def test_langflows_own_spans_can_join(langflow: StubLangFlow, traces: Receiver, export: Export) -> None:
    export(traces.url)
    store(a_run())

    executor(event("sqs_run.json"), context())

    attempt, _ = traces.spans()
    header = f"00-{attempt['trace_id']}-{attempt['span_id']}-01"
    assert langflow.calls()["headers"]["traceparent"] == header


def test_where_nobody_wants_traces_langflow_gets_no_trace_to_join(langflow: StubLangFlow) -> None:
    store(a_run())
    executor(event("sqs_run.json"), context())
    assert "traceparent" not in langflow.calls()["headers"]


# ------------------------------------------------------------------------------------------------ when it fails


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", text)
    return text


def is_counted(capsys: pytest.CaptureFixture[str]) -> bool:
    return '"TracesNotExported":[1.0]' in capsys.readouterr().out


def test_a_receiver_that_is_not_there_costs_the_run_nothing(
    langflow: StubLangFlow, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    export(f"http://127.0.0.1:{ports.free()}")
    store(a_run())

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert stored().status == "completed"
    assert is_counted(capsys)


def test_a_receiver_that_never_answers_is_left_after_seconds_and_the_run_was_over_before(
    langflow: StubLangFlow, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        export(f"http://127.0.0.1:{silent.getsockname()[1]}")
        store(a_run())
        began, at = time.monotonic(), wiring.now()

        assert executor(event("sqs_run.json"), context()) == ALL_FINE

        assert RECEIVER_SECONDS <= time.monotonic() - began < RECEIVER_SECONDS + 2
    run = stored()
    assert run.finished_at is not None
    assert run.finished_at - at < timedelta(seconds=2)
    assert is_counted(capsys)


def test_a_receiver_inside_is_not_called_unless_the_deployment_says_so(
    langflow: StubLangFlow, export: Export, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", "127.0.0.1")
    export(f"https://127.0.0.2:{ports.free()}")
    store(a_run())

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert stored().status == "completed"
    assert '"reason":"The receiver was not asked to the end: address_refused."' in log.getvalue()


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("https://u:sekret@receiver.test/otel", NO_ADDRESS),
        ("https://receiver.test/otel?project=1", NO_ADDRESS),
        ("http://receiver.test", NOT_ENCRYPTED),
    ],
)
def test_an_endpoint_that_cannot_be_used_costs_the_run_nothing(
    langflow: StubLangFlow, export: Export, endpoint: str, reason: str, log: io.StringIO
) -> None:
    export(endpoint)
    store(a_run())

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert stored().status == "completed"
    assert json.dumps(reason) in log.getvalue()
    assert "sekret" not in log.getvalue()


def test_a_receiver_that_cannot_be_made_costs_no_run_anything(
    langflow: StubLangFlow, export: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel of Protobuf that does not fit the machine, say."""
    export("https://receiver.test")
    monkeypatch.setattr(wiring, "receiver", broken)
    store(a_run())

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert stored().status == "completed"
    assert is_counted(capsys)


def broken() -> None:
    raise ImportError("undefined symbol")


def test_a_name_server_that_does_not_answer_is_left_behind_and_what_was_done_is_counted_before(
    langflow: StubLangFlow, export: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers, look_up = Event(), socket.getaddrinfo

    def hang(host: str, *rest: Any, **more: Any) -> Any:
        if host == "receiver.test":
            answers.wait(30)
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    export("https://receiver.test")
    store(a_run())
    began = time.monotonic()

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert LONGEST_SECONDS <= time.monotonic() - began < LONGEST_SECONDS + 2
    answers.set()
    assert stored().status == "completed"
    done, told = capsys.readouterr().out.splitlines()
    assert '"RunsCompleted":[1.0]' in done
    assert '"TracesNotExported":[1.0]' in told


def test_a_secret_says_nothing_of_where_a_request_goes(
    langflow: StubLangFlow, traces: Receiver, export: Export, aws: Aws, log: io.StringIO
) -> None:
    value = json.dumps({"Authorization": "Bearer x", "Content-Type": "text/plain", "Host": "evil"})
    arn = aws.secrets.create_secret(Name=f"foreign-{aws.table}", SecretString=value)["ARN"]
    export(traces.url, secret_id=arn)
    store(a_run())

    executor(event("sqs_run.json"), context())

    assert traces.requests() == []
    assert "The secret is no JSON object of headers" in log.getvalue()


@pytest.mark.parametrize("value", ["Bearer x", '["Bearer x"]', '{"A": 1}', '{"A": "x\\ny"}', '{"A": "schlüssel"}'])
def test_a_secret_that_holds_no_headers_costs_the_run_nothing(
    langflow: StubLangFlow, traces: Receiver, export: Export, aws: Aws, value: str, log: io.StringIO
) -> None:
    arn = aws.secrets.create_secret(Name=f"broken-{aws.table}", SecretString=value)["ARN"]
    export(traces.url, secret_id=arn)
    store(a_run())

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert (stored().status, traces.requests()) == ("completed", [])
    assert "The secret is no JSON object of headers" in log.getvalue()
    assert value not in log.getvalue()


def test_a_secret_that_may_not_be_read_costs_the_run_nothing(
    langflow: StubLangFlow, traces: Receiver, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    export(traces.url, secret_id="arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-abcdef")
    store(a_run())

    assert executor(event("sqs_run.json"), context()) == ALL_FINE

    assert (stored().status, traces.requests()) == ("completed", [])
    assert is_counted(capsys)


def test_what_is_sent_is_nothing_that_the_receiver_refuses(traces: Receiver) -> None:
    """It does refuse: else the tests above would prove nothing."""
    import httpx

    headers: dict[str, Any] = {"content-type": "application/x-protobuf"}
    answer = httpx.post(f"{traces.url}/v1/traces", content=b"no message", headers=headers, trust_env=False)
    assert answer.status_code == 400
    traces.clear()
