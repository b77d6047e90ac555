"""The API dies after each of its writes in turn, while somebody changes who may do what: there is no half of it.

What can be seen of access then is what could be seen before or what can be seen after; whoever says it again gets it
done, or is told that it is; and it is as if nothing had happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from shared import wiring
from shared.services import hashing
from tests.fakes import Clock
from tests.integration.api import people
from tests.integration.api.conftest import client, made
from tests.integration.api.keys import a_key, a_project
from tests.integration.api.mortal import A_MINUTE, World, mortal
from tests.integration.api.people import EMAIL, OTHER, PASSWORD, Outbox, Person
from tests.integration.conftest import Aws, forget

Json = dict[str, Any]
NEW_PASSWORD = "another long and winding password"
ONCE = {"Idempotency-Key": "once"}


@pytest.fixture
def world(aws: Aws, outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> World:
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(hashing, "HASHER", quick)
    monkeypatch.setattr(hashing, "NOBODYS", quick.hash("nobody's"))
    monkeypatch.setenv("SPARK_OPEN_REGISTRATION", "true")
    world = World(aws, clock, outbox)
    for service in ("dynamodb", "kms", "secretsmanager"):
        mortal(wiring.client(service), world, monkeypatch)
    forget()
    return world


# ---------------------------------------------------------------- what can be seen


def members(world: World) -> Any:
    found = world.api.get("/members").json()["items"]
    return sorted((each["email"], each["role"], each["project_id"] or "") for each in found)


def gets_in(email: str, password: str = PASSWORD) -> Any:
    """As what, where; or why not."""
    with people.visitor() as anybody:
        answer = anybody.post("/auth/login", json={"email": email, "password": password})
        if answer.status_code != 200:
            return answer.status_code
        me = people.bearer(answer.json()["access_token"]).get("/auth/me")
    return me.json().get("role", me.status_code)


def opens(key: str) -> int:
    with client(key) as holder:
        return holder.get("/auth/me").status_code


def lives(world: World, session: str) -> int:
    """Does an access token of that session still get in?"""
    person: Person = world.said[session]
    return person.api.get("/auth/me").status_code


def names(world: World, noun: str) -> list[str]:
    return sorted(each["name"] for each in world.api.get(f"/{noun}").json()["items"])


def bob_does_as_he_is_told(world: World) -> Any:
    """The last letter to him has a token, or says that he has an account and how he gets in."""
    letters = [letter["text"] for letter in world.outbox.letters() if letter["to"] == OTHER]
    if letters and "account verify" in letters[-1]:
        bob_answers(world)
    elif letters:
        posted("/auth/forgot-password", email=OTHER)
        posted("/auth/reset-password", token=world.outbox.token(OTHER), password=PASSWORD)
    return gets_in(OTHER)


def who_gets_in(world: World) -> Any:
    return members(world), gets_in(EMAIL), gets_in(OTHER)


# ---------------------------------------------------------------- what is done


@dataclass(frozen=True)
class Scenario:
    """`again` are the answers to saying it again. What is `lost` with an answer is not the same the second time."""

    prepare: Callable[[World], Any]
    act: Callable[[World], httpx.Response]
    seen: Callable[[World], Any]
    again: set[int]


def nothing(world: World) -> None:
    assert world.api.get("/auth/me").status_code == 200


def ann(world: World) -> Person:
    nothing(world)
    assert people.register().status_code == 201
    world.said["ann"] = people.log_in()
    return world.said["ann"]


def bob_is_invited(world: World) -> None:
    made(ann(world).api.post("/invitations", json={"email": OTHER, "role": "operator"}))
    world.said["token"] = world.outbox.token(OTHER)


def bob_has_an_account(world: World) -> None:
    """Of his own, and is invited to Ann's organization."""
    bob_is_invited(world)
    bob_registers(world)
    assert bob_answers(world).status_code == 200
    world.said["bob"] = people.log_in(OTHER)


