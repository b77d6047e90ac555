"""The two wires of the API: HTTP API events in front of the handler, and LangFlow behind it."""

import base64
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx

from functions.api.handler import handler

CONTEXT = SimpleNamespace(
    function_name="spark-api",
    function_version="1",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:spark-api",
    aws_request_id="11111111-2222-3333-4444-555555555555",
    log_stream_name="stream",
    get_remaining_time_in_millis=lambda: 29_000,
)


class LambdaTransport(httpx.BaseTransport):
    """Requests become events of payload format 2.0, answers of the handler become responses: as API Gateway does it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = handler(event_of(request), CONTEXT)
        body = answer.get("body", "")
        content = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
        cookies = [("set-cookie", each) for each in answer.get("cookies", [])]
        headers = [*(answer.get("headers") or {}).items(), *cookies]
        return httpx.Response(answer["statusCode"], headers=headers, content=content)


def event_of(request: httpx.Request) -> dict[str, Any]:
    """Bodies that are no text come as base64."""
    content = request.read()
    try:
        body, is_base64 = content.decode(), False
    except UnicodeDecodeError:
        body, is_base64 = base64.b64encode(content).decode(), True
    path, headers = request.url.path, dict(request.headers)
    cookies = headers.pop("cookie", "")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.url.query.decode(),
        **({"cookies": cookies.split("; ")} if cookies else {}),
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.execute-api.us-east-1.amazonaws.com",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2030:12:00:00 +0000",
            "timeEpoch": 1893499200000,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


class LangFlowServer:
    """A LangFlow at the other end of the transport: its flows, its key, its moods."""

    def __init__(self) -> None:
        self.flows: dict[str, dict[str, Any]] = {}
        self.key: str | None = "lf-secret-key"
        self.background = True
        self.refusal: Callable[[httpx.Request], httpx.Response] | None = None
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.refusal is not None:
            return self.refusal(request)
        match request.url.path:
            case "/health":
                return httpx.Response(200, json={"status": "ok"})
            case "/api/v1/version":
                return httpx.Response(200, json={"version": "1.13.0", "package": "Langflow"})
        if self.key is not None and request.headers.get("x-api-key") != self.key:
            return httpx.Response(403, json={"detail": "Invalid API key"})
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        match path:
            case "/api/v1/users/whoami":
                return httpx.Response(200, json={"username": "spark"})
            case "/api/v1/flows/":
                return httpx.Response(200, json=[{**flow, "data": None} for flow in self.flows.values()])
            case "/api/v2/workflows" if self.background:
                detail = {"error": "Job not found", "code": "JOB_NOT_FOUND"}
                return httpx.Response(404, json={"detail": detail})
            case "/api/v2/workflows":
                return httpx.Response(405, json={"detail": "Method Not Allowed"})
        flow = self.flows.get(path.removeprefix("/api/v1/flows/"))
        return httpx.Response(200, json=flow) if flow else httpx.Response(404, json={"detail": "Flow not found"})

    def slow(self, forward: Callable[[], object]) -> None:
        """Time goes `forward` while it looks at a key or at a flow."""
        answer = self._answer

        def late(request: httpx.Request) -> httpx.Response:
            if "users" in request.url.path or "flows" in request.url.path:
                forward()
            return answer(request)

        self._answer = late  # type: ignore[method-assign]

    def gone(self) -> None:
        """Nobody listens any more."""
        self.refusal = _refuse


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused", request=request)


def a_flow(id: str = "flow-1", name: str = "Echo", **changes: Any) -> dict[str, Any]:
    """A definition with a chat input, a chat output, and a component that holds a secret."""
    nodes = [_node("ChatInput-aaaaa", "ChatInput"), _node("ChatOutput-bbbbb", "ChatOutput")]
    secret = {"openai_api_key": {"value": "sk-very-secret", "password": True}}
    nodes.append(_node("OpenAI-ccccc", "OpenAI", secret))
    flow = {"id": id, "name": name, "description": "Says it again", "tags": ["demo"], "is_component": False}
    return {**flow, "folder_id": "f-1", "icon": "bot", "data": {"nodes": nodes, "edges": []}, **changes}


def _node(id: str, type: str, template: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": id, "data": {"id": id, "type": type, "node": {"display_name": type, "template": template or {}}}}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of `response`, which must be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:spark:problem:{code}"
    return document
