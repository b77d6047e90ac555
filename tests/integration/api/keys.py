"""Callers with other keys than the first, and a second organization."""

from typing import Any

import httpx

from functions.api import identity
from shared import wiring
from shared.domain.api_key import ApiKey, PresentedKey, written
from shared.domain.organization import Organization
from shared.domain.project import Project
from tests.integration.api.conftest import client, made

Json = dict[str, Any]
RIVAL = "rival"
RIVAL_SECRET = "r" * 43


def a_key(api: httpx.Client, role: str = "viewer", **fields: Any) -> Json:
    """A new key, with its text."""
    return made(api.post("/api-keys", json={"name": role, "role": role, **fields}))


def holder(api: httpx.Client, role: str = "viewer", **fields: Any) -> httpx.Client:
    """A caller with a new key."""
    return client(a_key(api, role, **fields)["key"])


def a_project(api: httpx.Client, name: str = "Lab") -> str:
    """The id of a new project."""
    return str(made(api.post("/projects", json={"name": name}))["id"])


def rival() -> httpx.Client:
    """The owner of another organization, with a project of its own."""
    now, id = wiring.now(), wiring.new_id("key")
    identity.organizations().ensure(Organization(id=RIVAL, name="Rival", created_by=id, created_at=now))
    project = Project(project_id=wiring.new_id("prj"), organization_id=RIVAL, name="Theirs", created_at=now)
    wiring.projects().save(None, project)
    key = ApiKey(
        id=id,
        organization_id=RIVAL,
        organization_wide=True,
        project_id=project.id,
        name="theirs",
        role="owner",
        hash=PresentedKey(id, RIVAL_SECRET).hash,
        created_at=now,
    )
    identity.api_keys().save(None, key)
    return client(written(id, RIVAL_SECRET))
