"""Uses what a bundle carries, where nothing else is: `python -I -S bundled.py BUNDLE FUNCTION EVENTS [ABSENT ...]`.

It imports every module of ours and every name that ours take from others, inside functions too, and then uses what
those libraries load only when they are used. BUNDLE is a folder that `build.mk` made, EVENTS the folder of sample
events, ABSENT the packages that the function's lock does not name: what needs them is passed over, and nothing else.
A stand-in on loopback answers for AWS and for a receiver of traces. Ends with the traceback of what is missing.
"""

import ast
import base64
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

BUNDLE, FUNCTION, EVENTS = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
ABSENT = frozenset(sys.argv[4:])
sys.path.insert(0, str(BUNDLE))
NOON = datetime(2026, 3, 25, 12, tzinfo=UTC)
# Enough of an answer for each call below: members that a call does not know are passed over.
NOTHING = {"Items": [], "Responses": {}, "UnprocessedKeys": {}, "Keys": [], "MessageId": "m", "SecretString": "{}"}
IN_XML = b"<A><PublishResult><MessageId>m</MessageId></PublishResult><GetCallerIdentityResult/></A>"
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "dynamodb": ("get_item", {"TableName": "table", "Key": {"pk": {"S": "a"}}}),
    "kms": ("encrypt", {"KeyId": "key", "Plaintext": b"a"}),
    "lambda": ("invoke", {"FunctionName": "tick", "Payload": b"{}"}),
    "s3": ("put_object", {"Bucket": "bucket", "Key": "a", "Body": b"a"}),
    "secretsmanager": ("get_secret_value", {"SecretId": "secret"}),
    "sesv2": ("send_email", {"Content": {"Simple": {"Subject": {"Data": "a"}, "Body": {"Text": {"Data": "a"}}}}}),
    "sns": ("publish", {"PhoneNumber": "+10000000000", "Message": "a"}),
    "sqs": ("send_message", {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/runs", "MessageBody": "a"}),
    "sts": ("get_caller_identity", {}),
    "xray": ("put_trace_segments", {"TraceSegmentDocuments": []}),
}


class Answers(BaseHTTPRequestHandler):
    """Whatever is asked: that there is nothing."""

    def do_POST(self) -> None:
        asked = self.headers.get("content-type", "")
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(IN_XML if "urlencoded" in asked else b"" if "protobuf" in asked else json.dumps(NOTHING).encode())

    def do_PUT(self) -> None:  # an object into S3, which asks for "100 Continue" first
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(b"")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    os.environ |= {"AWS_ENDPOINT_URL": address, "SPARK_OTLP_ENDPOINT": address}
    import_ours()
    import_what_ours_take()
    build_all_services()
    call_every_client()
    for use in (recurrences, own_event, *ONLY.get(FUNCTION, ())):
        use()


def is_absent(error: ModuleNotFoundError) -> bool:
    return any(f"{error.name}.".startswith(f"{name}.") for name in ABSENT)


def is_imported(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not is_absent(error):
            raise
        return False
    return True


def ours() -> Iterator[tuple[str, Path]]:
    for path in sorted((BUNDLE / "shared").rglob("*.py")) + sorted((BUNDLE / "functions").rglob("*.py")):
        yield ".".join(path.relative_to(BUNDLE).with_suffix("").parts).removesuffix(".__init__"), path


def import_ours() -> None:
    """Of the function's own folder nothing may be absent."""
    for name, _ in ours():
        if not is_imported(name):
            assert not name.startswith("functions."), f"{name} cannot be imported"


def import_what_ours_take() -> None:
    for _, path in ours():
        for node in at_run_time(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    is_imported(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.module and is_imported(node.module):
                for alias in node.names:
                    if not hasattr(sys.modules[node.module], alias.name):
                        is_imported(f"{node.module}.{alias.name}")


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from at_run_time(child)


def build_all_services() -> None:
    """What the composition roots can make without being told anything."""
    for root in filter(None, map(found, ("shared.wiring", "functions.api.identity"))):
        for name, make in inspect.getmembers(root, callable):
            if getattr(make, "__module__", None) == root.__name__ and not inspect.signature(make).parameters:
                try:
                    make()
                except ModuleNotFoundError as error:
                    if not is_absent(error):
                        raise AssertionError(f"{root.__name__}.{name} cannot be made") from error


def found(name: str) -> ModuleType | None:
    """A module of ours, if the bundle has the function that it belongs to."""
    package = name.rpartition(".")[0]
    return importlib.import_module(name) if importlib.util.find_spec(package) else None


def call_every_client() -> None:
    """Serializers, endpoints, signatures and parsers of botocore, and the way through urllib3."""
    wiring = importlib.import_module("shared.wiring")
    for service, (operation, parameters) in CALLS.items():
        getattr(wiring.client(service), operation)(**parameters)
    assert "Signature" in wiring.client("s3").generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "a"})
    session = importlib.import_module("botocore.httpsession")
    assert Path(session.get_cert_path(True)).stat().st_size  # whom https trusts


def recurrences() -> None:
    import zoneinfo

    from shared.domain import recurrence

    zoneinfo.reset_tzpath(to=[])  # as on Lambda, whose image has no time zones
    assert "Europe/Berlin" in zoneinfo.available_timezones()
    every_night = recurrence.cron("30 2 * * MON-FRI", zoneinfo.ZoneInfo("Europe/Berlin"))
    assert recurrence.count_between(every_night, NOON, NOON + timedelta(days=7)) == 5


def context() -> Any:
    return SimpleNamespace(
        function_name="spark",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:spark",
        aws_request_id="11111111-2222-3333-4444-555555555555",
        log_stream_name="2030/01/01/[$LATEST]0",
        get_remaining_time_in_millis=lambda: 60_000,
    )


def invoke(event: dict[str, Any]) -> Any:
    return importlib.import_module(f"functions.{FUNCTION}.handler").handler(event, context())


def own_event() -> None:
    """The function's own trigger, under X-Ray as the environment says."""
    name = {"api": "api_health", "executor": "sqs_run", "tick": "eventbridge_tick", "dead_letters": "dlq_unreadable"}
    answer = invoke(json.loads((EVENTS / f"{name[FUNCTION]}.json").read_text()))
    assert answer is not None


def get(path: str) -> bytes:
    """The body of a page of the API."""
    event = json.loads((EVENTS / "api_health.json").read_text())
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"/api/v1/{path}"
    answer = invoke(event)
    assert answer["statusCode"] == 200, f"{path}: {answer}"
    body = answer["body"].encode()
    return base64.b64decode(body) if answer["isBase64Encoded"] else body


def documentation() -> None:
    assert len(json.loads(get("openapi.json"))["paths"]) > 50
    assert b"swagger-ui-bundle.js" in get("docs")
    assert b"redoc.standalone.js" in get("redoc")
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png"):
        assert get(f"assets/{name}")


def passwords_and_second_factors() -> None:
    import segno

    from shared.services import hashing, totp

    assert hashing.is_right("correct horse", hashing.hashed("correct horse"))
    secret = totp.secret(bytes(20))
    assert totp.step_of(secret, "000000", NOON) is None
    assert segno.make(totp.uri(secret, "a@example.com", "Spark"), micro=False).svg_data_uri(scale=4)


def tokens() -> None:
    """Each kind of key that a token may be signed with; those of identity providers come as JWK."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    keys = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "PS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in keys.items():
        published = jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True)
        token = jwt.encode({"sub": "a"}, key, name)
        assert jwt.decode(token, jwt.PyJWK.from_dict(published, name), [name]) == {"sub": "a"}


def descriptions() -> None:
    from cron_descriptor import Options, get_description

    assert get_description("30 2 * * 1-5", Options())


def https() -> None:
    import httpx

    assert httpx.create_ssl_context().cert_store_stats()["x509_ca"] > 50


def traces() -> None:
    """One span to the receiver, on the way that all requests of ours take."""
    from shared import wiring
    from shared.domain.tracing import Kind, Span

    told = {"a": "text", "b": 1, "c": True}
    wiring.exporting().send([Span(bytes(16), bytes(8), None, "run", Kind.client, NOON, NOON, told, "timeout", "late")])


ONLY: dict[str, tuple[Callable[[], None], ...]] = {
    "api": (documentation, passwords_and_second_factors, tokens, descriptions, https),
    "executor": (https, traces),
}
"""What some functions do and others do not."""

main()
