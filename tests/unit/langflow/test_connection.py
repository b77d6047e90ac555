"""One exchange: what breaks becomes a failure that says whether the flow can have run; size is bounded."""

import gzip
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx
import pytest

from shared.domain.outbound import AllowList
from shared.errors import Delivered, FlowFailure
from shared.langflow.connection import (
    CHUNK_BYTES,
    CONNECT_SECONDS,
    MAX_ANSWER_BYTES,
    AddressRefused,
    Pinned,
    Stopper,
    exchange,
)

MIB = 1024 * 1024
PUBLIC, OTHER_PUBLIC = "203.0.114.1", "2606:4700::1"


class Body(httpx.SyncByteStream):
    """A body in chunks that counts how many were taken."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


def ask(answer: httpx.Response | Exception, stopper: Stopper | None = None) -> bytes:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    request = httpx.Request("POST", "http://flows.test/")
    return bytes(exchange(request, httpx.MockTransport(handle), stopper or Stopper()).content)


def failure_of(answer: httpx.Response | Exception) -> FlowFailure:
    with pytest.raises(FlowFailure) as caught:
        ask(answer)
    return caught.value


@pytest.mark.parametrize(
    ("error", "code", "delivered"),
    [
        (httpx.ConnectError("refused"), "upstream_unavailable", Delivered.no),
        (httpx.ConnectTimeout("late"), "upstream_unavailable", Delivered.no),
        (httpx.ReadTimeout("late"), "timeout", Delivered.unknown),
        (httpx.WriteTimeout("late"), "timeout", Delivered.unknown),
        (httpx.ReadError("reset"), "disconnected", Delivered.unknown),
        (httpx.WriteError("reset"), "disconnected", Delivered.unknown),
        (httpx.RemoteProtocolError("nonsense"), "disconnected", Delivered.unknown),
        (httpx.LocalProtocolError("header"), "upstream_refused", Delivered.yes),
        (AddressRefused("inside"), "address_refused", Delivered.yes),
    ],
)
def test_each_way_to_break_has_its_failure(error: Exception, code: str, delivered: Delivered) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.delivered) == (code, delivered)
    assert failure.__cause__ is error


def test_a_stopped_run_does_not_start() -> None:
    stopper = Stopper()
    stopper.stop("cancelled")
    stopper.stop("timeout")
    with pytest.raises(FlowFailure) as caught:
        ask(AssertionError("nothing may be sent"), stopper)
    assert (caught.value.code, caught.value.delivered) == ("cancelled", Delivered.no)


def test_a_stop_explains_what_broke() -> None:
    stopper = Stopper()

    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            stopper.stop("timeout")
            raise httpx.ReadError("shut down")

    with pytest.raises(FlowFailure) as caught:
        ask(httpx.Response(200, stream=Broken()), stopper)
    assert caught.value.code == "timeout"


def test_an_answer_that_a_stop_cut_short_does_not_count() -> None:
    stopper = Stopper()

    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"{"
            stopper.stop("cancelled")

    with pytest.raises(FlowFailure) as caught:
        ask(httpx.Response(200, stream=Cut()), stopper)
    assert caught.value.code == "cancelled"


def test_a_deadline_stops_what_runs_inside() -> None:
    stopper = Stopper()
    with stopper.deadline(0.01):
        while stopper.reason is None:
            time.sleep(0.001)
    assert stopper.reason == "timeout"


def test_a_deadline_that_was_kept_stops_nothing() -> None:
    stopper = Stopper()
    with stopper.deadline(30):
        pass
    assert stopper.reason is None


def test_an_answer_at_the_limit_is_read() -> None:
    assert len(ask(httpx.Response(200, stream=Body(*[b"x" * MIB] * 16)))) == MAX_ANSWER_BYTES


def test_an_answer_beyond_the_limit_is_not_read_further() -> None:
    body = Body(*[b"x" * MIB] * 40)
    failure = failure_of(httpx.Response(200, stream=body))
    assert (failure.code, failure.delivered) == ("output_too_large", Delivered.yes)
    assert body.taken == 17


def test_an_answer_that_announces_too_much_is_not_read_at_all() -> None:
    body = Body(b"x")
    failure = failure_of(httpx.Response(200, headers={"content-length": str(17 * MIB)}, stream=body))
    assert (failure.code, body.taken) == ("output_too_large", 0)


def test_a_packed_answer_is_unpacked() -> None:
    text = b"hello " * 100_000
    packed = gzip.compress(text)
    halves = Body(packed[:50], packed[50:])
    assert ask(httpx.Response(200, headers={"content-encoding": "gzip"}, stream=halves)) == text


def test_a_small_bomb_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._inner = zlib_decompressobj(wbits=wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            piece = self._inner.decompress(data, limit)
            pieces.append(len(piece))
            return piece

        @property
        def unconsumed_tail(self) -> bytes:
            return self._inner.unconsumed_tail

    zlib_decompressobj = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Counting)
    bomb = gzip.compress(b"x" * 64 * MIB)
    failure = failure_of(httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Body(bomb)))
    assert failure.code == "output_too_large"
    assert max(pieces) <= CHUNK_BYTES
    assert sum(pieces) <= MAX_ANSWER_BYTES + CHUNK_BYTES


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"this is not gzip"), ("br", b"?"), ("gzip, gzip", b"?")])
def test_an_encoding_that_cannot_be_read_is_no_answer(encoding: str, body: bytes) -> None:
    failure = failure_of(httpx.Response(200, headers={"content-encoding": encoding}, stream=Body(body)))
    assert (failure.code, failure.delivered) == ("invalid_answer", Delivered.yes)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None), ("", None)])
def test_a_wait_in_seconds_is_understood(header: str, seconds: float | None) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(503, headers={"retry-after": header}))
    reply = exchange(httpx.Request("GET", "http://flows.test/"), transport, Stopper())
    assert (reply.status, reply.retry_after_seconds) == (503, seconds)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1", b'{"a": NaN}', b'"\xff"', b'"\\ud800"', b"[" * 5000 + b"]" * 5000]
)
def test_what_nobody_could_store_is_no_json(body: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    assert exchange(httpx.Request("GET", "http://flows.test/"), transport, Stopper()).json() is None


class Resolver:
    """Gives each question the next of its answers, and the last one for ever."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [(None, None, None, "", (address, port)) for address in answer]