def bob_registers(_: World) -> httpx.Response:
    return posted("/auth/register", email=OTHER, name="Bob", password=PASSWORD)


def bob_answers(world: World) -> httpx.Response:
    """The last letter to him: the address is his."""
    return posted("/auth/verify", token=world.outbox.token(OTHER))


def bob_waits_for_proof(world: World) -> None:
    ann(world)
    assert bob_registers(world).status_code == 202


def bob_is_in(world: World) -> None:
    bob_is_invited(world)
    assert people.register(email=OTHER, name="Bob", invitation=world.said["token"]).status_code == 201
    world.said["bob"] = people.log_in(OTHER).id
    world.said["his"] = people.log_in(OTHER).tokens


def two_sessions(world: World) -> None:
    world.said["other"] = ann(world).again()


def a_letter_to_reset(world: World) -> None:
    two_sessions(world)
    with people.visitor() as anybody:
        anybody.post("/auth/forgot-password", json={"email": EMAIL})
    world.said["token"] = world.outbox.token(EMAIL)


def a_key_to_rotate(world: World) -> None:
    nothing(world)
    world.said |= {f"key {name}": value for name, value in a_key(world.api, "viewer").items()}


def a_role(world: World) -> None:
    nothing(world)
    world.said["role"] = made(world.api.post("/roles", json={"name": "on call", "allow": ["runs:read"]}))["id"]
    world.said["key"] = a_key(world.api, world.said["role"])["key"]


def an_empty_project(world: World) -> None:
    nothing(world)
    world.said["project"] = a_project(world.api, "Empty")


def posted(path: str, **body: Any) -> httpx.Response:
    with people.visitor() as anybody:
        return anybody.post(path, json=body)


def anns(world: World) -> httpx.Client:
    person: Person = world.said["ann"]
    return person.api


def passwords(world: World) -> Any:
    """Which one gets in, and whether the session opened before lives."""
    return gets_in(EMAIL), gets_in(EMAIL, NEW_PASSWORD), lives(world, "other")


def rotated(world: World) -> httpx.Response:
    answer = world.api.post(f"/api-keys/{world.said['key id']}/rotate", json={"overlap_seconds": 0})
    if world.dies_after is None:  # else nobody has seen the new key
        assert opens(answer.json()["key"]) == 200
    return answer


