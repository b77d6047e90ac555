"""A LangFlow flow definition, as exported or read over its API: what may be kept of it, and what it says.

Definitions come from outside, so nothing is taken for granted: wrong types count as missing, and a definition that is
nested or sized beyond reason is refused. Shape: `{id, name, …, data: {nodes: […], edges: […], viewport}}`; a node's
component stands in `data.type`, its fields in `data.node.template`, each `{value, password, load_from_db, …}`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.errors import Invalid

MAX_DEPTH = 100  # a flow nests about 10 deep, and 6 more for each group inside a group
MAX_VALUES = 1_000_000  # a flow of 300 components has about 100,000
DIGEST_CHARACTERS = 32  # 128 bits tell a user's flows apart, and every run carries them

Definition = dict[str, Any]

INPUT_TYPES = frozenset({"ChatInput", "TextInput", "Webhook"})
OUTPUT_TYPES = frozenset({"ChatOutput", "TextOutput", "DataOutput"})

# What moves when someone only looks at the flow in the editor.
APPEARANCE = frozenset(
    {
        "animated", "className", "dragging", "height", "lf_version", "measured", "minimized", "position",
        "positionAbsolute", "resizing", "selected", "showNode", "style", "viewport", "width", "zIndex",
    }
)  # fmt: skip

SECRET_INPUTS = frozenset({"SecretStrInput", "MultilineSecretInput"})
SECRET_LAST_WORDS = frozenset(
    {
        "apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "passphrase", "passwd",
        "password", "pwd", "secret", "token",
    }
)  # fmt: skip
SECRET_LAST_PAIRS = frozenset({("access", "key"), ("api", "key"), ("private", "key"), ("secret", "key")})
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent"}
)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Keys that carry their maker's mark, and credentials in URLs and headers: blanked wherever they were typed. Every
# repetition has a limit, so that no text takes time beyond its length.
TYPED_SECRET = re.compile(
    r"\bsk-[\w-]{16,500}|\bgh[pousr]_\w{20,500}|\bgithub_pat_\w{20,500}|\bxox[abeprs]-[\w-]{10,500}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}|\bglpat-[\w-]{20,500}"
    r"|\beyJ[\w-]{10,200}\.[\w-]{10,2000}\.[\w-]{10,2000}"
    r"|(?<=://)[^\s/:@]{1,500}:[^\s/@]{1,500}(?=@)|(?:(?<=[Bb]earer )|(?<=[Bb]asic ))[\w.~+/-]{12,4000}=*"
)
# One of these is in every such text, and in few others: asking first saves nine tenths of the time.
SECRET_MARKS = (
    "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "xox", "AKIA", "AIza", "glpat-", "eyJ", "://",
    "earer ", "asic ",
)  # fmt: skip


class Component(BaseModel):
    """A component of a flow that takes input or gives output."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    display_name: str


