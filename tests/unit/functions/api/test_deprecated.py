"""Old spellings."""

import pytest

from functions.api.deprecated import document, translate


@pytest.mark.parametrize(
    ("old", "today"),
    [
        (("GET", "/api/v1/tasks"), ("GET", "/api/v1/runs")),
        (("POST", "/api/v1/executions/run_1/retry"), ("POST", "/api/v1/runs/run_1/retry")),
        (("PATCH", "/api/v1/tasks/run_1/cancel"), ("POST", "/api/v1/runs/run_1/cancel")),
        (("POST", "/api/v1/workflows/wf_1/execute"), ("POST", "/api/v1/workflows/wf_1/runs")),
        (("GET", "/api/v1/workflows/wf_1/executions"), ("GET", "/api/v1/workflows/wf_1/runs")),
        (("PUT", "/api/v1/sources/src_1"), ("PATCH", "/api/v1/sources/src_1")),
        (("PUT", "/api/v1/schedules/sch_1"), ("PATCH", "/api/v1/schedules/sch_1")),
        (("GET", "/api/v1/workflows/wf_1/execute"), ("GET", "/api/v1/workflows/wf_1/execute")),
        (("GET", "/api/v1/tasksforce"), ("GET", "/api/v1/tasksforce")),
        (("PUT", "/api/v1/sources/a/b"), ("PUT", "/api/v1/sources/a/b")),
    ],
)
def test_requests_are_understood_as_they_were_meant(old: tuple[str, str], today: tuple[str, str]) -> None:
    assert translate(*old) == today


def test_the_document_leaves_todays_operations_as_they_are() -> None:
    paths = {
        f"/api/v1{path}": {
            method: {"operationId": operation, "tags": ["x"]} for method, operation in operations.items()
        }
        for path, operations in {
            "/runs": {"get": "list_runs"},
            "/runs/{run_id}/cancel": {"post": "cancel_run"},
            "/workflows/{workflow_id}": {"patch": "update_workflow"},
            "/workflows/{workflow_id}/runs": {"post": "create_workflow_run", "get": "list_workflow_runs"},
            "/sources/{source_id}": {"patch": "update_source"},
            "/schedules/{schedule_id}": {"patch": "update_schedule"},
        }.items()
    }
    document(paths)
    assert paths["/api/v1/runs"]["get"] == {"operationId": "list_runs", "tags": ["x"]}
    assert paths["/api/v1/tasks"]["get"] == {"operationId": "list_tasks", "tags": ["deprecated"], "deprecated": True}
    assert paths["/api/v1/workflows/{workflow_id}"]["put"]["operationId"] == "put_workflow"
