"""Making sure that a deployment has what a seed file says: what is missing is made, what differs changed.

A name is what something is known by, so running it again, also after it broke off, makes nothing twice. Nothing is
taken away, and the key of a source that has one is left alone: nobody can see whether it is the same.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cli import ids, members
from cli.client import Api, Json, given
from cli.errors import CliError, FieldError, usage
from cli.inputs import read_secret
from cli.seed_file import Entry, MemberEntry, ProjectEntry, RoleEntry, Seed, SourceEntry
from cli.session import Session

CREATED, CHANGED, INVITED, UNCHANGED = "created", "changed", "invited", "unchanged"


@dataclass(frozen=True)
class Planted:
    """What became of one thing that the file names."""

    kind: str
    name: str
    result: str


def plant(session: Session, seed: Seed) -> Iterator[Planted]:
    """All that `seed` says, one after the other: what comes later may name what comes before.

    Raises:
        CliError: it was refused; it names the place in the file. What was made before it stays.
    """
    if seed.organization is not None:
        with at("organization"):
            result = _organization(session, seed.organization)
        yield Planted("organization", seed.organization, result)
    yield from _each(session, "projects", seed.projects, _project)
    yield from _each(session, "roles", seed.roles, _role)
    yield from _each(session, "members", seed.members, _member)
    yield from _each(session, "sources", seed.sources, _source)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Errors say which entry of the file they are about."""
    try:
        yield
    except CliError as error:
        fields = [FieldError(f"/{place}{field.pointer}", field.detail) for field in error.fields]
        message = f"/{place}: {error}"
        raise CliError(
            message, hint=error.hint, exit_code=error.exit_code, fields=fields, problem=error.problem
        ) from error


def _each(session: Session, part: str, entries: Iterable[Any], put: Callable[[Session, Any], str]) -> Iterator[Planted]:
    for number, entry in enumerate(entries):
        with at(f"{part}/{number}"):
            result = put(session, entry)
        yield Planted(part.removesuffix("s"), entry.title, result)


def _organization(session: Session, name: str) -> str:
    api = session.organization
    own = next(api.items("/organizations", 1))
    return _put(api, "/organizations", own, {"name": name})


def _project(session: Session, entry: ProjectEntry) -> str:
    api = session.organization
    return _put(api, "/projects", _one(api, "/projects", entry, name=entry.name), _said(entry))


def _role(session: Session, entry: RoleEntry) -> str:
    api = session.organization
    wanted = {"name": entry.name, "allow": sorted(set(entry.allow)), "deny": sorted(set(entry.deny))}
    return _put(api, "/roles", _one(api, "/roles", entry, name=entry.name), wanted)


def _member(session: Session, entry: MemberEntry) -> str:
    """A member has the role; somebody who is none has an invitation to it."""
    project, role = members.project_id(session, entry.project), members.role_id(session, entry.role)
    place = {"email": entry.email.lower(), "project_id": project}
    member = _one(session.api, "/members", entry, **place)
    if member is not None:
        if member["role"] == role:
            return UNCHANGED
        session.api.patch(f"/members/{member['user_id']}", {"role": role}, project_id=project)
        return CHANGED
    sent = list(_like(session.api, "/invitations", **place))
    if any(each["role"] == role for each in sent):
        return UNCHANGED
    for each in sent:
        session.api.delete(f"/invitations/{each['id']}")
    session.api.post("/invitations", given(**place, role=role))
    return INVITED


def _source(session: Session, entry: SourceEntry) -> str:
    api = session.within(entry.project) if entry.project else session.api
    found = _one(api, "/sources", entry, name=entry.name)
    wanted = _said(entry, "project", "verify", "api_key") | {"url": entry.url.rstrip("/")}
    if entry.api_key and (found is None or not found["has_api_key"] or found["url"] != wanted["url"]):
        wanted["api_key"] = read_secret(session, entry.api_key, "")
    return _put(api, "/sources", found, wanted, verify=None if entry.verify else "false")


def _said(entry: Entry, *but: str) -> Json:
    return entry.model_dump(exclude_none=True, exclude=set(but))


def _put(api: Api, path: str, found: Json | None, wanted: Json, **params: Any) -> str:
    if found is None:
        api.post(path, wanted, **params)
        return CREATED
    changes = {name: value for name, value in wanted.items() if name not in found or found[name] != value}
    if not changes:
        return UNCHANGED
    api.patch(f"{path}/{found['id']}", changes, **params)
    return CHANGED


def _like(api: Api, path: str, **fields: Any) -> Iterator[Json]:
    found = api.items(path, ids.EVERYTHING)
    return (item for item in found if all(item[name] == value for name, value in fields.items()))


def _one(api: Api, path: str, entry: Entry, **fields: Any) -> Json | None:
    """What is called so. Raises CliError where several are: which of them is meant?"""
    found = list(_like(api, path, **fields))
    if len(found) > 1:
        raise usage(f"There are {len(found)} called {entry.title!r}.", "Rename all but one.")
    return found[0] if found else None