class Wire(httpcore.MockBackend):
    """Remembers which addresses were called, and for how long; the first `deaf` of them do not answer."""

    def __init__(self, deaf: int = 0) -> None:
        super().__init__([])
        self.deaf = deaf
        self.called: list[str] = []
        self.seconds: list[float] = []

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any, **__: Any) -> Any:
        self.called.append(host)
        self.seconds.append(timeout or 0)
        if len(self.called) <= self.deaf:
            raise httpcore.ConnectTimeout("timed out")
        return super().connect_tcp(host, port)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | Exception) -> Resolver:
    resolver = Resolver(*answers)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return resolver


def connect(wire: Wire, listed: str = "", host: str = "flows.test") -> None:
    Pinned(wire, AllowList.read(listed)).connect_tcp(host, 443)


def test_what_was_looked_at_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere when it is asked a second time is not asked a second time."""
    resolver, wire = resolving(monkeypatch, [PUBLIC], ["127.0.0.1"]), Wire()
    connect(wire)
    assert (resolver.asked, wire.called) == (["flows.test"], [PUBLIC])


def test_every_connection_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [PUBLIC], ["127.0.0.1"])
    wire = Wire()
    connect(wire)
    with pytest.raises(AddressRefused):
        connect(wire)
    assert wire.called == [PUBLIC]


@pytest.mark.parametrize("answer", [["10.0.0.1", PUBLIC], [PUBLIC, "10.0.0.1"], [PUBLIC, OTHER_PUBLIC, "::1"]])
def test_one_address_of_the_inside_is_enough_for_a_refusal(monkeypatch: pytest.MonkeyPatch, answer: list[str]) -> None:
    resolving(monkeypatch, answer)
    wire = Wire()
    with pytest.raises(AddressRefused) as refused:
        connect(wire)
    assert wire.called == []
    assert "flows.test" in str(refused.value)
    assert not any(address in str(refused.value) for address in answer)


def test_the_rule_knows_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    connect(Wire(), "flows.test")
    with pytest.raises(AddressRefused):
        connect(Wire(), "flows.test", host="other.test")
    with pytest.raises(AddressRefused):
        Pinned(Wire(), AllowList.read("flows.test")).connect_tcp("flows.test", 9001)


def test_addresses_are_tried_in_their_order_and_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [PUBLIC, OTHER_PUBLIC])
    wire = Wire(deaf=1)
    connect(wire)
    assert wire.called == [PUBLIC, OTHER_PUBLIC]
    assert wire.seconds == pytest.approx([CONNECT_SECONDS / 2, CONNECT_SECONDS], abs=0.5)


def test_the_last_address_says_why_none_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [PUBLIC, OTHER_PUBLIC])
    with pytest.raises(httpcore.ConnectTimeout):
        connect(Wire(deaf=2))


def test_a_name_that_takes_too_long_leaves_no_time_for_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [PUBLIC])
    wire = Wire()
    with pytest.raises(httpx.ConnectTimeout):
        Pinned(wire, AllowList()).connect_tcp("flows.test", 443, timeout=0.0)
    assert wire.called == []


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_leads_nowhere_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    resolving(monkeypatch, error)
    with pytest.raises(httpx.ConnectError) as caught:
        connect(Wire())
    assert not isinstance(caught.value, AddressRefused)
    assert caught.value.__cause__ is error


def test_without_a_transport_only_public_addresses_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    with pytest.raises(FlowFailure) as caught:
        exchange(httpx.Request("GET", "http://flows.test/"), None, Stopper())
    assert (caught.value.code, caught.value.delivered) == ("address_refused", Delivered.yes)
