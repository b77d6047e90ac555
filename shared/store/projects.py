"""Projects of an organization."""

from shared.domain.project import Project
from shared.errors import Conflict, NotFound
from shared.store import keys
from shared.store.codec import Codec
from shared.store.keys import Key
from shared.store.records import OrganizationRecordStore


class ProjectStore(OrganizationRecordStore[Project]):
    noun = "project"
    kind = keys.PROJECT
    codec = Codec(Project, names={"project_id": "record_id"})

    def key(self, organization: str, id: str) -> Key:  # noqa: ARG002  # its records say only which project they are of
        return keys.project(id)

    def by_id(self, id: str) -> Project:
        """The project of any organization, as it was a moment ago; a new one is there at once. Raises NotFound."""
        item = self.table.get(keys.project(id), consistent=False) or self.table.get(keys.project(id))
        if item is None:
            raise NotFound(self.noun, id, self.where)
        return self.codec.decode(item)

    def ensure(self, project: Project) -> Project:
        """`project`, stored now if it was not yet."""
        try:
            return self.save(None, project)
        except Conflict:
            return self.by_id(project.project_id)
