"""What is asked of a receiver of traces, and what its answers mean."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from shared.domain.tracing import Kind, Span
from shared.errors import PAUSE_SECONDS, Delivered, FlowFailure, NotExported
from shared.langflow.connection import Reply
from shared.otlp import HeaderSecret, Otlp, encode
from tests.fakes import NOON

SPAN = Span(b"t" * 16, b"s" * 8, None, "invoke_workflow Echo", Kind.internal, NOON, NOON + timedelta(seconds=1))
FINE = Reply(200, b"")


@dataclass
class Wire:
    """Answers one after the other; `secrets` are what the headers are read from, time after time."""

    answers: list[Reply | FlowFailure]
    secrets: list[str] = field(default_factory=lambda: ["first", "second"])
    asked: list[httpx.Request] = field(default_factory=list)

    def post(self, request: httpx.Request) -> Reply:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, FlowFailure):
            raise answer
        return answer

    def headers(self) -> dict[str, str]:
        return {"X-Auth-Token": self.secrets.pop(0)}

    def receiver(self) -> Otlp:
        return Otlp("https://receiver.test/api/otel", "prod", self.headers, self.post)


def test_headers_are_read_once() -> None:
    wire = Wire([FINE, FINE])
    receiver = wire.receiver()
    receiver.send([SPAN])
    receiver.send([SPAN])
    assert [request.headers["x-auth-token"] for request in wire.asked] == ["first", "first"]
    assert str(wire.asked[0].url) == "https://receiver.test/api/otel/v1/traces"


@pytest.mark.parametrize("status", [401, 403])
def test_headers_that_are_refused_are_read_anew(status: int) -> None:
    wire = Wire([Reply(status, b""), FINE])
    receiver = wire.receiver()
    with pytest.raises(NotExported, match=str(status)):
        receiver.send([SPAN])
    receiver.send([SPAN])
    assert [request.headers["x-auth-token"] for request in wire.asked] == ["first", "second"]


@pytest.mark.parametrize(
    ("status", "asked", "pause"),
    [
        (302, None, 0),
        (400, None, 0),
        (404, None, 0),
        (413, 30.0, 0),
        (401, 5.0, PAUSE_SECONDS),
        (403, None, PAUSE_SECONDS),
        (429, None, PAUSE_SECONDS),
        (429, 5.0, 5.0),
        (429, 0.0, 0.0),
        (500, None, PAUSE_SECONDS),
        (503, 90.0, 90.0),
    ],
)
def test_a_failure_is_not_repeated_and_the_receiver_left_alone_if_it_is_unwell(
    status: int, asked: float | None, pause: float
) -> None:
    wire = Wire([Reply(status, b"", retry_after_seconds=asked)])
    with pytest.raises(NotExported, match=f"answered {status}") as failure:
        wire.receiver().send([SPAN])
    assert (len(wire.asked), failure.value.pause_seconds) == (1, pause)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_receivers_say_in_several_ways_that_all_is_well(status: int) -> None:
    assert Wire([Reply(status, b"")]).receiver().send([SPAN]) == 0


def test_who_cannot_be_reached_is_a_failure_that_does_not_speak_of_langflow() -> None:
    wire = Wire([FlowFailure("upstream_unavailable", "LangFlow cannot be reached: refused", Delivered.no)])
    with pytest.raises(NotExported, match=r"^The receiver was not asked to the end: upstream_unavailable\.$") as raised:
        wire.receiver().send([SPAN])
    assert raised.value.pause_seconds == PAUSE_SECONDS


@pytest.mark.parametrize(("said", "believed"), [(1, 1), (2, 2), (1_000_000, 2), (-1, 0)])
def test_spans_that_were_rejected_are_no_failure(said: int, believed: int) -> None:
    """Those who make receivers say so: https://github.com/open-telemetry/opentelemetry-collector/pull/9260"""
    answer = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=said))
    assert Wire([Reply(200, answer.SerializeToString())]).receiver().send([SPAN, SPAN]) == believed


def test_a_warning_is_none() -> None:
    said = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(error_message="Name it better."))
    assert Wire([Reply(200, said.SerializeToString())]).receiver().send([SPAN]) == 0


@pytest.mark.parametrize("body", [b'{"partialSuccess":{}}', b'{"message":"ok"}', b"<html>"])
def test_an_answer_in_other_words_is_taken_by_its_status(body: bytes) -> None:
    assert Wire([Reply(200, body)]).receiver().send([SPAN]) == 0


class Secrets:
    """Secrets Manager with one secret, or an error instead of it."""

    def __init__(self, value: str | Exception) -> None:
        self.value = value

    def get_secret_value(self, **_: str) -> dict[str, str]:
        if isinstance(self.value, Exception):
            raise self.value
        return {"SecretString": self.value}


def headers(value: Any) -> dict[str, str]:
    text = value if isinstance(value, str | Exception) else json.dumps(value)
    return HeaderSecret(cast(Any, Secrets(text)), "arn").headers()


def test_names_of_headers_are_small_so_that_each_is_there_once() -> None:
    assert headers({"Authorization": "Bearer x", "X-Auth-Token": "y"}) == {
        "authorization": "Bearer x",
        "x-auth-token": "y",
    }


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Type", "content-length", "Content-Encoding", "Transfer-Encoding", "Connection", "User-Agent"],
)
def test_where_a_request_goes_and_where_it_ends_no_secret_says(name: str) -> None:
    with pytest.raises(NotExported, match="no JSON object of headers"):
        headers({"Authorization": "Bearer x", name: "evil"})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nHost", "schlüssel"])
def test_a_name_that_no_header_can_have_is_refused(name: str) -> None:
    with pytest.raises(NotExported, match="no JSON object of headers"):
        headers({name: "x"})


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "arn"}}, "x"), "AccessDeniedException"),
        (ReadTimeoutError(endpoint_url="https://secrets.test"), "ReadTimeoutError"),
    ],
)
def test_a_secret_that_cannot_be_read_is_a_failure_like_any(failure: Exception, said: str) -> None:
    with pytest.raises(NotExported, match=rf"^The receiver's secret cannot be read: {said}\.$") as raised:
        headers(failure)
    assert raised.value.pause_seconds == PAUSE_SECONDS


def test_the_key_is_not_in_what_a_log_could_show() -> None:
    receiver = Wire([FINE]).receiver()
    receiver.send([SPAN])
    assert "first" not in repr(receiver)


def test_times_are_exact_and_never_run_backwards() -> None:
    late = Span(b"t" * 16, b"s" * 8, b"p" * 8, "x", Kind.client, NOON + timedelta(microseconds=1), NOON)
    (part,) = ExportTraceServiceRequest.FromString(encode([late], "prod")).resource_spans
    (span,) = part.scope_spans[0].spans
    assert span.start_time_unix_nano == span.end_time_unix_nano == int(NOON.timestamp()) * 10**9 + 1000
    assert (span.parent_span_id, span.status.code) == (b"p" * 8, 0)