class RemoteFlow(BaseModel):
    """A flow as a source lists it. `lfx serve` knows id, name and description only; lists never carry the icon."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    description: str | None = None
    folder_id: str | None = None
    tags: tuple[str, ...] = ()
    icon: str | None = None
    endpoint_name: str | None = None
    updated_at: str | None = None


class FlowMetadata(BaseModel):
    """What a definition says about itself, cut to what a workflow may hold."""

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    icon: str | None = None
    icon_bg_color: str | None = None
    folder_id: str | None = None
    endpoint_name: str | None = None
    is_component: bool = False
    locked: bool = False


def scrub(definition: Definition) -> Definition:
    """A copy of `definition` without credentials; names of global variables stay.

    Blank afterwards: the value of every password field, of every field or header with a secret-looking name, of every
    header that is not known to be harmless, and whatever looks like a key inside other text.

    Raises:
        Invalid: deeper than 100 levels or more than a million values.
    """
    return _Scrubbing().mapping(definition, "", _Within.nothing, 0)


def digest(definition: Definition) -> str | None:
    """Half a SHA-256 of what the flow does: scrubbed nodes and edges without looks and order. None without a graph.

    Raises:
        Invalid: see `scrub`.
    """
    graph = definition.get("data")
    if not isinstance(graph, dict):
        return None
    scrubbed = scrub(graph)
    nodes = sorted(map(_canonical, _items(scrubbed, "nodes")))
    # An edge's own id repeats its ends, in a spelling that changes with the editor.
    edges = sorted(_canonical({**edge, "id": None}) for edge in _items(scrubbed, "edges"))
    return hashlib.sha256(json.dumps([nodes, edges]).encode()).hexdigest()[:DIGEST_CHARACTERS]


def inputs(definition: Definition) -> list[Component]:
    """The components that take a run's input, in the definition's order."""
    return [component for component in _components(definition) if component.type in INPUT_TYPES]


def outputs(definition: Definition) -> list[Component]:
    """The components whose results are the flow's output, in the definition's order."""
    return [component for component in _components(definition) if component.type in OUTPUT_TYPES]


def metadata(definition: Definition) -> FlowMetadata:
    """Name, description and the like; whatever has the wrong type counts as missing."""
    tags = definition.get("tags")
    texts = {key: _text(definition, key) for key in ("name", "icon", "icon_bg_color", "folder_id", "endpoint_name")}
    return FlowMetadata(
        **texts,
        description=(_text(definition, "description", 2000) or ""),
        tags=tuple(tag[:200] for tag in tags[:50] if isinstance(tag, str)) if isinstance(tags, list) else (),
        is_component=definition.get("is_component") is True,
        locked=definition.get("locked") is True,
    )


def looks_secret(name: str) -> bool:
    """Is this the name of a credential? `openai_api_key`, `X-Auth-Token`, `dbPassword`; not `max_tokens`."""
    return _ends_like_a_secret(name[-40:])


@lru_cache(maxsize=1024)  # a definition repeats the same few names thousands of times
def _ends_like_a_secret(name: str) -> bool:
    words = [word.lower() for word in WORD.findall(name)]
    return bool(words) and (words[-1] in SECRET_LAST_WORDS or tuple(words[-2:]) in SECRET_LAST_PAIRS)


class _Within(Enum):
    """What a value is part of; decides which texts are blanked."""

    nothing = 0
    headers = 1
    secret = 2


class _Scrubbing:
    """One walk over one definition. `name` is the field or key a value belongs to, `depth` how deep it lies."""

    def __init__(self) -> None:
        self._seen = 0

    def mapping(self, value: Definition, name: str, within: _Within, depth: int) -> Definition:
        if not _is_field(value):
            return {key: self._any(entry, str(key), within, depth) for key, entry in value.items()}
        # Of a field only its value is the user's.
        copy = {
            key: self._any(entry, str(key), _Within.nothing, depth) for key, entry in value.items() if key != "value"
        }
        if "value" in value:
            secret = value.get("password") is True or value.get("_input_type") in SECRET_INPUTS
            variable = value.get("load_from_db") is True and isinstance(value["value"], str)
            inside = _Within.nothing if variable else _Within.secret if secret else within
            copy["value"] = self._any(value["value"], "" if variable else _own_name(value) or name, inside, depth)
        return copy

    def _any(self, value: Any, name: str, within: _Within, depth: int) -> Any:
        self._seen += 1
        if depth >= MAX_DEPTH or self._seen > MAX_VALUES:
            raise Invalid("The flow definition is nested too deeply or too large.", "/data")
        if isinstance(value, dict):
            return self.mapping(value, name, _inside(name, within), depth + 1)
        if isinstance(value, list):
            return [self._any(item, name, _inside(name, within), depth + 1) for item in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return "" if _is_secret(name, within) else _without_keys(value)
        return "" if within is _Within.secret else value  # a PIN


def _without_keys(text: str) -> str:
    return TYPED_SECRET.sub("", text) if any(mark in text for mark in SECRET_MARKS) else text


def _is_field(value: Definition) -> bool:
    """A field of a component, or a header as a row of a table: {key, value}."""
    marked = "_input_type" in value or "load_from_db" in value or isinstance(value.get("password"), bool)
    return marked or ("value" in value and _own_name(value) is not None)


def _own_name(value: Definition) -> str | None:
    return _text(value, "name") or _text(value, "key")


def _is_secret(name: str, within: _Within) -> bool:
    unknown_header = within is _Within.headers and name.lower() not in HARMLESS_HEADERS
    return within is _Within.secret or unknown_header or looks_secret(name)


def _inside(name: str, within: _Within) -> _Within:
    """What the entries of `name` are part of. A secret stays one, however deep it is nested."""
    if within is _Within.secret or looks_secret(name):
        return _Within.secret
    return _Within.headers if name.lower().endswith("headers") else within


def _without_looks(part: Definition) -> Definition:
    """A node or edge without what APPEARANCE names, on its own levels only: in a field, `width` may mean something."""
    return {
        key: _without_looks(entry) if key in ("data", "node") and isinstance(entry, dict) else entry
        for key, entry in part.items()
        if key not in APPEARANCE
    }


def _canonical(part: Definition) -> str:
    return json.dumps(_without_looks(part), sort_keys=True, separators=(",", ":"))


def _components(definition: Definition) -> Iterator[Component]:
    graph = definition.get("data")
    for node in _items(graph, "nodes") if isinstance(graph, dict) else ():
        data = node.get("data")
        if node.get("type") == "noteNode" or not isinstance(data, dict):
            continue
        id, type_ = _text(node, "id"), _text(data, "type")
        if id and type_:
            inner = data.get("node")
            name = _text(inner, "display_name") if isinstance(inner, dict) else None
            yield Component(id=id, type=type_, display_name=name or type_)


def _items(graph: Definition, part: str) -> list[Definition]:
    found = graph.get(part)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(value: Definition, key: str, limit: int = 200) -> str | None:
    found = value.get(key)
    return found.strip()[:limit] or None if isinstance(found, str) else None
