"""The table of contents: chapters are opened when they are asked for, once."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from functions.api.app import create_app
from functions.api.table import CONTENTS, Contents, add_all
from shared.settings import Settings

LOADED = (
    "import sys, functions.api.app; print([name for name in sys.modules if 'api.routers.' in name or name == 'httpx'])"
)


def test_a_cold_start_opens_no_chapter_and_no_http_client() -> None:
    assert subprocess.check_output([sys.executable, "-c", LOADED], text=True).strip() == "[]"


@pytest.mark.parametrize("chapter", sorted(set(CONTENTS.values()) - {CONTENTS["schedules"]}))
def test_only_the_chapter_of_schedules_knows_cron_in_words(chapter: str) -> None:
    loaded = f"import sys, {chapter}; print('cron_descriptor' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "False"


def test_a_request_opens_its_chapter_once() -> None:
    app = create_app(Settings())
    before = len(app.routes)
    after = [ask(app, path) for path in ("/api/v1/nothing", "/runs", "/api/v1/health/live", "/api/v1/health")]
    assert after == [before, before, before + 3, before + 3]


def test_all_chapters_are_there_when_all_are_wanted() -> None:
    app = create_app(Settings())
    add_all(app)
    add_all(app)
    paths = [(path, method) for route in app.routes for path, method in keys(route)]
    assert len(paths) == len(set(paths))
    assert {path.split("/")[3] for path, _ in paths} >= set(CONTENTS)


def ask(app: Any, path: str) -> int:
    """How many routes there are after a request."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        return None

    loop = asyncio.new_event_loop()
    loop.run_until_complete(Contents(answer, app)({"type": "http", "path": path}, None, None))  # type: ignore[arg-type]
    loop.close()
    return len(app.routes)


def keys(route: Any) -> list[tuple[str, str]]:
    return [(route.path, method) for method in route.methods]
