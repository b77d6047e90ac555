"""Limits of keys and addresses, as callers meet them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.api import dependencies, identity
from shared import wiring
from shared.domain.api_key import ApiKey, PresentedKey, written
from shared.domain.record import instant_text
from shared.domain.role import BuiltIn
from shared.settings import settings
from shared.store.table import Table
from tests.fakes import Clock
from tests.integration.api import people, wire
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import holder, rival
from tests.integration.api.people import Invite, Outbox, Person, bearer, visitor
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws, forget

Json = dict[str, Any]
OTHER_SECRET = "o" * 43


@pytest.fixture
def noon(clock: Clock) -> Clock:
    """The beginning of a minute."""
    clock.jump(clock.at.replace(second=0, microsecond=0).replace(year=2030))
    return clock


@pytest.fixture
def key(noon: Clock, api: httpx.Client) -> Callable[..., httpx.Client]:
    """Makes callers, each with a key that has these fields."""
    api.get("/runs")

    def make(id: str = "one", **fields: Any) -> httpx.Client:
        made = ApiKey(
            id=f"key_{id}",
            project_id="default",
            name=id,
            hash=PresentedKey(id, OTHER_SECRET).hash,
            created_at=noon(),
            **{"role": BuiltIn.viewer, **fields},
        )
        identity.api_keys().save(None, made)
        return client(written(made.id, OTHER_SECRET))

    return make


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the items that are counted in from here on."""
    keys: list[str] = []
    count = Table.count

    def record(table: Table, key: Any, *rest: Any) -> Any:
        keys.append(key.pk)
        return count(table, key, *rest)

    monkeypatch.setattr(Table, "count", record)
    return keys


class Wrote(list[str]):
    """What was written to the table."""


