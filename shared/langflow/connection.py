"""One exchange with LangFlow on a fresh connection: bounded in time and size, and stoppable from another thread.

httpx's transport is used without its client: no cookie jar (a login cookie would beat the key), no redirects (a 3xx is
an answer like any other, and nobody calls where it points), no proxies or netrc from the environment, and half the CPU
time per call. Its connections lead only where `shared.domain.outbound` lets them.
"""

import functools
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import httpx
import pydantic_core

from shared.domain import outbound
from shared.domain.outbound import AllowList
from shared.errors import Delivered, FlowFailure

if TYPE_CHECKING:  # httpx imports it with the first call, and so do we
    import httpcore

# An answer is up to five times the flow's text, and ten runs share one function's memory.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
CONNECT_SECONDS = 5.0  # for all addresses of a host; short: nothing can interrupt a connect, it only ends
CHUNK_BYTES = 64 * 1024

StopReason = Literal["cancelled", "timeout"]


class Stopper:
    """Ends the exchange of one run from outside, whatever it is waiting for.

    Closing an httpx client from another thread does not wake the thread that reads; shutting down the socket does, at
    once. Before the connect the exchange fails as soon as the connection stands. Remembers: what starts after `stop`
    does not get far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.reason: StopReason | None = None
        self.connected = False

    def stop(self, reason: StopReason) -> None:
        """Shut the connection down, now or when it stands. The first reason counts. Never blocks, never raises."""
        with self._lock:
            self.reason = self.reason or reason
            self._shut_down()

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Stops whatever runs inside after `seconds` in all, however slowly it drips."""
        timer = threading.Timer(seconds, self.stop, ("timeout",))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def attach(self, connection: socket.socket) -> None:
        # A duplicate: TLS detaches the original, and a closed descriptor's number may be somebody else's by now.
        duplicate = connection.dup()
        with self._lock:
            self._close()
            self._socket = duplicate
            self.connected = True
            if self.reason:
                self._shut_down()

    def detach(self) -> None:
        with self._lock:
            self._close()

    def failure(self) -> FlowFailure | None:
        """What the stopped exchange ends with; None if nobody stopped it."""
        if self.reason is None:
            return None
        message = "The run was cancelled." if self.reason == "cancelled" else "LangFlow did not answer in time."
        return FlowFailure(self.reason, message, Delivered.unknown if self.connected else Delivered.no)

    def _shut_down(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the other side was first

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass(frozen=True)
class Reply:
    """What came back: any status, the decompressed body, and what a Retry-After asked for."""

    status: int
    content: bytes | bytearray
    retry_after_seconds: float | None = None

    def json(self) -> Any:
        """The body as JSON. None where there is none: error pages of proxies are HTML.

        NaN, lone surrogates and nesting beyond 200 levels count as no JSON: nothing of ours could store them.
        """
        try:
            return pydantic_core.from_json(self.content, allow_inf_nan=False)
        except ValueError:
            return None


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a JSON object, else an empty one: answers are not to be trusted."""
    return value if isinstance(value, dict) else {}


def array(value: Any) -> list[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def exchange(
    request: httpx.Request,
    transport: httpx.BaseTransport | None,
    stopper: Stopper,
    max_bytes: int = MAX_ANSWER_BYTES,
    connect_seconds: float = CONNECT_SECONDS,
) -> Reply:
    """Send `request` on a connection of its own and read the whole answer. Time ends with `stopper`.

    Raises:
        FlowFailure: `timeout`, `cancelled`, `upstream_unavailable`, `upstream_refused` (a request that cannot be
            written), `address_refused`, `disconnected`, `output_too_large`, `invalid_answer`. Statuses are the
            caller's business.
    """
    if failure := stopper.failure():
        raise failure
    request.extensions = {
        "timeout": {"connect": connect_seconds},
        "trace": functools.partial(_attach, stopper),
    }
    try:
        with closing(transport or Network()) as wire:
            reply = _reply(wire.handle_request(request), max_bytes)
    except (httpx.HTTPError, zlib.error) as error:
        raise stopper.failure() or _failure(error) from error
    finally:
        stopper.detach()
    if failure := stopper.failure():  # the end of a broken answer can look like the end of an answer
        raise failure
    return reply


def _attach(stopper: Stopper, event: str, info: Mapping[str, Any]) -> None:
    """httpcore's trace extension: tells of the plain socket before TLS begins."""
    if event == "connection.connect_tcp.complete":
        stopper.attach(info["return_value"].get_extra_info("socket"))


def _failure(error: httpx.HTTPError | zlib.error) -> FlowFailure:
    reason = str(error) or type(error).__name__
    match error:
        case AddressRefused():
            # Nothing was sent, and trying again would be refused again.
            return FlowFailure("address_refused", reason, Delivered.yes)
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return FlowFailure("upstream_unavailable", f"LangFlow cannot be reached: {reason}", Delivered.no)
        case httpx.TimeoutException():
            return FlowFailure("timeout", "LangFlow did not answer in time.", Delivered.unknown)
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            # Nothing was sent, but sending it again would not help.
            return FlowFailure("upstream_refused", f"The request cannot be written: {reason}", Delivered.yes)
        case zlib.error():
            return FlowFailure("invalid_answer", f"LangFlow's answer is not valid gzip: {reason}", Delivered.yes)
    return FlowFailure("disconnected", f"The connection to LangFlow broke: {reason}", Delivered.unknown)


def _reply(response: httpx.Response, max_bytes: int) -> Reply:
    with closing(response):
        return Reply(
            status=response.status_code,
            content=_content(response, max_bytes),
            retry_after_seconds=_seconds(response.headers.get("retry-after", "")),
        )


def _content(response: httpx.Response, max_bytes: int) -> bytearray:
    """The body, decompressed, up to `max_bytes`; not a byte is read when its length says that it is more."""
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    assert isinstance(response.stream, httpx.SyncByteStream)  # a sync transport's response
    for piece in _unpacked(response.stream, response.headers.get("content-encoding", "identity").lower()):
        body += piece
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


def _unpacked(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Decompressed pieces of at most CHUNK_BYTES, so that a small bomb stays small."""
    if encoding == "identity":
        yield from chunks
        return
    if encoding != "gzip":
        raise FlowFailure("invalid_answer", f"LangFlow's answer is encoded as {encoding!r}.", Delivered.yes)
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    for chunk in chunks:
        rest = chunk
        while piece := inflater.decompress(rest, CHUNK_BYTES):
            yield piece
            rest = inflater.unconsumed_tail


def _too_large(max_bytes: int) -> FlowFailure:
    limit = f"{max_bytes / 1024 / 1024:g} MiB"
    return FlowFailure("output_too_large", f"LangFlow's answer is larger than {limit}.", Delivered.yes)


def _seconds(retry_after: str) -> float | None:
    """The number in a Retry-After header. Its other form, a date, is not understood: we pass no clock around here."""
    return float(retry_after) if retry_after.isdecimal() else None


class AddressRefused(httpx.ConnectError):
    """The host is, or leads to, an address that this deployment does not connect to."""


class Network(httpx.BaseTransport):
    """The network as far as this deployment may use it. Shared by threads: each request has its own connection.

    Args:
        allowed: what may be connected to besides public addresses.
    """

    def __init__(self, allowed: AllowList | None = None) -> None:
        self._allowed = allowed or AllowList()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises AddressRefused; whatever httpx raises."""
        import httpcore

        tls = _tls() if request.url.scheme == "https" else _no_tls()
        wire = httpx.HTTPTransport(verify=tls, trust_env=False)
        backend = cast(httpcore.NetworkBackend, Pinned(httpcore.SyncBackend(), self._allowed))
        # Kept by nobody, a connection ends with its answer. httpx has no door for a backend but its pool.
        wire._pool = httpcore.ConnectionPool(ssl_context=tls, max_keepalive_connections=0, network_backend=backend)
        return wire.handle_request(request)


class Pinned:
    """httpcore's way to a socket: a host is resolved once, all its addresses are looked at, and one of them is called.

    Looking at one answer of the resolver and calling by another would leave the choice to whoever owns the name. TLS
    and the Host header are above this and still about the host.
    """

    def __init__(self, backend: "httpcore.NetworkBackend", allowed: AllowList) -> None:
        self._backend = backend
        self._allowed = allowed

    def connect_tcp(
        self, host: str, port: int, timeout: float = CONNECT_SECONDS, **options: Any
    ) -> "httpcore.NetworkStream":
        """The addresses are tried in their order; each has a fair share of the time that is left."""
        import httpcore

        until = time.monotonic() + timeout
        addresses = self._addresses(host, port)
        failure: Exception = httpx.ConnectTimeout("its name was not resolved in time")
        for index, address in enumerate(addresses):
            seconds = (until - time.monotonic()) / (len(addresses) - index)
            if seconds <= 0:
                break
            try:
                return self._backend.connect_tcp(address, port, seconds, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        """Where `host` leads. One that is refused refuses all: a name that means the inside means it as a whole."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # the latter: a label that is empty or too long for DNS
            raise httpx.ConnectError(str(error)) from error
        addresses = [str(address[0]) for *_, address in found]
        if not all(self._allowed.allows(host, ipaddress.ip_address(address), port) for address in addresses):
            raise AddressRefused(outbound.refusal(host))
        return addresses


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates costs more than 10 ms, so they are read once, and only if somebody speaks https."""
    return httpx.create_ssl_context()


@functools.cache
def _no_tls() -> ssl.SSLContext:
    """Trusts nobody; for http, where httpx would otherwise make a full context that is never used."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
