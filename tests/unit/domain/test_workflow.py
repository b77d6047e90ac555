"""Workflows, their versions and what differs between two."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.retry import RetryPolicy
from shared.domain.workflow import FlowFacts, VersionReason, WorkflowSettings, differences, version_of
from tests.fakes import NOON
from tests.world import a_version, a_workflow


def test_a_version_is_the_workflow_as_it_stands() -> None:
    workflow = a_workflow(version=4, facts=FlowFacts(definition_hash="h"), updated_at=NOON.replace(hour=13))

    version = version_of(workflow, VersionReason.rolled_back, "key_1", definition_key="k", rollback_of=2)

    assert (version.project_id, version.workflow_id, version.number) == (workflow.project_id, workflow.id, 4)
    assert (version.settings, version.facts) == (workflow.settings, workflow.facts)
    assert (version.source_id, version.flow_id) == (workflow.source_id, workflow.flow_id)
    assert (version.reason, version.rollback_of, version.created_by) == ("rolled_back", 2, "key_1")
    assert version.created_at == workflow.updated_at


def test_differences_name_each_setting_that_changed_and_the_definition() -> None:
    old = a_workflow(settings=WorkflowSettings(name="Echo"), facts=FlowFacts(definition_hash="a"))
    new = a_workflow(
        settings=WorkflowSettings(name="Echo", timeout_seconds=60, retry=RetryPolicy(max_attempts=5)),
        facts=FlowFacts(definition_hash="b"),
    )

    found = differences(a_version(old), a_version(new))

    assert sorted(found) == ["definition_hash", "retry", "timeout_seconds"]
    assert found["definition_hash"] == ["a", "b"]
    assert found["timeout_seconds"] == [120, 60]
    assert differences(a_version(old), a_version(old)) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 201},
        {"timeout_seconds": 0},
        {"timeout_seconds": 86_401},
        {"description": "x" * 2001},
        {"tags": ["x"] * 51},
        {"tags": ["x" * 201]},
        {"tweaks": []},
        {"surprise": 1},
    ],
)
def test_settings_outside_their_limits_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WorkflowSettings(**{"name": "Echo", **fields})