@pytest.fixture
def wrote(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Wrote:
    writes, client_of = Wrote(), wiring.client("dynamodb")
    for name in ("put_item", "update_item", "transact_write_items"):
        real = getattr(client_of, name)

        def record(name: str = name, real: Any = real, **arguments: Any) -> Any:
            writes.append(name)
            return real(**arguments)

        monkeypatch.setattr(client_of, name, record)
    return writes


def pages(api: httpx.Client, path: str, limit: int) -> Iterator[Json]:
    """The items of a list, so many a request."""
    cursor = None
    while True:
        page = api.get(path, params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


class TestKeys:
    def test_answers_say_how_the_limits_stand(self, key: Callable[..., httpx.Client]) -> None:
        with key(per_minute=10, daily_quota=100) as caller:
            assert caller.get("/runs").headers["RateLimit"].startswith('"minute";r=9;t=60, "day";r=99;t=')
            answer = caller.get("/runs")
        assert answer.headers["RateLimit-Policy"] == '"minute";q=10;w=60, "day";q=100;w=86400'
        assert answer.headers["RateLimit"].startswith('"minute";r=8;t=60')

    def test_whatever_the_answer_is(self, key: Callable[..., httpx.Client]) -> None:
        with key(per_minute=10) as caller:
            assert caller.get("/runs/nobody").headers["RateLimit"] == '"minute";r=9;t=60'
            refused = caller.post("/sources", json={"name": "x", "url": "http://langflow.test"})
            problem(refused, 403, "forbidden")
            assert refused.headers["RateLimit"] == '"minute";r=8;t=60'

    def test_one_request_too_many_is_told_when_to_come_back(
        self, key: Callable[..., httpx.Client], noon: Clock, counted: list[str]
    ) -> None:
        with key(per_minute=2) as caller:
            assert [caller.get("/runs").status_code for _ in range(2)] == [200, 200]
            noon.forward(15)
            refused = caller.get("/runs")
            assert "2 requests a minute" in problem(refused, 429, "rate_limited")["detail"]
            assert refused.headers["Retry-After"] == "45"
            assert refused.headers["RateLimit"] == '"minute";r=0;t=45'
            counted.clear()
            problem(caller.get("/runs"), 429, "rate_limited")
            assert counted == []  # refused from memory
            noon.forward(45)
            assert caller.get("/runs").status_code == 200

    def test_a_request_counts_once(self, key: Callable[..., httpx.Client], counted: list[str]) -> None:
        with key(per_minute=10) as caller:
            for _ in range(3):
                caller.get("/runs")
        assert counted == ["LIMIT#KEY#key_one"] * 3

    def test_keys_are_counted_apart(self, key: Callable[..., httpx.Client]) -> None:
        with key("one", per_minute=1) as one, key("two", per_minute=1) as two:
            assert [caller.get("/runs").status_code for caller in (one, two, one, two)] == [200, 200, 429, 429]

    def test_a_key_without_limits_of_its_own_has_those_of_the_deployment(
        self, key: Callable[..., httpx.Client]
    ) -> None:
        with key() as caller:
            assert caller.get("/runs").headers["RateLimit-Policy"] == '"minute";q=600;w=60'
        with key("other", per_minute=0) as unlimited:
            assert "RateLimit" not in unlimited.get("/runs").headers

    def test_the_first_key_has_no_limit_and_costs_no_count(self, api: httpx.Client, counted: list[str]) -> None:
        answers = [api.get("/runs") for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert not any("RateLimit" in answer.headers for answer in answers)
        assert counted == []

    def test_environments_count_together(self, key: Callable[..., httpx.Client]) -> None:
        with key(per_minute=2) as caller:
            statuses = []
            for _ in range(3):
                dependencies.doorkeeper.cache_clear()
                identity.limiter.cache_clear()
                statuses.append(caller.get("/runs").status_code)
        assert statuses == [200, 200, 429]


class TestAddresses:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch, aws: Aws, noon: Clock) -> None:
        monkeypatch.setenv("SPARK_REFUSALS_PER_MINUTE", "3")

    def test_who_guesses_is_told_to_stop(self, noon: Clock, counted: list[str]) -> None:
        with client(f"spk_guess_{'x' * 43}") as stranger:
            refusals = [stranger.get("/runs") for _ in range(3)]
            assert [refused.status_code for refused in refusals] == [401] * 3
            assert refusals[0].headers["RateLimit"] == '"minute";r=2;t=60'
            limited = stranger.get("/runs")
            problem(limited, 429, "rate_limited")
            assert limited.headers["Retry-After"] == "60"
            noon.forward(60)
            assert stranger.get("/runs").status_code == 401
        assert {key.rpartition("#")[0] for key in counted} == {"LIMIT#ADDRESS#127.0.0.1"}
        assert len(set(counted)) == 2  # each minute has its own

    def test_then_nothing_is_looked_up_for_that_address_and_nothing_counted(
        self, counted: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads: list[str] = []
        get = Table.get
        monkeypatch.setattr(Table, "get", lambda table, key, **rest: reads.append(key.pk) or get(table, key, **rest))
        with client(f"spk_guess_{'x' * 43}") as stranger:
            for _ in range(4):
                stranger.get("/runs")
            counted.clear()
            reads.clear()
            for _ in range(3):
                problem(stranger.get("/runs"), 429, "rate_limited")
        assert (reads, counted) == ([], [])

    def test_a_key_that_was_let_in_is_not_locked_out_by_a_neighbour(self, api: httpx.Client) -> None:
        assert api.get("/runs").status_code == 200
        with client(None) as stranger:
            assert [stranger.get("/runs").status_code for _ in range(5)] == [401] * 3 + [429] * 2
        assert api.get("/runs").status_code == 200

    def test_asking_for_projects_that_a_key_does_not_open_is_guessing_too(self, api: httpx.Client) -> None:
        answers = [api.get("/runs", headers={"X-Project-Id": f"p{number}"}) for number in range(4)]
        assert [answer.status_code for answer in answers] == [404] * 3 + [429]

    def test_health_and_documentation_are_not_counted(self, counted: list[str]) -> None:
        with client(None) as anybody:
            for path in ("/health", "/health/live", "/health/ready", "/docs", "/nothing") * 2:
                anybody.get(path)
        assert counted == []

    def test_another_address_is_another_stranger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with client(None) as stranger:
            for _ in range(4):
                stranger.get("/runs")
            assert stranger.get("/runs", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 429
            of = wire.event_of
            monkeypatch.setattr(wire, "event_of", lambda request: _from("203.0.113.9", of(request)))
            assert stranger.get("/runs").status_code == 401


class TestPeople:
    def test_what_they_ask_about_themselves_counts_with_all_else(self, owner: Person, counted: list[str]) -> None:
        account = f"LIMIT#KEY#{owner.id}"
        counted.clear()
        answers = [owner.api.get("/auth/sessions"), owner.api.get("/runs"), owner.api.get("/auth/me")]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert counted == [account] * 3
        left = [int(answer.headers["RateLimit"].split(";")[1].removeprefix("r=")) for answer in answers]
        assert left[0] - 2 == left[1] - 1 == left[2]

    def test_they_are_told_to_stop(self, owner: Person, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        monkeypatch.setenv("SPARK_REQUESTS_PER_MINUTE", "2")
        forget()
        clock.forward(60)
        answers = [owner.api.get("/auth/sessions") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]

    def test_who_names_none_of_several_projects_is_counted_too(
        self, owner: Person, invite: Invite, counted: list[str]
    ) -> None:
        projects = [owner.api.post("/projects", json={"name": name}).json()["id"] for name in ("a", "b")]
        bob = invite("viewer", project_id=projects[0])
        made(owner.api.post("/invitations", json={"email": bob.email, "role": "viewer", "project_id": projects[1]}))
        token = Outbox(Path(settings().outbox) / "outbox.jsonl").token(bob.email)
        assert bob.api.post("/auth/invitations/accept", json={"token": token}).status_code == 200
        counted.clear()
        problem(bob.api.get("/runs"), 422, "invalid")
        assert [key.rpartition("#")[0] for key in counted] == ["LIMIT#ADDRESS#127.0.0.1"]

    def test_who_asks_for_public_keys_is_a_stranger(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch, noon: Clock
    ) -> None:
        monkeypatch.setenv("SPARK_REFUSALS_PER_MINUTE", "2")
        forget()
        with client(None) as anybody:
            assert [anybody.get("/auth/jwks").status_code for _ in range(3)] == [200, 200, 429]


class TestRefusals:
    """Requests answered 401, by address and minute."""

    @pytest.fixture
    def stranger(self, noon: Clock, api: httpx.Client) -> Iterator[httpx.Client]:
        api.get("/runs")
        with client(f"spk_guess_{'x' * 43}") as stranger:
            yield stranger

    def test_they_are_there_for_the_first_organization_to_read(
        self, stranger: httpx.Client, noon: Clock, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(3):
            stranger.get("/runs")
        noon.forward(60)
        stranger.get("/runs")
        of = wire.event_of
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(wire, "event_of", lambda request: _from("2001:db8::7", of(request)))
            stranger.get("/runs")
        found = api.get("/audit/refusals").json()["items"]
        first, second = (instant_text(noon() - timedelta(seconds=ago)) for ago in (60, 0))
        assert found == [
            {"address": "2001:db8::/64", "at": second, "refusals": 1},
            {"address": "127.0.0.1", "at": second, "refusals": 1},
            {"address": "127.0.0.1", "at": first, "refusals": 3},
        ]
        assert api.get("/audit/refusals", params={"until": first}).json()["items"] == found[2:]
        assert api.get("/audit/refusals", params={"since": second}).json()["items"] == found[:2]
        assert list(pages(api, "/audit/refusals", 1)) == found

    def test_the_write_that_counts_is_the_one_that_notes(self, stranger: httpx.Client, aws: Aws, wrote: Wrote) -> None:
        stranger.get("/runs")  # the first of a minute: two
        wrote.clear()
        for _ in range(5):
            assert stranger.get("/runs").status_code == 401
        assert len(wrote) == 5

    def test_all_that_is_answered_401_counts(self, owner: Person, api: httpx.Client, noon: Clock) -> None:
        with visitor() as anybody, bearer("x.y.z") as forged:
            answers = [
                anybody.post("/auth/login", json={"email": people.EMAIL, "password": "a wrong password"}),
                anybody.post("/auth/refresh", json={"refresh_token": "x"}),
                anybody.get("/runs"),
                forged.get("/runs"),
                forged.get("/auth/sessions"),
                owner.api.post("/auth/change-password", json={"current_password": "x", "password": "another one!!"}),
            ]
        assert [answer.status_code for answer in answers] == [401] * 6
        assert sum(each["refusals"] for each in api.get("/audit/refusals").json()["items"]) == 6

    def test_who_is_let_in_is_in_no_list(self, owner: Person, api: httpx.Client, aws: Aws) -> None:
        with visitor() as anybody:
            anybody.get("/auth/jwks")
        assert api.get("/audit/refusals").json() == {"items": [], "next_cursor": None}
        visits = [item for item in aws.items() if item["pk"]["S"].startswith("LIMIT#ADDRESS#")]
        assert visits
        assert not any("records_of" in item or "refused" in item for item in visits)

    def test_a_refusal_after_a_visit_in_the_same_minute_is_listed(
        self, stranger: httpx.Client, api: httpx.Client
    ) -> None:
        with client(None) as anybody:
            anybody.get("/auth/jwks")
        for _ in range(2):
            stranger.get("/runs")
        assert [each["refusals"] for each in api.get("/audit/refusals").json()["items"]] == [2]

    def test_an_address_that_is_shut_costs_nothing_and_what_was_counted_stays(
        self, stranger: httpx.Client, api: httpx.Client, wrote: Wrote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_REFUSALS_PER_MINUTE", "3")
        forget()
        api.get("/runs")
        for _ in range(4):
            stranger.get("/runs")
        wrote.clear()
        for _ in range(5):
            problem(stranger.get("/runs"), 429, "rate_limited")
        assert list(wrote) == []
        assert [each["refusals"] for each in api.get("/audit/refusals").json()["items"]] == [3]

    def test_they_count_also_where_addresses_have_no_limit(
        self, stranger: httpx.Client, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_REFUSALS_PER_MINUTE", "0")
        forget()
        assert [stranger.get("/runs").status_code for _ in range(4)] == [401] * 4
        assert [each["refusals"] for each in api.get("/audit/refusals").json()["items"]] == [4]

    def test_they_are_kept_for_a_week(self, stranger: httpx.Client, api: httpx.Client, noon: Clock) -> None:
        stranger.get("/runs")
        noon.forward(days=7)
        assert len(api.get("/audit/refusals").json()["items"]) == 1
        noon.forward(61)
        assert api.get("/audit/refusals").json()["items"] == []

    def test_nobody_else_sees_them(self, stranger: httpx.Client, api: httpx.Client) -> None:
        stranger.get("/runs")
        with rival() as other, holder(api, "owner", organization_wide=False) as of_a_project:
            for caller in (other, of_a_project):
                problem(caller.get("/audit/refusals"), 403, "forbidden")
        with holder(api, "editor", organization_wide=True) as editor:
            problem(editor.get("/audit/refusals"), 403, "forbidden")


class TestACounterThatDoesNotWork:
    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> None:
            raise ClientError({"Error": {"Code": "ProvisionedThroughputExceeded", "Message": "x"}}, "UpdateItem")

        monkeypatch.setattr(Table, "count", refuse)

    def test_turns_nobody_away_and_is_noticed(
        self,
        key: Callable[..., httpx.Client],
        broken: None,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with key(per_minute=1) as caller, client(None) as stranger:
            answers = [caller.get("/runs") for _ in range(3)]
            assert stranger.get("/runs").status_code == 401
        assert {answer.status_code for answer in answers} == {200}
        assert [record.message for record in caplog.records].count("limit.not_counted") == 4
        assert capsys.readouterr().out.count('"RequestsNotCounted":[1.0]') == 4


def _from(address: str, event: Json) -> Json:
    event["requestContext"]["http"]["sourceIp"] = address
    return event
