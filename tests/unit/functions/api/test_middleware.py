"""The limit of bodies, whatever way they arrive."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from functions.api.middleware import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    BodyLimit,
    Correlation,
    correlation_id,
    is_deep,
    read_body,
)


def arriving(*messages: dict[str, Any]) -> Any:
    left: Iterator[dict[str, Any]] = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def part(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_is_put_together() -> None:
    assert asyncio.run(read_body(arriving(part(b"a", True), part(b"b", False)))) == b"ab"


def test_a_body_is_read_no_further_than_the_limit() -> None:
    half = b"x" * (MAX_BODY_BYTES // 2 + 1)
    assert asyncio.run(read_body(arriving(part(half, True), part(half, True)))) is None


def test_a_sender_that_leaves_leaves_no_body() -> None:
    assert asyncio.run(read_body(arriving(part(b"a", True), {"type": "http.disconnect"}))) is None


@pytest.mark.parametrize("middleware", [BodyLimit, Correlation])
def test_what_is_no_request_passes(middleware: type[BodyLimit] | type[Correlation]) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(middleware(app)({"type": "lifespan"}, arriving(), arriving()))
    assert seen == ["lifespan"]


def test_an_id_of_the_caller_is_kept_if_it_may_stand_in_a_log() -> None:
    assert correlation_id("trace-1") == "trace-1"
    assert correlation_id("a\nb").startswith("req_")


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (nested(MAX_DEPTH), False),
        (nested(MAX_DEPTH + 1), True),
        (b"[" + b"[]," * 10_000 + b"[]]", False),
        (b'"' + b"[" * 1000 + b'"', False),
        (b'"\\"' + b"[" * 1000 + b'"', False),
        (b'"\\\\"' + b"[" * 1000, True),
        (b'""' + b'{"a":' * 65, True),
        (b'"' + b"[" * 1000, False),  # a text that does not end: no JSON
        (b"", False),
    ],
)
def test_depth_is_that_of_brackets_outside_of_texts(body: bytes, deep: bool) -> None:
    assert is_deep(body) is deep


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 500_000, b"[]," * 349_000, b'"",' * 349_000 + b"[" * 65, b"\\" * 10**6]
)
def test_looking_at_the_worst_body_takes_no_time_worth_mentioning(body: bytes) -> None:
    began = time.perf_counter()
    is_deep(b"[" * 64 + b"]" * 64 + body)
    assert time.perf_counter() - began < 2
