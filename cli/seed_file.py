"""The file that `spark admin seed` reads: what it may say, an example of it, and how its mistakes are shown."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from cli.errors import CliError, ExitCode, FieldError, usage
from cli.inputs import VARIABLE

EXAMPLE = """\
# What `spark admin seed FILE` makes sure is there. All parts are optional, and running it again changes nothing.
organization: Acme

projects:
  - name: Reports
    retention_days: 30 # how long runs are kept: 7, 30, 90, 365; 0: for good

roles:
  - name: on call
    allow: ["runs:read", "runs:create", "runs:cancel"] # `spark role get owner` shows all there is
    deny: []

members: # who is not in yet gets an invitation by mail
  - email: ann@example.com
    role: admin
  - email: bob@example.com
    role: on call
    project: Reports # only there; without it the role counts in all projects

sources:
  - name: lab
    url: https://langflow.example.com
    api_key: env:LANGFLOW_KEY # read from the environment, when the source is added
    project: Reports # without it, the one that commands work in
    max_concurrency: 4
    verify: true # it has to answer and to take the key
"""


def _as_written(value: Any) -> Any:
    """YAML reads `name: 2024` as a number and `name: off` as false: quotes are missing."""
    if isinstance(value, str):
        return value
    raise ValueError("Write it in quotes: it has to be text.")


def _no_secret(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(VARIABLE) and value != VARIABLE:
        return value
    raise ValueError("Write env:NAME. A key has no place in a file that others see.")


Text = Annotated[str, BeforeValidator(_as_written), StringConstraints(strip_whitespace=True, min_length=1)]


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def title(self) -> str:
        """What a table calls it; there is one of it in the file."""
        return str(getattr(self, "name"))  # noqa: B009  # all but members have one


class ProjectEntry(Entry):
    name: Text
    retention_days: int | None = None


class RoleEntry(Entry):
    name: Text
    allow: list[Text] = []
    deny: list[Text] = []


class MemberEntry(Entry):
    email: Text
    role: Text = "viewer"
    project: Text | None = None

    @property
    def title(self) -> str:
        return f"{self.email.lower()} in {self.project}" if self.project else self.email.lower()


class SourceEntry(Entry):
    name: Text
    url: Text
    api_key: Annotated[str, BeforeValidator(_no_secret)] | None = Field(None, repr=False)
    project: Text | None = None
    max_concurrency: int | None = None
    verify: bool = True

    @property
    def title(self) -> str:
        return f"{self.name} in {self.project}" if self.project else self.name


class Seed(BaseModel):
    """What a deployment is to have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organization: Text | None = None
    projects: list[ProjectEntry] = []
    roles: list[RoleEntry] = []
    members: list[MemberEntry] = []
    sources: list[SourceEntry] = []

    @model_validator(mode="after")
    def _each_once(self) -> "Seed":
        for entries in (self.projects, self.roles, self.members, self.sources):
            if twice := _twice(entries):
                raise ValueError(f"There is more than one {', '.join(twice)}.")
        return self


def read_seed(text: str) -> Seed:
    """What `text` says. Raises CliError, which names each place that is wrong, and quotes none: it may be a secret."""
    try:
        said = yaml.safe_load(text)
        return Seed.model_validate({} if said is None else said)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise usage(f"The file is no YAML{where}.", "`spark admin seed --example` shows one.") from None
    except ValidationError as error:
        fields = [FieldError("/".join(["", *map(str, one["loc"])]), _said(one)) for one in error.errors()]
        raise CliError("The file cannot be used.", fields=fields, exit_code=ExitCode.usage) from None


def _twice(entries: Iterable[Entry]) -> list[str]:
    return [title for title, number in Counter(entry.title for entry in entries).items() if number > 1]


def _said(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
