"""The client on real sockets: hanging, dripping, breaking and huge servers, and runs that are stopped from outside."""

import datetime
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.domain.outbound import AllowList
from shared.errors import Delivered, FlowFailure, Invalid
from shared.langflow import FlowAnswer, FlowCall, LangFlow, Running, Stopper, connection
from shared.langflow.connection import Network
from tests.stub_langflow import ECHO, FLOWS, StubLangFlow

pytestmark = pytest.mark.enable_socket

AT_ONCE_SECONDS = 1.0  # far below any timeout of ours, far above what waking a thread takes on a busy machine
MIB = 1024 * 1024
LOOPBACK = Network(AllowList.read("127.0.0.1"))
THIS_MACHINE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture
def stub() -> Iterator[StubLangFlow]:
    with StubLangFlow() as running:
        yield running


def client(stub: StubLangFlow) -> LangFlow:
    return LangFlow(stub.url, "key", transport=LOOPBACK)


def failure_of(run: Callable[[], object]) -> tuple[FlowFailure, float]:
    """How the run fails, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises(FlowFailure) as caught:
        run()
    return caught.value, time.monotonic() - started


@contextmanager
def stopping(stopper: Stopper, after: float = 0.2) -> Iterator[None]:
    timer = threading.Timer(after, stopper.stop, ("cancelled",))
    timer.start()
    yield
    timer.join()


def test_a_run_answers_and_is_counted_once(stub: StubLangFlow) -> None:
    answer = client(stub).run(FlowCall(ECHO, "hello", session_id="s"), Stopper())
    assert (answer.text, answer.session_id) == ("hello", "s")
    assert stub.calls()["calls"] == {ECHO: {"hello": 1}}


def test_the_stub_looks_like_a_langflow(stub: StubLangFlow) -> None:
    found = client(stub).check()
    assert (found.dialect, found.key_valid, found.supports_background) == ("langflow_v2", True, True)
    assert [flow.id for flow in client(stub).list_flows(1, 100).items] == list(FLOWS)
    assert client(stub).get_flow(ECHO)["name"] == "Stub 1"


def test_every_run_has_a_connection_of_its_own(stub: StubLangFlow) -> None:
    """Else one run's stop would cut another's."""
    asked = client(stub)
    for _ in range(3):
        asked.run(FlowCall(ECHO), Stopper())
    established = [each for each in psutil.Process().net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    port = int(stub.url.rpartition(":")[2])
    assert [each for each in established if each.raddr and each.raddr.port == port] == []


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_stop_ends_a_run_at_once(stub: StubLangFlow, mode: str) -> None:
    stub.set(mode)
    stopper = Stopper()
    with stopping(stopper):
        failure, seconds = failure_of(lambda: client(stub).run(FlowCall(ECHO), stopper))
    assert (failure.code, failure.delivered) == ("cancelled", Delivered.unknown)
    assert seconds < AT_ONCE_SECONDS


def test_a_stop_hangs_up_on_the_server(stub: StubLangFlow) -> None:
    stub.set("hang")
    stopper = Stopper()
    with stopping(stopper):
        failure_of(lambda: client(stub).run(FlowCall(ECHO), stopper))
    while stub.calls()["hung_up"] == 0:
        time.sleep(0.01)


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_the_time_of_a_call_is_for_all_of_it(stub: StubLangFlow, mode: str) -> None:
    """A byte now and then does not prolong it."""
    stub.set(mode)
    failure, seconds = failure_of(lambda: client(stub).run(FlowCall(ECHO, timeout_seconds=0.5), Stopper()))
    assert (failure.code, failure.delivered) == ("timeout", Delivered.unknown)
    assert 0.5 <= seconds < 0.5 + AT_ONCE_SECONDS


def test_questions_of_a_request_take_no_longer_than_it_has() -> None:
    def hang(accepted: socket.socket) -> None:
        accepted.recv(1)
        time.sleep(AT_ONCE_SECONDS)

    with listening(hang) as port:
        langflow = LangFlow(f"http://127.0.0.1:{port}", None, seconds=0.2, transport=LOOPBACK)
        failure, seconds = failure_of(lambda: langflow.get_flow("flow-1"))
        assert failure.code == "timeout"
        assert seconds < AT_ONCE_SECONDS
        assert not langflow.check().reachable


def test_dripping_headers_do_not_prolong_a_call_either() -> None:
    def drip(accepted: socket.socket) -> None:
        accepted.recv(65536)
        for _ in range(100):
            accepted.sendall(b"H")
            time.sleep(0.05)

    with listening(drip) as port:
        langflow = LangFlow(f"http://127.0.0.1:{port}", None, transport=LOOPBACK)
        failure, seconds = failure_of(lambda: langflow.run(FlowCall(ECHO, timeout_seconds=0.5), Stopper()))
    assert failure.code == "timeout"
    assert seconds < 0.5 + AT_ONCE_SECONDS


def test_a_stop_before_the_run_sends_nothing(stub: StubLangFlow) -> None:
    stopper = Stopper()
    stopper.stop("cancelled")
    failure, _ = failure_of(lambda: client(stub).run(FlowCall(ECHO), stopper))
    assert failure.delivered is Delivered.no
    assert stub.calls()["total"] == 0


def test_a_stop_of_one_run_leaves_the_others_alone(stub: StubLangFlow) -> None:
    stub.set("ok", delay_ms=600)
    asked, stopper, answers = client(stub), Stopper(), list[FlowAnswer]()
    other = threading.Thread(target=lambda: answers.append(asked.run(FlowCall(ECHO, "other"), Stopper())))
    other.start()
    with stopping(stopper, after=0.1):
        failure_of(lambda: asked.run(FlowCall(ECHO, "stopped"), stopper))
    other.join()
    assert [answer.text for answer in answers] == ["other"]


def test_a_stop_ends_a_tls_handshake() -> None:
    """Connecting has a timeout of five seconds; a cancelled run does not wait for it."""
    with listening(lambda accepted: time.sleep(3)) as port:
        langflow, stopper = LangFlow(f"https://127.0.0.1:{port}", None, transport=LOOPBACK), Stopper()
        with stopping(stopper):
            failure, seconds = failure_of(lambda: langflow.run(FlowCall(ECHO), stopper))
    assert failure.code == "cancelled"
    assert seconds < AT_ONCE_SECONDS


def test_a_stop_ends_a_run_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(connection, "_tls", lambda: trusting)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    received = threading.Event()

    def hang(accepted: socket.socket) -> None:
        with serving.wrap_socket(accepted, server_side=True) as encrypted:
            assert encrypted.recv(65536).startswith(b"POST /api/v2/workflows")
            received.set()
            while encrypted.recv(65536):
                pass

    with listening(hang) as port:
        langflow, stopper = LangFlow(f"https://127.0.0.1:{port}", None, transport=LOOPBACK), Stopper()
        with stopping(stopper, after=0.5):
            failure, seconds = failure_of(lambda: langflow.run(FlowCall(ECHO), stopper))
    assert received.is_set()
    assert (failure.code, failure.delivered) == ("cancelled", Delivered.unknown)
    assert seconds < 0.5 + AT_ONCE_SECONDS


def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)

    def greet(accepted: socket.socket) -> None:
        with pytest.raises(ssl.SSLError):
            serving.wrap_socket(accepted, server_side=True)

    with listening(greet) as port:
        langflow = LangFlow(f"https://127.0.0.1:{port}", "key", transport=LOOPBACK)
        failure, _ = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.delivered) == ("upstream_unavailable", Delivered.no)
    assert "certificate" in failure.message


@pytest.mark.parametrize(
    ("mode", "code", "delivered"),
    [
        ("fail", "flow_failed", Delivered.yes),
        ("garbage", "invalid_answer", Delivered.yes),
        ("huge", "output_too_large", Delivered.yes),
        ("bomb", "output_too_large", Delivered.yes),
        ("disconnect", "disconnected", Delivered.unknown),
        ("refuse_key", "upstream_refused", Delivered.yes),
        ("unavailable", "upstream_unavailable", Delivered.no),
    ],
)
def test_each_misbehaviour_has_its_failure(stub: StubLangFlow, mode: str, code: str, delivered: Delivered) -> None:
    stub.set(mode)
    failure, _ = failure_of(lambda: client(stub).run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.delivered) == (code, delivered)
    assert failure.retry_after_seconds == (1.0 if mode == "unavailable" else None)


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    langflow = LangFlow(f"http://127.0.0.1:{port}", None, transport=LOOPBACK)
    failure, seconds = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.delivered) == ("upstream_unavailable", Delivered.no)
    assert seconds < AT_ONCE_SECONDS


def test_an_unknown_host_is_unavailable() -> None:
    langflow = LangFlow("http://no-such-host.invalid", None)
    assert langflow.check().reachable is False
    failure, _ = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.delivered) == ("upstream_unavailable", Delivered.no)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::]",
        "\uff11\uff12\uff17.0.0.1",
        "%31%32%37.0.0.1",
        "public.test@127.0.0.1",
        "127.0.0.1#public.test",
    ],
)
def test_loopback_is_not_called_however_it_is_spelt(stub: StubLangFlow, host: str) -> None:
    port = stub.url.rpartition(":")[2]
    with pytest.raises((FlowFailure, Invalid)):
        LangFlow(f"http://{host}:{port}", None).run(FlowCall(ECHO), Stopper())
    assert LangFlow(f"http://127.0.0.1:{port}", None).check().reachable is False
    assert stub.calls()["total"] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_refusal_says_what_to_do_and_not_what_is_there(stub: StubLangFlow, host: str) -> None:
    langflow = LangFlow(f"http://{host}:{stub.url.rpartition(':')[2]}", None)
    failure, _ = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.delivered) == ("address_refused", Delivered.yes)
    assert failure.message.startswith(host.strip("[]"))
    assert "OutboundAllow" in failure.message
    assert langflow.check().message == failure.message


def test_a_name_cannot_move_inside_between_the_look_and_the_call(
    stub: StubLangFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.2 is allowed here and stands for the public address of a name that its owner points inside."""
    port = int(stub.url.rpartition(":")[2])
    asked = answering(monkeypatch, "flows.test", ["127.0.0.2", "127.0.0.1", "127.0.0.2"])
    langflow = LangFlow(f"http://flows.test:{port}", None, transport=Network(AllowList.read("127.0.0.2")))
    outcomes = [failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))[0].code for _ in range(3)]
    assert outcomes == ["upstream_unavailable", "address_refused", "upstream_unavailable"]
    assert asked == ["flows.test"] * 3
    assert stub.calls()["total"] == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(stub: StubLangFlow, status: int) -> None:
    """Not even to where calls are allowed: it would carry the key along."""

    def redirect(accepted: socket.socket) -> None:
        accepted.recv(65536)
        location = f"Location: {stub.url}/api/v2/workflows"
        accepted.sendall(f"HTTP/1.1 {status} Elsewhere\r\n{location}\r\nContent-Length: 0\r\n\r\n".encode())

    with listening(redirect) as port:
        langflow = LangFlow(f"http://127.0.0.1:{port}", "key", transport=LOOPBACK)
        failure, _ = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.status) == ("upstream_refused", status)
    assert stub.calls()["total"] == 0


