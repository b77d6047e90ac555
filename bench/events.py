"""Events and context as Lambda gives them: an HTTP request for the API, messages of the run queue for the executor."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_MILLISECONDS = 300_000


@dataclass
class Context:
    """Lambda's context. The log stream is of the length that functions with a log group of their own get."""

    function_name: str = "spark-executor"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:spark-executor"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    log_stream_name: str = f"2030/01/01/spark-executor[$LATEST]{'0' * 32}"

    def get_remaining_time_in_millis(self) -> int:
        return TIMEOUT_MILLISECONDS


def http_request(method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    """An event of an HTTP API, payload format 2.0."""
    path, _, query = path.partition("?")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", "host": "api.example", **headers},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
            "requestId": str(uuid.uuid4()),
            "stage": "$default",
            "domainName": "api.example",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def sqs_batch(bodies: Sequence[str]) -> dict[str, Any]:
    """An event of the run queue with one record per body."""
    return {"Records": [_record(body) for body in bodies]}


def _record(body: str) -> dict[str, Any]:
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1893456000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:spark-bench",
        "awsRegion": "us-east-1",
    }
