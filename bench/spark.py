"""Spark as a benchmark uses it: through the API, whatever carries the requests there."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from bench.events import Context, http_request

BASE = "/api/v1"
FLOW = "00000000-0000-4000-8000-000000000001"  # the first flow of the stub
SOURCE_KEY = "k" * 43  # as long as LangFlow's
PATIENCE_SECONDS = 60.0

Send = Callable[[str, str, Any, Mapping[str, str]], tuple[int, Any]]


@dataclass(frozen=True)
class Spark:
    """`send(method, path, body, headers)` answers status and JSON."""

    send: Send
    api_key: str

    def prepare(self, source_url: str) -> str:
        """A source at `source_url` and its first flow imported; answers the workflow's id."""
        source = self.post("/sources", {"name": "stub", "url": source_url, "api_key": SOURCE_KEY})
        workflow = self.post("/workflows/import", {"source_id": source["id"], "flow_id": FLOW})
        return str(workflow["id"])

    def submit(self, workflow: str, inputs: Sequence[str], headers: Mapping[str, str] | None = None) -> list[str]:
        """The ids of a run for each input, ordered in one request."""
        runs = [{"workflow_id": workflow, "input": text} for text in inputs]
        answer = self.post("/runs/batch", {"runs": runs}, headers)
        return [item["run"]["id"] for item in answer["items"]]

    def submit_one(self, workflow: str, text: str, headers: Mapping[str, str] | None = None) -> str:
        return str(self.post("/runs", {"workflow_id": workflow, "input": text}, headers)["id"])

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self._ask("POST", path, body, headers or {})

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None, {})

    def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        status, answer = self.send(method, BASE + path, body, {"x-api-key": self.api_key, **headers})
        assert status < httpx.codes.BAD_REQUEST, f"{method} {path}: {status} {answer}"
        return answer


def in_process(handler: Callable[..., Any]) -> Send:
    """Requests as events to the API's handler in this process."""

    def send(method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        answer = handler(http_request(method, path, body, dict(headers)), Context(function_name="spark-api"))
        return answer["statusCode"], json.loads(answer["body"])

    return send


def over_http(url: str) -> Send:
    """Requests to a deployment, on one connection that is kept."""
    client = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS)

    def send(method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        response = client.request(method, path, json=body, headers=dict(headers))
        return response.status_code, response.json()

    return send