def test_tls_and_the_host_header_are_about_the_name_though_an_address_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = TlsServer(*self_signed(tmp_path, x509.DNSName("flows.test")), monkeypatch)
    answering(monkeypatch, "flows.test", ["127.0.0.1"])
    with listening(server.answer) as port:
        langflow = LangFlow(f"https://flows.test:{port}", None, transport=LOOPBACK)
        failure, _ = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.status) == ("upstream_refused", 418)
    assert server.names == ["flows.test"]
    assert f"Host: flows.test:{port}\r\n".encode() in server.request


@pytest.mark.parametrize("name", [x509.DNSName("other.test"), THIS_MACHINE])
def test_a_certificate_of_another_name_is_refused_even_that_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: x509.GeneralName
) -> None:
    server = TlsServer(*self_signed(tmp_path, name), monkeypatch)
    answering(monkeypatch, "flows.test", ["127.0.0.1"])
    with listening(server.answer) as port:
        langflow = LangFlow(f"https://flows.test:{port}", None, transport=LOOPBACK)
        failure, _ = failure_of(lambda: langflow.run(FlowCall(ECHO), Stopper()))
    assert (failure.code, failure.delivered) == ("upstream_unavailable", Delivered.no)
    assert "flows.test" in failure.message
    assert server.request == b""


