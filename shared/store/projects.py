"""Projects."""

from shared.domain.project import Project
from shared.errors import Conflict, NotFound
from shared.store import keys
from shared.store.codec import Codec
from shared.store.table import Change, Table

PROJECTS = Codec(Project)


class ProjectStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, project: str) -> Project:
        """Raises NotFound when there is no such project."""
        item = self._table.get(keys.project(project), consistent=False)
        if item is None:
            raise NotFound("project", project)
        return PROJECTS.decode(item)

    def ensure(self, project: Project) -> Project:
        """`project`, stored now if it was not yet."""
        try:
            self._table.put(Change(None, PROJECTS.encode(project, keys.project(project.project_id), {})))
        except Conflict:
            return self.get(project.project_id)
        return project.model_copy(update={"revision": 1})