SCENARIOS = {
    "the first owner registers": Scenario(nothing, lambda _: people.register(), who_gets_in, {201, 409}),
    "somebody registers by invitation": Scenario(
        bob_is_invited,
        lambda world: people.register(email=OTHER, name="Bob", invitation=world.said["token"]),
        who_gets_in,
        {201, 409, 422},
    ),
    "somebody registers by themselves": Scenario(
        ann,
        bob_registers,
        bob_does_as_he_is_told,
        {202},
    ),
    "an address is proven": Scenario(bob_waits_for_proof, bob_answers, who_gets_in, {200, 422}),
    "somebody is invited": Scenario(
        ann,
        lambda world: world.api.post("/invitations", json={"email": OTHER, "role": "viewer"}, headers=ONCE),
        lambda world: (members(world), len(world.api.get("/invitations").json()["items"])),
        {201},
    ),
    "an invitation is accepted": Scenario(
        bob_has_an_account,
        lambda world: world.said["bob"].api.post("/auth/invitations/accept", json={"token": world.said["token"]}),
        lambda world: members(world),
        {200, 409, 422},
    ),
    "a member gets another role": Scenario(
        bob_is_in,
        lambda world: anns(world).patch(f"/members/{world.said['bob']}", json={"role": "admin"}),
        who_gets_in,
        {200},
    ),
    "a member is removed": Scenario(
        bob_is_in,
        lambda world: anns(world).delete(f"/members/{world.said['bob']}"),
        who_gets_in,
        {204, 404},
    ),
    "a password is changed": Scenario(
        two_sessions,
        lambda world: anns(world).post(
            "/auth/change-password", json={"current_password": PASSWORD, "password": NEW_PASSWORD}
        ),
        passwords,
        {200, 204, 401},
    ),
    "a password is reset": Scenario(
        a_letter_to_reset,
        lambda world: posted("/auth/reset-password", token=world.said["token"], password=NEW_PASSWORD),
        passwords,
        {200, 204, 422},
    ),
    "somebody logs out": Scenario(
        two_sessions,
        lambda world: anns(world).post("/auth/logout"),
        lambda world: (lives(world, "ann"), lives(world, "other")),
        {204, 401},
    ),
    "a key is rotated": Scenario(
        a_key_to_rotate,
        rotated,
        lambda world: (opens(world.said["key key"]), len(names(world, "api-keys"))),
        {200},
    ),
    "a key is revoked": Scenario(
        a_key_to_rotate,
        lambda world: world.api.delete(f"/api-keys/{world.said['key id']}"),
        lambda world: (opens(world.said["key key"]), names(world, "api-keys")),
        {204, 404},
    ),
    "a role is changed": Scenario(
        a_role,
        lambda world: world.api.patch(f"/roles/{world.said['role']}", json={"deny": ["runs:read"]}),
        lambda world: client(world.said["key"]).get("/runs").status_code,
        {200},
    ),
    "the organization is renamed": Scenario(
        nothing,
        lambda world: world.api.patch("/organizations/default", json={"name": "Acme"}),
        lambda world: names(world, "organizations"),
        {200},
    ),
    "a project is founded": Scenario(
        nothing,
        lambda world: world.api.post("/projects", json={"name": "Lab"}, headers=ONCE),
        lambda world: names(world, "projects"),
        {201},
    ),
    "a project is deleted": Scenario(
        an_empty_project,
        lambda world: world.api.delete(f"/projects/{world.said['project']}"),
        lambda world: names(world, "projects"),
        {204, 404},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_there_is_no_half_of_it(name: str, world: World, tell_count: Callable[[str, int], None]) -> None:
    scenario = SCENARIOS[name]
    before, after = before_and_after(scenario, world)
    for step in count(1):
        world.rewind()
        with world.dying(step):
            scenario.act(world)
        if world.writes < step:
            break
        world.rest()
        found = scenario.seen(world)
        assert found in (before, after), f"{name}, dead after write {step}"
        world.rest()
        answer = scenario.act(world)
        assert answer.status_code in scenario.again, f"{name}, said again after write {step}: {answer.text}"
        world.rest()
        assert scenario.seen(world) == after, f"{name}, said again after write {step}"
    assert step > 1
    tell_count("crashes while somebody changed who may do what", step - 1)


def before_and_after(scenario: Scenario, world: World) -> tuple[Any, Any]:
    scenario.prepare(world)
    world.keep()
    world.rest()
    before = scenario.seen(world)
    world.rewind()
    assert scenario.act(world).is_success
    world.rest()
    after = scenario.seen(world)
    assert before != after
    return before, after


def test_a_lost_answer_to_a_refresh_costs_a_login_at_most(world: World) -> None:
    """Whose new token was lost has the old one: at once it is a conflict, later a replay; and logging in helps."""
    token = ann(world).tokens["refresh_token"]
    world.keep()
    answers = set()
    for step in count(1):
        for seconds in (1, A_MINUTE):
            world.rewind()
            with world.dying(step):
                posted("/auth/refresh", refresh_token=token)
            if world.writes < step:
                break
            forget()
            world.clock.forward(seconds)
            answers.add((seconds, posted("/auth/refresh", refresh_token=token).status_code))
            assert gets_in(EMAIL) == "owner"
        if world.writes < step:
            break
    assert answers <= {(1, 200), (1, 409), (A_MINUTE, 200), (A_MINUTE, 401)}
    assert {(1, 409), (A_MINUTE, 401)} <= answers
