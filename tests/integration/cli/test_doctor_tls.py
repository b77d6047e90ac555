"""The doctor at a real TLS connection, on loopback: what it sees of a certificate, and that it trusts no stranger's."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rich.console import Console

from cli.doctor import checks, gathering
from cli.doctor.facts import Certificate, Facts, Level, Unknown
from cli.session import Session, Surroundings

NOW = datetime.now(UTC).replace(microsecond=0)
END = NOW + timedelta(days=40)


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Tests read what pytest prints."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test CA")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(END)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def url(certificate: Path) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def session(transport: httpx.BaseTransport | None) -> Session:
    return Session({}, Surroundings(transport, lambda: datetime.now(UTC)), Console(), Console())


def test_the_certificate_is_that_of_the_connection(url: str, certificate: Path) -> None:
    trusting = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(certificate)))
    seen = gathering.look(session(trusting), url, "/health")
    assert not isinstance(seen, Unknown)
    assert seen.certificate == Certificate(END, "Test CA")
    ahead = gathering.ahead(seen)
    assert not isinstance(ahead, Unknown)
    assert abs(ahead) < 60  # both clocks are this machine's


def test_a_certificate_that_nobody_vouches_for_is_no_connection(url: str) -> None:
    seen = gathering.look(session(None), url, "/health")
    assert isinstance(seen, Unknown)
    assert "CERTIFICATE_VERIFY_FAILED" in seen.reason
    facts = Facts(url, NOW, seen)
    assert [finding.level for finding in checks.reachable(facts)] == [Level.fail]
