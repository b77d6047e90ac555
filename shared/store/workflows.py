"""Workflows and their versions."""

from collections.abc import Sequence

from shared.domain.workflow import Workflow, WorkflowVersion
from shared.errors import Conflict, NotFound
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import RecordStore, Slice
from shared.store.table import Change

VERSIONS = Codec(WorkflowVersion, json=frozenset({"settings", "facts"}))


class WorkflowStore(RecordStore[Workflow]):
    noun = "workflow"
    kind = keys.WORKFLOW
    codec = Codec(Workflow, names={"id": "record_id"}, json=frozenset({"settings", "facts"}))

    def save_version(self, version: WorkflowVersion) -> None:
        """Store a version. Saying the same again is no error: the caller may be repeating itself after a crash.

        Raises:
            Conflict: another version has that number.
        """
        try:
            self.table.put(Change(None, VERSIONS.encode(version, _key(version), {})))
        except Conflict:
            if self.get_version(version.project_id, version.workflow_id, version.number) != version.model_copy(
                update={"revision": 1}
            ):
                raise

    def get_version(self, project: str, workflow_id: str, number: int) -> WorkflowVersion:
        """Raises NotFound when there is no such version."""
        item = self.table.get(keys.workflow_version(project, workflow_id, number))
        if item is None:
            raise NotFound("version", f"{workflow_id}/{number}")
        return VERSIONS.decode(item)

    def get_versions(
        self, versions: Sequence[tuple[str, str, int]], *, consistent: bool = False
    ) -> dict[tuple[str, str, int], WorkflowVersion]:
        """Those that exist of these (project, workflow, number)."""
        found = self.table.get_many([keys.workflow_version(*version) for version in versions], consistent=consistent)
        decoded = map(VERSIONS.decode, found.values())
        return {(version.project_id, version.workflow_id, version.number): version for version in decoded}

    def versions(
        self, project: str, workflow_id: str, *, limit: int, before: int | None = None
    ) -> Slice[WorkflowVersion]:
        """Versions of a workflow, newest first, older than number `before`."""
        items = self.table.query(
            keys.workflow(project, workflow_id).pk,
            keys.VERSION_PREFIX,
            below=keys.workflow_version(project, workflow_id, before).sk if before else None,
            limit=limit + 2,
            newest_first=True,
        )
        found = [VERSIONS.decode(item) for item in items[:limit]]
        return Slice(found, str(found[-1].number) if len(items) > limit else None)


def _key(version: WorkflowVersion) -> keys.Key:
    return keys.workflow_version(version.project_id, version.workflow_id, version.number)
