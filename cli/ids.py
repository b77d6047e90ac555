"""From what a person types to an id: a full id, a name, or a piece of an id that fits only one thing."""

import re
from collections.abc import Iterable
from typing import Any

from cli.client import Api, Json
from cli.errors import CliError, usage
from cli.tables import short

FULL_ID = re.compile(r"[a-z]+_[0-9A-HJKMNP-TV-Z]{26}")
SEARCHED = 500  # newest of a kind; older ones are named by their full id
LATEST = "last"
DEFAULT_PROJECT = "default"
EVERYTHING = 100_000  # pages are read until there are no more
NAMED = 1000  # things whose names a list of something else can show
NOUNS = {
    "sources": "source",
    "workflows": "workflow",
    "schedules": "schedule",
    "runs": "run",
    "dead-letters": "dead letter",
    "projects": "project",
    "roles": "role",
    "api-keys": "key",
    "identity-providers": "identity provider",
    "service-accounts": "service account",
}
COMMANDS = {"dead-letters": "dead-letters", "identity-providers": "sso provider"}
"""Where they are not called as the noun."""


def is_id(text: str) -> bool:
    """Is it an id whole, which nobody has to look up?"""
    return FULL_ID.fullmatch(text) is not None or text == DEFAULT_PROJECT


def resolve(api: Api, collection: str, text: str, **filters: Any) -> str:
    """The id of what `text` names in `collection`; `last` is the newest.

    Raises:
        CliError: nothing fits, or more than one thing does.
    """
    if FULL_ID.fullmatch(text):
        return text
    due = "true" if collection == "runs" and text == LATEST else None  # schedules make runs ahead of their time
    candidates = list(api.items(f"/{collection}", 1 if text == LATEST else SEARCHED, due=due, **filters))
    found = candidates if text == LATEST else pick(candidates, text)
    if len(found) == 1:
        return str(found[0]["id"])
    noun = NOUNS[collection]
    if not found:
        command = COMMANDS.get(collection, noun.replace(" ", "-"))
        raise CliError(f"There is no {noun} {text!r}.", hint=f"See `spark {command} list`.")
    listed = ", ".join(f"{short(item['id'])} {name_of(item)}".strip() for item in found[:5])
    raise usage(f"{text!r} fits {len(found)} {noun}s: {listed}", "Use one of these ids.")


def pick(candidates: Iterable[Json], text: str) -> list[Json]:
    """Those with exactly this name or URL; else with this name in another case; else whose id begins or ends so."""
    candidates, wanted = list(candidates), text.lower()
    tests = (
        lambda item: text in (name_of(item), item["id"], item.get("url"), item.get("endpoint_name")),
        lambda item: name_of(item).lower() == wanted,
        lambda item: item["id"].lower().startswith(wanted) or item["id"].lower().endswith(wanted),
    )
    return next((found for test in tests if (found := [item for item in candidates if test(item)])), [])


def name_of(item: Json) -> str:
    """What people call it: its own name, or the one in its settings."""
    return str(item.get("name") or item.get("settings", {}).get("name") or "")


def names_in(api: Api, collection: str) -> dict[str, str]:
    """Id → name, for lists of things that belong to those in `collection`."""
    return {item["id"]: name_of(item) for item in api.items(f"/{collection}", NAMED)}
