"""Asks a deployment everything that the checks want to know. What it will not say is `Unknown`, with the reason."""

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from cli import config
from cli.client import LOOPBACK, Api, problem_of
from cli.doctor.facts import Certificate, Facts, Json, KeyInUse, Moot, Unknown
from cli.errors import CliError
from cli.session import Session, connect

T = TypeVar("T")

LOOK_SECONDS = 15.0  # a cold start included
MOST_PROJECTS = 50
MOST_RECORDS = 500
NO_KEY = Unknown("no key: name a profile that has one (spark config set NAME --url … --api-key -)")
NOT_REACHED = "the API was not reached"


@dataclass(frozen=True)
class Seen:
    """One look at the API from outside: its answer, when it came, and the certificate it came with."""

    status: int
    detail: str | None
    at: datetime
    date: datetime | None
    certificate: Certificate | Unknown


@dataclass(frozen=True)
class Listed:
    """What was read of a list, and whether there is more of it."""

    records: Sequence[Json]
    is_cut: bool


def gather(session: Session, profile: config.Profile, *, borrowed: bool = False) -> Facts:
    """All that the API at `profile` says.

    Args:
        borrowed: the key was read from Secrets Manager for this once.
    """
    health = look(session, profile.url, "/health")
    if isinstance(health, Unknown):
        why = Unknown(NOT_REACHED)
        seen = Facts(profile.url, session.now, health, ready=why, certificate=why, ahead_seconds=why)
        return _without_key(seen, why)
    ready = look(session, profile.url, "/health/ready")
    facts = Facts(
        url=profile.url,
        now=session.now,
        health=health.status,
        ready=ready if isinstance(ready, Unknown) else _complaint(ready),
        certificate=health.certificate,
        ahead_seconds=ahead(health),
        key=key_in_use(profile, borrowed=borrowed),
    )
    is_somebody = profile.api_key or profile.access_token
    return _as_caller(session, profile, facts) if is_somebody else _without_key(facts, NO_KEY)


def look(session: Session, url: str, path: str) -> Seen | Unknown:
    """Ask for `path` once, without a key."""
    transport = session.surroundings.transport
    past_proxies = urlsplit(url).hostname in LOOPBACK
    try:
        with (
            httpx.Client(transport=transport, timeout=LOOK_SECONDS, trust_env=not past_proxies) as http,
            http.stream("GET", f"{url}{config.API_PATH}{path}") as answer,
        ):
            certificate, before = _certificate(answer), session.now
            answer.read()
            detail = None if answer.is_success else problem_of(answer).get("detail", answer.reason_phrase)
            return Seen(answer.status_code, detail, before, _date(answer), certificate)
    except httpx.TransportError as error:
        return Unknown(str(error) or type(error).__name__)


def ahead(seen: Seen) -> float | Unknown:
    """By how many seconds the clock there is ahead; Date has whole seconds, so half of one is meant to be over."""
    if seen.date is None:
        return Unknown("its answers carry no Date")
    return (seen.date + timedelta(seconds=0.5) - seen.at).total_seconds()


def key_in_use(profile: config.Profile, *, borrowed: bool) -> KeyInUse | Unknown:
    """The profile's key, without its secret."""
    if profile.access_token:
        return Moot("you are logged in, and come without a key")
    if not profile.api_key:
        return NO_KEY
    _, id, secret = [*profile.api_key.split("_", 2), "", ""][:3]
    return KeyInUse(id, len(secret), borrowed)


def _as_caller(session: Session, profile: config.Profile, facts: Facts) -> Facts:
    """What the API says to who has a key, or is logged in."""

    def api(project: str) -> Api:
        return connect(replace(profile, project=project), transport=session.surroundings.transport, sleep=session.sleep)

    mine = api(profile.project if profile.access_token else "")
    projects = listed(mine, "/projects", MOST_PROJECTS)
    lists = {
        "projects": projects,
        "keys": listed(mine, "/api-keys", MOST_RECORDS),
        "dead_letters": in_each(projects, api, "/dead-letters"),
        "sources": in_each(projects, api, "/sources"),
        "schedules": in_each(projects, api, "/schedules"),
    }
    records: Any = {name: found if isinstance(found, Unknown) else found.records for name, found in lists.items()}
    return replace(
        facts,
        me=ask(lambda: mine.get("/auth/me")),
        deployment=ask(lambda: mine.get("/deployment")),
        second_factor=ask(lambda: bool(mine.get("/auth/second-factor")["enabled"]))
        if profile.access_token
        else Moot("keys have none: log in to see yours"),
        cut=frozenset(name for name, found in lists.items() if not isinstance(found, Unknown) and found.is_cut),
        **records,
    )


def listed(api: Api, path: str, most: int) -> Listed | Unknown:
    """The first `most` records at `path`; one more is asked for, to know whether these are all."""
    found = ask(lambda: list(api.items(path, most + 1)))
    return found if isinstance(found, Unknown) else Listed(found[:most], len(found) > most)


def ask(question: Callable[[], T]) -> T | Unknown:
    """The answer; a refusal is one, too."""
    try:
        return question()
    except CliError as error:
        status = (error.problem or {}).get("status")
        return Unknown(str(error), status if isinstance(status, int) else None)


def in_each(projects: Listed | Unknown, api: Callable[[str], Api], path: str) -> Listed | Unknown:
    """The records at `path` of all `projects`, as far as anybody wants to read."""
    if isinstance(projects, Unknown):
        return projects
    whole, is_cut = list[Json](), projects.is_cut
    for project in projects.records:
        found = listed(api(project["id"]), path, MOST_RECORDS)
        if isinstance(found, Unknown):
            return found
        whole, is_cut = [*whole, *found.records], is_cut or found.is_cut
    return Listed(whole, is_cut)


def _without_key(facts: Facts, why: Unknown) -> Facts:
    asked = ("key", "me", "deployment", "keys", "projects", "dead_letters", "sources", "schedules", "second_factor")
    return replace(facts, **dict.fromkeys(asked, why))  # type: ignore[arg-type]  # each of them may be Unknown


def _complaint(seen: Seen) -> str | None:
    return None if seen.status == httpx.codes.OK else seen.detail or f"It answers {seen.status}."


def _date(answer: httpx.Response) -> datetime | None:
    with suppress(KeyError, ValueError):
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    return None


def _certificate(answer: httpx.Response) -> Certificate | Unknown:
    """That of the connection itself, hence the right one behind proxies, too."""
    stream = answer.extensions.get("network_stream")
    seen = stream.get_extra_info("ssl_object") if stream else None
    shown = seen.getpeercert() if seen else None
    if not shown:
        return Unknown("the connection has none")
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    names = dict(pair for group in shown["issuer"] for pair in group)
    return Certificate(until, names.get("organizationName") or names.get("commonName", "?"))
