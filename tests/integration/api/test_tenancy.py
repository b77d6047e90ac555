"""Strangers at each operation, from the API's own document: another project's, and another organization's caller.

All that belongs to the first project is there to be found: they name its ids, in paths and in bodies, and get 404, or
422 where a body names what they cannot see. Not one item of it changes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import made
from tests.integration.api.keys import RIVAL, a_project, holder, rival
from tests.integration.api.operations import operations
from tests.integration.api.people import Outbox
from tests.integration.api.test_dead_letters import bury
from tests.integration.conftest import Aws

Json = dict[str, Any]
Count = Callable[[str, int], None]

STRANGER = "a stranger"
OF_THE_ORGANIZATION = (
    "/organizations",
    "/projects",
    "/roles",
    "/api-keys",
    "/members",
    "/invitations",
    "/identity-providers",
    "/audit",
)
OF_THE_DEPLOYMENT = {"list_refusals", "get_deployment"}
"""What belongs to no organization, and is shown to the first one alone."""
GUARDED = [each for each in operations() if each.permissions]
NAMING = [each for each in GUARDED if each.parameters]


@pytest.fixture
def ids(api: httpx.Client, outbox: Outbox, workflow: Json, schedule: Json) -> dict[str, str]:
    """One of everything, all of the first project and its organization."""
    run = made(api.post("/runs", json={"workflow_id": workflow["id"], "input": "mine"}))
    provider = {"name": "mine", "issuer": "https://accounts.test", "client_id": "mine"}
    past = {"start_at": "2030-05-01T00:00:00Z", "end_at": "2030-05-02T00:00:00Z"}
    return {
        "source_id": workflow["source_id"],
        "workflow_id": workflow["id"],
        "schedule_id": schedule["id"],
        "run_id": run["id"],
        "backfill_id": made(api.post(f"/schedules/{schedule['id']}/backfills", json=past))["id"],
        "dead_letter_id": bury(run["id"]).id,
        "key_id": made(api.post("/api-keys", json={"name": "mine", "role": "viewer"}))["id"],
        "service_account_id": made(api.post("/service-accounts", json={"name": "mine", "role": "viewer"}))["id"],
        "role_id": made(api.post("/roles", json={"name": "mine", "allow": ["runs:read"]}))["id"],
        "project_id": made(api.post("/projects", json={"name": "mine"}))["id"],
        "organization_id": "default",
        "invitation_id": made(api.post("/invitations", json={"email": "ann@example.com", "role": "viewer"}))["id"],
        "provider_id": made(api.post("/identity-providers", json=provider))["id"],
        "number": "1",
    }


@pytest.fixture(params=["another project", "another organization"])
def stranger(
    request: pytest.FixtureRequest, api: httpx.Client, ids: dict[str, str]
) -> Iterator[tuple[httpx.Client, bool]]:
    """A caller who may do everything, elsewhere; and whether it is the same organization."""
    same = request.param == "another project"
    with holder(api, "owner", name=STRANGER, project_id=a_project(api)) if same else rival() as caller:
        yield caller, same


def bodies(ids: dict[str, str]) -> dict[str, Json]:
    """Bodies that would do, if only the caller might."""
    timing = {"kind": "cron", "expression": "0 9 * * *"}
    run, key = {"workflow_id": ids["workflow_id"], "input": "theirs"}, {"name": "theirs", "role": "viewer"}
    return {
        "create_workflow": {"source_id": ids["source_id"], "flow_id": "flow-1", "settings": {"name": "theirs"}},
        "import_workflow": {"source_id": ids["source_id"], "flow_id": "flow-1"},
        "update_source": {"name": "theirs"},
        "put_source": {"name": "theirs"},
        "update_workflow": {"settings": {"name": "theirs"}},
        "put_workflow": {"settings": {"name": "theirs"}},
        "rollback_workflow": {"version": 1},
        "create_workflow_run": {"input": "theirs"},
        "execute_workflow": {"input": "theirs"},
        "create_run": run,
        "create_task": run,
        "create_execution": run,
        "create_schedule": {"workflow_id": ids["workflow_id"], "settings": {"name": "theirs", **timing}},
        "update_schedule": {"settings": {"name": "theirs"}},
        "put_schedule": {"settings": {"name": "theirs"}},
        "create_backfill": {"start_at": "2030-05-01T00:00:00Z", "end_at": "2030-05-02T00:00:00Z"},
        "update_organization": {"name": "theirs"},
        "update_project": {"name": "theirs"},
        "update_role": {"name": "theirs"},
        "update_member": {"role": "viewer"},
        "update_api_key": {"name": "theirs"},
        "rotate_api_key": {"overlap_seconds": 0},
        "update_identity_provider": {"name": "theirs"},
        "create_api_key": {**key, "project_id": ids["project_id"]},
        "update_service_account": {"name": "theirs"},
        "create_service_account": {**key, "project_id": ids["project_id"]},
        "create_invitation": {"email": "bob@example.com", "role": "viewer", "project_id": ids["project_id"]},
    }


REFERRING = {"create_workflow", "import_workflow", "create_run", "create_task", "create_execution", "create_schedule"}
REFERRING_TO_PROJECTS = {"create_api_key", "create_service_account", "create_invitation"}


def test_what_is_named_in_the_path_is_not_there_for_strangers(
    aws: Aws, ids: dict[str, str], stranger: tuple[httpx.Client, bool], tell_count: Count
) -> None:
    caller, same = stranger
    before, asked = belongings(aws), 0
    for each in NAMING:
        if same and each.path.startswith(OF_THE_ORGANIZATION):
            continue  # a project's caller belongs to the organization; what they may do there: test_api_keys and others
        answer = each.request(caller, ids, bodies(ids).get(each.id))
        assert answer.status_code == 404, f"{each.id}: {answer.status_code} {answer.text}"
        asked += 1
    assert belongings(aws) == before
    tell_count("ids named by strangers in paths", asked)


def test_what_is_named_in_the_body_is_not_there_for_strangers(
    aws: Aws, ids: dict[str, str], stranger: tuple[httpx.Client, bool], tell_count: Count
) -> None:
    caller, same = stranger
    before, asked = belongings(aws), 0
    for each in GUARDED:
        if each.id in REFERRING or (each.id in REFERRING_TO_PROJECTS and not same):
            answer = each.request(caller, ids, bodies(ids)[each.id])
            assert answer.status_code in (404, 422), f"{each.id}: {answer.status_code} {answer.text}"
            assert any(id in answer.text for id in ids.values()), f"{each.id}: {answer.text}"
            asked += 1
    assert belongings(aws) == before
    assert not caller.get("/runs").json()["items"]
    tell_count("ids named by strangers in bodies", asked)


def test_no_list_shows_strangers_anything(
    ids: dict[str, str], stranger: tuple[httpx.Client, bool], tell_count: Count
) -> None:
    caller, same = stranger
    lists = [each for each in GUARDED if each.method == "GET" and not each.parameters]
    theirs = {id for name, id in ids.items() if name not in ("number", "organization_id", "role_id", "invitation_id")}
    asked = 0
    for each in lists:
        if same and each.path.startswith(("/audit", "/identity-providers")):
            continue
        answer = each.request(caller, ids)
        assert answer.status_code == (403 if each.id in OF_THE_DEPLOYMENT else 200), f"{each.id}: {answer.text}"
        assert not [id for id in theirs if id in answer.text], each.id
        asked += 1
    tell_count("lists read by strangers", asked)


def test_no_sweep_reaches_what_is_not_theirs(
    aws: Aws, ids: dict[str, str], stranger: tuple[httpx.Client, bool]
) -> None:
    before = belongings(aws)
    for path in ("/runs/cancel", "/runs/retry", "/schedules/pause", "/schedules/resume"):
        assert stranger[0].post(path, json={}).json()["matched"] == 0, path
    assert belongings(aws) == before


def test_a_header_does_not_open_another_project(ids: dict[str, str], stranger: tuple[httpx.Client, bool]) -> None:
    for project in ("default", ids["project_id"]):
        assert stranger[0].get("/runs", headers={"X-Project-Id": project}).status_code == 404, project


def belongings(aws: Aws) -> list[str]:
    """All items of the first organization and its projects, but for what is noted of requests: use, limits, denials."""
    theirs = ("PROJECT#default", "ORGANIZATION#default", "KEY#key_", "INVITATION#", "IDENTITY_PROVIDER#")
    return sorted(str(item) for item in aws.items() if item["pk"]["S"].startswith(theirs) and not is_of_strangers(item))


def is_of_strangers(item: Json) -> bool:
    values = {name: next(iter(value.values())) for name, value in item.items()}
    return values.get("organization_id") == RIVAL or values.get("name") == STRANGER or "IDEMPOTENCY" in values["pk"]
