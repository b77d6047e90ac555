"""The profiles: which deployments of Spark this user works with. One TOML file that only its owner can read."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
import tomlkit
from tomlkit.exceptions import ParseError

from cli.errors import CliError, usage

try:
    import fcntl
except ImportError:  # Windows: commands at the same time may lose what another of them writes
    fcntl = None  # type: ignore[assignment]

API_PATH = "/api/v1"
NO_PROFILE_HINT = (
    "Start Spark on this machine with `spark local up`, or name a deployment with "
    "`spark config set NAME --url URL --api-key -`."
)

LOCK_NAME = ".lock"  # beside the file, which itself is replaced with each change
_within = threading.local()  # whether this thread has the lock: a second handle of its own would wait for the first

PARTS = ("url", "api_key", "project", "access_token", "refresh_token")


@dataclass(frozen=True)
class Profile:
    """One deployment and the key it is used with."""

    name: str
    url: str
    api_key: str = field(default="", repr=False)
    project: str = ""
    """The one that is meant, by id or name; empty: the key's own."""
    access_token: str = field(default="", repr=False)
    """Of the person who logged in; while there is one, it goes in the place of the key."""
    refresh_token: str = field(default="", repr=False)

    @property
    def without_person(self) -> "Profile":
        """The same, with its key alone."""
        return replace(self, access_token="", refresh_token="")  # nosec B106

    @property
    def masked_key(self) -> str:
        """Enough of the key to tell it from others, nothing to log in with."""
        parts = self.api_key.split("_")
        return "_".join([*parts[:2], "…"]) if len(parts) == 3 else "…" * bool(self.api_key)


@dataclass(frozen=True)
class Config:
    """What the file says."""

    current: str | None
    profiles: Mapping[str, Profile]

    def profile(self, name: str) -> Profile:
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise usage(f"There is no profile {name!r}. Known: {known}.", NO_PROFILE_HINT)
        return self.profiles[name]


def path() -> Path:
    return platformdirs.user_config_path("spark") / "config.toml"


@contextmanager
def locked() -> Iterator[None]:
    """Whoever reads the file to change it has it for themselves, among all commands of this user at once."""
    if fcntl is None or getattr(_within, "is_held", False):
        yield
        return
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path().with_name(LOCK_NAME), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        _within.is_held = True
        yield
    finally:
        _within.is_held = False
        os.close(handle)  # which gives the lock back, as the end of a killed command does


def load() -> Config:
    """Raises CliError when the file cannot be understood."""
    document = _document().unwrap()
    profiles = {
        name: Profile(name, *(str(entry.get(part, "")) for part in PARTS))
        for name, entry in document.get("profiles", {}).items()
    }
    return Config(document.get("current"), profiles)


def names() -> list[str]:
    """Of all profiles."""
    return sorted(load().profiles)


def choose(name: str | None, environment: Mapping[str, str] = os.environ, *, project: str | None = None) -> Profile:
    """The profile to use: `name`; else what SPARK_URL and SPARK_API_KEY say; else SPARK_PROFILE; else the current one.
    And in it `project`; else what SPARK_PROJECT says, unless there is a `name`; else the one it was last used with.

    A stored key is never sent to another address than the one it was stored with.
    """
    profile = _chosen(name, environment)
    meant = project or (None if name else environment.get("SPARK_PROJECT"))
    return replace(profile, project=meant) if meant else profile


def _chosen(name: str | None, environment: Mapping[str, str]) -> Profile:
    config = load()
    if name:
        return config.profile(name)
    url, key = environment.get("SPARK_URL"), environment.get("SPARK_API_KEY")
    stored = environment.get("SPARK_PROFILE") or config.current
    if url:
        base = config.profiles.get(stored or "")
        kept = base if base and base.url == normal_url(url) else Profile("", "")
        return Profile("SPARK_URL", normal_url(url), key or kept.api_key, kept.project)
    if not stored:
        raise usage("No deployment of Spark is configured.", NO_PROFILE_HINT)
    profile = config.profile(stored)
    return replace(profile.without_person, api_key=key) if key else profile


@locked()
def save_profile(name: str, url: str, api_key: str, *, use: bool = False) -> Profile:
    """Add or replace the profile. The first one, and any with `use`, becomes the current one.

    Its project stays while its address does.
    """
    before, profile = load().profiles.get(name), Profile(name, normal_url(url), api_key)
    project = before.project if before and before.url == profile.url else ""
    document = _document()
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    profiles[name] = {"url": profile.url, "api_key": api_key, **({"project": project} if project else {})}
    if use or "current" not in document:
        document["current"] = name
    _write(document)
    return replace(profile, project=project)


@locked()
def use_project(name: str, project: str) -> Profile:
    """Have profile `name` mean the project with this id from now on; the key's own, if it is empty."""
    profile = load().profile(name)
    document = _document()
    entry = document["profiles"][name]
    entry.pop("project", None)
    if project:
        entry["project"] = project
    _write(document)
    return replace(profile, project=project)


@locked()
def keep_tokens(name: str, access: str, refresh: str) -> Profile:
    """Have profile `name` go on as the person whose tokens these are; with empty ones, with its key."""
    profile = load().profile(name)
    document = _document()
    entry = document["profiles"][name]
    for part, token in (("access_token", access), ("refresh_token", refresh)):
        entry.pop(part, None)
        if token:
            entry[part] = token
    _write(document)
    return replace(profile, access_token=access, refresh_token=refresh)


@locked()
def use_profile(name: str) -> Profile:
    """Make `name` the current profile."""
    profile = load().profile(name)
    document = _document()
    document["current"] = name
    _write(document)
    return profile


@locked()
def delete_profile(name: str) -> Profile:
    """Forget `name` and its key."""
    profile = load().profile(name)
    document = _document()
    document["profiles"].remove(name)
    if document.get("current") == name:
        document.remove("current")
    _write(document)
    return profile


def normal_url(url: str) -> str:
    """`url` without the API's base path and closing slash. Raises CliError when it is no web address."""
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        fine = False
    if not fine:
        raise usage(f"{url!r} is no web address.", "It looks like https://spark.example.com")
    return url.strip().rstrip("/").removesuffix(API_PATH).rstrip("/")


def _document() -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except ParseError as error:
        raise CliError(f"{path()} is no valid TOML: {error}", hint="Correct or delete it.") from error


def _write(document: Any) -> None:
    """All or nothing, and never readable by others: a new file (0600 from birth) takes the old one's place."""
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path().parent, prefix=".config-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(tomlkit.dumps(document))
    Path(name).replace(path())
