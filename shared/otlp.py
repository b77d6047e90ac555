"""Spans to a receiver of OpenTelemetry's protocol: OTLP over HTTP, in Protobuf.

Its official messages, and nothing of its SDK: that has a queue and a thread of its own, which Lambda freezes, and an
HTTP client that knows nothing of the addresses that a deployment allows. Protobuf, since receivers need not take JSON.
https://opentelemetry.io/docs/specs/otlp/#otlphttp, read 2026-11-21
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from shared.domain.tracing import Attributes, Kind, Span
from shared.errors import PAUSE_SECONDS, FlowFailure, NotExported

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PATH = "/v1/traces"  # below the endpoint, as OTEL_EXPORTER_OTLP_ENDPOINT has it
PROTOBUF = "application/x-protobuf"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = {Kind.internal: trace_pb2.Span.SPAN_KIND_INTERNAL, Kind.client: trace_pb2.Span.SPAN_KIND_CLIENT}
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-tokens, in lower case
# What says where a request goes and where it ends is not for a secret to say.
OURS = re.compile(r"host|connection|expect|te|trailer|transfer-encoding|upgrade|user-agent|content-.*")


class Reply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def content(self) -> bytes | bytearray: ...
    @property
    def retry_after_seconds(self) -> float | None: ...


Post = Callable[[httpx.Request], Reply]
"""Sends a request, bounded in time and size. Raises FlowFailure."""


@dataclass
class Otlp:
    """One receiver.

    Args:
        endpoint: its base URL, as `read_endpoint` has it.
        stage: the environment's name, for the resource that the spans are of.
        ask_headers: reads the headers that let us in; asked once, and again after they were refused.
    """

    endpoint: str
    stage: str
    ask_headers: Callable[[], Mapping[str, str]]
    post: Post
    _headers: Mapping[str, str] | None = field(default=None, repr=False)

    def send(self, spans: Sequence[Span]) -> int:
        """Send `spans`, once. The number of those that the receiver rejected, though it is well and took the others.

        Raises:
            NotExported: it could not be reached, or took none of them; or its headers could not be read.
        """
        if self._headers is None:
            self._headers = self.ask_headers()
        headers = {**self._headers, "content-type": PROTOBUF, "user-agent": "spark"}
        body = encode(spans, self.stage)
        try:
            reply = self.post(httpx.Request("POST", self.endpoint + PATH, headers=headers, content=body))
        except FlowFailure as failure:
            raise NotExported(f"The receiver was not asked to the end: {failure.code}.") from None
        if reply.status in REFUSED:
            self._headers = None  # the secret may have changed
        if not 200 <= reply.status < 300:
            raise NotExported(f"The receiver answered {reply.status}.", _pause_seconds(reply))
        return min(max(_rejected(reply.content), 0), len(spans))


class HeaderSecret:
    """What lets us in: `{"Authorization": "Bearer …"}` in Secrets Manager."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str) -> None:
        self._client = client
        self._secret_id = secret_id

    def headers(self) -> dict[str, str]:
        """Names, in lower case, and values. Raises NotExported: the secret cannot be read, or is something else."""
        try:
            value = json.loads(self._client.get_secret_value(SecretId=self._secret_id).get("SecretString", ""))
        except ClientError as error:
            raise NotExported(f"The receiver's secret cannot be read: {error.response['Error']['Code']}.") from None
        except BotoCoreError as error:
            raise NotExported(f"The receiver's secret cannot be read: {type(error).__name__}.") from None
        except ValueError:
            value = None
        if not isinstance(value, dict) or not all(_is_header(name.lower(), text) for name, text in value.items()):
            raise NotExported('The secret is no JSON object of headers, such as {"Authorization": "Bearer …"}.')
        return {name.lower(): text for name, text in value.items()}


def _is_header(name: str, text: Any) -> bool:
    """Whether a request can carry this header besides its own."""
    if not TOKEN.fullmatch(name) or OURS.fullmatch(name):
        return False
    return isinstance(text, str) and text.isascii() and text.isprintable()


def _pause_seconds(reply: Reply) -> float:
    """For how long to leave a receiver alone that took nothing. One that only did not like these spans may like others.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp-throttling, read 2026-11-21
    """
    if reply.status in REFUSED:
        return PAUSE_SECONDS
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return PAUSE_SECONDS if reply.retry_after_seconds is None else reply.retry_after_seconds
    return 0


def encode(spans: Iterable[Span], stage: str) -> bytes:
    """`spans` as the body of a request."""
    resource = Resource(attributes=_attributes({"service.name": "spark", "deployment.environment.name": stage}))
    scope = InstrumentationScope(name="spark")
    told = trace_pb2.ScopeSpans(scope=scope, spans=map(_span, spans))
    request = ExportTraceServiceRequest(
        resource_spans=[trace_pb2.ResourceSpans(resource=resource, scope_spans=[told])],
    )
    return request.SerializeToString()


def _span(span: Span) -> trace_pb2.Span:
    """The status of what went well stays unset: only its owner may call it good."""
    failed = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=span.message)
    return trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.id,
        parent_span_id=span.parent_id or b"",
        name=span.name,
        kind=KINDS[span.kind],
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(max(span.start, span.end)),  # clocks of two functions may be apart
        attributes=_attributes(span.attributes),
        status=failed if span.error is not None else None,
    )


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: str | int | bool) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)


def _nanoseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1) * 1000


def _rejected(answer: bytes | bytearray) -> int:
    """How many spans the receiver did not take. An answer that is none of OTLP's says nothing of it."""
    try:
        return ExportTraceServiceResponse.FromString(bytes(answer)).partial_success.rejected_spans
    except DecodeError:
        return 0
