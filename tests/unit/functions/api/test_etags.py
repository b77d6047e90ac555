"""ETags."""

from datetime import timedelta

import pytest

from functions.api.etags import etag, guard
from shared.domain.api_key import ApiKey
from shared.domain.project import Retention
from shared.domain.role import Permission, Role
from shared.domain.source import SourceCheck
from shared.domain.workflow import FlowFacts
from shared.errors import Stale
from tests.fakes import NOON
from tests.world import a_project, a_schedule, a_source, a_workflow


def test_only_what_a_user_edits_changes_the_tag() -> None:
    source, workflow = a_source(), a_workflow()
    looked_at = source.model_copy(update={"check": SourceCheck(reachable=True), "checked_at": NOON, "revision": 7})
    synced = workflow.model_copy(
        update={"facts": FlowFacts(flow_name="x"), "version": 2, "updated_at": NOON + timedelta(1)}
    )
    assert etag(looked_at) == etag(source)
    assert etag(synced) == etag(workflow)


@pytest.mark.parametrize("change", [{"name": "x"}, {"url": "http://x"}, {"encrypted_key": "x"}, {"max_concurrency": 1}])
def test_each_edit_of_a_source_changes_the_tag(change: dict[str, object]) -> None:
    assert etag(a_source(**change)) != etag(a_source())


def test_each_edit_of_a_schedule_changes_the_tag_and_firing_does_not() -> None:
    schedule = a_schedule()
    other = schedule.settings.model_copy(update={"input": "Other"})
    for change in ({"settings": other}, {"enabled": False}, {"input_key": "keep/default/schedules/x.json"}):
        assert etag(schedule.model_copy(update=change)) != etag(schedule)
    fired = {"fired": 7, "watermark": NOON + timedelta(1), "wake_at": None, "revision": 9, "updated_at": NOON}
    assert etag(schedule.model_copy(update=fired)) == etag(schedule)


def test_rotating_and_using_a_key_does_not_change_the_tag_and_each_edit_of_it_does() -> None:
    key = ApiKey(project_id="p", id="key_1", name="ci", hash="h", created_at=NOON)
    turned = {"hash": "n", "previous_hash": "h", "previous_until": NOON, "last_used_at": NOON, "revision": 9}
    assert etag(key.model_copy(update=turned)) == etag(key)
    for change in ({"name": "x"}, {"role": "owner"}, {"valid_until": NOON}, {"daily_quota": 0}, {"per_minute": 1}):
        assert etag(key.model_copy(update=change)) != etag(key)


def test_each_edit_of_a_role_or_a_project_changes_the_tag() -> None:
    role = Role(id="rol_1", organization_id="o", name="r", created_by="key_1", created_at=NOON)
    for change in ({"name": "x"}, {"allow": (Permission.runs_read,)}, {"deny": (Permission.runs_read,)}):
        assert etag(role.model_copy(update=change)) != etag(role)
    for change in ({"name": "x"}, {"retention_days": Retention.week}):
        assert etag(a_project(**change)) != etag(a_project())


def test_switching_a_workflow_off_changes_the_tag() -> None:
    assert etag(a_workflow(enabled=False)) != etag(a_workflow())


def test_the_header_names_one_tag_several_or_any() -> None:
    current = a_source()
    for header in (None, "*", etag(current), f'"other", {etag(current)}'):
        guard(header)(current)
    for header in ("", '"other"', f"W/{etag(current)}", etag(current).strip('"')):
        with pytest.raises(Stale):
            guard(header)(current)
