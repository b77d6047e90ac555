"""The API as its callers meet it: `api` is an HTTP client with a valid key, `langflow` the server behind a source."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.api import dependencies
from shared import wiring
from shared.domain.source import Source
from shared.langflow import LangFlow
from shared.queue import RunQueue
from tests.fakes import Clock
from tests.integration.api import people
from tests.integration.api.people import Invite, Outbox, Person
from tests.integration.api.schedules import Body, Sent
from tests.integration.api.wire import LambdaTransport, LangFlowServer, a_flow
from tests.integration.conftest import API_KEY, Aws, forget

Json = dict[str, Any]

MONDAY = datetime(2030, 6, 3, 12, 0, 30, tzinfo=UTC)
WEEKDAYS = {"kind": "cron", "expression": "0 9 * * 1-5", "timezone": "America/Sao_Paulo"}


@pytest.fixture
def api(aws: Aws) -> Iterator[httpx.Client]:
    with client(API_KEY) as caller:
        yield caller


@pytest.fixture
def langflow(monkeypatch: pytest.MonkeyPatch) -> LangFlowServer:
    server = LangFlowServer()
    server.flows["flow-1"] = a_flow()
    real = wiring.langflow

    def wired(source: Source, correlation_id: str, seconds: float | None = None) -> LangFlow:
        made = real(source, correlation_id, seconds)
        made._transport = httpx.MockTransport(server)
        return made

    monkeypatch.setattr(wiring, "langflow", wired)
    return server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that requests see."""
    clock = Clock(wiring.now())
    monkeypatch.setattr(wiring, "now", clock)
    return clock


@pytest.fixture
def source(api: httpx.Client, langflow: LangFlowServer) -> Json:
    """A source that was looked at."""
    body = {"name": "lab", "url": "http://langflow.test", "api_key": langflow.key}
    return made(api.post("/sources", json=body))


@pytest.fixture
def workflow(api: httpx.Client, source: Json) -> Json:
    """A flow that was imported."""
    return made(api.post("/workflows/import", json={"source_id": source["id"], "flow_id": "flow-1"}))


@pytest.fixture
def order(workflow: Json) -> Callable[..., Json]:
    """The body of a new run."""
    return lambda **changes: {"workflow_id": workflow["id"], "input": "Hello", **changes}


@pytest.fixture
def monday(clock: Clock) -> Clock:
    """The time that requests see: some Monday, half a minute past noon."""
    clock.jump(MONDAY)
    return clock


@pytest.fixture
def body(monday: Clock, workflow: Json) -> Body:
    """The body of a new schedule: on weekdays at nine."""

    def build(enabled: bool = True, **settings: Any) -> Json:
        said = {"name": "Report", "input": "Hello", **WEEKDAYS, **settings}
        return {"workflow_id": workflow["id"], "settings": said, "enabled": enabled}

    return build


@pytest.fixture
def schedule(api: httpx.Client, body: Body) -> Json:
    return made(api.post("/schedules", json=body()))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What is announced from here on."""
    deliveries, send = Sent(), RunQueue.send

    def record(queue: RunQueue, wanted: Any) -> None:
        deliveries.extend(wanted)
        send(queue, wanted)

    monkeypatch.setattr(RunQueue, "send", record)
    return deliveries


@pytest.fixture
def outbox(aws: Aws, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Mail goes into a folder; asking for a password is not held up; and nothing happens at the same time."""
    clock._step = timedelta(milliseconds=1)
    monkeypatch.setenv("SPARK_OUTBOX", str(tmp_path))
    forget()
    monkeypatch.setattr(dependencies, "sleep", lambda seconds: None)
    return Outbox(tmp_path / "outbox.jsonl")


@pytest.fixture
def owner(outbox: Outbox) -> Person:
    """The one to whom the deployment belongs."""
    assert people.register().status_code == 201
    return people.log_in()


@pytest.fixture
def invite(owner: Person, outbox: Outbox) -> Invite:
    """Have somebody join, as the owner wants it, who was not here before."""

    def join(role: str, email: str = people.OTHER, **where: Any) -> Person:
        made(owner.api.post("/invitations", json={"email": email, "role": role, **where}))
        assert people.register(email=email, name="Bob", invitation=outbox.token(email)).status_code == 201
        return people.log_in(email)

    return join


@pytest.fixture
def tell_count(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Has the end of the test run say how much was tried: `tests/conftest.py` adds the numbers up."""

    def tell(what: str, number: int) -> None:
        record_property(f"count: {what}", number)

    return tell


def client(key: str | None) -> httpx.Client:
    """A caller with `key`, or with none."""
    headers = {} if key is None else {"X-API-Key": key}
    return httpx.Client(transport=LambdaTransport(), base_url="https://api.test/api/v1", headers=headers)


def made(response: httpx.Response) -> Json:
    assert response.status_code in (201, 202), response.text
    body: Json = response.json()
    return body