def test_ten_huge_answers_at_once_fit_in_memory() -> None:
    """Measured in a process of its own: ten answers of 40 MB, half of them packed, read at the same time."""
    script = Path(__file__).with_name("huge_answers.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=script.parents[2])
    measured = json.loads(done.stdout)
    assert measured["codes"] == ["output_too_large"] * 10
    assert measured["grown_bytes"] < 10 * 24 * MIB


def test_a_job_runs_to_its_end(stub: StubLangFlow) -> None:
    stub.set("ok", delay_ms=300)
    asked = client(stub)
    job = asked.submit(FlowCall(ECHO, "hello", idempotency_key="k"))
    assert asked.submit(FlowCall(ECHO, "hello", idempotency_key="k")) == job
    assert asked.poll(job) == Running("in_progress")
    time.sleep(0.35)
    answer = asked.poll(job)
    assert isinstance(answer, FlowAnswer)
    assert (answer.text, [step.name for step in answer.steps]) == ("hello", ["ChatInput", "ChatOutput"])
    assert stub.calls()["total"] == 1


def test_a_job_can_be_stopped(stub: StubLangFlow) -> None:
    stub.set("ok", delay_ms=60_000)
    asked = client(stub)
    job = asked.submit(FlowCall(ECHO))
    assert asked.stop(job) is True
    failure, _ = failure_of(lambda: asked.poll(job))
    assert failure.code == "cancelled"


def test_a_job_that_failed_tells_its_steps(stub: StubLangFlow) -> None:
    stub.set("fail")
    asked = client(stub)
    job = asked.submit(FlowCall(ECHO, "x"))
    failure, _ = failure_of(lambda: asked.poll(job))
    assert (failure.code, failure.message) == ("flow_failed", "the stub fails: x")
    assert [step.status for step in asked.steps(job)] == ["completed", "failed"]


def test_a_flow_can_misbehave_alone(stub: StubLangFlow) -> None:
    other = list(FLOWS)[1]
    stub.set("fail", flow_id=other)
    failure_of(lambda: client(stub).run(FlowCall(other), Stopper()))
    assert client(stub).run(FlowCall(ECHO, "x"), Stopper()).text == "x"
    stub.reset()
    assert client(stub).run(FlowCall(other, "y"), Stopper()).text == "y"
    assert stub.calls()["calls"] == {other: {"y": 1}}


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose first connection is handed to `serve`, in a thread."""

    def accept() -> None:
        accepted, _ = listener.accept()
        with accepted:
            try:
                serve(accepted)
            except OSError:
                return  # the client hung up: what these tests are about

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def answering(monkeypatch: pytest.MonkeyPatch, name: str, addresses: list[str]) -> list[str]:
    """From here on `name` leads to each of `addresses` in turn; the answer says how often it was asked for."""
    real, asked, answers = socket.getaddrinfo, list[str](), iter(addresses)

    def resolve(host: str, *arguments: Any, **more: Any) -> Any:
        if host != name:
            return real(host, *arguments, **more)
        asked.append(host)
        return real(next(answers), *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


class TlsServer:
    """Remembers which name the caller wanted and what it said. Its certificate is trusted."""

    def __init__(self, certificate: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(connection, "_tls", lambda: trusting)
        self._serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._serving.load_cert_chain(certificate, key)
        self._serving.sni_callback = lambda _, name, __: self.names.append(name)
        self.names: list[str] = []
        self.request = b""

    def answer(self, accepted: socket.socket) -> None:
        with self._serving.wrap_socket(accepted, server_side=True) as encrypted:
            while not whole(self.request):  # who closes with something unread resets the connection
                self.request += encrypted.recv(65536)
            encrypted.sendall(b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n")


def whole(request: bytes) -> bool:
    """Whether a request has come with all of its body."""
    head, blank, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(blank) and len(body) >= int(length[1] if length else 0)


def self_signed(directory: Path, subject: x509.GeneralName = THIS_MACHINE) -> tuple[Path, Path]:
    """Certificate and key of `subject`, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
